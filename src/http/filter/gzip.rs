//! `gzip`: compresses answers for clients that accept it.
//!
//! Which answers, and which of their fields change, are nginx's rules. The body is compressed while it is sent.

mod accept;
mod body;

use std::time::SystemTime;

use config::{GzipConf, GzipVersion};
use http1::{RequestHead, Version, date};

pub use self::body::Compressing;
use super::{conditional::seconds, lose_length, weaken_etag};
use crate::http::{Body, Exchange, Response, response::Source, user_agent::is_msie6};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is not of the kind that is compressed.
    Unfit,
    /// It is, but not for this request.
    Plain,
    /// It is compressed.
    Compressed,
}

/// Says whether an answer is compressed.
pub(super) fn is_compressed(exchange: &Exchange, response: &Response, now: SystemTime) -> bool {
    let conf = &exchange.location.gzip;
    *conf.enable && judge(&exchange.head, conf, response, now) == Verdict::Compressed
}

/// Compresses an answer where the configuration and the request want it.
pub(super) fn compress(exchange: &Exchange, response: &mut Response, now: SystemTime) {
    let conf = &exchange.location.gzip;
    if !*conf.enable {
        return;
    }
    let verdict = judge(&exchange.head, conf, response, now);
    response.varies_by_encoding |= *conf.vary && verdict != Verdict::Unfit;
    if verdict != Verdict::Compressed {
        return;
    }
    response.fields.push(b"Content-Encoding", b"gzip");
    lose_length(response);
    weaken_etag(response);
    let body = std::mem::replace(&mut response.body, Body::Empty);
    let source = Source::Compressing(Box::new(Compressing::new(body, *conf.comp_level)));
    response.body = Body::Stream { source, window: None };
}

fn judge(request: &RequestHead, conf: &GzipConf, response: &Response, now: SystemTime) -> Verdict {
    let is_worth_it = response.content_length.is_none_or(|length| length >= *conf.min_length);
    let has_encoding = response.field("Content-Encoding").is_some_and(|encoding| !encoding.is_empty());
    let is_fit = matches!(response.status, 200 | 403 | 404)
        && is_worth_it
        && !has_encoding
        && !matches!(response.body, Body::Tunnel(_))
        && conf.types.contains(response.content_type.as_deref());
    match is_fit {
        false => Verdict::Unfit,
        true if may_compress(request, conf, response, now) => Verdict::Compressed,
        true => Verdict::Plain,
    }
}

/// Says whether this request may be answered with something compressed.
pub(super) fn may_compress(
    request: &RequestHead,
    conf: &GzipConf,
    response: &Response,
    now: SystemTime,
) -> bool {
    let least = match *conf.least_version {
        GzipVersion::V10 => Version::V1_0,
        GzipVersion::V11 => Version::V1_1,
    };
    let agent = request.fields.get("User-Agent");
    let is_disabled = |agent: &[u8]| {
        (conf.disable.msie6 && is_msie6(agent))
            // As nginx: an expression that gives up disables it.
            || conf.disable.agents.iter().any(|expression| expression.is_match(agent).unwrap_or(true))
    };
    request.fields.get("Accept-Encoding").is_some_and(accept::accepts_gzip)
        && request.version >= least
        && !agent.is_some_and(is_disabled)
        && (!request.fields.contains("Via") || may_compress_for_proxy(request, conf, response, now))
}

/// `gzip_proxied`, in nginx's order: the first field that says something about caching decides.
fn may_compress_for_proxy(
    request: &RequestHead,
    conf: &GzipConf,
    response: &Response,
    now: SystemTime,
) -> bool {
    let proxied = &*conf.proxied;
    if proxied.off || proxied.any {
        return proxied.any;
    }
    if proxied.auth && request.fields.contains("Authorization") {
        return true;
    }
    if let Some(expires) = response.field("Expires") {
        let sent = match response.field("Date") {
            Some(text) => date::parse(text),
            None => Some(seconds(now)),
        };
        let has_expired = date::parse(expires).zip(sent).is_some_and(|(expires, sent)| expires < sent);
        return proxied.expired && has_expired;
    }
    if response.field("Cache-Control").is_some() {
        return (proxied.no_cache && has_directive(response, "no-cache"))
            || (proxied.no_store && has_directive(response, "no-store"))
            || (proxied.private && has_directive(response, "private"));
    }
    let has_date = response.last_modified.is_some() || response.field("Last-Modified").is_some();
    let has_etag = response.field("ETag").is_some();
    !((proxied.no_last_modified && has_date) || (proxied.no_etag && has_etag))
}

/// Whether Cache-Control has a directive, without a value.
fn has_directive(response: &Response, name: &str) -> bool {
    let shared = response.shared.as_ref().map(|shared| &shared.fields);
    let mut lines =
        shared.into_iter().chain([&response.fields]).flat_map(|fields| fields.all("Cache-Control"));
    let is_it = |word: &[u8]| word.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    lines.any(|line| line.split(|byte| matches!(byte, b',' | b';')).any(is_it))
}

#[cfg(test)]
mod tests;
