//! Faults of disks, files and processes. After each: no wrong byte, no hang, nothing stuck, and the log says what was found.

mod descriptors;
mod directory;
mod disks;
mod failing_disk;
mod files;
mod index;
mod kills;
mod volume;

use std::{fs, path::PathBuf};

use crate::{
    caching::{files_below, is_entry},
    support::{Conf, Origin, Reply, Server, answer, conf::cached, reply::Part, wait_until},
};

/// What the log says of an answer that could not be stored.
const NOT_CACHED: &str = "response is not cached";

/// A body that shows any tear: each of its bytes follows from the key and its place.
fn page(target: &str, bytes: usize) -> Vec<u8> {
    let seed = target.bytes().fold(17_usize, |seed, byte| (seed * 31 + usize::from(byte)) % 65_537);
    (0..bytes).map(|at| u8::try_from((at * 7 + at / 251 + seed) % 251).expect("under 251")).collect()
}

/// An origin of pages: `/small…` has 2,000 bytes, `/large…` 600,000 with a length, `/open…` as many without one, each in
/// several pieces.
fn origin_of_pages() -> Origin {
    Origin::answering(|asked| reply_of(asked.target()))
}

fn bytes_of(target: &str) -> usize {
    if target.starts_with("/small") { 2000 } else { 600_000 }
}

fn reply_of(target: &str) -> Reply {
    let body = page(target, bytes_of(target));
    if target.starts_with("/small") {
        return answer(200).body(body);
    }
    let reply = match target.starts_with("/open") {
        true => answer(200).field("Connection", "close"),
        false => answer(200).declared(body.len()),
    };
    let pause = Part::Pause(std::time::Duration::from_millis(1));
    let reply = body.chunks(100_000).fold(reply, |reply, piece| reply.bytes(piece).then(pause.clone()));
    if target.starts_with("/open") { reply.then_close() } else { reply }
}

/// Asks, compares the whole body, and returns what the cache did.
fn ask(server: &Server, target: &str) -> String {
    let response = server.get(target);
    assert_eq!(response.status(), 200, "{target}");
    assert!(
        response.body == page(target, bytes_of(target)),
        "{target} has {} wrong bytes",
        response.body.len()
    );
    response.cache().to_owned()
}

/// Waits until an answer comes from the cache.
fn wait_for_hit(server: &Server, target: &str) {
    wait_until(&format!("{target} is stored"), || ask(server, target) == "HIT");
}

/// A location with a cache in this directory.
fn conf_of(path: &str, parameters: &str, origin: &Origin) -> Conf {
    let zone = format!("proxy_cache_path {path} levels=1:2 keys_zone=zone:1m inactive=1h {parameters};");
    cached(&zone, "proxy_cache zone; proxy_cache_key $uri; proxy_cache_lock on;", origin)
}

/// The stored files of a server, whose cache is in its own directory.
fn stored(server: &Server) -> Vec<PathBuf> {
    let mut files = files_below(&server.dir().join("cache"));
    files.retain(|file| is_entry(file));
    files
}

/// The only stored file.
fn only_file(server: &Server) -> PathBuf {
    wait_until("the file has its name", || stored(server).len() == 1);
    stored(server).remove(0)
}

/// How often the log says this.
fn said(server: &Server, text: &str) -> usize {
    server.read("error.log").lines().filter(|line| line.contains(text)).count()
}

/// Temporary files that nobody writes any more.
fn left_behind(path: &std::path::Path) -> Vec<PathBuf> {
    let mut files = files_below(path);
    files.retain(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() > 33 && name.as_bytes()[32] == b'.'
    });
    files.retain(|file| fs::metadata(file).is_ok());
    files
}
