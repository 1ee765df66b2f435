//! The chunked coding, read: sizes, extensions, trailers.
//!
//! The decoder never copies payload; it says which bytes of the caller's buffer are payload. As nginx since
//! 1.29.4, lines end with CR LF and nothing else: peers that disagree about a bare LF disagree about where
//! the body ends. Extensions are skipped, but all of them together must stay under a limit.

use thiserror::Error;

use crate::fields::Fields;
use crate::line::{self, Line};

/// How much a body may hold beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of all chunk extensions together.
    pub extension_bytes: usize,
    /// Bytes of the trailer section.
    pub trailer_bytes: usize,
    /// Fields in the trailer section.
    pub trailer_fields: usize,
}

impl Default for ChunkLimits {
    fn default() -> ChunkLimits {
        ChunkLimits { extension_bytes: 16 * 1024, trailer_bytes: 16 * 1024, trailer_fields: 100 }
    }
}

/// What the bytes given to [`ChunkedDecoder::decode`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// `used` bytes were framing, and the rest (there is none) is to come.
    NeedMore {
        /// The number of bytes taken: all.
        used: usize,
    },
    /// Behind `skip` bytes of framing come `len` bytes of payload; call again with what follows them.
    Payload {
        /// Bytes to leave out.
        skip: usize,
        /// Bytes of payload, at least one.
        len: usize,
    },
    /// The body ended after `used` bytes; what follows is not of this message.
    End {
        /// The number of bytes taken.
        used: usize,
    },
}

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// A chunk does not begin with a size in hexadecimal digits, or what is behind it is not CR LF.
    #[error("invalid chunk size")]
    Size,
    /// The size of a chunk does not fit a file offset.
    #[error("too large chunk")]
    TooLarge,
    /// Behind the payload of a chunk there is no CR LF.
    #[error("invalid end of chunk")]
    ChunkEnd,
    /// The extensions are longer than the limit.
    #[error("too long chunk extensions")]
    Extensions,
    /// A line of the trailer section is no field.
    #[error("invalid trailer")]
    Trailer,
    /// The trailer section is longer than the limits.
    #[error("too large trailer section")]
    TooLargeTrailer,
}

/// Finds payload and end of a chunked body in bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    limits: ChunkLimits,
    /// Of the chunk being read: its size, then how much of the payload is to come.
    remaining: u64,
    /// What the trailer section may still take.
    trailer_room: usize,
    /// The trailer line being read.
    line: Vec<u8>,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    Start,
    /// Behind the first digit.
    Size,
    Extension,
    /// Before the LF behind a size.
    SizeEnd,
    Payload,
    /// Before the CR behind a payload.
    PayloadEnd,
    /// Before the LF behind a payload.
    PayloadEndLf,
    Trailer,
    End,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new(limits: ChunkLimits) -> ChunkedDecoder {
        ChunkedDecoder {
            state: State::Start,
            limits,
            remaining: 0,
            trailer_room: limits.trailer_bytes,
            line: Vec::new(),
            trailers: Fields::new(),
        }
    }

    /// Goes on with `buf`, the bytes behind those that earlier calls used. Every byte is looked at once.
    /// An error is final.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Chunk, ChunkError> {
        let mut at = 0;
        loop {
            match self.state {
                State::End => return Ok(Chunk::End { used: at }),
                _ if at == buf.len() => return Ok(Chunk::NeedMore { used: at }),
                State::Payload => return Ok(self.payload(at, buf.len())),
                State::Extension => at += self.skip_extension(&buf[at..])?,
                State::Trailer => at += self.trailer(&buf[at..])?,
                State::Start | State::Size | State::SizeEnd | State::PayloadEnd | State::PayloadEndLf => {
                    self.state = self.next_state(buf[at])?;
                    at += 1;
                }
            }
        }
    }

    /// Whether the end was found.
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// How many bytes of payload the chunk being read has announced and not yielded yet.
    pub fn announced(&self) -> u64 {
        if self.state == State::Payload { self.remaining } else { 0 }
    }

    /// The fields behind the last chunk, once the end was found.
    pub fn trailers(self) -> Fields {
        self.trailers
    }

    /// One byte of a chunk's size or of its end.
    fn next_state(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Start | State::Size, _) if byte.is_ascii_hexdigit() => self.add_digit(byte),
            (State::Size, b'\r') => Ok(State::SizeEnd),
            (State::Size, b';' | b' ' | b'\t') => Ok(State::Extension),
            (State::SizeEnd, b'\n') => Ok(if self.remaining == 0 { State::Trailer } else { State::Payload }),
            (State::PayloadEnd, b'\r') => Ok(State::PayloadEndLf),
            (State::PayloadEndLf, b'\n') => Ok(State::Start),
            (State::PayloadEnd | State::PayloadEndLf, _) => Err(ChunkError::ChunkEnd),
            _ => Err(ChunkError::Size),
        }
    }

    fn add_digit(&mut self, byte: u8) -> Result<State, ChunkError> {
        let digit = char::from(byte).to_digit(16).expect("the byte is a hexadecimal digit");
        if self.remaining > (i64::MAX as u64) >> 4 {
            return Err(ChunkError::TooLarge);
        }
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn payload(&mut self, skip: usize, end: usize) -> Chunk {
        let len = usize::try_from(self.remaining).map_or(end - skip, |remaining| remaining.min(end - skip));
        self.remaining -= len as u64;
        if self.remaining == 0 {
            self.state = State::PayloadEnd;
        }
        Chunk::Payload { skip, len }
    }

    /// Skips to the CR that ends the extensions of a chunk.
    fn skip_extension(&mut self, buf: &[u8]) -> Result<usize, ChunkError> {
        let end = memchr::memchr2(b'\r', b'\n', buf);
        let skipped = end.unwrap_or(buf.len());
        self.limits.extension_bytes =
            self.limits.extension_bytes.checked_sub(skipped).ok_or(ChunkError::Extensions)?;
        match end.map(|end| buf[end]) {
            None => Ok(skipped),
            Some(b'\r') => {
                self.state = State::SizeEnd;
                Ok(skipped + 1)
            }
            Some(_) => Err(ChunkError::Size),
        }
    }

    /// Reads up to the end of a line of the trailer section.
    fn trailer(&mut self, buf: &[u8]) -> Result<usize, ChunkError> {
        let end = memchr::memchr(b'\n', buf);
        let used = end.map_or(buf.len(), |end| end + 1);
        self.trailer_room = self.trailer_room.checked_sub(used).ok_or(ChunkError::TooLargeTrailer)?;
        self.line.extend_from_slice(&buf[..used]);
        if end.is_some() {
            self.trailer_line()?;
            self.line.clear();
        }
        Ok(used)
    }

    fn trailer_line(&mut self) -> Result<(), ChunkError> {
        if !self.line.ends_with(b"\r\n") {
            return Err(ChunkError::Trailer);
        }
        match line::scan(&self.line).map_err(|_| ChunkError::Trailer)? {
            Line::End { .. } => self.state = State::End,
            Line::Incomplete => return Err(ChunkError::Trailer),
            Line::Field { .. } if self.trailers.len() == self.limits.trailer_fields => {
                return Err(ChunkError::TooLargeTrailer);
            }
            Line::Field { name_len, value_start, value_end, .. } => {
                self.trailers.push(&self.line[..name_len], &self.line[value_start..value_end]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
