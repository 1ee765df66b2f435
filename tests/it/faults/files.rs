//! Cached files (of a `proxy_cache_path`) that a hand or a disk has changed, while they are served and before.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{ask, bytes_of, conf_of, only_file, origin_of_pages, page, said, stored, wait_for_hit};
use crate::support::{
    Conf, Gate, Origin, Server, Stop, answer,
    client::{End, To},
    peers::Program,
    wait_until,
};

/// What is done to the files of `/large/a` and `/large/b`.
type Damage = fn(&Path, &Path);

const DAMAGES: [(&str, Damage); 9] = [
    ("cut in the body", |a, b| [a, b].into_iter().for_each(|file| cut(file, 300_000))),
    ("cut in the head", |a, b| [a, b].into_iter().for_each(|file| cut(file, 200))),
    ("empty", |a, b| [a, b].into_iter().for_each(|file| cut(file, 0))),
    ("swapped", |a, b| {
        let aside = a.with_extension("aside");
        fs::rename(a, &aside).unwrap();
        fs::rename(b, a).unwrap();
        fs::rename(&aside, b).unwrap();
    }),
    ("directories", |a, b| {
        for file in [a, b] {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }
    }),
    ("pipes", |a, b| {
        for file in [a, b] {
            fs::remove_file(file).unwrap();
            nix::unistd::mkfifo(file, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        }
    }),
    ("removed", |a, b| [a, b].into_iter().for_each(|file| fs::remove_file(file).unwrap())),
    ("of nobody", |a, b| {
        [a, b].into_iter().for_each(|file| fs::write(file, vec![b'x'; 10_000]).unwrap());
    }),
    ("without their directory", |a, b| {
        for file in [a, b] {
            let _ = fs::remove_dir_all(file.parent().and_then(Path::parent).unwrap());
        }
    }),
];

fn cut(file: &Path, bytes: u64) {
    fs::File::options().write(true).open(file).unwrap().set_len(bytes).unwrap();
}

/// A server that has two pages stored, and their files.
fn with_two_pages(conf: &Conf) -> (Server, PathBuf, PathBuf) {
    let server = Server::start(conf);
    ask(&server, "/large/a");
    let a = only_file(&server);
    ask(&server, "/large/b");
    wait_until("both are stored", || stored(&server).len() == 2);
    let b = stored(&server).into_iter().find(|file| *file != a).unwrap();
    (server, a, b)
}

#[test]
fn damaged_files_are_noticed_while_they_are_served() {
    for (name, damage) in DAMAGES {
        let origin = origin_of_pages();
        let (mut server, a, b) = with_two_pages(&conf_of("cache", "use_temp_path=off", &origin));
        // As nginx, whoever was being sent a file that is cut is told of at that level.
        server.allow_in_log("was truncated");
        if server.program().is_nginx() {
            return;
        }
        // Both are kept open by now.
        wait_for_hit(&server, "/large/a");
        wait_for_hit(&server, "/large/b");
        damage(&a, &b);
        for target in ["/large/a", "/large/b"] {
            // Up to a second what was kept open is served: whole, or visibly broken off.
            wait_until("the damage is noticed", || {
                let mut client = server.client();
                client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
                // Where the file ends before its body begins there may not even be a head.
                let Ok(response) = client.try_response(To::Get) else { return false };
                let whole = page(target, bytes_of(target));
                assert!(whole.starts_with(&response.body), "{name}: {target} has wrong bytes");
                assert!(response.end == End::Torn || response.body == whole, "{name}: {target}");
                response.end != End::Torn && response.cache() == "MISS"
            });
            wait_for_hit(&server, target);
        }
        wait_until("both are stored again", || {
            stored(&server).iter().filter(|file| file.is_file()).count() == 2
        });
        let silent = ["removed", "without their directory"];
        assert!(
            silent.contains(&name) || said(&server, "cache file \"") > 0,
            "{name}: {}",
            server.read("error.log")
        );
    }
}

#[test]
fn damaged_files_are_noticed_after_a_start() {
    for (name, damage) in DAMAGES {
        let origin = origin_of_pages();
        let conf = conf_of("cache", "use_temp_path=off", &origin);
        let (server, a, b) = with_two_pages(&conf);
        if server.program().is_nginx() {
            return;
        }
        let dir = server.stop_and_keep(Stop::Graceful);
        damage(&a, &b);
        let server = Server::start_in(&Program::larder(), &conf, dir);
        for target in ["/large/a", "/large/b"] {
            assert_eq!(ask(&server, target), "MISS", "{name}: {target}");
            wait_for_hit(&server, target);
        }
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_breaks_the_answer_off() {
    let body = vec![b'x'; 32 << 20];
    let origin = Origin::always(answer(200).body(&body));
    let mut server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
    server.allow_in_log("was truncated");
    server.get("/a");
    let file = only_file(&server);
    let mut client = crate::support::Client::connect_narrow(server.address(), 4096);
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head_only();
    client.bytes(100_000);
    cut(&file, 200_000);
    let (rest, end) = client.rest();
    assert!(rest.len() < body.len() - 100_000, "the rest of the file was gone");
    assert_ne!(end, End::Overdue, "it hangs");
    wait_until("it is stored anew", || server.get("/a").body.len() == body.len());
}

#[test]
fn a_file_that_is_removed_while_it_is_written_is_no_loss() {
    let gate = Gate::closed();
    let half = vec![b'a'; 300_000];
    let origin = Origin::script([
        answer(200).declared(600_000).bytes(&half).wait(&gate).bytes(&half),
        answer(200).body("again"),
    ]);
    let server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head_only();
    assert!(client.bytes(half.len()) == half);
    wait_until("it is being written", || !super::left_behind(&server.dir().join("cache")).is_empty());
    for file in super::left_behind(&server.dir().join("cache")) {
        fs::remove_file(file).unwrap();
    }
    gate.open();
    assert!(client.bytes(half.len()) == half);
    wait_until("it is asked for again", || server.get("/a").text() == "again");
}

#[test]
fn bits_that_flip_are_found_where_sums_are_kept() {
    let origin = origin_of_pages();
    let conf = conf_of("cache", "use_temp_path=off verify=sum", &origin);
    let (server, a, b) = with_two_pages(&conf);
    if server.program().is_nginx() {
        return;
    }
    let dir = server.stop_and_keep(Stop::Graceful);
    for (file, from_end) in [(&a, 1), (&b, 500_000)] {
        let file = fs::File::options().read(true).write(true).open(file).unwrap();
        let at = file.metadata().unwrap().len() - from_end;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    }
    let server = Server::start_in(&Program::larder(), &conf, dir);
    for target in ["/large/a", "/large/b"] {
        assert_eq!(ask(&server, target), "MISS", "{target}");
        wait_for_hit(&server, target);
    }
    assert_eq!(said(&server, "has a wrong checksum"), 2, "{}", server.read("error.log"));
}

#[test]
fn the_scrub_finds_what_nobody_asks_for() {
    let origin = origin_of_pages();
    let conf = conf_of("cache", "use_temp_path=off verify=sum scrub=100m", &origin)
        .with_text(|text| text.replace("events {", "error_log error.log info;\nevents {"));
    let (server, a, b) = with_two_pages(&conf);
    if server.program().is_nginx() {
        return;
    }
    let dir = server.stop_and_keep(Stop::Graceful);
    let file = fs::File::options().write(true).open(&a).unwrap();
    file.write_all_at(&[0xff; 3], 400_000).unwrap();
    let server = Server::start_in(&Program::larder(), &conf, dir);
    server.wait_for_log("has a wrong checksum, it is removed");
    server.wait_for_log("scrubbed 2 files");
    wait_until("it is gone", || !a.exists());
    assert!(b.exists());
    assert_eq!((ask(&server, "/large/a"), ask(&server, "/large/b")), ("MISS".to_owned(), "HIT".to_owned()));
}
