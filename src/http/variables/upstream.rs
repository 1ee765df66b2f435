//! The `$upstream_*` lists: one item per try, a comma between tries, a colon after an internal redirect.

use std::time::SystemTime;

use super::{request::pair, time::write_seconds};
use crate::http::exchange::{Try, UpstreamFacts};

/// What a list tells of each try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListItem {
    Address,
    Status,
    QueueTime,
    ConnectTime,
    HeaderTime,
    ResponseTime,
    ResponseLength,
    BytesReceived,
    BytesSent,
}

/// Appends a list; false where nothing was tried. What is not known of a try is `-`.
pub(super) fn write_list(out: &mut Vec<u8>, facts: &UpstreamFacts, item: ListItem) -> bool {
    for (index, one) in facts.tries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(if facts.redirected_after.contains(&index) { b" : " } else { b", " });
        }
        write_item(out, one, item);
    }
    !facts.tries.is_empty()
}

fn write_item(out: &mut Vec<u8>, one: &Try, item: ListItem) {
    let time = match item {
        ListItem::QueueTime => one.queue,
        ListItem::ConnectTime => one.connect,
        ListItem::HeaderTime => one.header,
        ListItem::ResponseTime => one.response,
        ListItem::Address => return out.extend_from_slice(one.address.as_bytes()),
        ListItem::Status => return write_status(out, one.status),
        ListItem::ResponseLength => return write_number(out, one.response_length),
        ListItem::BytesReceived => return write_number(out, one.bytes_received),
        ListItem::BytesSent => return write_number(out, one.bytes_sent),
    };
    match time {
        Some(time) => write_seconds(out, time),
        None => out.push(b'-'),
    }
}

fn write_status(out: &mut Vec<u8>, status: Option<u16>) {
    match status {
        Some(status) => write_number(out, status.into()),
        None => out.push(b'-'),
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// Returns the value of a cookie that the upstream sets.
pub(super) fn set_cookie<'a>(facts: &'a UpstreamFacts, name: &str) -> Option<&'a [u8]> {
    facts.head.as_ref()?.fields.all("Set-Cookie").find_map(|line| pair(line, name))
}

/// Returns a field of the stored answer, where one was found.
pub(super) fn cached_field<'a>(facts: &'a UpstreamFacts, name: &str) -> Option<&'a [u8]> {
    facts.cache_status.filter(|status| status.is_from_cache())?;
    facts.head.as_ref()?.fields.get(name)
}

/// Returns how old the stored answer is, in seconds.
pub(super) fn cache_age_s(facts: &UpstreamFacts, now: SystemTime) -> Option<u64> {
    facts.cache_status.filter(|status| status.is_from_cache())?;
    Some(facts.cache.age(facts.head.as_deref(), now)?.as_secs())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, UNIX_EPOCH},
    };

    use cache::policy::CacheStatus;
    use http1::ResponseHead;

    use super::*;
    use crate::http::cache_facts::Held;

    fn tried() -> UpstreamFacts {
        let failed = Try { address: Arc::from("127.0.0.1:1"), ..Try::default() };
        let answered = Try {
            address: Arc::from("unix:/s"),
            status: Some(200),
            queue: Some(Duration::from_millis(50)),
            connect: Some(Duration::ZERO),
            header: Some(Duration::from_millis(1)),
            response: Some(Duration::from_millis(1234)),
            response_length: 5,
            bytes_received: 100,
            bytes_sent: 50,
        };
        let tries = vec![failed, answered.clone(), answered];
        UpstreamFacts { tries, redirected_after: vec![0, 2, 2, 3], ..UpstreamFacts::default() }
    }

    #[test]
    fn tries_are_listed() {
        for (item, wanted) in [
            (ListItem::Address, "127.0.0.1:1, unix:/s : unix:/s"),
            (ListItem::Status, "-, 200 : 200"),
            (ListItem::QueueTime, "-, 0.050 : 0.050"),
            (ListItem::ConnectTime, "-, 0.000 : 0.000"),
            (ListItem::HeaderTime, "-, 0.001 : 0.001"),
            (ListItem::ResponseTime, "-, 1.234 : 1.234"),
            (ListItem::ResponseLength, "0, 5 : 5"),
            (ListItem::BytesReceived, "0, 100 : 100"),
            (ListItem::BytesSent, "0, 50 : 50"),
        ] {
            let mut out = Vec::new();
            assert!(write_list(&mut out, &tried(), item));
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "{item:?}");
        }
        assert!(!write_list(&mut Vec::new(), &UpstreamFacts::default(), ListItem::Address));
    }

    #[test]
    fn the_stored_answer_has_an_age_and_fields() {
        let pairs = [
            ("Date", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("ETag", "\"a\""),
            ("Set-Cookie", "a=1; Path=/"),
            ("Set-Cookie", "b=2"),
        ];
        let mut head = ResponseHead::new();
        head.fields = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut facts = UpstreamFacts { head: Some(Arc::new(head)), ..UpstreamFacts::default() };
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_007);
        assert_eq!((cache_age_s(&facts, now), cached_field(&facts, "ETag")), (None, None));
        assert_eq!((set_cookie(&facts, "a"), set_cookie(&facts, "B")), (Some(&b"1"[..]), Some(&b"2"[..])));
        facts.cache_status = Some(CacheStatus::Hit);
        facts.cache.held = Some(Held { since: now, valid_until: now, initial_age: None });
        assert_eq!((cache_age_s(&facts, now), cached_field(&facts, "ETag")), (Some(7), Some(&b"\"a\""[..])));
    }
}
