//! What is stored of a head after RFC 9111. nginx's rules store it as it came.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use cache::policy::rfc9111;
use config::{LocationConf, StoredCookies};
use http1::{Fields, ResponseHead, Version};

/// A head, parsed and as bytes.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) parsed: Arc<ResponseHead>,
    pub(super) bytes: Bytes,
}

/// Returns what is stored of a head that came at `now`: the same one, where nothing is to be left out or added.
pub(super) fn of(location: &LocationConf, came: Head, now: SystemTime) -> Head {
    if !location.cache.follows_rfc() {
        return came;
    }
    let drops_cookies = *location.cache.set_cookie == StoredCookies::Drop;
    let fields = &came.parsed.fields;
    let is_kept = |name: &[u8]| {
        let is_dropped = drops_cookies && name.eq_ignore_ascii_case(b"Set-Cookie");
        !is_dropped && !rfc9111::is_of_connection(fields, name)
    };
    let lacks_date = !came.parsed.fields.contains("Date");
    if !lacks_date && came.parsed.fields.iter().all(|(name, _)| is_kept(name)) {
        return came;
    }
    let mut parsed = ResponseHead::clone(&came.parsed);
    parsed.fields.retain(|name, _| is_kept(name));
    if lacks_date {
        parsed.fields.push(b"Date", date(now).as_bytes());
    }
    let line_end = came.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    with_lines(came.bytes[..line_end].to_vec(), parsed)
}

/// Returns the stored head with the fields of a 304 that came at `now` (RFC 9111, 3.2); nothing by nginx's rules, which keep it as it was.
pub(super) fn freshened(
    location: &LocationConf,
    stored: &ResponseHead,
    not_modified: &Fields,
    now: SystemTime,
) -> Option<Head> {
    if !location.cache.follows_rfc() {
        return None;
    }
    let drops_cookies = *location.cache.set_cookie == StoredCookies::Drop;
    let keeps = |name: &[u8]| !(drops_cookies && name.eq_ignore_ascii_case(b"Set-Cookie"));
    let mut parsed = ResponseHead::clone(stored);
    parsed.fields = rfc9111::freshened(&stored.fields, not_modified, keeps);
    if !not_modified.contains("Date") {
        parsed.fields.set("Date", date(now).as_bytes());
    }
    let Version { major, minor } = parsed.version;
    let mut line = format!("HTTP/{major}.{minor} {:03} ", parsed.status).into_bytes();
    line.extend_from_slice(&parsed.reason);
    line.extend_from_slice(b"\r\n");
    Some(with_lines(line, parsed))
}

/// RFC 9110, 6.6.1: who stores an answer without a date gives it that of its receipt.
fn date(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    http1::date::format(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn with_lines(mut line: Vec<u8>, parsed: ResponseHead) -> Head {
    http1::write_fields(&mut line, &parsed.fields);
    line.extend_from_slice(b"\r\n");
    Head { parsed: Arc::new(parsed), bytes: line.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::{CacheRules, CacheZone, Setting, Template};
    use http1::{Progress, ResponseParser};

    use super::*;

    fn stored(rules: CacheRules, cookies: StoredCookies, came: &'static str) -> String {
        let mut location = LocationConf::default();
        location.cache.zone = Setting::written(CacheZone::Variable(Template::default()));
        location.cache.rfc = Setting::written(rules);
        location.cache.set_cookie = Setting::written(cookies);
        let mut parsed = ResponseHead::new();
        let progress = ResponseParser::new().parse(came.as_bytes(), usize::MAX, &mut parsed);
        assert!(matches!(progress, Ok(Progress::Done(_))), "{came}");
        let head = Head { parsed: Arc::new(parsed), bytes: Bytes::from_static(came.as_bytes()) };
        let head = of(&location, head, UNIX_EPOCH + Duration::from_secs(784_111_777));
        let mut lines = Vec::new();
        http1::write_fields(&mut lines, &head.parsed.fields);
        let bytes = String::from_utf8(head.bytes.to_vec()).unwrap();
        assert!(bytes.ends_with(&format!("{}\r\n", String::from_utf8(lines).unwrap())), "{bytes}");
        bytes
    }

    #[test]
    fn cookies_are_left_out_and_a_date_is_added() {
        use CacheRules::{Nginx, Rfc9111};
        use StoredCookies::{Drop, Replay};
        const DATED: &str = "HTTP/1.0 200 Fine\r\nDate: x\r\nset-cookie: a\r\nB: c\r\nSet-Cookie: b\r\n\r\n";
        const BARE: &str = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        let cases = [
            (Nginx, Drop, DATED, DATED),
            (Nginx, Drop, BARE, BARE),
            (Rfc9111, Replay, DATED, DATED),
            (Rfc9111, Drop, DATED, "HTTP/1.0 200 Fine\r\nDate: x\r\nB: c\r\n\r\n"),
            (Rfc9111, Drop, BARE, "HTTP/1.1 200 OK\r\nA: b\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
        ];
        for (rules, cookies, came, wanted) in cases {
            assert_eq!(stored(rules, cookies, came), wanted, "{rules:?}, {cookies:?}");
        }
    }
}
