//! The index removed while it is used, and damaged before a start.

use std::{fs, os::unix::fs::FileExt, path::Path};

use super::{ask, conf_of, origin_of_pages, stored, wait_for_hit};
use crate::support::{Origin, Server, Stop, peers::Program, proc, wait_until};

const KEYS: usize = 30;

fn ask_all(server: &Server, wanted: &str) {
    for number in 0..KEYS {
        assert_eq!(ask(server, &format!("/small/{number}")), wanted, "/small/{number}");
    }
}

/// What is removed: one of the index's files, or all that is beside the stored files.
const REMOVED: [&[&str]; 3] = [
    &["larder.mdb"],
    &["larder.mdb-lock"],
    &["larder.mdb", "larder.mdb-lock", "larder.shared", "larder.state", "larder.lock"],
];

fn remove(server: &Server, names: &[&str]) {
    for name in names {
        fs::remove_file(server.dir().join("cache").join(name)).unwrap();
    }
}

/// All that was stored is served, and all know of all: nobody uses another index beside this one.
fn has_healed(server: Server, origin: &Origin) {
    server.wait_for_text("cache/larder.state", "index complete");
    ask_all(&server, "HIT");
    let origin_asked = origin.request_count();
    let dir = server.stop_and_keep(Stop::Graceful);
    let server = Server::start_in(&Program::larder(), &conf_of("cache", "use_temp_path=off", origin), dir);
    ask_all(&server, "HIT");
    assert_eq!(origin.request_count(), origin_asked);
}

#[test]
fn an_index_that_is_removed_while_it_is_used_is_made_anew() {
    for names in REMOVED {
        let origin = origin_of_pages();
        let server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
        if server.program().is_nginx() {
            return;
        }
        ask_all(&server, "MISS");
        wait_until("all are stored", || stored(&server).len() == KEYS);
        wait_until("the manager uses the index", || {
            server.children("cache manager").iter().any(|pid| proc::maps(*pid, "larder.mdb"))
        });
        let manager = server.children("cache manager");
        remove(&server, names);
        ask_all(&server, "HIT");
        wait_for_hit(&server, "/small/new");
        server.wait_for_log("the index has been removed, it is opened anew");
        wait_until("another manager looks after it", || {
            let now = server.children("cache manager");
            !now.is_empty() && now != manager
        });
        has_healed(server, &origin);
    }
}

#[test]
fn an_index_that_is_removed_while_processes_start_is_made_anew() {
    for names in REMOVED {
        let origin = origin_of_pages();
        let server = Server::start(&conf_of("cache", "use_temp_path=off", &origin));
        if server.program().is_nginx() {
            return;
        }
        // Whoever opens it next finds none, and only the worker knows that there was one.
        remove(&server, names);
        ask_all(&server, "MISS");
        wait_until("all are stored", || stored(&server).len() == KEYS);
        server.wait_for_log("the index has been removed, it is opened anew");
        has_healed(server, &origin);
    }
}

/// Numbers that look like noise, and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Spoils the file of an index, in another way for each number.
fn spoil(path: &Path, number: u64) {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ number << 17);
    let file = fs::File::options().write(true).open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    match number {
        0 => file.write_all_at(&noise.bytes(bytes), 0).unwrap(),
        1 => file.write_all_at(&noise.bytes(bytes - 8192), 8192).unwrap(),
        2 => file.set_len(bytes / 2).unwrap(),
        3 => file.set_len(100).unwrap(),
        4 => file.write_all_at(&vec![0; usize::try_from(bytes).unwrap()], 0).unwrap(),
        _ => {
            for _ in 0..20 {
                let at = noise.next() % (bytes - 64);
                file.write_all_at(&noise.bytes(64), at).unwrap();
            }
        }
    }
}

#[test]
fn an_index_of_random_bytes_kills_nobody() {
    let origin = origin_of_pages();
    let conf = conf_of("cache", "use_temp_path=off", &origin);
    let mut server = Server::start(&conf);
    if server.program().is_nginx() {
        return;
    }
    ask_all(&server, "MISS");
    for number in 0..12 {
        wait_until("all are stored", || stored(&server).len() >= KEYS);
        let dir = server.stop_and_keep(Stop::Graceful);
        spoil(&dir.path().join("cache/larder.mdb"), number);
        server = Server::start_in(&Program::larder(), &conf, dir);
        ask_all(&server, "HIT");
        wait_for_hit(&server, &format!("/small/new/{number}"));
        server.wait_for_text("cache/larder.state", "index complete");
        ask_all(&server, "HIT");
        let log = server.read("error.log");
        // What was cut off may have been free pages, and single bytes may hit what nobody reads.
        let is_told = log.contains("the index cannot be used, it is damaged");
        assert!(is_told || number == 2 || number > 4, "{number}: {log}");
        assert!(!log.contains("exited on signal"), "{number}: {log}");
    }
}

#[test]
fn files_beside_the_index_that_make_no_sense_are_no_harm() {
    let origin = origin_of_pages();
    let conf = conf_of("cache", "use_temp_path=off", &origin);
    let mut server = Server::start(&conf);
    if server.program().is_nginx() {
        return;
    }
    ask_all(&server, "MISS");
    for name in ["larder.state", "larder.shared", "larder.mdb-lock", "larder.lock"] {
        let dir = server.stop_and_keep(Stop::Graceful);
        fs::write(dir.path().join("cache").join(name), Noise(7).bytes(50_000)).unwrap();
        server = Server::start_in(&Program::larder(), &conf, dir);
        ask_all(&server, "HIT");
        wait_for_hit(&server, &format!("/small/new/{name}"));
    }
}
