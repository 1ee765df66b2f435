//! Writing an answer: head, framing, body, in as few system calls as it takes.
//!
//! A head and a body in memory go out with one call. A file follows its head by `sendfile`, or is
//! read off the event loop where `sendfile` is off. A stream is written as it comes; nothing here reads
//! ahead of what the client takes, unless the source does so itself.

use std::{io, ops::Range, time::Duration};

use bytes::Bytes;
use config::FillAbandoned;
use tokio::time::sleep;

use super::{
    Connection, Next,
    head::{self, BodyFraming},
};
use crate::{
    http::{
        Body, Exchange, Response,
        fault::{self, Fault},
        filter,
        proxy::{cache::storing, transport},
        rate::{self, Rate, Turn},
        response::{FileSlice, Piece, Source},
    },
    net::file,
};

/// Bodies up to this many bytes are copied behind the head, so that one write sends both.
const COPY_BYTES: usize = 16 << 10;
/// Bytes that one read of a file takes where `sendfile` is off.
const READ_FILE_BYTES: u64 = 128 << 10;
/// Bytes of a file that are known to be in memory before `sendfile` is called.
const WARM_FILE_BYTES: u64 = 2 << 20;

/// How fast an answer is sent, where that is limited.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    rate: Rate,
    /// What belongs behind what was sent last.
    pause: Duration,
}

/// Why sending stopped early.
enum Broken {
    /// The client is gone or too slow.
    Client(io::Error),
    /// The body cannot be completed.
    Source(Fault),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Client(error)
    }
}

impl Connection {
    /// Sends an answer and says how the connection goes on.
    pub(super) async fn send(&mut self, exchange: &mut Exchange, mut response: Box<Response>) -> Next {
        let body = std::mem::replace(&mut response.body, Body::Empty);
        let framing = head::frame(exchange, &mut response, &body);
        self.send_timeout = *exchange.location.core.send_timeout;
        self.pace = rate::to_client(exchange).map(|rate| Pace { rate, pause: Duration::ZERO });
        self.out.clear();
        self.sent_bytes = 0;
        head::write(&mut self.out, exchange, &response, framing);
        exchange.sent.status = response.status;
        exchange.sent.head_bytes = self.out.len() as u64;
        if exchange.location_state().logs.want_fields() {
            head::remember_fields(exchange, &response, framing);
        }
        let sent = match framing {
            BodyFraming::None if !matches!(body, Body::Tunnel(_)) => {
                self.flush_out().await.map_err(Broken::from)
            }
            _ => self.send_body(exchange, body, framing).await,
        };
        exchange.sent.bytes = self.sent_bytes;
        exchange.sent.body_bytes = self.sent_bytes.saturating_sub(exchange.sent.head_bytes);
        match sent {
            Ok(()) => {
                exchange.sent.complete = true;
                if exchange.keepalive { Next::Request } else { Next::Close }
            }
            Err(broken) => self.broken(exchange, broken),
        }
    }

    fn broken(&self, exchange: &mut Exchange, broken: Broken) -> Next {
        match broken {
            Broken::Client(error) => {
                if error.kind() == io::ErrorKind::TimedOut
                    && *exchange.location.core.reset_timedout_connection
                {
                    // The socket goes away either way.
                    let _ = self.client.stream.reset_on_close();
                }
                fault::log_send_failure(exchange, &error);
            }
            Broken::Source(fault) => fault::log(exchange, &fault),
        }
        Next::Drop
    }

    async fn send_body(
        &mut self,
        exchange: &mut Exchange,
        body: Body,
        framing: BodyFraming,
    ) -> Result<(), Broken> {
        match body {
            Body::Empty => {}
            Body::Memory(bytes) => self.send_piece(exchange, Piece::Memory(bytes), framing).await?,
            Body::File(slice) => self.send_piece(exchange, Piece::File(slice), framing).await?,
            Body::Pieces(pieces) => {
                for piece in pieces {
                    self.send_piece(exchange, piece, framing).await?;
                }
            }
            Body::Stream { source, window } => self.send_stream(exchange, source, window, framing).await?,
            Body::Tunnel(upgraded) => {
                exchange.keepalive = false;
                self.flush_out().await?;
                let counts = transport::tunnel(&self.client, *upgraded, &exchange.location).await;
                self.sent_bytes += counts.to_client;
                return Ok(());
            }
        }
        if framing == BodyFraming::Chunked {
            filter::write_end(&mut self.out, exchange);
        }
        self.flush_out().await?;
        Ok(())
    }

    /// Sends what comes until it ends. A source that breaks breaks the connection, so that nobody takes a torn body for whole.
    async fn send_stream(
        &mut self,
        exchange: &mut Exchange,
        mut source: Source,
        window: Option<Range<u64>>,
        framing: BodyFraming,
    ) -> Result<(), Broken> {
        // As nginx: a fill of the cache goes on without its client (unless it is told not to), and a client that
        // has only closed its sending side gets the answer.
        let goes_on =
            source.outlives_client() && storing::fill_abandoned(&exchange.location) == FillAbandoned::Goes;
        let watches = !goes_on && !*exchange.location.proxy.ignore_client_abort;
        let mut position = 0;
        loop {
            if !source.is_ready() {
                source.introduce(exchange);
                source.meanwhile(self.flush_out()).await?;
            }
            let next = tokio::select! {
                biased;
                piece = source.next(exchange) => piece,
                () = self.client.closed(), if watches => {
                    return Err(Broken::Client(io::ErrorKind::ConnectionAborted.into()));
                }
            };
            let piece = match next {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(fault) => {
                    source.finish(exchange);
                    // As nginx: what came before is the client's, and the missing end tells the rest.
                    self.flush_out().await?;
                    return Err(Broken::Source(fault));
                }
            };
            let start = position;
            position += piece.len();
            let Some(piece) = piece.cut(start, window.as_ref()) else { continue };
            source.introduce(exchange);
            source.meanwhile(self.send_piece(exchange, piece, framing)).await?;
        }
        source.finish(exchange);
        Ok(())
    }

    /// Sends a piece, in parts where the rate is limited.
    async fn send_piece(
        &mut self,
        exchange: &mut Exchange,
        piece: Piece,
        framing: BodyFraming,
    ) -> Result<(), Broken> {
        let Some(pace) = self.pace else { return self.send_part(exchange, piece, framing).await };
        let mut rest = Some(piece);
        let mut pause = pace.pause;
        while let Some(piece) = rest.take() {
            // What has been gathered counts.
            self.flush_out().await?;
            // As nginx: who only closed the sending side gets all; who is gone is noticed by the next write.
            sleep(pause).await;
            let before = self.sent_bytes;
            let part = match pace.rate.turn(exchange.started.elapsed(), before) {
                Turn::Wait(time) => {
                    (pause, rest) = (time, Some(piece));
                    continue;
                }
                Turn::Go(most) => piece.split(most),
            };
            rest = part.1;
            self.send_part(exchange, part.0, framing).await?;
            self.flush_out().await?;
            pause = pace.rate.pause(before, self.sent_bytes);
        }
        self.pace = Some(Pace { pause, ..pace });
        Ok(())
    }

    async fn send_part(
        &mut self,
        exchange: &mut Exchange,
        piece: Piece,
        framing: BodyFraming,
    ) -> Result<(), Broken> {
        let len = piece.len();
        if len == 0 {
            return Ok(());
        }
        if framing == BodyFraming::Chunked {
            http1::write_chunk_size(
                &mut self.out,
                usize::try_from(len).expect("a piece fits in memory or a file"),
            );
        }
        match piece {
            Piece::Memory(bytes) => self.send_memory(bytes).await?,
            Piece::File(slice) if self.sends_files(exchange) => self.send_file(exchange, slice).await?,
            Piece::File(slice) => self.copy_file(slice).await?,
        }
        if framing == BodyFraming::Chunked {
            self.out.extend_from_slice(http1::CHUNK_END);
        }
        Ok(())
    }

    /// Whether files go out without being looked at. What is encrypted has to be.
    fn sends_files(&self, exchange: &Exchange) -> bool {
        *exchange.location.core.sendfile && self.client.stream.tls().is_none()
    }

    async fn send_memory(&mut self, bytes: Bytes) -> io::Result<()> {
        let timeout = self.send_timeout;
        if bytes.len() <= COPY_BYTES {
            self.out.extend_from_slice(&bytes);
            if self.out.len() >= COPY_BYTES {
                self.flush_out().await?;
            }
            return Ok(());
        }
        let (mut head, mut body): (&[u8], &[u8]) = (&self.out, &bytes);
        while !head.is_empty() || !body.is_empty() {
            let slices = [io::IoSlice::new(head), io::IoSlice::new(body)];
            let count = self.timer.within(timeout, self.client.stream.write_vectored(&slices)).await?;
            self.sent_bytes += count as u64;
            let of_head = count.min(head.len());
            head = &head[of_head..];
            body = &body[count - of_head..];
        }
        self.out.clear();
        Ok(())
    }

    async fn send_file(&mut self, exchange: &Exchange, slice: FileSlice) -> io::Result<()> {
        let timeout = self.send_timeout;
        self.flush_more().await?;
        let FileSlice { file, mut offset, len } = slice;
        let end = offset + len;
        let turn_bytes = match *exchange.location.core.sendfile_max_chunk {
            0 => u64::MAX,
            most => most,
        };
        let mut warm_to = offset;
        let mut turn_left = turn_bytes;
        while offset < end {
            if turn_left == 0 {
                tokio::task::yield_now().await;
                turn_left = turn_bytes;
            }
            if offset >= warm_to {
                warm_to = end.min(offset + WARM_FILE_BYTES);
                file::warm(&file, offset, warm_to - offset).await?;
            }
            let send = self.client.stream.send_file(&file, offset, turn_left.min(warm_to - offset));
            let count = self.timer.within(timeout, send).await? as u64;
            if count == 0 {
                // Somebody cut the file: the client must not take this for the end.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += count;
            turn_left -= count;
            self.sent_bytes += count;
        }
        Ok(())
    }

    async fn copy_file(&mut self, slice: FileSlice) -> io::Result<()> {
        let FileSlice { file, mut offset, len } = slice;
        let end = offset + len;
        while offset < end {
            let bytes = file::read(&file, offset, (end - offset).min(READ_FILE_BYTES)).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += bytes.len() as u64;
            self.send_memory(bytes).await?;
        }
        Ok(())
    }

    /// Writes what has been gathered, and tells the kernel that more follows.
    async fn flush_more(&mut self) -> io::Result<()> {
        let timeout = self.send_timeout;
        let mut left: &[u8] = &self.out;
        while !left.is_empty() {
            let count = self.timer.within(timeout, self.client.stream.write_more(left)).await?;
            self.sent_bytes += count as u64;
            left = &left[count..];
        }
        self.out.clear();
        Ok(())
    }

    /// Writes what has been gathered.
    async fn flush_out(&mut self) -> io::Result<()> {
        let timeout = self.send_timeout;
        let mut left: &[u8] = &self.out;
        while !left.is_empty() {
            let count = self.timer.within(timeout, self.client.stream.write(left)).await?;
            self.sent_bytes += count as u64;
            left = &left[count..];
        }
        self.out.clear();
        if self.client.stream.tls().is_some() {
            self.timer.within(timeout, self.client.stream.flush()).await?;
        }
        Ok(())
    }
}
