//! Which fields are stored and sent on: item 15.

use std::{fs, path::Path};

use super::rfc;
use crate::support::{Origin, Server, answer, wait_until};

/// The first cached file in a directory or below.
fn stored(dir: &Path) -> Option<String> {
    fs::read_dir(dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => stored(&path),
            false => {
                let is_cached = path.file_name()?.len() == 32;
                is_cached.then(|| String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned())
            }
        }
    })
}

#[test]
fn item_15_fields_of_one_connection_are_neither_stored_nor_sent() {
    let names = [
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Authentication-Info",
        "X-Private",
        "x-other",
    ];
    let reply = names.iter().fold(answer(200), |reply, name| reply.field(name, "a"));
    let reply = reply
        .field("Cache-Control", "max-age=600")
        .field("Connection", "X-Private , close,X-OTHER")
        .field("X-Kept", "b");
    let origin = Origin::always(reply.body("page"));
    let server = Server::start(&rfc("proxy_http_version 1.1;", &origin));
    for wanted in ["MISS", "HIT"] {
        let answer = server.get("/a");
        assert_eq!((answer.cache(), answer.field("X-Kept")), (wanted, Some("b")));
        for name in names {
            assert_eq!(answer.field(name), None, "{name} in {answer}");
        }
        assert_eq!(answer.field("Connection"), Some("keep-alive"), "{answer}");
    }
    let file = || stored(&server.dir().join("cache"));
    wait_until("the answer is stored", || file().is_some());
    let stored = file().unwrap();
    assert!(stored.contains("\nX-Kept: b"), "{stored}");
    for name in names {
        assert!(!stored.contains(&format!("\n{name}:")), "{name} in {stored}");
    }
}

#[test]
fn item_15_nor_are_they_sent_with_what_is_not_stored() {
    let reply = answer(200)
        .field("Cache-Control", "no-store")
        .field("Connection", "X-Private")
        .field("X-Private", "a");
    let origin = Origin::always(reply.field("Proxy-Authenticate", "Basic").body("page"));
    let server = Server::start(&rfc("", &origin));
    let answer = server.get("/a");
    assert_eq!((answer.field("X-Private"), answer.field("Proxy-Authenticate")), (None, None), "{answer}");
}

#[test]
fn item_15_a_cookie_does_not_stop_storing() {
    let origin = Origin::answering(|_| {
        answer(200).field("Cache-Control", "max-age=600").field("Set-Cookie", "a=b").body("page")
    });
    for (directives, miss, hit, cache) in [
        ("", Some("a=b"), None, "HIT"),
        ("proxy_cache_set_cookie drop;", Some("a=b"), None, "HIT"),
        ("proxy_cache_set_cookie replay;", Some("a=b"), Some("a=b"), "HIT"),
        ("proxy_cache_set_cookie refuse;", Some("a=b"), Some("a=b"), "MISS"),
    ] {
        let server = Server::start(&rfc(directives, &origin));
        let (first, second) = (server.get("/a"), server.get("/a"));
        assert_eq!((first.field("Set-Cookie"), second.field("Set-Cookie")), (miss, hit), "{directives}");
        assert_eq!(second.cache(), cache, "{directives}");
    }
}
