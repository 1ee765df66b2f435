//! A request of a stream, from its head to its line in the log.

use std::{cell::RefCell, future::poll_fn, io, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use config::{CoreConf, LingeringClose};
use h2::Reason;
use http1::Fields;
use tokio::time::timeout;

use super::{
    fields,
    frames::FrameMeter,
    live::LiveRequest,
    request::Wish,
    stream::{Ends, QUEUED_BYTES, RequestStream},
};
use crate::{
    clock::Moment,
    http::{
        Body, Exchange, Fault, Response, access_log,
        client::Client,
        fault::{self, Kind, Side},
        filter, phases,
        proxy::transport,
        response::{self, FileSlice, Piece},
        sending::{self, Broken, Pace, Wire},
        site::EventLoop,
        understand::{self, Received},
    },
    net::{Timer, file},
};

/// Bytes of a file that one read takes.
const READ_FILE_BYTES: u64 = 64 << 10;
/// A frame with less than this of a larger body is counted against the client, which has let no more through.
const SMALL_FRAME_BYTES: usize = 64;

/// What a stream's task is given.
pub struct Request {
    pub(super) event_loop: Rc<EventLoop>,
    pub(super) client: Rc<Client>,
    pub(super) received: Received,
    pub(super) wish: Wish,
    pub(super) meter: Rc<RefCell<FrameMeter>>,
    pub(super) live: LiveRequest,
}

/// Answers a request and logs it.
pub(super) async fn answer(request: Request) {
    let Request { event_loop, client, received, wish, meter, live } = request;
    let Some(stream) = client.request_stream() else { return };
    let (mut exchange, fault) = understand::begin(&event_loop, &client, received);
    let work = async {
        let response = match fault {
            None => phases::respond(&mut exchange).await,
            Some(fault) => phases::refuse(&mut exchange, fault).await,
        };
        match response {
            Some(response) => {
                Answering::new(stream, &exchange, meter).send(&mut exchange, response, wish).await
            }
            None if exchange.sent.status == TIMED_OUT => stream.reset(Reason::PROTOCOL_ERROR),
            None => stream.reset(Reason::INTERNAL_ERROR),
        }
    };
    stream.watched(work).await;
    access_log::record(&exchange);
    drop(live);
    if exchange.sent.complete && !stream.has_ended() {
        linger(stream, &exchange.location.core).await;
    }
}

/// Reads what a client still sends of a body that nobody wants, so that it gets to read the answer: whoever is told to stop at once
/// may lose what came just before (`lingering_close`).
async fn linger(stream: &RequestStream, core: &CoreConf) {
    if *core.lingering_close == LingeringClose::Off {
        return;
    }
    let read_on = async {
        let mut dropped = BytesMut::new();
        let mut receive = async || {
            dropped.clear();
            poll_fn(|context| stream.poll_receive(context, &mut dropped)).await
        };
        while let Ok(Ok(1..)) = timeout(*core.lingering_timeout, receive()).await {}
    };
    // Whether the client or the time ended first makes no difference.
    let _ = timeout(*core.lingering_time, read_on).await;
}

/// Status of a client that was too slow; as nginx, only the log shows it.
const TIMED_OUT: u16 = 408;

/// The answer at hand.
struct Answering<'a> {
    stream: &'a RequestStream,
    meter: Rc<RefCell<FrameMeter>>,
    /// When the connection was.
    opened: Moment,
    /// Most bytes of a frame (`http2_chunk_size`).
    chunk_bytes: usize,
    send_timeout: Duration,
    timer: Option<Timer>,
    /// Waits for what comes next, so that the last frame can say that it is the last.
    held: Option<Bytes>,
    /// Bytes of the body that h2 was given.
    sent_bytes: u64,
    /// Frames that they are in.
    frames: u64,
}

impl<'a> Answering<'a> {
    fn new(stream: &'a RequestStream, exchange: &Exchange, meter: Rc<RefCell<FrameMeter>>) -> Self {
        let core = &exchange.location.core;
        Self {
            stream,
            meter,
            opened: exchange.client.opened,
            chunk_bytes: usize::try_from(*core.http2_chunk_size)
                .map_or(QUEUED_BYTES, |size| size.min(FRAME_BYTES_MOST)),
            send_timeout: *core.send_timeout,
            timer: None,
            held: None,
            sent_bytes: 0,
            frames: 0,
        }
    }

    async fn send(mut self, exchange: &mut Exchange, mut response: Box<Response>, wish: Wish) {
        let body = std::mem::replace(&mut response.body, Body::Empty);
        if wish == Wish::Tunnel
            && let Err(fault) = accept_tunnel(&mut response, &body)
        {
            fault::log(exchange, &fault);
        }
        let ends = match response::ends_with_head(exchange, &mut response) {
            true => Ends::Here,
            false if matches!(body, Body::Empty) => Ends::Here,
            false => Ends::Later,
        };
        let pace = Pace::of(exchange);
        exchange.sent.status = response.status;
        let Some(head) = fields::head(exchange, &response) else {
            return self.stream.reset(Reason::INTERNAL_ERROR);
        };
        exchange.sent.head_bytes = fields::length(&head);
        if exchange.location_state().logs.want_fields() {
            exchange.sent.fields = fields::list(&head);
        }
        match self.send_all(exchange, head, ends, body, pace).await {
            Ok(()) => exchange.sent.complete = true,
            Err(broken) => self.broken(exchange, broken).await,
        }
        exchange.sent.body_bytes = self.sent_bytes;
        let frame_heads = self.frames * fields::FRAME_HEAD_BYTES as u64;
        exchange.sent.bytes = exchange.sent.head_bytes + frame_heads + self.sent_bytes;
    }

    async fn send_all(
        &mut self,
        exchange: &mut Exchange,
        head: http::Response<()>,
        ends: Ends,
        body: Body,
        pace: Option<Pace>,
    ) -> Result<(), Broken> {
        self.stream.send_head(head, ends)?;
        if ends == Ends::Here {
            return Ok(());
        }
        if let Body::Tunnel(upgraded) = body {
            let client = Rc::clone(&exchange.client);
            let counts = transport::tunnel(&client, *upgraded, &exchange.location).await;
            self.sent_bytes += counts.to_client;
            return Ok(());
        }
        sending::send_body(self, exchange, body, pace).await?;
        self.finish(exchange).await?;
        Ok(())
    }

    /// Sends what is held and the end, with the fields that belong behind the body.
    async fn finish(&mut self, exchange: &mut Exchange) -> io::Result<()> {
        let trailers: Fields = filter::trailers(exchange);
        let held = self.held.take().unwrap_or_default();
        if trailers.is_empty() {
            self.send_bytes(held, Ends::Here).await?;
        } else {
            if !held.is_empty() {
                self.send_bytes(held, Ends::Later).await?;
            }
            self.stream.send_trailers(fields::map(&trailers))?;
        }
        exchange.sent.trailers = trailers;
        Ok(())
    }

    async fn send_bytes(&mut self, mut bytes: Bytes, ends: Ends) -> io::Result<()> {
        loop {
            if bytes.is_empty() {
                if ends == Ends::Here {
                    self.put(bytes, ends)?;
                }
                return Ok(());
            }
            let mut room = self.room(bytes.len().min(QUEUED_BYTES)).await?;
            while room > 0 && !bytes.is_empty() {
                let count = bytes.len().min(room).min(self.chunk_bytes);
                room -= count;
                let chunk = bytes.split_to(count);
                if bytes.is_empty() {
                    return self.put(chunk, ends);
                }
                if count < SMALL_FRAME_BYTES {
                    self.meter.borrow_mut().wasted(self.opened.elapsed());
                }
                self.put(chunk, Ends::Later)?;
            }
        }
    }

    /// Waits until the client's window and h2's queue have room.
    async fn room(&mut self, wanted: usize) -> io::Result<usize> {
        let room = self.stream.ask_room(wanted)?;
        if room > 0 {
            return Ok(room);
        }
        let timer = self.timer.get_or_insert_with(|| Timer::new(self.send_timeout));
        timer.within(self.send_timeout, self.stream.room()).await
    }

    fn put(&mut self, bytes: Bytes, ends: Ends) -> io::Result<()> {
        let count = bytes.len() as u64;
        self.stream.send_bytes(bytes, ends)?;
        self.sent_bytes += count;
        self.frames += 1;
        self.meter.borrow_mut().sent(count);
        Ok(())
    }

    async fn broken(&mut self, exchange: &mut Exchange, broken: Broken) {
        let reason = match broken {
            Broken::Client(error) => {
                fault::log_send_failure(exchange, &error);
                match error.kind() {
                    io::ErrorKind::TimedOut => Reason::PROTOCOL_ERROR,
                    _ => Reason::INTERNAL_ERROR,
                }
            }
            Broken::Source(fault) => {
                fault::log(exchange, &fault);
                // As nginx: what came before is the client's. A reset takes back what h2 has not passed on yet.
                if self.flush().await.is_ok() {
                    tokio::task::yield_now().await;
                }
                Reason::INTERNAL_ERROR
            }
        };
        self.stream.reset(reason);
    }
}

/// Frames that every client takes are no longer.
const FRAME_BYTES_MOST: usize = 16 << 10;

impl Wire for Answering<'_> {
    async fn send(&mut self, _: &Exchange, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Memory(bytes) => self.hold(bytes).await,
            Piece::File(FileSlice { file, mut offset, len }) => {
                let end = offset + len;
                while offset < end {
                    let bytes = file::read(&file, offset, (end - offset).min(READ_FILE_BYTES)).await?;
                    if bytes.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    offset += bytes.len() as u64;
                    self.hold(bytes).await?;
                }
                Ok(())
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(bytes) => self.send_bytes(bytes, Ends::Later).await,
            None => Ok(()),
        }
    }

    fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }
}

impl Answering<'_> {
    async fn hold(&mut self, bytes: Bytes) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.held.replace(bytes) {
            Some(before) => self.send_bytes(before, Ends::Later).await,
            None => Ok(()),
        }
    }
}

/// Turns the answer of HTTP/1.1 to a handshake into that of extended CONNECT (RFC 8441, 5): a tunnel is 200, and what is none
/// must not look like one.
fn accept_tunnel(response: &mut Response, body: &Body) -> Result<(), Fault> {
    if matches!(body, Body::Tunnel(_)) {
        response.status = 200;
        response.reason = None;
        response.content_length = None;
        response.fields.retain(|name, _| !name.eq_ignore_ascii_case(b"Sec-WebSocket-Accept"));
        return Ok(());
    }
    if !(200..300).contains(&response.status) {
        return Ok(());
    }
    let detail = format!("upstream answered {} instead of changing to another protocol", response.status);
    response.status = 502;
    Err(Fault::new(Side::Upstream, Kind::InvalidHeader, detail))
}
