//! Filters of bodies through the real program: what depends on when bytes come, or on more than one answer.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, read::GzDecoder};

use crate::support::{Client, Gate, Origin, Server, answer, client::End, http, servers};

/// What a client can make of the compressed bytes that have come so far.
fn readable(compressed: &[u8]) -> String {
    let mut plain = Vec::with_capacity(1 << 20);
    let mut state = Decompress::new_gzip(15);
    state.decompress_vec(compressed, &mut plain, FlushDecompress::Sync).unwrap();
    String::from_utf8(plain).unwrap()
}

/// Reads chunks until what they hold makes a text.
fn read_until(client: &mut Client, compressed: &mut Vec<u8>, wanted: &str) {
    while readable(compressed) != wanted {
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(char::from(client.bytes(1)[0]));
        }
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        compressed.extend_from_slice(&client.bytes(size));
        assert_eq!(client.bytes(2), b"\r\n");
    }
}

#[test]
fn a_compressed_event_is_sent_before_the_next_one_comes() {
    for buffering in ["on", "off"] {
        let gate = Gate::closed();
        let events = answer(200).field("Content-Type", "text/event-stream");
        let origin =
            Origin::script([events.bytes("data: one\n\n").wait(&gate).bytes("data: two\n\n").then_close()]);
        let conf = servers(&format!(
            "gzip on; gzip_types text/event-stream; location / {{ proxy_buffering {buffering}; proxy_pass http://%ORIGIN%; }}"
        ));
        let server = Server::start(&conf.origin(&origin));
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!(client.head_only().field("Content-Encoding"), Some("gzip"));
        let mut compressed = Vec::new();
        read_until(&mut client, &mut compressed, "data: one\n\n");
        gate.open();
        read_until(&mut client, &mut compressed, "data: one\n\ndata: two\n\n");
    }
}

#[test]
fn the_ratio_is_logged() {
    let conf = http(
        "log_format ratio '$uri $gzip_ratio';
        server { listen 127.0.0.1:%PORT%; access_log access.log ratio; gzip on; root %DIR%; types { text/html html; } }",
    );
    let server = Server::start(&conf.file("zeros.html", "0".repeat(100_000)).file("short.html", "short"));
    for path in ["/zeros.html", "/short.html"] {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")).response();
    }
    server.wait_for_text("access.log", "/short.html -\n");
    let log = server.read("access.log");
    let ratio: f64 = log.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(ratio > 100.0, "{log}");
}

#[test]
fn many_compressed_answers_come_out_whole() {
    let page: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let origin = Origin::always(answer(200).field("Content-Type", "text/html").body(&page));
    let conf = servers("gzip on; gzip_comp_level 9; location / { proxy_pass http://%ORIGIN%; }");
    let server = Server::start(&conf.origin(&origin));
    let mut client = server.client();
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    }
    for _ in 0..20 {
        let response = client.response();
        let mut plain = String::new();
        GzDecoder::new(&response.body[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, page);
    }
}

/// A page that includes `/b/0` to `/b/2`, with text between.
const THREE: &str =
    "a<!--#include virtual=\"/b/0\" -->b<!--#include virtual=\"/b/1\" -->c<!--#include virtual=\"/b/2\" -->d";

fn pages(origin: &Origin, text: &str) -> Server {
    let conf = servers(
        "ssi on; root %DIR%; types { text/html html; }
        location /b/ { proxy_pass http://%ORIGIN%; }
        location /page.html { log_subrequest on; }",
    );
    Server::start(&conf.origin(origin).file("page.html", text))
}

#[test]
fn parts_are_asked_for_at_once_and_shown_in_order() {
    let gate = Gate::closed();
    let first = gate.clone();
    let origin = Origin::answering(move |asked| match asked.target() {
        "/b/0" => answer(200).when(&first).body("zero"),
        target => answer(200).body(target),
    });
    let server = pages(&origin, THREE);
    let mut client = server.client();
    client.send("GET /page.html HTTP/1.0\r\n\r\n").head_only();
    assert_eq!(client.bytes(1), b"a", "what stands before is shown at once");
    origin.wait_for_requests(3);
    gate.open();
    assert_eq!(client.rest().0, b"zerob/b/1c/b/2d");
}

#[test]
fn many_parts_of_one_page() {
    let origin = Origin::answering(|asked| answer(200).body(asked.target()));
    let include = |number: usize| format!("<!--#include virtual=\"/b/{number}\" -->,");
    let server = pages(&origin, &(0..300).map(include).collect::<String>());
    let wanted: String = (0..300).map(|number| format!("/b/{number},")).collect();
    assert_eq!(server.get("/page.html").text(), wanted);
    assert_eq!(origin.request_count(), 300);
}

#[test]
fn a_client_that_leaves_ends_the_parts_of_its_page() {
    let gate = Gate::closed();
    let never = gate.clone();
    let origin = Origin::answering(move |_| answer(200).when(&never).body("late"));
    let server = pages(&origin, THREE);
    let mut client = server.client();
    client.send("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n").head_only();
    origin.wait_for_requests(3);
    client.leave();
    server.wait_for_log("client prematurely closed connection");
    gate.open();
    assert_eq!(server.get("/b/9").text(), "late");
}

#[test]
fn a_part_that_breaks_off_tears_its_page() {
    let origin = Origin::script([
        answer(200).body("zero"),
        answer(200).declared(100).bytes("torn").then_close(),
        answer(200).body("two"),
    ]);
    let page = THREE.replace("/b/0\"", "/b/0\" wait=\"yes\"").replace("/b/1\"", "/b/1\" wait=\"yes\"");
    let server = pages(&origin, &page);
    let mut client = server.client();
    client.send("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!(response.end, End::Torn, "{response}");
    assert_eq!(response.text(), "azerobtorn");
}

#[test]
fn errors_of_parts_are_logged_with_their_path() {
    let origin = Origin::always(answer(200).body("x"));
    let server = pages(&origin, "<!--#include virtual=\"/nothing\" --><!--#nonsense -->");
    server.get("/page.html");
    server.wait_for_log("request: \"GET /page.html HTTP/1.1\", subrequest: \"/nothing\"");
    server.wait_for_log("invalid SSI command: \"nonsense\" while sending response to client");
}

#[test]
fn a_value_that_is_too_big_ends_the_answer() {
    let origin = Origin::always(answer(200).body("x".repeat(5000)));
    let server = pages(&origin, "<!--#include virtual=\"/b/0\" set=\"x\" -->");
    let mut client = server.client();
    client.send("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().end, End::Torn);
    server.wait_for_log("too big subrequest response: ");
}
