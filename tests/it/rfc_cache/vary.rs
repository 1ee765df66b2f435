//! Variants side by side (RFC 9111, 4.1).

use crate::support::{Origin, Server, Stop, answer, client::Response, location, peers::Program};

/// Asks with fields of one's own.
fn ask(server: &Server, fields: &str) -> Response {
    server.client().send(format!("GET /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).response()
}

/// An origin that answers with the value of the field that it varies by.
fn varying(vary: &str) -> Origin {
    let vary = vary.to_owned();
    Origin::answering(move |asked| {
        let line = asked.head.lines().find_map(|line| line.strip_prefix("X-A: "));
        answer(200).field("Vary", &vary).body(line.unwrap_or("none"))
    })
}

fn seen(server: &Server, fields: &str) -> (String, String) {
    let answer = ask(server, fields);
    (answer.cache().to_owned(), answer.text())
}

fn pair(cache: &str, body: &str) -> (String, String) {
    (cache.to_owned(), body.to_owned())
}

#[test]
fn alternating_values_keep_both_variants_however_long_vary_is() {
    let long = format!("X-A, {}", "X-Filler-Of-Some-Length, ".repeat(40));
    for vary in ["X-A", long.trim_end_matches(", ")] {
        let origin = varying(vary);
        let conf = location("proxy_cache zone; proxy_buffer_size 16k; proxy_buffers 8 16k;", &origin);
        let server = Server::start(&conf);
        let (one, two) = ("X-A: 1\r\n", "X-A: 2\r\n");
        assert_eq!(seen(&server, one), pair("MISS", "1"));
        assert_eq!(seen(&server, two), pair("MISS", "2"));
        for _ in 0..3 {
            assert_eq!(seen(&server, one), pair("HIT", "1"));
            assert_eq!(seen(&server, two), pair("HIT", "2"));
        }
        assert_eq!(seen(&server, ""), pair("MISS", "none"));
        if server.program().is_nginx() {
            return;
        }
        let dir = server.stop_and_keep(Stop::Graceful);
        let program = Program::larder();
        let server = Server::start_in(&program, &conf, dir);
        for (fields, body) in [(one, "1"), (two, "2"), ("", "none")] {
            assert_eq!(seen(&server, fields), pair("HIT", body), "after a restart");
        }
        assert_eq!(origin.request_count(), 3);
    }
}
