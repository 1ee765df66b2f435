//! The request line: method, target in its four forms, protocol.
//!
//! It follows nginx: any byte but a space or a control byte may stand in a target, several spaces may
//! separate the parts, a line without a protocol is HTTP/0.9, and the scheme of an absolute form may be
//! any word. Whether the path makes sense is for [`uri::normalize`](crate::uri::normalize) to say.

use std::ops::Range;

use crate::head::{LineParts, Method, Version};
use crate::swar;

/// What is wrong with a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    Method,
    Request,
    Version,
    MethodOfVersion0_9,
}

/// Whether a byte may stand in a method. As nginx: lower-case letters may not.
#[inline]
pub fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'_' || byte == b'-'
}

/// Parses a request line, given without its line end.
pub(crate) fn parse_line(line: &[u8]) -> Result<(Method, Version, LineParts), LineError> {
    let method_end = line
        .iter()
        .position(|&byte| !is_method_byte(byte))
        .filter(|&end| end > 0)
        .ok_or(LineError::Method)?;
    if line[method_end] != b' ' {
        return Err(LineError::Method);
    }
    let method = Method::from_text(&line[..method_end]);
    let start = skip_spaces(line, method_end);
    let end = swar::find_target_end(&line[start..]).map_or(line.len(), |length| start + length);
    let mut parts = LineParts { method: 0..method_end, target: start..end, ..LineParts::default() };
    match line.get(start) {
        Some(b'/') => parts.path_and_query = start..end,
        // The authority form is good for nothing else, and the method is refused later.
        Some(_) if method == Method::Connect => parts.authority = start..end,
        _ => split_absolute(line, start..end, &mut parts)?,
    }
    let version = parse_protocol(line, end, &mut parts)?;
    if version == Version::V0_9 && method != Method::Get {
        return Err(LineError::MethodOfVersion0_9);
    }
    Ok((method, version, parts))
}

fn skip_spaces(line: &[u8], from: usize) -> usize {
    line[from..].iter().position(|&byte| byte != b' ').map_or(line.len(), |count| from + count)
}

/// Splits `scheme://host:port/path?query`, where all behind the host may be absent.
fn split_absolute(line: &[u8], target: Range<usize>, parts: &mut LineParts) -> Result<(), LineError> {
    let text = &line[target.clone()];
    let scheme_len = text
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')))
        .ok_or(LineError::Request)?;
    if !text[0].is_ascii_alphabetic() || !text[scheme_len..].starts_with(b"://") {
        return Err(LineError::Request);
    }
    let host_start = scheme_len + 3;
    let host_end = host_start + host_len(&text[host_start..])?;
    let mut authority_end = host_end;
    if text.get(host_end) == Some(&b':') {
        let digits = text[host_end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        authority_end += 1 + digits;
    }
    match text.get(authority_end) {
        Some(b'/' | b'?') => {}
        // As nginx: a line may not end with the host.
        None if target.end < line.len() => {}
        None | Some(_) => return Err(LineError::Request),
    }
    parts.scheme = target.start..target.start + scheme_len;
    parts.host = target.start + host_start..target.start + host_end;
    parts.authority = target.start + host_start..target.start + authority_end;
    parts.path_and_query = target.start + authority_end..target.end;
    Ok(())
}

/// The length of the host at the start of `text`, which may be an IP literal in brackets.
fn host_len(text: &[u8]) -> Result<usize, LineError> {
    if text.first() != Some(&b'[') {
        let ends = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        return Ok(text.iter().position(ends).unwrap_or(text.len()));
    }
    let close = memchr::memchr(b']', text).ok_or(LineError::Request)?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b":-._~!$&'()*+,;=".contains(byte);
    if text[1..close].iter().all(allowed) { Ok(close + 1) } else { Err(LineError::Request) }
}

/// Reads ` HTTP/x.y` and spaces up to the end of the line; nothing there means HTTP/0.9.
fn parse_protocol(line: &[u8], from: usize, parts: &mut LineParts) -> Result<Version, LineError> {
    if &line[from..] == b" HTTP/1.1" {
        parts.protocol = from + 1..line.len();
        return Ok(Version::V1_1);
    }
    let start = skip_spaces(line, from);
    if start == line.len() {
        return Ok(Version::V0_9);
    }
    let (version, used) = version_text(&line[start..]).map_err(|error| match error {
        VersionError::Syntax => LineError::Request,
        VersionError::TooHigh => LineError::Version,
    })?;
    if start == from || skip_spaces(line, start + used) != line.len() {
        return Err(LineError::Request);
    }
    parts.protocol = start..start + used;
    Ok(version)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VersionError {
    Syntax,
    TooHigh,
}

/// Reads `HTTP/x.y`; also says how long it was. As nginx: the major number is at least 1, a higher one than
/// 1 is an error of its own, which is found before the minor number is looked at.
fn version_text(text: &[u8]) -> Result<(Version, usize), VersionError> {
    let numbers = text.strip_prefix(b"HTTP/").ok_or(VersionError::Syntax)?;
    if !numbers.first().is_some_and(|digit| (b'1'..=b'9').contains(digit)) {
        return Err(VersionError::Syntax);
    }
    if numbers[0] > b'1' || numbers.get(1).is_some_and(u8::is_ascii_digit) {
        return Err(VersionError::TooHigh);
    }
    if numbers.get(1) != Some(&b'.') {
        return Err(VersionError::Syntax);
    }
    let digits = numbers[2..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(VersionError::Syntax);
    }
    let minor = version_number(&numbers[2..2 + digits]).ok_or(VersionError::Syntax)?;
    Ok((Version { major: 1, minor }, 7 + digits))
}

/// The value of the digits of a version. As nginx: up to three digits behind leading zeros; what is more than
/// fits a byte, which no peer means, counts as the most that does.
pub(crate) fn version_number(digits: &[u8]) -> Option<u8> {
    let add = |value: u16, digit: &u8| (value <= 99).then(|| value * 10 + u16::from(digit - b'0'));
    digits.iter().try_fold(0, add).map(|value| u8::try_from(value).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(&str, &str, &str, &str, Version), LineError> {
        let (_, version, parts) = parse_line(line.as_bytes())?;
        Ok((
            &line[parts.method],
            &line[parts.host],
            &line[parts.authority],
            &line[parts.path_and_query],
            version,
        ))
    }

    #[test]
    fn accepted_lines() {
        let version = |minor| Version { major: 1, minor };
        for (line, wanted) in [
            ("GET / HTTP/1.1", ("GET", "", "", "/", version(1))),
            ("GET   /a?b#c   HTTP/1.0  ", ("GET", "", "", "/a?b#c", version(0))),
            ("GET /", ("GET", "", "", "/", Version::V0_9)),
            ("GET / ", ("GET", "", "", "/", Version::V0_9)),
            ("X-A_B /<>`\u{e9} HTTP/1.2", ("X-A_B", "", "", "/<>`\u{e9}", version(2))),
            ("GET / HTTP/1.99", ("GET", "", "", "/", version(99))),
            ("GET / HTTP/1.255", ("GET", "", "", "/", version(255))),
            ("GET / HTTP/1.999", ("GET", "", "", "/", version(255))),
            ("GET / HTTP/1.001", ("GET", "", "", "/", version(1))),
            ("GET http://a.B:80/c HTTP/1.1", ("GET", "a.B", "a.B:80", "/c", version(1))),
            ("GET http://a HTTP/1.1", ("GET", "a", "a", "", version(1))),
            ("GET http://a:?b HTTP/1.1", ("GET", "a", "a:", "?b", version(1))),
            ("GET h+1.-://[::1]:8/ HTTP/1.1", ("GET", "[::1]", "[::1]:8", "/", version(1))),
            ("GET http://a ", ("GET", "a", "a", "", Version::V0_9)),
            ("GET http://a?b", ("GET", "a", "a", "?b", Version::V0_9)),
            ("GET http:///x HTTP/1.1", ("GET", "", "", "/x", version(1))),
            ("CONNECT a:443 HTTP/1.1", ("CONNECT", "", "a:443", "", version(1))),
        ] {
            assert_eq!(parsed(line), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn refused_lines() {
        use LineError::{Method, MethodOfVersion0_9, Request, Version};
        for (line, wanted) in [
            ("", Method),
            ("GET", Method),
            ("get / HTTP/1.1", Method),
            ("GeT / HTTP/1.1", Method),
            (" GET / HTTP/1.1", Method),
            ("GET\t/ HTTP/1.1", Method),
            ("GET ", Request),
            ("GET * HTTP/1.1", Request),
            ("OPTIONS * HTTP/1.1", Request),
            ("GET a HTTP/1.1", Request),
            ("GET 1://a/ HTTP/1.1", Request),
            ("GET http:/a HTTP/1.1", Request),
            ("GET http://a_b/ HTTP/1.1", Request),
            ("GET http://u@a/ HTTP/1.1", Request),
            ("GET http://a:8x/ HTTP/1.1", Request),
            ("GET http://[::1 HTTP/1.1", Request),
            ("GET http://[:/:1]/ HTTP/1.1", Request),
            ("GET http://a#b HTTP/1.1", Request),
            ("GET /a b HTTP/1.1", Request),
            ("GET /a\tb HTTP/1.1", Request),
            ("GET /\u{7f} HTTP/1.1", Request),
            ("GET / HTTP/0.9", Request),
            ("GET / HTTP/1", Request),
            ("GET / HTTP/1.", Request),
            ("GET / HTTP/1.1000", Request),
            ("GET http://a", Request),
            ("GET http://a:8", Request),
            ("GET / HTTP/1.1x", Request),
            ("GET / HTTP/1.1 x", Request),
            ("GET / http/1.1", Request),
            ("GET / HTTPS/1.1", Request),
            ("GET / HTTP/2.0", Version),
            ("GET / HTTP/2", Version),
            ("GET / HTTP/11.0", Version),
            ("HEAD /", MethodOfVersion0_9),
        ] {
            assert_eq!(parsed(line), Err(wanted), "{line}");
        }
    }
}
