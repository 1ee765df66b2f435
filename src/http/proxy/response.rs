//! What a client is sent of an upstream's head: nginx's rules of hiding, passing and rewriting fields.

mod cookie;
mod redirect;
mod rewrite;

use std::time::{Duration, UNIX_EPOCH};

use ::cache::policy::{CacheStatus, rfc9111};
use bytes::Bytes;
use config::LocationConf;
use http1::ResponseHead;

pub(super) use self::redirect::location_for_client;
use self::redirect::{pass_location, pass_refresh};
use super::{cache, via};
use crate::http::{
    Exchange, Fault, Response,
    response::{Author, Conditions, LastModified, Ranges},
};

/// What is being done, for the log.
const READING_HEAD: &str = "reading response header from upstream";

/// Translates an upstream's head, or a stored one, into the client's. The body is the caller's.
pub fn to_client(exchange: &Exchange, head: &ResponseHead) -> Response {
    let location = &*exchange.location;
    let mut response = Response::new(head.status);
    response.content_length = None;
    response.author = Author::Upstream;
    response.reason = reason(head);
    let asked = asked_for(exchange);
    let changes_cookies = cookie::has_rules(&location.proxy);
    let follows_rfc = location.cache.follows_rfc();
    let writes_age = cache::fields::writes_age(&location.cache, &exchange.upstream.cache);
    let mut charset = None;
    response.conditions = match asked {
        AskedFor::Client => Conditions::Upstream,
        AskedFor::Cache => Conditions::Ours,
    };
    for (name, value) in head.fields.iter() {
        let role = Role::of(name);
        if role == Role::Charset {
            charset = Some(value);
        }
        if is_hidden(location, role, name) || (follows_rfc && is_of_connection(head, name)) {
            continue;
        }
        match role {
            Role::ContentType => response.content_type = Some(Bytes::copy_from_slice(value)),
            Role::ContentLength => response.content_length = decimal(value),
            Role::LastModified => {
                response.last_modified = Some(last_modified(value));
                response.fields.push(name, value);
            }
            Role::Location => pass_location(exchange, &mut response, name, value),
            Role::Refresh => pass_refresh(exchange, &mut response, name, value),
            Role::SetCookie if changes_cookies => {
                match cookie::rewrite_cookie(&location.proxy, value, exchange) {
                    Ok(value) => response.fields.push(name, &value),
                    Err(gave_up) => response.refused = Some(Box::new(Fault::gave_up(&gave_up, READING_HEAD))),
                }
            }
            Role::AcceptRanges if *location.proxy.force_ranges => {}
            Role::AcceptRanges if asked == AskedFor::Cache => response.ranges = Ranges::Single,
            Role::Age if writes_age => {}
            Role::Connection => {}
            Role::AcceptRanges
            | Role::SetCookie
            | Role::Charset
            | Role::Date
            | Role::OursUnlessPassed
            | Role::Age
            | Role::Other => response.fields.push(name, value),
        }
    }
    if let Some(charset) = charset.filter(|_| !location.proxy.ignore_headers.x_accel_charset) {
        add_charset(&mut response, charset);
    }
    // RFC 9110, 14.3: who has the whole can give parts of it, whatever the origin can.
    if *location.proxy.force_ranges || (follows_rfc && exchange.upstream.cache.held.is_some()) {
        response.ranges = Ranges::Single;
    }
    if *location.proxy.add_via {
        via::push(&mut response.fields, head.version);
    }
    response
}

/// RFC 9110, 7.6.1: what concerns one connection is not sent on; a change of protocol concerns both.
fn is_of_connection(head: &ResponseHead, name: &[u8]) -> bool {
    head.status != 101 && rfc9111::is_of_connection(&head.fields, name)
}

/// Obeys X-Accel-Charset, where the type does not name a charset already.
fn add_charset(response: &mut Response, charset: &[u8]) {
    let Some(content_type) = &mut response.content_type else { return };
    if content_type.is_empty() || charset.is_empty() || charset == b"off" || names_charset(content_type) {
        return;
    }
    *content_type = [content_type, &b"; charset="[..], charset].concat().into();
}

fn names_charset(content_type: &[u8]) -> bool {
    let mut parameters = content_type.split(|byte| *byte == b';').skip(1);
    parameters.any(|parameter| {
        let name = parameter.trim_ascii_start().get(..8);
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"charset="))
    })
}

/// Whether a trailer of an upstream goes to the client (`proxy_pass_trailers`).
pub fn passes_trailer(location: &LocationConf, name: &[u8]) -> bool {
    !is_hidden(location, Role::of(name), name)
}

/// Whether a head may come out otherwise for each request: the rules for values have variables.
pub(super) fn depends_on_request(location: &LocationConf, head: &ResponseHead) -> bool {
    head.fields.contains("Location")
        || head.fields.contains("Refresh")
        || (cookie::has_rules(&location.proxy) && head.fields.contains("Set-Cookie"))
}

/// For whom the upstream was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedFor {
    /// For the client, with the conditions that it set.
    Client,
    /// For the cache, which wants the whole.
    Cache,
}

fn asked_for(exchange: &Exchange) -> AskedFor {
    match exchange.upstream.cache_status {
        None | Some(CacheStatus::Scarce) => AskedFor::Client,
        Some(_) => AskedFor::Cache,
    }
}

/// What is special about a field of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ContentType,
    ContentLength,
    LastModified,
    Location,
    Refresh,
    SetCookie,
    AcceptRanges,
    /// How old it was where it came from.
    Age,
    /// X-Accel-Charset, hidden by default.
    Charset,
    /// Hidden by default, but for a cache after RFC 9111.
    Date,
    /// It concerns the upstream's connection.
    Connection,
    /// We write our own, or it was meant for us: hidden by default.
    OursUnlessPassed,
    Other,
}

impl Role {
    fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            3 if is("Age") => Self::Age,
            4 if is("Date") => Self::Date,
            5 if is("X-Pad") => Self::OursUnlessPassed,
            6 if is("Server") => Self::OursUnlessPassed,
            7 if is("Refresh") => Self::Refresh,
            8 if is("Location") => Self::Location,
            10 if is("Connection") || is("Keep-Alive") => Self::Connection,
            10 if is("Set-Cookie") => Self::SetCookie,
            12 if is("Content-Type") => Self::ContentType,
            13 if is("Last-Modified") => Self::LastModified,
            13 if is("Accept-Ranges") => Self::AcceptRanges,
            14 if is("Content-Length") => Self::ContentLength,
            15 if is("X-Accel-Charset") => Self::Charset,
            15 if is("X-Accel-Expires") => Self::OursUnlessPassed,
            16 if is("X-Accel-Redirect") => Self::OursUnlessPassed,
            17 if is("Transfer-Encoding") => Self::Connection,
            17 if is("X-Accel-Buffering") => Self::OursUnlessPassed,
            18 if is("X-Accel-Limit-Rate") => Self::OursUnlessPassed,
            _ => Self::Other,
        }
    }
}

/// Whether a field of a 103 goes to the client (`early_hints`).
pub(super) fn passes_ahead(location: &LocationConf, name: &[u8]) -> bool {
    let role = Role::of(name);
    !matches!(role, Role::Connection | Role::ContentLength) && !is_hidden(location, role, name)
}

/// Applies `proxy_hide_header` and `proxy_pass_header`.
fn is_hidden(location: &LocationConf, role: Role, name: &[u8]) -> bool {
    let is_in = |names: &[String]| names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
    let is_hidden_by_default = match role {
        Role::Charset | Role::OursUnlessPassed => true,
        Role::Date => !location.cache.follows_rfc(),
        _ => false,
    };
    // As nginx: a field that is hidden by name stays hidden, though it be passed by name too.
    is_in(&location.proxy.hide_header) || (is_hidden_by_default && !is_in(&location.proxy.pass_header))
}

/// Returns the reason phrase where it is not the usual one.
fn reason(head: &ResponseHead) -> Option<Bytes> {
    let usual = http1::reason(head.status).is_some_and(|usual| usual.as_bytes() == head.reason);
    (!usual).then(|| Bytes::copy_from_slice(&head.reason))
}

fn decimal(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok()?.parse().ok()
}

fn last_modified(value: &[u8]) -> LastModified {
    let time = http1::date::parse(value).and_then(|seconds| {
        let since = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) }
    });
    LastModified::Upstream(time)
}

#[cfg(test)]
mod tests;
