//! The rules of RFC 9111 and its companions, item by item.

mod changes;
mod conditions;
mod fields;
mod freshening;
mod interim;
mod lifetimes;
mod parts;
mod request_directives;
mod stale;
mod status_field;
mod storing;
mod vary;

use crate::support::{Conf, Origin, Server, client::Response, location};

/// One location that is a cache after RFC 9111, and has no other directive than these.
fn rfc(directives: &str, origin: &Origin) -> Conf {
    let inside = format!("proxy_cache zone; proxy_cache_rfc on; {directives}");
    location(&inside, origin).with_text(|text| text.replace("proxy_cache_valid 200 1h;", ""))
}

/// Asks with a method and lines of one's own.
fn ask(server: &Server, method: &str, path: &str, lines: &[&str]) -> Response {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    server.client().send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")).response()
}
