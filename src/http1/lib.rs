//! The HTTP/1 codec: bytes to heads and bodies, and back.
//!
//! Everything here is pure: parsers take the bytes read so far and answer "need more", a value or an
//! error; writers append to a buffer. The caller owns the socket, the clock and the decision what an
//! error means. What is accepted, refused or passed on follows nginx, whose configurations Larder
//! runs, and not the strictest reading of RFC 9112; where the two differ the code says so.

mod body;
mod chunked;
pub mod date;
mod escape;
mod fields;
mod head;
mod host;
mod line;
mod request;
mod response;
mod swar;
mod target;
pub mod uri;
mod write;

pub use crate::body::{Framing, FramingError, request_framing, response_framing};
pub use crate::chunked::{Chunk, ChunkError, ChunkLimits, ChunkedDecoder};
pub use crate::escape::{EscapeKind, escape_uri, unescape};
pub use crate::fields::{Fields, list_has_token};
pub use crate::head::{Method, Progress, RequestHead, ResponseHead, Version};
pub use crate::host::{Host, InvalidHost, parse_host};
pub use crate::request::{
    HeadRules, InvalidNames, RequestError, RequestParser, Underscores, check_host, check_request,
};
pub use crate::response::{ResponseError, ResponseParser};
pub use crate::target::is_method_byte;
pub use crate::write::{
    CHUNK_END, LAST_CHUNK, reason, write_chunk_size, write_field, write_fields, write_request_line,
    write_status_line, write_trailers,
};
