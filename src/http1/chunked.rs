//! The chunked coding, read: sizes, extensions, trailers.
//!
//! The decoder never copies payload; it says which bytes of the caller's buffer are payload. As nginx since
//! 1.29.4, lines end with CR LF and nothing else: peers that disagree about a bare LF disagree about where
//! the body ends. Extensions are skipped, but all of them together must stay under a limit.

use thiserror::Error;

use crate::fields::Fields;
use crate::line::{self, Line, Side};

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
        match line::scan(&self.line, Side::Request).map_err(|_| ChunkError::Trailer)? {
            Line::End { .. } => self.state = State::End,
            Line::StatusLine { .. } | Line::Incomplete => {
                unreachable!("the line is complete and no response's")
            }
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
mod tests {
    use super::*;

    /// Decodes bytes that come in pieces of `step` bytes: payload, trailers, how many bytes the body took.
    fn decode(
        body: &[u8],
        step: usize,
        limits: ChunkLimits,
    ) -> Result<Option<(Vec<u8>, Fields, usize)>, ChunkError> {
        let mut decoder = ChunkedDecoder::new(limits);
        let (mut payload, mut at) = (Vec::new(), 0);
        let mut end = 0;
        loop {
            match decoder.decode(&body[at..end])? {
                Chunk::NeedMore { used } => {
                    at += used;
                    assert_eq!(at, end, "all bytes are used");
                    if end == body.len() {
                        return Ok(None);
                    }
                    end = body.len().min(end + step);
                }
                Chunk::Payload { skip, len } => {
                    assert!(len > 0);
                    payload.extend_from_slice(&body[at + skip..at + skip + len]);
                    at += skip + len;
                }
                Chunk::End { used } => return Ok(Some((payload, decoder.trailers(), at + used))),
            }
        }
    }

    #[test]
    fn bodies_in_pieces_of_any_size() {
        for (body, payload, rest) in [
            ("0\r\n\r\n", "", 0),
            ("3\r\nabc\r\n0\r\n\r\nnext", "abc", 4),
            ("3\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n", "abc0123456789", 0),
            ("3;a=b;c=\"d\"\r\nabc\r\n0 ;x\r\n\r\n", "abc", 0),
            ("0003 \t\r\nabc\r\n0\r\n\r\n", "abc", 0),
            ("b\r\n\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r\n0\r\n\r", 0),
        ] {
            for step in 1..=body.len() {
                let decoded = decode(body.as_bytes(), step, ChunkLimits::default());
                let wanted = (payload.as_bytes().to_vec(), Fields::new(), body.len() - rest);
                assert_eq!(decoded, Ok(Some(wanted)), "{body:?} by {step}");
            }
        }
    }

    #[test]
    fn trailers_keep_order_and_case() {
        let body = b"1\r\na\r\n0\r\nX-Sum: 1\r\nx_Sum:  2 \r\nno-value:\r\n\r\n";
        let wanted: Fields =
            [(&b"X-Sum"[..], &b"1"[..]), (b"x_Sum", b"2"), (b"no-value", b"")].into_iter().collect();
        for step in 1..=body.len() {
            let decoded = decode(body, step, ChunkLimits::default());
            assert_eq!(decoded, Ok(Some((b"a".to_vec(), wanted.clone(), body.len()))), "by {step}");
        }
    }

    #[test]
    fn refused_bodies() {
        for (body, wanted) in [
            ("\r\n", ChunkError::Size),
            ("g\r\n", ChunkError::Size),
            (" 3\r\n", ChunkError::Size),
            ("-3\r\n", ChunkError::Size),
            ("0x3\r\n", ChunkError::Size),
            (";a\r\n", ChunkError::Size),
            ("3\nabc", ChunkError::Size),
            ("3\r\r\n", ChunkError::Size),
            ("3;a\nabc", ChunkError::Size),
            ("3;a\rb\r\n", ChunkError::Size),
            ("3\r\nabcd", ChunkError::ChunkEnd),
            ("3\r\nabc\n0\r\n\r\n", ChunkError::ChunkEnd),
            ("3\r\nabc\r0\r\n", ChunkError::ChunkEnd),
            ("8000000000000000\r\n", ChunkError::TooLarge),
            ("fffffffffffffffff\r\n", ChunkError::TooLarge),
            ("0\r\n\n", ChunkError::Trailer),
            ("0\r\nA: b\n\r\n", ChunkError::Trailer),
            ("0\r\nA : b\r\n\r\n", ChunkError::Trailer),
            ("0\r\n folded\r\n\r\n", ChunkError::Trailer),
            ("0\r\nA: b\0\r\n\r\n", ChunkError::Trailer),
        ] {
            for step in 1..=body.len() {
                let decoded = decode(body.as_bytes(), step, ChunkLimits::default());
                assert_eq!(decoded, Err(wanted), "{body:?} by {step}");
            }
        }
    }

    #[test]
    fn the_largest_chunk_is_a_file_offset() {
        let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
        assert_eq!(decoder.decode(b"7fffffffffffffff\r\nab"), Ok(Chunk::Payload { skip: 18, len: 2 }));
    }

    #[test]
    fn limits_hold_for_the_whole_body() {
        let limits = ChunkLimits { extension_bytes: 4, trailer_bytes: 12, trailer_fields: 2 };
        for (body, wanted) in [
            ("1;a\r\nx\r\n1;b\r\nx\r\n0\r\n\r\n", Ok(())),
            ("1;aa\r\nx\r\n1;bbb\r\nx\r\n0\r\n\r\n", Err(ChunkError::Extensions)),
            ("0\r\nA:1\r\nB:1\r\n\r\n", Ok(())),
            ("0\r\nA:12\r\nB:1\r\n\r\n", Err(ChunkError::TooLargeTrailer)),
            ("0\r\nA\r\nB\r\nC\r\n\r\n", Err(ChunkError::TooLargeTrailer)),
        ] {
            for step in 1..=body.len() {
                let decoded = decode(body.as_bytes(), step, limits).map(|done| assert!(done.is_some()));
                assert_eq!(decoded, wanted, "{body:?} by {step}");
            }
        }
    }
}
