//! Disks that are full, have no inodes, are read-only, return errors, or are another than that of the temporary files.

use std::{fs, path::Path};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{
    NOT_CACHED, ask, conf_of, left_behind, origin_of_pages, said, stored, volume::Volume, wait_for_hit,
};
use crate::{
    caching::{files_below, is_entry},
    support::{
        Conf, Origin, Server, Stop,
        client::{End, NoAnswer, To},
        peers::Program,
        wait_until,
    },
};

fn at(path: &Path) -> String {
    path.display().to_string()
}

/// Larder in front of pages, with a cache on a volume; nothing where another program is tested.
fn start(conf: &Conf) -> Option<Server> {
    let server = Server::start(conf);
    (!server.program().is_nginx()).then_some(server)
}

/// Asks for pages of each kind under names of this round, several times and at once.
fn ask_all(server: &Server, round: u64) {
    for kind in ["small", "large", "open"] {
        let target = format!("/{kind}/{round}");
        for _ in 0..2 {
            ask(server, &target);
        }
        let at_once = format!("{target}/at-once");
        for response in server.get_at_once(&at_once, 4).0 {
            assert_eq!(response.status(), 200, "{at_once}");
            assert!(response.body == super::page(&at_once, super::bytes_of(&at_once)), "{at_once}");
        }
    }
}

/// Has the first page of a volume stored. It can be found a moment before its file has its name.
fn wait_for_file(volume: &Volume, server: &Server, target: &str) {
    wait_for_hit(server, target);
    let is_stored = || files_below(&volume.cache()).iter().any(|file| is_entry(file));
    wait_until("the file has its name", is_stored);
}

#[test]
fn a_disk_that_is_full_in_any_phase_of_a_fill_costs_no_answer() {
    for parameters in ["use_temp_path=off", "use_temp_path=on fsync=full verify=sum"] {
        let Some(volume) = Volume::tmpfs("size=4m,mode=777") else { return };
        let origin = origin_of_pages();
        let Some(server) = start(&conf_of(&at(&volume.cache()), parameters, &origin)) else { return };
        wait_for_file(&volume, &server, "/small/before");
        wait_for_hit(&server, "/large/before");
        // From no room for a file or a row, over files that break off sooner or later, to the copy that does not fit.
        for room in [0, 4 << 10, 16 << 10, 64 << 10, 150 << 10, 350 << 10, 590 << 10, 700 << 10] {
            volume.give_back();
            volume.fill_but(room);
            ask_all(&server, room);
            assert_eq!(ask(&server, "/small/before"), "HIT", "with {room} bytes left");
            assert_eq!(ask(&server, "/large/before"), "HIT", "with {room} bytes left");
        }
        assert!(said(&server, NOT_CACHED) >= 1, "{}", server.read("error.log"));
        assert!(said(&server, NOT_CACHED) <= 4, "one line a minute: {}", server.read("error.log"));
        assert!(server.read("error.log").contains("No space left on device"));
        volume.give_back();
        wait_for_hit(&server, "/small/after");
        wait_for_hit(&server, "/large/after");
        wait_until("no temporary file is left", || left_behind(&volume.cache()).is_empty());
    }
}

#[test]
fn a_volume_without_inodes_costs_no_answer() {
    let Some(volume) = Volume::tmpfs("size=8m,nr_inodes=64,mode=777") else { return };
    let origin = origin_of_pages();
    let Some(server) = start(&conf_of(&at(&volume.cache()), "use_temp_path=off", &origin)) else { return };
    wait_for_file(&volume, &server, "/small/before");
    volume.take_inodes();
    ask_all(&server, 1);
    assert_eq!(ask(&server, "/small/before"), "HIT");
    assert!((1..=4).contains(&said(&server, NOT_CACHED)), "{}", server.read("error.log"));
    volume.give_back();
    wait_for_hit(&server, "/small/after");
}

#[test]
fn a_disk_that_is_full_at_the_start_is_no_reason_not_to_serve() {
    let Some(volume) = Volume::tmpfs("size=2m,mode=777") else { return };
    let origin = origin_of_pages();
    let conf = conf_of(&at(&volume.cache()), "use_temp_path=off", &origin);
    fs::create_dir(volume.cache()).unwrap();
    volume.fill_but(0);
    let Some(server) = start(&conf) else { return };
    ask_all(&server, 1);
    server.wait_for_log("goes on without");
    volume.give_back();
    wait_for_hit(&server, "/small/after");
    wait_for_hit(&server, "/large/after");
    // What was done without is made at the next start.
    let dir = server.stop_and_keep(Stop::Graceful);
    let server = Server::start_in(&Program::larder(), &conf, dir);
    wait_for_hit(&server, "/small/after");
    server.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for_hit(&server, "/large/after");
}

#[test]
fn a_read_only_disk_serves_what_it_has() {
    let Some(volume) = Volume::tmpfs("size=4m,mode=777") else { return };
    let origin = origin_of_pages();
    let conf = conf_of(&at(&volume.cache()), "use_temp_path=off", &origin);
    let Some(server) = start(&conf) else { return };
    for target in ["/small/a", "/large/a"] {
        wait_for_hit(&server, target);
    }
    let dir = server.stop_and_keep(Stop::Graceful);
    volume.remount("ro");
    let server = Server::start_in(&Program::larder(), &conf, dir);
    for target in ["/small/a", "/large/a", "/small/a", "/large/a"] {
        assert_eq!(ask(&server, target), "HIT", "{target}");
    }
    ask_all(&server, 1);
    assert!(server.read("error.log").contains("Read-only file system"), "{}", server.read("error.log"));
    assert!(said(&server, NOT_CACHED) <= 4, "{}", server.read("error.log"));
    volume.remount("rw");
    wait_for_hit(&server, "/small/after");
    wait_for_hit(&server, "/large/after");
}

#[test]
fn a_disk_that_returns_errors_breaks_off_and_gives_nothing_wrong() {
    let Some(store) = Volume::tmpfs("size=64m,mode=777") else { return };
    let image = store.cache();
    let Some(volume) = Volume::disk(&image, 32 << 20) else { return };
    let origin = origin_of_pages();
    let conf = conf_of(&at(&volume.cache()), "use_temp_path=off fsync=file", &origin);
    let Some(mut server) = start(&conf) else { return };
    // What a broken disk does to the memory that a process has mapped of it ends that process.
    server.allow_in_log("exited on signal");
    for number in 0..8 {
        wait_for_hit(&server, &format!("/large/{number}"));
    }
    let dir = server.stop_and_keep(Stop::Graceful);
    // The disk ends where the first megabytes do, and the system has forgotten what was in the rest.
    fs::File::options().write(true).open(&image).unwrap().set_len(3 << 20).unwrap();
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap_or_default();
    let Some(server) = try_start(&conf, dir) else { return };
    let before = origin.request_count();
    for number in 0..8 {
        let target = format!("/large/{number}");
        let mut client = server.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        match client.try_response(To::Get) {
            Ok(response) => {
                let whole = super::page(&target, super::bytes_of(&target));
                assert!(whole.starts_with(&response.body), "{target} has wrong bytes");
                assert_ne!(response.end, End::Overdue, "{target} hangs");
            }
            Err(missing) => assert_ne!(missing, NoAnswer::Overdue, "{target} hangs"),
        }
    }
    println!("{} of 8 asked for again", origin.request_count() - before);
    ask(&server, "/small/fresh");
}

/// Starts over a broken disk. Where the disk does not even let a directory be read, there is nothing to test.
fn try_start(conf: &Conf, dir: tempfile::TempDir) -> Option<Server> {
    let mut server = Server::start_in(&Program::larder(), conf, dir);
    server.allow_in_log("exited on signal");
    Some(server)
}

#[test]
fn a_limit_on_the_size_of_files_costs_no_answer() {
    let origin = origin_of_pages();
    let Some(server) = start(&conf_of("cache", "use_temp_path=off", &origin)) else { return };
    wait_for_hit(&server, "/small/before");
    let worker = Pid::from_raw(server.worker().cast_signed()).unwrap();
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: None };
    prlimit(Some(worker), Resource::Fsize, limit(300_000)).unwrap();
    for number in 0..3 {
        assert_eq!(ask(&server, &format!("/large/{number}")), "MISS");
        assert_eq!(ask(&server, &format!("/open/{number}")), "MISS");
        assert_eq!(ask(&server, &format!("/large/{number}")), "MISS", "it is over the limit");
    }
    wait_for_hit(&server, "/small/during");
    assert_eq!(server.worker(), u32::try_from(worker.as_raw_nonzero().get()).unwrap(), "it lives");
    assert!(server.read("error.log").contains("File too large"), "{}", server.read("error.log"));
    assert_eq!(said(&server, NOT_CACHED), 1, "one line a minute: {}", server.read("error.log"));
    prlimit(Some(worker), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    wait_for_hit(&server, "/large/0");
}

#[test]
fn temporary_files_on_another_file_system_are_copied() {
    let Some(volume) = Volume::tmpfs("size=16m,mode=777") else { return };
    let origin = origin_of_pages();
    for parameters in ["", "use_temp_path=on fsync=full", "use_temp_path=on verify=sum"] {
        let conf = conf_of("cache", parameters, &origin).with_text(|text| {
            let temp = at(&volume.cache());
            text.replace("proxy_cache zone;", &format!("proxy_cache zone; proxy_temp_path {temp};"))
        });
        let Some(server) = start(&conf) else { return };
        for target in ["/small/a", "/large/a", "/open/a"] {
            wait_for_hit(&server, target);
        }
        wait_until("all have their names", || stored(&server).len() == 3);
        wait_until("no temporary file is left", || {
            left_behind(&volume.cache()).is_empty() && left_behind(&server.dir().join("cache")).is_empty()
        });
        // Another process reads the files, not the memory of this one.
        let dir = server.stop_and_keep(Stop::Graceful);
        let server = Server::start_in(&Program::larder(), &conf, dir);
        for target in ["/small/a", "/large/a", "/open/a"] {
            assert_eq!(ask(&server, target), "HIT", "{target} {parameters}");
        }
    }
}

#[test]
fn min_free_leaves_room_to_others() {
    let Some(volume) = Volume::tmpfs("size=8m,mode=777") else { return };
    let origin = origin_of_pages();
    let parameters = "use_temp_path=off min_free=3m manager_sleep=10ms";
    let conf = conf_of(&at(&volume.cache()), parameters, &origin)
        .with_text(|text| text.replace("events {", "error_log error.log info;\nevents {"));
    let Some(server) = start(&conf) else { return };
    for number in 0..6 {
        ask(&server, &format!("/large/{number}"));
    }
    let free = || {
        nix::sys::statvfs::statvfs(&volume.cache())
            .map_or(0, |found| found.blocks_available() * found.fragment_size())
    };
    volume.fill_but(1 << 20);
    wait_until("the manager made room", || free() >= 3 << 20);
    server.wait_for_log("freed");
    ask(&server, "/large/7");
}

#[test]
fn caches_are_chosen_by_a_variable() {
    let origin = Origin::answering(|asked| super::reply_of(asked.target()));
    let conf = conf_of("cache", "", &origin).with_text(|text| {
        let zones = "proxy_cache_path other levels=2 keys_zone=other:1m; \
                     map $arg_in $chosen { default zone; other other; none off; bad nowhere; }\nserver {";
        text.replace("proxy_cache zone;", "proxy_cache $chosen;").replacen("server {", zones, 1)
    });
    let server = Server::start(&conf);
    let files = |name: &str| {
        let files = files_below(&server.dir().join(name));
        files.iter().filter(|file| is_entry(file)).count()
    };
    for (arguments, cache, other) in [("", 1, 0), ("?in=other", 1, 1), ("?in=zone", 1, 1)] {
        let target = format!("/small{arguments}");
        server.get(&target);
        assert_eq!(server.get(&target).cache(), "HIT", "{target}");
        wait_until("the files are where they belong", || (files("cache"), files("other")) == (cache, other));
    }
    assert_eq!(server.get("/small?in=bad").status(), 500);
    server.wait_for_log("cache \"nowhere\" not found");
    assert_eq!((server.get("/small?in=none").cache(), server.get("/small?in=none").cache()), ("", ""));
}

#[test]
fn old_keys_make_way_where_the_zone_is_full() {
    let origin = origin_of_pages();
    let conf = conf_of("cache", "", &origin).with_text(|text| text.replace("zone:1m", "zone:8k"));
    let Some(server) = start(&conf) else { return };
    // Eight kilobytes are room for 62 keys.
    for number in 0..200 {
        assert_eq!(ask(&server, &format!("/small/{number}")), "MISS");
    }
    assert_eq!(ask(&server, "/small/199"), "HIT");
    wait_until("others are gone", || stored(&server).len() <= 62);
    assert!(!server.read("error.log").contains("[crit]"), "{}", server.read("error.log"));
}

#[test]
fn files_of_somebody_else_are_told_at_the_start() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let dir = crate::support::server::new_dir();
    let cache = dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("larder.lock"), "").unwrap();
    std::os::unix::fs::chown(cache.join("larder.lock"), Some(0), Some(0)).unwrap();
    fs::set_permissions(cache.join("larder.lock"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let origin = origin_of_pages();
    let conf = conf_of("cache", "", &origin)
        .with_text(|text| text.replace("%MAIN%", "daemon off; pid larder.pid; error_log error.log info;"));
    let refused = std::panic::catch_unwind(|| Server::start_in(&Program::larder(), &conf, dir));
    if Program::larder().is_nginx() {
        return;
    }
    let said = *refused.err().unwrap().downcast::<String>().unwrap();
    let words = format!("cache \"{}\" cannot be used by user \"nobody\": its lock", cache.display());
    assert!(said.contains(&words) && said.contains("chown"), "{said}");
}
