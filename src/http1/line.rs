//! One header line, as requests, responses and trailers share it.
//!
//! As nginx: the name ends at the colon, spaces (and only spaces) around the value are dropped, a line
//! without a colon is a field without a value, and there is no folding. Names with other bytes than
//! letters, digits and hyphens are marked; the caller decides whether to keep them.

use crate::swar;

/// What the bytes at the start of a line are. `used` counts the line with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The end of the line has not come, and nothing is wrong so far.
    Incomplete,
    /// The empty line behind the last field.
    End { used: usize },
    /// A field: the name is `..name_len`, the value `value_start..value_end`.
    Field { name_len: usize, value_start: usize, value_end: usize, used: usize, name: NameKind },
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

/// Where a parser is in the lines of a head. Bytes of a line that comes in pieces are searched for its end
/// once, and are looked at a second time when that has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    /// Where the line being read begins.
    pub start: usize,
    /// Up to where there is no end of that line.
    scanned: usize,
}

impl Lines {
    /// Finds the end of the line being read: the place of its LF.
    #[inline]
    pub fn end(&mut self, buf: &[u8]) -> Option<usize> {
        let place = memchr::memchr(b'\n', &buf[self.scanned..]);
        let end = place.map(|place| self.scanned + place);
        self.scanned = end.unwrap_or(buf.len());
        end
    }

    /// Reads the line if it is a header line; [`Lines::start`] stays where it begins.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Line, usize> {
        if self.scanned > self.start && self.end(buf).is_none() {
            return Ok(Line::Incomplete);
        }
        let line = scan(&buf[self.start..])?;
        if line == Line::Incomplete {
            self.scanned = buf.len();
        }
        Ok(line)
    }

    /// Goes to the line that begins at `start`.
    #[inline]
    pub fn go_to(&mut self, start: usize) {
        (self.start, self.scanned) = (start, start);
    }

    /// Which bytes of `buf` have not been searched yet.
    #[inline]
    pub fn unseen<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.scanned..]
    }
}

/// Reads the line at the start of `text`. An error is the place of the byte that makes it invalid.
#[inline]
pub(crate) fn scan(text: &[u8]) -> Result<Line, usize> {
    let (name_len, name) = scan_name(text);
    match text.get(name_len) {
        Some(b':') if name_len > 0 => {}
        _ => return without_value(text, name_len, name),
    }
    let mut value_start = name_len + 1;
    while text.get(value_start) == Some(&b' ') {
        value_start += 1;
    }
    let mut at = value_start;
    let (value_end, used) = loop {
        let Some(place) = swar::find_below::<0x0e>(&text[at..]) else { return Ok(Line::Incomplete) };
        at += place;
        match text[at] {
            b'\n' => break (at, at + 1),
            b'\r' => match line_feed(text, at)? {
                Some(used) => break (at, used),
                None => return Ok(Line::Incomplete),
            },
            0 => return Err(at),
            // A control byte that nginx lets pass.
            _ => at += 1,
        }
    };
    let trailing = text[value_start..value_end].iter().rev().take_while(|&&byte| byte == b' ').count();
    Ok(Line::Field { name_len, value_start, value_end: value_end - trailing, used, name })
}

/// The length of the name at the start of `text`, and what it is made of.
#[inline]
fn scan_name(text: &[u8]) -> (usize, NameKind) {
    let plain = swar::find_non_name(text).unwrap_or(text.len());
    match text.get(plain) {
        None | Some(b':') => (plain, NameKind::Plain),
        Some(_) => scan_rare_name(text, plain),
    }
}

/// Goes on with a name behind its first `plain` bytes.
#[cold]
fn scan_rare_name(text: &[u8], plain: usize) -> (usize, NameKind) {
    let mut name = NameKind::Plain;
    for (place, &byte) in text.iter().enumerate().skip(plain) {
        match byte {
            0..=b' ' | b':' | 0x7f => return (place, name),
            b'_' if name == NameKind::Plain => name = NameKind::WithUnderscore,
            b'_' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {}
            _ => name = NameKind::Odd,
        }
    }
    (text.len(), name)
}

/// Reads a line that has no colon behind a name.
#[cold]
fn without_value(text: &[u8], name_len: usize, name: NameKind) -> Result<Line, usize> {
    let used = match text.get(name_len) {
        None => None,
        Some(b'\n') => Some(name_len + 1),
        // As nginx: before the end of the head one carriage return is the most.
        Some(b'\r') if name_len == 0 => match text.get(1) {
            None => None,
            Some(b'\n') => Some(2),
            Some(_) => return Err(0),
        },
        Some(b'\r') => line_feed(text, name_len)?,
        Some(_) => return Err(name_len),
    };
    Ok(match used {
        None => Line::Incomplete,
        Some(used) if name_len == 0 => Line::End { used },
        Some(used) => Line::Field { name_len, value_start: name_len, value_end: name_len, used, name },
    })
}

/// Where the line ends whose carriage return is at `at`: nginx takes any number of them, and then only an
/// LF. Nothing if that has not come.
#[inline]
fn line_feed(text: &[u8], at: usize) -> Result<Option<usize>, usize> {
    let returns = text[at..].iter().take_while(|&&byte| byte == b'\r').count();
    match text.get(at + returns) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(at + returns + 1)),
        Some(_) => Err(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(line: &str) -> Result<(&str, &str, NameKind), usize> {
        for end in 0..line.len() {
            assert_eq!(scan(&line.as_bytes()[..end]), Ok(Line::Incomplete), "{line:?} to {end}");
        }
        match scan(format!("{line}next").as_bytes())? {
            Line::Field { name_len, value_start, value_end, used, name } => {
                assert_eq!(used, line.len(), "{line:?}");
                Ok((&line[..name_len], &line[value_start..value_end], name))
            }
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn fields() {
        use NameKind::{Odd, Plain, WithUnderscore};
        for (line, wanted) in [
            ("A: b\r\n", ("A", "b", Plain)),
            ("A: b\n", ("A", "b", Plain)),
            ("A:b\r\r\n", ("A", "b", Plain)),
            ("A-1:  b c  \r\n", ("A-1", "b c", Plain)),
            ("A:\r\n", ("A", "", Plain)),
            ("A:   \r\n", ("A", "", Plain)),
            ("A:   \n", ("A", "", Plain)),
            ("A:\tb\t\r\n", ("A", "\tb\t", Plain)),
            ("A: \u{e9}\u{1}\r\n", ("A", "\u{e9}\u{1}", Plain)),
            ("A:b:c\r\n", ("A", "b:c", Plain)),
            ("Abcdefgh: ijklmnop\r\n", ("Abcdefgh", "ijklmnop", Plain)),
            ("Abcdefgh-ijklmnop-q: r\r\n", ("Abcdefgh-ijklmnop-q", "r", Plain)),
            ("no-colon\r\n", ("no-colon", "", Plain)),
            ("no-colon\r\r\n", ("no-colon", "", Plain)),
            ("no-colon\n", ("no-colon", "", Plain)),
            ("a_b: c\r\n", ("a_b", "c", WithUnderscore)),
            ("_: c\r\n", ("_", "c", WithUnderscore)),
            ("abcdefgh_ijklmnop: c\r\n", ("abcdefgh_ijklmnop", "c", WithUnderscore)),
            ("a_@: c\r\n", ("a_@", "c", Odd)),
            ("a_@abcdefgh: c\r\n", ("a_@abcdefgh", "c", Odd)),
            ("\u{e9}: c\r\n", ("\u{e9}", "c", Odd)),
            ("HTTP/1.1: c\r\n", ("HTTP/1.1", "c", Odd)),
        ] {
            assert_eq!(field(line), Ok(wanted), "{line:?}");
        }
    }

    #[test]
    fn invalid_bytes_are_told_at_once() {
        for (line, place) in [
            ("A ", 1),
            (" ", 0),
            ("\t", 0),
            (":", 0),
            ("A\u{7f}", 1),
            ("abcdefghijk lm", 11),
            ("A: b\0", 4),
            ("A: \u{1}\u{9}b\0", 6),
            ("A: b\rc", 4),
            ("A: b\r\rc", 4),
            ("A\rb", 1),
            ("\r\r", 0),
            ("\ra", 0),
            ("\0", 0),
        ] {
            assert_eq!(scan(line.as_bytes()), Err(place), "{line:?}");
        }
    }

    #[test]
    fn the_end() {
        assert_eq!(scan(b""), Ok(Line::Incomplete));
        assert_eq!(scan(b"\r"), Ok(Line::Incomplete));
        assert_eq!(scan(b"\r\nA"), Ok(Line::End { used: 2 }));
        assert_eq!(scan(b"\n"), Ok(Line::End { used: 1 }));
    }
}
