//! `proxy_redirect`: what an upstream says about where to go, seen from the client.

use std::borrow::Cow;

use config::{Content, LocationConf, ValueRule};

use super::rewrite::{Rewritten, Surroundings, rewrite};
use crate::http::{Exchange, Response};

/// Passes a Location on.
///
/// As nginx: only one that a rule has made relative is completed by us, and has its fixed place then.
pub(super) fn pass_location(exchange: &Exchange, response: &mut Response, name: &[u8], value: &[u8]) {
    match rewrite(rules(&exchange.location), value, exchange) {
        Rewritten::Changed(value)
            if value.first() == Some(&b'/') && *exchange.location.core.absolute_redirect =>
        {
            response.location = Some(value);
        }
        Rewritten::Changed(value) => response.fields.push(name, &value),
        Rewritten::Unchanged => response.fields.push(name, value),
    }
}

/// Returns a Location as the client gets it, but for what completes a path.
pub(in crate::http::proxy) fn location_for_client<'a>(exchange: &Exchange, value: &'a [u8]) -> Cow<'a, [u8]> {
    match rewrite(rules(&exchange.location), value, exchange) {
        Rewritten::Changed(value) => value.into(),
        Rewritten::Unchanged => value.into(),
    }
}

/// Passes a Refresh on.
pub(super) fn pass_refresh(exchange: &Exchange, response: &mut Response, name: &[u8], value: &[u8]) {
    response.fields.push(name, &rewrite_refresh(rules(&exchange.location), value, exchange));
}

fn rules(location: &LocationConf) -> &[ValueRule] {
    match &location.content {
        Content::Proxy(pass) => &pass.redirect,
        Content::Static => &[],
    }
}

/// Applies the first rule that fits the URL in a Refresh (`5; url=http://…`).
fn rewrite_refresh<'a>(rules: &[ValueRule], value: &'a [u8], source: &impl Surroundings) -> Cow<'a, [u8]> {
    const MARK: &[u8] = b"url=";
    let mark = value.windows(MARK.len()).position(|window| window.eq_ignore_ascii_case(MARK));
    let Some(start) = mark.map(|mark| mark + MARK.len()) else { return value.into() };
    match rewrite(rules, &value[start..], source) {
        Rewritten::Changed(url) => [&value[..start], &url].concat().into(),
        Rewritten::Unchanged => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::proxy::request::fixture::exchange;

    #[tokio::test]
    async fn the_url_of_a_refresh_is_changed() {
        let server = "location / { proxy_redirect http://up/ /; proxy_pass http://127.0.0.1:8080; }";
        let exchange = exchange(server, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        for (value, wanted) in [
            ("5; url=http://up/x", "5; url=/x"),
            ("5; URL=http://up/x", "5; URL=/x"),
            ("5; url=http://other/x", "5; url=http://other/x"),
            ("5", "5"),
        ] {
            let refreshed = rewrite_refresh(rules(&exchange.location), value.as_bytes(), &exchange);
            assert_eq!(String::from_utf8_lossy(&refreshed), wanted, "{value}");
        }
    }
}
