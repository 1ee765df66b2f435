//! Requests that the answer to another one makes, to have theirs within its own.
//!
//! Such a request takes the way of any other, from the server's own rules on, with a path and arguments of its own; all
//! else is its client's: fields, addresses, variables of the configuration. As nginx: its method is GET, only its body is
//! seen, and there is a limit to how deep they go. It is a task of its own, which ends when nobody waits for it any more.
//!
//! A request may also be asked [`again`] for another part of its own answer: that goes on where the first one found who answers.

use std::{
    cell::OnceCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http1::{Method, RequestHead};
use tokio::task::JoinHandle;

use super::{
    Exchange, Fault, Response, access_log,
    body_reader::BodyReader,
    exchange::{Part, PartOf, Stub, UriState},
    fault::{Kind, Side},
    phases,
    response::Source,
    slice::Slicing,
};
use crate::clock;

/// Levels of requests below a client's. As nginx.
const LEVELS_MOST: u8 = 51;

/// A request of ours, and what is left of its answer.
pub struct Subrequest {
    stage: Stage,
    /// What is shown if nothing else is.
    stub: Option<Bytes>,
}

/// Why there is none.
#[derive(Debug)]
pub enum NoSubrequest {
    /// There are too many levels of them already.
    TooDeep {
        /// The path that was asked for.
        uri: Vec<u8>,
    },
}

enum Stage {
    /// The head of the answer is waited for.
    Asking(Asking),
    /// The body is read.
    Reading { exchange: Box<Exchange>, body: BodyReader },
    /// All is read.
    Ended,
}

/// What a request ends in: an answer, or a connection that is to be closed.
type Answered = (Box<Exchange>, Option<Box<Response>>);

/// A request that was sent on its way, until there is the head of an answer. It ends with whoever waits for it.
pub struct Asking(JoinHandle<Answered>);

impl Asking {
    /// Whether the answer is there.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Asking {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        Pin::new(&mut self.0).poll(context).map(|done| match done {
            Ok(answered) => answered,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        })
    }
}

impl Subrequest {
    /// Asks for a path on behalf of the answer to `parent`. `stub` is shown if the answer is empty or an error.
    ///
    /// # Errors
    /// There are too many levels of such requests.
    pub fn start(
        parent: &Exchange,
        uri: Vec<u8>,
        args: Vec<u8>,
        stub: Option<Stub>,
    ) -> Result<Self, NoSubrequest> {
        let Some(levels_left) = levels_left(parent) else { return Err(NoSubrequest::TooDeep { uri }) };
        let text = stub.as_ref().map(|stub| stub.text.clone());
        let part = Part { levels_left, stub, of: PartOf::Page };
        let mut exchange = Box::new(below(parent, uri, args, part));
        let asking = tokio::task::spawn_local(async move {
            let response = phases::respond(&mut exchange).await;
            (exchange, response)
        });
        Ok(Self { stage: Stage::Asking(Asking(asking)), stub: text })
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Asking(asking) => asking.is_finished(),
            Stage::Reading { body, .. } => body.is_ready(),
            Stage::Ended => true,
        }
    }

    /// Returns the next piece, which may be empty; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The answer cannot be completed, or is that the connection be closed: so is all that it is a part of then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match &mut self.stage {
                Stage::Asking(asking) => {
                    let (exchange, response) = asking.await;
                    self.answered(exchange, response)?;
                }
                Stage::Reading { exchange, body } => {
                    // Boxed, since what is read may be a page that includes others.
                    match Box::pin(body.next(exchange)).await? {
                        Some(bytes) => {
                            exchange.sent.bytes += bytes.len() as u64;
                            exchange.sent.body_bytes = exchange.sent.bytes;
                            if !bytes.is_empty() {
                                self.stub = None;
                            }
                            return Ok(Some(bytes));
                        }
                        None => self.end(),
                    }
                }
                Stage::Ended => return Ok(self.stub.take().filter(|stub| !stub.is_empty())),
            }
        }
    }

    /// Reads all that is left, at most so many bytes. As nginx: nothing comes of what is no success.
    ///
    /// # Errors
    /// As for [`Self::next`], and what is too long.
    pub async fn collect(&mut self, most: u64) -> Result<Vec<u8>, Fault> {
        let mut whole = Vec::new();
        let mut status = 0;
        while let Some(bytes) = self.next().await? {
            if let Stage::Reading { exchange, .. } = &self.stage {
                status = exchange.sent.status;
            }
            whole.extend_from_slice(&bytes);
            if whole.len() as u64 > most {
                return Err(too_big(whole.len()));
            }
        }
        Ok(if status < 300 { whole } else { Vec::new() })
    }

    fn answered(
        &mut self,
        mut exchange: Box<Exchange>,
        response: Option<Box<Response>>,
    ) -> Result<(), Fault> {
        let Some(response) = response else { return Err(closes(exchange.sent.status)) };
        exchange.sent.status = response.status;
        let stub_was_taken = exchange.part.as_ref().is_some_and(|part| part.stub.is_none());
        if stub_was_taken {
            self.stub = None;
        }
        self.stage = Stage::Reading { exchange, body: BodyReader::new(response.body) };
        Ok(())
    }

    fn end(&mut self) {
        let Stage::Reading { exchange, body } = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return;
        };
        finish(exchange, body.source());
    }
}

/// Asks for another slice of the answer to `parent`, of the same location by the same method.
///
/// # Errors
/// There are too many levels of such requests.
pub fn again(parent: &Exchange, slicing: Slicing) -> Result<Asking, Fault> {
    let levels_left = levels_left(parent).ok_or_else(|| Fault::status_only(500))?;
    let part = Part { levels_left, stub: None, of: PartOf::Answer };
    let mut exchange = Box::new(twin(parent, part));
    exchange.slicing = slicing.into();
    Ok(Asking(tokio::task::spawn_local(async move {
        let response = phases::respond_again(&mut exchange).await;
        if let Some(response) = &response {
            exchange.sent.status = response.status;
        }
        (exchange, response)
    })))
}

/// Makes an exchange in which variables have the values that they have in `parent`, which need not last as long: nothing of it has
/// been answered yet.
pub fn twin(parent: &Exchange, part: Part) -> Exchange {
    Exchange {
        location: Arc::clone(&parent.location),
        method: parent.method,
        uri_state: parent.uri_state,
        captures: parent.captures.clone(),
        internal: parent.internal,
        appends_to_alias: parent.appends_to_alias,
        proxy_target: parent.proxy_target.clone(),
        ..below(parent, parent.uri.clone(), parent.args.clone(), part)
    }
}

/// Makes the exchange of a request that nobody sends: what it would be stored under is wanted.
pub fn imagine(like: &Exchange, head: RequestHead, uri: Vec<u8>, args: Vec<u8>) -> Exchange {
    let part = Part { levels_left: 0, stub: None, of: PartOf::Answer };
    Exchange { head, uri_state: UriState::AsSent, part: None, ..below(like, uri, args, part) }
}

/// Ends a request of ours whose body has been read, and logs it where that is wanted.
pub fn finish(mut exchange: Box<Exchange>, source: Option<&Source>) {
    source.into_iter().for_each(|source| source.finish(&mut exchange));
    exchange.sent.complete = true;
    if *exchange.location.log.log_subrequest {
        access_log::record(&exchange);
    }
}

fn levels_left(parent: &Exchange) -> Option<u8> {
    parent.part.as_ref().map_or(LEVELS_MOST, |part| part.levels_left).checked_sub(1)
}

/// Makes the exchange of a request for a part of the answer to `parent`.
fn below(parent: &Exchange, uri: Vec<u8>, args: Vec<u8>, part: Part) -> Exchange {
    let page = OnceCell::new();
    let shared = Rc::clone(parent.page.get_or_init(Rc::default));
    page.set(shared).expect("it is empty");
    let (event_loop, client) = (Rc::clone(&parent.event_loop), Rc::clone(&parent.client));
    let (head, server) = (parent.head.clone(), Arc::clone(&parent.server));
    Exchange {
        method: Method::Get,
        host: parent.host.clone(),
        uri,
        args,
        uri_state: UriState::Changed,
        slots: parent.slots.share(),
        body: parent.body.share(),
        head_bytes: parent.head_bytes,
        internal: true,
        part: Some(Box::new(part)),
        page,
        keepalive: true,
        request_id: parent.request_id.clone(),
        ..Exchange::new(event_loop, client, head, server, clock::moment())
    }
}

fn closes(status: u16) -> Fault {
    Fault::status_only(status)
}

fn too_big(length: usize) -> Fault {
    Fault::new(Side::Server, Kind::InvalidBody, format!("too big subrequest response: {length}"))
}
