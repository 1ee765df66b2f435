//! Connections: what is kept, what is closed, and requests that follow each other closely.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn connections() {
    compare(&group());
}

/// Port `a` keeps a connection for two requests, port `b` for none.
pub fn group() -> Group {
    let conf = http(
        "keepalive_timeout 60s 50s; chunked_transfer_encoding on;
        server {
            listen 127.0.0.1:%PORT%;
            location / { return 200 \"$request_uri $connection_requests\\n\"; }
            location /proxied/ { proxy_pass http://%ORIGIN%; }
            location /unchunked/ { proxy_pass http://%ORIGIN%; proxy_http_version 1.1; chunked_transfer_encoding off; }
            location /modern/ { proxy_pass http://%ORIGIN%; proxy_http_version 1.1; }
            location /empty { return 204; }
            location /silent { return 444; }
        }
        server {
            listen 127.0.0.1:%PORT:a%; keepalive_requests 2;
            location / { return 200 \"$request_uri\\n\"; }
        }
        server {
            listen 127.0.0.1:%PORT:b%; keepalive_timeout 0;
            location / { return 200 \"$request_uri\\n\"; }
        }",
    );
    Group::new("connections", conf).cases(kept()).cases(pipelined()).cases(framed()).cases(upstream())
}

fn kept() -> [Case; 13] {
    [
        case("HTTP/1.1 is kept").get("/1").get("/2"),
        case("Connection: close").get_with("/", &["Connection: close"]),
        case("Connection: close in upper case").get_with("/", &["Connection: CLOSE"]),
        case("close in a list of options").get_with("/", &["Connection: foo, close"]),
        case("Connection: keep-alive").get_with("/", &["Connection: keep-alive"]),
        case("HTTP/1.0 is closed").send("GET /1 HTTP/1.0\r\n\r\n"),
        case("HTTP/1.0 with keep-alive").send("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").get("/2"),
        case("the limit of requests").on("a").get("/1").get("/2"),
        case("a connection that is never kept").on("b").get("/1"),
        case("a client that stops sending still gets its answer").get("/1").half_close(),
        case("no answer at all").get("/silent"),
        case("an answer without a body").get("/empty").get("/2"),
        case("HEAD and what follows").head("/1").get("/2"),
    ]
}

fn pipelined() -> [Case; 7] {
    const GETS: &str = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    [
        case("two requests in one piece").pipeline(2, GETS),
        case("ten requests in one piece").pipeline(10, GETS.repeat(5)),
        case("an empty line between two requests").pipeline(2, GETS.replace("\r\n\r\nGET", "\r\n\r\n\r\nGET")),
        case("HEAD and GET in one piece").pipeline(2, GETS.replacen("GET", "HEAD", 1)),
        case("a broken request after a good one").pipeline(2, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nget / HTTP/1.1\r\n\r\n"),
        case("a body and the next request in one piece")
            .origin(answer(200).body("one"))
            .pipeline(2, "POST /proxied/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
        case("chunks and the next request in one piece").origin(answer(200).body("one")).pipeline(
            2,
            "POST /proxied/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
             GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
    ]
}

fn framed() -> [Case; 9] {
    [
        case("a body that ends with the origin's connection becomes chunks")
            .origin(answer(200).until_close("all of it"))
            .get("/proxied/a"),
        case("a body that ends with the origin's connection, to HTTP/1.0")
            .origin(answer(200).until_close("all of it"))
            .send("GET /proxied/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        case("without chunks the end is the end of the connection")
            .origin(answer(200).chunked(&["one", "two"]))
            .get("/unchunked/a"),
        case("chunks of the origin").origin(answer(200).chunked(&["one", "two"])).get("/modern/a"),
        case("chunks of the origin, to HTTP/1.0")
            .origin(answer(200).chunked(&["one", "two"]))
            .send("GET /modern/b HTTP/1.0\r\n\r\n"),
        case("no chunks but the last").origin(answer(200).chunked(&[])).get("/modern/c"),
        case("HEAD of a chunked answer").origin(answer(200).chunked(&["one"])).head("/modern/d"),
        case("HEAD of an answer with a length").origin(answer(200).body("one")).head("/modern/e"),
        case("204 of the origin").origin(answer(204)).get("/modern/f"),
    ]
}

fn upstream() -> [Case; 4] {
    [
        case("304 of the origin with a length")
            .origin(answer(304).declared(5))
            .get("/modern/g")
            .get("/after"),
        case("a length that is not reached")
            .origin(answer(200).declared(10).bytes("short").then_close())
            .get("/modern/h"),
        case("chunks that are not finished")
            .origin(answer(200).field("Transfer-Encoding", "chunked").chunk("short").then_close())
            .get("/modern/i"),
        case("more bytes than the length")
            .origin(answer(200).declared(3).bytes("onetwo").then_close())
            .get("/modern/j"),
    ]
}
