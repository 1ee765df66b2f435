//! The body of an answer over HTTP/1: framing taken off, and the connection given back at a proven end.

use std::{sync::Arc, time::Duration};

use ::http1::{Chunk, ChunkLimits, ChunkedDecoder, Fields, Framing};
use bytes::Bytes;

use super::{
    super::{
        body::{LARGE_READ_BYTES, READING, Settled},
        log,
    },
    Reuse,
};
use crate::{
    error_log::{self, Level},
    http::{Fault, fault::Kind, site::EventLoop},
    upstream::{Connection, Pick},
};

/// What is left of a body, and the connection that it comes over.
pub struct Http1Body {
    connection: Connection,
    reuse: Reuse,
    stage: Stage,
    length: Option<u64>,
}

enum Stage {
    Length {
        left: u64,
    },
    /// `ready` bytes of payload stand at the beginning of the input.
    Chunked {
        decoder: Box<ChunkedDecoder>,
        ready: usize,
    },
    UntilClose,
}

/// Bytes that one read asks for where little is left.
const SMALL_READ_BYTES: usize = 16 << 10;
/// A buffer is read into until less than this part of it is free: pieces keep all of their buffer, so that buffers that
/// hold little would take far more memory than what is in them.
const FREE_PART_LEAST: usize = 4;

impl Http1Body {
    /// Begins to read a body; what has arrived of it is in the connection's input.
    pub(super) fn new(connection: Connection, framing: Framing, reuse: Reuse) -> Self {
        let (stage, length) = match framing {
            Framing::Empty => (Stage::Length { left: 0 }, None),
            Framing::Length(left) => (Stage::Length { left }, Some(left)),
            Framing::Chunked => {
                let decoder = Box::new(ChunkedDecoder::new(ChunkLimits::default()));
                (Stage::Chunked { decoder, ready: 0 }, None)
            }
            Framing::UntilClose => (Stage::UntilClose, None),
        };
        Self { connection, reuse, stage, length }
    }

    /// Returns the connection, which has changed to another protocol.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Returns Content-Length, where the answer has a body of known length.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether a piece can be had without waiting.
    pub fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Chunked { ready, .. } => *ready > 0,
            Stage::Length { .. } | Stage::UntilClose => !self.connection.input.is_empty(),
        }
    }

    /// Whether all that is left is here, in a piece of at most this many bytes.
    pub fn has_whole(&self, piece_most: usize) -> bool {
        let Stage::Length { left } = self.stage else { return false };
        self.connection.input.len().min(piece_most) as u64 >= left
    }

    /// Takes payload off the input.
    pub fn take(&mut self, piece_most: usize) -> Option<Bytes> {
        let input = &mut self.connection.input;
        let count = match &mut self.stage {
            Stage::Length { left } => {
                let arrived = input.len().min(piece_most);
                let count = usize::try_from(*left).map_or(arrived, |left| arrived.min(left));
                *left -= count as u64;
                count
            }
            Stage::Chunked { ready, .. } => {
                let count = (*ready).min(piece_most);
                *ready -= count;
                count
            }
            Stage::UntilClose => input.len().min(piece_most),
        };
        (count > 0).then(|| input.split_to(count).freeze())
    }

    /// Takes framing off the input, up to payload or the end. After this, what is in the input is payload.
    pub fn settle(&mut self) -> Settled {
        let input = &mut self.connection.input;
        match &mut self.stage {
            Stage::Length { left: 0 } => Settled::Over,
            Stage::Chunked { decoder, ready } if *ready == 0 && !input.is_empty() => {
                match decoder.decode(input) {
                    Ok(Chunk::NeedMore { used }) => drop(input.split_to(used)),
                    Ok(Chunk::Payload { skip, len }) => {
                        drop(input.split_to(skip));
                        *ready = len;
                    }
                    Ok(Chunk::End { used }) => {
                        drop(input.split_to(used));
                        return Settled::Over;
                    }
                    Err(_) => {
                        let detail = "upstream sent invalid chunked response";
                        return Settled::Broken(log::fault(Kind::InvalidBody, READING, detail));
                    }
                }
                Settled::Going
            }
            Stage::Length { .. } | Stage::Chunked { .. } | Stage::UntilClose => Settled::Going,
        }
    }

    /// Reads at most so many bytes and returns how many came; none at a close that is the end. Cancel safe.
    pub async fn receive(&mut self, most: usize, timeout: Duration) -> Result<Option<usize>, Fault> {
        let wanted = match &self.stage {
            Stage::Length { left } if *left <= SMALL_READ_BYTES as u64 => SMALL_READ_BYTES,
            Stage::Length { .. } | Stage::Chunked { .. } | Stage::UntilClose => LARGE_READ_BYTES,
        };
        let wanted = wanted.min(most);
        let Connection { stream, timer, input, .. } = &mut self.connection;
        if input.capacity() - input.len() < wanted.div_ceil(FREE_PART_LEAST) {
            input.reserve(wanted);
        }
        match timer.within(timeout, stream.read(input)).await {
            Ok(0) if matches!(self.stage, Stage::UntilClose) => Ok(None),
            Ok(0) => Err(log::premature_close(READING)),
            Ok(count) => Ok(Some(count)),
            Err(error) => Err(log::broken(READING, "recv", &error)),
        }
    }

    /// Frees the connection at the end of the body, and returns the trailers.
    pub fn finish(self, event_loop: &EventLoop, pick: &Pick) -> Option<Arc<Fields>> {
        let Self { connection, reuse, stage, length } = self;
        let (trailers, surplus) = match stage {
            Stage::Chunked { decoder, .. } => {
                let trailers = decoder.trailers();
                ((!trailers.is_empty()).then(|| Arc::new(trailers)), Some("data after final chunk"))
            }
            // As nginx: what comes where there is no body, as after a HEAD, is nobody's concern.
            Stage::Length { .. } | Stage::UntilClose => {
                (None, length.map(|_| "more data than specified in \"Content-Length\" header"))
            }
        };
        if !connection.input.is_empty() {
            let (scheme, peer) = (connection.scheme().prefix(), &pick.peer().name);
            if let Some(surplus) = surplus {
                error_log::write(
                    Level::Warn,
                    format_args!("upstream sent {surplus} while {READING}, upstream: \"{scheme}{peer}\""),
                );
            }
        } else if reuse == Reuse::Kept {
            event_loop.idle.put(pick.group(), connection);
        }
        trailers
    }
}
