//! What a worker keeps of a cache in memory: which bodies, how much of them, how many open files.

use std::{fs, os::unix::fs::FileExt, path::Path};

use crate::{
    caching::{files_below, is_entry},
    support::{Conf, Origin, Server, answer, conf::cached, wait_until},
};

/// A small body, and one that is too large to be kept in memory.
const SMALL: usize = 1000;
const LARGE: usize = 40_000;

fn conf(parameters: &str, origin: &Origin) -> Conf {
    cached(
        &format!("proxy_cache_path cache levels=1:2 keys_zone=zone:1m {parameters};"),
        "proxy_cache zone;",
        origin,
    )
}

fn stored(server: &Server) -> Vec<std::path::PathBuf> {
    let mut files = files_below(&server.dir().join("cache"));
    files.retain(|file| is_entry(file));
    files
}

/// Overwrites the end of a file so that nothing about the file tells.
fn forge_body(path: &Path, body: &[u8]) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    file.write_all_at(body, before.len() - body.len() as u64).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn bodies_are_served_from_memory_or_from_their_files() {
    let cases = [
        ("", SMALL, "memory"),
        ("ram=1m", SMALL, "memory"),
        ("ram=1m", LARGE, "file"),
        ("ram=off", SMALL, "file"),
        ("ram=0", SMALL, "file"),
    ];
    for (parameters, length, wanted) in cases {
        let origin = Origin::always(answer(200).body("o".repeat(length)));
        let server = Server::start(&conf(parameters, &origin));
        assert_eq!(server.get("/a").cache(), "MISS");
        wait_until("the file has its name", || {
            server.get("/a").cache() == "HIT" && stored(&server).len() == 1
        });
        forge_body(&stored(&server)[0], "f".repeat(length).as_bytes());
        let text = server.get("/a").text();
        let found = if text == "o".repeat(length) { "memory" } else { "file" };
        assert_eq!((found, text.len()), (wanted, length), "{parameters}, {length} bytes");
        assert_eq!(origin.request_count(), 1);
    }
}

/// Memory of the worker's own, which no file backs, in bytes.
fn anonymous_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.worker())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn many_keys_take_no_more_memory_than_is_granted() {
    let origin = Origin::always(answer(200).body("o".repeat(30_000)));
    let server = Server::start(&conf("ram=1m", &origin));
    let mut client = server.client();
    let mut ask = |keys: std::ops::Range<u32>| {
        for key in keys {
            assert_eq!(client.get(&format!("/{key}")).status(), 200);
        }
    };
    ask(0..100);
    let before = anonymous_bytes(&server);
    ask(100..900);
    let grown = anonymous_bytes(&server).saturating_sub(before);
    assert!(grown < 8 << 20, "24 MB of bodies took {grown} bytes more");
}

#[test]
fn open_files_leave_descriptors_to_others() {
    let origin = Origin::always(answer(200).body("o".repeat(LARGE)));
    let conf = conf("", &origin).with_text(|text| format!("worker_rlimit_nofile 200; {text}"));
    let server = Server::start(&conf);
    for key in 0..150 {
        assert_eq!(server.get(&format!("/{key}")).status(), 200);
    }
    let cache = server.dir().join("cache");
    let kept = || {
        let open = fs::read_dir(format!("/proc/{}/fd", server.worker())).unwrap();
        let files = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let names = files.filter(|path| path.starts_with(&cache));
        names.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with("larder.")).count()
    };
    wait_until("a quarter of the descriptors is kept at most", || kept() <= 50);
    assert!(kept() > 10, "{}", kept());
}
