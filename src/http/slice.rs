//! Answers that are put together from slices (`slice`, `$slice_range`).
//!
//! Who uses `$slice_range` asks for one slice. The answer to it becomes the head of the whole, and its body the first part of
//! one that asks for the next slice when the client has taken all before it. As nginx: what is not the slice that was asked
//! for ends the connection.

mod body;
pub mod content_range;

use std::borrow::Cow;

use http1::Fields;

pub use self::body::Slices;
pub use self::content_range::ContentRange;
use super::{
    Body, Exchange, Fault, Response,
    fault::{Kind, Side},
    filter,
    response::{Ranges, Source},
};

/// Which slice a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slicing {
    /// None, so far.
    Unasked,
    /// The one that begins at this byte, and has at most so many.
    Asked {
        /// First byte.
        start: u64,
        /// Bytes of a slice.
        size: u64,
    },
    /// None any more: there is an answer.
    Answered,
}

/// Returns the slice that a request asks for, as bytes from and to. As nginx: whoever looks makes it one that asks.
pub fn range(exchange: &Exchange) -> Option<(u64, u64)> {
    let size = *exchange.location.slice.size;
    if exchange.slicing.get() == Slicing::Unasked && exchange.is_main() && size > 0 {
        let start = first_byte(&exchange.head.fields) / size * size;
        exchange.slicing.set(Slicing::Asked { start, size });
    }
    match exchange.slicing.get() {
        Slicing::Asked { start, size } => Some((start, start.saturating_add(size - 1))),
        Slicing::Unasked | Slicing::Answered => None,
    }
}

/// Makes the whole of an answer to the client that is a slice of it.
///
/// # Errors
/// It is not the slice that was asked for.
pub fn complete(exchange: &Exchange, response: &mut Response) -> Result<(), Fault> {
    let Slicing::Asked { start, size } = exchange.slicing.get() else {
        exchange.slicing.set(Slicing::Answered);
        return Ok(());
    };
    if response.status != 206 {
        exchange.slicing.set(Slicing::Answered);
        return Ok(());
    }
    let slice = check(response, start, size, Extent::Exact)?;
    let etag = response.field("ETag").map(<[u8]>::to_vec);
    make_whole(response, slice.complete_length);
    let first = std::mem::replace(&mut response.body, Body::Empty);
    let slices = Slices::new(first, &slice, size, etag);
    response.body = Body::Stream { source: Source::Slices(Box::new(slices)), window: None };
    Ok(())
}

/// Makes the head of a part that of a whole.
pub fn make_whole(response: &mut Response, complete_length: u64) {
    response.status = 200;
    response.reason = None;
    response.content_length = Some(complete_length);
    filter::remove_field(response, "Content-Range");
    filter::remove_field(response, "Accept-Ranges");
    response.ranges = Ranges::Single;
}

/// How much of what was asked for an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All of it.
    Exact,
    /// Its beginning: the rest is asked for again (RFC 9110, 15.3.7: a server may send less than was asked for).
    Beginning,
}

/// Returns where an answer lies in the whole, if it is the slice that was asked for.
fn check(response: &Response, start: u64, size: u64, extent: Extent) -> Result<ContentRange, Fault> {
    let Some(slice) = response.field("Content-Range").and_then(content_range::parse) else {
        return Err(mismatch("invalid range in slice response"));
    };
    let Some(complete_length) = slice.complete_length else {
        return Err(mismatch("no complete length in slice response"));
    };
    let end = start.saturating_add(size).min(complete_length);
    let ends_well = match extent {
        Extent::Exact => slice.end == end,
        Extent::Beginning => slice.end <= end,
    };
    if slice.start != start || !ends_well {
        let (from, to) = (slice.start, slice.end);
        return Err(mismatch(format!("unexpected range in slice response: {from}-{to}")));
    }
    Ok(ContentRange { start, end: slice.end, complete_length })
}

fn mismatch(detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault {
        during: "reading response header from upstream",
        ..Fault::new(Side::Upstream, Kind::InvalidHeader, detail)
    }
}

/// Returns the byte that a client's Range begins with. As nginx: several ranges, a suffix, and what depends on If-Range, are
/// looked for from the beginning.
fn first_byte(request: &Fields) -> u64 {
    let range = request.get("Range").filter(|_| !request.contains("If-Range"));
    let Some((unit, set)) = range.and_then(|range| range.split_at_checked(b"bytes=".len())) else { return 0 };
    if !unit.eq_ignore_ascii_case(b"bytes=") || set.contains(&b',') {
        return 0;
    }
    let (first, _) = content_range::number(content_range::skip_spaces(set)).unwrap_or((0, set));
    first
}
