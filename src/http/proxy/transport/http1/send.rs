//! Sending a request, and noticing an answer that comes before all of it is out.
//!
//! A peer may refuse a large upload with its first bytes. Both directions are watched, so that neither side waits for the
//! other for ever: once an answer begins, the rest of the request is not sent and the connection not used again.

use std::{
    io::{self, IoSlice},
    pin::pin,
    time::Duration,
};

use bytes::BytesMut;
use config::LocationConf;

use super::super::{ClientBody, log};
use crate::{
    http::{
        Fault,
        proxy::request::{ClientFraming, Outgoing, OutgoingBody},
        request_body::BodyLimits,
        response::FileSlice,
    },
    net::{Stream, Timer},
    upstream::Connection,
};

/// How much of a request went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// All.
    Whole,
    /// The answer began before the end.
    Partly,
}

/// What is being done, for the log.
const SENDING: &str = "sending request to upstream";
/// Room for what arrives while a request is being sent.
const EARLY_BYTES: usize = 16 << 10;

/// Sends a request; `count` grows with each byte.
///
/// # Errors
/// The upstream's fault, or the client's where its body cannot be read on.
pub(super) async fn send(
    connection: &mut Connection,
    outgoing: &Outgoing,
    client_body: Option<&mut ClientBody<'_>>,
    location: &LocationConf,
    count: &mut u64,
) -> Result<Sent, Fault> {
    let Connection { stream, timer, input, .. } = connection;
    let timeout = *location.proxy.send_timeout;
    let mut wire = Wire { stream, timer, input, timeout, count };
    let sent = match (&outgoing.body, client_body) {
        (OutgoingBody::Empty | OutgoingBody::Client(_), None) => wire.send_bytes(&outgoing.head, b"").await,
        (OutgoingBody::Memory(bytes), _) => wire.send_bytes(&outgoing.head, bytes).await,
        (OutgoingBody::File(slice), _) => wire.send_file(&outgoing.head, slice).await,
        (OutgoingBody::Empty, Some(_)) => wire.send_bytes(&outgoing.head, b"").await,
        (OutgoingBody::Client(framing), Some(client_body)) => {
            return wire.send_client_body(&outgoing.head, *framing, client_body, location).await;
        }
    };
    sent.map_err(|error| lost(&error))
}

fn lost(error: &io::Error) -> Fault {
    log::broken(SENDING, "send", error)
}

/// A connection as it is written to.
struct Wire<'a> {
    stream: &'a Stream,
    timer: &'a mut Timer,
    input: &'a mut BytesMut,
    timeout: Duration,
    count: &'a mut u64,
}

/// What one step led to.
enum Step {
    /// So many bytes went out.
    Wrote(usize),
    /// The answer begins, or the peer has closed the connection.
    Answered,
}

impl Wire<'_> {
    /// Sends a head and a body in memory, with one system call if the socket takes them.
    async fn send_bytes(&mut self, mut head: &[u8], mut body: &[u8]) -> io::Result<Sent> {
        let stream = self.stream;
        while !head.is_empty() || !body.is_empty() {
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            let step = match body.is_empty() {
                true => self.step(stream.write(head)).await?,
                false => self.step(stream.write_vectored(&slices)).await?,
            };
            let Step::Wrote(count) = step else { return Ok(Sent::Partly) };
            let of_head = count.min(head.len());
            head = &head[of_head..];
            body = &body[count - of_head..];
        }
        self.flush().await
    }

    /// Waits until the socket has taken everything, or the answer begins.
    async fn flush(&mut self) -> io::Result<Sent> {
        if self.stream.tls().is_none() {
            return Ok(Sent::Whole);
        }
        let stream = self.stream;
        let step = self.step(async { stream.flush().await.map(|()| 0) }).await?;
        Ok(match step {
            Step::Wrote(_) => Sent::Whole,
            Step::Answered => Sent::Partly,
        })
    }

    async fn send_file(&mut self, mut head: &[u8], slice: &FileSlice) -> io::Result<Sent> {
        let stream = self.stream;
        while !head.is_empty() {
            let Step::Wrote(count) = self.step(stream.write_more(head)).await? else {
                return Ok(Sent::Partly);
            };
            head = &head[count..];
        }
        let (file, mut offset, end) = (&slice.file, slice.offset, slice.offset + slice.len);
        while offset < end {
            match self.step(stream.send_file(file, offset, end - offset)).await? {
                Step::Wrote(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Step::Wrote(count) => offset += count as u64,
                Step::Answered => return Ok(Sent::Partly),
            }
        }
        self.flush().await
    }

    /// Passes the client's body on as it arrives.
    async fn send_client_body(
        &mut self,
        head: &[u8],
        framing: ClientFraming,
        client_body: &mut ClientBody<'_>,
        location: &LocationConf,
    ) -> Result<Sent, Fault> {
        if self.send_bytes(head, b"").await.map_err(|error| lost(&error))? == Sent::Partly {
            return Ok(Sent::Partly);
        }
        let limits = BodyLimits::of(&location.core);
        let mut chunk = Vec::new();
        loop {
            let piece = tokio::select! {
                biased;
                piece = client_body.body.next(client_body.client, limits) => {
                    piece.map_err(|fault| Fault { during: SENDING, ..fault })?
                }
                () = answered(self.stream, self.input) => return Ok(Sent::Partly),
            };
            chunk.clear();
            let sent = match (framing, &piece) {
                (ClientFraming::Length, Some(bytes)) => self.send_bytes(bytes, b"").await,
                (ClientFraming::Length, None) => return Ok(Sent::Whole),
                (ClientFraming::Chunked, Some(bytes)) => {
                    http1::write_chunk_size(&mut chunk, bytes.len());
                    chunk.extend_from_slice(bytes);
                    chunk.extend_from_slice(http1::CHUNK_END);
                    self.send_bytes(&chunk, b"").await
                }
                (ClientFraming::Chunked, None) => {
                    let sent = self.send_bytes(http1::LAST_CHUNK, b"").await;
                    return sent.map_err(|error| lost(&error));
                }
            };
            if sent.map_err(|error| lost(&error))? == Sent::Partly {
                return Ok(Sent::Partly);
            }
        }
    }

    /// Runs one write until it is done or the answer begins.
    async fn step(&mut self, write: impl Future<Output = io::Result<usize>>) -> io::Result<Step> {
        let Self { stream, timer, input, timeout, count } = self;
        let either = async {
            let mut write = pin!(write);
            tokio::select! {
                biased;
                wrote = &mut write => wrote.map(Step::Wrote),
                () = answered(stream, input) => Ok(Step::Answered),
            }
        };
        match timer.within(*timeout, either).await {
            Ok(Step::Wrote(written)) => {
                **count += written as u64;
                Ok(Step::Wrote(written))
            }
            Ok(Step::Answered) => Ok(Step::Answered),
            // The peer may have answered and then closed without reading on: its answer is what counts.
            Err(error) if has_arrived(stream, input) && error.kind() != io::ErrorKind::TimedOut => {
                Ok(Step::Answered)
            }
            Err(error) => Err(error),
        }
    }
}

/// Waits until something has arrived or the peer has closed. Cancel safe.
async fn answered(stream: &Stream, input: &mut BytesMut) {
    while stream.readable().await.is_ok() {
        input.reserve(EARLY_BYTES);
        match stream.try_read(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

fn has_arrived(stream: &Stream, input: &mut BytesMut) -> bool {
    input.reserve(EARLY_BYTES);
    matches!(stream.try_read(input), Ok(1..))
}
