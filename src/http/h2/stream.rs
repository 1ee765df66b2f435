//! One stream of a connection as the client of a request: its body, interim answers, tunnels, and whether it still listens.
//!
//! Frames are h2's business. What is read is given back to flow control at once, so a client sends no more than its window
//! ahead of what somebody has asked for.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::Response;
use http1::Fields;
use tokio::sync::Notify;

use super::fields;
use crate::http::client::Interim;

/// A request's stream.
pub struct RequestStream {
    incoming: RefCell<RecvStream>,
    outgoing: RefCell<Outgoing>,
    left: Cell<bool>,
    leaves: Notify,
}

enum Outgoing {
    /// No head of an answer has gone out.
    Head(SendResponse<Bytes>),
    /// The body may follow.
    Body(SendStream<Bytes>),
}

/// Bytes of an answer that wait in h2 at most.
pub const QUEUED_BYTES: usize = 64 << 10;

impl RequestStream {
    pub(super) fn new(incoming: RecvStream, answer: SendResponse<Bytes>) -> Self {
        Self {
            incoming: RefCell::new(incoming),
            outgoing: RefCell::new(Outgoing::Head(answer)),
            left: Cell::new(false),
            leaves: Notify::new(),
        }
    }

    /// Appends what has arrived of the body.
    pub fn receive_arrived(&self, into: &mut BytesMut) {
        // Nobody is to be woken: whoever waits for more asks anew.
        let mut context = Context::from_waker(Waker::noop());
        while matches!(self.poll_receive(&mut context, into), Poll::Ready(Ok(1..))) {}
    }

    /// Whether all of the body was taken.
    pub fn has_ended(&self) -> bool {
        self.incoming.borrow().is_end_stream()
    }

    /// Appends bytes of the body; zero is the end.
    pub fn poll_receive(&self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let bytes = match incoming.poll_data(context) {
                Poll::Ready(Some(Ok(bytes))) => bytes,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(lost(error))),
                Poll::Ready(None) => return Poll::Ready(Ok(0)),
                Poll::Pending => return Poll::Pending,
            };
            if bytes.is_empty() {
                continue;
            }
            // A stream that is gone has no window.
            let _ = incoming.flow_control().release_capacity(bytes.len());
            into.extend_from_slice(&bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
    }

    /// Returns the fields behind the body, where its end was found.
    pub fn trailers(&self) -> Option<Fields> {
        let mut context = Context::from_waker(Waker::noop());
        match self.incoming.borrow_mut().poll_trailers(&mut context) {
            Poll::Ready(Ok(map)) => map.as_ref().map(fields::of),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Sends an interim answer.
    pub fn send_interim(&self, interim: &Interim) -> io::Result<()> {
        let Outgoing::Head(answer) = &mut *self.outgoing.borrow_mut() else { return Ok(()) };
        let Some(head) = fields::interim(interim) else { return Ok(()) };
        answer.send_informational(head).map_err(lost)
    }

    /// Sends the head of the answer, which may be all of it.
    pub(super) fn send_head(&self, head: Response<()>, ends: Ends) -> io::Result<()> {
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing::Head(answer) = &mut *outgoing else { return Err(io::ErrorKind::InvalidInput.into()) };
        let body = answer.send_response(head, ends == Ends::Here).map_err(lost)?;
        *outgoing = Outgoing::Body(body);
        Ok(())
    }

    /// Asks for room for so many bytes, and returns what there is of it.
    pub(super) fn ask_room(&self, wanted: usize) -> io::Result<usize> {
        let mut outgoing = self.outgoing.borrow_mut();
        let body = outgoing.body()?;
        body.reserve_capacity(wanted);
        Ok(body.capacity())
    }

    /// Waits for some of the room that was asked for, where there is none. Cancel safe.
    pub(super) async fn room(&self) -> io::Result<usize> {
        poll_fn(|context| match self.outgoing.borrow_mut().body()?.poll_capacity(context) {
            Poll::Ready(Some(Ok(room))) => Poll::Ready(Ok(room)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(lost(error))),
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Sends bytes for which there is room.
    pub(super) fn send_bytes(&self, bytes: Bytes, ends: Ends) -> io::Result<()> {
        self.outgoing.borrow_mut().body()?.send_data(bytes, ends == Ends::Here).map_err(lost)
    }

    /// Ends the answer with fields.
    pub(super) fn send_trailers(&self, trailers: http::HeaderMap) -> io::Result<()> {
        self.outgoing.borrow_mut().body()?.send_trailers(trailers).map_err(lost)
    }

    /// Writes at least one byte through a tunnel. Cancel safe.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let room = match self.ask_room(bytes.len().min(QUEUED_BYTES))? {
            0 => self.room().await?,
            room => room,
        };
        let room = room.min(bytes.len());
        self.send_bytes(Bytes::copy_from_slice(&bytes[..room]), Ends::Later)?;
        Ok(room)
    }

    /// Ends our side of a tunnel.
    pub fn end(&self) -> io::Result<()> {
        self.send_bytes(Bytes::new(), Ends::Here)
    }

    /// Gives the stream up.
    pub(super) fn reset(&self, reason: Reason) {
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Head(answer) => answer.send_reset(reason),
            Outgoing::Body(body) => body.send_reset(reason),
        }
    }

    /// Waits until the client has reset the stream or is gone. Cancel safe.
    pub async fn closed(&self) {
        if !self.left.get() {
            self.leaves.notified().await;
        }
    }

    /// Runs the answering of a request, and tells all who wait for it ([`Self::closed`]) when the client leaves.
    ///
    /// Only the task that answers watches the stream: h2 wakes one task for it.
    pub(super) async fn watched<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let done = work.as_mut().poll(context);
            if done.is_pending()
                && !self.left.get()
                && self.outgoing.borrow_mut().poll_reset(context).is_ready()
            {
                self.left.set(true);
                self.leaves.notify_waiters();
            }
            done
        })
        .await
    }
}

/// Whether something is the last of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Here,
    Later,
}

impl Outgoing {
    fn body(&mut self) -> io::Result<&mut SendStream<Bytes>> {
        match self {
            Self::Body(body) => Ok(body),
            Self::Head(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Head(answer) => answer.poll_reset(context).map(drop),
            Self::Body(body) => body.poll_reset(context).map(drop),
        }
    }
}

/// A stream that h2 says something is wrong with is one that the client has left.
fn lost(error: h2::Error) -> io::Error {
    match error.into_io() {
        Some(error) => error,
        None => io::ErrorKind::ConnectionAborted.into(),
    }
}
