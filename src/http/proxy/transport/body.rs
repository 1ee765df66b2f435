//! The body of an answer, piece by piece, and what becomes of the connection behind it.
//!
//! An end counts only where it is proven: the announced length, the last chunk, or a close where nothing else could tell.
//! Then the connection goes back to the pool at once, before the last piece is even sent on; in all other cases
//! it is closed.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use config::Measure;
use http1::{Chunk, ChunkLimits, ChunkedDecoder, Fields, Framing};
use tokio::time::{Instant, sleep_until};

use super::{http1::Reuse, log};
use crate::{
    clock::{self, Moment},
    error_log::{self, Level},
    http::{
        Fault,
        exchange::UpstreamFacts,
        fault::Kind,
        rate::{Rate, Turn},
        site::EventLoop,
    },
    upstream::{Connection, Pick},
};

/// A body on its way from an upstream.
pub struct UpstreamBody {
    origin: Origin,
    source: Option<Source>,
    stage: Stage,
    length: Option<u64>,
    payload: u64,
    took: Option<Duration>,
    trailers: Option<Arc<Fields>>,
    /// Most bytes that one read and one piece may have.
    piece_most: usize,
    at_end: Option<Box<dyn FnOnce()>>,
    pace: Option<Pace>,
}

/// How fast a body may be read (`proxy_limit_rate`).
struct Pace {
    rate: Rate,
    begun: Moment,
    /// Bytes read since.
    read: u64,
    /// No read before this.
    next_read: Instant,
}

/// Where a body comes from.
pub(super) struct Origin {
    pub event_loop: Rc<EventLoop>,
    pub read_timeout: Duration,
    /// When the try began that brought the answer.
    pub begun: Moment,
    /// Bytes that this try received so far, the head included.
    pub received: u64,
}

/// The connection, until the end.
struct Source {
    connection: Connection,
    pick: Pick,
    reuse: Reuse,
}

enum Stage {
    Done,
    Length {
        left: u64,
    },
    /// `ready` bytes of payload stand at the beginning of the input.
    Chunked {
        decoder: Box<ChunkedDecoder>,
        ready: usize,
    },
    UntilClose,
    Broken(Fault),
}

/// What is being done, for the log.
const READING: &str = "reading upstream";
/// Bytes that one read asks for: a body known to be small, and any other.
const SMALL_READ_BYTES: usize = 16 << 10;
const LARGE_READ_BYTES: usize = 64 << 10;
/// A buffer is read into until less than this part of it is free: pieces keep all of their buffer, so that buffers that
/// hold little would take far more memory than what is in them.
const FREE_PART_LEAST: usize = 4;

impl UpstreamBody {
    /// Makes a body without bytes, whose answer is over.
    pub(super) fn none(origin: Origin) -> Self {
        let took = Some(origin.begun.elapsed());
        Self {
            origin,
            source: None,
            stage: Stage::Done,
            length: None,
            payload: 0,
            took,
            trailers: None,
            piece_most: LARGE_READ_BYTES,
            at_end: None,
            pace: None,
        }
    }

    /// Begins to read a body; what has arrived of it is in the connection's input.
    pub(super) fn new(
        origin: Origin,
        connection: Connection,
        pick: Pick,
        framing: Framing,
        reuse: Reuse,
    ) -> Self {
        let (stage, length) = match framing {
            Framing::Empty => (Stage::Length { left: 0 }, None),
            Framing::Length(left) => (Stage::Length { left }, Some(left)),
            Framing::Chunked => {
                let decoder = Box::new(ChunkedDecoder::new(ChunkLimits::default()));
                (Stage::Chunked { decoder, ready: 0 }, None)
            }
            Framing::UntilClose => (Stage::UntilClose, None),
        };
        let source = Some(Source { connection, pick, reuse });
        let (payload, took, trailers, piece_most, at_end) = (0, None, None, LARGE_READ_BYTES, None);
        let pace = None;
        let mut body =
            Self { origin, source, stage, length, payload, took, trailers, piece_most, at_end, pace };
        body.settle();
        body
    }

    /// Has something done at the proven end, which may be past.
    pub fn at_end(&mut self, deed: Box<dyn FnOnce()>) {
        match self.stage {
            Stage::Done => deed(),
            Stage::Length { .. } | Stage::Chunked { .. } | Stage::UntilClose | Stage::Broken(_) => {
                self.at_end = Some(deed);
            }
        }
    }

    /// Returns Content-Length, where the answer has a body of known length.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the bytes of payload so far.
    pub fn received(&self) -> u64 {
        self.payload
    }

    /// Sets how many bytes one read and one piece have at most.
    pub fn limit_pieces(&mut self, most: u64) {
        self.piece_most =
            usize::try_from(most).map_or(LARGE_READ_BYTES, |most| most.clamp(1, LARGE_READ_BYTES));
    }

    /// Sets how fast it may be read from now on.
    pub fn limit_rate(&mut self, rate: Option<Rate>) {
        self.pace =
            rate.map(|rate| Pace { rate, begun: clock::moment(), read: 0, next_read: Instant::now() });
    }

    /// Whether all of it has arrived and was handed out, or the rest will not come.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Broken(_))
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Done | Stage::Broken(_) => true,
            Stage::Chunked { ready, .. } => *ready > 0,
            Stage::Length { .. } | Stage::UntilClose => {
                self.source.as_ref().is_some_and(|source| !source.connection.input.is_empty())
            }
        }
    }

    /// Returns the next piece; none at the proven end. Cancel safe.
    ///
    /// # Errors
    /// The upstream's fault where the body is not whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(piece) = self.take_arrived() {
                return Ok(Some(piece));
            }
            match &self.stage {
                Stage::Done => return Ok(None),
                Stage::Broken(fault) => return Err(fault.clone()),
                Stage::Length { .. } | Stage::Chunked { .. } | Stage::UntilClose => self.receive().await,
            }
        }
    }

    /// Returns the next piece, where one has arrived.
    pub fn take_arrived(&mut self) -> Option<Bytes> {
        let piece = self.take()?;
        self.settle();
        Some(piece)
    }

    /// Returns the whole body, where all of it came along with the head.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let Stage::Length { left } = self.stage else { return None };
        let arrived = self.source.as_ref()?.connection.input.len().min(self.piece_most) as u64;
        if arrived < left { None } else { self.take_arrived() }
    }

    /// Notes in the last try what the whole answer took.
    pub fn finish(&self, facts: &mut UpstreamFacts) {
        if let Some(last) = facts.tries.last_mut() {
            last.response = Some(self.took.unwrap_or_else(|| self.origin.begun.elapsed()));
            last.response_length = self.payload;
            last.bytes_received = self.origin.received;
        }
        if let Some(trailers) = &self.trailers {
            facts.trailers = Some(Arc::clone(trailers));
        }
    }

    /// Takes payload off the input.
    fn take(&mut self) -> Option<Bytes> {
        let input = &mut self.source.as_mut()?.connection.input;
        let count = match &mut self.stage {
            Stage::Done | Stage::Broken(_) => 0,
            Stage::Length { left } => {
                let arrived = input.len().min(self.piece_most);
                let count = usize::try_from(*left).map_or(arrived, |left| arrived.min(left));
                *left -= count as u64;
                count
            }
            Stage::Chunked { ready, .. } => {
                let count = (*ready).min(self.piece_most);
                *ready -= count;
                count
            }
            Stage::UntilClose => input.len().min(self.piece_most),
        };
        self.payload += count as u64;
        (count > 0).then(|| input.split_to(count).freeze())
    }

    /// Takes framing off the input, up to payload or the end. After this, what is in the input is payload.
    fn settle(&mut self) {
        let Some(source) = &mut self.source else { return };
        let input = &mut source.connection.input;
        match &mut self.stage {
            Stage::Length { left: 0 } => self.end(),
            Stage::Chunked { decoder, ready } if *ready == 0 && !input.is_empty() => {
                match decoder.decode(input) {
                    Ok(Chunk::NeedMore { used }) => drop(input.split_to(used)),
                    Ok(Chunk::Payload { skip, len }) => {
                        drop(input.split_to(skip));
                        *ready = len;
                    }
                    Ok(Chunk::End { used }) => {
                        drop(input.split_to(used));
                        self.end();
                    }
                    Err(_) => {
                        let detail = "upstream sent invalid chunked response";
                        self.fail(log::fault(Kind::InvalidBody, READING, detail));
                    }
                }
            }
            Stage::Done
            | Stage::Broken(_)
            | Stage::Length { .. }
            | Stage::Chunked { .. }
            | Stage::UntilClose => {}
        }
    }

    async fn receive(&mut self) {
        let allowed = match &mut self.pace {
            None => usize::MAX,
            Some(pace) => pace.wait().await,
        };
        let Some(Source { connection, .. }) = &mut self.source else { return };
        let wanted = match &self.stage {
            Stage::Length { left } if *left <= SMALL_READ_BYTES as u64 => SMALL_READ_BYTES,
            Stage::Length { .. }
            | Stage::Chunked { .. }
            | Stage::UntilClose
            | Stage::Done
            | Stage::Broken(_) => LARGE_READ_BYTES,
        };
        let wanted = wanted.min(self.piece_most).min(allowed);
        let Connection { stream, timer, input, .. } = connection;
        if input.capacity() - input.len() < wanted.div_ceil(FREE_PART_LEAST) {
            input.reserve(wanted);
        }
        match timer.within(self.origin.read_timeout, stream.read(input)).await {
            Ok(0) if matches!(self.stage, Stage::UntilClose) => self.end(),
            Ok(0) => self.fail(log::premature_close(READING)),
            Ok(count) => {
                self.origin.received += count as u64;
                if let Some(pace) = &mut self.pace {
                    pace.note(count as u64);
                }
                self.settle();
            }
            Err(error) => self.fail(log::broken(READING, "recv", &error)),
        }
    }

    /// The body is whole: the connection is free.
    fn end(&mut self) {
        self.took = Some(self.origin.begun.elapsed());
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        if let Some(deed) = self.at_end.take() {
            deed();
        }
        let Some(Source { connection, pick, reuse }) = self.source.take() else { return };
        pick.took(Measure::LastByte, self.origin.begun.elapsed());
        let surplus = match stage {
            Stage::Chunked { decoder, .. } => {
                let trailers = decoder.trailers();
                self.trailers = (!trailers.is_empty()).then(|| Arc::new(trailers));
                Some("data after final chunk")
            }
            Stage::Done | Stage::Length { .. } | Stage::UntilClose | Stage::Broken(_) => {
                // As nginx: what comes where there is no body, as after a HEAD, is nobody's concern.
                self.length.map(|_| "more data than specified in \"Content-Length\" header")
            }
        };
        if !connection.input.is_empty() {
            let peer = &pick.peer().name;
            if let Some(surplus) = surplus {
                error_log::write(
                    Level::Warn,
                    format_args!("upstream sent {surplus} while {READING}, upstream: \"http://{peer}\""),
                );
            }
        } else if reuse == Reuse::Kept {
            self.origin.event_loop.idle.put(pick.group(), connection);
        }
    }

    /// The body is not whole: the connection is closed.
    fn fail(&mut self, fault: Fault) {
        self.took = Some(self.origin.begun.elapsed());
        self.stage = Stage::Broken(fault);
        self.source = None;
    }
}

impl Pace {
    /// Waits for the time of the next read, and returns how many bytes it may have. Cancel safe.
    async fn wait(&mut self) -> usize {
        loop {
            sleep_until(self.next_read).await;
            match self.rate.turn(self.begun.elapsed(), self.read) {
                Turn::Go(most) => return usize::try_from(most).unwrap_or(usize::MAX),
                Turn::Wait(time) => self.next_read = Instant::now() + time,
            }
        }
    }

    fn note(&mut self, count: u64) {
        let before = self.read;
        self.read += count;
        self.next_read = Instant::now() + self.rate.pause(before, self.read);
    }
}
