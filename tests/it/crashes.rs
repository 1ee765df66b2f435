//! Processes killed in mid-fill: no torn body is served, no key stays locked, index and files agree after.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    caching::{files_below, is_entry},
    support::{
        Client, Origin, Reply, Server, Stop, answer,
        client::{End, To},
        conf::cached,
        deadline::SetOnDrop,
        peers::Program,
        proc, wait_for, wait_until,
    },
};

/// Kills of one server.
pub const KILLS: usize = 50;

/// Keys that the clients ask for, over and over.
const KEYS: usize = 40;

const ZONE: &str = "map $request_method $purges { PURGE 1; default 0; }
     proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=1h use_temp_path=off purger=on purger_sleep=1ms;";
const DIRECTIVES: &str = "proxy_cache zone; proxy_cache_lock on; proxy_cache_key $uri; proxy_cache_lock_age 1h; \
     proxy_cache_lock_timeout 1h; proxy_cache_purge $purges;";

/// A body that shows any tear: its length and each of its bytes follow from the key.
fn body_of(target: &str) -> Vec<u8> {
    let seed = target.bytes().fold(17_usize, |seed, byte| seed * 31 % 65_537 + usize::from(byte));
    (0..20_000 + seed).map(|at| u8::try_from((at * 7 + seed) % 251).expect("under 251")).collect()
}

/// Sent in two pieces with a pause, so that kills hit fills in their middle.
fn slow_reply(target: &str) -> Reply {
    let body = body_of(target);
    let (first, second) = body.split_at(body.len() / 2);
    let pause = crate::support::reply::Part::Pause(Duration::from_millis(5));
    answer(200).declared(body.len()).bytes(first).then(pause).bytes(second)
}

#[test]
fn fifty_kills_in_mid_fill_tear_nothing() {
    survive_kills(0);
}

/// Kills a server's processes while clients ask, and looks at what is left. Each run kills in an order of its own.
pub fn survive_kills(run: usize) {
    let origin = Origin::answering(|asked| slow_reply(asked.target()));
    let conf = cached(ZONE, DIRECTIVES, &origin)
        .with_text(|text| text.replace("proxy_cache_valid 200 1h", "proxy_cache_valid 200 1s"));
    let mut server = Server::start(&conf);
    if server.program().is_nginx() {
        return; // its lock outlives the worker that held it
    }
    server.allow_in_log("exited on signal 9");
    let done = AtomicBool::new(false);
    let whole = AtomicUsize::new(0);
    thread::scope(|scope| {
        let _ends = SetOnDrop(&done);
        for first in 0..4 {
            let (server, done, whole) = (&server, &done, &whole);
            scope.spawn(move || ask_until(server, first, done, whole));
        }
        for kill in 0..KILLS {
            let before = whole.load(Ordering::Relaxed);
            wait_until("fills go on after a kill", || whole.load(Ordering::Relaxed) > before + 3);
            if kill % 5 == 0 {
                purge_some(&server, kill);
            }
            kill_one(&server, run * KILLS + kill);
        }
    });
    no_key_is_stuck(&server);
    let dir = server.stop_and_keep(Stop::Graceful);
    index_and_files_agree(dir);
}

/// Gives the purger work. Nobody may be there to answer.
fn purge_some(server: &Server, number: usize) {
    let mut client = server.client();
    client.send(format!("PURGE /{}* HTTP/1.1\r\nHost: a\r\n\r\n", number % 10));
    let _ = client.try_response(To::Get);
}

/// About two kills of workers for one of the manager, one of the purger, and one of the loader where it is still at work.
fn kill_one(server: &Server, kill: usize) {
    // Odd steps through all remainders: an order without a rhythm.
    let role = match ((kill * 2_654_435_761) >> 16) % 5 {
        0 | 2 => "worker process",
        1 => "cache manager",
        3 => "cache purger",
        _ => "cache loader",
    };
    let victims = server.children(role);
    let victim = victims.first().copied().unwrap_or_else(|| {
        wait_for("there is a worker to kill", || server.children("worker process").first().copied())
    });
    proc::signal(victim, Signal::SIGKILL);
    wait_until("the victim is gone", || !proc::runs(victim));
}

/// Asks for all keys in turn; an answer may be missing while a worker is dead, but never wrong.
fn ask_until(server: &Server, first: usize, done: &AtomicBool, whole: &AtomicUsize) {
    let mut number = first * KEYS / 4;
    while !done.load(Ordering::Relaxed) {
        number += 1;
        let path = format!("/{}", number % KEYS);
        let Ok(stream) = std::net::TcpStream::connect(server.address()) else { continue };
        drop(stream);
        let mut client = Client::connect(server.address());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let Ok(response) = client.try_response(To::Get) else { continue };
        if response.end == End::Framed {
            assert_eq!(response.status(), 200, "{path}");
            assert!(
                response.body == body_of(&path),
                "{path} has a wrong body of {} bytes",
                response.body.len()
            );
            whole.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Were one stuck, it would be for an hour.
fn no_key_is_stuck(server: &Server) {
    for number in 0..KEYS {
        let path = format!("/{number}");
        let response = wait_for("a killed worker is back", || {
            let mut client = server.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.try_response(To::Get).ok()
        });
        assert!(response.body == body_of(&path), "{path}");
    }
}

/// Starts anew over the directory, and asks an origin that has nothing: what is served came from the files.
fn index_and_files_agree(dir: tempfile::TempDir) {
    let nothing = Origin::always(answer(404).body("gone"));
    let conf = cached(ZONE, DIRECTIVES, &nothing).with_text(|text| {
        text.replace("proxy_cache zone;", "proxy_cache zone; proxy_cache_use_stale http_404;")
    });
    let server = Server::start_in(&Program::larder(), &conf, dir);
    server.wait_for_text("cache/larder.state", "index complete");
    let files = stored_files(&server.dir().join("cache"));
    let mut served = 0;
    for number in 0..KEYS {
        let response = server.get(&format!("/{number}"));
        match response.status() {
            200 => {
                assert!(response.body == body_of(&format!("/{number}")), "/{number}");
                served += 1;
            }
            status => assert_eq!(status, 404),
        }
    }
    // What was purged goes when it is asked for, without a word; all else is served.
    assert!(served <= files, "{served} were served out of {files} files");
    let cache = server.dir().join("cache");
    wait_until("what is not served is gone", || stored_files(&cache) == served);
    assert!(!server.read("error.log").contains("cache file \""), "{}", server.read("error.log"));
    assert_eq!(
        temporary_files(&server.dir().join("cache")),
        Vec::<String>::new(),
        "nothing is left of broken fills"
    );
}

fn stored_files(directory: &Path) -> usize {
    files_below(directory).iter().filter(|file| is_entry(file)).count()
}

/// Files of fills that were cut short: a digest and a number.
fn temporary_files(directory: &Path) -> Vec<String> {
    let is_left = |file: &std::path::PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() > 32 && name.as_bytes()[..32].iter().all(u8::is_ascii_hexdigit)
    };
    let mut files = files_below(directory);
    files.retain(is_left);
    files.iter().map(|file| file.display().to_string()).collect()
}

#[test]
fn an_index_that_is_gone_is_built_anew() {
    let origin = Origin::answering(|asked| answer(200).body(asked.target()));
    let conf = cached(ZONE, "proxy_cache zone;", &origin);
    let server = Server::start(&conf);
    if server.program().is_nginx() {
        return;
    }
    for number in 0..KEYS {
        server.get(&format!("/{number}"));
    }
    wait_until("all are stored", || stored_files(&server.dir().join("cache")) == KEYS);
    let dir = server.stop_and_keep(Stop::Graceful);
    for file in files_below(&dir.path().join("cache")).iter().filter(|file| !is_entry(file)) {
        fs::remove_file(file).expect("the file is ours");
    }
    let server = Server::start_in(&Program::larder(), &conf, dir);
    wait_until("the loader found the files", || server.get("/0").cache() == "HIT");
    server.wait_for_text("cache/larder.state", "index complete");
    for number in 1..KEYS {
        assert_eq!(server.get(&format!("/{number}")).cache(), "HIT", "/{number}");
    }
}
