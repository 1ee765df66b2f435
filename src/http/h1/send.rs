//! Writing an answer: head, framing, body, in as few system calls as it takes.
//!
//! A head and a body in memory go out with one call. A file follows its head by `sendfile`, or is
//! read off the event loop where `sendfile` is off. A stream is written as it comes; nothing here reads
//! ahead of what the client takes, unless the source does so itself.

use std::io;

use bytes::Bytes;

use super::{
    Connection, Next,
    head::{self, BodyFraming},
};
use crate::{
    http::{
        Body, Exchange, Response, fault, filter,
        proxy::transport,
        response::{FileSlice, Piece},
        sending::{self, Broken, Pace, Wire},
    },
    net::file,
};

/// Bodies up to this many bytes are copied behind the head, so that one write sends both.
const COPY_BYTES: usize = 16 << 10;
/// Bytes that one read of a file takes where `sendfile` is off.
const READ_FILE_BYTES: u64 = 128 << 10;
/// Bytes of a file that are known to be in memory before `sendfile` is called.
const WARM_FILE_BYTES: u64 = 2 << 20;

impl Wire for Connection {
    async fn send(&mut self, exchange: &Exchange, piece: Piece) -> io::Result<()> {
        let len = piece.len();
        if len == 0 {
            return Ok(());
        }
        if self.framing == BodyFraming::Chunked {
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
        if self.framing == BodyFraming::Chunked {
            self.out.extend_from_slice(http1::CHUNK_END);
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.flush_out().await
    }

    fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }
}

impl Connection {
    /// Sends an answer and says how the connection goes on.
    pub(super) async fn answer_with(&mut self, exchange: &mut Exchange, mut response: Box<Response>) -> Next {
        let body = std::mem::replace(&mut response.body, Body::Empty);
        let framing = head::frame(exchange, &mut response, &body);
        self.send_timeout = *exchange.location.core.send_timeout;
        self.framing = framing;
        let pace = Pace::of(exchange);
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
            _ => self.send_body(exchange, body, pace).await,
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
        pace: Option<Pace>,
    ) -> Result<(), Broken> {
        if let Body::Tunnel(upgraded) = body {
            exchange.keepalive = false;
            self.flush_out().await?;
            let counts = transport::tunnel(&self.client, *upgraded, &exchange.location).await;
            self.sent_bytes += counts.to_client;
            return Ok(());
        }
        sending::send_body(self, exchange, body, pace).await?;
        if self.framing == BodyFraming::Chunked {
            exchange.sent.trailers = filter::trailers(exchange);
            http1::write_trailers(&mut self.out, &exchange.sent.trailers);
        }
        self.flush_out().await?;
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
