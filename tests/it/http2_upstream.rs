//! `proxy_http_version 2`: requests to origins over HTTP/2.

mod answers;
mod connections;
mod failures;
mod same_as_http1;
mod secured;

use crate::support::{Conf, Http2Origin, http};

/// A configuration that passes everything to an origin over HTTP/2, over connections that are kept.
fn proxied(directives: &str, origin: &Http2Origin) -> Conf {
    with_upstream("keepalive 4;", directives, origin)
}

/// The same with an upstream of the test's own.
fn with_upstream(upstream: &str, directives: &str, origin: &Http2Origin) -> Conf {
    http(&format!(
        "upstream origin {{ server %ORIGIN%; {upstream} }}
        server {{ listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass http://origin; proxy_http_version 2; {directives} }} }}"
    ))
    .origin_at(origin.address())
}
