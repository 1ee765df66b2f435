//! `ssi`: carries out the commands in a page while it is sent.
//!
//! Which pages, and which of their fields change, are nginx's rules. `scanner.rs` finds the commands, `document.rs` says
//! what they mean, `expressions.rs` keeps what they match with, `body.rs` puts the page together.

mod body;
mod commands;
mod document;
mod expressions;
mod scanner;
mod text;

pub use self::{body::Assembling, document::Page, expressions::Expressions};
use super::{lose_length, remove_field, weaken_etag};
use crate::http::{Body, Exchange, Response, response::Source};

/// Says whether an answer is a page whose commands are carried out.
pub(super) fn is_page(exchange: &Exchange, response: &Response) -> bool {
    let conf = &exchange.location.ssi;
    *conf.enable
        && response.content_length != Some(0)
        && !matches!(response.body, Body::Tunnel(_))
        && conf.types.contains(response.content_type.as_deref())
}

/// Has the commands of an answer carried out, where the configuration wants it.
pub(super) fn assemble(exchange: &Exchange, response: &mut Response) {
    let conf = &exchange.location.ssi;
    if !is_page(exchange, response) {
        return;
    }
    if exchange.is_main() {
        lose_length(response);
        if *conf.last_modified {
            weaken_etag(response);
        } else {
            response.last_modified = None;
            remove_field(response, "Last-Modified");
            remove_field(response, "ETag");
        }
    }
    let body = std::mem::replace(&mut response.body, Body::Empty);
    let source = Source::Assembling(Box::new(Assembling::new(body, response.content_type.clone(), conf)));
    response.body = Body::Stream { source, window: None };
}
