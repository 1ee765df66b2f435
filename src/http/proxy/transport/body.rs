//! The body of an answer, piece by piece, whatever it comes over.
//!
//! An end counts only where it is proven: the announced length, the last chunk or frame, or a close where nothing else could
//! tell. Then the connection is given back at once, before the last piece is even sent on; in all other cases the
//! answer's claim on it is dropped.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use config::Measure;
use http1::Fields;
use tokio::time::{Instant, sleep_until};

use super::{http1::Http1Body, http2::Http2Body};
use crate::{
    clock::{self, Moment},
    http::{
        Fault,
        exchange::UpstreamFacts,
        rate::{Rate, Turn},
        site::EventLoop,
    },
    upstream::{Connection, Pick},
};

/// A body on its way from an upstream.
pub struct UpstreamBody {
    origin: Origin,
    /// Where more may come from, until the end.
    source: Option<Source>,
    /// Why the end is not one.
    broken: Option<Fault>,
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

/// What the bytes come over, and the claim on the peer.
struct Source {
    wire: Wire,
    pick: Pick,
}

/// What the bytes come over.
pub(super) enum Wire {
    /// A connection of its own.
    Http1(Http1Body),
    /// A stream of a connection that others use too.
    Http2(Http2Body),
}

/// How a body stands after a look at what has arrived.
pub(super) enum Settled {
    Going,
    /// Its end is proven.
    Over,
    Broken(Fault),
}

/// What is being done, for the log.
pub(super) const READING: &str = "reading upstream";
/// Bytes that one read and one piece have at most.
pub(super) const LARGE_READ_BYTES: usize = 64 << 10;

impl Wire {
    /// Returns Content-Length, where the answer has a body of known length.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Http1(body) => body.length(),
            Self::Http2(body) => body.length(),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_ready(),
            Self::Http2(body) => body.is_ready(),
        }
    }

    fn has_whole(&self, piece_most: usize) -> bool {
        match self {
            Self::Http1(body) => body.has_whole(piece_most),
            Self::Http2(body) => body.has_whole(piece_most),
        }
    }

    fn take(&mut self, piece_most: usize) -> Option<Bytes> {
        match self {
            Self::Http1(body) => body.take(piece_most),
            Self::Http2(body) => body.take(piece_most),
        }
    }

    fn settle(&mut self) -> Settled {
        match self {
            Self::Http1(body) => body.settle(),
            Self::Http2(body) => body.settle(),
        }
    }

    async fn receive(&mut self, most: usize, timeout: Duration) -> Result<Option<usize>, Fault> {
        match self {
            Self::Http1(body) => body.receive(most, timeout).await,
            Self::Http2(body) => body.receive(most, timeout).await,
        }
    }

    fn finish(self, event_loop: &EventLoop, pick: &Pick) -> Option<Arc<Fields>> {
        match self {
            Self::Http1(body) => body.finish(event_loop, pick),
            Self::Http2(body) => body.finish(),
        }
    }

    /// Returns the connection, where it has changed to another protocol.
    pub fn into_upgraded(self) -> Option<Connection> {
        match self {
            Self::Http1(body) => Some(body.into_connection()),
            Self::Http2(_) => None,
        }
    }
}

impl UpstreamBody {
    /// Makes a body without bytes, whose answer is over.
    pub(super) fn none(origin: Origin) -> Self {
        let took = Some(origin.begun.elapsed());
        Self { took, ..Self::of(origin, None, None) }
    }

    /// Begins to read a body.
    pub(super) fn new(origin: Origin, wire: Wire, pick: Pick) -> Self {
        let length = wire.length();
        let mut body = Self::of(origin, Some(Source { wire, pick }), length);
        body.settle();
        body
    }

    fn of(origin: Origin, source: Option<Source>, length: Option<u64>) -> Self {
        Self {
            origin,
            source,
            broken: None,
            length,
            payload: 0,
            took: None,
            trailers: None,
            piece_most: LARGE_READ_BYTES,
            at_end: None,
            pace: None,
        }
    }

    /// Has something done at the proven end, which may be past.
    pub fn at_end(&mut self, deed: Box<dyn FnOnce()>) {
        match self.source.is_none() && self.broken.is_none() {
            true => deed(),
            false => self.at_end = Some(deed),
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
        self.source.is_none()
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.wire.is_ready())
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
            if let Some(fault) = &self.broken {
                return Err(fault.clone());
            }
            if self.source.is_none() {
                return Ok(None);
            }
            self.receive().await;
        }
    }

    /// Returns the next piece, where one has arrived.
    pub fn take_arrived(&mut self) -> Option<Bytes> {
        let piece = self.source.as_mut()?.wire.take(self.piece_most)?;
        self.payload += piece.len() as u64;
        self.settle();
        Some(piece)
    }

    /// Returns the whole body, where all of it came along with the head.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        if self.source.as_ref()?.wire.has_whole(self.piece_most) { self.take_arrived() } else { None }
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

    fn settle(&mut self) {
        let Some(source) = &mut self.source else { return };
        match source.wire.settle() {
            Settled::Going => {}
            Settled::Over => self.end(),
            Settled::Broken(fault) => self.fail(fault),
        }
    }

    async fn receive(&mut self) {
        let allowed = match &mut self.pace {
            None => usize::MAX,
            Some(pace) => pace.wait().await,
        };
        let Some(source) = &mut self.source else { return };
        match source.wire.receive(self.piece_most.min(allowed), self.origin.read_timeout).await {
            Ok(None) => self.end(),
            Ok(Some(count)) => {
                self.origin.received += count as u64;
                if let Some(pace) = &mut self.pace {
                    pace.note(count as u64);
                }
                self.settle();
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// The body is whole: the connection is free.
    fn end(&mut self) {
        let took = self.origin.begun.elapsed();
        self.took = Some(took);
        if let Some(deed) = self.at_end.take() {
            deed();
        }
        if let Some(Source { wire, pick }) = self.source.take() {
            pick.took(Measure::LastByte, took);
            self.trailers = wire.finish(&self.origin.event_loop, &pick);
        }
    }

    /// The body is not whole: nothing more is wanted from the connection.
    fn fail(&mut self, fault: Fault) {
        self.took = Some(self.origin.begun.elapsed());
        self.source = None;
        self.broken = Some(fault);
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
