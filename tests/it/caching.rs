//! The cache under many clients: one origin request per key, growing files, limits, leases.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    Conf, Gate, Origin, Reply, Server, answer, conf::cached, deadline::now, location, wait_until,
};

/// Every location of these tests: two event loops, a lock, and stale answers while one request updates.
const LOCKED: &str =
    "proxy_cache zone; proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;";

fn two_loops(conf: &Conf) -> Conf {
    conf.with_text(|text| text.replace("worker_processes 1", "worker_processes 2"))
}

/// An answer that is stored, but expired long ago.
fn expired() -> Reply {
    answer(200).field("X-Accel-Expires", "@1").body("old")
}

/// Enough for any server to send at once rather than wait for more.
const HALF_BYTES: usize = 32 << 10;

/// Two halves with a gate between them.
fn halves(gate: &Gate) -> Reply {
    answer(200).declared(2 * HALF_BYTES).bytes([b'a'; HALF_BYTES]).wait(gate).bytes([b'b'; HALF_BYTES])
}

#[test]
fn a_miss_is_stored_and_then_hit() {
    let origin = Origin::script([answer(200).body("one")]);
    let server = Server::start(&location("proxy_cache zone;", &origin));
    let (first, second) = (server.get("/a"), server.get("/a"));
    assert_eq!((first.cache(), second.cache()), ("MISS", "HIT"));
    assert_eq!((first.text(), second.text()), ("one".to_owned(), "one".to_owned()));
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn five_hundred_clients_of_a_cold_key_ask_the_origin_once() {
    let origin = Origin::always(answer(200).after(Duration::from_secs(1)).body("slow page"));
    let server = Server::start(&two_loops(&location(LOCKED, &origin)));
    let answers = server.get_at_once("/slow", 500);
    assert_eq!(origin.request_count(), 1);
    assert!(answers.bodies().iter().all(|body| body == "slow page"));
}

#[test]
fn fifty_clients_of_an_expired_key_ask_the_origin_once() {
    let origin = Origin::script([expired(), answer(200).after(Duration::from_millis(300)).body("new")]);
    let server = Server::start(&two_loops(&location(LOCKED, &origin)));
    server.get("/a");
    let answers = server.get_at_once("/a", 50);
    if server.program().is_nginx() {
        return; // its lock is for keys that are new
    }
    assert_eq!(origin.request_count(), 2, "{:?}", answers.cache());
    assert!(answers.bodies().iter().all(|body| body == "new"), "{:?}", answers.bodies());
}

#[test]
fn stale_is_served_at_once_while_one_request_updates() {
    let gate = Gate::closed();
    let origin = Origin::script([expired(), answer(200).when(&gate).body("new")]);
    let directives = "proxy_cache zone; proxy_cache_use_stale updating; proxy_cache_background_update on;";
    let server = Server::start(&two_loops(&location(directives, &origin)));
    server.get("/a");
    let answers = server.get_at_once("/a", 50);
    assert!(answers.bodies().iter().all(|body| body == "old"), "{:?}", answers.bodies());
    origin.wait_for_requests(2);
    gate.open();
    wait_until("the update is stored", || server.get("/a").text() == "new");
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_background_update_does_not_hold_up_its_clients_connection() {
    let gate = Gate::closed();
    let origin = Origin::script([expired(), answer(200).when(&gate).body("new"), answer(200).body("other")]);
    let directives = "proxy_cache zone; proxy_cache_use_stale updating; proxy_cache_background_update on;";
    let server = Server::start(&location(directives, &origin));
    let mut client = server.client();
    client.get("/a");
    assert_eq!(client.get("/a").text(), "old");
    origin.wait_for_requests(2);
    if !server.program().is_nginx() {
        // nginx goes on with the connection only when the update is done.
        assert_eq!(client.get("/b").text(), "other");
    }
    gate.open();
}

#[test]
fn a_second_reader_reads_the_growing_file() {
    let gate = Gate::closed();
    let origin = Origin::script([halves(&gate)]);
    let server = Server::start(&location(LOCKED, &origin));
    if server.program().is_nginx() {
        return; // its second reader waits for the whole file
    }
    let ask = || {
        let mut client = server.client();
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head_only().status(), 200);
        assert!(
            client.bytes(HALF_BYTES) == [b'a'; HALF_BYTES],
            "the first half comes while the fill goes on"
        );
        client
    };
    let mut readers = [ask(), ask(), ask()];
    gate.open();
    for reader in &mut readers {
        assert!(reader.bytes(HALF_BYTES) == [b'b'; HALF_BYTES]);
    }
    assert_eq!(server.get("/a").cache(), "HIT");
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_client_that_leaves_does_not_hold_the_key() {
    let gate = Gate::closed();
    let origin = Origin::script([halves(&gate), answer(200).body("again")]);
    let server = Server::start(&location(LOCKED, &origin));
    let mut first = server.client();
    first.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    first.head_only();
    first.leave();
    gate.open();
    // Were the key held, there would be no answer for an hour.
    let answer = server.get("/a");
    assert!(answer.body.len() == 2 * HALF_BYTES || answer.text() == "again", "{answer}");
}

#[test]
fn a_torn_answer_is_not_stored() {
    let origin =
        Origin::script([answer(200).declared(10).bytes("torn").then_close(), answer(200).body("whole")]);
    let server = Server::start(&location("proxy_cache zone;", &origin));
    let torn = server.get("/a");
    assert_eq!(torn.end, crate::support::client::End::Torn);
    assert_eq!(server.get("/a").text(), "whole");
    assert_eq!(server.get("/a").cache(), "HIT");
}

#[test]
fn a_file_deleted_by_hand_is_a_miss_within_a_second() {
    let origin = Origin::script([answer(200).body("one"), answer(200).body("two")]);
    let server = Server::start(&location("proxy_cache zone;", &origin));
    server.get("/a");
    assert_eq!(server.get("/a").cache(), "HIT");
    // An answer can be found a moment before its file has its name.
    let cache = server.dir().join("cache");
    wait_until("the file has its name", || entries_below(&cache) == 1);
    for file in files_below(&cache).iter().filter(|file| is_entry(file)) {
        fs::remove_file(file).expect("the file is ours");
    }
    let removed = now();
    wait_until("the deletion is noticed", || {
        let asked = now();
        let is_noticed = server.get("/a").text() == "two";
        assert!(is_noticed || asked - removed < Duration::from_secs(2), "served {:?} later", asked - removed);
        is_noticed
    });
}

#[test]
fn a_file_cut_short_by_hand_is_a_miss() {
    let origin = Origin::script([answer(200).body("0123456789".repeat(10_000)), answer(200).body("two")]);
    let server = Server::start(&location("proxy_cache zone;", &origin));
    server.get("/a");
    let dir = server.stop_and_keep(crate::support::Stop::Graceful);
    for file in files_below(&dir.path().join("cache")).iter().filter(|file| is_entry(file)) {
        let file = fs::File::options().write(true).open(file).expect("the file is ours");
        file.set_len(50_000).expect("the file is ours");
    }
    let program = crate::support::peers::Program::larder();
    if program.is_nginx() {
        return;
    }
    let server = Server::start_in(&program, &location("proxy_cache zone;", &origin), dir);
    assert_eq!(server.get("/a").text(), "two");
}

#[test]
fn the_directory_never_grows_far_over_its_limit() {
    const LIMIT_BYTES: u64 = 2 << 20;
    const BODY_BYTES: usize = 64 << 10;
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 100;
    let origin = Origin::always(answer(200).body("x".repeat(BODY_BYTES)));
    let zone = "proxy_cache_path cache levels=1:2 keys_zone=zone:1m max_size=2m use_temp_path=off;";
    let server = Server::start(&cached(zone, "proxy_cache zone;", &origin));
    if server.program().is_nginx() {
        return;
    }
    let largest = AtomicUsize::new(0);
    let next = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.client();
                while next.fetch_add(1, Ordering::Relaxed) < CLIENTS * REQUESTS {
                    let number = next.load(Ordering::Relaxed);
                    assert_eq!(client.get(&format!("/{number}")).body.len(), BODY_BYTES);
                    largest.fetch_max(
                        usize::try_from(size_below(&server.dir().join("cache"))).unwrap(),
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    let in_flight = (CLIENTS * (BODY_BYTES + 4096)) as u64;
    let largest = largest.into_inner() as u64;
    assert!(
        largest <= LIMIT_BYTES + in_flight,
        "{largest} bytes at most, {} allowed",
        LIMIT_BYTES + in_flight
    );
    assert!(largest > LIMIT_BYTES / 2, "the limit was not put to the test: {largest} bytes at most");
}

#[test]
fn what_came_back_outlives_a_flood_by_s3fifo() {
    let origin = Origin::always(answer(200).body("x".repeat(100 << 10)));
    let zone = "proxy_cache_path cache levels=1:2 keys_zone=zone:1m max_size=1m eviction=s3fifo;";
    let server = Server::start(&cached(zone, "proxy_cache zone;", &origin));
    if server.program().is_nginx() {
        return;
    }
    // Nine fit.
    let flood = |name: &str| {
        for number in 0..12 {
            server.get(&format!("/{name}-{number}"));
        }
    };
    server.get("/page");
    flood("first");
    assert_eq!(server.get("/page").cache(), "MISS", "new as all others, it had to go");
    flood("second");
    assert_eq!(server.get("/page").cache(), "HIT", "it came back while it was remembered");
    assert_eq!(server.get("/second-0").cache(), "MISS");
}

#[test]
fn the_least_recently_used_go_first() {
    let origin =
        Origin::answering(|asked| answer(200).body(asked.target().to_owned() + &"x".repeat(100 << 10)));
    let zone = "proxy_cache_path cache levels=1:2 keys_zone=zone:1m max_size=1m;";
    let server = Server::start(&cached(zone, "proxy_cache zone;", &origin));
    if server.program().is_nginx() {
        return;
    }
    server.get("/0");
    // Uses are recorded in whole seconds.
    let stored = now();
    wait_until("later uses are told from this one", || now() > stored + Duration::from_secs(1));
    for number in 1..30 {
        server.get(&format!("/{number}"));
    }
    assert_eq!(server.get("/29").cache(), "HIT");
    assert_eq!(server.get("/0").cache(), "MISS");
}

#[test]
fn unused_entries_are_removed() {
    let origin = Origin::always(answer(200).body("one"));
    let zone = "proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=2s;";
    let server = Server::start(&cached(zone, "proxy_cache zone;", &origin));
    server.get("/a");
    let cache = server.dir().join("cache");
    wait_until("the entry is there", || entries_below(&cache) == 1);
    wait_until("the entry is gone", || entries_below(&cache) == 0);
    assert_eq!(server.get("/a").cache(), "MISS");
}

#[test]
fn a_restart_is_warm() {
    let origin = Origin::answering(|asked| answer(200).body(format!("body of {}", asked.target())));
    let conf = location("proxy_cache zone;", &origin);
    let server = Server::start(&conf);
    let paths: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    let bodies: Vec<_> = paths.iter().map(|path| server.get(path).body).collect();
    let program = server.program().clone();
    let dir = server.stop_and_keep(crate::support::Stop::Graceful);
    let server = Server::start_in(&program, &conf, dir);
    for (path, body) in paths.iter().zip(bodies) {
        let hit = server.get(path);
        assert_eq!((hit.cache(), &hit.body), ("HIT", &body), "{path}");
    }
    assert_eq!(origin.request_count(), 100);
}

/// All files below a directory.
pub fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        // Entries come and go while we look.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files
}

/// Whether a file is a stored answer: its name is a digest.
pub fn is_entry(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How many stored answers are below a directory.
pub fn entries_below(directory: &Path) -> usize {
    files_below(directory).iter().filter(|file| is_entry(file)).count()
}

/// Bytes of stored answers and of those being stored; the index is not the cache's content.
fn size_below(directory: &Path) -> u64 {
    let counted = |file: &std::path::PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_hexdigit())
    };
    files_below(directory)
        .iter()
        .filter(|file| counted(file))
        .filter_map(|file| fs::metadata(file).ok())
        .map(|file| file.len())
        .sum()
}
