//! Making an exchange of a request's head, whatever the front: server block, URI, how the body ends.

use std::{rc::Rc, sync::Arc};

use config::GaveUp;
use http1::{
    Framing, Method, RequestError, RequestHead, Version,
    uri::{self, MergeSlashes},
};

use super::{
    Exchange, Fault,
    client::Client,
    fault::{Kind, Side},
    request_body::{Expectation, RequestBody},
    route, secure,
    site::EventLoop,
};
use crate::{
    clock,
    error_log::{self, Level},
};

/// A request's head, or what was wrong with it.
pub(super) struct Received {
    pub head: RequestHead,
    pub head_bytes: u64,
    pub body: BodyEnd,
    pub fault: Option<Fault>,
    pub started: clock::Moment,
}

/// Who knows where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// The head tells.
    Announced,
    /// The front does, where the head does not tell.
    TheFronts,
}

/// Makes an exchange of a head. What is wrong with it comes beside.
pub(super) fn begin(
    event_loop: &Rc<EventLoop>,
    client: &Rc<Client>,
    received: Received,
) -> (Box<Exchange>, Option<Fault>) {
    let Received { head, head_bytes, body, fault, started } = received;
    let (event_loop, client) = (Rc::clone(event_loop), Rc::clone(client));
    let server = match &client.secured {
        Some(secured) => Arc::clone(&secured.server),
        None => Arc::clone(&event_loop.site.http().listeners[client.listener].default_server),
    };
    let mut exchange = Box::new(Exchange::new(event_loop, client, head, server, started));
    exchange.head_bytes = head_bytes;
    let fault = fault.or_else(|| understand(&mut exchange, body).err());
    (exchange, fault)
}

/// Finds host, server, URI and framing of a request.
fn understand(exchange: &mut Exchange, body: BodyEnd) -> Result<(), Fault> {
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
    let framing = match http1::check_request(&exchange.head).map_err(|error| refused(&error))? {
        Framing::Empty if body == BodyEnd::TheFronts => Framing::UntilClose,
        framing => framing,
    };
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
    secure::check(exchange)
}

fn find_server(exchange: &mut Exchange) -> Result<(), Fault> {
    let host = http1::check_host(&exchange.head).map_err(|error| refused(&error))?;
    exchange.host = host.map(|host| host.name.into_owned()).unwrap_or_default();
    let event_loop = Rc::clone(&exchange.event_loop);
    let found = route::server(event_loop.site.http(), exchange.client.listener, &exchange.host);
    let (server, captures) = found.map_err(|gave_up| no_server(&gave_up))?;
    secure::check_name(exchange, server)?;
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

pub(super) fn refused(error: &RequestError) -> Fault {
    refusal(error.status(), error.to_string())
}

/// A request that is answered with `status` because of what it says.
fn refusal(status: u16, detail: String) -> Fault {
    Fault::new(Side::Client, Kind::Status(status), detail)
}
