//! A body on its way through compression.
//!
//! What has been taken in is given out as soon as nothing more comes at once, so that a slow upstream's answer is not
//! held back. A step of work is short, and others get their turn between two steps.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

use crate::http::{Body, Exchange, Fault, body_reader::BodyReader, exchange::Compressed};

/// Bytes that one step takes in: even the hardest compression is done with them in half a millisecond.
const STEP_BYTES: usize = 8 << 10;
/// Bytes that are gathered before a piece is given out, while more comes at once.
const PIECE_BYTES: usize = 16 << 10;
/// Room that is made for what comes out of a step.
const ROOM_BYTES: usize = 4 << 10;
/// Window of 32 KiB, as bits.
const WINDOW_BITS: u8 = 15;
/// States that an event loop keeps for the next bodies.
const IDLE_MOST: usize = 16;

/// Another body, compressed.
pub struct Compressing {
    input: BodyReader,
    deflate: Deflate,
    taken: Bytes,
    out: Vec<u8>,
    stage: Stage,
}

enum Stage {
    /// All that was taken in has been given out.
    Level,
    /// Something was taken in and is still inside.
    Holding,
    /// The last byte has been given out.
    Ended,
    /// What is read cannot be completed.
    Broken(Fault),
}

impl Compressing {
    /// Compresses a body.
    pub fn new(body: Body, level: u32) -> Self {
        Self {
            input: BodyReader::new(body),
            deflate: Deflate::new(level),
            taken: Bytes::new(),
            out: Vec::new(),
            stage: Stage::Level,
        }
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        !matches!(self.stage, Stage::Level) || !self.taken.is_empty() || self.input.is_ready()
    }

    /// Returns the next piece, which may be empty; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The body that is read cannot be completed.
    pub async fn next(&mut self, exchange: &Exchange) -> Result<Option<Bytes>, Fault> {
        while self.out.len() < PIECE_BYTES {
            if !self.taken.is_empty() {
                self.step();
                tokio::task::yield_now().await;
                continue;
            }
            match &self.stage {
                Stage::Ended => break,
                Stage::Broken(fault) if self.out.is_empty() => return Err(fault.clone()),
                Stage::Broken(_) => break,
                Stage::Level | Stage::Holding if self.input.is_ready() => {}
                Stage::Level if self.out.is_empty() => {}
                Stage::Level => break,
                Stage::Holding => {
                    self.flush();
                    break;
                }
            }
            match self.input.next(exchange).await {
                Ok(Some(bytes)) if bytes.is_empty() && !self.input.is_ready() => {
                    self.flush();
                    return Ok(Some(self.give_out()));
                }
                Ok(Some(bytes)) => self.taken = bytes,
                Ok(None) => {
                    self.deflate.push(&[], FlushCompress::Finish, &mut self.out);
                    self.stage = Stage::Ended;
                }
                Err(fault) => {
                    self.flush();
                    self.stage = Stage::Broken(fault);
                }
            }
        }
        Ok((!self.out.is_empty()).then(|| self.give_out()))
    }

    fn give_out(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }

    fn step(&mut self) {
        let step = self.taken.split_to(self.taken.len().min(STEP_BYTES));
        self.deflate.push(&step, FlushCompress::None, &mut self.out);
        self.stage = Stage::Holding;
    }

    fn flush(&mut self) {
        if matches!(self.stage, Stage::Holding) {
            self.deflate.push(&[], FlushCompress::Sync, &mut self.out);
            self.stage = Stage::Level;
        }
    }

    /// Returns the body that is compressed.
    pub fn input(&self) -> &BodyReader {
        &self.input
    }

    /// Returns the body that is compressed, to be read ahead.
    pub fn input_mut(&mut self) -> &mut BodyReader {
        &mut self.input
    }

    /// Notes what the whole answer took, for the log.
    pub fn finish(&self, exchange: &mut Exchange) {
        if matches!(self.stage, Stage::Ended) {
            exchange.sent.compressed = Some(self.deflate.counts());
        }
        self.input.source().into_iter().for_each(|source| source.finish(exchange));
    }
}

/// The state of one compression; it is kept for the next body of that level, since it is large.
struct Deflate {
    state: Option<Compress>,
    level: u32,
}

thread_local! {
    static IDLE: RefCell<Vec<(u32, Compress)>> = const { RefCell::new(Vec::new()) };
}

impl Deflate {
    fn new(level: u32) -> Self {
        let kept = IDLE.with_borrow_mut(|idle| {
            let at = idle.iter().position(|(of, _)| *of == level)?;
            Some(idle.swap_remove(at).1)
        });
        let fresh = || Compress::new_gzip(Compression::new(level), WINDOW_BITS);
        Self { state: Some(kept.unwrap_or_else(fresh)), level }
    }

    fn state(&mut self) -> &mut Compress {
        self.state.as_mut().expect("it is taken out only when it is dropped")
    }

    /// Takes bytes in, and appends what comes out.
    fn push(&mut self, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let state = self.state();
        loop {
            out.reserve(ROOM_BYTES);
            let before = state.total_in();
            let status = state.compress_vec(bytes, out, flush).expect("any bytes can be compressed");
            let used = usize::try_from(state.total_in() - before).expect("no more than there was");
            bytes = &bytes[used..];
            // Where room is left, nothing is held back that was asked for.
            if status == Status::StreamEnd || (bytes.is_empty() && out.len() < out.capacity()) {
                return;
            }
        }
    }

    fn counts(&self) -> Compressed {
        let (from_bytes, to_bytes) =
            self.state.as_ref().map_or((0, 0), |state| (state.total_in(), state.total_out()));
        Compressed { from_bytes, to_bytes }
    }
}

impl Drop for Deflate {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        // A loop that ends has no place to keep it.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < IDLE_MOST {
                state.reset();
                idle.push((self.level, state));
            }
        });
    }
}
