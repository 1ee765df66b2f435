//! If-Modified-Since, If-Unmodified-Since, If-Match and If-None-Match: 304 and 412.
//!
//! Only answers of status 200 that are our own to judge are touched. The order of the tests, and
//! what a date that cannot be read means, are nginx's, except where a cache after RFC 9111 answers.

mod rfc9110;

use std::time::{SystemTime, UNIX_EPOCH};

use config::IfModifiedSince;
use http1::{Fields, date};

use super::remove_field;
use crate::http::{
    Body, Response,
    response::{Conditions, LastModified, Ranges},
};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent as it is.
    Sent,
    /// 304: the client has it already.
    NotModified,
    /// 412: it is not what the client wants it to be.
    Failed,
}

/// How entity tags are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Byte for byte.
    Strong,
    /// `W/` does not count.
    Weak,
}

/// Whose rules say what If-None-Match and If-Modified-Since mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// nginx's.
    Nginx,
    /// Those of RFC 9110.
    Rfc9110 {
        /// The time, in seconds.
        now: i64,
    },
}

/// Judges the conditions of a request.
pub(super) fn judge(request: &Fields, mode: IfModifiedSince, rules: Rules, response: &Response) -> Verdict {
    if response.status != 200
        || response.conditions == Conditions::Upstream
        || !request.contains_prefix("If-")
    {
        return Verdict::Sent;
    }
    let modified = response.last_modified.and_then(LastModified::time).map(seconds);
    let etag = response.field("ETag");
    if let Some(text) = request.get("If-Unmodified-Since")
        && !is_unmodified(text, modified)
    {
        return Verdict::Failed;
    }
    if let Some(list) = request.get("If-Match")
        && !matches_tag(list, etag, Comparison::Strong)
    {
        return Verdict::Failed;
    }
    if let Rules::Rfc9110 { now } = rules {
        let is_not_modified = rfc9110::is_not_modified(request, response, now);
        return if is_not_modified { Verdict::NotModified } else { Verdict::Sent };
    }
    let since = request.get("If-Modified-Since");
    let none_match = request.get("If-None-Match");
    let changed = since.is_some_and(|text| is_modified(text, modified, mode))
        || none_match.is_some_and(|list| !matches_tag(list, etag, Comparison::Weak));
    if changed || (since.is_none() && none_match.is_none()) { Verdict::Sent } else { Verdict::NotModified }
}

/// Makes a 304 of an answer.
pub(super) fn not_modified(mut response: Response) -> Response {
    response.status = 304;
    response.reason = None;
    response.content_type = None;
    response.content_length = None;
    response.ranges = Ranges::Refused;
    response.body = Body::Empty;
    remove_field(&mut response, "Accept-Ranges");
    remove_field(&mut response, "Content-Encoding");
    response
}

fn is_unmodified(text: &[u8], modified: Option<i64>) -> bool {
    let Some(modified) = modified else { return false };
    date::parse(text).is_some_and(|since| since >= modified)
}

fn is_modified(text: &[u8], modified: Option<i64>, mode: IfModifiedSince) -> bool {
    let Some(modified) = modified else { return true };
    let since = date::parse(text);
    match mode {
        IfModifiedSince::Off => true,
        IfModifiedSince::Exact => since != Some(modified),
        IfModifiedSince::Before => since.is_none_or(|since| since < modified),
    }
}

/// Says whether a list of entity tags names this one, or is `*`.
fn matches_tag(list: &[u8], etag: Option<&[u8]>, comparison: Comparison) -> bool {
    if list == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    let opaque = |tag: &'_ [u8]| match comparison {
        Comparison::Strong => tag.len(),
        Comparison::Weak => tag.strip_prefix(b"W/").unwrap_or(tag).len(),
    };
    let etag = &etag[etag.len() - opaque(etag)..];
    let mut rest = list;
    while !rest.is_empty() {
        rest = &rest[rest.len() - opaque(rest)..];
        if let Some(after) = rest.strip_prefix(etag) {
            let after = after.trim_ascii_start();
            if after.is_empty() || after[0] == b',' {
                return true;
            }
        }
        let next = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
        rest = &rest[next..];
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
        rest = &rest[rest.iter().position(|byte| !blank(byte)).unwrap_or(rest.len())..];
    }
    false
}

/// Returns a time in the whole seconds that header fields know.
pub(super) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SAME: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const EARLIER: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
    const LATER: &str = "Sunday, 09-Sep-01 01:46:41 GMT";

    fn file() -> Response {
        let mut response = Response::new(200).with_memory("text/plain", "hello");
        response.last_modified =
            Some(LastModified::Ours(UNIX_EPOCH + Duration::from_millis(1_000_000_000_500)));
        response.fields.push(b"ETag", b"W/\"a\"");
        response
    }

    fn status(fields: &[(&str, &str)], mode: IfModifiedSince, response: Response) -> u16 {
        let request: Fields =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        match judge(&request, mode, Rules::Nginx, &response) {
            Verdict::Sent => response.status,
            Verdict::NotModified => 304,
            Verdict::Failed => 412,
        }
    }

    #[test]
    fn dates_and_tags_decide() {
        let exact = IfModifiedSince::Exact;
        type Case = (&'static [(&'static str, &'static str)], IfModifiedSince, u16);
        let table: &[Case] = &[
            (&[], exact, 200),
            (&[("If-Modified-Since", SAME)], exact, 304),
            (&[("If-Modified-Since", EARLIER)], exact, 200),
            (&[("If-Modified-Since", LATER)], exact, 200),
            (&[("If-Modified-Since", LATER)], IfModifiedSince::Before, 304),
            (&[("If-Modified-Since", EARLIER)], IfModifiedSince::Before, 200),
            (&[("If-Modified-Since", SAME)], IfModifiedSince::Off, 200),
            (&[("If-Modified-Since", "nonsense")], IfModifiedSince::Before, 200),
            (&[("If-Unmodified-Since", SAME)], exact, 200),
            (&[("If-Unmodified-Since", LATER)], exact, 200),
            (&[("If-Unmodified-Since", EARLIER)], exact, 412),
            (&[("If-Unmodified-Since", "nonsense")], exact, 412),
            (&[("If-None-Match", "\"a\"")], exact, 304),
            (&[("If-None-Match", "W/\"a\"")], exact, 304),
            (&[("If-None-Match", "\"b\" ,\t\"a\"")], exact, 304),
            (&[("If-None-Match", "\"b\"")], exact, 200),
            (&[("If-None-Match", "*")], exact, 304),
            (&[("If-None-Match", "\"a\"b")], exact, 200),
            (&[("If-None-Match", "\"a\""), ("If-Modified-Since", EARLIER)], exact, 200),
            (&[("If-None-Match", "\"b\""), ("If-Modified-Since", SAME)], exact, 200),
            (&[("If-None-Match", "\"a\""), ("If-Modified-Since", SAME)], exact, 304),
            (&[("If-Match", "\"a\"")], exact, 412),
            (&[("If-Match", "W/\"a\"")], exact, 200),
            (&[("If-Match", "*")], exact, 200),
            (&[("If-Match", "\"b\", W/\"a\"")], exact, 200),
        ];
        for (fields, mode, wanted) in table {
            assert_eq!(status(fields, *mode, file()), *wanted, "{fields:?} {mode:?}");
        }
    }

    #[test]
    fn without_validators_nothing_matches_but_a_star() {
        let plain = || Response::new(200).with_memory("text/plain", "hello");
        for (name, value, wanted) in [
            ("If-Modified-Since", SAME, 200),
            ("If-Unmodified-Since", SAME, 412),
            ("If-None-Match", "\"a\"", 200),
            ("If-Match", "\"a\"", 412),
            ("If-Match", "*", 200),
        ] {
            assert_eq!(status(&[(name, value)], IfModifiedSince::Exact, plain()), wanted, "{name}: {value}");
        }
    }

    #[test]
    fn only_our_own_200_is_judged() {
        let mut passed = file();
        passed.conditions = Conditions::Upstream;
        assert_eq!(status(&[("If-None-Match", "*")], IfModifiedSince::Exact, passed), 200);
        let mut missing = file();
        missing.status = 404;
        assert_eq!(status(&[("If-None-Match", "*")], IfModifiedSince::Exact, missing), 404);
    }

    #[test]
    fn a_304_has_no_body_and_no_fields_about_one() {
        let mut response = file();
        response.fields.push(b"Content-Encoding", b"gzip");
        response.fields.push(b"Accept-Ranges", b"bytes");
        let response = not_modified(response);
        assert!(matches!(response.body, Body::Empty));
        assert_eq!((response.content_type.is_none(), response.content_length), (true, None));
        assert_eq!(response.fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), [b"ETag"]);
        assert!(response.last_modified.is_some());
    }
}
