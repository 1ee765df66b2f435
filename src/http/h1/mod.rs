//! HTTP/1 towards clients: one connection, request after request.
//!
//! This front turns bytes into exchanges and answers into bytes; what the answer is, the phases decide.
//! A connection never outlives a broken framing: whatever cannot be understood ends it after the answer.

mod head;
mod keepalive;
mod linger;
mod receive;
mod send;

use std::{rc::Rc, time::Duration};

use config::LocationConf;
use http1::{RequestHead, RequestParser};

use self::head::BodyFraming;
pub(super) use self::linger::read_on;
use super::{
    Exchange, access_log,
    client::Client,
    phases,
    secure::Arrival,
    site::EventLoop,
    understand::{self, Received},
};
use crate::net::Timer;

/// Status of a client that was too slow; as nginx, only the log shows it.
const TIMED_OUT: u16 = 408;

/// One client connection and what is reused from request to request.
struct Connection {
    event_loop: Rc<EventLoop>,
    client: Rc<Client>,
    timer: Timer,
    parser: RequestParser,
    head: RequestHead,
    out: Vec<u8>,
    /// Bytes of the answer at hand that the socket has taken.
    sent_bytes: u64,
    send_timeout: Duration,
    /// How the body of the answer at hand ends.
    framing: BodyFraming,
}

/// Whether a connection goes on after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another request may come.
    Request,
    /// All was said on both sides: close.
    Close,
    /// All was said here, but the client may still be sending: read on for a while, then close.
    Linger,
    /// Broken or timed out: close at once.
    Drop,
}

/// Serves one accepted connection until it ends.
pub async fn serve(event_loop: Rc<EventLoop>, client: Client) {
    Connection::new(event_loop, client).run().await;
}

/// Serves one request, and returns it as it was answered: for somebody who asks why the answer is what it is. No log tells
/// of it. None where no request came.
pub async fn serve_one(event_loop: Rc<EventLoop>, arrival: Arrival) -> Option<Box<Exchange>> {
    let mut connection = Connection::new(event_loop, Client::arrived(arrival));
    let received = connection.receive(None).await?;
    Some(connection.answer(received).await.1)
}

impl Connection {
    fn new(event_loop: Rc<EventLoop>, client: Client) -> Self {
        let client = Rc::new(client);
        let defaults = &event_loop.site.http().listeners[client.listener].default_server;
        if *defaults.defaults.core.tcp_nodelay {
            // A socket that is already dead fails here; the first read will tell.
            let _ = client.stream.set_nodelay();
        }
        let timer = Timer::new(*defaults.core.client_header_timeout);
        Self {
            event_loop,
            client,
            timer,
            parser: RequestParser::new(),
            head: RequestHead::new(),
            out: Vec::new(),
            sent_bytes: 0,
            send_timeout: Duration::ZERO,
            framing: BodyFraming::None,
        }
    }

    async fn run(&mut self) {
        let mut idle: Option<Duration> = None;
        loop {
            let Some(received) = self.receive(idle).await else { return };
            let (next, location) = self.exchange(received).await;
            match next {
                Next::Request => idle = Some(location.core.keepalive_timeout.idle),
                Next::Close | Next::Linger => {
                    return linger::close(&self.client, &mut self.timer, &location.core, next).await;
                }
                Next::Drop => return,
            }
        }
    }

    /// Answers one request and logs it.
    async fn exchange(&mut self, received: Received) -> (Next, std::sync::Arc<LocationConf>) {
        let (mut next, mut exchange) = self.answer(received).await;
        access_log::record(&exchange);
        if !exchange.body.is_done() {
            next = match next {
                Next::Request => linger::discard_body(&mut exchange).await,
                Next::Close | Next::Linger => Next::Linger,
                Next::Drop => Next::Drop,
            };
        }
        self.head = exchange.head;
        (next, exchange.location)
    }

    /// Answers one request.
    async fn answer(&mut self, received: Received) -> (Next, Box<Exchange>) {
        self.client.requests.set(self.client.requests.get() + 1);
        let (mut exchange, fault) = understand::begin(&self.event_loop, &self.client, received);
        let response = match fault {
            None => phases::respond(&mut exchange).await,
            Some(fault) => phases::refuse(&mut exchange, fault).await,
        };
        let next = match response {
            None => {
                if exchange.sent.status == TIMED_OUT && *exchange.location.core.reset_timedout_connection {
                    // The socket goes away either way.
                    let _ = self.client.stream.reset_on_close();
                }
                Next::Drop
            }
            Some(response) => {
                keepalive::decide(&mut exchange);
                self.answer_with(&mut exchange, response).await
            }
        };
        (next, exchange)
    }
}
