//! Slices (`slice`): when the next one is asked for, and what the log says of those that do not fit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{
    Conf, Gate, Origin, Ranged, Server, answer, conf::cached, location, origin::Asked, wait_until,
};

const SLICED: &str = "slice 10; proxy_set_header Range $slice_range;";

fn sliced(size: &str, origin: &Origin) -> Conf {
    let directives = format!(
        "slice {size}; proxy_set_header Range $slice_range; proxy_http_version 1.1;
         proxy_cache zone; proxy_cache_key $uri$slice_range; proxy_cache_valid 206 1h;"
    );
    location(&directives, origin)
}

/// The first byte of the slice that was asked for.
fn start_of(asked: &Asked) -> usize {
    let range = asked.field("Range").and_then(|range| range.strip_prefix("bytes="));
    range.and_then(|range| range.split_once('-')).map_or(0, |(first, _)| first.parse().unwrap())
}

#[test]
fn a_slice_is_sent_before_the_next_one_is_there() {
    let file = Ranged::new(2000, "a");
    let (gate, first) = (Gate::closed(), file.body[..1000].to_vec());
    let (held, body) = (gate.clone(), file.body.clone());
    let origin = Origin::answering(move |asked| match start_of(asked) {
        0 => file.reply(asked),
        _ => file.reply(asked).when(&held),
    });
    let server = Server::start(&sliced("1000", &origin));
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head_only().field("Content-Length"), Some("2000"));
    assert_eq!(client.bytes(1000), first);
    origin.wait_for_requests(2);
    gate.open();
    assert_eq!(client.bytes(1000), body[1000..]);
    assert_eq!(server.get("/a").body, body);
    assert_eq!(origin.request_count(), 2, "both slices are stored");
}

#[test]
fn slices_are_asked_for_as_fast_as_the_client_takes_them() {
    const SLICE: usize = 256 << 10;
    /// What sockets on the way may hold: what the kernel lets them grow to, and then some.
    const HELD: usize = 10 << 20;
    let file = Ranged::new(24 << 20, "a");
    let taken = Arc::new(AtomicUsize::new(0));
    let too_far = Arc::new(AtomicUsize::new(0));
    let (seen, flag, length) = (Arc::clone(&taken), Arc::clone(&too_far), file.body.len());
    let origin = Origin::answering(move |asked| {
        let start = start_of(asked);
        if start > seen.load(Ordering::SeqCst) + HELD {
            flag.store(start, Ordering::SeqCst);
        }
        file.reply(asked)
    });
    let server = Server::start(&sliced("256k", &origin));
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.head_only();
    while taken.load(Ordering::SeqCst) < length {
        let count = client.bytes(SLICE).len();
        assert!(count > 0, "the connection ended");
        taken.fetch_add(count, Ordering::SeqCst);
    }
    assert_eq!(too_far.load(Ordering::SeqCst), 0, "asked for long before it could be sent");
    assert_eq!(origin.request_count(), length / SLICE);
}

#[test]
fn a_client_that_leaves_ends_the_asking() {
    let file = Ranged::new(24 << 20, "a");
    let slices = file.body.len() / (256 << 10);
    let origin = Origin::answering(move |asked| file.reply(asked));
    let server = Server::start(&sliced("256k", &origin));
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.head_only();
    origin.wait_for_requests(2);
    client.leave();
    server.wait_for_log("while sending to client");
    assert!(origin.request_count() < slices, "{} of {slices}", origin.request_count());
}

#[test]
fn what_does_not_fit_is_told_in_nginxs_words() {
    let part = |range: &str, tag: &str| {
        answer(206).field("ETag", tag).field("Content-Range", range).body("0123456789")
    };
    let first = || part("bytes 0-9/26", "\"a\"");
    for (second, words) in [
        (part("bytes 10-19/26", "\"b\""), "etag mismatch in slice response"),
        (part("bytes 10-19/*", "\"a\""), "no complete length in slice response"),
        (part("bytes x", "\"a\""), "invalid range in slice response"),
        (part("bytes 10-18/26", "\"a\""), "unexpected range in slice response: 10-19"),
        (answer(404).body("no"), "unexpected status code 404 in slice response"),
    ] {
        let origin = Origin::script([first(), second]);
        let server = Server::start(&location(SLICED, &origin));
        let mut client = server.client();
        client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (bytes, _) = client.rest();
        assert!(!bytes.ends_with(b"01234567890123456789"), "{words}");
        server.wait_for_log("[error] ");
        server.wait_for_log(words);
        server.wait_for_log("subrequest: \"/a\"");
    }
}

#[test]
fn a_slice_that_expired_is_asked_for_again_alone() {
    let file = Ranged::new(25, "a");
    let body = file.body.clone();
    let origin = Origin::answering(move |asked| match start_of(asked) {
        10 => file.reply(asked).field("X-Accel-Expires", "@1"),
        _ => file.reply(asked),
    });
    let zone = "proxy_cache_path cache keys_zone=zone:1m; log_subrequest on;";
    let directives =
        format!("{SLICED} proxy_cache zone; proxy_cache_key $uri$slice_range; proxy_cache_revalidate on;");
    let server = Server::start(&cached(zone, &directives, &origin));
    for _ in 0..2 {
        assert_eq!(server.get("/a").body, body);
    }
    let starts: Vec<usize> = origin.requests().iter().map(start_of).collect();
    assert_eq!(starts, [0, 10, 20, 10]);
    wait_until("no request is left", || origin.request_count() == 4);
    assert_eq!(origin.requests()[3].field("If-None-Match"), Some("\"a\""));
}
