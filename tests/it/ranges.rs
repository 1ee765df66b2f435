//! Ranges of what is stored, and of what is still on its way into the cache.

use crate::support::{Client, Gate, Origin, Ranged, Response, Server, answer, location, wait_until};

const HALF: usize = 64 << 10;
const CACHED: &str =
    "proxy_cache zone; proxy_cache_lock on; proxy_cache_lock_timeout 20s; proxy_http_version 1.1;";
const MODIFIED: &str = "Sat, 21 Nov 2026 10:00:00 GMT";

/// A server, and an origin that sends half of a file and waits.
struct Halfway {
    server: Server,
    origin: Origin,
    gate: Gate,
    file: Ranged,
}

impl Halfway {
    fn start() -> Self {
        let file = Ranged::new(2 * HALF, "a");
        let gate = Gate::closed();
        let reply = answer(200)
            .field("ETag", &file.etag)
            .field("Last-Modified", MODIFIED)
            .field("Accept-Ranges", "bytes")
            .field("Content-Type", "text/plain")
            .declared(2 * HALF)
            .bytes(&file.body[..HALF])
            .wait(&gate)
            .bytes(&file.body[HALF..]);
        let origin = Origin::always(reply);
        let server = Server::start(&location(CACHED, &origin));
        Self { server, origin, gate, file }
    }

    /// Asks for something on a connection of its own.
    fn ask(&self, lines: &str) -> Client {
        let mut client = self.server.client();
        client.send(request(lines));
        client
    }

    /// Has the first half arrive for somebody who asks for all of it.
    fn begin(&self) -> Client {
        let mut client = self.ask("");
        client.head_only();
        assert_eq!(client.bytes(HALF), self.file.body[..HALF]);
        client
    }
}

fn request(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

fn range(response: &Response) -> (u16, Option<&str>) {
    (response.status(), response.field("Content-Range"))
}

#[test]
fn a_range_of_what_arrives_waits_for_its_own_end_only() {
    let halfway = Halfway::start();
    let mut first = halfway.begin();
    let mut second = halfway.ask("Range: bytes=100-199\r\n");
    for _ in 0..2 {
        let response = second.response();
        assert_eq!(range(&response), (206, Some("bytes 100-199/131072")));
        assert_eq!(response.body, halfway.file.body[100..200]);
        // The connection is free again, although the fill is not at its end.
        second.send(request("Range: bytes=100-199\r\n"));
    }
    halfway.gate.open();
    assert_eq!(first.bytes(HALF), halfway.file.body[HALF..]);
    assert_eq!(halfway.origin.request_count(), 1);
}

#[test]
fn who_fetches_for_a_range_is_free_when_it_has_it() {
    let halfway = Halfway::start();
    let mut client = halfway.ask("Range: bytes=10-19\r\n");
    let response = client.response();
    assert_eq!((range(&response), response.cache()), ((206, Some("bytes 10-19/131072")), "MISS"));
    client.send(request("Range: bytes=0-3\r\n"));
    assert_eq!(client.response().body, halfway.file.body[..4]);
    halfway.gate.open();
    wait_until("the fill is stored without anybody who reads it", || {
        let whole = halfway.server.get("/a");
        assert_eq!(whole.body, halfway.file.body);
        whole.cache() == "HIT"
    });
    assert_eq!(halfway.origin.request_count(), 1);
}

#[test]
fn several_ranges_of_what_arrives_come_in_parts() {
    let halfway = Halfway::start();
    let _first = halfway.begin();
    let response = halfway.ask("Range: bytes=0-3,100-102\r\n").response();
    let text = response.text();
    let file = |from: usize, to: usize| String::from_utf8_lossy(&halfway.file.body[from..to]).into_owned();
    assert_eq!(response.status(), 206, "{response}");
    assert!(text.contains(&format!("Content-Range: bytes 0-3/131072\r\n\r\n{}\r\n--", file(0, 4))), "{text}");
    assert!(
        text.contains(&format!("Content-Range: bytes 100-102/131072\r\n\r\n{}\r\n--", file(100, 103))),
        "{text}"
    );
    assert!(text.ends_with("--\r\n"), "{text}");
    let mut backwards = halfway.ask("Range: bytes=100-102,0-3\r\n");
    let mut over_the_gate = halfway.ask("Range: bytes=0-3,131070-\r\n");
    halfway.gate.open();
    let whole = backwards.response();
    assert_eq!(
        (whole.status(), whole.body.len()),
        (200, 2 * HALF),
        "what would have to go back is sent whole"
    );
    assert_eq!(over_the_gate.response().status(), 206);
}

#[test]
fn the_end_of_what_arrives_comes_when_it_is_there() {
    let halfway = Halfway::start();
    let _first = halfway.begin();
    let mut tail = halfway.ask("Range: bytes=-10\r\n");
    let mut over = halfway.ask("Range: bytes=65530-65545\r\n");
    assert_eq!(over.head_only().field("Content-Range"), Some("bytes 65530-65545/131072"));
    assert_eq!(over.bytes(6), halfway.file.body[65530..HALF]);
    halfway.gate.open();
    assert_eq!(over.bytes(10), halfway.file.body[HALF..HALF + 10]);
    assert_eq!(tail.response().body, halfway.file.body[2 * HALF - 10..]);
}

#[test]
fn if_range_is_judged_by_what_arrives() {
    let halfway = Halfway::start();
    let _first = halfway.begin();
    let later = "Sat, 21 Nov 2026 10:00:01 GMT";
    for (condition, status) in
        [("\"a\"", 206), ("\"b\"", 200), ("W/\"a\"", 200), (MODIFIED, 206), (later, 200), ("nonsense", 200)]
    {
        let mut client = halfway.ask(&format!("Range: bytes=1-2\r\nIf-Range: {condition}\r\n"));
        assert_eq!(client.head_only().status(), status, "{condition}");
    }
    halfway.gate.open();
    wait_until("it is stored", || halfway.server.get("/a").cache() == "HIT");
}

#[test]
fn without_a_length_ranges_wait_until_it_is_stored() {
    let gate = Gate::closed();
    let reply = answer(200)
        .field("Accept-Ranges", "bytes")
        .field("Transfer-Encoding", "chunked")
        .chunk("abcdef")
        .wait(&gate)
        .chunk("ghij")
        .bytes("0\r\n\r\n");
    let origin = Origin::always(reply);
    let server = Server::start(&location(CACHED, &origin));
    let mut client = server.client();
    client.send(request("Range: bytes=-3\r\n"));
    let head = client.head_only();
    assert_eq!((head.status(), head.field("Transfer-Encoding")), (200, Some("chunked")));
    gate.open();
    wait_until("it is stored", || {
        let mut client = server.client();
        client.send(request("Range: bytes=-3\r\n"));
        let response = client.response();
        response.status() == 206 && response.text() == "hij"
    });
}

#[test]
fn ranges_of_a_stale_answer_are_cut_out_of_it() {
    let gate = Gate::closed();
    let old = Ranged::new(1000, "old");
    let stale = answer(200)
        .field("X-Accel-Expires", "@1")
        .field("ETag", &old.etag)
        .field("Accept-Ranges", "bytes")
        .body(&old.body);
    let origin = Origin::script([stale, answer(200).when(&gate).body("new")]);
    let directives = "proxy_cache zone; proxy_cache_use_stale updating; proxy_cache_background_update on;";
    let server = Server::start(&location(directives, &origin));
    server.get("/a");
    for status in ["STALE", "UPDATING"] {
        let mut client = server.client();
        client.send(request("Range: bytes=5-6,900-901\r\n"));
        let response = client.response();
        assert_eq!((response.status(), response.cache()), (206, status));
        assert!(response.text().contains(&*String::from_utf8_lossy(&old.body[900..902])));
        client.send(request("Range: bytes=-2\r\nIf-Range: \"old\"\r\n"));
        assert_eq!(client.response().body, old.body[998..]);
    }
    gate.open();
    wait_until("it is new", || server.get("/a").text() == "new");
}
