//! The same answers over HTTP/1.1 and HTTP/2 are the same to clients.

use std::io::Read as _;

use crate::support::{
    Http2Origin, Origin, Response, Server, answer,
    client::To,
    http,
    http2_origin::{Act, Asked, whole},
    reply::Reply,
};

/// What an origin answers, whatever it speaks.
#[derive(Clone)]
struct Given {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Framed,
}

/// How a body is told from what follows it.
#[derive(Clone)]
enum Framed {
    None,
    Length(Vec<u8>),
    /// By chunks, or by nothing but the end of the stream.
    Pieces(Vec<&'static str>),
}

impl Given {
    fn over_http1(&self) -> Reply {
        let plain = match self.status {
            // HTTP/2 has no words for a status: these are nginx's.
            302 => answer(302).status_line("HTTP/1.1 302 Moved Temporarily"),
            status => answer(status),
        };
        let reply = self.fields.iter().fold(plain, |reply, (name, value)| reply.field(name, value));
        match &self.body {
            Framed::None => reply,
            Framed::Length(bytes) => reply.body(bytes),
            Framed::Pieces(pieces) => reply.chunked(pieces),
        }
    }

    fn over_http2(&self, asked: &Asked) -> Vec<Act> {
        let mut fields = self.fields.clone();
        if let Framed::Length(bytes) = &self.body {
            fields.push(("content-length", bytes.len().to_string()));
        }
        if asked.method == "HEAD" {
            return vec![Act::ReadBody, Act::Answer(self.status, fields)];
        }
        let bodies = match &self.body {
            Framed::None => return vec![Act::ReadBody, Act::Answer(self.status, fields)],
            Framed::Length(bytes) => vec![Act::Body(bytes.clone())],
            Framed::Pieces(pieces) => {
                pieces.iter().map(|piece| Act::Body(piece.as_bytes().to_vec())).collect()
            }
        };
        [vec![Act::ReadBody, Act::Head(self.status, fields)], bodies, vec![Act::End]].concat()
    }
}

/// What a client sees, but for the spelling of names and what tells of the time.
fn seen(response: &Response) -> String {
    let told = |(name, value): &(String, String)| match &name.to_ascii_lowercase()[..] {
        "date" => None,
        name => Some(format!("{name}: {}", value.replace(char::is_numeric, ""))),
    };
    let mut fields: Vec<_> = response.fields.iter().filter_map(told).collect();
    fields.sort();
    let body = match response.field("Content-Encoding") {
        Some(_) => {
            let mut body = Vec::new();
            // Where it was flushed is a matter of time.
            flate2::read::GzDecoder::new(&response.body[..]).read_to_end(&mut body).unwrap();
            body
        }
        None => response.body.clone(),
    };
    let (fields, body) = (fields.join("\n"), String::from_utf8_lossy(&body));
    format!("{}\n{fields}\n\n{body}\n{:?}", response.status_line, response.end)
}

fn request(method: &str, fields: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} /a HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n{body}")
}

fn check(name: &str, directives: &str, request: &str, given: &Given) {
    let http1 = {
        let given = given.clone();
        Origin::answering(move |_| given.over_http1())
    };
    let http2 = {
        let given = given.clone();
        Http2Origin::answering(move |asked| given.over_http2(asked))
    };
    let to = if request.starts_with("HEAD") { To::Head } else { To::Get };
    let ask = |version: &str, address| {
        let conf = http(&format!(
            "proxy_cache_path cache keys_zone=zone:1m;
            server {{ listen 127.0.0.1:%PORT%; location / {{
                proxy_pass http://%ORIGIN%; proxy_http_version {version};
                proxy_redirect http://inner/ /outer/; {directives} }}
                location /inside/ {{ return 200 inside; }} error_page 404 /inside/404; }}"
        ));
        let server = Server::start(&conf.origin_at(address));
        let answers = (0..2).map(|_| {
            let mut client = server.client();
            client.send(request);
            seen(&client.try_response(to).unwrap())
        });
        answers.collect::<Vec<_>>()
    };
    assert_eq!(ask("2", http2.address()), ask("1.1", http1.address()), "{name}");
    let bodies = http2.requests().into_iter().map(|asked| asked.body);
    let wanted = http1.requests().into_iter().map(|asked| asked.body);
    assert_eq!(bodies.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{name}: what the origins got");
}

/// A name, directives, a request, what the origin answers.
type Case<'a> = (&'a str, &'a str, String, Given);

fn check_all(cases: &[Case<'_>]) {
    for (name, directives, request, given) in cases {
        check(name, directives, request, given);
    }
}

fn with(status: u16, fields: &[(&'static str, &str)], body: Framed) -> Given {
    let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Given { status, fields, body }
}

fn length(text: &str) -> Framed {
    Framed::Length(text.as_bytes().to_vec())
}

fn pieces() -> Framed {
    Framed::Pieces(vec!["hel", "lo"])
}

fn get() -> String {
    request("GET", "", "")
}

/// Fields of a page that is one of many.
const PAGE: [(&str, &str); 3] =
    [("content-type", "text/html"), ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"), ("etag", "\"x\"")];

#[test]
fn answers_are_the_same() {
    let large = || Framed::Length(vec![b'x'; 3_000_000]);
    let slow = Framed::Length(vec![b'x'; 20_000]);
    check_all(&[
        ("a length", "", get(), with(200, &[], length("hello"))),
        ("pieces", "", get(), with(200, &[], pieces())),
        ("an empty body with a length", "", get(), with(200, &[], length(""))),
        ("pieces, not buffered", "proxy_buffering off;", get(), with(200, &[], pieces())),
        ("HEAD", "", request("HEAD", "", ""), with(200, &PAGE, length("hello"))),
        ("204", "", get(), with(204, &[("x-a", "1")], Framed::None)),
        ("304", "", get(), with(304, &PAGE, Framed::None)),
        ("404", "", get(), with(404, &[], length("missing"))),
        ("404, intercepted", "proxy_intercept_errors on;", get(), with(404, &[], length("missing"))),
        ("500", "", get(), with(500, &[], length("oh"))),
        ("not buffered as told", "", get(), with(200, &[("x-accel-buffering", "no")], pieces())),
        ("slowly", "proxy_limit_rate 100k;", get(), with(200, &[], slow)),
        ("large", "", get(), with(200, &[], large())),
        ("kept in a file", "proxy_store kept$uri;", get(), with(200, &[], length("hello"))),
    ]);
}

#[test]
fn fields_of_answers_are_the_same() {
    let cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2; path=/")];
    let gzip = "gzip on; gzip_min_length 1; gzip_types *; gzip_http_version 1.1;";
    let hidden = [("x-a", "1"), ("x-b", "2"), ("server", "me"), ("x-accel-expires", "1")];
    let redirect = [("location", "http://inner/x")];
    let inside = [("x-accel-redirect", "/inside/x")];
    let range = || request("GET", "Range: bytes=1-2\r\n", "");
    let known = request("GET", "If-None-Match: \"x\"\r\n", "");
    let compressing = request("GET", "Accept-Encoding: gzip\r\n", "");
    check_all(&[
        ("several fields of one name", "", get(), with(200, &cookies, length("x"))),
        ("cookies changed", "proxy_cookie_path / /b/;", get(), with(200, &cookies, length("x"))),
        ("a redirect", "", get(), with(302, &redirect, length(""))),
        ("hidden fields", "proxy_hide_header X-A;", get(), with(200, &hidden, length("x"))),
        ("passed fields", "proxy_pass_header Server;", get(), with(200, &hidden, length("x"))),
        ("sent on inside", "", get(), with(200, &inside, length("not this"))),
        ("compressed", gzip, compressing, with(200, &PAGE, pieces())),
        ("a range", "proxy_force_ranges on;", range(), with(200, &PAGE, length("hello"))),
        ("not modified", "", known, with(200, &PAGE, length("hello"))),
    ]);
}

#[test]
fn stored_answers_are_the_same() {
    let cached =
        "proxy_cache zone; proxy_cache_valid any 1h; add_header X-Cache $upstream_cache_status always;";
    let large = Framed::Length(vec![b'x'; 3_000_000]);
    let range = request("GET", "Range: bytes=1-2\r\n", "");
    check_all(&[
        ("stored", cached, get(), with(200, &PAGE, length("hello"))),
        ("stored pieces", cached, get(), with(200, &PAGE, pieces())),
        ("stored 404", cached, get(), with(404, &[], length("missing"))),
        ("stored, HEAD", cached, request("HEAD", "", ""), with(200, &PAGE, length("hello"))),
        ("stored, a range", cached, range, with(200, &PAGE, length("hello"))),
        ("not stored", cached, get(), with(200, &[("cache-control", "no-store")], length("hello"))),
        ("varies", cached, get(), with(200, &[("vary", "accept")], length("hello"))),
        ("large and stored", cached, get(), with(200, &[], large)),
    ]);
}

#[test]
fn requests_with_bodies_are_the_same() {
    let post = || request("POST", "", "some text");
    let kept_back = "proxy_pass_request_body off; proxy_set_header Content-Length '';";
    let answer = || with(200, &[], length("hello"));
    check_all(&[
        ("a body", "", post(), answer()),
        ("a body, not buffered", "proxy_request_buffering off;", post(), answer()),
        ("a body kept back", kept_back, post(), answer()),
        ("a body of ours", "proxy_set_body ours;", post(), answer()),
        ("another method", "proxy_method PUT;", post(), answer()),
    ]);
}

#[test]
fn a_page_is_put_together_from_parts_over_http2() {
    let origin = Http2Origin::answering(|asked| match asked.path() {
        "/page" => whole(200, "<!--#include virtual=\"/one\" -->-<!--#include virtual=\"/two\" -->"),
        path => whole(200, path),
    });
    let conf = http(
        "server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%ORIGIN%; proxy_http_version 2; ssi on; ssi_types *; } }",
    );
    let server = Server::start(&conf.origin_at(origin.address()));
    assert_eq!(server.get("/page").text(), "/one-/two");
}
