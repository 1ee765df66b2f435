//! A request as h2 brings it becomes a head as the rest of Larder knows it. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use config::ServerCore;
use http::{HeaderMap, Method, Uri, request::Parts};
use http1::{Fields, RequestError, RequestHead, Version};

/// What a client asks for with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// An answer.
    Answer,
    /// A tunnel for this protocol (extended CONNECT, RFC 8441), asked for as HTTP/1.1 asks for it.
    Tunnel,
}

/// Fields of our own beside those that came.
const OWN_FIELDS: usize = 4;

/// Makes a head. What is wrong with it comes beside.
pub(super) fn head(parts: &Parts, core: &ServerCore) -> (RequestHead, Wish, Result<(), RequestError>) {
    let mut fields = Fields::with_capacity(parts.headers.len() + OWN_FIELDS, USUAL_BYTES);
    let host = host(&parts.uri, &parts.headers);
    if let Ok(Some(host)) = &host {
        fields.push(b"host", host);
    }
    let protocol = parts.extensions.get::<h2::ext::Protocol>().filter(|_| parts.method == Method::CONNECT);
    if let Some(protocol) = protocol {
        // RFC 8441, 5: what HTTP/1.1 does by a handshake of its own.
        fields.push(b"upgrade", protocol.as_str().as_bytes());
        fields.push(b"connection", b"upgrade");
        if protocol.as_str().eq_ignore_ascii_case("websocket") {
            fields.push(b"sec-websocket-key", websocket_key().as_bytes());
        }
    }
    let mut ignored = Fields::new();
    for (name, value) in &parts.headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        match name {
            b"host" => {}
            b"cookie" if fields.contains("cookie") => {}
            b"cookie" => fields.push(name, &cookies(&parts.headers)),
            _ if is_ignored(name, core) => ignored.push(&[name, b": ", value].concat(), b""),
            _ => fields.push(name, value),
        }
    }
    let checked =
        host.map(drop).and_then(|()| check_size(parts, core)).and_then(|()| check_method(&parts.method));
    let (method, wish) = match protocol {
        Some(_) => ("GET", Wish::Tunnel),
        None => (parts.method.as_str(), Wish::Answer),
    };
    let target = match parts.uri.path_and_query() {
        Some(target) => target.as_str(),
        None => parts.uri.authority().map_or("*", |authority| authority.as_str()),
    };
    (
        RequestHead::of_parts(method.as_bytes(), target.as_bytes(), Version::V2_0, fields, ignored),
        wish,
        checked,
    )
}

/// Room for the names and values of most requests.
const USUAL_BYTES: usize = 1024;

/// Returns who is asked. As nginx: `:authority` and Host may both be there only where they say the same.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a [u8]>, RequestError> {
    let mut host = uri.authority().map(|authority| authority.as_str().as_bytes());
    for field in headers.get_all(http::header::HOST) {
        let field = field.as_bytes();
        match host {
            Some(previous) if previous != field => {
                let line = |host: &[u8]| [b"host: ", host].concat();
                return Err(RequestError::DuplicateHost { line: line(field), previous: line(previous) });
            }
            Some(_) | None => host = Some(field),
        }
    }
    Ok(host)
}

/// Joins what clients split for the sake of compression (RFC 9113, 8.2.3).
fn cookies(headers: &HeaderMap) -> Vec<u8> {
    let values: Vec<&[u8]> =
        headers.get_all(http::header::COOKIE).iter().map(|value| value.as_bytes()).collect();
    values.join(&b"; "[..])
}

/// Whether a name is one that nginx calls invalid, and leaves out.
fn is_ignored(name: &[u8], core: &ServerCore) -> bool {
    let valid = |byte: &u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' => true,
        b'_' => *core.underscores_in_headers,
        _ => false,
    };
    *core.ignore_invalid_headers && !name.iter().all(valid)
}

/// As over HTTP/1: a method is of capital letters, `_` and `-`.
fn check_method(method: &Method) -> Result<(), RequestError> {
    let is_one = method.as_str().bytes().all(http1::is_method_byte);
    if is_one { Ok(()) } else { Err(RequestError::InvalidMethod) }
}

/// Keeps to the limits of `large_client_header_buffers`: each field by the size of a buffer, all together by that of all.
fn check_size(parts: &Parts, core: &ServerCore) -> Result<(), RequestError> {
    let buffers = &core.large_client_header_buffers;
    let mut left = buffers.size.saturating_mul(buffers.count as u64);
    let mut takes = |len: usize| {
        let len = len as u64;
        let fits = len <= buffers.size && len <= left;
        left = left.saturating_sub(len);
        fits
    };
    if !takes(parts.uri.path_and_query().map_or(0, |target| target.as_str().len())) {
        return Err(RequestError::TooLongUri);
    }
    for (name, value) in &parts.headers {
        if !takes(name.as_str().len() + value.len()) {
            return Err(RequestError::TooLongHeader { start: name.as_str().into() });
        }
    }
    if parts.headers.len() as u64 > *core.max_headers {
        return Err(RequestError::TooManyFields);
    }
    Ok(())
}

/// Makes the key that a handshake of HTTP/1.1 has: random bytes.
fn websocket_key() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("linux has had getrandom since 3.17");
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use config::{Buffers, Setting};
    use http::Request;

    use super::*;

    fn parts(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn text(head: &RequestHead) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        head.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_head_is_as_if_it_had_come_in_lines() {
        let fields = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("x_y", "1"), ("x!", "2")];
        let (head, wish, checked) =
            head(&parts("http://one.test:8080/a?b=c", &fields), &ServerCore::default());
        assert_eq!(checked, Ok(()));
        assert_eq!(wish, Wish::Answer);
        assert_eq!(head.request_line(), b"GET /a?b=c HTTP/2.0");
        assert_eq!((head.method_text(), head.protocol()), (&b"GET"[..], &b"HTTP/2.0"[..]));
        assert_eq!(head.path_and_query(), b"/a?b=c");
        assert_eq!(
            text(&head),
            owned(&[("host", "one.test:8080"), ("cookie", "a=1; b=2"), ("accept", "*/*")])
        );
        assert_eq!(head.ignored().collect::<Vec<_>>(), [&b"x_y: 1"[..], b"x!: 2"]);
    }

    #[test]
    fn a_host_may_be_named_twice_but_not_two_hosts() {
        for (uri, fields, wanted) in [
            ("http://a.test/", &[("host", "a.test")][..], Ok(Some("a.test"))),
            ("http://a.test/", &[], Ok(Some("a.test"))),
            ("/", &[("host", "a.test")], Ok(Some("a.test"))),
            ("/", &[], Ok(None)),
            ("http://a.test/", &[("host", "b.test")], Err(())),
            ("/", &[("host", "a.test"), ("host", "b.test")], Err(())),
        ] {
            let parts = parts(uri, fields);
            let found = host(&parts.uri, &parts.headers).map_err(drop);
            assert_eq!(found, wanted.map(|host| host.map(str::as_bytes)), "{uri} {fields:?}");
        }
    }

    #[test]
    fn heads_have_limits() {
        let core = ServerCore {
            large_client_header_buffers: Setting::written(Buffers { count: 2, size: 30 }),
            max_headers: Setting::written(3),
            ..ServerCore::default()
        };
        let long = "x".repeat(31);
        for (uri, fields, wanted) in [
            ("/", &[("a", "b")][..], None),
            (&*format!("/{long}"), &[], Some(RequestError::TooLongUri)),
            ("/", &[("a", &*long)], Some(RequestError::TooLongHeader { start: b"a".to_vec() })),
            (
                "/",
                &[("a", &long[4..]), ("b", &long[4..]), ("c", &long[4..])],
                Some(RequestError::TooLongHeader { start: b"c".to_vec() }),
            ),
            ("/", &[("a", ""), ("b", ""), ("c", ""), ("d", "")], Some(RequestError::TooManyFields)),
        ] {
            let (_, _, checked) = head(&parts(uri, fields), &core);
            assert_eq!(checked.err(), wanted, "{uri} {fields:?}");
        }
    }

    #[test]
    fn a_method_is_what_it_is_over_http_1() {
        for (method, wanted) in [
            ("GET", Ok(())),
            ("M-SEARCH", Ok(())),
            ("X_Y", Ok(())),
            ("get", Err(RequestError::InvalidMethod)),
            ("G~", Err(RequestError::InvalidMethod)),
        ] {
            let mut parts = parts("http://a.test/", &[]);
            parts.method = Method::from_bytes(method.as_bytes()).unwrap();
            let (_, _, checked) = head(&parts, &ServerCore::default());
            assert_eq!(checked, wanted, "{method}");
        }
    }

    #[test]
    fn a_tunnel_is_asked_for_as_in_http_1_1() {
        let mut parts = parts("http://a.test/chat", &[("sec-websocket-version", "13")]);
        parts.method = Method::CONNECT;
        parts.extensions.insert(h2::ext::Protocol::from_static("websocket"));
        let (head, wish, _) = head(&parts, &ServerCore::default());
        assert_eq!(wish, Wish::Tunnel);
        assert_eq!(head.request_line(), b"GET /chat HTTP/2.0");
        assert_eq!(head.fields.get("Upgrade"), Some(&b"websocket"[..]));
        assert_eq!(head.fields.get("Connection"), Some(&b"upgrade"[..]));
        assert_eq!(head.fields.get("Sec-WebSocket-Key").map(<[u8]>::len), Some(24));
        assert_eq!(head.fields.get("Sec-WebSocket-Version"), Some(&b"13"[..]));
    }
}
