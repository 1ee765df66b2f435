//! X-Accel-Redirect: an upstream has another location answer in its place.
//!
//! As nginx: a few fields of the upstream's answer go along, its body and its status do not.

use config::IgnoreHeaders;
use http1::{Method, ResponseHead};

use crate::http::{
    Exchange, Fault,
    fault::{self, Kind, Side},
    inner_uri,
    phases::Ending,
};

/// Fields that go along; Content-Type does too, in its own place.
const KEPT: [&str; 5] = ["Set-Cookie", "Content-Disposition", "Cache-Control", "Expires", "Accept-Ranges"];

/// What is being done, for the log.
const DURING: &str = "reading response header from upstream";

/// Goes where an upstream's head says; nothing where it says nothing, or is not to be listened to.
pub(super) fn follow(
    exchange: &mut Exchange,
    head: &ResponseHead,
    ignored: &IgnoreHeaders,
) -> Option<Ending> {
    let target = head.fields.get("X-Accel-Redirect").filter(|_| !ignored.x_accel_redirect)?;
    keep_fields(exchange, head);
    if let Some(name) = target.strip_prefix(b"@") {
        return Some(match fault::named_location(exchange, name) {
            Ok(location) => Ending::Named(location),
            Err(fault) => Ending::Fail(Fault { during: DURING, ..fault }),
        });
    }
    let Some((path, args)) = inner_uri::split(target) else { return Some(Ending::Fail(unsafe_uri(target))) };
    if exchange.method != Method::Head {
        exchange.method = Method::Get;
    }
    exchange.redirect(path, args);
    Some(Ending::Restart)
}

fn keep_fields(exchange: &mut Exchange, head: &ResponseHead) {
    let kept = &mut exchange.kept.fields;
    for (name, value) in head.fields.iter() {
        if name.eq_ignore_ascii_case(b"Content-Type") {
            kept.set("Content-Type", value);
        } else if KEPT.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name)) {
            kept.push(name, value);
        }
    }
}

fn unsafe_uri(target: &[u8]) -> Fault {
    let detail = format!("unsafe URI \"{}\" was detected", String::from_utf8_lossy(target));
    Fault { during: DURING, ..Fault::new(Side::Upstream, Kind::Status(404), detail) }
}
