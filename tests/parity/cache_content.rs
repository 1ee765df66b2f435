//! Answers from the cache: fields, HEAD, conditions, ranges.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// What is to be stored is read as fast as it comes.
const WHOLE: &str = "an answer that has come whole is sent with its length";

/// nginx closes a connection after 412, though it says that it keeps it.
const KEPT: &str = "a connection that is said to be kept is kept after 412 too";

#[test]
fn answers_from_the_cache() {
    compare(&group());
}

/// `/` stores everything for an hour.
pub fn group() -> Group {
    let conf = http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=1h;
        server {
            listen 127.0.0.1:%PORT%;
            proxy_cache zone; proxy_cache_key $uri; proxy_cache_valid any 1h;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://%ORIGIN%; }
            location /modern/ { proxy_http_version 1.1; proxy_pass http://%ORIGIN%; }
            location /hide/ { proxy_hide_header X-Secret; proxy_pass http://%ORIGIN%; }
            location /intercept/ { proxy_intercept_errors on; error_page 404 =200 /page; proxy_pass http://%ORIGIN%; }
            location /page { return 200 "a page, $upstream_cache_status"; }
            location /vars/ { add_header X-Vars "$upstream_cache_status $upstream_status $upstream_http_x_a $upstream_addr" always; proxy_pass http://%ORIGIN%; }
            location /forced/ { proxy_force_ranges on; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("cache content", conf).cases(fields()).cases(conditions()).cases(ranges())
}

fn letters() -> Reply {
    answer(200)
        .field("Last-Modified", MODIFIED)
        .field("ETag", "\"abc\"")
        .field("Accept-Ranges", "bytes")
        .field("Content-Type", "text/plain")
        .body("abcdefghijklmnopqrstuvwxyz")
}

fn twice(name: &'static str, path: &str, first: Reply) -> Case {
    case(name).origin(first).get(path).get(path)
}

fn fields() -> Vec<Case> {
    vec![
        twice(
            "order, case and duplicates",
            "/a",
            answer(200).field("x-b", "1").field("X-A", "2").field("X-B", "3").body("one"),
        ),
        twice(
            "hidden fields stay hidden",
            "/hide/a",
            answer(200).field("X-Secret", "1").field("X-Open", "2").body("one"),
        ),
        twice("a phrase of its own", "/b", answer(200).status_line("HTTP/1.1 200 Fine").body("one")),
        twice(
            "the origin's Date and Server",
            "/c",
            answer(200).field("Date", MODIFIED).field("Server", "x").body("one"),
        ),
        twice("an empty body", "/d", answer(200).body("")),
        twice("chunks are stored without their framing", "/modern/a", answer(200).chunked(&["one", "two"]))
            .may_differ(WHOLE, &["< X-Cache: HIT"]),
        twice("chunks without bytes", "/modern/b", answer(200).chunked(&[]))
            .may_differ(WHOLE, &["< X-Cache: HIT"]),
        twice(
            "connection fields are not stored",
            "/modern/c",
            answer(200).field("Connection", "close").field("Keep-Alive", "5").body("one").then_close(),
        ),
        twice("a stored 404", "/e", answer(404).body("not here")),
        twice("a stored 404 is intercepted", "/intercept/a", answer(404).body("not here")),
        twice("variables of a stored answer", "/vars/a", answer(200).field("X-A", "1").body("one")),
        case("HEAD of a stored answer").origin(letters()).get("/f").head("/f").get("/f"),
        twice("a large body", "/g", answer(200).body("0123456789".repeat(5000))),
        case("pipelined hits")
            .origin(letters())
            .get("/h")
            .pipeline(3, "GET /h HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)),
        case("a hit that closes").origin(letters()).get("/i").get_with("/i", &["Connection: close"]),
    ]
}

fn conditions() -> Vec<Case> {
    let after = |name, path: &str, line: &str| case(name).origin(letters()).get(path).get_with(path, &[line]);
    let at_once =
        |name, path: &str, line: &str| case(name).origin(letters()).get_with(path, &[line]).get(path);
    let since = format!("If-Modified-Since: {MODIFIED}");
    vec![
        after("If-Modified-Since, stored", "/c1", &since),
        after("If-None-Match, stored", "/c2", "If-None-Match: \"abc\""),
        after("another If-None-Match, stored", "/c3", "If-None-Match: \"x\""),
        after("If-Match fails, stored", "/c4", "If-Match: \"x\"").differs(KEPT, &["connection: kept"]),
        after(
            "If-Unmodified-Since fails, stored",
            "/c5",
            "If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT",
        )
        .differs(KEPT, &["connection: kept"]),
        at_once("If-Modified-Since, not stored", "/c6", &since),
        at_once("If-None-Match, not stored", "/c7", "If-None-Match: \"abc\""),
        at_once("If-Match, not stored", "/c8", "If-Match: \"abc\""),
    ]
}

fn ranges() -> Vec<Case> {
    let after =
        |name, path: &str, lines: &[&str]| case(name).origin(letters()).get(path).get_with(path, lines);
    vec![
        after("a range, stored", "/r1", &["Range: bytes=2-5"]),
        after("a range to the end, stored", "/r2", &["Range: bytes=20-"]),
        after("the last bytes, stored", "/r3", &["Range: bytes=-2"]),
        after("several ranges, stored", "/r4", &["Range: bytes=0-1,4-5"]),
        after("a range beyond the end, stored", "/r5", &["Range: bytes=100-"]),
        after("If-Range holds, stored", "/r6", &["Range: bytes=0-1", "If-Range: \"abc\""]),
        after("If-Range fails, stored", "/r7", &["Range: bytes=0-1", "If-Range: \"x\""]),
        case("HEAD with a range, stored").origin(letters()).get("/r8").request(
            "HEAD /r8 HTTP/1.1",
            &["Range: bytes=0-1"],
            "",
        ),
        case("a range, not stored: all is asked for")
            .origin(letters())
            .get_with("/r9", &["Range: bytes=2-5"])
            .get("/r9"),
        case("several ranges, not stored")
            .origin(letters())
            .get_with("/r10", &["Range: bytes=0-1,4-5"])
            .get("/r10"),
        twice("no Accept-Ranges, stored", "/r11", answer(200).body("one"))
            .get_with("/r11", &["Range: bytes=0-1"]),
        twice("no Accept-Ranges, stored and forced", "/forced/a", answer(200).body("one"))
            .get_with("/forced/a", &["Range: bytes=0-1"]),
    ]
}
