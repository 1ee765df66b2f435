//! `proxy_pass`: the cache first, then an upstream.
//!
//! `cache/` answers from what is stored and stores what comes; `request.rs` and `response.rs` translate heads; `transport/` talks to one peer after another; `hints.rs` passes on what comes before an answer; `ahead.rs` reads ahead of slow clients;
//! `accel_redirect.rs` lets another location answer where the upstream says so.

mod accel_redirect;
mod affinity;
pub mod ahead;
pub mod cache;
mod hints;
mod limit_rate;
pub mod request;
pub mod response;
pub mod secured;
mod store_file;
pub mod transport;
mod via;

use std::{pin::pin, rc::Rc, sync::Arc};

use config::{ProxyPass, Template};
use http1::{ResponseHead, Version};

use self::{
    ahead::ReadAhead,
    request::Purpose,
    transport::{ClientBody, Incoming, UpstreamBody},
};
use super::{
    Exchange, Fault,
    cache_facts::CacheFacts,
    fault::{self, Kind, Side, Whom},
    phases::Ending,
    rate,
    request_body::{self, BodyLimits},
    response::{Body, Source},
};
use crate::upstream::Group;

/// Answers a request from the cache or an upstream.
pub async fn serve(exchange: &mut Exchange, pass: &ProxyPass) -> Ending {
    exchange.upstream.cache = CacheFacts::default();
    if cache::purge::is_wanted(exchange) {
        return cache::purge::answer(exchange, pass).await;
    }
    let mut ending = match transport::target(exchange, pass).await {
        Ok(group) => cache::serve(exchange, pass, &group).await,
        Err(fault) => Ending::Fail(fault),
    };
    if let Ending::Answer(response) = &mut ending {
        cache::fields::add(exchange, response);
    }
    ending
}

/// Passes a request to an upstream and its answer to the client, with no cache between.
pub(super) async fn pass_on(exchange: &mut Exchange, pass: &ProxyPass, group: &Arc<Group>) -> Ending {
    match ask(exchange, pass, group, Purpose::Pass).await {
        Ok(incoming) => deliver(exchange, group, incoming),
        Err(fault) => Ending::Fail(fault),
    }
}

/// Sends a request to an upstream and waits for the head of its answer.
async fn ask(
    exchange: &mut Exchange,
    pass: &ProxyPass,
    group: &Arc<Group>,
    purpose: Purpose<'_>,
) -> Result<Incoming, Fault> {
    let location = Arc::clone(&exchange.location);
    let streams = !*location.proxy.request_buffering && request::may_stream(exchange);
    let client = Rc::clone(&exchange.client);
    match streams {
        true => exchange.body.look_ahead(&client, BodyLimits::of(&location.core))?,
        false if exchange.body.is_absent() => {}
        false => request_body::collect(exchange).await?,
    }
    let mut outgoing = request::build(exchange, pass, purpose).await?;
    outgoing.affinity = affinity::of(exchange, group);
    let event_loop = Rc::clone(&exchange.event_loop);
    let (hints, arriving) = hints::channel(exchange);
    outgoing.hints = hints;
    let body = streams.then(|| ClientBody { client: &client, body: &mut exchange.body });
    // As nginx: an answer that is to be kept is worth fetching without its client.
    let watches = !streams && !*location.proxy.ignore_client_abort && !store_file::is_wanted(&location);
    let whom = Whom {
        connection: client.serial,
        client: &client.remote.text,
        server: &exchange.server,
        request_line: exchange.head.request_line(),
        subrequest: exchange.part.is_some().then_some(&exchange.uri),
        fields: &exchange.head.fields,
        upstream: None,
    };
    let facts = &mut exchange.upstream;
    let fetch = pin!(transport::fetch(&event_loop, &location, group, &mut outgoing, body, whom, facts));
    tokio::select! {
        biased;
        incoming = arriving.meanwhile(&client, fetch) => incoming?,
        () = client.closed(), if watches => Err(client_left()),
    }
}

/// Whether one of the texts is neither empty nor `0`.
fn any_true(exchange: &Exchange, templates: &[Template]) -> bool {
    templates.iter().any(|template| {
        let value = template.expand(exchange);
        !value.is_empty() && value != b"0"
    })
}

/// The client went away while an upstream was being asked: 499.
fn client_left() -> Fault {
    Fault::new(Side::Client, Kind::Connection, "client prematurely closed connection")
}

/// Has `error_page` answer instead, where it has a page for the status (`proxy_intercept_errors`).
fn intercept(exchange: &mut Exchange, head: &ResponseHead) -> Option<Ending> {
    let status = head.status;
    let intercepts =
        *exchange.location.proxy.intercept_errors && status >= 300 && fault::has_error_page(exchange, status);
    if !intercepts {
        return None;
    }
    if status == 401 {
        // As nginx: without it the client could not do what the page asks for.
        for challenge in head.fields.all("WWW-Authenticate") {
            exchange.kept.fields.push(b"WWW-Authenticate", challenge);
        }
    }
    Some(Ending::Fail(Fault::status_only(status)))
}

/// Turns an upstream's answer into the client's.
fn deliver(exchange: &mut Exchange, group: &Arc<Group>, incoming: Incoming) -> Ending {
    let Incoming { head, mut body, upgraded, buffering, .. } = incoming;
    affinity::bind(exchange, group, Some(&mut body));
    limit_rate::obey(exchange, &head);
    if let Some(ending) = intercept(exchange, &head) {
        body.finish(&mut exchange.upstream);
        return ending;
    }
    let location = Arc::clone(&exchange.location);
    if let Some(ending) = accel_redirect::follow(exchange, &head, &location.proxy.ignore_headers) {
        body.finish(&mut exchange.upstream);
        return ending;
    }
    if head.version == Version::V0_9 {
        // As nginx: an answer without a head stays one, and only the end of the connection tells where it ends.
        exchange.head.version = Version::V0_9;
        exchange.keepalive = false;
    }
    let mut response = response::to_client(exchange, &head);
    if response.content_length.is_none() {
        response.content_length = body.length();
    }
    response.body = match upgraded {
        Some(upgraded) => Body::Tunnel(upgraded),
        None if buffering.unwrap_or(*location.proxy.buffering) => buffered(exchange, &head, body),
        // As nginx: what is passed on at once is not kept.
        None => {
            body.limit_pieces(*location.proxy.buffer_size);
            Body::Stream { source: Source::Upstream(body), window: None }
        }
    };
    Ending::Answer(Box::new(response))
}

/// Takes a body from the upstream sooner than a slow client takes it (`proxy_buffering on`).
fn buffered(exchange: &mut Exchange, head: &ResponseHead, mut body: Box<UpstreamBody>) -> Body {
    let source = if store_file::may_keep(exchange, head) {
        body.limit_rate(rate::from_upstream(exchange));
        Source::Fill(Box::new(store_file::start(exchange, head, body)))
    } else if let Some(whole) = body.take_whole() {
        // Most answers are small and come along with their head: nothing is left to be read ahead.
        body.finish(&mut exchange.upstream);
        return Body::Memory(whole);
    } else {
        body.limit_rate(rate::from_upstream(exchange));
        Source::Ahead(Box::new(ReadAhead::new(body, &exchange.location)))
    };
    Body::Stream { source, window: None }
}
