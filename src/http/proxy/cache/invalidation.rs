//! What becomes of the cache when a request changes something (RFC 9111, 4.4; RFC 9110, 9.3.3).
//!
//! A success of an unsafe or unknown method invalidates what is stored for its URI, and for those of the same origin that Location and
//! Content-Location name: all is as if it had been purged. The answer to a POST may be stored for GETs that come later.

mod reference;

use std::sync::Arc;

use cache::{Durability, Key, Mode, Purge};
use config::{Content, Found, LocationConf, ProxyPass};
use http1::{
    HeadRules, Method, Progress, RequestHead, RequestParser, ResponseHead,
    uri::{MergeSlashes, normalize},
};

use self::reference::{Base, resolve, without_needless_escapes};
use super::{cached, zone, zone::Zone};
use crate::http::proxy::{
    ask, deliver,
    request::{self, Purpose},
    response,
};
use crate::{
    clock,
    error_log::Level,
    http::{Exchange, fault, phases::Ending, subrequest},
    upstream::Group,
};

/// Whether a request goes past the cache, and may change what is in it.
pub(super) fn concerns(exchange: &Exchange) -> bool {
    exchange.location.cache.follows_rfc() && !is_safe(exchange.method)
}

/// Whether a method promises to change nothing. As those that are not known, the others do not.
fn is_safe(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options | Method::Trace | Method::Propfind)
}

/// Passes such a request on, and does with the cache what its answer means.
pub(super) async fn pass_on(
    exchange: &mut Exchange,
    pass: &ProxyPass,
    group: &Arc<Group>,
    zone: Arc<Zone>,
) -> Ending {
    let asked_at = clock::now();
    let incoming = match ask(exchange, pass, group, Purpose::Pass).await {
        Ok(incoming) => incoming,
        Err(fault) => return Ending::Fail(fault),
    };
    if (200..400).contains(&incoming.head.status) {
        let places = places(exchange, pass, &zone, &incoming.head);
        for place in places {
            invalidate(exchange, place).await;
        }
    }
    if exchange.method != Method::Post || !is_what_a_get_gets(exchange, &incoming.head) {
        return deliver(exchange, group, incoming);
    }
    let key = key_of_get(exchange, pass);
    cached::store(exchange, pass, group, (zone, key), asked_at, incoming).await
}

/// What may be stored for a URI.
struct Place {
    zone: Arc<Zone>,
    key: Key,
}

/// The places of the request's own URI, and of those that its answer names.
fn places(exchange: &mut Exchange, pass: &ProxyPass, zone: &Arc<Zone>, head: &ResponseHead) -> Vec<Place> {
    let mut places = vec![Place { zone: Arc::clone(zone), key: key_of_get(exchange, pass) }];
    let own = without_needless_escapes(exchange.head.path_and_query());
    for target in named_targets(exchange, head).into_iter().chain(own) {
        places.extend(place_of(exchange, &target));
    }
    places
}

/// The key under which a GET of the same URI finds what is stored.
fn key_of_get(exchange: &mut Exchange, pass: &ProxyPass) -> Key {
    let Some(head) = head_of_get(exchange, exchange.head.target()) else {
        return Key::new(request::cache_key(exchange, pass));
    };
    let method = std::mem::replace(&mut exchange.method, Method::Get);
    let head = std::mem::replace(&mut exchange.head, head);
    let key = Key::new(request::cache_key(exchange, pass));
    exchange.method = method;
    exchange.head = head;
    key
}

/// The head of a GET for another target, with the same fields.
fn head_of_get(exchange: &Exchange, target: &[u8]) -> Option<RequestHead> {
    let line = [b"GET ", target, b" HTTP/1.1\r\n\r\n"].concat();
    let rules =
        HeadRules { max_line_bytes: line.len(), first_buffer_bytes: line.len(), ..HeadRules::default() };
    let mut head = RequestHead::new();
    let parsed = RequestParser::new().parse(&line, &rules, &mut head);
    head.fields = exchange.head.fields.clone();
    matches!(parsed, Ok(Progress::Done(_))).then_some(head)
}

fn base(exchange: &Exchange) -> Base<'_> {
    let authority = exchange.head.authority().or_else(|| exchange.head.fields.get("Host"));
    let scheme = exchange.client.scheme();
    Base { scheme, authority: authority.unwrap_or_default(), target: exchange.head.path_and_query() }
}

/// The targets of the same origin that an answer names.
fn named_targets(exchange: &Exchange, head: &ResponseHead) -> Vec<Vec<u8>> {
    let location = head.fields.get("Location").map(|value| response::location_for_client(exchange, value));
    let content_location = head.fields.get("Content-Location").map(Into::into);
    let references = location.into_iter().chain(content_location);
    let targets = references.filter_map(|reference| resolve(&base(exchange), &reference));
    // Whoever asks for it may write it either way.
    targets
        .flat_map(|target| {
            let plain = without_needless_escapes(&target);
            [Some(target), plain].into_iter().flatten()
        })
        .collect()
}

/// Whether the answer to a POST is what a GET of the same URI would get: its Content-Location says so.
fn is_what_a_get_gets(exchange: &Exchange, head: &ResponseHead) -> bool {
    let mut named = head.fields.all("Content-Location");
    let (Some(named), None) = (named.next(), named.next()) else { return false };
    let base = base(exchange);
    let parts = |target: &[u8]| {
        let uri = normalize(target, MergeSlashes::Kept).ok()?;
        Some((uri.path.into_owned(), uri.args.map(<[u8]>::to_vec)))
    };
    let named = resolve(&base, named).and_then(|target| parts(&target));
    named.is_some() && named == parts(base.target)
}

/// Where a GET of another URI would be stored: in the location that it leads to.
fn place_of(exchange: &Exchange, target: &[u8]) -> Option<Place> {
    let head = head_of_get(exchange, target)?;
    let merge = if *exchange.server.core.merge_slashes { MergeSlashes::Merged } else { MergeSlashes::Kept };
    let uri = normalize(head.path_and_query(), merge).ok()?;
    let (path, args) = (uri.path.into_owned(), uri.args.unwrap_or_default().to_vec());
    let mut imagined = subrequest::imagine(exchange, head, path, args);
    let server = Arc::clone(&exchange.server);
    let Some(Found::Location { location, captures }) = server.locations.find(&imagined.uri) else {
        return None;
    };
    imagined.caught(captures);
    imagined.location = Arc::clone(location);
    let zone = zone(&imagined).ok()??;
    let location: &LocationConf = location;
    let Content::Proxy(pass) = &location.content else { return None };
    Some(Place { zone, key: Key::new(request::cache_key(&imagined, pass)) })
}

/// Purges what a place has. What is not there needs none, so that the record of purges does not grow with each request.
async fn invalidate(exchange: &Exchange, Place { zone, key }: Place) {
    let has_parts = zone.store.holds_parts(&key);
    if !has_parts && !zone.holds(&key) && zone.find(&key, &key.digest).await.is_none() {
        return;
    }
    zone.remembered.forget(&key.digest);
    let store = Arc::clone(&zone.store);
    let purges = [Purge::Key(key.digest)];
    let work = move || store.purge(&purges, Mode::Hard, Durability::Committed, clock::now());
    if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
        let name = &zone.path.name;
        fault::report(exchange, Level::Crit, format_args!("cache \"{name}\": {error}"));
    }
}
