//! One header line, as requests, responses and trailers share it.
//!
//! As nginx: the name ends at the colon, spaces (and only spaces) around the value are dropped, a line
//! without a colon is a field without a value, and there is no folding. Names with other bytes than
//! letters, digits and hyphens are marked; the caller decides whether to keep them.

/// Whose header lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The empty line behind the last field.
    End,
    /// A field: the name is `..name_len`, the value `value_start..value_end`.
    Field { name_len: usize, value_start: usize, value_end: usize, name: NameKind },
    /// A second status line in a response, which nginx skips because IIS may send it.
    StatusLine,
}

/// What bytes a name is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    Plain,
    /// Letters, digits, hyphens and at least one underscore.
    WithUnderscore,
    /// There are other bytes in it.
    Odd,
}

const NAME: u8 = 0;
const UNDERSCORE: u8 = 1;
const ODD: u8 = 2;
const NAME_END: u8 = 4;

/// What each byte is within a name.
const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [ODD; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        if ascii.is_ascii_alphanumeric() || ascii == b'-' {
            table[byte] = NAME;
        } else if ascii == b'_' {
            table[byte] = UNDERSCORE;
        } else if ascii <= b' ' || ascii == b':' || ascii == 0x7f {
            table[byte] = NAME_END;
        }
        byte += 1;
    }
    table
}

/// Reads a line given without its LF. An error is the place of the byte that makes it invalid.
#[inline]
pub(crate) fn scan(line: &[u8], side: Side) -> Result<Line, usize> {
    let mut seen = NAME;
    let mut name_len = 0;
    for &byte in line {
        let class = CLASS[byte as usize];
        if class == NAME_END {
            break;
        }
        seen |= class;
        name_len += 1;
    }
    if seen & ODD != 0 && side == Side::Response && line.starts_with(b"HTTP/") {
        return Ok(Line::StatusLine);
    }
    let name = match seen {
        NAME => NameKind::Plain,
        UNDERSCORE => NameKind::WithUnderscore,
        _ => NameKind::Odd,
    };
    let end = content_end(line);
    match line.get(name_len) {
        Some(b':') if name_len > 0 => {}
        None | Some(b'\r') if name_len == end => {
            if name_len > 0 {
                return Ok(Line::Field { name_len, value_start: name_len, value_end: name_len, name });
            }
            return if line.len() <= 1 { Ok(Line::End) } else { Err(0) };
        }
        _ => return Err(name_len),
    }
    // NUL and a carriage return that does not end the line are what nginx refuses in a value.
    let value = &line[name_len + 1..end];
    if let Some(bad) = memchr::memchr2(0, b'\r', value) {
        return Err(name_len + 1 + bad);
    }
    let leading = value.iter().take_while(|&&byte| byte == b' ').count();
    let trailing = value[leading..].iter().rev().take_while(|&&byte| byte == b' ').count();
    Ok(Line::Field { name_len, value_start: name_len + 1 + leading, value_end: end - trailing, name })
}

/// Where the line ends without its carriage returns; nginx takes any number of them before the LF.
#[inline]
fn content_end(line: &[u8]) -> usize {
    let mut end = line.len();
    while end > 0 && line[end - 1] == b'\r' {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(line: &str) -> Result<(&str, &str, NameKind), usize> {
        match scan(line.as_bytes(), Side::Request)? {
            Line::Field { name_len, value_start, value_end, name } => {
                Ok((&line[..name_len], &line[value_start..value_end], name))
            }
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn fields() {
        use NameKind::{Odd, Plain, WithUnderscore};
        for (line, wanted) in [
            ("A: b\r", ("A", "b", Plain)),
            ("A: b", ("A", "b", Plain)),
            ("A:b\r\r", ("A", "b", Plain)),
            ("A-1:  b c  \r", ("A-1", "b c", Plain)),
            ("A:\r", ("A", "", Plain)),
            ("A:   \r", ("A", "", Plain)),
            ("A:\tb\t\r", ("A", "\tb\t", Plain)),
            ("A: \u{e9}\u{1}\r", ("A", "\u{e9}\u{1}", Plain)),
            ("A:b:c\r", ("A", "b:c", Plain)),
            ("no-colon\r", ("no-colon", "", Plain)),
            ("no-colon", ("no-colon", "", Plain)),
            ("a_b: c\r", ("a_b", "c", WithUnderscore)),
            ("_: c\r", ("_", "c", WithUnderscore)),
            ("a_@: c\r", ("a_@", "c", Odd)),
            ("\u{e9}: c\r", ("\u{e9}", "c", Odd)),
            ("HTTP/1.1: c\r", ("HTTP/1.1", "c", Odd)),
        ] {
            assert_eq!(field(line), Ok(wanted), "{line:?}");
        }
    }

    #[test]
    fn invalid_bytes() {
        for (line, place) in [
            ("A : b\r", 1),
            (" folded\r", 0),
            ("\tfolded\r", 0),
            (": b\r", 0),
            ("A\u{7f}: b\r", 1),
            ("A: b\0c\r", 4),
            ("A: b\rc\r", 4),
            ("A\rb: c\r", 1),
            ("\r\r", 0),
            ("\ra\r", 0),
        ] {
            assert_eq!(scan(line.as_bytes(), Side::Request), Err(place), "{line:?}");
        }
    }

    #[test]
    fn the_end_and_second_status_lines() {
        assert_eq!(scan(b"\r", Side::Request), Ok(Line::End));
        assert_eq!(scan(b"", Side::Request), Ok(Line::End));
        assert_eq!(scan(b"HTTP/1.1 200 OK\r", Side::Response), Ok(Line::StatusLine));
        assert_eq!(scan(b"HTTP/1.1 200 OK\r", Side::Request), Err(8));
    }
}
