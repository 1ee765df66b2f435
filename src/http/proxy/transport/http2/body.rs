//! The body of an answer over HTTP/2: pieces as they come, and room on the way for as much as was handed on.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ::http1::{Fields, Framing};
use bytes::Bytes;
use h2::RecvStream;
use tokio::task::JoinHandle;

use super::{
    super::{
        body::{READING, Settled},
        log,
    },
    fault::{failure, wants_no_more},
    head,
    send::Sent,
};
use crate::{http::Fault, net::Timer, upstream::Claim};

/// What is left of a body, and the place on the connection that it comes over.
pub struct Http2Body {
    /// What comes; let go before the place is.
    stream: RecvStream,
    /// The rest of the request, where the answer began before its end.
    rest: Option<Rest>,
    /// Payload that may be taken.
    arrived: Bytes,
    /// Payload that may not be taken yet (`proxy_limit_rate`).
    held: Bytes,
    /// Content-Length, where the answer has a body of known length.
    length: Option<u64>,
    /// Payload received.
    received: u64,
    has_body: bool,
    is_over: bool,
    request: Sent,
    trailers: Option<Arc<Fields>>,
    timer: Timer,
    _claim: Claim,
}

/// What is still being sent of a request; dropping it ends that.
pub(super) struct Rest(pub JoinHandle<()>);

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Http2Body {
    /// Begins to read a body.
    pub(super) fn new(
        stream: RecvStream,
        framing: Framing,
        request: Sent,
        rest: Option<Rest>,
        claim: Claim,
    ) -> Self {
        let is_empty = stream.is_end_stream();
        let (has_body, length) = match framing {
            Framing::Empty => (false, None),
            Framing::Length(length) => (true, Some(length)),
            Framing::Chunked | Framing::UntilClose => (true, is_empty.then_some(0)),
        };
        let mut body = Self {
            stream,
            rest,
            arrived: Bytes::new(),
            held: Bytes::new(),
            length,
            received: 0,
            has_body,
            is_over: is_empty,
            request,
            trailers: None,
            timer: Timer::new(Duration::ZERO),
            _claim: claim,
        };
        body.take_along();
        body
    }

    /// Takes the first piece, where it came along with the head.
    fn take_along(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if self.has_body
            && !self.is_over
            && let Poll::Ready(Some(Ok(bytes))) = self.stream.poll_data(&mut context)
        {
            self.arrive(bytes, usize::MAX);
        }
    }

    /// Returns the payload received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns Content-Length, where the answer has a body of known length.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether a piece can be had without waiting.
    pub fn is_ready(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Whether all that is left is here, in a piece of at most this many bytes.
    pub fn has_whole(&self, piece_most: usize) -> bool {
        self.is_over && self.held.is_empty() && self.length.is_some() && self.arrived.len() <= piece_most
    }

    /// Takes payload, and lets the peer send as much again.
    pub fn take(&mut self, piece_most: usize) -> Option<Bytes> {
        if self.arrived.is_empty() {
            return None;
        }
        let piece = self.arrived.split_to(self.arrived.len().min(piece_most));
        // A stream that has ended has no window any more.
        let _ = self.stream.flow_control().release_capacity(piece.len());
        Some(piece)
    }

    /// Says whether the end has come.
    pub fn settle(&mut self) -> Settled {
        let is_empty = self.arrived.is_empty() && self.held.is_empty();
        match !self.has_body || (self.is_over && is_empty) {
            true => Settled::Over,
            false => Settled::Going,
        }
    }

    /// Waits for at most so many bytes and returns how many came; none at the end. Cancel safe.
    pub async fn receive(&mut self, most: usize, timeout: Duration) -> Result<Option<usize>, Fault> {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            return Ok(Some(self.allow(held, most)));
        }
        let Self { stream, timer, trailers, .. } = self;
        let next = poll_fn(|context| poll_next(stream, trailers, context).map(Ok));
        match timer.within(timeout, next).await {
            Ok(Some(Ok(bytes))) => Ok(Some(self.arrive(bytes, most))),
            Ok(None) => self.end(),
            Ok(Some(Err(error))) if self.ends_with(&error) => self.end(),
            Ok(Some(Err(error))) => Err(failure(&error, READING).fault),
            Err(error) => Err(log::broken(READING, "recv", &error)),
        }
    }

    /// Whether an error comes too late to matter.
    fn ends_with(&self, error: &h2::Error) -> bool {
        let is_whole = self.length == Some(self.received);
        // As nginx does not: a server may have answered in full without reading all of the request.
        let is_answered = self.request == Sent::Partly && self.length.is_none() && wants_no_more(error);
        is_whole || is_answered
    }

    fn end(&mut self) -> Result<Option<usize>, Fault> {
        self.is_over = true;
        match self.length {
            Some(length) if length != self.received => Err(log::premature_close(READING)),
            Some(_) | None => Ok(None),
        }
    }

    fn arrive(&mut self, bytes: Bytes, most: usize) -> usize {
        self.received += bytes.len() as u64;
        self.is_over = self.stream.is_end_stream();
        self.allow(bytes, most)
    }

    fn allow(&mut self, mut bytes: Bytes, most: usize) -> usize {
        self.arrived = bytes.split_to(bytes.len().min(most));
        self.held = bytes;
        self.arrived.len()
    }

    /// Lets go of the connection at the end of the body, and returns the trailers.
    pub fn finish(self) -> Option<Arc<Fields>> {
        drop(self.rest);
        self.trailers
    }
}

/// Polls for the next piece, and behind the last one for trailers.
fn poll_next(
    stream: &mut RecvStream,
    trailers: &mut Option<Arc<Fields>>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, h2::Error>>> {
    match stream.poll_data(context) {
        Poll::Ready(None) => stream.poll_trailers(context).map(|behind| match behind {
            Ok(map) => {
                *trailers = map.map(|map| Arc::new(head::trailers(&map)));
                None
            }
            Err(error) => Some(Err(error)),
        }),
        polled => polled,
    }
}
