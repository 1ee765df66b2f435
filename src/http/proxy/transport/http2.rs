//! One exchange with one peer over HTTP/2: a request goes out on a stream of a connection that others use too, the head of an
//! answer comes in. `head.rs` translates heads, `send.rs` and `body.rs` are the two directions, `fault.rs` says what errors mean.

mod body;
mod fault;
mod head;
mod send;

use std::{
    borrow::Cow,
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{Response, StatusCode, uri::Scheme};
use ::http1::{Framing, Progress as Parsed, ResponseHead, ResponseParser};
use bytes::Bytes;
use config::LocationConf;
use h2::{RecvStream, client::ResponseFuture};

pub use self::body::Http2Body;
use self::{
    body::Rest,
    fault::{Failure, Treatment, failure},
    head::Follows,
    send::{SENDING, Sent, Upload},
};
use super::{ClientBody, Lost, READING_HEAD, Reply, body::Wire, log};
use crate::{
    clock::Moment,
    http::{
        Fault,
        exchange::Try,
        fault::{Kind, Retry, Side},
        proxy::request::{Outgoing, OutgoingBody},
    },
    net::Timer,
    upstream::{Claim, Ends, retry::Progress},
};

/// Interim answers (1xx) before the real one.
const INTERIM_MAX: usize = 100;

/// Sends a request on a connection and waits for the head of the answer.
pub(super) async fn ask(
    claim: Claim,
    outgoing: &Outgoing,
    client_body: Option<&mut ClientBody<'_>>,
    location: &LocationConf,
    record: &mut Try,
    begun: Moment,
) -> Result<Reply, Lost> {
    let is_consumed = client_body.is_some();
    let count = Rc::new(Cell::new(0));
    let asked = exchange(&claim, outgoing, client_body, location, &count).await;
    record.bytes_sent = count.get();
    let Answered { head, stream, sent, rest } = match asked {
        Ok(answered) => answered,
        Err(failure) => {
            let head_bytes = outgoing.head.len() as u64;
            // What came from the client and is gone cannot be sent again.
            let has_lost_body = is_consumed && count.get() > head_bytes;
            let at_best = if has_lost_body { Progress::Sent } else { Progress::Unsent };
            return Err(lost(failure, &claim, at_best));
        }
    };
    let Head { head, bytes, framing } = head;
    record.header = Some(begun.elapsed());
    let head_len = bytes.len() as u64;
    let body = Http2Body::new(stream, framing, sent, rest, claim);
    let received = head_len + body.received();
    record.bytes_received = received;
    Ok(Reply { head: Arc::new(head), head_bytes: bytes, wire: Wire::Http2(body), received })
}

/// Says what follows a failure.
fn lost(failure: Failure, claim: &Claim, at_best: Progress) -> Lost {
    let Failure { mut fault, treatment } = failure;
    let progress = match treatment {
        Treatment::Unprocessed => at_best,
        Treatment::ConnectionLost | Treatment::Unknown => Progress::Sent,
    };
    if treatment == Treatment::Unprocessed {
        claim.refused();
    }
    // Any server may end a connection while the next request is on its way.
    if claim.is_reused() && treatment != Treatment::Unknown {
        fault.retry = Retry::FreshConnection;
    }
    Lost { fault, progress }
}

/// An answer whose head is here.
struct Answered {
    head: Head,
    stream: RecvStream,
    sent: Sent,
    rest: Option<Rest>,
}

/// The head of an answer.
struct Head {
    head: ResponseHead,
    /// Its text, as HTTP/1.1 has it.
    bytes: Bytes,
    framing: Framing,
}

/// Sends the request, and reads the head of its answer.
async fn exchange(
    claim: &Claim,
    outgoing: &Outgoing,
    client_body: Option<&mut ClientBody<'_>>,
    location: &LocationConf,
    count: &Rc<Cell<u64>>,
) -> Result<Answered, Failure> {
    let (follows, ends) = match (&outgoing.body, &client_body) {
        (OutgoingBody::Empty, _) | (OutgoingBody::Client(_), None) => (Follows::Nothing, Ends::WithHead),
        (OutgoingBody::Memory(bytes), _) if bytes.is_empty() => (Follows::Nothing, Ends::WithHead),
        (OutgoingBody::Memory(_) | OutgoingBody::File(_) | OutgoingBody::Client(_), _) => {
            (Follows::Body, Ends::Later)
        }
    };
    let scheme = if outgoing.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let request = head::request(&outgoing.head, scheme, follows).ok_or_else(untranslatable)?;
    let (response, stream) = claim.start(request, ends).map_err(|error| failure(&error, SENDING))?;
    count.set(outgoing.head.len() as u64);
    let mut waiting = Waiting::new(response, outgoing, location);
    let mut upload = Upload::new(stream, outgoing.trailers.clone(), location, count);
    match (&outgoing.body, client_body) {
        _ if ends == Ends::WithHead => waiting.for_answer_only().await,
        (OutgoingBody::Empty, _) | (OutgoingBody::Client(_), None) => waiting.for_answer_only().await,
        (OutgoingBody::Memory(bytes), _) if upload.send_at_once(bytes) => waiting.for_answer_only().await,
        (OutgoingBody::Memory(bytes), _) => waiting.beside_own(upload.send_memory(bytes.clone())).await,
        (OutgoingBody::File(slice), _) => waiting.beside_own(upload.send_file(slice.clone())).await,
        (OutgoingBody::Client(_), Some(body)) => {
            let mut upload = pin!(upload.send_client_body(body, location));
            let (head, stream, sent) = waiting.beside(upload.as_mut()).await?;
            // As over HTTP/1: once the answer begins, the client's body goes no further.
            Ok(Answered { head, stream, sent: sent.unwrap_or(Sent::Partly), rest: None })
        }
    }
}

fn untranslatable() -> Failure {
    let detail = "request cannot be sent over HTTP/2";
    let fault = Fault { during: SENDING, ..Fault::new(Side::Client, Kind::InvalidHeader, detail) };
    Failure { fault, treatment: Treatment::Unknown }
}

/// The answer to a request that was sent, or is being sent.
struct Waiting<'a> {
    response: ResponseFuture,
    outgoing: &'a Outgoing,
    location: &'a LocationConf,
    timer: Timer,
    interim: usize,
}

/// What comes of an answer before its body.
enum Arrival {
    Interim(Response<()>),
    Final(Response<RecvStream>),
    Failed(h2::Error),
}

/// For how long nothing may come.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// For `proxy_read_timeout`.
    Limited,
    /// As long as the request is being sent.
    WhileSending,
}

impl<'a> Waiting<'a> {
    fn new(response: ResponseFuture, outgoing: &'a Outgoing, location: &'a LocationConf) -> Self {
        let timer = Timer::new(*location.proxy.read_timeout);
        Self { response, outgoing, location, timer, interim: 0 }
    }

    /// Waits where the request is sent.
    async fn for_answer_only(mut self) -> Result<Answered, Failure> {
        let (head, stream) = self.answer(Patience::Limited).await?;
        Ok(Answered { head, stream, sent: Sent::Whole, rest: None })
    }

    /// Waits while a body of ours is being sent, which goes on beside the answer's.
    async fn beside_own(
        mut self,
        upload: impl Future<Output = Result<Sent, Fault>> + 'static,
    ) -> Result<Answered, Failure> {
        let mut upload = Box::pin(upload);
        let (head, stream, sent) = self.beside(upload.as_mut()).await?;
        let rest = match sent {
            Some(_) => None,
            None => Some(Rest(tokio::task::spawn_local(async move {
                // Whether it gets through is for the answer to tell.
                let _ = upload.await;
            }))),
        };
        Ok(Answered { head, stream, sent: sent.unwrap_or(Sent::Partly), rest })
    }

    /// Waits while a body is being sent; how much of it went out is known only where that came to an end.
    async fn beside(
        &mut self,
        mut upload: Pin<&mut impl Future<Output = Result<Sent, Fault>>>,
    ) -> Result<(Head, RecvStream, Option<Sent>), Failure> {
        let sent = tokio::select! {
            biased;
            answer = self.answer(Patience::WhileSending) => {
                let (head, stream) = answer?;
                return Ok((head, stream, None));
            }
            sent = upload.as_mut() => sent.map_err(|fault| Failure { fault, treatment: Treatment::Unknown })?,
        };
        let (head, stream) = self.answer(Patience::Limited).await?;
        Ok((head, stream, Some(sent)))
    }

    /// Waits for the head of the answer, past interim ones. Cancel safe.
    async fn answer(&mut self, patience: Patience) -> Result<(Head, RecvStream), Failure> {
        loop {
            match self.next(patience).await? {
                Arrival::Failed(error) => return Err(failure(&error, READING_HEAD)),
                Arrival::Interim(response) => self.pass_on(&response)?,
                Arrival::Final(response) => {
                    let (parts, stream) = response.into_parts();
                    let (head, bytes) = self.read(&Response::from_parts(parts, ()))?;
                    let framing = ::http1::response_framing(&head, self.outgoing.method);
                    let framing = framing.map_err(|error| invalid(format!("upstream sent {error}")))?;
                    return Ok((Head { head, bytes, framing }, stream));
                }
            }
        }
    }

    async fn next(&mut self, patience: Patience) -> Result<Arrival, Failure> {
        let Self { response, timer, .. } = self;
        let arrival = poll_fn(|context| poll_arrival(response, context).map(Ok));
        let arrived = match patience {
            Patience::WhileSending => arrival.await,
            Patience::Limited => timer.within(*self.location.proxy.read_timeout, arrival).await,
        };
        arrived.map_err(|error| Failure {
            fault: log::broken(READING_HEAD, "recv", &error),
            treatment: Treatment::Unknown,
        })
    }

    fn pass_on(&mut self, response: &Response<()>) -> Result<(), Failure> {
        self.interim += 1;
        if self.interim > INTERIM_MAX {
            return Err(invalid("upstream sent too many interim responses"));
        }
        // RFC 9113, 8.6: there is no such thing in HTTP/2.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(invalid("upstream switched protocols without being asked to"));
        }
        let (head, _) = self.read(response)?;
        if let Some(hints) = &self.outgoing.hints {
            hints.pass(self.location, &head);
        }
        Ok(())
    }

    /// Reads a head as one of HTTP/1.1 is read, so that it is understood alike.
    fn read(&self, response: &Response<()>) -> Result<(ResponseHead, Bytes), Failure> {
        let text = head::answer(response);
        let most = usize::try_from(*self.location.proxy.buffer_size).unwrap_or(usize::MAX);
        let mut head = ResponseHead::new();
        match ResponseParser::new().parse(&text, most, &mut head) {
            Ok(Parsed::Done(_)) => Ok((head, text.into())),
            Ok(Parsed::NeedMore) => Err(invalid("upstream sent too big header")),
            Err(error) => {
                let fault = log::invalid(READING_HEAD, &error.to_string());
                Err(Failure { fault, treatment: Treatment::Unknown })
            }
        }
    }
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> Failure {
    Failure { fault: log::fault(Kind::InvalidHeader, READING_HEAD, detail), treatment: Treatment::Unknown }
}

fn poll_arrival(response: &mut ResponseFuture, context: &mut Context<'_>) -> Poll<Arrival> {
    match response.poll_informational(context) {
        Poll::Ready(Some(Ok(interim))) => return Poll::Ready(Arrival::Interim(interim)),
        Poll::Ready(Some(Err(error))) => return Poll::Ready(Arrival::Failed(error)),
        Poll::Ready(None) | Poll::Pending => {}
    }
    Pin::new(response).poll(context).map(|answer| answer.map_or_else(Arrival::Failed, Arrival::Final))
}
