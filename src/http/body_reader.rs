//! Reading a body piece by piece into memory, wherever it comes from: what filters of bodies are fed with.
//!
//! Nothing is read before it is asked for, and never more than [`READ_BYTES`] of a file at once.

use std::{collections::VecDeque, io, ops::Range};

use bytes::Bytes;

use super::{
    Body, Exchange, Fault,
    fault::{Kind, Side},
    response::{FileSlice, Piece, Source},
};
use crate::net::file;

/// Bytes of a file that one read takes.
const READ_BYTES: u64 = 32 << 10;

/// What is left of a body.
pub struct BodyReader {
    pieces: VecDeque<Piece>,
    source: Option<Source>,
    window: Option<Range<u64>>,
    position: u64,
}

impl BodyReader {
    /// Takes a body. One that is not there, or no body but a tunnel, is at its end.
    pub fn new(body: Body) -> Self {
        let mut reader = Self { pieces: VecDeque::new(), source: None, window: None, position: 0 };
        match body {
            Body::Empty | Body::Tunnel(_) => {}
            Body::Memory(bytes) => reader.pieces.push_back(Piece::Memory(bytes)),
            Body::File(slice) => reader.pieces.push_back(Piece::File(slice)),
            Body::Pieces(pieces) => reader.pieces.extend(pieces),
            Body::Stream { source, window } => {
                reader.source = Some(source);
                reader.window = window;
            }
        }
        reader
    }

    /// Whether a piece or the end can be had without waiting for another program.
    pub fn is_ready(&self) -> bool {
        !self.pieces.is_empty() || self.source.as_ref().is_none_or(Source::is_ready)
    }

    /// Returns the next bytes, which may be none where nothing has come of what was waited for; nothing at the end.
    /// Cancel safe.
    ///
    /// # Errors
    /// The body cannot be completed.
    pub async fn next(&mut self, exchange: &Exchange) -> Result<Option<Bytes>, Fault> {
        loop {
            match self.pieces.front_mut() {
                Some(Piece::Memory(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.pieces.pop_front();
                    return Ok(Some(bytes));
                }
                Some(Piece::File(slice)) => {
                    let bytes = read(slice).await?;
                    if slice.len == 0 {
                        self.pieces.pop_front();
                    }
                    return Ok(Some(bytes));
                }
                None => {}
            }
            let Some(source) = &mut self.source else { return Ok(None) };
            let Some(piece) = source.next(exchange).await? else { return Ok(None) };
            let start = self.position;
            self.position += piece.len();
            let empty = || Piece::Memory(Bytes::new());
            self.pieces.push_back(piece.cut(start, self.window.as_ref()).unwrap_or_else(empty));
        }
    }

    /// Returns the source, where the body is still arriving.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Returns the source, to be read ahead.
    pub fn source_mut(&mut self) -> Option<&mut Source> {
        self.source.as_mut()
    }
}

/// Reads from the beginning of a slice, and cuts off what was read.
async fn read(slice: &mut FileSlice) -> Result<Bytes, Fault> {
    let done = file::read(&slice.file, slice.offset, slice.len.min(READ_BYTES)).await;
    let bytes = match done {
        Ok(bytes) if bytes.is_empty() && slice.len > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
        done => done,
    }
    .map_err(|error| unreadable(&error))?;
    slice.offset += bytes.len() as u64;
    slice.len -= bytes.len() as u64;
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> Fault {
    let detail = format!("read() failed ({})", crate::error_log::system_words(error));
    Fault { during: "sending response to client", ..Fault::new(Side::Server, Kind::System, detail) }
}
