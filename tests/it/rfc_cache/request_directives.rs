//! What a request's own Cache-Control asks of the cache: item 23.

use super::{ask, rfc};
use crate::support::{Origin, Reply, Server, answer, client::Response, location};

const ON: &str = "proxy_cache_request_directives on; proxy_cache_status edge; proxy_cache_key $uri;";

/// An origin whose answers are numbered, 100 seconds old when they come, and fresh for 500 more.
fn counting() -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::answering(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answer(200).field("Cache-Control", "max-age=600").field("Age", "100").body(number.to_string())
    })
}

fn control(server: &Server, directives: &str) -> Response {
    ask(server, "GET", "/a", &[&format!("Cache-Control: {directives}")])
}

#[test]
fn item_23_a_request_may_refuse_what_is_stored() {
    let server = |origin: &Origin| Server::start(&rfc(ON, origin));
    let cases = [
        ("max-age=1000", true),
        ("max-age=90", false),
        ("max-age=0", false),
        ("min-fresh=400", true),
        ("min-fresh=550", false),
        ("no-cache", false),
        ("no-store", true),
        ("max-stale=5", true),
        ("only-if-cached", true),
        ("x=\"no-cache\"", true),
    ];
    for (directives, hits) in cases {
        let origin = counting();
        let server = server(&origin);
        server.get("/a");
        let answer = control(&server, directives);
        let why = answer.field("Cache-Status").unwrap();
        if hits {
            assert_eq!((answer.text(), answer.cache()), ("0".to_owned(), "HIT"), "{directives}");
            assert!(why.starts_with("edge; hit;"), "{directives}: {why}");
        } else {
            assert_eq!((answer.text(), answer.cache()), ("1".to_owned(), "EXPIRED"), "{directives}");
            assert!(why.starts_with("edge; fwd=request; fwd-status=200; stored;"), "{directives}: {why}");
            assert_eq!(server.get("/a").text(), "1", "{directives}: what came is stored");
        }
    }
    let origin = counting();
    let server = server(&origin);
    server.get("/a");
    assert_eq!(ask(&server, "GET", "/a", &["Pragma: no-cache"]).text(), "1");
}

#[test]
fn item_23_nothing_is_stored_for_who_does_not_want_it() {
    let origin = counting();
    let server = Server::start(&rfc(ON, &origin));
    let first = control(&server, "no-store");
    assert_eq!((first.text(), first.cache()), ("0".to_owned(), "MISS"));
    assert!(first.field("Cache-Status").unwrap().ends_with("; detail=no-store"), "{first}");
    let second = server.get("/a");
    assert_eq!((second.text(), second.cache()), ("1".to_owned(), "MISS"));
}

#[test]
fn item_23_nobody_is_asked_for_who_wants_only_what_is_cached() {
    let origin = counting();
    let server = Server::start(&rfc(ON, &origin));
    assert_eq!(control(&server, "only-if-cached").status(), 504);
    assert_eq!(control(&server, "only-if-cached, no-cache").status(), 504);
    server.get("/a");
    assert_eq!(control(&server, "only-if-cached").text(), "0");
    assert_eq!(control(&server, "only-if-cached, max-age=5").status(), 504);
    assert_eq!(origin.request_count(), 1);
}

fn expired() -> Reply {
    answer(200).field("X-Accel-Expires", "@1").field("ETag", "\"a\"").body("old")
}

#[test]
fn item_23_a_request_may_take_what_is_stale() {
    for directives in ["proxy_cache_rfc on;", ""] {
        let origin = Origin::script([expired(), expired(), answer(200).body("new")]);
        let conf = location(&format!("proxy_cache zone; {directives} {ON}"), &origin);
        let server = Server::start(&conf);
        server.get("/a");
        let stale = control(&server, "max-stale");
        assert_eq!((stale.text(), stale.cache()), ("old".to_owned(), "STALE"), "{directives}");
        assert!(stale.field("Cache-Status").unwrap().starts_with("edge; hit; ttl=-"), "{stale}");
        assert_eq!(control(&server, "max-stale=60").cache(), "EXPIRED", "{directives}");
        assert_eq!(control(&server, "max-stale, no-cache").text(), "new", "{directives}");
    }
}

#[test]
fn item_23_but_not_what_the_origin_forbids() {
    let reply = || answer(200).field("Cache-Control", "max-age=0, must-revalidate").field("ETag", "\"a\"");
    let origin = Origin::script([reply().body("old"), reply().body("new")]);
    let server = Server::start(&rfc(ON, &origin));
    server.get("/a");
    assert_eq!(control(&server, "max-stale").text(), "new");
}

#[test]
fn item_23_without_the_directive_clients_ask_for_nothing() {
    let origin = counting();
    let server = Server::start(&rfc("", &origin));
    assert_eq!(control(&server, "no-store, only-if-cached").text(), "0");
    for directives in ["no-cache", "max-age=0", "min-fresh=1000", "no-store"] {
        assert_eq!(control(&server, directives).text(), "0", "{directives}");
    }
    assert_eq!(origin.request_count(), 1);
}
