//! One exchange with one peer over HTTP/1: the request goes out, the head of an answer comes in. `send.rs` and `body.rs` are
//! its two directions.

mod body;
mod send;

use std::sync::Arc;

use ::http1::{Framing, Progress as Parsed, ResponseError, ResponseHead, ResponseParser, Version};
use bytes::Bytes;
use config::LocationConf;

pub use self::body::Http1Body;
use super::{ClientBody, Lost, READING_HEAD, Reply, body::Wire, log};
use crate::{
    clock::Moment,
    http::{
        Fault,
        exchange::Try,
        fault::{Kind, Retry},
        proxy::request::{Outgoing, Upgrade},
    },
    upstream::{Connection, retry::Progress},
};

/// Whether a connection may carry another request once the answer was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Kept,
    Closed,
}

/// Bytes that the first read of an answer asks for: head and a small body together.
const FIRST_READ_BYTES: usize = 16 << 10;
/// Interim answers (1xx) before the real one.
const INTERIM_MAX: usize = 100;

/// Sends a request over a connection and waits for the head of the answer.
pub(super) async fn ask(
    mut connection: Connection,
    outgoing: &Outgoing,
    client_body: Option<&mut ClientBody<'_>>,
    location: &LocationConf,
    record: &mut Try,
    begun: Moment,
) -> Result<Reply, Lost> {
    connection.requests += 1;
    let sent = send::send(&mut connection, outgoing, client_body, location, &mut record.bytes_sent).await;
    let mut reader = HeadReader { connection: &mut connection, received: 0, head: ResponseHead::new() };
    let read = match sent {
        Ok(sent) => reader.read(location, outgoing).await.map(|head| (sent, head)),
        Err(fault) => Err(fault),
    };
    let HeadReader { received, head, .. } = reader;
    record.bytes_received = received;
    let progress = if record.bytes_sent > 0 { Progress::Sent } else { Progress::Unsent };
    let (sent, found) = read.map_err(|mut fault| {
        // Any server may close a kept connection while the next request is on its way.
        if connection.is_reused() && received == 0 && fault.kind == Kind::Connection {
            fault.retry = Retry::FreshConnection;
        }
        Lost { fault, progress }
    })?;
    record.header = Some(begun.elapsed());
    let reuse = match sent {
        send::Sent::Whole if head.persists() => Reuse::Kept,
        send::Sent::Whole | send::Sent::Partly => Reuse::Closed,
    };
    let head = Arc::new(head);
    let wire = Wire::Http1(Http1Body::new(connection, found.framing, reuse));
    Ok(Reply { head, head_bytes: found.bytes, wire, received })
}

/// Reads the head of an answer.
struct HeadReader<'a> {
    connection: &'a mut Connection,
    received: u64,
    head: ResponseHead,
}

/// What stands behind a head.
struct Found {
    bytes: Bytes,
    framing: Framing,
}

impl HeadReader<'_> {
    /// Reads on until there is a head that is not an interim one.
    async fn read(&mut self, location: &LocationConf, outgoing: &Outgoing) -> Result<Found, Fault> {
        // Some of it may have come while the request was being sent.
        self.received = self.connection.input.len() as u64;
        let mut parser = ResponseParser::new();
        for interim in 0..INTERIM_MAX {
            let Some(used) = self.parse(&mut parser, location).await? else {
                // An answer without a head is of HTTP/0.9, which has no interim answers.
                return match interim {
                    0 => Ok(self.simple_answer()),
                    _ => Err(log::invalid(READING_HEAD, &ResponseError::NoStatusLine.to_string())),
                };
            };
            let bytes = self.connection.input.split_to(used).freeze();
            if !matches!(self.head.status, 100 | 102..=199) {
                return self.framed(bytes, outgoing);
            }
            if let Some(hints) = &outgoing.hints {
                hints.pass(location, &self.head);
            }
            parser.reset();
            self.head.clear();
        }
        Err(log::fault(Kind::InvalidHeader, READING_HEAD, "upstream sent too many interim responses"))
    }

    /// Returns the length of the head; none where the answer has none, as in HTTP/0.9.
    async fn parse(
        &mut self,
        parser: &mut ResponseParser,
        location: &LocationConf,
    ) -> Result<Option<usize>, Fault> {
        let most = usize::try_from(*location.proxy.buffer_size).unwrap_or(usize::MAX);
        loop {
            let input = &self.connection.input;
            let parsed = match input.is_empty() {
                true => Ok(Parsed::NeedMore),
                false => parser.parse(input, most, &mut self.head),
            };
            match parsed {
                Ok(Parsed::Done(used)) => return Ok(Some(used)),
                Ok(Parsed::NeedMore) => self.receive(location).await?,
                Err(ResponseError::NoStatusLine) => return Ok(None),
                Err(error) => return Err(log::invalid(READING_HEAD, &error.to_string())),
            }
        }
    }

    async fn receive(&mut self, location: &LocationConf) -> Result<(), Fault> {
        let Connection { stream, timer, input, .. } = &mut *self.connection;
        input.reserve(FIRST_READ_BYTES);
        match timer.within(*location.proxy.read_timeout, stream.read(input)).await {
            Ok(0) => Err(log::premature_close(READING_HEAD)),
            Ok(count) => {
                self.received += count as u64;
                Ok(())
            }
            Err(error) => Err(log::broken(READING_HEAD, "recv", &error)),
        }
    }

    /// As nginx: what does not begin with a status line is the body of a 200 in HTTP/0.9.
    fn simple_answer(&mut self) -> Found {
        self.head.clear();
        self.head.version = Version::V0_9;
        self.head.status = 200;
        self.head.reason.extend_from_slice(b"OK");
        Found { bytes: Bytes::from_static(b"HTTP/1.0 200 OK\r\n\r\n"), framing: Framing::UntilClose }
    }

    fn framed(&self, bytes: Bytes, outgoing: &Outgoing) -> Result<Found, Fault> {
        if self.head.status == 101 && outgoing.upgrade == Upgrade::NotAsked {
            let detail = "upstream switched protocols without being asked to";
            return Err(log::fault(Kind::InvalidHeader, READING_HEAD, detail));
        }
        match ::http1::response_framing(&self.head, outgoing.method) {
            Ok(framing) => Ok(Found { bytes, framing }),
            Err(error) => {
                Err(log::fault(Kind::InvalidHeader, READING_HEAD, format!("upstream sent {error}")))
            }
        }
    }
}
