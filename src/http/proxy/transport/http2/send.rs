//! The body of a request on its way over a stream, as fast as the peer's windows let it.
//!
//! No more is taken from the client or a file than the stream has room for. A peer that answers or gives the request up is
//! noticed by whoever waits for the answer; here it only ends the sending.

use std::{cell::Cell, future::poll_fn, io, rc::Rc, sync::Arc};

use ::http1::Fields;
use bytes::Bytes;
use config::LocationConf;
use h2::SendStream;

use super::{
    super::{ClientBody, log},
    head,
};
use crate::{
    http::{
        Fault,
        fault::{Kind, Side},
        request_body::BodyLimits,
        response::FileSlice,
    },
    net::{Timer, file},
};

/// A body that is being sent.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    timer: Timer,
    timeout: std::time::Duration,
    /// Bytes handed to the connection.
    count: Rc<Cell<u64>>,
    /// Fields behind the body.
    trailers: Option<Arc<Fields>>,
}

/// How much of a request went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// All.
    Whole,
    /// The peer wants no more.
    Partly,
}

/// What is being done, for the log.
pub(super) const SENDING: &str = "sending request to upstream";
/// Bytes that one read of a file takes.
const FILE_PIECE_BYTES: u64 = 64 << 10;

impl Upload {
    pub fn new(
        stream: SendStream<Bytes>,
        trailers: Option<Arc<Fields>>,
        location: &LocationConf,
        count: &Rc<Cell<u64>>,
    ) -> Self {
        let timeout = *location.proxy.send_timeout;
        Self { stream, timer: Timer::new(timeout), timeout, count: Rc::clone(count), trailers }
    }

    /// Sends a body that is small enough to go at once; false where it is not.
    pub fn send_at_once(&mut self, bytes: &Bytes) -> bool {
        self.stream.reserve_capacity(bytes.len());
        let fits = self.trailers.is_none() && self.stream.capacity() >= bytes.len();
        if fits {
            self.count.set(self.count.get() + bytes.len() as u64);
            // Where the stream has ended meanwhile, the answer tells.
            let _ = self.stream.send_data(bytes.clone(), true);
        }
        fits
    }

    /// Sends a body in memory.
    pub async fn send_memory(mut self, bytes: Bytes) -> Result<Sent, Fault> {
        match self.send(bytes).await? {
            Sent::Whole => Ok(self.end()),
            Sent::Partly => Ok(Sent::Partly),
        }
    }

    /// Sends a body in a file.
    pub async fn send_file(mut self, slice: FileSlice) -> Result<Sent, Fault> {
        let (mut offset, end) = (slice.offset, slice.offset + slice.len);
        while offset < end {
            let piece = file::read(&slice.file, offset, FILE_PIECE_BYTES.min(end - offset)).await;
            let piece = piece.map_err(|error| unreadable(&error))?;
            if piece.is_empty() {
                return Err(unreadable(&io::ErrorKind::UnexpectedEof.into()));
            }
            offset += piece.len() as u64;
            if self.send(piece).await? == Sent::Partly {
                return Ok(Sent::Partly);
            }
        }
        Ok(self.end())
    }

    /// Passes the client's body on as it arrives.
    pub async fn send_client_body(
        mut self,
        client_body: &mut ClientBody<'_>,
        location: &LocationConf,
    ) -> Result<Sent, Fault> {
        let limits = BodyLimits::of(&location.core);
        loop {
            let piece = client_body.body.next(client_body.client, limits).await;
            let Some(piece) = piece.map_err(|fault| Fault { during: SENDING, ..fault })? else {
                self.trailers = client_body.body.trailers().cloned();
                return Ok(self.end());
            };
            if self.send(piece).await? == Sent::Partly {
                return Ok(Sent::Partly);
            }
        }
    }

    /// Sends bytes as the peer's windows open.
    async fn send(&mut self, mut bytes: Bytes) -> Result<Sent, Fault> {
        while !bytes.is_empty() {
            self.stream.reserve_capacity(bytes.len());
            let stream = &mut self.stream;
            let room = match stream.capacity() {
                0 => {
                    let room = poll_fn(|context| stream.poll_capacity(context).map(Ok));
                    match self.timer.within(self.timeout, room).await {
                        Ok(Some(Ok(room))) => room,
                        Ok(Some(Err(_)) | None) => return Ok(Sent::Partly),
                        Err(error) => return Err(log::broken(SENDING, "send", &error)),
                    }
                }
                room => room,
            };
            let piece = bytes.split_to(room.min(bytes.len()));
            self.count.set(self.count.get() + piece.len() as u64);
            if self.stream.send_data(piece, false).is_err() {
                return Ok(Sent::Partly);
            }
        }
        Ok(Sent::Whole)
    }

    fn end(&mut self) -> Sent {
        let ended = match &self.trailers {
            Some(trailers) => self.stream.send_trailers(head::sent_trailers(trailers)),
            None => self.stream.send_data(Bytes::new(), true),
        };
        match ended {
            Ok(()) => Sent::Whole,
            Err(_) => Sent::Partly,
        }
    }
}

fn unreadable(error: &io::Error) -> Fault {
    Fault { during: SENDING, ..Fault::new(Side::Server, Kind::System, error.to_string()) }
}
