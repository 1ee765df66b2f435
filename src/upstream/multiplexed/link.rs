//! One HTTP/2 connection: its state as requests see it, and the task that moves its bytes.
//!
//! The engine (the `h2` crate) keeps to the peer's limits and windows; here are only the beginning, the idle time and the end.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use config::Scheme;
use h2::client::{Builder, Connection as Engine, ResponseFuture, SendRequest};
use tls::ClientWish;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::frames::{Breach, FrameWatch};
use crate::{
    error_log::{self, Level},
    net::{Duplex, Stream},
    upstream::{LocalAddress, PeerId, pool::now},
};

/// Streams that one connection carries at once, where the peer allows more.
const STREAMS_MOST: usize = 128;
/// What one answer may have on its way to us before it is read: its part of the memory that a slow client can hold.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// All answers of a connection together: enough for each, so that one that is not read holds up no other.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MOST as u32;
/// What one request may have waiting to be sent.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// The largest frame that we take.
const FRAME_BYTES: u32 = 64 << 10;
/// The largest head that we take, as HTTP/2 counts; `proxy_buffer_size` is asked afterwards.
const HEAD_BYTES_MOST: u32 = 256 << 10;
/// How long a connection may take to say goodbye.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A connection that carries requests side by side.
pub(super) struct Link {
    pub route: Route,
    /// When it was begun.
    pub began: Duration,
    /// Requests so far.
    pub requests: Cell<u64>,
    /// Requests under way.
    pub streams: Cell<usize>,
    /// When its last request ended.
    pub idle_since: Cell<Duration>,
    state: RefCell<State>,
    /// Tells those who wait for it that its state has changed.
    changed: Notify,
    /// Tells its task that there is a new deadline.
    stirred: Notify,
    /// When its task looks at the time again.
    looks_at: Cell<Option<Instant>>,
    idle_timeout: Duration,
}

/// Where a connection leads: requests with another one must not use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub peer: PeerId,
    pub local: Option<LocalAddress>,
    /// How it is secured.
    pub tls: Option<Arc<ClientWish>>,
    /// The location, where connections are not for all of them (`keepalive … local`).
    pub location: Option<usize>,
}

enum State {
    /// Being opened by a request.
    Opening,
    /// The peer has not said yet what it allows: it carries the request that opened it.
    Ungreeted(SendRequest<Bytes>),
    /// Open.
    Open(SendRequest<Bytes>),
    /// It takes no more requests; those under way go on.
    Retired,
    /// It is gone.
    Closed,
}

/// Whether another request may be given to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Now.
    Free,
    /// Perhaps, once its state has changed.
    Soon,
    /// As many are under way as it carries.
    Full,
    /// Never again.
    Gone,
}

impl Link {
    pub fn new(route: Route, idle_timeout: Duration) -> Self {
        Self {
            route,
            began: now(),
            requests: Cell::new(0),
            streams: Cell::new(0),
            idle_since: Cell::new(now()),
            state: RefCell::new(State::Opening),
            changed: Notify::new(),
            stirred: Notify::new(),
            looks_at: Cell::new(None),
            idle_timeout,
        }
    }

    /// Looks whether it can carry another request.
    pub fn room(&self) -> Room {
        match &mut *self.state.borrow_mut() {
            State::Opening | State::Ungreeted(_) => Room::Soon,
            State::Open(sender) => match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Err(_)) => Room::Gone,
                Poll::Ready(Ok(())) | Poll::Pending => {
                    let most = sender.current_max_send_streams().min(STREAMS_MOST);
                    if self.streams.get() < most { Room::Free } else { Room::Full }
                }
            },
            State::Retired | State::Closed => Room::Gone,
        }
    }

    /// Waits for a change of state. Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns what requests are sent with, while it is open.
    pub fn sender(&self) -> Option<SendRequest<Bytes>> {
        match &*self.state.borrow() {
            State::Ungreeted(sender) | State::Open(sender) => Some(sender.clone()),
            State::Opening | State::Retired | State::Closed => None,
        }
    }

    /// Takes no more requests; the connection ends with the last one under way.
    pub fn retire(&self) {
        self.idle_since.set(now());
        self.become_state(State::Retired);
        self.stirred.notify_one();
    }

    /// Notes that no request is under way any more.
    pub fn rest(&self) {
        self.idle_since.set(now());
        if self.looks_at.get().is_none() {
            self.stirred.notify_one();
        }
    }

    fn become_state(&self, state: State) {
        let is_closed = matches!(*self.state.borrow(), State::Closed);
        if !is_closed {
            // What is replaced may be the last way to the engine, which then wakes its task: not while it is borrowed.
            let before = self.state.replace(state);
            drop(before);
        }
        self.changed.notify_waiters();
    }

    fn is_retired(&self) -> bool {
        matches!(*self.state.borrow(), State::Retired)
    }

    /// The peer has said what it allows.
    fn greet(&self) {
        let mut state = self.state.borrow_mut();
        if let State::Ungreeted(sender) = &*state {
            let sender = sender.clone();
            *state = State::Open(sender);
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Returns when its task must look at it although nothing happens.
    fn deadline(&self) -> Option<Instant> {
        if self.streams.get() > 0 {
            return None;
        }
        let patience = if self.is_retired() { CLOSE_PATIENCE } else { self.idle_timeout };
        let ends = (self.idle_since.get() + patience).saturating_sub(now());
        Some(Instant::now() + ends)
    }
}

/// Tells the state of a link that is being opened to those who wait, also if the opening is given up.
pub(super) struct Opening(pub Rc<Link>);

impl Opening {
    /// Begins to speak HTTP/2 on a connected stream.
    pub async fn speak(&self, stream: Stream, peer: &str) -> io::Result<Driver> {
        let seen = Rc::new(RefCell::new(FrameWatch::default()));
        let watched = Watched { duplex: Duplex::new(stream), watch: Rc::clone(&seen), peer: peer.to_owned() };
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .max_header_list_size(HEAD_BYTES_MOST)
            .max_send_buffer_size(SEND_BUFFER_BYTES);
        let spoken = builder.handshake(watched).await;
        let (sender, engine) = spoken.map_err(|error| io::Error::other(error.to_string()))?;
        self.0.become_state(State::Ungreeted(sender));
        Ok(Driver { link: Rc::clone(&self.0), engine, watch: seen })
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if matches!(*self.0.state.borrow(), State::Opening) {
            self.0.become_state(State::Closed);
        }
    }
}

/// What moves the bytes of a connection.
pub(super) struct Driver {
    link: Rc<Link>,
    engine: Engine<Watched, Bytes>,
    watch: Rc<RefCell<FrameWatch>>,
}

impl Driver {
    /// Runs until the connection has ended, and returns what it was.
    pub async fn run(mut self) -> Rc<Link> {
        let link = Rc::clone(&self.link);
        loop {
            let deadline = link.deadline();
            link.looks_at.set(deadline);
            tokio::select! {
                biased;
                _ = poll_fn(|context| self.poll(context)) => break,
                () = link.stirred.notified() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if link.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                        match link.is_retired() {
                            true => break,
                            false => link.retire(),
                        }
                    }
                }
            }
        }
        link.become_state(State::Closed);
        link
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let ended = Pin::new(&mut self.engine).poll(context).is_ready();
        if self.watch.borrow().is_greeted() {
            self.link.greet();
        }
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.link.become_state(State::Closed);
    }
}

/// A stream whose frames are looked at.
struct Watched {
    duplex: Duplex,
    watch: Rc<RefCell<FrameWatch>>,
    peer: String,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.duplex).poll_read(context, buffer))?;
        let seen = self.watch.borrow_mut().see(&buffer.filled()[before..], now());
        Poll::Ready(seen.map_err(|breach| {
            if breach == Breach::Flood {
                let scheme = if self.duplex.stream().tls().is_some() { Scheme::Https } else { Scheme::Http };
                let (scheme, peer) = (scheme.prefix(), &self.peer);
                error_log::write(Level::Error, format_args!("{breach}, upstream: \"{scheme}{peer}\""));
            }
            io::Error::new(io::ErrorKind::InvalidData, breach)
        }))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.duplex).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.duplex).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.duplex.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_shutdown(context)
    }
}

/// A stream's answer, and where its body goes.
pub type Started = (ResponseFuture, h2::SendStream<Bytes>);
