//! Request heads: what is accepted, what is refused with which status and text, and the limits.
//! Answers of a real nginx to the same bytes stand behind the tables.

use super::*;

fn rules() -> HeadRules {
    HeadRules::default()
}

/// Parses a whole head.
fn parse(text: &[u8], rules: &HeadRules) -> (Result<Progress, RequestError>, RequestHead) {
    let mut head = RequestHead::new();
    (RequestParser::new().parse(text, rules, &mut head), head)
}

fn done(text: &str, rules: &HeadRules) -> RequestHead {
    let (progress, head) = parse(text.as_bytes(), rules);
    assert_eq!(progress, Ok(Progress::Done(text.len())), "{text:?}");
    head
}

fn refused(text: &str, rules: &HeadRules) -> RequestError {
    parse(text.as_bytes(), rules).0.expect_err(text)
}

fn names(head: &RequestHead) -> Vec<&str> {
    head.fields.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect()
}

#[test]
fn a_head_and_its_parts() {
    let head = done("GET http://A.b:8/c?d#e HTTP/1.1\r\nHost: x\r\nA-b:  c \r\n\r\n", &rules());
    assert_eq!(head.method, Method::Get);
    assert_eq!(head.method_text(), b"GET");
    assert_eq!(head.target(), b"http://A.b:8/c?d#e");
    assert_eq!(head.request_line(), b"GET http://A.b:8/c?d#e HTTP/1.1");
    assert_eq!(head.protocol(), b"HTTP/1.1");
    assert_eq!(head.scheme(), Some(&b"http"[..]));
    assert_eq!(head.host(), Some(&b"A.b"[..]));
    assert_eq!(head.authority(), Some(&b"A.b:8"[..]));
    assert_eq!(head.path_and_query(), b"/c?d#e");
    assert_eq!(head.fields, [(&b"Host"[..], &b"x"[..]), (b"A-b", b"c")].into_iter().collect());
    let origin = done("POST /a HTTP/1.0\n\n", &rules());
    assert_eq!((origin.scheme(), origin.host(), origin.authority()), (None, None, None));
    assert_eq!(origin.path_and_query(), b"/a");
    assert_eq!(done("GET http://a HTTP/1.0\r\n\r\n", &rules()).path_and_query(), b"/");
}

#[test]
fn what_follows_a_head_is_left() {
    let text = b"\r\n\n\rGET / HTTP/1.1\r\nA: b\r\n\r\nGET /next HTTP/1.1";
    assert_eq!(parse(text, &rules()).0, Ok(Progress::Done(text.len() - 18)));
    let simple = b"GET /a\r\nGET /b\r\n";
    let (progress, head) = parse(simple, &rules());
    assert_eq!(progress, Ok(Progress::Done(8)));
    assert_eq!((head.version, head.protocol()), (Version::V0_9, &b""[..]));
}

#[test]
fn pieces_give_the_same_head() {
    let text = b"\r\nGET /a HTTP/1.1\r\nHost: b\r\nx_y: z\r\nA@: b\r\n\r\n";
    for step in 1..text.len() {
        let (mut parser, mut head) = (RequestParser::new(), RequestHead::new());
        for end in (0..text.len()).step_by(step) {
            assert_eq!(
                parser.parse(&text[..end], &rules(), &mut head),
                Ok(Progress::NeedMore),
                "{step} {end}"
            );
        }
        assert_eq!(parser.parse(text, &rules(), &mut head), Ok(Progress::Done(text.len())), "{step}");
        assert_eq!(head, parse(text, &rules()).1, "{step}");
    }
}

#[test]
fn a_reused_head_allocates_nothing_new() {
    let text = b"GET /some/path HTTP/1.1\r\nHost: b\r\nAccept: text/html\r\n\r\n";
    let (mut parser, mut head) = (RequestParser::new(), RequestHead::new());
    parser.parse(text, &rules(), &mut head).unwrap();
    let line = (head.line.as_ptr(), head.line.capacity());
    for _ in 0..3 {
        parser.reset();
        head.clear();
        assert_eq!(parser.parse(text, &rules(), &mut head), Ok(Progress::Done(text.len())));
        assert_eq!((head.line.as_ptr(), head.line.capacity()), line);
    }
    assert_eq!(head, parse(text, &rules()).1);
}

#[test]
fn statuses_and_log_texts() {
    let line = "while reading client request line";
    let fields = "while reading client request headers";
    for (text, status, log) in [
        ("get / HTTP/1.1\r\n\r\n", 400, format!("client sent invalid method {line}")),
        ("GET /a b HTTP/1.1\r\n\r\n", 400, format!("client sent invalid request {line}")),
        ("GET / HTTP/2.0\r\n\r\n", 505, format!("client sent invalid version {line}")),
        ("POST /\r\n", 400, format!("client sent invalid method in HTTP/0.9 request {line}")),
        (
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            400,
            format!("client sent invalid header line: \"A\\x20...\" {fields}"),
        ),
        (
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            400,
            format!("client sent invalid header line: \"A: b\\x0d...\" {fields}"),
        ),
    ] {
        let error = refused(text, &rules());
        assert_eq!((error.status(), error.to_string()), (status, log), "{text:?}");
    }
}

#[test]
fn a_refused_line_is_kept_for_the_log() {
    for (text, line) in [
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/2.0"),
        ("\r\nget /", "get /"),
        ("GET /a b\n", "GET /a b"),
    ] {
        let (progress, head) = parse(text.as_bytes(), &rules());
        assert!(progress.is_err(), "{text:?}");
        assert_eq!(head.request_line(), line.as_bytes());
    }
}

#[test]
fn a_refused_simple_request_is_answered_as_one() {
    assert_eq!(parse(b"POST /\r\n", &rules()).1.version, Version::V0_9);
    assert_eq!(parse(b"POST / HTTP/3.0\r\n", &rules()).1.version, Version::V1_1);
}

#[test]
fn other_protocols_are_refused_at_once() {
    for text in [&b"\x16\x03\x01"[..], b"g", b"GET\t", b" ", b"\r\n\x80"] {
        assert_eq!(parse(text, &rules()).0, Err(RequestError::InvalidMethod), "{text:?}");
    }
    for text in [&b"G"[..], b"GET", b"GET ", b"GET \x16"] {
        assert_eq!(parse(text, &rules()).0, Ok(Progress::NeedMore), "{text:?}");
    }
}

#[test]
fn invalid_names() {
    let text = "GET / HTTP/1.1\r\na: 1\r\nb_c: 2\r\nd@: 3\r\ne: 4\r\n\r\n";
    let kept = |invalid_names, underscores| HeadRules { invalid_names, underscores, ..rules() };
    for (rules, wanted, ignored) in [
        (kept(InvalidNames::Ignored, Underscores::Invalid), &["a", "e"][..], &["b_c: 2", "d@: 3"][..]),
        (kept(InvalidNames::Ignored, Underscores::Valid), &["a", "b_c", "e"], &["d@: 3"]),
        (kept(InvalidNames::Kept, Underscores::Invalid), &["a", "b_c", "d@", "e"], &[]),
        (kept(InvalidNames::Kept, Underscores::Valid), &["a", "b_c", "d@", "e"], &[]),
    ] {
        let head = done(text, &rules);
        assert_eq!(names(&head), wanted, "{rules:?}");
        let lines: Vec<&str> = head.ignored().map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert_eq!(lines, ignored, "{rules:?}");
    }
}

#[test]
fn lines_must_fit_a_buffer() {
    let rules = HeadRules { first_buffer_bytes: 64, max_line_bytes: 128, max_large_buffers: 2, ..rules() };
    assert_eq!(rules.max_head_bytes(), 64 + 2 * 128);
    let line = |len: usize| format!("GET /{} HTTP/1.0\r\n", "a".repeat(len - 16));
    let field = |len: usize| format!("A: {}\r\n", "a".repeat(len - 5));
    let head = |lines: &[String]| lines.concat() + "\r\n";
    done(&head(&[line(62)]), &rules);
    done(&head(&[line(128), field(128)]).replace("\r\n\r\n", "\n\n"), &rules);
    assert_eq!(refused(&line(129), &rules), RequestError::TooLongUri);
    assert!(matches!(refused(&head(&[line(30), field(129)]), &rules), RequestError::TooLongHeader { .. }));
    // One more buffer than there are: the first line takes one, each field another.
    let full = head(&[line(128), field(128), field(20)]);
    assert!(matches!(refused(&full, &rules), RequestError::TooLongHeader { .. }));
    // A first buffer larger than the others takes a line that these would not.
    let wide = HeadRules { first_buffer_bytes: 300, ..rules };
    done(&head(&[line(200)]), &wide);
}

#[test]
fn limits_are_the_same_for_pieces() {
    let rules = HeadRules { first_buffer_bytes: 32, max_line_bytes: 40, max_large_buffers: 1, ..rules() };
    for (text, wanted) in [
        (format!("GET /{}", "a".repeat(60)), RequestError::TooLongUri),
        (
            format!("GET / HTTP/1.0\r\nA: {}", "a".repeat(60)),
            RequestError::TooLongHeader { start: format!("A: {}", "a".repeat(37)).into_bytes() },
        ),
    ] {
        let (mut parser, mut head) = (RequestParser::new(), RequestHead::new());
        let error =
            (0..text.len()).find_map(|end| parser.parse(&text.as_bytes()[..end], &rules, &mut head).err());
        assert_eq!(error, Some(wanted), "{text:?}");
    }
}

#[test]
fn empty_lines_without_end_are_refused() {
    let text = b"\r\n".repeat(600);
    assert_eq!(parse(&text[..1022], &rules()).0, Ok(Progress::NeedMore));
    assert_eq!(parse(&text, &rules()).0, Err(RequestError::InvalidRequest));
    let with_request = [&text[..], b"GET / HTTP/1.0\r\n\r\n"].concat();
    assert_eq!(parse(&with_request, &rules()).0, Err(RequestError::InvalidRequest), "all at once");
}

#[test]
fn too_many_fields() {
    let rules = HeadRules { max_fields: 2, ..rules() };
    done("GET / HTTP/1.0\r\nA: 1\r\nB_: 2\r\nC: 3\r\n\r\n", &rules);
    assert_eq!(
        refused("GET / HTTP/1.0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", &rules),
        RequestError::TooManyFields
    );
}

#[test]
fn checks_of_a_whole_head() {
    for (fields, wanted) in [
        ("/ HTTP/1.1\r\nHost: a\r\n", Ok(Framing::Empty)),
        ("/ HTTP/1.0\r\n", Ok(Framing::Empty)),
        ("/ HTTP/1.1\r\n", Err((400, "client sent HTTP/1.1 request without \"Host\" header"))),
        ("/ HTTP/1.1\r\nHost:\r\n", Err((400, "client sent invalid host header"))),
        ("/ HTTP/1.1\r\nHost: a b\r\n", Err((400, "client sent invalid host header"))),
        ("/ HTTP/1.0\r\nHost: a/b\r\n", Err((400, "client sent invalid host header"))),
        (
            "/ HTTP/1.1\r\nHost: a\r\nHOST: b\r\n",
            Err((400, "client sent duplicate host header: \"HOST: b\", previous value: \"Host: a\"")),
        ),
        ("http://a/ HTTP/1.1\r\nHost: b\r\n", Ok(Framing::Empty)),
        ("http://a/ HTTP/1.1\r\nHost: b/\r\n", Err((400, "client sent invalid host header"))),
        ("http://a/ HTTP/1.1\r\n", Err((400, "client sent HTTP/1.1 request without \"Host\" header"))),
        ("http://a..b/ HTTP/1.0\r\n", Err((400, "client sent invalid host in request line"))),
        ("http:/// HTTP/1.0\r\n", Err((400, "client sent invalid host in request line"))),
        ("http://:80/ HTTP/1.0\r\n", Err((400, "client sent invalid host in request line"))),
        ("/ HTTP/1.0\r\nContent-Length: 3\r\n", Ok(Framing::Length(3))),
        (
            "/ HTTP/1.0\r\nContent-Length: 3\r\nContent-length: 3\r\n",
            Err((
                400,
                "client sent duplicate header line: \"Content-length: 3\", previous value: \"Content-Length: 3\"",
            )),
        ),
        ("/ HTTP/1.0\r\nContent-Length: x\r\n", Err((400, "client sent invalid \"Content-Length\" header"))),
        (
            "/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
            Err((400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header")),
        ),
        ("/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
        (
            "/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n",
            Err((501, "client sent unknown \"Transfer-Encoding\": \"gzip\"")),
        ),
        (
            "/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            Err((400, "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time")),
        ),
        ("/ HTTP/1.0\r\nAccept: a\r\nAccept: b\r\nCookie: c\r\nCookie: d\r\n", Ok(Framing::Empty)),
    ] {
        let head = done(&format!("GET {fields}\r\n"), &rules());
        let wanted = wanted
            .map_err(|(status, log)| (status, format!("{log} while reading client request ")))
            .map_err(|(status, log)| {
                let part = if log.contains("in request line") { "line" } else { "headers" };
                (status, log + part)
            });
        let got = check_request(&head).map_err(|error| (error.status(), error.to_string()));
        assert_eq!(got, wanted, "{fields:?}");
    }
}

#[test]
fn fields_that_may_be_there_once() {
    for (name, once) in [
        ("Authorization", true),
        ("Expect", true),
        ("If-Match", true),
        ("If-Modified-Since", true),
        ("If-None-Match", true),
        ("If-Range", true),
        ("If-Unmodified-Since", true),
        ("Content-Range", true),
        ("User-Agent", false),
        ("Range", false),
        ("Referer", false),
        ("Content-Type", false),
        ("Connection", false),
        ("X-Any", false),
    ] {
        let head = done(&format!("GET / HTTP/1.0\r\n{name}: a\r\n{name}: b\r\n\r\n"), &rules());
        assert_eq!(check_request(&head).is_err(), once, "{name}");
    }
}

#[test]
fn methods_that_are_not_served() {
    for (line, status, log) in [
        ("CONNECT a:443 HTTP/1.1", 405, "client sent CONNECT method while reading client request headers"),
        ("CONNECT / HTTP/1.1", 405, "client sent CONNECT method while reading client request headers"),
        ("TRACE / HTTP/1.1", 405, "client sent TRACE method while reading client request headers"),
    ] {
        let error = check_request(&done(&format!("{line}\r\nHost: a\r\n\r\n"), &rules())).unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (status, log), "{line}");
    }
}

#[test]
fn the_host_of_a_request() {
    for (text, name, port) in [
        ("GET / HTTP/1.1\r\nHost: A.b.:81\r\n\r\n", "a.b", Some(81)),
        ("GET http://C:82/ HTTP/1.1\r\nHost: a\r\n\r\n", "c", Some(82)),
    ] {
        let head = done(text, &rules());
        let host = check_host(&head).unwrap().unwrap();
        assert_eq!((&*host.name, host.port), (name.as_bytes(), port), "{text:?}");
    }
    assert_eq!(check_host(&done("GET / HTTP/1.0\r\n\r\n", &rules())), Ok(None));
}
