//! `proxy_pass`: the cache first, then an upstream.
//!
//! `cached.rs` decides whether a stored answer will do and whose turn it is to ask for a new one; `fill.rs`
//! holds what is arriving for all who wait, `storing.rs` puts it into the cache; `request.rs` and `response.rs` translate heads;
//! `transport/` talks to one peer after another; `hints.rs` passes on what comes before an answer; `ahead.rs` reads ahead of slow clients;
//! `accel_redirect.rs` lets another location answer where the upstream says so.

mod accel_redirect;
mod affinity;
pub mod ahead;
mod cache_fields;
mod cache_file;
mod cached;
pub mod fill;
mod hints;
mod invalidation;
mod limit_rate;
mod memory;
mod no_cache;
pub mod parts;
mod pump;
mod purge;
mod range_offset;
mod refreshing;
mod remembered;
pub mod request;
pub mod response;
mod sink;
mod store_file;
mod stored;
mod stored_head;
pub mod storing;
pub mod transport;
mod via;
pub mod zone;

use std::{pin::pin, rc::Rc, sync::Arc};

use cache::policy::Forward;
use config::{CacheZone, ProxyPass, Template};
use http1::{Method, ResponseHead, Version};

use self::{
    ahead::ReadAhead,
    request::Purpose,
    transport::{ClientBody, Incoming, UpstreamBody},
    zone::Zone,
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
    if purge::is_wanted(exchange) {
        return purge::answer(exchange, pass).await;
    }
    let mut ending = answer(exchange, pass).await;
    if let Ending::Answer(response) = &mut ending {
        cache_fields::add(exchange, response);
    }
    ending
}

async fn answer(exchange: &mut Exchange, pass: &ProxyPass) -> Ending {
    let group = match transport::target(exchange, pass).await {
        Ok(group) => group,
        Err(fault) => return Ending::Fail(fault),
    };
    match zone(exchange) {
        Ok(Some(zone)) if is_cacheable(exchange) => cached::serve(exchange, pass, &group, zone).await,
        Ok(Some(zone)) if invalidation::concerns(exchange) => {
            exchange.upstream.cache_status = None;
            exchange.upstream.cache.forward = Some(Forward::Method);
            let ending = invalidation::pass_on(exchange, pass, &group, Arc::clone(&zone)).await;
            purge::invalidate_groups(exchange, &zone).await;
            ending
        }
        Ok(zone) => {
            // A redirect may have led here from a location with a cache.
            exchange.upstream.cache_status = None;
            exchange.upstream.cache.forward =
                Some(zone.as_ref().map_or(Forward::Bypass, |_| Forward::Method));
            let ending = pass_on(exchange, pass, &group).await;
            if let Some(zone) = zone {
                purge::invalidate_groups(exchange, &zone).await;
            }
            ending
        }
        Err(fault) => Ending::Fail(fault),
    }
}

/// Finds the zone that the location names.
fn zone(exchange: &Exchange) -> Result<Option<Arc<Zone>>, Fault> {
    let CacheZone::Variable(template) = &*exchange.location.cache.zone else {
        return Ok(exchange.location_state().zone.clone());
    };
    let name = template.expand(exchange);
    let name = String::from_utf8_lossy(&name);
    if name.is_empty() || name == "off" {
        return Ok(None);
    }
    match exchange.event_loop.site.zone(&name) {
        Some(zone) => Ok(Some(Arc::clone(zone))),
        None => Err(Fault::new(Side::Server, Kind::System, format!("cache \"{name}\" not found"))),
    }
}

/// Whether answers to this method are looked up and stored (`proxy_cache_methods`).
fn is_cacheable(exchange: &Exchange) -> bool {
    match exchange.method {
        Method::Get | Method::Head => true,
        // RFC 9110, 9.3.3: no answer to a POST serves another.
        Method::Post => exchange.location.cache.methods.post && !exchange.location.cache.follows_rfc(),
        _ => false,
    }
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
    let mut outgoing = request::build(exchange, pass, purpose)?;
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
