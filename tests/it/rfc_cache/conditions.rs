//! Conditional requests and ranges, answered by the cache: items 12 and 18.

use super::{ask, rfc};
use crate::support::{Origin, Reply, Server, answer, client::Response};

const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn page() -> Reply {
    answer(200)
        .field("Cache-Control", "max-age=2000000000")
        .field("ETag", "W/\"a\"")
        .field("Last-Modified", CHANGED)
        .field("Content-Location", "/there")
        .field("Expires", "Thu, 01 Jan 2099 00:00:00 GMT")
        .field("Date", "Sun, 06 Nov 1994 08:49:38 GMT")
        .field("Age", "5")
        .field("Vary", "X-A")
        .field("Content-Type", "text/x")
        .body("0123456789")
}

fn outcome(answer: &Response) -> (u16, String) {
    (answer.status(), answer.text())
}

#[test]
fn item_12_conditional_requests_are_answered() {
    let origin = Origin::always(page());
    let server = Server::start(&rfc("", &origin));
    server.get("/a");
    let cases: [(&str, &[&str], u16); 13] = [
        ("the tag", &["If-None-Match: \"a\""], 304),
        ("the weak tag", &["If-None-Match: W/\"a\""], 304),
        ("in a list", &["If-None-Match: \"b, c\" ,\"a\""], 304),
        ("any", &["If-None-Match: *"], 304),
        ("another tag", &["If-None-Match: \"b\""], 200),
        ("the date", &["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 304),
        ("a later date", &["If-Modified-Since: Sun, 06 Nov 1994 08:49:39 GMT"], 304),
        ("an earlier date", &["If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 200),
        ("the date after RFC 850", &["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 304),
        ("the date after asctime", &["If-Modified-Since: Sun Nov  6 08:49:37 1994"], 304),
        ("no date", &["If-Modified-Since: yesterday"], 200),
        (
            "another tag goes before the date",
            &["If-None-Match: \"b\"", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"],
            200,
        ),
        (
            "the tag goes before an earlier date",
            &["If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", "If-None-Match: \"a\""],
            304,
        ),
    ];
    for (name, lines, wanted) in cases {
        let answer = ask(&server, "GET", "/a", lines);
        assert_eq!((answer.status(), answer.cache()), (wanted, "HIT"), "{name}");
        if wanted == 304 {
            for name in ["ETag", "Cache-Control", "Content-Location", "Date", "Expires", "Vary", "Age"] {
                assert!(answer.field(name).is_some(), "{name} in {answer}");
            }
            assert_eq!(answer.field("Date"), Some("Sun, 06 Nov 1994 08:49:38 GMT"));
            assert_eq!((answer.field("Content-Type"), answer.field("Content-Length")), (None, None));
        }
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn item_12_an_entry_just_validated_answers_conditions_too() {
    let stale = page().field("Cache-Control", "max-age=0").line("X-Accel-Expires: @1");
    let origin = Origin::script([stale, answer(304).field("ETag", "W/\"a\"")]);
    let server = Server::start(&rfc("", &origin));
    server.get("/a");
    let answer = ask(&server, "GET", "/a", &["If-None-Match: W/\"a\""]);
    assert_eq!((outcome(&answer), answer.cache()), ((304, String::new()), "REVALIDATED"));
}

#[test]
fn item_12_the_date_stands_for_a_missing_last_modified() {
    let origin = Origin::always(
        answer(200)
            .field("Cache-Control", "max-age=6000")
            .field("Date", CHANGED)
            .field("Age", "1")
            .body("page"),
    );
    let server =
        Server::start(&rfc("proxy_cache_valid 200 1h; proxy_ignore_headers Cache-Control;", &origin));
    server.get("/a");
    let since = |date: &str| ask(&server, "GET", "/a", &[&format!("If-Modified-Since: {date}")]).status();
    assert_eq!([since(CHANGED), since("Sun, 06 Nov 1994 08:49:36 GMT")], [304, 200]);
}

#[test]
fn item_18_a_stored_answer_has_ranges_whatever_the_origin_has() {
    let origin = Origin::answering(move |asked| match asked.target() {
        "/weak" => page(),
        "/none" => answer(200)
            .field("Cache-Control", "max-age=600")
            .field("Accept-Ranges", "none")
            .body("0123456789"),
        _ => {
            let reply = answer(200).field("Cache-Control", "max-age=600").field("ETag", "\"a\"");
            reply.field("Last-Modified", CHANGED).body("0123456789")
        }
    });
    let server = Server::start(&rfc("", &origin));
    for path in ["/a", "/weak", "/none"] {
        server.get(path);
    }
    type Case<'a> = (&'a str, &'a str, &'a [&'a str], (u16, &'a str));
    let cases: [Case<'_>; 11] = [
        ("first and last", "/a", &["Range: bytes=2-4"], (206, "234")),
        ("from", "/a", &["Range: bytes=7-"], (206, "789")),
        ("suffix", "/a", &["Range: bytes=-2"], (206, "89")),
        ("beyond the end", "/a", &["Range: bytes=8-99"], (206, "89")),
        ("the same tag", "/a", &["Range: bytes=0-0", "If-Range: \"a\""], (206, "0")),
        ("another tag", "/a", &["Range: bytes=0-0", "If-Range: \"b\""], (200, "0123456789")),
        ("the same weak tag", "/weak", &["Range: bytes=0-0", "If-Range: W/\"a\""], (200, "0123456789")),
        ("the same date", "/a", &["Range: bytes=0-0", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT"], (206, "0")),
        (
            "another date",
            "/a",
            &["Range: bytes=0-0", "If-Range: Sun, 06 Nov 1994 08:49:38 GMT"],
            (200, "0123456789"),
        ),
        ("an origin without ranges", "/none", &["Range: bytes=1-2"], (206, "12")),
        ("a condition that holds", "/a", &["Range: bytes=1-2", "If-None-Match: \"a\""], (304, "")),
    ];
    for (name, path, lines, (status, body)) in cases {
        let answer = ask(&server, "GET", path, lines);
        assert_eq!((outcome(&answer), answer.cache()), ((status, body.to_owned()), "HIT"), "{name}");
    }
    let several = ask(&server, "GET", "/a", &["Range: bytes=0-1,-1"]);
    assert_eq!(several.status(), 206);
    assert!(several.field("Content-Type").unwrap().starts_with("multipart/byteranges"), "{several}");
    assert_eq!(ask(&server, "GET", "/a", &["Range: bytes=10-"]).status(), 416);
    assert_eq!(server.get("/none").field("Accept-Ranges"), Some("bytes"));
    assert_eq!(origin.request_count(), 3);
}
