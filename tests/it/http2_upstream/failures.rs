//! What becomes of requests when an origin fails.

use h2::Reason;

use super::proxied;
use crate::support::{
    Conf, Gate, Http2Origin, Origin, Server, answer,
    client::End,
    http,
    http2_origin::{Act, whole},
    reply::{Part, Reply},
};

/// Two origins, of which the first one fails.
fn two(directives: &str, first: &Http2Origin, second: &Http2Origin) -> Conf {
    http(&format!(
        "upstream both {{ server {} max_fails=0; server {} backup; keepalive 4; }}
        server {{ listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass http://both; proxy_http_version 2; {directives} }} }}",
        first.address(),
        second.address()
    ))
}

#[test]
fn resets_are_errors_for_the_next_upstream() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for (name, directives, request, acts, wanted) in [
        ("refused", "", get, vec![Act::Reset(Reason::REFUSED_STREAM)], 200),
        ("refused, not idempotent", "", post, vec![Act::Reset(Reason::REFUSED_STREAM)], 200),
        ("reset", "", get, vec![Act::Reset(Reason::INTERNAL_ERROR)], 200),
        ("reset, not idempotent", "", post, vec![Act::Reset(Reason::INTERNAL_ERROR)], 502),
        ("calm down", "", get, vec![Act::Reset(Reason::ENHANCE_YOUR_CALM)], 200),
        ("reset, off", "proxy_next_upstream off;", get, vec![Act::Reset(Reason::INTERNAL_ERROR)], 502),
        ("refused, off", "proxy_next_upstream off;", get, vec![Act::Reset(Reason::REFUSED_STREAM)], 502),
        ("connection error", "", get, vec![Act::Abort(Reason::ENHANCE_YOUR_CALM)], 200),
        ("closed", "", get, vec![Act::Close], 200),
        ("closed, not idempotent", "", post, vec![Act::Close], 502),
        ("a status", "proxy_next_upstream http_503;", get, vec![Act::Answer(503, Vec::new())], 200),
        (
            "streamed, refused",
            "proxy_request_buffering off;",
            post,
            vec![Act::Reset(Reason::REFUSED_STREAM)],
            200,
        ),
    ] {
        let first = Http2Origin::answering(move |_| acts.clone());
        let second = Http2Origin::answering(|_| [vec![Act::ReadBody], whole(200, "second")].concat());
        let server = Server::start(&two(directives, &first, &second));
        let mut client = server.client();
        client.send(request);
        assert_eq!(client.response().status(), wanted, "{name}");
    }
}

#[test]
fn a_request_that_a_kept_connection_lost_is_sent_again() {
    for (name, last) in [("closed", Act::Close), ("refused", Act::Reset(Reason::REFUSED_STREAM))] {
        let origin = Http2Origin::answering(move |asked| match (asked.connection, asked.stream) {
            (0, 3..) => vec![last.clone()],
            _ => whole(200, format!("{}", asked.connection)),
        });
        let server = Server::start(&proxied("", &origin));
        assert_eq!(server.get("/").text(), "0", "{name}");
        assert_eq!(server.get("/").text(), "1", "{name}");
    }
}

#[test]
fn a_body_that_breaks_off_breaks_the_answer() {
    for (name, last) in [
        ("reset", Act::Reset(Reason::INTERNAL_ERROR)),
        ("no error, but not the end", Act::Reset(Reason::NO_ERROR)),
        ("closed", Act::Close),
        ("connection error", Act::Abort(Reason::INTERNAL_ERROR)),
    ] {
        let gate = Gate::closed();
        let origin = {
            let gate = gate.clone();
            Http2Origin::answering(move |_| {
                let body = Act::Body(b"hel".to_vec());
                vec![Act::Head(200, Vec::new()), body, Act::Wait(gate.clone()), last.clone()]
            })
        };
        let server = Server::start(&proxied("proxy_buffering off;", &origin));
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head_only().status(), 200, "{name}");
        gate.open();
        let (body, _) = client.rest();
        assert_eq!(body, b"3\r\nhel\r\n", "{name}");
    }
}

#[test]
fn an_answer_without_all_that_it_announced_is_broken() {
    let origin = Http2Origin::answering(|_| {
        vec![Act::Head(200, vec![("content-length", "10".to_owned())]), Act::Body(b"hel".to_vec()), Act::End]
    });
    let server = Server::start(&proxied("", &origin));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.try_response(crate::support::client::To::Get).unwrap();
    assert_eq!(response.end, End::Torn);
}

/// The first frame of an origin, and the answer to ours.
const SETTINGS: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";

fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
}

#[test]
fn origins_that_do_not_speak_http2_are_told_of() {
    let ping = frame(6, 0, &[0; 8]);
    let flood =
        |frame: &[u8]| Reply::raw([SETTINGS, &frame.repeat(3000)[..]].concat()).then(Part::AwaitClose);
    for (name, reply, wanted) in [
        ("an origin of HTTP/1", answer(400).body("what?").then_close(), "upstream does not speak HTTP/2"),
        ("nothing at all", Reply::nothing().then_close(), "upstream prematurely closed connection"),
        ("pings", flood(&ping), "too many http2 frames that carry nothing"),
        ("settings", flood(SETTINGS), "too many http2 frames that carry nothing"),
        (
            "a frame where none may be",
            Reply::raw([SETTINGS, &frame(0, 0, b"x")[..]].concat()).then(Part::AwaitClose),
            "upstream sent invalid http2 frame (unspecific protocol error detected)",
        ),
        (
            "a window beyond all bounds",
            Reply::raw([SETTINGS, &frame(8, 0, &[0x7f, 0xff, 0xff, 0xff])[..]].concat())
                .then(Part::AwaitClose),
            "upstream sent invalid http2 frame (flow-control protocol violated)",
        ),
        (
            "goodbye at once",
            Reply::raw([SETTINGS, &frame(7, 0, &[0; 8])[..]].concat()).then(Part::AwaitClose),
            "upstream sent goaway with error 0",
        ),
    ] {
        let origin = Origin::always(reply);
        let conf = http(
            "server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%ORIGIN%; proxy_http_version 2; } }",
        );
        let server = Server::start(&conf.origin(&origin));
        assert_eq!(server.get("/").status(), 502, "{name}");
        server.wait_for_log(wanted);
    }
}

#[test]
fn an_origin_that_says_nothing_is_waited_for_no_longer_than_told() {
    let origin = Http2Origin::answering(|asked| match asked.path() {
        "/silent" => vec![Act::Wait(Gate::closed())],
        _ => whole(200, "ok"),
    });
    let server = Server::start(&proxied("proxy_read_timeout 100ms;", &origin));
    assert_eq!(server.get("/silent").status(), 504);
    server.wait_for_log(
        "upstream timed out (110: Connection timed out) while reading response header from upstream",
    );
    assert_eq!(server.get("/").text(), "ok");
    assert_eq!(origin.connection_count(), 1);
    assert_eq!(origin.resets(), [Reason::CANCEL]);
}

#[test]
fn heads_that_are_too_big_are_refused() {
    let origin = Http2Origin::answering(|asked| match asked.path() {
        "/big" => vec![Act::Answer(200, vec![("x-big", "x".repeat(5000))])],
        "/huge" => vec![Act::Answer(200, vec![("x-big", "x".repeat(1 << 20))])],
        _ => whole(200, "ok"),
    });
    let server = Server::start(&proxied("proxy_buffer_size 4k;", &origin));
    assert_eq!(server.get("/big").status(), 502);
    server.wait_for_log("upstream sent too big header while reading response header from upstream");
    assert_eq!(server.get("/huge").status(), 502);
    assert_eq!(server.get("/").text(), "ok");
}
