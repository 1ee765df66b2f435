//! What the head of an answer has, whatever the front that writes it.

use std::time::UNIX_EPOCH;

use http1::Method;

use super::{Author, LastModified, Response};
use crate::http::{Exchange, fault};

/// Whether an answer has no body after its head. It loses the fields that would tell of one, where its status rules one out.
pub fn ends_with_head(exchange: &Exchange, response: &mut Response) -> bool {
    // Below 100 an upstream may say anything, with a body behind it.
    if matches!(response.status, 100..=199 | 204) {
        response.content_type = None;
        response.content_length = None;
        response.last_modified = None;
        return true;
    }
    response.status == 304 || exchange.head.method == Method::Head
}

/// Whether the upstream's Server stands in the place of ours.
pub fn has_server(exchange: &Exchange, response: &Response) -> bool {
    is_passed_on(exchange, response, "Server")
}

/// Whether there is a Date already, or none is wanted.
pub fn has_date(exchange: &Exchange, response: &Response) -> bool {
    if is_passed_on(exchange, response, "Date") {
        return true;
    }
    // RFC 9110, 6.6.1: the origin's date goes out unchanged, and what has none gets one.
    let passes = response.author == Author::Upstream && exchange.location.cache.follows_rfc();
    let is_shared = || response.shared.as_ref().is_some_and(|shared| shared.fields.contains("Date"));
    passes && (response.fields.contains("Date") || is_shared())
}

/// Whether the upstream's own field stands in the place of ours (`proxy_pass_header`).
///
/// As nginx: what is passed on is not made up for where the upstream has none.
fn is_passed_on(exchange: &Exchange, response: &Response, name: &str) -> bool {
    let passed = || exchange.location.proxy.pass_header.iter();
    match response.author {
        Author::Us => false,
        Author::Upstream => passed().any(|passed| passed.eq_ignore_ascii_case(name)),
    }
}

/// Goes through the fields that have slots, in nginx's order.
pub fn each_slot(exchange: &Exchange, response: &Response, mut write: impl FnMut(&[u8], &[u8])) {
    if let Some(value) = &response.content_type {
        write(b"Content-Type", value);
    }
    if let Some(length) = response.content_length {
        write(b"Content-Length", Decimal::new(length).as_bytes());
    }
    if let Some(LastModified::Ours(time)) = response.last_modified {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        write(b"Last-Modified", http1::date::format(i64::try_from(seconds).unwrap_or(i64::MAX)).as_bytes());
    }
    if let Some(location) = &response.location {
        write(b"Location", &fault::absolute(exchange, location));
    }
}

/// A number as decimal text, without an allocation.
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// Writes a number.
    pub fn new(mut number: u64) -> Self {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
            if number == 0 {
                return Self { digits, start };
            }
        }
    }

    /// Returns the text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn numbers_are_written_as_decimals() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
