//! What every answer goes through, whoever made it, in the order written in [`apply`].
//!
//! As nginx: conditions are judged first, so that a 304 is what the fields are added to; ranges come last, so that
//! fields are added by the rules of the 200 that a 206 or 416 began as, and that nothing compressed is cut.

mod conditional;
mod expires;
mod gunzip;
mod gzip;
mod headers;
mod range;
mod ssi;
mod trailers;

pub use gunzip::Decompressing;
pub use gzip::Compressing;
pub use range::ArrivingParts;
pub use ssi::{Assembling, Expressions, Page};
pub use trailers::trailers;

use std::{ops::Range, time::SystemTime};

use self::{
    conditional::Verdict,
    range::{RangeRules, Wanted},
};
use super::{
    Exchange, Fault, Response, fault,
    response::{Author, LastModified, Ranges},
    slice::Slicing,
};
use crate::clock;

/// Takes an answer through all filters.
pub fn apply(exchange: &Exchange, response: &mut Response) {
    let now = clock::now();
    let core = &exchange.location.core;
    match judge(exchange, response, now) {
        Verdict::Sent => {}
        Verdict::NotModified => *response = conditional::not_modified(taken(response)),
        Verdict::Failed => {
            exchange.slicing.set(Slicing::Answered);
            *response = fault::plain(412, exchange);
        }
    }
    headers::add(exchange, response, now);
    // As nginx: of our own answers only these tell when the content changed; an upstream's field is passed on.
    let tells_change = matches!(response.status, 200 | 206 | 304);
    response.last_modified.take_if(|modified| !tells_change && matches!(modified, LastModified::Ours(_)));
    gunzip::decompress(exchange, response, now);
    ssi::assemble(exchange, response);
    gzip::compress(exchange, response, now);
    match range::select(&exchange.head, *core.max_ranges, range_rules(exchange, response), response) {
        Wanted::Everything => {}
        Wanted::Whole => range::offer(response),
        Wanted::Parts(parts) => *response = range::cut(taken(response), &parts),
        // As nginx: the page of a 416 keeps the fields that it had as a 200, and gets those of a 416 too.
        Wanted::Unsatisfiable => {
            let fields = range::kept_fields(taken(response));
            exchange.slicing.set(Slicing::Answered);
            *response = Response { fields, ..fault::plain(416, exchange) };
            headers::add(exchange, response, now);
        }
    }
    trailers::make_room(exchange, response);
}

/// Returns the range that a request asks of an answer, the whole where it asks for none; none where there is no such range.
pub fn wanted_range(exchange: &Exchange, response: &Response) -> Option<Range<u64>> {
    match range::select(
        &exchange.head,
        *exchange.location.core.max_ranges,
        range_rules(exchange, response),
        response,
    ) {
        Wanted::Unsatisfiable => None,
        Wanted::Parts(parts) => parts.into_iter().next(),
        Wanted::Everything | Wanted::Whole => {
            Some(0..response.content_length?).filter(|whole| !whole.is_empty())
        }
    }
}

/// Judges the conditions of a request, by nginx's rules or by those of a cache after RFC 9111.
fn judge(exchange: &Exchange, response: &Response, now: SystemTime) -> Verdict {
    let rules = match follows_rfc(exchange, response) {
        true => conditional::Rules::Rfc9110 { now: conditional::seconds(now) },
        false => conditional::Rules::Nginx,
    };
    conditional::judge(&exchange.head.fields, *exchange.location.core.if_modified_since, rules, response)
}

fn range_rules(exchange: &Exchange, response: &Response) -> RangeRules {
    if follows_rfc(exchange, response) { RangeRules::Rfc9110 } else { RangeRules::Nginx }
}

/// Whether a cache after RFC 9111 answers.
fn follows_rfc(exchange: &Exchange, response: &Response) -> bool {
    response.author == Author::Upstream && exchange.location.cache.follows_rfc()
}

/// Takes an answer that becomes part of a page through the filters of bodies: its head is sent to nobody.
pub fn apply_to_part(exchange: &Exchange, response: &mut Response) {
    gunzip::decompress(exchange, response, clock::now());
    ssi::assemble(exchange, response);
}

/// Takes an answer out of its place, for a filter that makes another of it.
fn taken(response: &mut Response) -> Response {
    std::mem::replace(response, Response::new(response.status))
}

/// Says why an answer is none, or with which status a request refuses it, where the configuration has a page for that
/// status.
///
/// Without such a page [`apply`] makes the default one.
pub fn refusal(exchange: &Exchange, response: &Response) -> Option<Fault> {
    if let Some(fault) = &response.refused {
        return Some(Fault::clone(fault));
    }
    let core = &exchange.location.core;
    if core.error_page.is_empty() || exchange.error_status.is_some() || !exchange.is_main() {
        return None;
    }
    let status = match judge(exchange, response, clock::now()) {
        Verdict::Failed => 412,
        Verdict::NotModified => return None,
        Verdict::Sent => {
            match range::select(&exchange.head, *core.max_ranges, range_rules(exchange, response), response) {
                Wanted::Unsatisfiable if makes_another_body(exchange, response) => return None,
                Wanted::Unsatisfiable => 416,
                Wanted::Everything | Wanted::Whole | Wanted::Parts(_) => return None,
            }
        }
    };
    fault::has_error_page(exchange, status).then(|| Fault::status_only(status))
}

/// Says whether the body that is sent is not the one that an answer has now, so that it has no ranges.
fn makes_another_body(exchange: &Exchange, response: &Response) -> bool {
    let now = clock::now();
    ssi::is_page(exchange, response)
        || gzip::is_compressed(exchange, response, now)
        || gunzip::is_decompressed(exchange, response, now)
}

/// Makes the fields of an answer its own where it shares them, for a filter that changes one.
fn unshare(response: &mut Response) {
    let Some(shared) = response.shared.take() else { return };
    let mut fields = shared.fields.clone();
    for (name, value) in response.fields.iter() {
        fields.push(name, value);
    }
    response.fields = fields;
}

/// Takes away what says how long a body is and that it has parts, for a filter that makes another body of it.
fn lose_length(response: &mut Response) {
    response.content_length = None;
    response.ranges = Ranges::Refused;
    remove_field(response, "Accept-Ranges");
}

/// Makes an entity tag a weak one; what is none is dropped.
fn weaken_etag(response: &mut Response) {
    let Some(etag) = response.field("ETag") else { return };
    if etag.starts_with(b"\"") {
        let weak = [b"W/", etag].concat();
        set_field(response, "ETag", &weak);
    } else if !etag.starts_with(b"W/") {
        remove_field(response, "ETag");
    }
}

/// Drops all fields of that name.
pub(super) fn remove_field(response: &mut Response, name: &str) {
    if response.field(name).is_some() {
        unshare(response);
        response.fields.remove(name);
    }
}

/// Puts a field in the place of all others of its name.
fn set_field(response: &mut Response, name: &str, value: &[u8]) {
    if response.shared.as_ref().is_some_and(|shared| shared.fields.contains(name)) {
        unshare(response);
    }
    response.fields.set(name, value);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http1::Fields;

    use super::*;
    use crate::http::response::SharedFields;

    fn shared_etag() -> Response {
        let mut fields = Fields::new();
        fields.push(b"ETag", b"\"old\"");
        fields.push(b"X-A", b"1");
        let mut response = Response::new(200);
        response.shared = Some(Arc::new(SharedFields { fields, ..SharedFields::default() }));
        response.fields.push(b"X-B", b"2");
        response
    }

    #[test]
    fn changing_a_shared_field_keeps_the_order() {
        let mut response = shared_etag();
        set_field(&mut response, "etag", b"\"new\"");
        let fields: Vec<_> = response.fields.iter().collect();
        assert_eq!(fields, [(&b"ETag"[..], &b"\"new\""[..]), (b"X-A", b"1"), (b"X-B", b"2")]);
        assert!(response.shared.is_none());
    }

    #[test]
    fn a_field_of_another_name_leaves_the_shared_ones_alone() {
        let mut response = shared_etag();
        set_field(&mut response, "Expires", b"0");
        remove_field(&mut response, "Content-Encoding");
        assert!(response.shared.is_some());
        assert_eq!(response.field("Expires"), Some(&b"0"[..]));
    }
}
