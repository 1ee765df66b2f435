//! HTTP/2 towards clients: what is asked before a location is known, and directives of the past.

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{H, HS, Reader, settings},
    source::Problem,
    values::{FLAG, NUMBER, size},
};

/// Largest frame of HTTP/2 (RFC 9113, 4.2).
const FRAME_MOST: u64 = (1 << 24) - 1;

/// Largest window of flow control (RFC 9113, 6.9.1).
const WINDOW_MOST: u64 = (1 << 31) - 1;

/// Bytes of a receive buffer that must be more than this.
const RECEIVE_BUFFER_ABOVE: u64 = 32;

settings! {
    /// HTTP/2 towards clients, at one level.
    pub struct Http2Conf {
        /// Lets clients speak HTTP/2: over TLS where they agree on it, in clear text where they begin with it.
        http2: bool = false, "http2" in HS, once(FLAG), "off";
        /// Most requests at a time on a connection.
        max_concurrent_streams: u64 = 128, "http2_max_concurrent_streams" in HS, once(NUMBER), "128";
        /// How much of a request's body a client may send before anybody reads it.
        body_preread_size: u64 = 65536, "http2_body_preread_size" in HS, once(PREREAD_SIZE), "64k";
        /// Memory of an event loop for what arrives.
        recv_buffer_size: u64 = 256 << 10, "http2_recv_buffer_size" in H, once(RECEIVE_BUFFER), "256k";
    }
}

/// Reads `http2_chunk_size`; as nginx, one that is too large is as large as a frame can be.
pub const CHUNK_SIZE: Reader<u64> = Reader::one("size", |directive, _| match size(directive, 0)? {
    0 => Err(directive.fail(0, "the http2 chunk size cannot be zero")),
    bytes => Ok(bytes.min(FRAME_MOST)),
});

const PREREAD_SIZE: Reader<u64> = Reader::one("size", |directive, _| match size(directive, 0)? {
    bytes if bytes > WINDOW_MOST => {
        Err(directive.fail(0, format!("the maximum body preread buffer size is {WINDOW_MOST}")))
    }
    bytes => Ok(bytes),
});

const RECEIVE_BUFFER: Reader<u64> = Reader::one("size", |directive, _| match size(directive, 0)? {
    bytes if bytes <= RECEIVE_BUFFER_ABOVE => Err(directive.complain("value is too small")),
    bytes => Ok(bytes),
});

/// Reads a directive that newer versions of nginx take and ignore.
pub const OBSOLETE: Reader<()> = Reader::one("value", obsolete);

/// What is to be written instead.
const INSTEAD: [(&str, &str); 5] = [
    ("http2_idle_timeout", "keepalive_timeout"),
    ("http2_max_field_size", "large_client_header_buffers"),
    ("http2_max_header_size", "large_client_header_buffers"),
    ("http2_max_requests", "keepalive_requests"),
    ("http2_recv_timeout", "client_header_timeout"),
];

fn obsolete(directive: &Directive, scope: &Scope<'_>) -> Result<(), Problem> {
    let name = directive.name();
    let instead = INSTEAD.iter().find(|(old, _)| *old == name).map(|(_, new)| new);
    let message = match instead {
        Some(new) => format!("the \"{name}\" directive is obsolete, use the \"{new}\" directive instead"),
        None => format!("the \"{name}\" directive is obsolete, ignored"),
    };
    scope.report(Problem::warning(directive.name.span, message));
    Ok(())
}
