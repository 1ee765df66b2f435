//! What an answer says of the cache that it went through: `Cache-Status` (RFC 9211) and `Age`.
//!
//! Both stand behind the fields of the upstream, so that a shared head stays shared.

use std::{io::Write, time::SystemTime};

use cache::policy::CacheStatus;
use config::{CacheConf, CacheName};

use crate::{
    clock,
    http::{Exchange, Response, cache_facts::CacheFacts, exchange::UpstreamFacts},
};

/// Adds the fields that the location asks for.
pub fn add(exchange: &Exchange, response: &mut Response) {
    let conf = &exchange.location.cache;
    let facts = &exchange.upstream;
    if writes_age(conf, &facts.cache)
        && let Some(age) = age_s(facts, clock::now())
    {
        response.fields.push(b"Age", age.to_string().as_bytes());
    }
    if let Some(name) = &*conf.status {
        let status = facts.tries.last().and_then(|last| last.status);
        response.fields.push(b"Cache-Status", &member(name, &facts.cache, status, clock::now()));
    }
}

/// Whether the upstream's `Age` gives way to ours.
pub fn writes_age(conf: &CacheConf, facts: &CacheFacts) -> bool {
    (*conf.age || conf.follows_rfc()) && facts.held.is_some()
}

/// The age to be told: always of what comes from the cache, else where the upstream told one.
fn age_s(facts: &UpstreamFacts, now: SystemTime) -> Option<u64> {
    let told = || facts.head.as_ref().is_some_and(|head| head.fields.contains("Age"));
    let is_told = facts.cache_status.is_some_and(CacheStatus::is_from_cache) || told();
    let age = facts.cache.age(facts.head.as_deref(), now).filter(|_| is_told)?;
    Some(age.as_secs())
}

/// Spells one member of `Cache-Status`.
fn member(name: &CacheName, facts: &CacheFacts, forward_status: Option<u16>, now: SystemTime) -> Vec<u8> {
    let mut out = name.as_item().to_vec();
    let mut push =
        |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("memory takes all that is written");
    match facts.forward {
        None => push(format_args!("; hit")),
        Some(forward) => {
            push(format_args!("; fwd={}", forward.as_str()));
            if let Some(status) = forward_status {
                push(format_args!("; fwd-status={status}"));
            }
            if facts.stored {
                push(format_args!("; stored"));
            }
            if facts.collapsed {
                push(format_args!("; collapsed"));
            }
        }
    }
    if let Some(held) = facts.held {
        push(format_args!("; ttl={}", held.ttl_s(now)));
    }
    if let Some(key) = &facts.key {
        out.extend_from_slice(b"; key=");
        write_string(&mut out, key);
    }
    if let Some(detail) = facts.detail {
        out.extend_from_slice(b"; detail=");
        out.extend_from_slice(detail.as_bytes());
    }
    out
}

/// Writes a string of a structured field; bytes that cannot stand there are escaped as in URLs.
fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => {
                out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use cache::policy::Forward;

    use super::*;
    use crate::http::cache_facts::Held;

    #[test]
    fn members_are_spelt_as_structured_fields() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let held = Some(Held { since: at(0), valid_until: at(160), initial_age: None });
        let facts = CacheFacts { held, ..CacheFacts::default() };
        let asked = |forward| CacheFacts { forward: Some(forward), ..CacheFacts::default() };
        let key = Some(Box::from(&b"http://h/\"a\\\xe9\n"[..]));
        let cases = [
            ("hit", facts.clone(), None, "; hit; ttl=60"),
            ("a hit whose head came with a status", facts.clone(), Some(200), "; hit; ttl=60"),
            (
                "stale",
                CacheFacts {
                    held: Some(Held { since: at(0), valid_until: at(88), initial_age: None }),
                    ..facts.clone()
                },
                None,
                "; hit; ttl=-12",
            ),
            (
                "stored",
                CacheFacts { stored: true, held, ..asked(Forward::UriMiss) },
                Some(200),
                "; fwd=uri-miss; fwd-status=200; stored; ttl=60",
            ),
            (
                "validated",
                CacheFacts { stored: true, held, ..asked(Forward::Stale) },
                Some(304),
                "; fwd=stale; fwd-status=304; stored; ttl=60",
            ),
            (
                "another's",
                CacheFacts { collapsed: true, held, ..asked(Forward::VaryMiss) },
                None,
                "; fwd=vary-miss; collapsed; ttl=60",
            ),
            (
                "not stored",
                CacheFacts { detail: Some("set-cookie"), ..asked(Forward::Bypass) },
                Some(404),
                "; fwd=bypass; fwd-status=404; detail=set-cookie",
            ),
            ("method", asked(Forward::Method), Some(204), "; fwd=method; fwd-status=204"),
            ("request", asked(Forward::Request), None, "; fwd=request"),
            ("partial", asked(Forward::Partial), Some(206), "; fwd=partial; fwd-status=206"),
            ("key", CacheFacts { key, ..facts }, None, "; hit; ttl=60; key=\"http://h/\\\"a\\\\%E9%0A\""),
        ];
        let name = CacheName::new(b"Our Cache").unwrap();
        for (case, facts, status, wanted) in cases {
            let text = String::from_utf8(member(&name, &facts, status, at(100))).unwrap();
            assert_eq!(text, format!("\"Our Cache\"{wanted}"), "{case}");
        }
    }
}
