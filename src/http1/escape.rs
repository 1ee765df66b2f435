//! Percent-encoding: which bytes nginx escapes where, and the way back.
//!
//! The sets are nginx's and differ from those of RFC 3986: a URI keeps most of what a client may have sent
//! plainly, so that what is passed on looks like what came in.

use std::borrow::Cow;

/// Where text is escaped to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeKind {
    /// Into the path of a URI.
    Uri,
    /// Into the value of an argument.
    Args,
    /// As a component of a URI, where only unreserved characters stay.
    UriComponent,
    /// Into a link in HTML.
    Html,
    /// Into a `Refresh` field.
    Refresh,
    /// Into a key of memcached.
    Memcached,
}

/// For each byte the kinds that escape it, a bit each.
const ESCAPED: [u8; 256] = escaped();

const URI: u8 = 1;
const ARGS: u8 = 2;
const COMPONENT: u8 = 4;
const HTML: u8 = 8;
const REFRESH: u8 = 16;
const MEMCACHED: u8 = 32;

const fn escaped() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = kinds_that_escape(byte as u8);
        byte += 1;
    }
    table
}

const fn kinds_that_escape(byte: u8) -> u8 {
    const ALL_URIS: u8 = URI | ARGS | COMPONENT | HTML | REFRESH;
    match byte {
        0..=b' ' => ALL_URIS | MEMCACHED,
        0x7f..=0xff => ALL_URIS,
        b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => ALL_URIS,
        b'%' => URI | ARGS | COMPONENT | HTML | MEMCACHED,
        b'#' => URI | ARGS | COMPONENT | HTML,
        b'?' => URI | ARGS | COMPONENT,
        b'&' | b'+' | b';' => ARGS | COMPONENT,
        b'\'' => COMPONENT | HTML | REFRESH,
        b'-' | b'.' | b'_' | b'~' => 0,
        _ if byte.is_ascii_alphanumeric() => 0,
        _ => COMPONENT,
    }
}

/// Escapes `text`; what needs no escape is not copied.
pub fn escape_uri(text: &[u8], kind: EscapeKind) -> Cow<'_, [u8]> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let bit = match kind {
        EscapeKind::Uri => URI,
        EscapeKind::Args => ARGS,
        EscapeKind::UriComponent => COMPONENT,
        EscapeKind::Html => HTML,
        EscapeKind::Refresh => REFRESH,
        EscapeKind::Memcached => MEMCACHED,
    };
    let count = text.iter().filter(|&&byte| ESCAPED[byte as usize] & bit != 0).count();
    if count == 0 {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 2 * count);
    for &byte in text {
        if ESCAPED[byte as usize] & bit != 0 {
            out.extend_from_slice(&[b'%', DIGITS[byte as usize >> 4], DIGITS[byte as usize & 15]]);
        } else {
            out.push(byte);
        }
    }
    Cow::Owned(out)
}

/// Decodes `%xx`. As nginx: of a wrong escape the sign and a wrong second digit are dropped, and nothing
/// is an error.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', text) else { return Cow::Borrowed(text) };
    let mut out = text[..first].to_vec();
    let mut rest = text[first..].iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let Some(&high) = rest.next() else { break };
        let Some(high_value) = hex_value(high) else {
            out.push(high);
            continue;
        };
        if let Some(low_value) = rest.next().and_then(|&low| hex_value(low)) {
            out.push(high_value << 4 | low_value);
        }
    }
    Cow::Owned(out)
}

/// The value of a hexadecimal digit.
#[inline]
pub(crate) fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_kind_escapes() {
        for (kind, printable, control, high) in [
            (EscapeKind::Uri, " \"#%<>?\\^`{|}", true, true),
            (EscapeKind::Args, " \"#%&+;<>?\\^`{|}", true, true),
            (EscapeKind::UriComponent, " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}", true, true),
            (EscapeKind::Html, " \"#%'<>\\^`{|}", true, true),
            (EscapeKind::Refresh, " \"'<>\\^`{|}", true, true),
            (EscapeKind::Memcached, " %", true, false),
        ] {
            for byte in 0..=255u8 {
                let wanted = match byte {
                    0..0x20 => control,
                    0x7f.. => high,
                    _ => printable.as_bytes().contains(&byte),
                };
                let text = [byte];
                let escaped = escape_uri(&text, kind);
                let expected = if wanted { format!("%{byte:02X}").into_bytes() } else { vec![byte] };
                assert_eq!(escaped, expected, "{kind:?} of {byte:#x}");
            }
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (text, wanted) in [
            ("a%20b", "a b"),
            ("%41%4a%4A", "AJJ"),
            ("plain+", "plain+"),
            ("%", ""),
            ("a%4", "a"),
            ("%zz", "zz"),
            ("%4zb", "b"),
            ("%%41", "%41"),
        ] {
            assert_eq!(unescape(text.as_bytes()), wanted.as_bytes(), "{text}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape_uri(&all, EscapeKind::Uri)), all);
    }
}
