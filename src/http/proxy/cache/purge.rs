//! Requests that purge instead of being answered (`proxy_cache_purge`), and the tags that answers can be purged by (`proxy_cache_tags`).
//!
//! What a request names is decided here; that it is gone everywhere at once is the store's doing. None of it ever goes to an upstream.

use std::sync::Arc;

use cache::{
    Durability, Key, Mode, Purge, PurgeError, Purged,
    purge::tags::{collect, group_tags, split},
};
use config::{CacheConf, ProxyPass};
use http1::{Fields, Method};

use super::{zone as zone_of, zone::Zone};
use crate::http::proxy::{any_true, request, transport};
use crate::{
    clock,
    error_log::{self, Level},
    http::{
        Exchange, Fault, Response,
        fault::{Kind, Retry, Side},
        phases::Ending,
        request_body,
    },
};

/// The request field that asks for a soft purge.
const SOFT: &str = "Soft-Purge";
/// The field of our answers that says what was done.
const PURGED: &[u8] = b"Larder-Purged";
/// The field whose tags belong to an origin (RFC 9875).
const GROUPS: &[u8] = b"Cache-Groups";

/// Whether a request is one that purges.
pub fn is_wanted(exchange: &Exchange) -> bool {
    let conditions = &exchange.location.cache.purge;
    !conditions.is_empty() && any_true(exchange, conditions)
}

/// Purges what the request names. As nginx: 204 where something was named, else 404.
pub async fn answer(exchange: &mut Exchange, pass: &ProxyPass) -> Ending {
    match try_answer(exchange, pass).await {
        Ok(response) => Ending::Answer(Box::new(response)),
        Err(fault) => Ending::Fail(fault),
    }
}

async fn try_answer(exchange: &mut Exchange, pass: &ProxyPass) -> Result<Response, Fault> {
    // Nobody is asked, but the key may name who would be.
    transport::target(exchange, pass).await?;
    if !exchange.body.is_done() {
        // As for any request with a key: the body may be part of it.
        request_body::collect(exchange).await?;
    }
    exchange.upstream.cache_status = None;
    let zone = zone_of(exchange)?.ok_or_else(|| Fault::status_only(404))?;
    let key = Key::new(request::cache_key(exchange, pass));
    let origin = tag_origin(exchange);
    let named = Named::of(&exchange.location.cache.tags, &exchange.head.fields, &origin, &key);
    let how = mode(&exchange.head.fields);
    // What is in memory may have no file yet.
    let is_held = named.kind == NameKind::Key && zone.holds(&key);
    let purged = purge(&zone, named.purges.clone(), how, Durability::Synced).await;
    let purged = purged.map_err(|error| failed(&zone, &error))?;
    let entries = if is_held { purged.entries.map(|entries| entries.max(1)) } else { purged.entries };
    if entries == Some(0) && named.kind != NameKind::All {
        return Err(Fault::status_only(404));
    }
    let mut response = Response::new(204);
    response.fields.push(PURGED, report(&named, how, entries).as_bytes());
    Ok(response)
}

/// Purges the groups that the answer to an unsafe method says have changed (RFC 9875, 3), before the client has the answer.
pub async fn invalidate_groups(exchange: &Exchange, zone: &Arc<Zone>) {
    let origin = tag_origin(exchange);
    let is_safe = matches!(
        exchange.method,
        Method::Get | Method::Head | Method::Options | Method::Trace | Method::Propfind
    );
    let Some(head) = exchange.upstream.head.as_ref().filter(|_| !is_safe && !origin.is_empty()) else {
        return;
    };
    let tags = group_tags(head.fields.all("Cache-Group-Invalidation"), &origin);
    if tags.is_empty() {
        return;
    }
    let names = tags.into_iter().map(Purge::Tag).collect();
    if let Err(error) = purge(zone, names, Mode::Hard, Durability::Committed).await {
        error_log::write(Level::Crit, format_args!("cache \"{}\": {error}", zone.path.name));
    }
}

/// The tags of an answer, as an entry keeps them. Nothing where the location wants none.
pub fn tags(conf: &CacheConf, head: &Fields, origin: &[u8]) -> Vec<u8> {
    collect(head, conf.tags.iter().map(Vec::as_slice), origin)
}

/// Whose groups the answers to a request are: scheme and host, as far as the location has use for them.
pub fn tag_origin(exchange: &Exchange) -> Vec<u8> {
    if !exchange.location.cache.tags.iter().any(|name| name.eq_ignore_ascii_case(GROUPS)) {
        return Vec::new();
    }
    let host = exchange.head.fields.get("host").unwrap_or(&exchange.host);
    [b"http://", &*host.to_ascii_lowercase()].concat()
}

/// What a request for a purge names.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    kind: NameKind,
    purges: Vec<Purge>,
}

/// By what it names that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameKind {
    Key,
    Prefix,
    Tag,
    All,
}

impl Named {
    /// Tags where the request has one of their fields, else its key: a star at the key's end stands for any rest.
    fn of(tag_fields: &[Vec<u8>], request: &Fields, origin: &[u8], key: &Key) -> Self {
        let has_tags = |name: &&Vec<u8>| request.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
        if tag_fields.iter().any(|name| has_tags(&name)) {
            let tags = collect(request, tag_fields.iter().map(Vec::as_slice), origin);
            let purges = split(&tags).map(|tag| Purge::Tag(tag.to_vec())).collect();
            return Self { kind: NameKind::Tag, purges };
        }
        let (kind, purge) = match key.text.strip_suffix(b"*") {
            None => (NameKind::Key, Purge::Key(key.digest)),
            Some(b"") => (NameKind::All, Purge::All),
            Some(prefix) => (NameKind::Prefix, Purge::Prefix(prefix.to_vec())),
        };
        Self { kind, purges: vec![purge] }
    }
}

fn mode(request: &Fields) -> Mode {
    match request.get(SOFT) {
        None | Some(b"" | b"0") => Mode::Hard,
        Some(_) => Mode::Soft,
    }
}

/// Says what was done, as an item of a structured field.
fn report(named: &Named, how: Mode, entries: Option<u64>) -> String {
    let mut text = match named.kind {
        NameKind::Key => "key".to_owned(),
        NameKind::Prefix => "prefix".to_owned(),
        NameKind::Tag => format!("tag;tags={}", named.purges.len()),
        NameKind::All => "all".to_owned(),
    };
    if let Some(entries) = entries {
        text.push_str(&format!(";entries={entries}"));
    }
    if how == Mode::Soft {
        text.push_str(";soft");
    }
    text
}

async fn purge(
    zone: &Arc<Zone>,
    names: Vec<Purge>,
    how: Mode,
    durability: Durability,
) -> Result<Purged, PurgeError> {
    let store = Arc::clone(&zone.store);
    let work = move || store.purge(&names, how, durability, clock::now());
    let done = tokio::task::spawn_blocking(work).await;
    // An error that is remembered is no answer to what was purged.
    zone.remembered.clear();
    done.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

fn failed(zone: &Zone, error: &PurgeError) -> Fault {
    Fault {
        side: Side::Server,
        kind: Kind::System,
        during: "",
        retry: Retry::Never,
        detail: format!("cache \"{}\": {error}", zone.path.name).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    #[test]
    fn a_request_names_tags_or_else_its_key() {
        let tag = |text: &str| Purge::Tag(text.as_bytes().to_vec());
        let named = |kind, purges: &[Purge]| Named { kind, purges: purges.to_vec() };
        let exact = Purge::Key(Key::new(b"/a".to_vec()).digest);
        let surrogate = &["Surrogate-Key"][..];
        type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a str, Named);
        let cases: [Case<'_>; 9] = [
            ("its key", surrogate, &[], "/a", named(NameKind::Key, std::slice::from_ref(&exact))),
            ("a prefix", surrogate, &[], "/a*", named(NameKind::Prefix, &[Purge::Prefix(b"/a".to_vec())])),
            ("a star in it is a character", surrogate, &[], "/*/a", {
                named(NameKind::Key, &[Purge::Key(Key::new(b"/*/a".to_vec()).digest)])
            }),
            ("two stars", surrogate, &[], "/a**", named(NameKind::Prefix, &[Purge::Prefix(b"/a*".to_vec())])),
            ("everything", surrogate, &[], "*", named(NameKind::All, &[Purge::All])),
            ("tags", surrogate, &[("surrogate-key", "x y")], "/a*", {
                named(NameKind::Tag, &[tag("x"), tag("y")])
            }),
            ("no tags in their field", surrogate, &[("Surrogate-Key", " ")], "/a", named(NameKind::Tag, &[])),
            (
                "another field",
                surrogate,
                &[("xkey", "x")],
                "/a",
                named(NameKind::Key, std::slice::from_ref(&exact)),
            ),
            ("groups of the host", &["Cache-Groups"], &[("Cache-Groups", "\"x\"")], "/a", {
                named(NameKind::Tag, &[tag("\u{1}http://h x")])
            }),
        ];
        for (name, tag_fields, lines, key, wanted) in cases {
            let tag_fields: Vec<_> = tag_fields.iter().map(|name| name.as_bytes().to_vec()).collect();
            let key = Key::new(key.as_bytes().to_vec());
            assert_eq!(Named::of(&tag_fields, &fields(lines), b"http://h", &key), wanted, "{name}");
        }
    }

    #[test]
    fn softly_where_the_request_says_so() {
        let cases =
            [(None, Mode::Hard), (Some(""), Mode::Hard), (Some("0"), Mode::Hard), (Some("1"), Mode::Soft)];
        for (value, wanted) in cases {
            let lines: Vec<_> = value.map(|value| ("soft-purge", value)).into_iter().collect();
            assert_eq!(mode(&fields(&lines)), wanted, "{value:?}");
        }
    }

    #[test]
    fn what_was_done_is_told_with_what_is_known() {
        let two = || Named { kind: NameKind::Tag, purges: vec![Purge::All, Purge::All] };
        let of = |kind| Named { kind, purges: vec![Purge::All] };
        let cases = [
            (of(NameKind::Key), Mode::Hard, Some(1), "key;entries=1"),
            (of(NameKind::Key), Mode::Soft, None, "key;soft"),
            (of(NameKind::Prefix), Mode::Hard, None, "prefix"),
            (two(), Mode::Soft, None, "tag;tags=2;soft"),
            (of(NameKind::All), Mode::Hard, Some(70), "all;entries=70"),
        ];
        for (named, how, entries, wanted) in cases {
            assert_eq!(report(&named, how, entries), wanted);
        }
    }
}
