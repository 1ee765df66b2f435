//! Variants side by side (RFC 9111, 4.1).

use super::rfc;
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

#[test]
fn item_11_requests_that_mean_the_same_get_the_same_variant() {
    let origin = Origin::answering(|asked| {
        let vary = match asked.target() {
            "/star" => "X-A, *",
            _ => "Accept-Language, X-A",
        };
        answer(200).field("Cache-Control", "max-age=600").field("Vary", vary).body("page")
    });
    let server = Server::start(&rfc("", &origin));
    let get = |path: &str, lines: &[&str]| super::ask(&server, "GET", path, lines).cache().to_owned();
    let cases: [(&str, &[&str], &[&str], &str); 9] = [
        ("lines are joined", &["X-A: 1, 2"], &["X-A: 1", "x-a: 2"], "HIT"),
        ("white space goes", &["X-A: 1,2"], &["X-A: 1 ,\t2 "], "HIT"),
        ("case stays", &["X-A: a"], &["X-A: A"], "MISS"),
        ("order stays", &["X-A: 1, 2"], &["X-A: 2, 1"], "MISS"),
        ("absent is not empty", &[], &["X-A:"], "MISS"),
        ("absent matches absent", &[], &["X-B: 1"], "HIT"),
        ("languages in any case", &["Accept-Language: en-GB"], &["Accept-Language: EN-gb"], "HIT"),
        (
            "languages by weight",
            &["Accept-Language: de, en;q=0.5"],
            &["Accept-Language: en;q=0.50,de"],
            "HIT",
        ),
        ("another weight", &["Accept-Language: de, en;q=0.5"], &["Accept-Language: de;q=0.5, en"], "MISS"),
    ];
    for (number, (name, one, other, wanted)) in cases.into_iter().enumerate() {
        let path = format!("/{number}");
        assert_eq!((get(&path, one).as_str(), get(&path, other).as_str()), ("MISS", wanted), "{name}");
        assert_eq!(get(&path, one), "HIT", "{name}: both are kept");
    }
    assert_eq!([get("/star", &[]), get("/star", &[])], ["MISS", "MISS"]);
}
