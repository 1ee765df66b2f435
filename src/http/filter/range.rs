//! Range and If-Range: 206 with one part or several, 416, and the offer of Accept-Ranges.
//!
//! Which ranges are taken, refused or ignored is nginx's rule, and so is the framing of several
//! parts. A body that is still arriving is cut to one range; several can be had of what another request fetches, in the order of
//! their places. Otherwise it is sent whole.

mod arriving;

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http1::{Fields, Method, RequestHead, Version, date};

pub use self::arriving::ArrivingParts;
use self::arriving::Item;
use super::{conditional, remove_field, unshare};
use crate::http::{
    Body, Response,
    response::{FileSlice, LastModified, Piece, Ranges, Source},
};

/// What a request asks of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole, and parts cannot be had.
    Everything,
    /// The whole, where parts could be had too.
    Whole,
    /// These parts: one or more.
    Parts(Vec<Range<u64>>),
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// By whose rules ranges are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeRules {
    /// As nginx: tags of If-Range are compared byte for byte, a HEAD may have a range, and a number beyond any file's offset is none.
    Nginx,
    /// RFC 9110: a weak tag is like none (8.8.3.2), only a GET has ranges (14.2), and a last byte may be as large as it likes (14.1.2).
    Rfc9110,
}

/// Finds out which parts of an answer the request asks for.
pub(super) fn select(
    head: &RequestHead,
    max_ranges: Option<u64>,
    rules: RangeRules,
    response: &Response,
) -> Wanted {
    let most = match response.ranges {
        Ranges::Refused => return Wanted::Everything,
        Ranges::Single => max_ranges.map_or(1, |most| most.min(1)),
        Ranges::Allowed => max_ranges.unwrap_or(u64::MAX),
    };
    let Some(length) = response.content_length else { return Wanted::Everything };
    if most == 0 || response.status != 200 || head.version < Version::V1_0 {
        return Wanted::Everything;
    }
    let has_ranges = rules == RangeRules::Nginx || head.method != Method::Head;
    match head.fields.get("Range").and_then(strip_unit).filter(|_| has_ranges) {
        Some(set) if if_range_holds(&head.fields, rules, response) => match parse(set, length, most, rules) {
            Wanted::Parts(parts) if !can_be_cut(&response.body, &parts) => Wanted::Whole,
            wanted => wanted,
        },
        _ => Wanted::Whole,
    }
}

/// Whether the parts can be had. As nginx: a request that fetches gets one of what it fetches.
fn can_be_cut(body: &Body, parts: &[Range<u64>]) -> bool {
    let Body::Stream { source, .. } = body else { return true };
    let in_order = parts.windows(2).all(|pair| pair[0].end <= pair[1].start);
    parts.len() == 1 || (in_order && matches!(source, Source::Fill(reader) if reader.follows()))
}

/// Offers ranges of an answer.
pub(super) fn offer(response: &mut Response) {
    if response.field("Accept-Ranges") != Some(b"bytes") {
        remove_field(response, "Accept-Ranges");
        response.fields.push(b"Accept-Ranges", b"bytes");
    }
}

/// Cuts an answer to the parts that [`select`] found.
pub(super) fn cut(mut response: Response, parts: &[Range<u64>]) -> Response {
    let length = response.content_length.expect("parts are found only where the length is known");
    response.status = 206;
    response.reason = None;
    remove_field(&mut response, "Accept-Ranges");
    remove_field(&mut response, "Content-Range");
    match parts {
        [part] => single(response, part, length),
        parts => several(response, parts, length),
    }
}

fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(6)?;
    (!set.is_empty() && unit.eq_ignore_ascii_case(b"bytes=")).then_some(set)
}

/// If-Range: an entity tag must be the same byte for byte, a date the same second.
fn if_range_holds(request: &Fields, rules: RangeRules, response: &Response) -> bool {
    let Some(condition) = request.get("If-Range") else { return true };
    if condition.len() >= 2 && condition.ends_with(b"\"") {
        let is_usable = rules == RangeRules::Nginx || !condition.starts_with(b"W/");
        return is_usable && response.field("ETag") == Some(condition);
    }
    let slot = response.last_modified.and_then(LastModified::time).map(conditional::seconds);
    let modified = slot.or_else(|| response.field("Last-Modified").and_then(date::parse));
    modified.is_some() && modified == date::parse(condition)
}

/// Reads the ranges after `bytes=`.
///
/// As nginx: one range that cannot be read spoils all; ranges beyond the end are left out; more
/// ranges than allowed, or more bytes than there are, mean the whole.
fn parse(set: &[u8], length: u64, most: u64, rules: RangeRules) -> Wanted {
    let mut parts = Vec::new();
    let mut size: u64 = 0;
    for item in set.split(|&byte| byte == b',') {
        let Some(part) = parse_one(item, length, rules) else { return Wanted::Unsatisfiable };
        if part.start < part.end {
            let Some(sum) = size.checked_add(part.end - part.start) else { return Wanted::Unsatisfiable };
            size = sum;
            if parts.len() as u64 == most {
                return Wanted::Whole;
            }
            parts.push(part);
        } else if part.start == 0 {
            return Wanted::Whole;
        }
    }
    match (parts.is_empty(), size > length) {
        (true, _) => Wanted::Unsatisfiable,
        (false, true) => Wanted::Whole,
        (false, false) => Wanted::Parts(parts),
    }
}

fn parse_one(item: &[u8], length: u64, rules: RangeRules) -> Option<Range<u64>> {
    let dash = item.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (trim_spaces(&item[..dash]), trim_spaces(&item[dash + 1..]));
    if first.is_empty() {
        // As nginx: no space between the dash and the length of a suffix.
        if item.get(dash + 1) == Some(&b' ') {
            return None;
        }
        let start = length.saturating_sub(number(last, rules)?);
        return Some(start..length);
    }
    let start = number(first, rules)?;
    let end = if last.is_empty() { length } else { number(last, rules)?.saturating_add(1).min(length) };
    Some(start..end)
}

fn trim_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
    let end = text.iter().rposition(|&byte| byte != b' ').map_or(start, |last| last + 1);
    &text[start..end]
}

/// Reads digits. As nginx: a number beyond a file's largest offset cannot be read; elsewhere it is that offset.
fn number(digits: &[u8], rules: RangeRules) -> Option<u64> {
    const LARGEST: u64 = i64::MAX as u64;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse::<u64>().ok().filter(|number| *number <= LARGEST);
    number.or((rules == RangeRules::Rfc9110).then_some(LARGEST))
}

fn single(mut response: Response, part: &Range<u64>, length: u64) -> Response {
    let value = format!("bytes {}-{}/{length}", part.start, part.end - 1);
    response.fields.push(b"Content-Range", value.as_bytes());
    response.content_length = Some(part.end - part.start);
    response.body = narrow(response.body, part);
    response
}

fn narrow(body: Body, part: &Range<u64>) -> Body {
    match body {
        Body::Stream { mut source, .. } => {
            let window = source.narrow(part);
            Body::Stream { source, window }
        }
        Body::Memory(_) | Body::File(_) => match piece(&body, part) {
            Some(Piece::Memory(bytes)) => Body::Memory(bytes),
            Some(Piece::File(slice)) => Body::File(slice),
            None => Body::Empty,
        },
        // A HEAD request gets the head alone; pieces and tunnels are not made of a 200 before this filter.
        Body::Empty | Body::Pieces(_) | Body::Tunnel(_) => body,
    }
}

/// Takes a part out of a body that is whole.
fn piece(body: &Body, part: &Range<u64>) -> Option<Piece> {
    match body {
        Body::Memory(bytes) => {
            let place =
                |position: u64| usize::try_from(position).map_or(bytes.len(), |at| at.min(bytes.len()));
            Some(Piece::Memory(bytes.slice(place(part.start)..place(part.end))))
        }
        Body::File(slice) => Some(Piece::File(FileSlice {
            file: slice.file.clone(),
            offset: slice.offset + part.start,
            len: part.end - part.start,
        })),
        Body::Empty | Body::Pieces(_) | Body::Tunnel(_) | Body::Stream { .. } => None,
    }
}

/// Makes the answer `multipart/byteranges`: before each part a boundary with its type and place.
fn several(mut response: Response, parts: &[Range<u64>], length: u64) -> Response {
    let boundary = next_boundary();
    let mut opening = format!("\r\n--{boundary}\r\n").into_bytes();
    if let Some(content_type) = &response.content_type {
        http1::write_field(&mut opening, b"Content-Type", content_type);
    }
    let mut items = Vec::with_capacity(2 * parts.len() + 1);
    let mut total = 0;
    for part in parts {
        let mut head = opening.clone();
        let place = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        http1::write_field(&mut head, b"Content-Range", place.as_bytes());
        head.extend_from_slice(b"\r\n");
        total += head.len() as u64 + (part.end - part.start);
        items.push(Item::Text(Bytes::from(head)));
        items.push(Item::Part(part.clone()));
    }
    let closing = format!("\r\n--{boundary}--\r\n");
    total += closing.len() as u64;
    items.push(Item::Text(Bytes::from(closing)));
    response.content_type = Some(Bytes::from(format!("multipart/byteranges; boundary={boundary}")));
    response.content_length = Some(total);
    response.body = assembled(response.body, items);
    response
}

/// Puts texts and parts of a body together.
fn assembled(body: Body, items: Vec<Item>) -> Body {
    match body {
        Body::Empty => Body::Empty,
        Body::Stream { source: Source::Fill(reader), .. } => {
            let source = Source::Parts(Box::new(ArrivingParts::new(*reader, items)));
            Body::Stream { source, window: None }
        }
        body => Body::Pieces(
            items
                .into_iter()
                .filter_map(|item| match item {
                    Item::Text(text) => Some(Piece::Memory(text)),
                    Item::Part(part) => piece(&body, &part),
                })
                .collect(),
        ),
    }
}

/// Makes a boundary that no other answer of this process has: twenty digits, as nginx.
fn next_boundary() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{:020}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the fields of an answer that the page of a 416 keeps, with the length there is.
pub(super) fn kept_fields(mut response: Response) -> Fields {
    let length = response.content_length.unwrap_or(0);
    unshare(&mut response);
    for name in ["Accept-Ranges", "ETag", "Last-Modified", "Content-Range"] {
        response.fields.remove(name);
    }
    response.fields.push(b"Content-Range", format!("bytes */{length}").as_bytes());
    response.fields
}

#[cfg(test)]
mod tests;
