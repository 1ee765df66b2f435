//! Header lines of requests: which are refused, which dropped, and what an origin is passed.

use super::{
    case::{Case, Group, case, request},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn header_lines() {
    compare(&group());
}

/// Requests are passed on, so the origin shows what became of each line.
pub fn group() -> Group {
    let conf = http(
        "client_header_buffer_size 256; large_client_header_buffers 2 1k;
        server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%ORIGIN%; } }
        server {
            listen 127.0.0.1:%PORT:a%; ignore_invalid_headers off;
            location / { proxy_pass http://%ORIGIN%; }
        }
        server {
            listen 127.0.0.1:%PORT:b%; underscores_in_headers on;
            location / { proxy_pass http://%ORIGIN%; }
        }",
    );
    Group::new("header lines", conf).cases(kept()).cases(invalid()).cases(hosts()).cases(sizes())
}

fn passed(name: &'static str, lines: &[&str]) -> Case {
    case(name).origin(answer(200).body("seen")).get_with("/", lines)
}

fn kept() -> [Case; 10] {
    [
        passed("order and case are kept", &["x-second: 2", "X-First: 1", "ACCEPT: */*", "x-Third: 3"]),
        passed("duplicates stay where they are", &["X-A: 1", "X-B: 2", "x-a: 3"]),
        passed("spaces around a value are dropped", &["X-A:    1  2   ", "X-B:1"]),
        passed("a tab before a value is part of it", &["X-A:\t1"]),
        passed("an empty value", &["X-A:", "X-B: "]),
        passed("colons in a value", &["X-A: b: c::d"]),
        passed(
            "Accept-Encoding and Cookie as they are",
            &["Cookie: a=1", "Accept-Encoding: gzip, br", "Cookie: b=2"],
        ),
        passed(
            "connection fields are not passed",
            &["Connection: keep-alive", "Keep-Alive: 5", "TE: gzip", "Upgrade: x"],
        ),
        passed("Proxy-Connection is passed", &["Proxy-Connection: keep-alive", "Trailer: X"]),
        case("bytes above 127 in a value")
            .origin(answer(200).body("seen"))
            .send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \xff\xe4\r\n\r\n"),
    ]
}

fn invalid() -> [Case; 20] {
    [
        passed("an underscore in a name drops the line", &["X_A: 1", "X-B: 2"]),
        passed("an underscore is allowed where configured", &[])
            .on("b")
            .origin(answer(200).body("seen"))
            .request("GET /u HTTP/1.1", &["X_A: 1"], ""),
        passed("a dot in a name drops the line", &["X.A: 1", "X-B: 2"]),
        passed("an at sign in a name drops the line", &["X@A: 1", "X-B: 2"]),
        passed("a slash and brackets in names drop the lines", &["X/A: 1", "(X): 2", "X[A]: 3", "X-B: 2"]),
        passed("a name that starts with a dash", &["-X: 1"]),
        passed("a name of digits", &["123: 1"]),
        passed("a byte above 127 in a name drops the line", &["X\u{e9}: 1", "X-B: 2"]),
        case("an invalid name is passed where not ignored")
            .origin(answer(200).body("seen"))
            .on("a")
            .get_with("/", &["X@A: 1", "X.B: 2"]),
        case("a space in a name is refused").get_with("/", &["X A: 1"]),
        case("a space before the colon is refused").get_with("/", &["X-A : 1"]),
        case("a tab before the colon is refused").get_with("/", &["X-A\t: 1"]),
        case("a line without a name is refused").get_with("/", &[": 1"]),
        case("a line without a colon").origin(answer(200).body("seen")).get_with("/", &["X-A", "X-B: 2"]),
        case("a folded line is refused").get_with("/", &["X-A: 1", " 2"]),
        case("a folded line with a tab is refused").get_with("/", &["X-A: 1", "\t2"]),
        case("a control byte in a name is refused").get_with("/", &["X\u{1}A: 1"]),
        passed("a control byte in a value is passed", &["X-A: a\u{1}b\u{7f}"]),
        case("a zero byte in a value is refused").get_with("/", &["X-A: a\0b"]),
        case("a bare carriage return in a value")
            .origin(answer(200).body("seen"))
            .get_with("/", &["X-A: a\rb"]),
    ]
}

fn hosts() -> [Case; 12] {
    let with_host = |name, host: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        case(name).origin(answer(200).body("seen")).send(text)
    };
    [
        case("HTTP/1.1 without a host is refused").send("GET / HTTP/1.1\r\n\r\n"),
        case("two hosts are refused").get_with("/", &["Host: other"]),
        case("two equal hosts are refused").get_with("/", &["Host: localhost"]),
        with_host("an empty host", ""),
        with_host("a host with a port", "example.com:8080"),
        with_host("a host in upper case", "EXAMPLE.com"),
        with_host("a host with a trailing dot", "example.com."),
        with_host("an IPv6 host", "[::1]:80"),
        with_host("two dots in a host are refused", "a..b"),
        with_host("a slash in a host is refused", "a/b"),
        with_host("a space in a host is refused", "a b"),
        with_host("an unclosed IPv6 host", "[::1")
            .differs("a bracket that is not closed is no host", &["< HTTP/1.1 400 Bad Request"]),
    ]
}

fn sizes() -> [Case; 6] {
    let long = |length: usize| format!("X-Long: {}", "y".repeat(length));
    [
        case("a line that needs a large buffer")
            .origin(answer(200).body("seen"))
            .get_with("/", &[&long(600)]),
        case("a line over a large buffer is refused").get_with("/", &[&long(1100)]),
        case("more lines than all buffers hold are refused")
            .get_with("/", &[&long(700), &long(700), &long(700)]),
        case("a request line over a large buffer is refused").send(request(
            &format!("GET /{} HTTP/1.1", "z".repeat(1500)),
            &[],
            "",
        )),
        case("many short lines")
            .origin(answer(200).body("seen"))
            .get_with("/", &(0..60).map(|_| "X-Short: 1").collect::<Vec<_>>()),
        case("a head in small pieces")
            .origin(answer(200).body("seen"))
            .pipeline(0, "GET / HT")
            .pipeline(0, "TP/1.1\r\nHo")
            .pipeline(0, "st: a\r")
            .send("\n\r\n"),
    ]
}
