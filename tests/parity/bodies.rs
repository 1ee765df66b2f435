//! Bodies of requests: framing, limits, `Expect`, and what an origin is sent.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, servers};

/// RFC 9110, 10.1.1: nothing is to be expected any more once the body is here.
const NOT_AWAITED: &str = "no 100 for a body that is here already, or that there is none of";

#[test]
fn bodies_of_requests() {
    compare(&group());
}

/// `/` buffers bodies, `/direct/` passes them on as they come, `/small/` takes ten bytes.
pub fn group() -> Group {
    let conf = servers(
        "client_max_body_size 1k; proxy_http_version 1.1;
        location / { proxy_pass http://%ORIGIN%; }
        location /direct/ { proxy_pass http://%ORIGIN%; proxy_request_buffering off; }
        location /old/ { proxy_pass http://%ORIGIN%; proxy_http_version 1.0; }
        location /small/ { client_max_body_size 10; proxy_pass http://%ORIGIN%; }
        location /any/ { client_max_body_size 0; proxy_pass http://%ORIGIN%; }
        location /bodyless/ { proxy_pass http://%ORIGIN%; proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }
        location /set/ { proxy_pass http://%ORIGIN%; proxy_set_body \"uri=$uri\"; }
        location /method/ { proxy_pass http://%ORIGIN%; proxy_method PUT; }
        location /static { return 200 static; }
        location /absent/ { return 404; }",
    );
    Group::new("bodies", conf)
        .cases(lengths())
        .cases(chunks())
        .cases(smuggling())
        .cases(expectations())
        .cases(replaced())
}

fn post(name: &'static str, path: &str, lines: &[&str], body: &str) -> Case {
    case(name).request(&format!("POST {path} HTTP/1.1"), lines, body)
}

fn answered(case: Case) -> Case {
    case.origin(answer(200).body("taken"))
}

fn lengths() -> [Case; 13] {
    [
        answered(post("a body of known length", "/", &["Content-Length: 5"], "hello")),
        answered(post("a body of no bytes", "/", &["Content-Length: 0"], "")),
        answered(post("POST without any framing", "/", &[], "")),
        answered(post("a body of known length, unbuffered", "/direct/", &["Content-Length: 5"], "hello")),
        answered(case("GET with a body").request("GET / HTTP/1.1", &["Content-Length: 5"], "hello")),
        answered(case("a body in pieces"))
            .pipeline(0, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
            .send("world"),
        answered(case("a body in pieces, unbuffered"))
            .pipeline(0, "POST /direct/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
            .send("world"),
        post("a length over the limit is refused", "/small/", &["Content-Length: 11"], "hello world"),
        answered(post("a length at the limit", "/small/", &["Content-Length: 10"], "helloworld")),
        answered(post("no limit", "/any/", &["Content-Length: 2000"], &"x".repeat(2000))),
        post("a length that is no number is refused", "/", &["Content-Length: abc"], ""),
        post("a negative length is refused", "/", &["Content-Length: -1"], ""),
        post("a length beyond 64 bits is refused", "/", &["Content-Length: 99999999999999999999"], ""),
    ]
}

fn chunks() -> [Case; 18] {
    const CHUNKED: &[&str] = &["Transfer-Encoding: chunked"];
    [
        answered(post("chunks", "/", CHUNKED, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")),
        answered(post("chunks, unbuffered", "/direct/", CHUNKED, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")),
        answered(post("chunks to an HTTP/1.0 origin", "/old/", CHUNKED, "5\r\nhello\r\n0\r\n\r\n")),
        answered(post("no chunks", "/", CHUNKED, "0\r\n\r\n")),
        answered(post("chunk extensions", "/", CHUNKED, "5;a=b;c\r\nhello\r\n0;x\r\n\r\n")),
        answered(post(
            "chunk sizes in upper case and with zeros",
            "/",
            CHUNKED,
            "000A\r\nhelloworld\r\n00\r\n\r\n",
        )),
        answered(post("chunks with bare line feeds", "/", CHUNKED, "5\nhello\n0\n\n")).differs(
            "a bare line feed in a chunk's framing is how requests are smuggled",
            &["< HTTP/1.1 400 Bad Request"],
        ),
        answered(post(
            "trailers are not passed",
            "/",
            CHUNKED,
            "5\r\nhello\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
        )),
        post("a chunk size that is no number is refused", "/", CHUNKED, "x\r\nhello\r\n0\r\n\r\n"),
        post("a chunk size that is no number, of a body nobody wants", "/absent/", CHUNKED, "x\r\n"),
        post("a chunk size that is no number, of a body that is not read", "/static", CHUNKED, "x\r\n"),
        post("a chunk size beyond 64 bits is refused", "/", CHUNKED, "fffffffffffffffff\r\nhello\r\n"),
        post("a chunk without its end is refused", "/", CHUNKED, "5\r\nhelloX\r\n0\r\n\r\n"),
        post("a good chunk before a broken one is sent to nobody", "/", CHUNKED, "5\r\nhello\r\nx\r\n"),
        post("a good chunk before a broken one, unbuffered", "/direct/", CHUNKED, "5\r\nhello\r\nx\r\n"),
        post("a broken chunk, unbuffered", "/direct/", CHUNKED, "x\r\nhello\r\n"),
        post("chunks over the limit are refused", "/small/", CHUNKED, "b\r\nhello world\r\n0\r\n\r\n"),
        answered(case("a chunk in pieces"))
            .pipeline(0, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r")
            .pipeline(0, "\nhel")
            .pipeline(0, "lo\r\n0\r\n")
            .send("\r\n"),
    ]
}

fn smuggling() -> [Case; 10] {
    const BODY: &str = "5\r\nhello\r\n0\r\n\r\n";
    [
        post(
            "chunked with a length is refused",
            "/",
            &["Content-Length: 15", "Transfer-Encoding: chunked"],
            BODY,
        ),
        post(
            "a length after chunked is refused",
            "/",
            &["Transfer-Encoding: chunked", "Content-Length: 15"],
            BODY,
        ),
        post("two lengths are refused", "/", &["Content-Length: 5", "Content-Length: 6"], "hello"),
        post("two equal lengths are refused", "/", &["Content-Length: 5", "Content-Length: 5"], "hello"),
        post("a list of lengths is refused", "/", &["Content-Length: 5, 5"], "hello"),
        post("a coding other than chunked is refused", "/", &["Transfer-Encoding: gzip"], BODY),
        post("a list of codings is refused", "/", &["Transfer-Encoding: gzip, chunked"], BODY),
        post("identity", "/", &["Transfer-Encoding: identity"], ""),
        case("chunked from an HTTP/1.0 client").request(
            "POST / HTTP/1.0",
            &["Transfer-Encoding: chunked"],
            BODY,
        ),
        post(
            "chunked twice is refused",
            "/",
            &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            BODY,
        ),
    ]
}

fn expectations() -> [Case; 6] {
    const HEAD: &str =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    [
        answered(case("an expectation with the body at once"))
            .send(format!("{HEAD}hello"))
            .differs(NOT_AWAITED, &["< HTTP/1.1 200 OK"]),
        answered(case("an expectation in upper case"))
            .send(HEAD.replace("100-continue", "100-CONTINUE") + "hello")
            .differs(NOT_AWAITED, &["< HTTP/1.1 200 OK"]),
        answered(case("an expectation from HTTP/1.0")).send(HEAD.replace("HTTP/1.1", "HTTP/1.0") + "hello"),
        answered(case("another expectation is ignored")).send(HEAD.replace("100-continue", "gold") + "hello"),
        case("an expectation for a body that is too large").send(HEAD.replace("th: 5", "th: 5000")),
        answered(case("an expectation without a body"))
            .request("GET / HTTP/1.1", &["Expect: 100-continue"], "")
            .differs(NOT_AWAITED, &["< HTTP/1.1 200 OK"]),
    ]
}

fn replaced() -> [Case; 10] {
    [
        answered(post(
            "a body that is not passed",
            "/bodyless/",
            &["Content-Length: 5", "Content-Type: a/b"],
            "hello",
        )),
        answered(post("a body that is replaced", "/set/x", &["Content-Length: 5"], "hello")),
        answered(case("a body given to a request without one").get("/set/y")),
        answered(case("another method").get("/method/a")),
        post("an answer that needs no body still reads it", "/static", &["Content-Length: 5"], "hello")
            .get("/static"),
        post(
            "chunks that nobody reads",
            "/static",
            &["Transfer-Encoding: chunked"],
            "5\r\nhello\r\n0\r\n\r\n",
        )
        .get("/static"),
        case("a chunk that says that it is too large is not waited for")
            .send("POST /small/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhe"),
        case("a chunk that would make the body too large is not waited for").send(
            "POST /small/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n8\r\nd",
        ),
        answered(case("PUT keeps its body")).request("PUT / HTTP/1.1", &["Content-Length: 2"], "ab"),
        answered(case("DELETE with a body")).request("DELETE / HTTP/1.1", &["Content-Length: 2"], "ab"),
    ]
}
