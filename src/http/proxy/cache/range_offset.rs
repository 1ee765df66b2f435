//! `proxy_cache_max_range_offset`: ranges that begin too late to fetch and store all that is before them.
//!
//! Such a request is passed on with its Range, and its answer is not stored. What is stored already is cut as ever.

use crate::http::Exchange;

/// Whether a request asks for what the location will not fetch and store a whole answer for.
pub(super) fn is_beyond(exchange: &Exchange) -> bool {
    let Some(most) = *exchange.location.cache.max_range_offset else { return false };
    exchange.head.fields.get("Range").is_some_and(|range| begins_beyond(range, most))
}

/// As nginx: zero lets no range be stored, the first range decides, and where a suffix begins is not known in time.
fn begins_beyond(range: &[u8], most: u64) -> bool {
    if most == 0 {
        return true;
    }
    let Some((unit, set)) = range.split_at_checked(b"bytes=".len()) else { return false };
    let set = set.trim_ascii_start();
    if !unit.eq_ignore_ascii_case(b"bytes=") || set.is_empty() {
        return false;
    }
    let digits = set.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = std::str::from_utf8(&set[..digits]).ok().and_then(|text| text.parse::<u64>().ok());
    set[0] == b'-' || first.is_some_and(|first| first >= most)
}

#[cfg(test)]
mod tests {
    use super::begins_beyond;

    #[test]
    fn the_first_range_decides() {
        for (range, most, wanted) in [
            ("bytes=0-", 0, true),
            ("pages=1", 0, true),
            ("bytes=99-", 100, false),
            ("bytes=100-", 100, true),
            ("BYTES= 100-200", 100, true),
            ("bytes=0-1,1000-", 100, false),
            ("bytes=1000-,0-1", 100, true),
            ("bytes=-5", 100, true),
            ("bytes=", 100, false),
            ("bytes=x", 100, false),
            ("pages=1000-", 100, false),
            ("bytes=99999999999999999999999-", 100, false),
        ] {
            assert_eq!(begins_beyond(range.as_bytes(), most), wanted, "{range} {most}");
        }
    }
}
