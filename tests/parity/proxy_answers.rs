//! What a client gets of an origin's answer: status line, fields, bodies, and what is made of broken ones.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, servers};

#[test]
fn answers_of_origins() {
    compare(&group());
}

/// `/` passes answers on; the other locations change them.
pub fn group() -> Group {
    let conf = servers(
        r#"proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k; proxy_read_timeout 1500ms;
        location / { proxy_pass http://%ORIGIN%; }
        location /modern/ { proxy_http_version 1.1; proxy_pass http://%ORIGIN%; }
        location /unbuffered/ { proxy_buffering off; proxy_pass http://%ORIGIN%; }
        location /hide/ { proxy_hide_header X-A; proxy_hide_header x-b; proxy_pass_header Server; proxy_pass http://%ORIGIN%; }
        location /pass/ { proxy_pass_header Date; proxy_pass_header X-Accel-Expires; proxy_pass_header X-Pad; proxy_pass http://%ORIGIN%; }
        location /mapped/ { proxy_pass http://%ORIGIN%/base/; }
        location /unmapped/ { proxy_redirect off; proxy_pass http://%ORIGIN%/base/; }
        location /intercept/ {
            proxy_intercept_errors on; error_page 404 =200 /instead; error_page 503 @instead;
            proxy_pass http://%ORIGIN%;
        }
        location /instead { return 200 instead; }
        location @instead { return 502 "instead of $upstream_status"; }
        location /own-502 { error_page 502 504 =200 /instead; proxy_pass http://%CLOSED%; }
        location /unheard/ { proxy_ignore_headers X-Accel-Redirect; proxy_pass http://%ORIGIN%; }
        location /closed { proxy_pass http://%CLOSED%; }
        location /forced/ { proxy_force_ranges on; proxy_pass http://%ORIGIN%; }
        location /expires/ { expires 1h; add_header X-Added yes; proxy_pass http://%ORIGIN%; }"#,
    );
    Group::new("proxied answers", conf)
        .cases(heads())
        .cases(more_heads())
        .cases(redirects())
        .cases(accelerated())
        .cases(bodies())
        .cases(broken())
}

fn from(name: &'static str, path: &str, reply: Reply) -> Case {
    case(name).origin(reply).get(path)
}

fn heads() -> Vec<Case> {
    let full = || {
        answer(200)
            .field("X-B", "1")
            .field("Server", "origin/1")
            .field("x-A", "2")
            .field("Date", "Tue, 14 Nov 2023 22:13:20 GMT")
    };
    vec![
        from("order and case are kept", "/a", full().field("X-B", "3").body("one")),
        from("hidden fields", "/hide/a", full().body("one")),
        from(
            "fields that are hidden by default",
            "/a",
            full().field("X-Pad", "p").field("X-Accel-Expires", "0").body(""),
        ),
        from(
            "passed fields",
            "/pass/a",
            full().field("X-Pad", "p").field("X-Accel-Expires", "10").body("one"),
        ),
        from("a phrase of its own", "/a", answer(200).status_line("HTTP/1.1 200 Fine by me").body("one")),
        from("a phrase with odd bytes", "/a", answer(200).status_line("HTTP/1.1 200 Gr\u{fc}n").body("one")),
        from("no phrase", "/a", answer(200).status_line("HTTP/1.1 200 ").body("one")),
        from("no phrase, and no space before it", "/a", answer(200).status_line("HTTP/1.1 200").body("one"))
            .differs("RFC 9112, 4: the space belongs to every status line", &["< HTTP/1.1 200 \n"]),
    ]
}

fn more_heads() -> Vec<Case> {
    vec![
        from("an unknown status", "/a", answer(299).body("one")),
        from("a status over 599", "/a", answer(799).body("one")),
        from("HTTP/1.0", "/a", answer(200).status_line("HTTP/1.0 200 OK").body("one")),
        from(
            "all validators",
            "/a",
            answer(200)
                .field("ETag", "\"x\"")
                .field("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
                .body("one"),
        ),
        from(
            "types and encodings",
            "/a",
            answer(200)
                .field("Content-Type", "text/x; charset=utf-8")
                .field("Content-Encoding", "gzip")
                .body("one"),
        ),
        from("no type", "/a", answer(200).body("one")),
        from(
            "cookies in order",
            "/a",
            answer(200).field("Set-Cookie", "a=1").field("X", "y").field("Set-Cookie", "b=2").body("one"),
        ),
        from(
            "Connection and Keep-Alive are dropped",
            "/modern/a",
            answer(200).field("Keep-Alive", "5").field("Connection", "keep-alive").body("one"),
        ),
        from(
            "Connection: close of the origin is not the client's",
            "/modern/b",
            answer(200).field("Connection", "close").body("one").then_close(),
        ),
        from("an empty value", "/a", answer(200).field("X-Empty", "").body("one")),
        from("an invalid name is passed", "/a", answer(200).line("X_A: 1").line("X@B: 2").body("one")),
        from("Accept-Ranges of the origin", "/a", answer(200).field("Accept-Ranges", "bytes").body("one")),
        from(
            "a date that is none",
            "/a",
            answer(200).field("Last-Modified", "yesterday").field("Expires", "tomorrow").body("one"),
        ),
        from(
            "added to a proxied answer",
            "/expires/a",
            answer(200).field("Expires", "0").field("Cache-Control", "private").body("one"),
        ),
        from("not added to an error", "/expires/b", answer(404).body("one")),
        from(
            "an answer before the real one",
            "/modern/c",
            Reply::raw(
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            ),
        )
        .differs(
            "nginx 1.22 takes an early answer for the answer; 1.29 passes over or on",
            &["< HTTP/1.1 200 OK"],
        ),
    ]
}

fn accelerated() -> Vec<Case> {
    let redirect = |to: &str| answer(200).field("X-Accel-Redirect", to).field("X-A", "1").body("not this");
    vec![
        from("X-Accel-Redirect to a path", "/a", redirect("/instead")),
        from("X-Accel-Redirect to a named location", "/b", redirect("@instead")),
        from("X-Accel-Redirect keeps some fields", "/c", redirect("/instead").field("Set-Cookie", "a=b")),
        from(
            "X-Accel-Redirect keeps a type and how to cache",
            "/d",
            redirect("/instead").field("Content-Type", "a/b").field("Cache-Control", "no-cache"),
        ),
        from("X-Accel-Redirect out of what is served", "/e", redirect("/../instead")),
        from("X-Accel-Redirect to nowhere", "/f", redirect("@nowhere")),
        from("X-Accel-Redirect is not listened to", "/unheard/a", redirect("/instead")),
        from("X-Accel-Buffering", "/d", answer(200).field("X-Accel-Buffering", "no").body("one")),
    ]
}

fn redirects() -> Vec<Case> {
    let to = |name, path, location: &str| from(name, path, answer(302).field("Location", location).body(""));
    vec![
        to("a path stays", "/mapped/a", "/base/x"),
        to("another host stays", "/mapped/a", "http://elsewhere.test/base/x"),
        to("a relative location stays", "/mapped/a", "x/y"),
        from(
            "Refresh to another host stays",
            "/mapped/a",
            answer(200).field("Refresh", "5; url=http://elsewhere.test/").body(""),
        ),
        to("the origin itself is mapped back", "/mapped/a", "http://%ORIGIN%/base/x?y"),
        to("the origin outside of what is mapped stays", "/mapped/a", "http://%ORIGIN%/else/x"),
        to("the origin by itself, where nothing is mapped", "/a", "http://%ORIGIN%/x"),
        to("the origin itself stays with redirects off", "/unmapped/a", "http://%ORIGIN%/base/x"),
        from(
            "Refresh to the origin is mapped back",
            "/mapped/a",
            answer(200).field("Refresh", "5; url=http://%ORIGIN%/base/x").body(""),
        ),
        to("redirects off", "/unmapped/a", "http://elsewhere.test/base/x"),
        from("201 with a location", "/mapped/a", answer(201).field("Location", "/base/new").body("")),
        from(
            "Content-Location stays",
            "/mapped/a",
            answer(200).field("Content-Location", "/base/new").body(""),
        ),
    ]
}

fn bodies() -> Vec<Case> {
    let large = || "0123456789".repeat(2000);
    vec![
        from("a body beyond all buffers", "/a", answer(200).body(large())),
        from("a body beyond all buffers, chunked", "/modern/a", answer(200).chunked(&[&large(), "end"])),
        from("a body beyond all buffers, unbuffered", "/unbuffered/a", answer(200).body(large())),
        from(
            "a body that ends with the connection, unbuffered",
            "/unbuffered/b",
            answer(200).until_close("one"),
        ),
        from(
            "chunk extensions of the origin",
            "/modern/b",
            answer(200).field("Transfer-Encoding", "chunked").bytes("3;a=b\r\none\r\n0;c\r\n\r\n"),
        ),
        from(
            "chunks of an HTTP/1.0 answer",
            "/modern/c",
            answer(200).status_line("HTTP/1.0 200 OK").chunked(&["one"]).then_close(),
        ),
        from(
            "trailers of the origin",
            "/modern/d",
            answer(200).field("Transfer-Encoding", "chunked").chunk("one").bytes("0\r\nX-T: 1\r\n\r\n"),
        ),
        case("a range is the origin's business")
            .origin(answer(206).field("Content-Range", "bytes 0-1/3").body("on"))
            .get_with("/c", &["Range: bytes=0-1"]),
        case("a range of what the origin sent whole")
            .origin(answer(200).field("Accept-Ranges", "bytes").body("one"))
            .get_with("/d", &["Range: bytes=0-1"]),
        case("a forced range").origin(answer(200).body("one")).get_with("/forced/a", &["Range: bytes=0-1"]),
        case("several forced ranges")
            .origin(answer(200).body("letters"))
            .get_with("/forced/b", &["Range: bytes=0-1,3-4"]),
        case("304 for the client's condition")
            .origin(answer(304).field("ETag", "\"x\""))
            .get_with("/e", &["If-None-Match: \"x\""]),
        case("200 is checked against the client's condition")
            .origin(answer(200).field("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT").body("one"))
            .get_with("/f", &["If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"]),
        from("an error of the origin is passed", "/g", answer(404).field("X-A", "1").body("not here")),
        from("500 of the origin is passed", "/h", answer(500).body("broken")),
        from("an error is replaced where configured", "/intercept/a", answer(404).body("not here")),
        from("an error is replaced by a named location", "/intercept/b", answer(503).body("not now")),
        from("an error without a page of its own", "/intercept/c", answer(500).body("broken")),
    ]
}

fn broken() -> Vec<Case> {
    // As nginx: what has no head is passed on as HTTP/0.9, and only the end of the connection ends it.
    const CLOSING: &str = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    vec![
        case("nobody listens").get("/closed").get("/closed"),
        case("nobody listens, HEAD").head("/closed"),
        case("nobody listens, a page instead").get("/own-502"),
        from("closed without an answer", "/a", Reply::nothing()),
        from("reset without an answer", "/a", Reply::nothing().then_reset()),
        from("silence", "/a", Reply::silence()),
        from(
            "silence after the head",
            "/a",
            answer(200).declared(10).bytes("short").then(crate::support::reply::Part::AwaitClose),
        )
        .differs("what came is passed on before the timeout", &["< | short", "< (torn)"]),
        case("an answer without a head").origin(Reply::raw("just text\n")).send(CLOSING),
        from("half a head", "/a", Reply::raw("HTTP/1.1 200 OK\r\nX-A: 1\r\n")),
        from("a status below 100", "/a", Reply::raw("HTTP/1.1 099 Odd\r\nContent-Length: 3\r\n\r\none")),
        from("half a status line", "/a", Reply::raw("HTTP/1.1 2")),
        case("a status that is no number").origin(Reply::raw("HTTP/1.1 abc OK\r\n\r\n")).send(CLOSING),
        from("a line without a colon", "/a", answer(200).line("nonsense").body("one")),
        from("a space before the colon", "/a", answer(200).line("X-A : 1").body("one")),
        from("a folded line", "/a", answer(200).line("X-A: 1").line(" 2").body("one")),
        from("a zero byte in a value", "/a", answer(200).line("X-A: a\0b").body("one")),
        from("a head beyond its buffer", "/a", answer(200).field("X-Long", &"x".repeat(2000)).body("one")),
        from("a negative length", "/a", answer(200).line("Content-Length: -1").bytes("one").then_close())
            .differs(
                "as nginx since 1.23.0, a length that is no number is refused",
                &["< HTTP/1.1 502 Bad Gateway"],
            ),
        from(
            "two lengths",
            "/a",
            answer(200).line("Content-Length: 3").line("Content-Length: 3").bytes("one"),
        )
        .differs("as nginx since 1.23.0, two lengths are refused", &["< HTTP/1.1 502 Bad Gateway"]),
        from("a length and chunks", "/modern/a", answer(200).line("Content-Length: 3").chunked(&["one"]))
            .differs(
                "as nginx since 1.23.0, a length with chunks is refused",
                &["< HTTP/1.1 502 Bad Gateway"],
            ),
        from(
            "a chunk size that is no number",
            "/modern/b",
            answer(200).field("Transfer-Encoding", "chunked").bytes("x\r\n").then_close(),
        )
        .differs("a head is passed on before its body goes wrong", &["< HTTP/1.1 200", "< (torn)"]),
    ]
}
