//! `gunzip`: decompresses answers for clients that do not accept gzip.
//!
//! As nginx: the choice is that of `gzip`, with its conditions on the request.

use std::time::SystemTime;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::{gzip::may_compress, lose_length, remove_field, weaken_etag};
use crate::http::{
    Body, Exchange, Fault, Response,
    body_reader::BodyReader,
    fault::{Kind, Side},
    response::Source,
};

/// Bytes that one piece has at most.
const PIECE_BYTES: usize = 16 << 10;
/// Window of 32 KiB, as bits.
const WINDOW_BITS: u8 = 15;

/// Says whether an answer is decompressed.
pub(super) fn is_decompressed(exchange: &Exchange, response: &Response, now: SystemTime) -> bool {
    let conf = &exchange.location.gzip;
    // As nginx: nobody asked for the parts of a page to be compressed.
    let is_accepted = || exchange.is_main() && may_compress(&exchange.head, conf, response, now);
    *conf.gunzip && is_gzip(response) && !is_accepted()
}

fn is_gzip(response: &Response) -> bool {
    response.field("Content-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip"))
}

/// Decompresses an answer where the configuration wants it and the request does not accept it as it is.
pub(super) fn decompress(exchange: &Exchange, response: &mut Response, now: SystemTime) {
    let conf = &exchange.location.gzip;
    response.varies_by_encoding |= *conf.gunzip && *conf.vary && is_gzip(response);
    if !is_decompressed(exchange, response, now) {
        return;
    }
    remove_field(response, "Content-Encoding");
    lose_length(response);
    weaken_etag(response);
    let body = std::mem::replace(&mut response.body, Body::Empty);
    let source = Source::Decompressing(Box::new(Decompressing::new(body)));
    response.body = Body::Stream { source, window: None };
}

/// Another body, decompressed. Several compressed bodies may follow each other in it.
pub struct Decompressing {
    input: BodyReader,
    inflate: Decompress,
    taken: Bytes,
    /// Whether what has been taken in ends where a compressed body does.
    is_whole: bool,
    /// Whether more may come out of what has been taken in.
    is_full: bool,
}

impl Decompressing {
    fn new(body: Body) -> Self {
        Self {
            input: BodyReader::new(body),
            inflate: Decompress::new_gzip(WINDOW_BITS),
            taken: Bytes::new(),
            is_whole: false,
            is_full: false,
        }
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        self.is_full || !self.taken.is_empty() || self.input.is_ready()
    }

    /// Returns the next piece, which may be empty; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The body that is read cannot be completed, or is not what it says.
    pub async fn next(&mut self, exchange: &Exchange) -> Result<Option<Bytes>, Fault> {
        if self.taken.is_empty() && !self.is_full {
            match self.input.next(exchange).await? {
                Some(bytes) => self.taken = bytes,
                None if self.is_whole => return Ok(None),
                None => return Err(broken("inflate() returned an unfinished stream on response end")),
            }
        }
        tokio::task::yield_now().await;
        self.step().map(Some)
    }

    fn step(&mut self) -> Result<Bytes, Fault> {
        let mut out = Vec::with_capacity(PIECE_BYTES);
        if self.is_whole && !self.taken.is_empty() {
            self.inflate = Decompress::new_gzip(WINDOW_BITS);
            self.is_whole = false;
        }
        let before = self.inflate.total_in();
        let status = self
            .inflate
            .decompress_vec(&self.taken, &mut out, FlushDecompress::Sync)
            .map_err(|error| broken(format!("inflate() failed: {error}")))?;
        let used = usize::try_from(self.inflate.total_in() - before).expect("no more than there was");
        let is_stuck = used == 0 && out.is_empty() && !self.taken.is_empty();
        self.taken = self.taken.split_off(used);
        self.is_whole = status == Status::StreamEnd;
        self.is_full = !self.is_whole && out.len() == out.capacity();
        match is_stuck && !self.is_whole {
            true => Err(broken("inflate() failed: no progress")),
            false => Ok(out.into()),
        }
    }

    /// Returns the body that is decompressed.
    pub fn input(&self) -> &BodyReader {
        &self.input
    }

    /// Returns the body that is decompressed, to be read ahead.
    pub fn input_mut(&mut self) -> &mut BodyReader {
        &mut self.input
    }
}

fn broken(detail: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault { during: "sending response to client", ..Fault::new(Side::Server, Kind::InvalidBody, detail) }
}
