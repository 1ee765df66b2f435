//! A request's way through Larder, told in order.
//!
//! Each phase is a function over the exchange that either lets it go on or ends it. An ending that
//! is a fault may start the way anew: `error_page` redirects inside.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use config::{Content, Found, LocationConf, LocationName};

use super::{
    Exchange, Fault, Response,
    exchange::{ErrorPage, PartOf},
    fault::{self, PageAction},
    files, filter, proxy,
    rewrite::{self, Path},
    slice,
};
use crate::error_log::Level;

/// How a phase ends a request.
pub enum Ending {
    /// With this answer.
    Answer(Box<Response>),
    /// With a fault, which `error_page` may still turn into something better.
    Fail(Fault),
    /// Not at all: the URI has changed and the phases start again.
    Restart,
    /// Not at all: the phases go on in a named location.
    Named(Arc<LocationConf>),
    /// Not at all: `rewrite` has changed the path too often.
    Cycle,
}

/// Where the phases begin.
enum Entry {
    /// At the server's own rules.
    Server,
    /// At a named location's rules.
    Named(Arc<LocationConf>),
    /// Where another request for the same has come before: with who answers.
    Content,
}

/// Finds the answer to a request; nothing means that the connection is closed without one.
pub async fn respond(exchange: &mut Exchange) -> Option<Box<Response>> {
    respond_from(exchange, Entry::Server).await
}

/// Finds the answer to a request that asks for another part of what was found before.
pub async fn respond_again(exchange: &mut Exchange) -> Option<Box<Response>> {
    respond_from(exchange, Entry::Content).await
}

async fn respond_from(exchange: &mut Exchange, mut entry: Entry) -> Option<Box<Response>> {
    loop {
        entry = match run(exchange, entry).await {
            Ending::Answer(mut response) => match judge(exchange, &mut response)? {
                None => return Some(finish(exchange, response)),
                Some(fault) => match fail(exchange, &fault) {
                    ControlFlow::Continue(entry) => entry,
                    ControlFlow::Break(response) => return response,
                },
            },
            Ending::Fail(fault) => match fail(exchange, &fault) {
                ControlFlow::Continue(entry) => entry,
                ControlFlow::Break(response) => return response,
            },
            Ending::Restart => Entry::Server,
            Ending::Named(location) => Entry::Named(location),
            Ending::Cycle => return Some(cycle(exchange, "processing")),
        };
        if take_turn(exchange).is_break() {
            return Some(match entry {
                Entry::Server | Entry::Content => cycle(exchange, "internally redirecting to"),
                Entry::Named(location) => named_cycle(exchange, &location),
            });
        }
    }
}

/// Makes the whole of a slice, and says what the request refuses. None ends the connection: what came is no slice.
fn judge(exchange: &mut Exchange, response: &mut Response) -> Option<Option<Fault>> {
    if !exchange.is_main() {
        return Some(None);
    }
    match slice::complete(exchange, response) {
        Ok(()) => Some(filter::refusal(exchange, response)),
        Err(fault) => {
            fault::log(exchange, &fault);
            exchange.sent.status = response.status;
            None
        }
    }
}

/// Finds where a fault leads: to an answer, to a connection that ends without one, or back into the phases.
fn fail(exchange: &mut Exchange, fault: &Fault) -> ControlFlow<Option<Box<Response>>, Entry> {
    fault::log(exchange, fault);
    let status = fault.status();
    if fault.closes_silently() {
        exchange.sent.status = status;
        return ControlFlow::Break(None);
    }
    if let Some(stub) = exchange.part.as_mut().and_then(|part| part.stub.take()) {
        let mut response = Response::new(200).with_memory(stub.content_type.unwrap_or_default(), stub.text);
        filter::apply_to_part(exchange, &mut response);
        return ControlFlow::Break(Some(Box::new(response)));
    }
    let response = match fault::error_page(exchange, status) {
        None => fault::plain(status, exchange),
        Some(PageAction::External(response)) => response,
        Some(PageAction::Redirect { uri, args }) => {
            exchange.redirect(uri, args);
            return ControlFlow::Continue(Entry::Server);
        }
        Some(PageAction::Named(location)) => return ControlFlow::Continue(Entry::Named(location)),
    };
    ControlFlow::Break(Some(finish(exchange, Box::new(response))))
}

/// Answers a request whose head was refused: no phase runs, but error pages, filters and log apply.
pub async fn refuse(exchange: &mut Exchange, fault: Fault) -> Option<Box<Response>> {
    exchange.keepalive = false;
    let status = fault.status();
    fault::log(exchange, &fault);
    if fault.closes_silently() {
        exchange.sent.status = status;
        return None;
    }
    match fault::error_page(exchange, status) {
        Some(PageAction::Redirect { uri, args }) => {
            exchange.redirect(uri, args);
            respond(exchange).await
        }
        Some(PageAction::External(response)) => Some(finish(exchange, Box::new(response))),
        Some(PageAction::Named(_)) | None => {
            let response = Box::new(fault::plain(status, exchange));
            Some(finish(exchange, response))
        }
    }
}

async fn run(exchange: &mut Exchange, entry: Entry) -> Ending {
    match before_content(exchange, entry).await {
        ControlFlow::Break(ending) => ending,
        ControlFlow::Continue(()) => content(exchange).await,
    }
}

async fn before_content(exchange: &mut Exchange, entry: Entry) -> ControlFlow<Ending> {
    match entry {
        Entry::Server => {
            server_rewrite(exchange).await?;
            find_location(exchange)?;
        }
        Entry::Named(location) => exchange.enter(location),
        Entry::Content => return ControlFlow::Continue(()),
    }
    while location_rewrite(exchange).await? == Path::Changed {
        if take_turn(exchange).is_break() {
            return ControlFlow::Break(Ending::Cycle);
        }
        find_location(exchange)?;
    }
    match exchange.location.try_files.clone() {
        Some(tried) => files::choose(exchange, &tried).await,
        None => ControlFlow::Continue(()),
    }
}

/// Counts a change of the path; there may be ten of a request, redirects inside included.
fn take_turn(exchange: &mut Exchange) -> ControlFlow<()> {
    match exchange.redirects_left.checked_sub(1) {
        None => ControlFlow::Break(()),
        Some(left) => {
            exchange.redirects_left = left;
            ControlFlow::Continue(())
        }
    }
}

/// Server rewrite: the steps of the server itself.
async fn server_rewrite(exchange: &mut Exchange) -> ControlFlow<Ending> {
    if exchange.server.defaults.steps.is_empty() {
        return ControlFlow::Continue(());
    }
    let defaults = Arc::clone(&exchange.server.defaults);
    exchange.location = Arc::clone(&defaults);
    // A location is looked for anyway.
    rewrite::run(exchange, &defaults).await.map_continue(|_| ())
}

/// Location: the longest prefix, the first regular expression; `internal`; the size of the body; the redirect
/// that adds a slash.
fn find_location(exchange: &mut Exchange) -> ControlFlow<Ending> {
    let server = Arc::clone(&exchange.server);
    let mut wants_slash = false;
    match server.locations.find(&exchange.uri) {
        Some(Found::Location { location, captures }) => {
            exchange.location = Arc::clone(location);
            if !captures.is_empty() {
                exchange.caught(captures);
            }
        }
        Some(Found::WantsSlash { location }) => {
            exchange.location = Arc::clone(location);
            wants_slash = true;
        }
        Some(Found::Unknown(gave_up)) => {
            exchange.location = Arc::clone(&server.defaults);
            return ControlFlow::Break(Ending::Fail(Fault::gave_up(&gave_up, "")));
        }
        None => exchange.location = Arc::clone(&server.defaults),
    }
    if exchange.location.internal && !exchange.internal {
        return ControlFlow::Break(Ending::Fail(Fault::status_only(404)));
    }
    body_size(exchange)?;
    match wants_slash {
        true => ControlFlow::Break(fault::add_slash(exchange)),
        false => ControlFlow::Continue(()),
    }
}

/// Rewrite: the steps of the location. Those of the server, where no location was found, have been taken before.
async fn location_rewrite(exchange: &mut Exchange) -> ControlFlow<Ending, Path> {
    let location = &exchange.location;
    if location.steps.is_empty() || Arc::ptr_eq(location, &exchange.server.defaults) {
        return ControlFlow::Continue(Path::Same);
    }
    let location = Arc::clone(location);
    rewrite::run(exchange, &location).await
}

/// Refuses a body whose announced length is over `client_max_body_size`.
fn body_size(exchange: &mut Exchange) -> ControlFlow<Ending> {
    let limit = *exchange.location.core.client_max_body_size;
    match exchange.body.refuse_over(limit) {
        Some(length) => ControlFlow::Break(Ending::Fail(Fault::body_too_large(length))),
        None => ControlFlow::Continue(()),
    }
}

/// Content: the one that answers.
async fn content(exchange: &mut Exchange) -> Ending {
    let location = Arc::clone(&exchange.location);
    let delay = *location.core.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match &location.content {
        Content::Static => files::serve(exchange).await,
        Content::Proxy(pass) => proxy::serve(exchange, pass).await,
    }
}

/// Filters: what every answer goes through, whoever made it.
fn finish(exchange: &mut Exchange, mut response: Box<Response>) -> Box<Response> {
    if let Some(status) = exchange.error_status {
        response.status = status;
        response.reason = None;
    }
    keep(exchange, &mut response);
    match exchange.part.as_ref().map(|part| part.of) {
        None => filter::apply(exchange, &mut response),
        Some(PartOf::Page) => filter::apply_to_part(exchange, &mut response),
        Some(PartOf::Answer) => {}
    }
    response
}

/// Puts into an answer what earlier steps want in it.
fn keep(exchange: &mut Exchange, response: &mut Response) {
    fault::locate(exchange, response);
    let mut kept = std::mem::take(&mut exchange.kept.fields);
    if kept.is_empty() {
        return;
    }
    if response.content_type.is_none() {
        response.content_type = kept.get("Content-Type").map(Bytes::copy_from_slice);
    }
    kept.remove("Content-Type");
    for (name, value) in response.fields.iter() {
        kept.push(name, value);
    }
    response.fields = kept;
}

/// Answers a request whose path changed too often.
fn cycle(exchange: &mut Exchange, during: &str) -> Box<Response> {
    let uri = String::from_utf8_lossy(&exchange.uri).into_owned();
    cycle_at(exchange, during, &uri)
}

/// Answers a request that was sent to locations with names too often.
fn named_cycle(exchange: &mut Exchange, location: &LocationConf) -> Box<Response> {
    let LocationName::Named(name) = &location.name else { return cycle(exchange, "processing") };
    cycle_at(exchange, "redirect to named location", &format!("@{name}"))
}

/// As nginx: without an error page.
fn cycle_at(exchange: &mut Exchange, during: &str, place: &str) -> Box<Response> {
    let what = format_args!("rewrite or internal redirection cycle while {during} \"{place}\"");
    fault::report(exchange, Level::Error, what);
    exchange.error_page = ErrorPage::Taken;
    exchange.error_status = Some(500);
    exchange.keepalive = false;
    let response = Box::new(fault::plain(500, exchange));
    finish(exchange, response)
}
