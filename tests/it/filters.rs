//! Filters of bodies through the real program: what depends on when bytes come, or on more than one answer.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, read::GzDecoder};

use crate::support::{Client, Gate, Origin, Server, answer, http, servers};

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
