//! The head of an answer: how its body is framed, and the bytes in nginx's order.

use std::time::UNIX_EPOCH;

use http1::{Fields, Version};

use crate::{
    clock,
    http::{
        Body, Exchange, Response, fault,
        response::{self, Decimal},
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
    if response::ends_with_head(exchange, response) {
        return BodyFraming::None;
    }
    if response.content_length.is_some() || matches!(body, Body::Empty) {
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
    if !response::has_server(exchange, response) {
        fault::write_server(out, exchange);
    }
    if !response::has_date(exchange, response) {
        write_date(out);
    }
    response::each_slot(exchange, response, |name, value| http1::write_field(out, name, value));
    if framing == BodyFraming::Chunked {
        http1::write_field(out, b"Transfer-Encoding", b"chunked");
    }
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

/// Keeps the fields of an answer for `$sent_http_*`.
pub(super) fn remember_fields(exchange: &mut Exchange, response: &Response, framing: BodyFraming) {
    let mut fields = Fields::new();
    response::each_slot(exchange, response, |name, value| fields.push(name, value));
    if framing == BodyFraming::Chunked {
        fields.push(b"Transfer-Encoding", b"chunked");
    }
    let shared = response.shared.iter().flat_map(|shared| shared.fields.iter());
    for (name, value) in shared.chain(response.fields.iter()) {
        fields.push(name, value);
    }
    let connection = connection_value(exchange, response);
    fields.push(b"Connection", connection);
    exchange.sent.fields = fields;
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
