//! Reading a request's head, and making an exchange of it.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use bytes::Buf;
use config::{GaveUp, ServerConf};
use http1::{
    HeadRules, InvalidNames, Method, Progress, RequestError, RequestHead, Underscores, Version,
    uri::{self, MergeSlashes},
};

use super::Connection;
use crate::{
    clock,
    error_log::{self, Level},
    http::{
        Exchange, Fault,
        fault::{Kind, Side},
        request_body::{Expectation, RequestBody},
        route,
    },
};

/// A request's head, or what was wrong with it.
pub(super) struct Received {
    head: RequestHead,
    head_bytes: u64,
    fault: Option<Fault>,
    started: clock::Moment,
}

impl Connection {
    /// Waits for the next request; none where the connection ends without one.
    ///
    /// `idle` is how long a kept connection may stay silent; the first request has `client_header_timeout`.
    pub(super) async fn receive(&mut self, idle: Option<Duration>) -> Option<Received> {
        self.parser.reset();
        self.head.clear();
        let server = Arc::clone(&self.event_loop.site.http().listeners[self.client.listener].default_server);
        let rules = head_rules(&server);
        let has_input = !self.client.input.borrow().is_empty();
        self.client.pipelined.set(has_input);
        if let Some(idle) = idle
            && !has_input
        {
            self.wait_for_request(idle).await?;
        }
        self.timer.reset(*server.core.client_header_timeout);
        let started = clock::moment();
        loop {
            let progress = self.parser.parse(&self.client.input.borrow(), &rules, &mut self.head);
            let fault = match progress {
                Ok(Progress::Done(used)) => {
                    self.client.input.borrow_mut().advance(used);
                    return Some(self.received(used, None, started));
                }
                Ok(Progress::NeedMore) => self.read_more().await?,
                Err(error) => Some(refused(&error)),
            };
            if fault.is_some() {
                let seen = self.client.input.borrow().len();
                return Some(self.received(seen, fault, started));
            }
        }
    }

    /// Waits until a kept connection says something; none where it ends.
    async fn wait_for_request(&mut self, idle: Duration) -> Option<()> {
        let receive = self.timer.within(idle, self.client.receive());
        let received = tokio::select! {
            biased;
            received = receive => received,
            () = self.event_loop.drain.wait() => {
                // A request may be under way: it is answered, with the word that it is the last.
                self.timer.within(idle.min(DRAIN_PATIENCE), self.client.receive()).await
            }
        };
        matches!(received, Ok(1..)).then_some(())
    }

    /// Reads more of a head; none where the connection ends without a word, a fault where it ends amid one.
    async fn read_more(&mut self) -> Option<Option<Fault>> {
        match self.timer.limit(self.client.receive()).await {
            Ok(1..) => Some(None),
            Ok(0) if self.client.input.borrow().is_empty() => None,
            Ok(0) => Some(Some(lost(Kind::Connection, "client prematurely closed connection".to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                if self.client.input.borrow().is_empty() {
                    return None;
                }
                Some(Some(lost(Kind::Timeout, "client timed out".to_owned())))
            }
            Err(error) => Some(Some(lost(Kind::Connection, error.to_string()))),
        }
    }

    fn received(&mut self, head_bytes: usize, fault: Option<Fault>, started: clock::Moment) -> Received {
        Received { head: std::mem::take(&mut self.head), head_bytes: head_bytes as u64, fault, started }
    }

    /// Makes an exchange of a head: server block, URI, framing. What is wrong with it comes beside.
    pub(super) fn begin(&mut self, received: Received) -> (Box<Exchange>, Option<Fault>) {
        let Received { head, head_bytes, fault, started } = received;
        let client = Rc::clone(&self.client);
        client.requests.set(client.requests.get() + 1);
        let event_loop = Rc::clone(&self.event_loop);
        let server = Arc::clone(&event_loop.site.http().listeners[client.listener].default_server);
        let mut exchange = Box::new(Exchange::new(event_loop, client, head, server, started));
        exchange.head_bytes = head_bytes;
        let fault = fault.or_else(|| understand(&mut exchange).err());
        (exchange, fault)
    }
}

/// How long an idle connection of a worker that leaves may still begin a request.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

fn head_rules(server: &ServerConf) -> HeadRules {
    let core = &server.core;
    HeadRules {
        invalid_names: if *core.ignore_invalid_headers { InvalidNames::Ignored } else { InvalidNames::Kept },
        underscores: if *core.underscores_in_headers { Underscores::Valid } else { Underscores::Invalid },
        first_buffer_bytes: saturated(*core.client_header_buffer_size),
        max_line_bytes: saturated(core.large_client_header_buffers.size),
        max_large_buffers: core.large_client_header_buffers.count,
        max_fields: saturated(*core.max_headers),
    }
}

fn saturated(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Finds host, server, URI and framing of a request.
fn understand(exchange: &mut Exchange) -> Result<(), Fault> {
    for line in exchange.head.ignored() {
        let line = String::from_utf8_lossy(line);
        error_log::write_for(
            None,
            Level::Info,
            Some(exchange.client.serial),
            format_args!("client sent invalid header line: \"{line}\" while reading client request headers"),
        );
    }
    find_server(exchange)?;
    parse_uri(exchange)?;
    let framing = http1::check_request(&exchange.head).map_err(|error| refused(&error))?;
    let expects = exchange.head.version >= Version::V1_1
        && exchange
            .head
            .fields
            .get("Expect")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    let expectation = if expects { Expectation::Continue } else { Expectation::None };
    exchange.body = RequestBody::new(framing, expectation);
    if exchange.method == Method::Trace {
        return Err(refusal(405, "client sent TRACE method".to_owned()));
    }
    Ok(())
}

fn find_server(exchange: &mut Exchange) -> Result<(), Fault> {
    let host = http1::check_host(&exchange.head).map_err(|error| refused(&error))?;
    exchange.host = host.map(|host| host.name.into_owned()).unwrap_or_default();
    let event_loop = Rc::clone(&exchange.event_loop);
    let found = route::server(event_loop.site.http(), exchange.client.listener, &exchange.host);
    let (server, captures) = found.map_err(|gave_up| no_server(&gave_up))?;
    if !Arc::ptr_eq(server, &exchange.server) {
        exchange.location = Arc::clone(&server.defaults);
        exchange.server = Arc::clone(server);
    }
    // As nginx: `$1` is the last match's, which the name's is until a location's comes.
    exchange.caught(captures);
    Ok(())
}

/// Nobody knows what rules hold for a request.
fn no_server(gave_up: &GaveUp) -> Fault {
    Fault {
        during: "reading client request headers",
        ..Fault::new(Side::Server, Kind::NoServer, gave_up.to_string())
    }
}

fn parse_uri(exchange: &mut Exchange) -> Result<(), Fault> {
    let merge = if *exchange.server.core.merge_slashes { MergeSlashes::Merged } else { MergeSlashes::Kept };
    let parsed = uri::normalize(exchange.head.path_and_query(), merge)
        .map_err(|error| refusal(400, format!("{error} while reading client request line")))?;
    exchange.uri = parsed.path.into_owned();
    exchange.args = parsed.args.unwrap_or_default().to_vec();
    Ok(())
}

fn refused(error: &RequestError) -> Fault {
    refusal(error.status(), error.to_string())
}

/// A request that is answered with `status` because of what it says.
fn refusal(status: u16, detail: String) -> Fault {
    Fault::new(Side::Client, Kind::Status(status), detail)
}

/// A connection that ended amid a head.
fn lost(kind: Kind, detail: String) -> Fault {
    Fault { during: "reading client request headers", ..Fault::new(Side::Client, kind, detail) }
}
