//! `expires` and `add_header`.
//!
//! Which statuses get the fields, and which fields replace one that is there, are nginx's rules.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use config::{Expires, Variable, VariableSource};

use super::{conditional::seconds, expires, remove_field, set_field};
use crate::http::{Exchange, Response, response::LastModified};

/// Adds the fields that the location in force asks for.
pub(super) fn add(exchange: &Exchange, response: &mut Response, now: SystemTime) {
    let conf = &exchange.location.headers;
    if conf.add_header.is_empty() && *conf.expires == Expires::Off {
        return;
    }
    let fitting = is_fitting(response.status);
    if fitting {
        let rule = match &*conf.expires {
            Expires::Variable(template) => {
                let text = template.expand(&Answered { exchange, response });
                Cow::Owned(read_rule(&text))
            }
            rule => Cow::Borrowed(rule),
        };
        expire(response, &rule, now);
    }
    for rule in conf.add_header.iter().filter(|rule| fitting || rule.always) {
        let value = rule.value.expand(&Answered { exchange, response });
        add_one(response, &rule.name, &value);
    }
}

/// Reads what variables made of `expires`; what the directive would refuse adds nothing.
fn read_rule(text: &[u8]) -> Expires {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    match Expires::parse(text) {
        Some(Expires::Daily(time)) if time > DAY => Expires::Off,
        Some(rule) => rule,
        None => Expires::Off,
    }
}

/// Statuses that get fields without `always`.
pub(super) fn is_fitting(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

fn expire(response: &mut Response, rule: &Expires, now: SystemTime) {
    let modified = response.last_modified.and_then(LastModified::time);
    if let Some(lifetime) = expires::lifetime(rule, modified, now) {
        set_field(response, "Expires", lifetime.expires.as_bytes());
        set_field(response, "Cache-Control", lifetime.cache_control.as_bytes());
    }
}

/// Adds a field; ETag and Last-Modified take the place of the one that is there, also with an empty value.
fn add_one(response: &mut Response, name: &[u8], value: &[u8]) {
    if name.eq_ignore_ascii_case(b"Last-Modified") {
        response.last_modified = None;
        replace(response, "Last-Modified", value);
    } else if name.eq_ignore_ascii_case(b"ETag") {
        replace(response, "ETag", value);
    } else if !value.is_empty() {
        response.fields.push(name, value);
    }
}

fn replace(response: &mut Response, name: &str, value: &[u8]) {
    if value.is_empty() {
        remove_field(response, name);
    } else {
        set_field(response, name, value);
    }
}

/// A request together with the answer being made, for `$sent_http_*` and `$status` in values.
struct Answered<'a> {
    exchange: &'a Exchange,
    response: &'a Response,
}

impl VariableSource for Answered<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        match variable {
            Variable::Status => {
                out.extend_from_slice(format!("{:03}", self.response.status).as_bytes());
                true
            }
            Variable::SentHttp(name) => write_sent(self.response, name, out),
            other => self.exchange.write_within(self, other, out),
        }
    }

    fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
        self.exchange.write_capture(number, out)
    }
}

/// Appends a field of an answer, slots included.
fn write_sent(response: &Response, name: &str, out: &mut Vec<u8>) -> bool {
    let slot = match name {
        "content-type" => response.content_type.as_ref().map(|value| value.to_vec()),
        "content-length" => response.content_length.map(|length| length.to_string().into_bytes()),
        "last-modified" => response.last_modified.and_then(own_date),
        "location" => response.location.clone(),
        _ => None,
    };
    if let Some(value) = slot {
        out.extend_from_slice(&value);
        return true;
    }
    let shared = response.shared.as_ref().map(|shared| &shared.fields);
    let mut values = shared.into_iter().chain([&response.fields]).flat_map(|fields| fields.all(name));
    let Some(first) = values.next() else { return false };
    out.extend_from_slice(first);
    for value in values {
        out.extend_from_slice(b", ");
        out.extend_from_slice(value);
    }
    true
}

fn own_date(modified: LastModified) -> Option<Vec<u8>> {
    match modified {
        LastModified::Ours(time) => Some(http1::date::format(seconds(time)).into_bytes()),
        LastModified::Upstream(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use config::Sign;

    use super::*;

    fn page() -> Response {
        let mut response = Response::new(200).with_memory("text/html", "hello");
        response.last_modified = Some(LastModified::Ours(UNIX_EPOCH));
        for (name, value) in [("ETag", "\"a\""), ("Cache-Control", "private"), ("cache-control", "no-store")]
        {
            response.fields.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    fn text(response: &Response) -> Vec<String> {
        let line = |(name, value): (&[u8], &[u8])| {
            format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        };
        response.fields.iter().map(line).collect()
    }

    #[test]
    fn expires_takes_the_place_of_what_is_there() {
        let mut response = page();
        expire(&mut response, &Expires::After(Sign::Plus, Duration::from_secs(60)), UNIX_EPOCH);
        let wanted = ["ETag: \"a\"", "Cache-Control: max-age=60", "Expires: Thu, 01 Jan 1970 00:01:00 GMT"];
        assert_eq!(text(&response), wanted);
    }

    #[test]
    fn fields_are_added_or_replaced() {
        let mut response = page();
        add_one(&mut response, b"Cache-Control", b"public");
        add_one(&mut response, b"X-A", b"1");
        add_one(&mut response, b"X-A", b"2");
        add_one(&mut response, b"X-B", b"");
        add_one(&mut response, b"etag", b"\"b\"");
        add_one(&mut response, b"Last-Modified", b"yesterday");
        let wanted = [
            "ETag: \"b\"",
            "Cache-Control: private",
            "cache-control: no-store",
            "Cache-Control: public",
            "X-A: 1",
            "X-A: 2",
            "Last-Modified: yesterday",
        ];
        assert_eq!(text(&response), wanted);
        assert!(response.last_modified.is_none());
        add_one(&mut response, b"ETag", b"");
        assert_eq!(response.field("ETag"), None);
    }

    #[test]
    fn fields_of_the_answer_can_be_read() {
        for (name, wanted) in [
            ("content-type", Some("text/html")),
            ("content-length", Some("5")),
            ("last-modified", Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            ("location", None),
            ("cache-control", Some("private, no-store")),
            ("x-none", None),
        ] {
            let mut out = Vec::new();
            let found = write_sent(&page(), name, &mut out);
            assert_eq!(found.then(|| String::from_utf8(out).unwrap()).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn variables_may_make_any_rule() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (text, wanted) in [
            ("1h", Expires::After(Sign::Plus, hours(1))),
            ("-1h", Expires::After(Sign::Minus, hours(1))),
            ("@24h", Expires::Daily(hours(24))),
            ("@25h", Expires::Off),
            ("max", Expires::Max),
            ("", Expires::Off),
            ("soon", Expires::Off),
        ] {
            assert_eq!(read_rule(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn statuses_without_always() {
        let fitting: Vec<u16> = (100..600).filter(|status| is_fitting(*status)).collect();
        assert_eq!(fitting, [200, 201, 204, 206, 301, 302, 303, 304, 307, 308]);
    }
}
