//! Heads as clients see them, next to what nginx 1.22 makes of the same.

use http1::{Progress, ResponseParser};

use super::*;
use crate::http::proxy::request::fixture::exchange;

/// What is left in the list, and what went into slots.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    fields: String,
    slots: String,
    ranges: Ranges,
}

fn seen(location: &str, cache: Option<CacheStatus>, head: &str) -> Seen {
    let server = format!("location /one/ {{ proxy_pass http://127.0.0.1:8080/two/; {location} }}");
    let mut exchange = exchange(&server, "GET /one/ HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange.upstream.cache_status = cache;
    let mut parsed = ResponseHead::new();
    let text = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", head.replace('\n', "\r\n"));
    let done = ResponseParser::new().parse(text.as_bytes(), 4096, &mut parsed);
    assert!(matches!(done, Ok(Progress::Done(_))), "{done:?}");
    let response = to_client(&exchange, &parsed);
    let mut fields = Vec::new();
    http1::write_fields(&mut fields, &response.fields);
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let slots = [
        response.content_type.as_ref().map(text),
        response.content_length.map(|length| length.to_string()),
        response.location.map(|location| String::from_utf8_lossy(&location).into_owned()),
    ];
    Seen {
        fields: String::from_utf8_lossy(&fields).trim_end().replace("\r\n", "\n"),
        slots: slots.map(Option::unwrap_or_default).join("|"),
        ranges: response.ranges,
    }
}

fn wanted(fields: &str, slots: &str, ranges: Ranges) -> Seen {
    Seen { fields: fields.to_owned(), slots: slots.to_owned(), ranges }
}

const HEAD: &str = "X-A: 1\nDate: Sat, 01 Jan 2000 00:00:00 GMT\nServer: origin\nContent-Type: a/b\nUpgrade: h2c\nConnection: close\n\
    Accept-Ranges: bytes\nKeep-Alive: timeout=5\nSet-Cookie: a=b\nX-Accel-Expires: 5\nContent-Length: 2\nX-B: 2\nSet-Cookie: c=d";

#[tokio::test]
async fn fields_are_hidden_passed_and_put_in_their_places() {
    let miss = Some(CacheStatus::Miss);
    let cases = [
        (
            "passed through",
            seen("", None, HEAD),
            wanted(
                "X-A: 1\nUpgrade: h2c\nAccept-Ranges: bytes\nSet-Cookie: a=b\nX-B: 2\nSet-Cookie: c=d",
                "a/b|2|",
                Ranges::Refused,
            ),
        ),
        (
            "asked for by the cache: ranges are ours",
            seen("", miss, HEAD),
            wanted(
                "X-A: 1\nUpgrade: h2c\nSet-Cookie: a=b\nX-B: 2\nSet-Cookie: c=d",
                "a/b|2|",
                Ranges::Single,
            ),
        ),
        (
            "hidden and passed by name",
            seen(
                "proxy_hide_header x-a; proxy_hide_header set-cookie; proxy_pass_header server; proxy_pass_header X-Accel-Expires;",
                None,
                HEAD,
            ),
            wanted(
                "Server: origin\nUpgrade: h2c\nAccept-Ranges: bytes\nX-Accel-Expires: 5\nX-B: 2",
                "a/b|2|",
                Ranges::Refused,
            ),
        ),
        (
            "via us",
            seen("proxy_add_via on;", None, "Via: 1.0 origin\nX-A: 1"),
            wanted("Via: 1.0 origin\nX-A: 1\nVia: 1.1 larder", "||", Ranges::Refused),
        ),
        (
            "forced ranges",
            seen(
                "proxy_force_ranges on;",
                None,
                "Accept-Ranges: none\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            wanted("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "||", Ranges::Single),
        ),
    ];
    for (name, seen, wanted) in cases {
        assert_eq!(seen, wanted, "{name}");
    }
}

#[tokio::test]
async fn a_location_of_the_upstream_becomes_one_of_ours() {
    let cases = [
        ("default", "", "Location: http://127.0.0.1:8080/two/x", "", "||/one/x"),
        ("not ours", "", "Location: http://other/two/x", "Location: http://other/two/x", "||"),
        ("relative already", "", "Location: /two/x", "Location: /two/x", "||"),
        (
            "off",
            "proxy_redirect off;",
            "Location: http://127.0.0.1:8080/two/x",
            "Location: http://127.0.0.1:8080/two/x",
            "||",
        ),
        (
            "stays relative",
            "absolute_redirect off;",
            "Location: http://127.0.0.1:8080/two/x",
            "Location: /one/x",
            "||",
        ),
        (
            "absolute",
            "proxy_redirect http://a/ http://b/;",
            "location: http://a/c",
            "location: http://b/c",
            "||",
        ),
        ("refresh", "", "Refresh: 5; url=http://127.0.0.1:8080/two/x", "Refresh: 5; url=/one/x", "||"),
    ];
    for (name, location, head, fields, slots) in cases {
        assert_eq!(seen(location, None, head), wanted(fields, slots, Ranges::Refused), "{name}");
    }
}

#[tokio::test]
async fn a_charset_is_put_into_the_type() {
    let cases = [
        ("", "text/html", "utf-8", "text/html; charset=utf-8"),
        ("", "text/html; q=1", "utf-8", "text/html; q=1; charset=utf-8"),
        ("", "text/html; Charset=a", "utf-8", "text/html; Charset=a"),
        ("", "text/html", "off", "text/html"),
        ("", "text/html", "", "text/html"),
        ("", "", "utf-8", ""),
        ("proxy_ignore_headers X-Accel-Charset;", "text/html", "utf-8", "text/html"),
    ];
    for (location, content_type, charset, wanted) in cases {
        let head = format!("Content-Type: {content_type}\nX-Accel-Charset: {charset}");
        let wanted = self::wanted("", &format!("{wanted}||"), Ranges::Refused);
        assert_eq!(seen(location, None, &head), wanted, "{location} {content_type} {charset}");
    }
    let passed = seen("proxy_pass_header X-Accel-Charset;", None, "Content-Type: a/b\nX-Accel-Charset: c");
    assert_eq!(passed, wanted("X-Accel-Charset: c", "a/b; charset=c||", Ranges::Refused));
}

#[test]
fn an_unusual_reason_is_kept() {
    let reason_of = |text: &str| {
        let head = ResponseHead { status: 200, reason: text.as_bytes().to_vec(), ..ResponseHead::new() };
        reason(&head).map(|kept| String::from_utf8_lossy(&kept).into_owned())
    };
    assert_eq!(reason_of("OK"), None);
    assert_eq!(reason_of("Fine"), Some("Fine".to_owned()));
    assert_eq!(reason_of(""), Some(String::new()));
}
