//! The host that a request names: checked, split from its port, lower-cased.
//!
//! As nginx since 1.29.4: what RFC 3986 allows in a host, no two dots in a row, one dot at the end is
//! dropped, a port is a number up to 65535 or empty.

use std::borrow::Cow;

use thiserror::Error;

/// A valid host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// The name in lower case, without the port and without a dot at the end: nginx's `$host`.
    pub name: Cow<'a, [u8]>,
    /// The port, if one is given.
    pub port: Option<u16>,
}

/// The host is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("invalid host")]
pub struct InvalidHost;

/// Reads `name`, `name:port` or `[literal]:port`.
pub fn parse_host(text: &[u8]) -> Result<Host<'_>, InvalidHost> {
    let (name, port) = if text.first() == Some(&b'[') {
        let close = memchr::memchr(b']', text).ok_or(InvalidHost)?;
        if !text[1..close].iter().all(|&byte| byte == b':' || is_name_byte(byte) && byte != b'%') {
            return Err(InvalidHost);
        }
        text.split_at(close + 1)
    } else {
        let end = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
        let (name, port) = text.split_at(end);
        let mut previous = 0;
        for &byte in name {
            if !is_name_byte(byte) || byte == b'.' && previous == b'.' {
                return Err(InvalidHost);
            }
            previous = byte;
        }
        (name.strip_suffix(b".").unwrap_or(name), port)
    };
    if name.is_empty() {
        return Err(InvalidHost);
    }
    let port = parse_port(port)?;
    let name = if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    Ok(Host { name, port })
}

/// Reads what is behind the name: nothing, or a colon and digits.
fn parse_port(text: &[u8]) -> Result<Option<u16>, InvalidHost> {
    let Some(digits) = text.strip_prefix(b":") else {
        return if text.is_empty() { Ok(None) } else { Err(InvalidHost) };
    };
    if digits.is_empty() {
        return Ok(None);
    }
    let add = |port: u16, digit: &u8| match digit {
        b'0'..=b'9' => port.checked_mul(10)?.checked_add(u16::from(digit - b'0')),
        _ => None,
    };
    digits.iter().try_fold(0, add).map(Some).ok_or(InvalidHost)
}

/// RFC 3986, 3.2.2: unreserved, sub-delims, and the sign of a percent-encoded byte.
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[byte as usize]
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+,;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_hosts() {
        for (text, name, port) in [
            ("a.example", "a.example", None),
            ("A.Example.", "a.example", None),
            ("a.example:80", "a.example", Some(80)),
            ("a.example.:65535", "a.example", Some(65535)),
            ("a:", "a", None),
            ("under_score", "under_score", None),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[FE80::1]:8", "[fe80::1]", Some(8)),
            (".a", ".a", None),
        ] {
            let wanted = Host { name: Cow::Borrowed(name.as_bytes()), port };
            assert_eq!(parse_host(text.as_bytes()), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn invalid_hosts() {
        for text in [
            "",
            ".",
            ":80",
            "a..b",
            "a...",
            "a b",
            "a\tb",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "u@a",
            "a:b",
            "a:65536",
            "a:80:80",
            "a:99999999",
            "[::1",
            "[::1].",
            "[::1]x",
            "[a]b]",
            "[%41]",
            "a[",
            "<a>",
            "\u{e9}",
            "a\u{7f}",
        ] {
            assert_eq!(parse_host(text.as_bytes()), Err(InvalidHost), "{text:?}");
        }
    }
}
