//! HTTP/2 towards clients: one connection, driven by h2, whose requests are answered side by side.
//!
//! This front turns streams into exchanges and answers into frames; what the answer is, the phases decide. A connection ends
//! when nobody has asked for anything for a while, after enough requests, when the worker leaves, or when the client abuses it.

mod answer;
mod answerers;
mod fields;
mod frames;
mod live;
mod request;
mod stream;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use config::ServerConf;
use h2::{Reason, RecvStream, server::SendResponse};
use http::Request;
use tokio::time::{Instant, Sleep, sleep_until};

pub use self::stream::RequestStream;
use self::{
    frames::{Flood, FrameMeter, Watched},
    live::Live,
    request::Wish,
};
use super::{
    Fault,
    client::Client,
    h1,
    site::EventLoop,
    understand::{BodyEnd, Received, refused},
};
use crate::{
    clock,
    error_log::{self, Level},
    net::{Gathering, Outlet, Timer},
};

/// Those of an event loop who answer requests.
pub type Answerers = answerers::Answerers<answer::Request>;

/// What every client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One client connection.
struct Connection {
    event_loop: Rc<EventLoop>,
    client: Rc<Client>,
    engine: h2::server::Connection<Watched, Bytes>,
    outlet: Outlet,
    meter: Rc<RefCell<FrameMeter>>,
    live: Live,
    /// Ends when the worker is asked to finish; none where that was heard.
    drain: Option<Pin<Box<dyn Future<Output = ()>>>>,
    flooded: bool,
    /// Whether the client was told that there will be no more requests.
    leaving: bool,
    state: State,
    /// When this state began.
    since: Instant,
    sleep: Pin<Box<Sleep>>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request.
    Idle,
    /// Answers that are being made.
    Busy,
    /// A client that reads, having read so much.
    Blocked(u64),
}

/// What happens on a connection.
enum Event {
    Request(Box<Request<RecvStream>>, SendResponse<Bytes>),
    /// The worker is asked to finish.
    Drain,
    Flood(Flood),
    TimedOut(State),
    End(Result<(), h2::Error>),
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    On,
    Close,
    Drop,
}

/// How long a client that was told to begin no more requests may be silent.
const LEAVING_PATIENCE: Duration = Duration::from_secs(1);
/// The window of a stream is no smaller, so that there is something to be asked for.
const WINDOW_LEAST: u64 = 16 << 10;
/// All streams together may send as much as their own windows let them. As nginx.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Memory beyond its payload that DATA which nobody has read may take.
const UNREAD_OVERHEAD_BYTES: usize = 1 << 20;
/// Heads may be so much larger than the limits before h2 refuses them, so that it is us who do.
const HEAD_SLACK_BYTES: u64 = 64 << 10;

/// Serves a connection that begins with HTTP/2 until it ends.
pub async fn serve(event_loop: Rc<EventLoop>, client: Client) {
    let input = client.input.take();
    let (gathering, outlet) = Gathering::new(Rc::clone(&client.stream), input);
    let meter = Rc::new(RefCell::new(FrameMeter::new()));
    let watched = Watched::new(gathering, Rc::clone(&meter), client.opened);
    let server = &event_loop.site.http().listeners[client.listener].default_server;
    let mut timer = Timer::new(*server.core.client_header_timeout);
    let handshake = builder(server).handshake(watched);
    let engine = timer.limit(async { outlet.drive(handshake).await.map_err(std::io::Error::other) }).await;
    let Ok(engine) = engine else { return };
    let drain = event_loop.drain.clone();
    let now = Instant::now();
    let connection = Connection {
        client: Rc::new(client),
        engine,
        outlet,
        meter,
        live: Live::default(),
        drain: Some(Box::pin(async move { drain.wait().await })),
        flooded: false,
        leaving: false,
        state: State::Busy,
        since: now,
        sleep: Box::pin(sleep_until(now)),
        event_loop,
    };
    connection.run(timer).await;
}

fn builder(server: &ServerConf) -> h2::server::Builder {
    let conf = &server.http2;
    let buffers = &server.core.large_client_header_buffers;
    let head = buffers.size.saturating_mul(buffers.count as u64).saturating_add(HEAD_SLACK_BYTES);
    let streams = u32::try_from(*conf.max_concurrent_streams).unwrap_or(u32::MAX);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(saturated((*conf.body_preread_size).max(WINDOW_LEAST)))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(UNREAD_OVERHEAD_BYTES)
        .max_concurrent_streams(streams)
        .max_pending_accept_reset_streams(streams as usize)
        .max_header_list_size(saturated(head))
        .max_send_buffer_size(stream::QUEUED_BYTES)
        .enable_connect_protocol();
    builder
}

fn saturated(size: u64) -> u32 {
    u32::try_from(size).map_or(CONNECTION_WINDOW, |size| size.min(CONNECTION_WINDOW))
}

impl Connection {
    async fn run(mut self, mut timer: Timer) {
        let mut next = Next::On;
        while next == Next::On {
            let event = poll_fn(|context| self.poll_event(context)).await;
            next = self.take(event);
        }
        let Self { client, engine, live, event_loop, .. } = self;
        // Streams that are still there learn that the client is gone.
        drop(engine);
        live.none().await;
        if next == Next::Close {
            let core = &event_loop.site.http().listeners[client.listener].default_server.defaults.core;
            h1::read_on(&client, &mut timer, core).await;
        }
    }

    fn take(&mut self, event: Event) -> Next {
        match event {
            Event::Request(request, answer) => self.begin(*request, answer),
            Event::Drain => self.leave(),
            Event::Flood(flood) => {
                let of = match flood {
                    Flood::Frames => "frames",
                    Flood::Resets => "resets of streams",
                };
                self.report(format_args!("http2 flood detected: too many {of}"));
                self.engine.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            Event::TimedOut(State::Blocked(_)) => {
                self.report(format_args!("client timed out (110: Connection timed out)"));
                let core = &self.server().defaults.core;
                if *core.reset_timedout_connection {
                    // The socket goes away either way.
                    let _ = self.client.stream.reset_on_close();
                }
                return Next::Drop;
            }
            Event::TimedOut(State::Idle | State::Busy) => self.engine.abrupt_shutdown(Reason::NO_ERROR),
            Event::End(Ok(())) => return Next::Close,
            Event::End(Err(error)) if error.is_io() => return Next::Drop,
            Event::End(Err(error)) => {
                if let Some(reason) = error.reason().filter(|_| error.is_library()) {
                    self.report(format_args!("{}", complaint(reason)));
                }
                return Next::Close;
            }
        }
        Next::On
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        match self.engine.poll_accept(context) {
            Poll::Ready(Some(Ok((request, answer)))) => {
                return Poll::Ready(Event::Request(Box::new(request), answer));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::End(Err(error))),
            Poll::Ready(None) => return Poll::Ready(Event::End(Ok(()))),
            Poll::Pending => {}
        }
        if !self.flooded
            && let Some(flood) = self.meter.borrow().flood()
        {
            self.flooded = true;
            return Poll::Ready(Event::Flood(flood));
        }
        self.outlet.send(context);
        if let Some(drain) = &mut self.drain
            && drain.as_mut().poll(context).is_ready()
        {
            self.drain = None;
            return Poll::Ready(Event::Drain);
        }
        self.live.wake_at_end(context);
        self.poll_patience(context)
    }

    /// Waits until the state at hand has lasted too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let state = match self.outlet.waiting() {
            0 if self.live.is_empty() => State::Idle,
            0 => State::Busy,
            _ => State::Blocked(self.outlet.taken()),
        };
        if state != self.state {
            self.state = state;
            self.since = Instant::now();
        }
        let server = self.server();
        let patience = match state {
            State::Busy => return Poll::Pending,
            State::Blocked(_) => *server.defaults.core.send_timeout,
            State::Idle if self.leaving => LEAVING_PATIENCE,
            State::Idle if self.client.requests.get() == 0 => *server.core.client_header_timeout,
            State::Idle => server.defaults.core.keepalive_timeout.idle,
        };
        let deadline = self.since + patience;
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        ready!(self.sleep.as_mut().poll(context));
        // What it leads to may take a while; it is to happen once.
        self.since = Instant::now() + patience;
        Poll::Ready(Event::TimedOut(state))
    }

    fn begin(&mut self, request: Request<RecvStream>, answer: SendResponse<Bytes>) {
        let started = clock::moment();
        let (parts, incoming) = request.into_parts();
        let requests = self.client.requests.get() + 1;
        self.client.requests.set(requests);
        let (head, wish, checked) = request::head(&parts, &self.server().core);
        let is_open = wish == Wish::Answer && !incoming.is_end_stream();
        let received = Received {
            body: if is_open { BodyEnd::TheFronts } else { BodyEnd::Announced },
            head_bytes: self.meter.borrow_mut().take_head(answer.stream_id().as_u32()).unwrap_or_default(),
            fault: checked.err().map(|error| -> Fault { refused(&error) }),
            head,
            started,
        };
        let client = Rc::new(self.client.on_stream(RequestStream::new(incoming, answer)));
        let (event_loop, meter) = (Rc::clone(&self.event_loop), Rc::clone(&self.meter));
        let live = self.live.begin();
        let request = answer::Request { event_loop, client, received, wish, meter, live };
        self.event_loop.answerers.give(request, answer::answer);
        let core = &self.server().defaults.core;
        if requests >= *core.keepalive_requests || self.client.opened.elapsed() > *core.keepalive_time {
            self.leave();
        }
    }

    /// Has the client begin no more requests. Those that are under way, or on their way, are answered.
    fn leave(&mut self) {
        self.leaving = true;
        self.engine.graceful_shutdown();
    }

    fn server(&self) -> &ServerConf {
        &self.event_loop.site.http().listeners[self.client.listener].default_server
    }

    /// Writes a line about the connection to the log.
    fn report(&self, what: std::fmt::Arguments<'_>) {
        let Client { serial, remote, local, .. } = &*self.client;
        let port = local.port().map(|port| format!(":{port}")).unwrap_or_default();
        error_log::write_for(
            None,
            Level::Info,
            Some(*serial),
            format_args!(
                "{what} while processing HTTP/2 connection, client: {}, server: {}{port}",
                remote.text, local.text
            ),
        );
    }
}

/// Says what a client did that h2 ended the connection for.
fn complaint(reason: Reason) -> &'static str {
    match reason {
        Reason::ENHANCE_YOUR_CALM => "http2 flood detected",
        Reason::FLOW_CONTROL_ERROR => "client violated flow control",
        Reason::FRAME_SIZE_ERROR => "client sent frame with incorrect length",
        Reason::COMPRESSION_ERROR => "client sent invalid header block",
        _ => "client sent invalid HTTP/2 frame",
    }
}
