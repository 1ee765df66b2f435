//! Requests as upstreams see them; the wanted heads were taken from what nginx 1.22 sends.

use std::sync::Arc;

use config::Setting;

use super::{
    super::transport::target,
    fixture::{exchange, pass},
    *,
};
use crate::http::request_body;

/// Builds a request in a server block and returns it as it would be sent, with its body in memory.
async fn built(server: &str, request: &str, purpose: Purpose<'_>) -> String {
    let mut exchange = exchange(server, request);
    let location = Arc::clone(&exchange.location);
    let streams = !*location.proxy.request_buffering && may_stream(&exchange);
    if !streams {
        request_body::collect(&mut exchange).await.expect("a whole body");
    }
    target(&mut exchange, pass(&location)).await.expect("a group");
    let outgoing = build(&exchange, pass(&location), purpose).await.expect("a request");
    let mut text = String::from_utf8(outgoing.head).expect("text");
    match outgoing.body {
        OutgoingBody::Empty => {}
        OutgoingBody::Memory(bytes) => text.push_str(str::from_utf8(&bytes).expect("text")),
        OutgoingBody::File(slice) => text.push_str(&format!("<file of {}>", slice.len)),
        OutgoingBody::Client(framing) => text.push_str(&format!("<client, {framing:?}>")),
    }
    text.replace("\r\n", "\n")
}

const CLIENT: &str = "GET /a%20b/../c?x=%20#f HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nAccept: a\r\nTE: trailers\r\n\
    Keep-Alive: 5\r\nUpgrade: ws\r\nProxy-Connection: x\r\nX-A: 1\r\nExpect: y\r\nx-a: 2\r\nIf-None-Match: \"e\"\r\nRange: bytes=0-1\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\n\r\nabc";
const CHUNKED: &str =
    "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

const BEGUN: &str = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab";

#[tokio::test]
async fn fields_are_sent_in_nginxs_order() {
    let cases = [
        (
            "defaults",
            "location / { proxy_pass http://127.0.0.1:8080; }",
            CLIENT,
            "GET /a%20b/../c?x=%20#f HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\nAccept: a\n\
             Proxy-Connection: x\nX-A: 1\nx-a: 2\nIf-None-Match: \"e\"\nRange: bytes=0-1\n\n",
        ),
        (
            "what is set comes first, in its order and spelling",
            "location / { proxy_pass http://127.0.0.1; proxy_http_version 1.1; proxy_set_header X-One 1; \
             proxy_set_header connection \"\"; proxy_set_header X-A \"\"; proxy_set_header host $proxy_host:$proxy_port; \
             proxy_set_header X-One 2; proxy_set_header TE trailers; }",
            POST,
            "POST /x HTTP/1.1\nX-One: 1\nhost: 127.0.0.1:80\nX-One: 2\nTE: trailers\nContent-Length: 3\nX: y\n\nabc",
        ),
        (
            "an upgrade is sent on where it is set",
            "location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; \
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass_request_headers off; }",
            CLIENT,
            "GET /a%20b/../c?x=%20#f HTTP/1.1\nUpgrade: ws\nConnection: upgrade\nHost: 127.0.0.1:8080\n\n",
        ),
        (
            "a chunked body has a length once it was read",
            "location / { proxy_pass http://127.0.0.1:8080; }",
            CHUNKED,
            "POST /x HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\nContent-Length: 3\nX: y\n\nabc",
        ),
        (
            "a body that is passed on as it comes keeps its framing",
            "location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_request_buffering off; }",
            BEGUN,
            "POST /x HTTP/1.1\nHost: 127.0.0.1:8080\nConnection: close\nTransfer-Encoding: chunked\n\n<client, Chunked>",
        ),
        (
            "a body that is here already has a length",
            "location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_request_buffering off; }",
            CHUNKED,
            "POST /x HTTP/1.1\nHost: 127.0.0.1:8080\nConnection: close\nContent-Length: 3\nX: y\n\nabc",
        ),
        (
            "HTTP/1.0 has no chunks",
            "location / { proxy_pass http://127.0.0.1:8080; proxy_request_buffering off; }",
            CHUNKED,
            "POST /x HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\nContent-Length: 3\nX: y\n\nabc",
        ),
        (
            "the length stays where the body does not",
            "location / { proxy_pass http://127.0.0.1:8080; proxy_pass_request_body off; }",
            POST,
            "POST /x HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\nContent-Length: 3\nX: y\n\n",
        ),
        (
            "a body and a method of our own",
            "location / { proxy_pass http://127.0.0.1:8080; proxy_method PUT; proxy_set_body \"$request_method!\"; }",
            POST,
            "PUT /x HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\nContent-Length: 5\nX: y\n\nPOST!",
        ),
    ];
    for (name, server, request, wanted) in cases {
        assert_eq!(built(server, request, Purpose::Pass).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn the_uri_follows_proxy_pass() {
    let cases = [
        (
            "a URI replaces what the location matched",
            "location /a { proxy_pass http://127.0.0.1:8080/; } location /c { proxy_pass http://127.0.0.1:8080/two; }",
            "GET /a%20b/../c?x HTTP/1.0\r\n\r\n",
            "GET /two?x HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\n\n",
        ),
        (
            "variables are passed as they are",
            "location / { proxy_pass http://127.0.0.1:$arg_port/x%20y?$arg_port; }",
            "GET /a?port=8081 HTTP/1.0\r\n\r\n",
            "GET /x%20y?8081 HTTP/1.0\nHost: 127.0.0.1:8081\nConnection: close\n\n",
        ),
        (
            "variables without a URI pass the target on",
            "location / { proxy_pass http://127.0.0.1:$arg_port; }",
            "GET /a%20?port=80 HTTP/1.0\r\n\r\n",
            "GET /a%20?port=80 HTTP/1.0\nHost: 127.0.0.1\nConnection: close\n\n",
        ),
    ];
    for (name, server, request, wanted) in cases {
        assert_eq!(built(server, request, Purpose::Pass).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn a_cache_asks_for_the_whole_answer() {
    let server = "location / { proxy_pass http://127.0.0.1:8080; }";
    let request = CLIENT.replace("GET", "HEAD");
    let wanted = "GET /a%20b/../c?x=%20#f HTTP/1.0\nHost: 127.0.0.1:8080\nConnection: close\nAccept: a\n\
        Proxy-Connection: x\nX-A: 1\nx-a: 2\n\n";
    assert_eq!(built(server, &request, Purpose::Fill).await, wanted);
    let server = "location / { proxy_pass http://127.0.0.1:8080; proxy_cache_convert_head off; }";
    assert_eq!(built(server, &request, Purpose::Fill).await, wanted.replace("GET", "HEAD"));
}

#[tokio::test]
async fn methods_that_must_not_be_repeated_are_known() {
    for (method, wanted) in [
        ("GET", Repeat::Freely),
        ("PUT", Repeat::Freely),
        ("DELETE", Repeat::Freely),
        ("POST", Repeat::NotIdempotent),
        ("LOCK", Repeat::NotIdempotent),
        ("PATCH", Repeat::NotIdempotent),
    ] {
        let server = "location / { proxy_pass http://127.0.0.1:8080; }";
        let exchange = exchange(server, &format!("{method} / HTTP/1.0\r\n\r\n"));
        let outgoing = build(&exchange, pass(&exchange.location), Purpose::Pass).await.expect("a request");
        assert_eq!(outgoing.repeat(), wanted, "{method}");
        assert_eq!(outgoing.target(), b"/", "{method}");
    }
}

#[tokio::test]
async fn without_a_written_key_it_is_what_is_asked_of_whom() {
    let cases = [
        ("/ { proxy_pass http://127.0.0.1:8080; }", "http://127.0.0.1:8080/u/a%20b?c#d"),
        ("/u/ { proxy_pass http://127.0.0.1/v/; }", "http://127.0.0.1/v/a%20b?c"),
        ("/ { proxy_pass http://unix:/run/x.sock; }", "http://unix:/run/x.sock:/u/a%20b?c#d"),
        ("/ { proxy_pass http://unix:/run/x.sock:/v; }", "http://unix:/run/x.sock:/vu/a%20b?c"),
    ];
    for (location, wanted) in cases {
        let mut exchange = exchange(&format!("location {location}"), "GET /u/a%20b?c#d HTTP/1.0\r\n\r\n");
        let mut location = LocationConf::clone(&exchange.location);
        location.cache.key = Setting::written(Template::default());
        exchange.location = Arc::new(location);
        let key = cache_key(&exchange, pass(&exchange.location));
        assert_eq!(String::from_utf8_lossy(&key), wanted);
    }
}
