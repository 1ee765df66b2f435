//! If-None-Match and If-Modified-Since as a cache after RFC 9111 answers them (4.3.2; RFC 9110, 13).

use http1::{Fields, date};

use crate::http::Response;

/// Whether the client has the answer already: by its entity tags, or where it names none, by a date.
pub(super) fn is_not_modified(request: &Fields, response: &Response, now: i64) -> bool {
    if request.contains("If-None-Match") {
        return request.all("If-None-Match").any(|line| names(line, response.field("ETag")));
    }
    let mut dates = request.all("If-Modified-Since");
    // A field that comes twice, or is no date, is not there.
    let (Some(since), None) = (dates.next(), dates.next()) else { return false };
    // RFC 9111, 4.3.2: the date of the answer stands for one that does not say when it changed.
    let changed = response.field("Last-Modified").or_else(|| response.field("Date"));
    let read = |text| date::parse_strictly(text, now);
    match (read(since), changed.and_then(read)) {
        (Some(since), Some(changed)) => since >= changed,
        (Some(_) | None, _) => false,
    }
}

/// Whether a list of entity tags has this one, or is `*`. Weak tags are as good as strong ones.
fn names(list: &[u8], etag: Option<&[u8]>) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    let mut rest = list;
    while let Some((tag, after)) = first_tag(rest) {
        if opaque(tag) == opaque(etag) {
            return true;
        }
        rest = after;
    }
    false
}

/// Takes the first tag off a list. A comma within quotes is part of a tag.
fn first_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
    let list = &list[start..];
    let quoted = list.strip_prefix(b"W/").unwrap_or(list).strip_prefix(b"\"");
    let closed = quoted.and_then(|text| Some(list.len() - text.len() + memchr::memchr(b'"', text)? + 1));
    let from = closed.unwrap_or(0);
    let end = memchr::memchr(b',', &list[from..]).map_or(list.len(), |comma| from + comma);
    Some((list[..end].trim_ascii_end(), &list[end..]))
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn judged(request: &str, answer: &str) -> bool {
        let fields = |lines: &str| -> Fields {
            let pairs = lines.lines().filter_map(|line| line.split_once(": "));
            pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
        };
        let mut response = Response::new(200);
        response.fields = fields(answer);
        is_not_modified(&fields(request), &response, NOW)
    }

    #[test]
    fn tags_are_compared_weakly_over_all_lists() {
        let cases = [
            ("\"a\"", "\"a\"", true),
            ("\"a\"", "W/\"a\"", true),
            ("W/\"a\"", "\"a\"", true),
            ("W/\"a\"", "W/\"a\"", true),
            ("\"b\"", "\"a\"", false),
            ("\"b\", \"a\"", "\"a\"", true),
            ("\"b\" ,\t\"a\" ", "\"a\"", true),
            (",, \"b\",,\"a\",", "\"a\"", true),
            ("\"b\"\nIf-None-Match: \"a\"", "\"a\"", true),
            ("\"b, a\"", "\"a\"", false),
            ("\"a, b\"", "\"a, b\"", true),
            ("\"x, \"a\"", "\"a\"", false),
            ("\"a", "\"a\"", false),
            ("a", "\"a\"", false),
            ("a", "a", true),
            ("\"A\"", "\"a\"", false),
            ("w/\"a\"", "\"a\"", false),
            ("\"\"", "\"\"", true),
            ("*", "\"a\"", true),
            (" * ", "\"a\"", true),
            ("*, \"b\"", "\"a\"", false),
            ("", "\"a\"", false),
        ];
        for (list, etag, wanted) in cases {
            assert_eq!(
                judged(&format!("If-None-Match: {list}"), &format!("ETag: {etag}")),
                wanted,
                "{list} and {etag}"
            );
        }
        assert!(judged("If-None-Match: *", ""));
        assert!(!judged("If-None-Match: \"a\"", ""));
    }

    #[test]
    fn dates_count_at_and_after_the_last_change() {
        let changed = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", changed, true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", changed, true),
            ("Sun, 06 Nov 1994 08:49:36 GMT", changed, false),
            ("Sunday, 06-Nov-94 08:49:37 GMT", changed, true),
            ("Sunday, 06-Nov-94 08:49:36 GMT", changed, false),
            ("Sun Nov  6 08:49:37 1994", changed, true),
            ("Sun Nov  6 08:49:36 1994", changed, false),
            ("sun, 06 nov 1994 08:49:37 gmt", changed, true),
            ("tomorrow", changed, false),
            ("0", changed, false),
            ("Sun, 06 Nov 1994 08:49:37", changed, false),
            ("Sun, 06 Nov 2094 08:49:37 GMT", "Last-Modified: soon", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Date: Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:36 GMT", "Date: Sun, 06 Nov 1994 08:49:37 GMT", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "", false),
        ];
        for (since, answer, wanted) in cases {
            assert_eq!(
                judged(&format!("If-Modified-Since: {since}"), answer),
                wanted,
                "{since} and {answer}"
            );
        }
        let twice = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
        assert!(!judged(&format!("{twice}\n{twice}"), changed));
    }

    #[test]
    fn tags_go_before_dates() {
        let answer = "ETag: \"a\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
        let (later, earlier) = ("Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        let ask = |tag: &str, since: &str| {
            judged(&format!("If-Modified-Since: {since}\nIf-None-Match: {tag}"), answer)
        };
        assert_eq!([ask("\"a\"", earlier), ask("\"b\"", later)], [true, false]);
    }
}
