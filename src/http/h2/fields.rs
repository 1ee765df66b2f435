//! Heads of answers as h2 takes them: names in lower case, and none that is about a connection. Pure.

use std::{borrow::Cow, cell::RefCell, time::UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http1::Fields;

use crate::{
    clock,
    http::{Exchange, Response, client::Interim, fault, response},
};

/// Room for the fields that we add ourselves: most answers have fewer.
const OWN_FIELDS: usize = 6;

/// Makes the head of an answer; none where its status ends no request.
pub(super) fn head(exchange: &Exchange, answer: &Response) -> Option<http::Response<()>> {
    let mut head = http::Response::new(());
    *head.status_mut() =
        StatusCode::from_u16(answer.status).ok().filter(|status| !status.is_informational())?;
    let shared = answer.shared.as_ref().map(|shared| shared.over_http2.get_or_init(|| pairs(&shared.fields)));
    let count = shared.map_or(0, |shared| shared.len()) + answer.fields.len() + OWN_FIELDS;
    *head.headers_mut() = HeaderMap::with_capacity(count);
    let fields = head.headers_mut();
    if !response::has_server(exchange, answer) {
        let product = match fault::product(exchange) {
            Cow::Borrowed(text) => Some(HeaderValue::from_static(text)),
            Cow::Owned(text) => HeaderValue::try_from(text).ok(),
        };
        product.into_iter().filter(|product| !product.is_empty()).for_each(|product| {
            fields.append(header::SERVER, product);
        });
    }
    if !response::has_date(exchange, answer) {
        fields.append(header::DATE, date());
    }
    response::each_slot(exchange, answer, |name, value| push(fields, name, value));
    if answer.varies_by_encoding {
        fields.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    for (name, value) in shared.into_iter().flatten() {
        fields.append(name, value.clone());
    }
    for (name, value) in answer.fields.iter() {
        push(fields, name, value);
    }
    Some(head)
}

/// Makes an interim answer.
pub(super) fn interim(interim: &Interim) -> Option<http::Response<()>> {
    let mut head = http::Response::new(());
    *head.status_mut() = StatusCode::from_u16(interim.status).ok()?;
    *head.headers_mut() = map(&interim.fields);
    Some(head)
}

/// Makes a list of fields.
pub(super) fn map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields.iter() {
        push(&mut map, name, value);
    }
    map
}

/// Lists the fields of a head, for the log.
pub(super) fn list(head: &http::Response<()>) -> Fields {
    of(head.headers())
}

/// Lists fields.
pub(super) fn of(map: &HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

/// Returns the bytes of a head before they are compressed: what is logged, since h2 does not tell how many went out.
pub(super) fn length(head: &http::Response<()>) -> u64 {
    let of_field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let fields: usize = head.headers().iter().map(of_field).sum();
    (FRAME_HEAD_BYTES + ":status".len() + 3 + fields) as u64
}

/// Bytes of each frame before its payload.
pub(super) const FRAME_HEAD_BYTES: usize = 9;

/// Appends a field, if HTTP/2 can have it.
fn push(fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let Some((name, value)) = pair(name, value) {
        fields.append(name, value);
    }
}

/// Makes a list of fields that HTTP/2 can have.
fn pairs(fields: &Fields) -> Box<[(HeaderName, HeaderValue)]> {
    fields.iter().filter_map(|(name, value)| pair(name, value)).collect()
}

/// Makes a field that HTTP/2 can have. As nginx: what is about the connection is left out.
fn pair(name: &[u8], value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name).ok().filter(|name| !is_of_connection(name))?;
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

fn is_of_connection(name: &HeaderName) -> bool {
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn date() -> HeaderValue {
    thread_local! {
        static TEXT: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let now = clock::now();
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    TEXT.with_borrow_mut(|(of, text)| {
        if *of != seconds {
            *of = seconds;
            *text =
                HeaderValue::try_from(httpdate::fmt_http_date(now)).expect("a date has no odd characters");
        }
        text.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_a_connection_stays_out() {
        let fields: Fields = [
            ("Content-Type", "text/plain"),
            ("Connection", "close"),
            ("Keep-Alive", "timeout=5"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Proxy-Connection", "close"),
            ("X-Two", "1"),
            ("x-two", "2"),
            ("bad name", "x"),
            ("X-Bad", "a\u{1}"),
        ]
        .into_iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
        let map = map(&fields);
        let found: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(found, [("content-type", &b"text/plain"[..]), ("x-two", b"1"), ("x-two", b"2")]);
    }

    #[test]
    fn the_length_of_a_head_is_that_of_its_text() {
        let mut head = http::Response::new(());
        head.headers_mut().append("a", HeaderValue::from_static("bc"));
        assert_eq!(length(&head), 9 + 7 + 3 + 3);
    }
}
