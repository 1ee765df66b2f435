//! The head of an answer: how its body is framed, and the bytes in nginx's order.

use std::time::UNIX_EPOCH;

use http1::{Fields, Method, Version};

use crate::{
    clock,
    http::{
        Body, Exchange, Response, fault,
        response::{Author, LastModified},
    },
};

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// No body at all.
    None,
    /// Content-Length, or the end of the connection.
    Plain,
    /// Chunks.
    Chunked,
}

/// Decides how the body is framed, and whether the connection survives it.
pub(super) fn frame(exchange: &mut Exchange, response: &mut Response, body: &Body) -> BodyFraming {
    let status = response.status;
    // Below 100 an upstream may say anything, with a body behind it.
    if matches!(status, 100..=199 | 204) {
        response.content_type = None;
        response.content_length = None;
        response.last_modified = None;
        return BodyFraming::None;
    }
    let head_only = status == 304 || exchange.head.method == Method::Head;
    if response.content_length.is_some() || head_only {
        return if head_only { BodyFraming::None } else { BodyFraming::Plain };
    }
    if matches!(body, Body::Empty) {
        return BodyFraming::Plain;
    }
    if exchange.head.version >= Version::V1_1 && *exchange.location.core.chunked_transfer_encoding {
        return BodyFraming::Chunked;
    }
    // Only the end of the connection can tell where the body ends.
    exchange.keepalive = false;
    BodyFraming::Plain
}

/// Writes the head.
pub(super) fn write(out: &mut Vec<u8>, exchange: &Exchange, response: &Response, framing: BodyFraming) {
    // HTTP/0.9 has no heads.
    if exchange.head.version < Version::V1_0 {
        return;
    }
    http1::write_status_line(out, response.status, response.reason.as_deref());
    if !is_passed_on(exchange, response, "Server") {
        fault::write_server(out, exchange);
    }
    if !has_date(exchange, response) {
        write_date(out);
    }
    each_slot(exchange, response, framing, |name, value| http1::write_field(out, name, value));
    write_connection(out, exchange, response);
    if response.varies_by_encoding {
        http1::write_field(out, b"Vary", b"Accept-Encoding");
    }
    if let Some(shared) = &response.shared {
        out.extend_from_slice(&shared.lines);
    }
    http1::write_fields(out, &response.fields);
    out.extend_from_slice(b"\r\n");
}

/// Whether there is a Date already, or none is wanted.
fn has_date(exchange: &Exchange, response: &Response) -> bool {
    if is_passed_on(exchange, response, "Date") {
        return true;
    }
    // RFC 9110, 6.6.1: the origin's date goes out unchanged, and what has none gets one.
    let passes = response.author == Author::Upstream && exchange.location.cache.follows_rfc();
    let is_shared = || response.shared.as_ref().is_some_and(|shared| shared.fields.contains("Date"));
    passes && (response.fields.contains("Date") || is_shared())
}

/// Whether the upstream's own field stands in the place of ours (`proxy_pass_header`).
///
/// As nginx: what is passed on is not made up for where the upstream has none.
fn is_passed_on(exchange: &Exchange, response: &Response, name: &str) -> bool {
    let passed = || exchange.location.proxy.pass_header.iter();
    match response.author {
        Author::Us => false,
        Author::Upstream => passed().any(|passed| passed.eq_ignore_ascii_case(name)),
    }
}

/// Keeps the fields of an answer for `$sent_http_*`.
pub(super) fn remember_fields(exchange: &mut Exchange, response: &Response, framing: BodyFraming) {
    let mut fields = Fields::new();
    each_slot(exchange, response, framing, |name, value| fields.push(name, value));
    let shared = response.shared.iter().flat_map(|shared| shared.fields.iter());
    for (name, value) in shared.chain(response.fields.iter()) {
        fields.push(name, value);
    }
    let connection = connection_value(exchange, response);
    fields.push(b"Connection", connection);
    exchange.sent.fields = fields;
}

/// Goes through the fields that have slots, in nginx's order.
fn each_slot(
    exchange: &Exchange,
    response: &Response,
    framing: BodyFraming,
    mut write: impl FnMut(&[u8], &[u8]),
) {
    if let Some(value) = &response.content_type {
        write(b"Content-Type", value);
    }
    if let Some(length) = response.content_length.filter(|_| framing != BodyFraming::Chunked) {
        write(b"Content-Length", Decimal::new(length).as_bytes());
    }
    if let Some(LastModified::Ours(time)) = response.last_modified {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        write(b"Last-Modified", http1::date::format(i64::try_from(seconds).unwrap_or(i64::MAX)).as_bytes());
    }
    if let Some(location) = &response.location {
        write(b"Location", &fault::absolute(exchange, location));
    }
    if framing == BodyFraming::Chunked {
        write(b"Transfer-Encoding", b"chunked");
    }
}

fn write_connection(out: &mut Vec<u8>, exchange: &Exchange, response: &Response) {
    http1::write_field(out, b"Connection", connection_value(exchange, response));
    let header = exchange.location.core.keepalive_timeout.header;
    if let Some(timeout) = header.filter(|_| exchange.keepalive && response.status != 101) {
        out.extend_from_slice(b"Keep-Alive: timeout=");
        out.extend_from_slice(Decimal::new(timeout.as_secs()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn connection_value(exchange: &Exchange, response: &Response) -> &'static [u8] {
    match (response.status, exchange.keepalive) {
        (101, _) => b"upgrade",
        (_, true) => b"keep-alive",
        (_, false) => b"close",
    }
}

fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static LINE: std::cell::RefCell<(u64, Vec<u8>)> = const { std::cell::RefCell::new((0, Vec::new())) };
    }
    let now = clock::now();
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LINE.with_borrow_mut(|(of, line)| {
        if *of != seconds {
            *of = seconds;
            line.clear();
            http1::write_field(line, b"Date", httpdate::fmt_http_date(now).as_bytes());
        }
        out.extend_from_slice(line);
    });
}

/// A number as decimal text, without an allocation.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut number: u64) -> Self {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
            if number == 0 {
                return Self { digits, start };
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn numbers_are_written_as_decimals() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
