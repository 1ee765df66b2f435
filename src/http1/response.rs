//! Response heads: bytes of an upstream to [`ResponseHead`].
//!
//! Any invalid line makes the whole response invalid; names are not judged, and what does not begin with a
//! status line is the body of an HTTP/0.9 response, which the caller may pass on as nginx does.

use thiserror::Error;

use crate::fields::Block;
use crate::head::{Progress, ResponseHead, Version};
use crate::line::{Line, Lines};
use crate::target::version_number;

/// Why a response is refused. The text is nginx's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// There is no status line. nginx logs this and takes all bytes for the body of a 200.
    #[error("upstream sent no valid HTTP/1.0 header while reading response header from upstream")]
    NoStatusLine,
    /// A header line has a byte that no field can have.
    #[error("upstream sent invalid header: \"{}\\x{byte:02x}...\" while reading response header from upstream", String::from_utf8_lossy(.start))]
    InvalidHeader {
        /// The line up to that byte.
        start: Vec<u8>,
        /// The byte.
        byte: u8,
    },
    /// The head does not fit the buffer.
    #[error("upstream sent too big header while reading response header from upstream")]
    TooBig,
}

/// Parses one response head from bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct ResponseParser {
    stage: Stage,
    lines: Lines,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    StatusLine,
    Fields,
}

impl ResponseParser {
    /// A parser that has seen nothing.
    pub fn new() -> ResponseParser {
        ResponseParser::default()
    }

    /// Forgets what was seen: the next bytes begin a response.
    pub fn reset(&mut self) {
        *self = ResponseParser::default();
    }

    /// Goes on with the head at the start of `buf`, which holds the bytes given before and maybe more, and
    /// may take `max_bytes`. `head` must be empty at the first call, and the same at each.
    pub fn parse(
        &mut self,
        buf: &[u8],
        max_bytes: usize,
        head: &mut ResponseHead,
    ) -> Result<Progress, ResponseError> {
        let known = &buf[..buf.len().min(max_bytes)];
        let progress = self.parse_known(known, head)?;
        // What is needed beyond the limit will not come.
        if progress == Progress::NeedMore && buf.len() >= max_bytes {
            return Err(ResponseError::TooBig);
        }
        Ok(progress)
    }

    fn parse_known(&mut self, buf: &[u8], head: &mut ResponseHead) -> Result<Progress, ResponseError> {
        if self.stage == Stage::StatusLine {
            let Some(end) = self.lines.end(buf) else {
                let possible = may_begin_status_line(buf);
                return if possible { Ok(Progress::NeedMore) } else { Err(ResponseError::NoStatusLine) };
            };
            parse_status_line(&buf[..end], head).ok_or(ResponseError::NoStatusLine)?;
            self.lines.go_to(end + 1);
            self.stage = Stage::Fields;
        }
        let mut block = head.fields.block(buf, self.lines.start);
        let progress = self.fields(buf, &mut block);
        block.finish(self.lines.start);
        progress
    }

    /// Parses header lines up to the empty one.
    fn fields(&mut self, buf: &[u8], block: &mut Block<'_>) -> Result<Progress, ResponseError> {
        loop {
            let start = self.lines.start;
            // As nginx: IIS may send the status line twice.
            if buf[start..].starts_with(b"HTTP/") {
                let Some(end) = self.lines.end(buf) else { return Ok(Progress::NeedMore) };
                self.lines.go_to(end + 1);
                continue;
            }
            let line = self.lines.scan(buf).map_err(|place| ResponseError::InvalidHeader {
                start: buf[start..start + place].to_vec(),
                byte: buf[start + place],
            })?;
            match line {
                Line::Incomplete => return Ok(Progress::NeedMore),
                Line::End { used } => return Ok(Progress::Done(start + used)),
                Line::Field { name_len, value_start, value_end, used, .. } => {
                    block.push(start, name_len, value_start, value_end);
                    self.lines.go_to(start + used);
                }
            }
        }
    }
}

/// Whether more bytes could still make a status line of these: tells an HTTP/0.9 body, which may have no
/// line end at all, as soon as it can be told.
fn may_begin_status_line(buf: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/";
    let known = buf.len().min(START.len());
    buf[..known] == START[..known]
}

/// Reads `HTTP/x.y`, spaces, three digits and the reason. As nginx: a `.` may follow the digits (IIS sends
/// `403.1`), and the reason may have any bytes and may be absent with its space.
fn parse_status_line(line: &[u8], head: &mut ResponseHead) -> Option<()> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&b'\r') {
        return None;
    }
    let rest = line.strip_prefix(b"HTTP/")?;
    let (major, rest) = number(rest)?;
    let (minor, rest) = number(rest.strip_prefix(b".")?)?;
    let rest = rest.strip_prefix(b" ")?;
    if line[5] == b'0' {
        return None;
    }
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    let (digits, rest) = rest[spaces..].split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let reason = match rest.first() {
        None => rest,
        Some(b' ') => &rest[1..],
        Some(b'.') => rest,
        Some(_) => return None,
    };
    head.version = Version { major, minor };
    head.status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    head.reason.extend_from_slice(reason);
    Some(())
}

/// Splits a decimal number from the start of `text`.
fn number(text: &[u8]) -> Option<(u8, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    Some((version_number(&text[..digits])?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> (Result<Progress, ResponseError>, ResponseHead) {
        let mut head = ResponseHead::new();
        (ResponseParser::new().parse(text, 4096, &mut head), head)
    }

    #[test]
    fn status_lines() {
        let version = |major, minor| Version { major, minor };
        for (line, wanted) in [
            ("HTTP/1.1 200 OK\r", Some((version(1, 1), 200, "OK"))),
            ("HTTP/1.0 404 Not Found", Some((version(1, 0), 404, "Not Found"))),
            ("HTTP/1.1 200", Some((version(1, 1), 200, ""))),
            // A reason that is empty and one that is absent are the same here.
            ("HTTP/1.1 200 ", Some((version(1, 1), 200, ""))),
            ("HTTP/1.1  200  two\r", Some((version(1, 1), 200, " two"))),
            ("HTTP/1.1 403.1 IIS", Some((version(1, 1), 403, ".1 IIS"))),
            ("HTTP/1.1 200 \u{e9}\u{1}", Some((version(1, 1), 200, "\u{e9}\u{1}"))),
            ("HTTP/2.0 299 x", Some((version(2, 0), 299, "x"))),
            ("HTTP/1.1 099 x", Some((version(1, 1), 99, "x"))),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 2000", None),
            ("HTTP/1.1 200OK", None),
            ("HTTP/1.1 2x0 OK", None),
            ("HTTP/1.1", None),
            ("HTTP/1 200 OK", None),
            ("HTTP/0.9 200 OK", None),
            ("HTTP/01.1 200 OK", None),
            ("HTTP/1.100 200 OK", Some((version(1, 100), 200, "OK"))),
            ("HTTP/999.1 200 OK", Some((version(255, 1), 200, "OK"))),
            ("HTTP/1.1000 200 OK", None),
            ("HTTP/1.1\t200 OK", None),
            ("HTTP/1.1 200 a\rb", None),
            ("HTTP/1.1 200 a\r\r", None),
            ("http/1.1 200 OK", None),
            ("ICY 200 OK", None),
            ("", None),
        ] {
            let mut head = ResponseHead::new();
            let parsed = parse_status_line(line.as_bytes(), &mut head);
            let got = parsed.map(|()| (head.version, head.status, head.reason));
            assert_eq!(got, wanted.map(|(v, s, r): (_, _, &str)| (v, s, r.as_bytes().to_vec())), "{line:?}");
        }
    }

    #[test]
    fn heads_keep_odd_names_and_all_values() {
        let text =
            b"HTTP/1.1 200 OK\r\nX_a@: b\r\nHTTP/1.1 200 OK\nset-Cookie:1\r\nSet-Cookie: 2\r\n\r\nbody";
        let (progress, head) = parse(text);
        assert_eq!(progress, Ok(Progress::Done(text.len() - 4)));
        let wanted = [(&b"X_a@"[..], &b"b"[..]), (b"set-Cookie", b"1"), (b"Set-Cookie", b"2")];
        assert_eq!(head.fields, wanted.into_iter().collect());
    }

    #[test]
    fn invalid_lines_refuse_the_response() {
        for (line, start, byte) in [("A : b", "A", b' '), (" folded", "", b' '), ("A: \0", "A: ", 0)] {
            let text = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
            let wanted = ResponseError::InvalidHeader { start: start.as_bytes().to_vec(), byte };
            assert_eq!(parse(text.as_bytes()).0, Err(wanted), "{line:?}");
        }
    }

    #[test]
    fn bodies_without_a_head_are_told_early() {
        assert_eq!(parse(b"HT").0, Ok(Progress::NeedMore));
        assert_eq!(parse(b"HTTP/1.1 200").0, Ok(Progress::NeedMore));
        assert_eq!(parse(b"HX").0, Err(ResponseError::NoStatusLine));
        assert_eq!(parse(b"\r\nHTTP/1.1 200 OK\r\n\r\n").0, Err(ResponseError::NoStatusLine));
        assert_eq!(parse(b"<html>").0, Err(ResponseError::NoStatusLine));
    }

    #[test]
    fn the_limit_counts_the_whole_head() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        for max_bytes in 0..text.len() {
            let refused = ResponseParser::new().parse(text, max_bytes, &mut ResponseHead::new());
            assert_eq!(refused, Err(ResponseError::TooBig), "{max_bytes}");
        }
        let taken = ResponseParser::new().parse(text, text.len(), &mut ResponseHead::new());
        assert_eq!(taken, Ok(Progress::Done(text.len())));
    }

    #[test]
    fn pieces_give_the_same_head() {
        let text = b"HTTP/1.1 302 Found\r\nLocation: /\r\nA: b\r\n\r\n";
        let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::new());
        for end in 0..text.len() {
            assert_eq!(parser.parse(&text[..end], 4096, &mut head), Ok(Progress::NeedMore), "{end}");
        }
        assert_eq!(parser.parse(text, 4096, &mut head), Ok(Progress::Done(text.len())));
        assert_eq!(head, parse(text).1);
    }
}
