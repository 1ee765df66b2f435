//! Heads and chunk framing to bytes: everything appends to the caller's buffer.
//!
//! Nothing is checked here: what is written came out of a parser or out of the configuration.

use crate::fields::Fields;
use crate::head::Version;

/// What ends the payload of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk and the end of a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes `METHOD target HTTP/x.y`.
pub fn write_request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], version: Version) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/");
    write_decimal(out, u64::from(version.major));
    out.push(b'.');
    write_decimal(out, u64::from(version.minor));
    out.extend_from_slice(b"\r\n");
}

/// Writes `HTTP/1.1 status reason`. Without a reason nginx's own is taken.
/// RFC 9112, 4: the space is there also where no reason is, as after an upstream's that had none.
pub fn write_status_line(out: &mut Vec<u8>, status: u16, given: Option<&[u8]>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_three_digits(out, status);
    out.push(b' ');
    out.extend_from_slice(given.unwrap_or_else(|| reason(status).unwrap_or_default().as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// nginx's words for a status. Its own, 494 to 499, have none.
pub fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => return None,
    })
}

/// Writes `name: value`.
#[inline]
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes each field, in order; the empty line behind them is the caller's.
pub fn write_fields(out: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields.iter() {
        write_field(out, name, value);
    }
}

/// Writes the line that begins a chunk of `len` bytes. A chunk of none would be the last.
pub fn write_chunk_size(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(DIGITS[len >> (place * 4) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, the trailers and the end of the body.
pub fn write_trailers(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    write_fields(out, trailers);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number.
pub(crate) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn write_three_digits(out: &mut Vec<u8>, status: u16) {
    for zeros in [100, 10] {
        if status < zeros {
            out.push(b'0');
        }
    }
    write_decimal(out, u64::from(status));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn status_lines() {
        for (status, given, wanted) in [
            (200, None, "HTTP/1.1 200 OK\r\n"),
            (302, None, "HTTP/1.1 302 Moved Temporarily\r\n"),
            (299, None, "HTTP/1.1 299 \r\n"),
            (494, None, "HTTP/1.1 494 \r\n"),
            (7, None, "HTTP/1.1 007 \r\n"),
            (70, None, "HTTP/1.1 070 \r\n"),
            (65535, None, "HTTP/1.1 65535 \r\n"),
            (200, Some("Fine"), "HTTP/1.1 200 Fine\r\n"),
            (200, Some(""), "HTTP/1.1 200 \r\n"),
        ] {
            let line = written(|out| write_status_line(out, status, given.map(str::as_bytes)));
            assert_eq!(line, wanted);
        }
    }

    #[test]
    fn request_lines() {
        let line = written(|out| write_request_line(out, b"GET", b"/a?b", Version::V1_0));
        assert_eq!(line, "GET /a?b HTTP/1.0\r\n");
        let line = written(|out| write_request_line(out, b"X", b"/", Version { major: 1, minor: 42 }));
        assert_eq!(line, "X / HTTP/1.42\r\n");
    }

    #[test]
    fn chunks() {
        for (len, wanted) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (0xabc_def0, "abcdef0\r\n")] {
            assert_eq!(written(|out| write_chunk_size(out, len)), wanted);
        }
        assert_eq!(written(|out| write_chunk_size(out, usize::MAX)), format!("{:x}\r\n", usize::MAX));
        let trailers: Fields = [(&b"A"[..], &b"1"[..]), (b"b", b"")].into_iter().collect();
        assert_eq!(written(|out| write_trailers(out, &trailers)), "0\r\nA: 1\r\nb: \r\n\r\n");
        assert_eq!(written(|out| write_trailers(out, &Fields::new())).as_bytes(), LAST_CHUNK);
    }
}
