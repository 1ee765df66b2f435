//! What goes there and back: heads, bodies, trailers, interim answers.

use std::thread;

use super::proxied;
use crate::support::{
    Conf, Gate, Http2Origin, Server,
    http2_origin::{Act, Allowance, whole},
    wait_until,
};

fn fields(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[test]
fn a_request_arrives_as_http2_has_it() {
    let origin = Http2Origin::answering(|_| [vec![Act::ReadBody], whole(200, "ok")].concat());
    let set = "proxy_set_header Host $http_host; proxy_set_header X-Set $remote_addr;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let server = Server::start(&proxied(set, &origin));
    let mut client = server.client();
    client.send(
        "POST /a?b HTTP/1.1\r\nHost: example.com\r\nX-One: 1\r\nCookie: a=1; b=2\r\nExpect: 100-continue\r\n\
         TE: trailers, gzip\r\nUpgrade: websocket\r\nKeep-Alive: 5\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(client.response().status(), 200);
    let asked = &origin.requests()[0];
    assert_eq!((&asked.method[..], &asked.uri[..]), ("POST", "http://example.com/a?b"));
    assert_eq!(asked.body, b"hello");
    let wanted = [
        ("x-set", "127.0.0.1"),
        ("content-length", "5"),
        ("te", "trailers"),
        ("x-one", "1"),
        ("cookie", "a=1; b=2"),
    ];
    let wanted: Vec<_> = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(asked.fields, wanted);
}

#[test]
fn trailers_reach_the_client_and_variables() {
    let origin = Http2Origin::answering(|_| {
        vec![
            Act::Head(200, fields(&[("trailer", "x-sum")])),
            Act::Body(b"hello".to_vec()),
            Act::Trailers(fields(&[("x-sum", "42")])),
        ]
    });
    let conf = proxied("proxy_pass_trailers on; access_log told.log told;", &origin).with_text(|text| {
        text.replace("upstream origin", "log_format told $upstream_trailer_x_sum; upstream origin")
    });
    let server = Server::start(&conf);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "hello");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    server.wait_for_text("told.log", "42\n");
}

#[test]
fn early_hints_come_before_the_answer() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Http2Origin::answering(move |_| {
            let hints = vec![
                Act::Interim(103, fields(&[("link", "</a.css>; rel=preload")])),
                Act::Interim(102, Vec::new()),
                Act::Wait(gate.clone()),
            ];
            [hints, whole(200, "ok")].concat()
        })
    };
    let server = Server::start(&proxied("early_hints 1;", &origin));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    assert_eq!(client.bytes(hints.len()), hints);
    gate.open();
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn uploads_keep_to_the_windows_of_the_origin() {
    for (name, directives) in [
        ("in memory", "client_body_buffer_size 1m;"),
        ("in a file", "client_body_buffer_size 1k;"),
        ("as it comes", "proxy_request_buffering off;"),
    ] {
        let allowance = Allowance { window: Some(1000), ..Allowance::default() };
        let origin = Http2Origin::allowing(allowance, |_| [vec![Act::ReadBody], whole(200, "ok")].concat());
        let server = Server::start(&proxied(directives, &origin));
        let body: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        let mut client = server.client();
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert_eq!(client.response().text(), "ok", "{name}");
        assert!(origin.requests()[0].body == body, "{name}");
    }
}

#[test]
fn a_chunked_upload_is_passed_on_as_it_comes() {
    let origin = Http2Origin::answering(|_| [vec![Act::ReadBody], whole(200, "ok")].concat());
    let server = Server::start(&proxied("proxy_request_buffering off;", &origin));
    let mut client = server.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    wait_until("the first chunk has arrived", || {
        origin.requests().first().is_some_and(|asked| asked.body == b"abc")
    });
    client.send("3\r\ndef\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(origin.requests()[0].body, b"abcdef");
    assert_eq!(origin.requests()[0].field("content-length"), None);
}

#[test]
fn trailers_of_requests_are_passed_on() {
    for directives in ["", "proxy_request_buffering off;"] {
        let origin = Http2Origin::answering(|_| [vec![Act::ReadBody], whole(200, "ok")].concat());
        let server = Server::start(&proxied(directives, &origin));
        let mut client = server.client();
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        client.send("0\r\nX-Sum: 42\r\nHost: b\r\n\r\n");
        assert_eq!(client.response().text(), "ok");
        let asked = &origin.requests()[0];
        assert_eq!(
            (&asked.body[..], &asked.trailers[..]),
            (&b"abc"[..], &[("x-sum".to_owned(), "42".to_owned())][..])
        );
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_little_memory() {
    let big = vec![b'x'; 32 << 20];
    let origin = Http2Origin::answering(move |asked| match asked.path() {
        "/big" => vec![Act::Head(200, Vec::new()), Act::Body(big.clone()), Act::End],
        _ => whole(200, vec![b'y'; 3 << 20]),
    });
    let server = Server::start(&proxied("proxy_max_temp_file_size 0;", &origin));
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let mut client = crate::support::Client::connect_narrow(server.address(), 4096);
            client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    origin.wait_for_requests(8);
    for _ in 0..3 {
        assert_eq!(server.get("/small").body.len(), 3 << 20);
    }
    let peak = crate::support::proc::peak_memory_bytes(server.worker());
    assert!(peak < 64 << 20, "{peak} bytes");
    assert_eq!(origin.connection_count(), 1);
    stuck.into_iter().for_each(crate::support::Client::leave);
}

#[test]
fn an_answer_may_begin_before_the_request_has_ended() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        let allowance = Allowance { window: Some(100), ..Allowance::default() };
        Http2Origin::allowing(allowance, move |_| {
            vec![
                Act::Head(200, Vec::new()),
                Act::Wait(gate.clone()),
                Act::ReadBody,
                Act::Body(b"ok".to_vec()),
                Act::End,
            ]
        })
    };
    let server = Server::start(&proxied("", &origin));
    let mut client = server.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{}", "z".repeat(5000)));
    assert_eq!(client.head_only().status(), 200);
    gate.open();
    wait_until("all of the request has arrived", || origin.requests()[0].body.len() == 5000);
}

/// Caching over HTTP/2.
fn cached(directives: &str, origin: &Http2Origin) -> Conf {
    proxied(
        &format!("proxy_cache zone; add_header X-Cache $upstream_cache_status always; {directives}"),
        origin,
    )
    .with_text(|text| {
        text.replace(
            "upstream origin",
            "proxy_cache_path cache levels=1:2 keys_zone=zone:1m; upstream origin",
        )
    })
}

#[test]
fn answers_are_stored_as_those_of_http1() {
    let origin = Http2Origin::answering(|_| {
        vec![
            Act::Head(200, fields(&[("cache-control", "max-age=60"), ("x-one", "1")])),
            Act::Body(b"hello".to_vec()),
            Act::End,
        ]
    });
    let server = Server::start(&cached("", &origin));
    let miss = server.get("/");
    let hit = server.get("/");
    assert_eq!((miss.cache(), hit.cache()), ("MISS", "HIT"));
    assert_eq!((miss.text(), hit.text()), ("hello".to_owned(), "hello".to_owned()));
    assert_eq!(hit.field("x-one"), Some("1"));
    wait_until("there is a file that nginx reads too", || {
        let mut files = Vec::new();
        collect(&server.dir().join("cache"), &mut files);
        let lines = "\nHTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nx-one: 1\r\n";
        files.iter().any(|file| String::from_utf8_lossy(file).contains(lines))
    });
}

fn collect(dir: &std::path::Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => collect(&entry.path(), files),
            false => files.push(std::fs::read(entry.path()).unwrap()),
        }
    }
}

#[test]
fn one_of_many_simultaneous_requests_asks_the_origin() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Http2Origin::answering(move |_| {
            vec![
                Act::Head(200, fields(&[("cache-control", "max-age=60")])),
                Act::Body(b"hel".to_vec()),
                Act::Wait(gate.clone()),
                Act::Body(b"lo".to_vec()),
                Act::End,
            ]
        })
    };
    let server = Server::start(&cached("proxy_cache_lock on;", &origin));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..5).map(|_| scope.spawn(|| server.get("/").text())).collect();
        origin.wait_for_requests(1);
        gate.open();
        clients.into_iter().for_each(|client| assert_eq!(client.join().unwrap(), "hello"));
    });
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_stale_answer_is_asked_about_and_kept() {
    let origin = Http2Origin::answering(|asked| match asked.field("if-none-match") {
        Some("\"v1\"") => {
            vec![Act::Answer(304, fields(&[("etag", "\"v1\""), ("cache-control", "max-age=60")]))]
        }
        _ => vec![
            Act::Head(200, fields(&[("etag", "\"v1\""), ("cache-control", "max-age=0")])),
            Act::Body(b"hello".to_vec()),
            Act::End,
        ],
    });
    let server = Server::start(&cached(
        "proxy_cache_revalidate on; proxy_ignore_headers Cache-Control; proxy_cache_valid 200 1s;",
        &origin,
    ));
    assert_eq!(server.get("/").cache(), "MISS");
    let revalidated = crate::support::wait_for("the answer has become stale", || {
        Some(server.get("/")).filter(|response| response.cache() == "REVALIDATED")
    });
    assert_eq!(revalidated.text(), "hello");
}

#[test]
fn a_stale_answer_is_served_while_the_origin_resets() {
    let origin = Http2Origin::answering(|asked| match asked.stream {
        1 => whole(200, "hello"),
        _ => vec![Act::Reset(h2::Reason::INTERNAL_ERROR)],
    });
    let server = Server::start(&cached("proxy_cache_valid 200 1s; proxy_cache_use_stale error;", &origin));
    assert_eq!(server.get("/").cache(), "MISS");
    let stale = crate::support::wait_for("the answer has become stale", || {
        Some(server.get("/")).filter(|response| response.cache() == "STALE")
    });
    assert_eq!(stale.text(), "hello");
}

#[test]
fn an_answer_in_slices_is_put_together() {
    let body: Vec<u8> = (0..10_000_u32).map(|number| (number % 251) as u8).collect();
    let origin = {
        let body = body.clone();
        Http2Origin::answering(move |asked| {
            let range = asked.field("range").unwrap().strip_prefix("bytes=").unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let from: usize = from.parse().unwrap();
            let to = to.parse::<usize>().unwrap().min(body.len() - 1);
            let said = format!("bytes {from}-{to}/{}", body.len());
            vec![
                Act::Head(206, vec![("content-range", said), ("etag", "\"v\"".to_owned())]),
                Act::Body(body[from..=to].to_vec()),
                Act::End,
            ]
        })
    };
    let directives = "slice 4k; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range; proxy_cache_valid 200 206 1h;";
    let server = Server::start(&cached(directives, &origin));
    for _ in 0..2 {
        assert!(server.get("/").body == body);
    }
    assert_eq!(origin.requests().len(), 3);
}
