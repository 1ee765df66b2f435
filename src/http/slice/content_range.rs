//! Reading Content-Range.

/// What a Content-Range says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange<L = u64> {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// Bytes of the whole.
    pub complete_length: L,
}

/// Reads the value of a Content-Range; its length may be unknown (`*`).
pub fn parse(value: &[u8]) -> Option<ContentRange<Option<u64>>> {
    let rest = skip_spaces(value.strip_prefix(b"bytes ")?);
    let (start, rest) = number(rest)?;
    let rest = skip_spaces(skip_spaces(rest).strip_prefix(b"-")?);
    let (last, rest) = number(rest)?;
    let rest = skip_spaces(skip_spaces(rest).strip_prefix(b"/")?);
    let (complete_length, rest) = match rest.strip_prefix(b"*") {
        Some(rest) => (None, rest),
        None => number(rest).map(|(length, rest)| (Some(length), rest))?,
    };
    let end = last.checked_add(1)?;
    (start < end && skip_spaces(rest).is_empty()).then_some(ContentRange { start, end, complete_length })
}

/// Reads digits, up to what a file's offset may be.
pub fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: u64 = str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    (number <= i64::MAX as u64).then_some((number, &text[digits..]))
}

/// Leaves out leading spaces.
pub fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|&&byte| byte == b' ').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_nginx_reads_them() {
        for (text, wanted) in [
            ("bytes 0-9/100", Some((0, 10, Some(100)))),
            ("bytes  5 - 9 / 100 ", Some((5, 10, Some(100)))),
            ("bytes 0-9/*", Some((0, 10, None))),
            ("bytes 9-9/10", Some((9, 10, Some(10)))),
            ("bytes 9-8/10", None),
            ("bytes */10", None),
            ("bytes -5/10", None),
            ("bytes 0-/10", None),
            ("bytes 0-9", None),
            ("bytes 0-9/", None),
            ("bytes 0-9/10x", None),
            ("bytes=0-9/10", None),
            ("Bytes 0-9/10", None),
            ("bytes 0-9223372036854775808/10", None),
            ("", None),
        ] {
            let read = parse(text.as_bytes()).map(|range| (range.start, range.end, range.complete_length));
            assert_eq!(read, wanted, "{text}");
        }
    }
}
