//! What a hand does to the cache's directory while it is used: all of it removed, one of its own files, other things put there.

use std::{fs, process::Command};

use nix::sys::signal::Signal;

use super::{ask, conf_of, only_file, origin_of_pages, page, stored, wait_for_hit};
use crate::support::{Conf, Server, peers::Program, proc, wait_until};

fn remove_directory(server: &Server) {
    // Somebody may be writing into it.
    wait_until("it is removed", || fs::remove_dir_all(server.dir().join("cache")).is_ok());
}

/// Waits until what the directory should have is there again, and all is served from it.
fn has_healed(server: &Server) {
    let targets = ["/small/a", "/large/a", "/small/new"];
    // For a moment what is in memory is served though its file is gone.
    wait_until("all is stored again", || {
        targets.iter().for_each(|target| drop(ask(server, target)));
        targets.iter().all(|target| stored(server).len() >= 3 && ask(server, target) == "HIT")
    });
    let cache = server.dir().join("cache");
    let own = ["larder.mdb", "larder.mdb-lock", "larder.shared", "larder.state", "larder.lock"];
    wait_until("all is there", || own.iter().all(|name| cache.join(name).exists()));
    wait_until("the manager is back", || {
        server.children("cache manager").iter().any(|pid| proc::maps(*pid, "cache/larder.shared"))
    });
    // What a tool does, all know of. Where nobody knew any more what had been purged, all that was there counted as purged.
    wait_until("there is something to purge", || {
        wait_for_hit(server, "/small/a");
        purge(server, "/small/a").status.success()
    });
    wait_until("the purge is known", || ask(server, "/small/a") == "MISS");
}

fn purge(server: &Server, key: &str) -> std::process::Output {
    let dir = server.dir().display().to_string();
    let words = ["cache", "purge", key, "-p", &dir, "-c", "nginx.conf"];
    Command::new(Program::larder().path).args(words).output().expect("it can be run")
}

#[test]
fn a_directory_that_is_removed_is_made_anew() {
    let origin = origin_of_pages();
    let server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
    if server.program().is_nginx() {
        return;
    }
    for _ in 0..2 {
        wait_for_hit(&server, "/small/a");
        wait_for_hit(&server, "/large/a");
        let worker = server.worker();
        remove_directory(&server);
        has_healed(&server);
        assert_eq!(server.worker(), worker, "without another worker");
    }
    let log = server.read("error.log");
    assert!(log.contains("has been removed, it is"), "{log}");
}

/// Runs workers as somebody who may make nothing beside the cache's directory.
fn as_nobody(conf: &Conf) -> Conf {
    conf.with_text(|text| {
        text.replace("%MAIN%", "daemon off; pid larder.pid; error_log error.log info; user nobody nogroup;")
    })
}

#[test]
fn a_directory_that_workers_may_not_make_is_made_by_the_master() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root can run workers as somebody else");
        return;
    }
    let origin = origin_of_pages();
    let mut server = Server::start(&as_nobody(&conf_of("cache", "use_temp_path=off", &origin)));
    if server.program().is_nginx() {
        return;
    }
    server.allow_in_log("Permission denied");
    wait_for_hit(&server, "/small/a");
    wait_for_hit(&server, "/large/a");
    remove_directory(&server);
    for number in 0..5 {
        ask(&server, &format!("/small/meanwhile/{number}"));
    }
    has_healed(&server);
    let log = server.read("error.log");
    // Who notices first: a process that says who should have it, or the next one that the master starts.
    assert!(log.contains("has been removed") || log.contains("Permission denied"), "{log}");
    server.signal(Signal::SIGHUP);
    ask(&server, "/large/a");
}

#[test]
fn what_processes_share_is_found_again() {
    let origin = origin_of_pages();
    let server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
    if server.program().is_nginx() {
        return;
    }
    for round in 0..3 {
        wait_for_hit(&server, "/small/a");
        wait_for_hit(&server, "/large/a");
        fs::remove_file(server.dir().join("cache/larder.shared")).unwrap();
        if round > 0 {
            fs::remove_file(server.dir().join("cache/larder.purges")).unwrap();
        }
        // Another process comes first, or the worker, or whoever is quicker.
        if round == 1 {
            wait_until("the worker notices", || {
                ask(&server, &format!("/small/{round}"));
                proc::maps(server.worker(), "cache/larder.shared")
            });
        }
        assert_eq!(ask(&server, "/large/a"), "HIT");
        wait_until("there is something to purge", || {
            wait_for_hit(&server, "/large/a");
            purge(&server, "/large/a").status.success()
        });
        wait_until("the purge is known", || ask(&server, "/large/a") == "MISS");
        wait_for_hit(&server, "/large/a");
        wait_for_hit(&server, "/small/a");
    }
    let log = server.read("error.log");
    assert!(log.contains("larder.shared has been removed, it is made anew"), "{log}");
}

#[test]
fn a_directory_in_the_place_of_a_file_is_moved_aside() {
    let origin = origin_of_pages();
    let server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
    if server.program().is_nginx() {
        return;
    }
    ask(&server, "/small/a");
    let file = only_file(&server);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("somebody's"), "own").unwrap();
    wait_until("it is asked for again", || ask(&server, "/small/a") == "MISS");
    wait_for_hit(&server, "/small/a");
    server.wait_for_log("is a directory where a cached file belongs, it is moved to");
    wait_until("the page is stored", || file.is_file());
    let aside = file.with_extension("aside-0");
    assert_eq!(fs::read(aside.join("somebody's")).unwrap(), b"own");
    assert!(fs::read(&file).unwrap().ends_with(&page("/small/a", 2000)));
}
