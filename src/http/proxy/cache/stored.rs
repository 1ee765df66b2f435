//! The answer that a stored entry makes.
//!
//! Most heads come out the same for every client of a location: those are translated once and shared.

use std::sync::Arc;

use bytes::Bytes;
use http1::{Method, ResponseHead};

use super::zone::Entry;
use crate::http::proxy::response;
use crate::http::{
    Body, Exchange, Response,
    response::{Author, LastModified, Ranges, SharedFields},
};

/// An entry's head as the clients of one location get it.
pub struct Cooked {
    status: u16,
    reason: Option<Bytes>,
    content_type: Option<Bytes>,
    content_length: Option<u64>,
    last_modified: Option<LastModified>,
    ranges: Ranges,
    fields: Arc<SharedFields>,
}

/// Makes the answer of an entry, its body included where that is stored whole.
pub fn answer(exchange: &Exchange, entry: &Entry) -> Response {
    let mut response = head(exchange, entry);
    if !keeps_length(exchange) {
        response.content_length = Some(entry.body_len());
    }
    response.body = entry.body();
    response
}

/// Whether the length is what the upstream said: the answer to a HEAD that was passed on as it was has no body of that length.
pub fn keeps_length(exchange: &Exchange) -> bool {
    exchange.method == Method::Head && !*exchange.location.cache.convert_head
}

/// Makes the answer of an entry without its body.
pub fn head(exchange: &Exchange, entry: &Entry) -> Response {
    if response::depends_on_request(&exchange.location, &entry.head) {
        return allow_ranges(response::to_client(exchange, &entry.head));
    }
    let location = exchange.location.id;
    let (made_for, cooked) =
        entry.cooked.get_or_init(|| (location, Cooked::new(response::to_client(exchange, &entry.head))));
    if *made_for == location {
        return cooked.serve();
    }
    allow_ranges(response::to_client(exchange, &entry.head))
}

/// Makes the answer for the one who asked for what is stored otherwise than it came.
pub fn head_as_it_came(exchange: &Exchange, head: &ResponseHead) -> Response {
    allow_ranges(response::to_client(exchange, head))
}

/// As nginx: what is stored can be had in any ranges, where the upstream allowed ranges at all.
fn allow_ranges(mut response: Response) -> Response {
    if response.ranges == Ranges::Single {
        response.ranges = Ranges::Allowed;
    }
    response
}

impl Cooked {
    fn new(response: Response) -> Self {
        let response = allow_ranges(response);
        let mut lines = Vec::new();
        http1::write_fields(&mut lines, &response.fields);
        Self {
            status: response.status,
            reason: response.reason,
            content_type: response.content_type,
            content_length: response.content_length,
            last_modified: response.last_modified,
            ranges: response.ranges,
            fields: Arc::new(SharedFields { fields: response.fields, lines, ..SharedFields::default() }),
        }
    }

    fn serve(&self) -> Response {
        let mut response = Response::new(self.status);
        response.author = Author::Upstream;
        response.reason.clone_from(&self.reason);
        response.content_type.clone_from(&self.content_type);
        response.content_length = self.content_length;
        response.last_modified = self.last_modified;
        response.ranges = self.ranges;
        response.shared = Some(Arc::clone(&self.fields));
        response.body = Body::Empty;
        response
    }
}
