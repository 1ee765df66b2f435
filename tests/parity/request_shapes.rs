//! What origins are sent, for each kind of request and each way to pass it on: a table of both.

use super::{
    case::{Case, Group, case, request},
    run::compare,
};
use crate::support::{answer, servers};

#[test]
fn requests_of_all_shapes_are_passed_on() {
    compare(&group());
}

/// Ways to pass a request on: the location's name, and its directives.
const WAYS: &[(&str, &str)] = &[
    ("plain", ""),
    ("modern", "proxy_http_version 1.1;"),
    ("direct", "proxy_request_buffering off;"),
    ("modern-direct", "proxy_http_version 1.1; proxy_request_buffering off;"),
    ("no-body", "proxy_http_version 1.1; proxy_pass_request_body off; proxy_set_header Content-Length \"\";"),
    ("own-body", "proxy_set_body \"from=$arg_from&to=$request_method\";"),
    ("own-body-direct", "proxy_http_version 1.1; proxy_request_buffering off; proxy_set_body \"own\";"),
    ("empty-body", "proxy_set_body \"\";"),
    ("no-fields", "proxy_pass_request_headers off;"),
    (
        "nothing",
        "proxy_method GET; proxy_pass_request_headers off; proxy_pass_request_body off; proxy_set_header Content-Length \"\";",
    ),
    ("method", "proxy_method PUT;"),
    ("method-argument", "proxy_method $arg_method;"),
    ("method-text", "proxy_method \"X-$request_method\";"),
    ("in-file", "client_body_in_file_only clean;"),
    ("single-buffer", "client_body_in_single_buffer on; proxy_set_header X-Body \"[$request_body]\";"),
    (
        "small-buffer",
        "client_body_buffer_size 2; proxy_http_version 1.1; proxy_set_header X-Body \"[$request_body]\";",
    ),
];

/// Kinds of requests: name, method, more header lines, body.
const KINDS: &[(&str, &str, &[&str], &str)] = &[
    ("GET", "GET", &["X-A: 1", "Accept-Encoding: gzip"], ""),
    ("HEAD", "HEAD", &[], ""),
    ("POST with a length", "POST", &["Content-Type: text/x", "Content-Length: 5"], "hello"),
    ("POST of nothing", "POST", &["Content-Length: 0"], ""),
    ("PUT in chunks", "PUT", &["Transfer-Encoding: chunked"], "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    ("PATCH of no chunks", "PATCH", &["Transfer-Encoding: chunked"], "0\r\n\r\n"),
    ("DELETE", "DELETE", &[], ""),
    ("OPTIONS with a body", "OPTIONS", &["Content-Length: 2"], "ab"),
    ("a method of one's own", "BREW", &["Content-Length: 2"], "ab"),
];

/// Each kind on each way.
pub fn group() -> Group {
    let locations: String = WAYS
        .iter()
        .map(|(name, directives)| {
            format!("location /{name}/ {{ proxy_pass http://%ORIGIN%; {directives} }}\n")
        })
        .collect();
    let cases = WAYS.iter().flat_map(|(way, _)| KINDS.iter().map(move |kind| shaped(way, kind)));
    Group::new("shapes of requests", servers(&locations)).cases(cases)
}

fn shaped(way: &str, (name, method, lines, body): &(&str, &str, &[&str], &str)) -> Case {
    // Names live as long as the table they come from.
    let name: &'static str = format!("{way}: {name}").leak();
    let line = format!("{method} /{way}/?from=here&method=MOVE HTTP/1.1");
    case(name).origin(answer(200).body("seen")).send(request(&line, lines, body))
}
