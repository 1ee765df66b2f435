//! Request lines: what is a request, and what the program makes of its target.

use super::{
    case::{Case, Group, case, request},
    run::compare,
};
use crate::support::servers;

#[test]
fn request_lines() {
    compare(&group());
}

/// Targets are shown by what `$request_uri`, `$uri`, `$args` and others hold.
pub fn group() -> Group {
    let conf = servers(
        r#"large_client_header_buffers 4 1k;
        location / {
            return 200 "method=$request_method request_uri=$request_uri uri=$uri args=$args host=$host
proto=$server_protocol request=$request\n";
        }
    }
    server {
        listen 127.0.0.1:%PORT:a%;
        merge_slashes off;
        location / { return 200 "unmerged uri=$uri\n"; }"#,
    );
    Group::new("request line", conf).cases(targets()).cases(absolute()).cases(methods()).cases(versions())
}

fn targets() -> Vec<Case> {
    vec![
        case("a plain request").get("/a"),
        case("arguments").get("/a?b=c&d"),
        case("an empty argument list").get("/a?"),
        case("two question marks").get("/a?b?c"),
        case("a fragment stays in the request URI").get("/a#frag"),
        case("a fragment after arguments").get("/a?b=c#frag"),
        case("percent-encoding is decoded in the path").get("/%61%2Fb"),
        case("an encoded question mark belongs to the path").get("/a%3Fb"),
        case("an encoded zero byte is refused").get("/a%00b"),
        case("a broken percent-encoding is refused").get("/a%zz"),
        case("a percent sign at the end is refused").get("/a%"),
        case("an encoded percent sign").get("/a%25b"),
        case("a plus sign stays").get("/a+b"),
        case("dot segments").get("/a/./b/../c"),
        case("dot segments at the end").get("/a/b/.."),
        case("one dot at the end").get("/a/b/."),
        case("three dots are a name").get("/a/.../b"),
        case("encoded dot segments").get("/a/%2e%2e/b"),
        case("above the root is refused").get("/../a"),
        case("above the root in the middle is refused").get("/a/../../b"),
        case("double slashes are merged").get("//a///b"),
        case("double slashes are kept where merging is off").on("a").get("//a///b/../c//./d"),
        case("slashes in arguments are not merged").get("/a?b//c/../d"),
        case("bytes above 127 in the target").send(b"GET /\xc3\xa9\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("angle brackets and backtick in the target").get("/<a>`{}|\\^\""),
        case("a control byte in the target").send("GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("a space in the target").send("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("several spaces between parts")
            .send("GET  /a   HTTP/1.1  \r\nHost: a\r\n\r\n")
            .differs("the version is told without the spaces around it", &["| proto=HTTP/1.1 request="]),
        case("a tab between parts").send("GET\t/a\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    ]
}

fn absolute() -> Vec<Case> {
    vec![
        case("an absolute target").send("GET http://example.com/a/../b?c HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target with a port")
            .send("GET http://example.com:81/a HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target without a path")
            .send("GET http://example.com HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target with arguments and no path")
            .send("GET http://example.com?a HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target with an IPv6 host")
            .send("GET http://[::1]:80/a HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target of another scheme")
            .send("GET ftp://example.com/a HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target with user information")
            .send("GET http://me@example.com/a HTTP/1.1\r\nHost: other\r\n\r\n"),
    ]
}

fn methods() -> Vec<Case> {
    vec![
        case("an asterisk as target").send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("CONNECT is refused")
            .send("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")
            .differs("as nginx since 1.21.1 where it knows the method", &["< HTTP/1.1 405 Not Allowed"]),
        case("TRACE is refused").send(request("TRACE / HTTP/1.1", &[], "")),
        case("a target without a leading slash").send("GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("an unknown method").send(request("BREW /pot HTTP/1.1", &[], "")),
        case("a method with a dash and an underscore").send(request("M-SEARCH_X / HTTP/1.1", &[], "")),
        case("a lower-case method is refused").send(request("get / HTTP/1.1", &[], "")),
        case("a method with a digit is refused").send(request("GET1 / HTTP/1.1", &[], "")),
        case("DELETE is a method as any").send(request("DELETE /a HTTP/1.1", &[], "")),
    ]
}

fn versions() -> Vec<Case> {
    let long_path = |length: usize| format!("GET /{} HTTP/1.1", "x".repeat(length));
    vec![
        case("HTTP/1.0 without a host").send("GET /a HTTP/1.0\r\n\r\n"),
        case("HTTP/1.0 that asks to keep the connection")
            .send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        case("HTTP/0.9").send("GET /a\r\n"),
        case("HTTP/0.9 with a bare line feed").send("GET /a\n"),
        case("HTTP/0.9 with a method other than GET").send("POST /a\r\n"),
        case("HTTP/1.2 is served as 1.1").send(request("GET /a HTTP/1.2", &[], "")),
        case("HTTP/1.15").send(request("GET /a HTTP/1.15", &[], "")),
        case("HTTP/1.100").send(request("GET /a HTTP/1.100", &[], "")),
        case("HTTP/2.0 is refused").send(request("GET /a HTTP/2.0", &[], "")),
        case("HTTP/0.9 spelled out is refused").send(request("GET /a HTTP/0.9", &[], "")),
        case("a version without a number is refused").send(request("GET /a HTTP/", &[], "")),
        case("a version in lower case is refused").send(request("GET /a http/1.1", &[], "")),
        case("an empty line before the request").send("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("several empty lines before the request").send("\r\n\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("bare line feeds throughout").send("GET /a HTTP/1.1\nHost: a\n\n"),
        case("a carriage return inside the line is refused").send("GET /a HTTP/1.1\rX\r\nHost: a\r\n\r\n"),
        case("a space before the method is refused").send(" GET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("a line that just fits a large buffer").send(request(&long_path(990), &[], "")),
        case("a line over a large buffer is refused").send(request(&long_path(1100), &[], "")),
        case("a TLS handshake is refused").send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ]
}
