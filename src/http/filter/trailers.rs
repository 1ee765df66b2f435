//! `add_trailer` and `proxy_pass_trailers`: fields after a body.
//!
//! Only a chunked body can be followed by fields, so an answer that is to have some loses its Content-Length. Their
//! values are worked out at the end, when `$upstream_response_time` and the like are known.

use http1::{Fields, Method, Version};

use super::headers::is_fitting;
use crate::http::{Body, Exchange, Response, proxy::response::passes_trailer};

/// Makes an answer chunked where fields are to follow it and the client can have it so. HTTP/2 needs nothing for that.
pub(super) fn make_room(exchange: &Exchange, response: &mut Response) {
    let can_be_chunked = (Version::V1_1..Version::V2_0).contains(&exchange.head.version)
        && exchange.head.method != Method::Head
        && *exchange.location.core.chunked_transfer_encoding
        && !matches!(response.status, 100..=199 | 204 | 304)
        && !matches!(response.body, Body::Empty | Body::Tunnel(_));
    if can_be_chunked && added(exchange, response.status).next().is_some() {
        response.content_length = None;
    }
}

/// Makes the fields that follow the body of an answer.
pub fn trailers(exchange: &Exchange) -> Fields {
    let mut trailers = Fields::new();
    let location = &exchange.location;
    if *location.proxy.pass_trailers
        && let Some(passed) = &exchange.upstream.trailers
    {
        for (name, value) in passed.iter().filter(|(name, _)| passes_trailer(location, name)) {
            trailers.push(name, value);
        }
    }
    for rule in added(exchange, exchange.sent.status) {
        let value = rule.value.expand(exchange);
        if !value.is_empty() {
            trailers.push(&rule.name, &value);
        }
    }
    trailers
}

fn added(exchange: &Exchange, status: u16) -> impl Iterator<Item = &config::AddHeader> {
    let rules = exchange.location.headers.add_trailer.iter();
    rules.filter(move |rule| rule.always || is_fitting(status))
}
