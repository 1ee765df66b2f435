//! Heads between the two protocols: a request's text into what the engine of HTTP/2 takes, its answers into text. Pure.
//!
//! Answers become text of HTTP/1.1 and go through the same parser as others: so they mean the same to all that follows, and a file
//! of the cache can be read by nginx.

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use ::http1::Fields;

/// Whether a body follows a request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    Body,
    Nothing,
}

/// Translates the head of a request; none where it is none that HTTP/2 could carry.
///
/// What concerns a connection of HTTP/1 is left out, and so are fields whose name or value HTTP/2 does not allow.
pub(super) fn request(text: &[u8], scheme: Scheme, follows: Follows) -> Option<Request<()>> {
    let mut lines = lines(text);
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = words.next()?;
    let target = &target[..memchr::memrchr(b' ', target)?];
    let mut fields = HeaderMap::new();
    let mut host = None;
    for (name, value) in lines.filter_map(field) {
        if name == header::HOST && host.is_none() {
            host = Some(value);
        } else if let Some(value) = carried(&name, value, follows) {
            fields.try_append(name, value).ok()?;
        }
    }
    let authority = host.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let path = PathAndQuery::try_from(escaped(target)).ok()?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    match authority {
        Some(authority) => {
            *request.version_mut() = Version::HTTP_2;
            let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
            *request.uri_mut() = uri.build().ok()?;
        }
        // What is no authority, or absent, goes as it is: then there is no `:authority`.
        None => {
            *request.version_mut() = Version::HTTP_11;
            *request.uri_mut() = Uri::from(path);
            if let Some(host) = host {
                fields.insert(header::HOST, host);
            }
        }
    }
    *request.headers_mut() = fields;
    Some(request)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', line)?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// Returns what HTTP/2 has of a field's value (RFC 9113, 8.2.2).
fn carried(name: &HeaderName, value: HeaderValue, follows: Follows) -> Option<HeaderValue> {
    match name.as_str() {
        "host" | "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => None,
        "te" => ::http1::list_has_token(value.as_bytes(), "trailers")
            .then_some(HeaderValue::from_static("trailers")),
        // A body that is left out (`proxy_pass_request_body off`) is not announced: HTTP/2 takes that for a broken request.
        "content-length" if follows == Follows::Nothing && value != "0" => None,
        _ => Some(value),
    }
}

/// Escapes what the engine's paths cannot have. Clients seldom send any of it.
fn escaped(target: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(target.len());
    for &byte in target {
        match byte {
            b'!' | b'"' | b'$'..=b';' | b'=' | b'?'..=b'_' | b'a'..=b'~' => path.push(byte),
            _ => path.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    path
}

/// Writes the head of an answer as HTTP/1.1 has it.
pub(super) fn answer(response: &Response<()>) -> Vec<u8> {
    let mut text = Vec::with_capacity(HEAD_BYTES);
    ::http1::write_status_line(&mut text, response.status().as_u16(), None);
    for (name, value) in response.headers() {
        ::http1::write_field(&mut text, name.as_str().as_bytes(), value.as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Room for a head of usual size.
const HEAD_BYTES: usize = 1024;

/// Takes the fields behind a body over.
pub(super) fn trailers(map: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    fields
}

/// Makes the fields behind a request's body. RFC 9110, 6.5.1: those that say whose request it is, where it goes or how long it is
/// must not stand there.
pub(super) fn sent_trailers(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter() {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            continue;
        };
        let misplaced = ["authorization", "content-length", "cookie", "proxy-authorization", "te", "trailer"];
        if let Some(value) =
            carried(&name, value, Follows::Body).filter(|_| !misplaced.contains(&name.as_str()))
        {
            // A list beyond all measure is cut off.
            let _ = map.try_append(name, value);
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(text: &str, follows: Follows) -> Option<String> {
        let request = request(text.as_bytes(), Scheme::HTTP, follows)?;
        let mut shown = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        for (name, value) in request.headers() {
            shown += &format!("|{name}: {}", value.to_str().expect("text"));
        }
        Some(shown)
    }

    #[test]
    fn requests_are_translated() {
        use Follows::{Body, Nothing};
        for (name, text, follows, wanted) in [
            (
                "host becomes the authority, names are lower case, order is kept",
                "GET /a?b=c HTTP/1.1\r\nHost: example.com:81\r\nX-B: 1\r\nX-A: 2\r\n\r\n",
                Nothing,
                Some("GET http://example.com:81/a?b=c HTTP/2.0|x-b: 1|x-a: 2"),
            ),
            (
                "what concerns a connection stays here",
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nKeep-Alive: 5\r\n\
                 Proxy-Connection: close\r\nTransfer-Encoding: chunked\r\nTE: gzip\r\n\r\n",
                Nothing,
                Some("GET http://a/ HTTP/2.0"),
            ),
            (
                "of TE only trailers",
                "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n",
                Nothing,
                Some("GET http://a/ HTTP/2.0|te: trailers"),
            ),
            (
                "a body's length",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
                Body,
                Some("POST http://a/ HTTP/2.0|content-length: 5"),
            ),
            (
                "no length without a body",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
                Nothing,
                Some("POST http://a/ HTTP/2.0"),
            ),
        ] {
            assert_eq!(translate(text, follows).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn what_http2_has_otherwise_is_translated_or_left_out() {
        use Follows::Nothing;
        for (name, text, follows, wanted) in [
            (
                "an empty body's length",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                Nothing,
                Some("POST http://a/ HTTP/2.0|content-length: 0"),
            ),
            (
                "what is no authority is passed on",
                "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
                Nothing,
                Some("GET /x HTTP/1.1|host: a b"),
            ),
            ("no host at all", "GET /x HTTP/1.1\r\n\r\n", Nothing, Some("GET /x HTTP/1.1")),
            (
                "several fields of one name",
                "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\nX: 3\r\n\r\n",
                Nothing,
                Some("GET http://a/ HTTP/2.0|x: 1|x: 3|y: 2"),
            ),
            (
                "fields that HTTP/2 cannot have",
                "GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\nZ: \u{1}\r\n\r\n",
                Nothing,
                Some("GET http://a/ HTTP/2.0"),
            ),
            (
                "bytes that paths cannot have",
                "GET /a<b>#c|{d} HTTP/1.1\r\nHost: a\r\n\r\n",
                Nothing,
                Some("GET http://a/a%3Cb%3E%23c|{d} HTTP/2.0"),
            ),
            (
                "a space in the path",
                "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
                Nothing,
                Some("GET http://a/a%20b HTTP/2.0"),
            ),
            ("no method", " / HTTP/1.1\r\n\r\n", Nothing, None),
        ] {
            assert_eq!(translate(text, follows).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn trailers_are_passed_on_but_for_those_of_heads() {
        let fields: Fields =
            [("X-Sum", "42"), ("Host", "b"), ("Cookie", "a=1"), ("Content-Length", "5"), ("X Y", "1")]
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect();
        let sent = sent_trailers(&fields);
        assert_eq!((sent.len(), sent.get("x-sum")), (1, Some(&HeaderValue::from_static("42"))));
    }

    #[test]
    fn answers_become_text() {
        let response = Response::builder()
            .status(404)
            .header("content-type", "text/plain")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(())
            .expect("a response");
        let wanted: &[u8] =
            b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n";
        assert_eq!(answer(&response), wanted);
    }
}
