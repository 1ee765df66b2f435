//! Answers that send the client elsewhere, and those of `return`.

use bytes::Bytes;
use config::{Return, ReturnWith, Template};
use http1::EscapeKind;

use super::Fault;
use crate::http::{Exchange, Response, files, phases::Ending};

/// Answers as a `return` says.
///
/// As nginx: a redirect and an error without text go the way of errors, `error_page` included.
pub fn returned(exchange: &mut Exchange, rule: &Return) -> Ending {
    let text = match &rule.with {
        ReturnWith::Page if rule.status >= 400 => return Ending::Fail(Fault::status_only(rule.status)),
        ReturnWith::Page => Vec::new(),
        ReturnWith::Text(template) | ReturnWith::Location(template) => {
            expand(exchange, rule.status, template)
        }
    };
    if is_redirect(rule.status) {
        return send_to(exchange, rule.status, text);
    }
    if let Err(fault) = exchange.body.discard_arrived(&exchange.client) {
        return Ending::Fail(fault);
    }
    let mut response = Response::new(rule.status).with_memory(Bytes::new(), text);
    response.content_type = files::content_type(exchange);
    Ending::Answer(Box::new(response))
}

/// Puts values into the text of a `return`. As nginx: `$status` is the status that it returns, unless an error's is.
fn expand(exchange: &mut Exchange, status: u16, template: &Template) -> Vec<u8> {
    let before = exchange.sent.status;
    exchange.sent.status = exchange.error_status.unwrap_or(status);
    let text = template.expand(exchange);
    exchange.sent.status = before;
    text
}

/// Redirects to the path in force with a slash at its end.
pub fn add_slash(exchange: &mut Exchange) -> Ending {
    let mut location = Vec::with_capacity(exchange.uri.len() + exchange.args.len() + 2);
    location.extend_from_slice(&http1::escape_uri(&exchange.uri, EscapeKind::Uri));
    location.push(b'/');
    if !exchange.args.is_empty() {
        location.push(b'?');
        location.extend_from_slice(&exchange.args);
    }
    send_to(exchange, 301, location)
}

/// Redirects the client.
pub fn send_to(exchange: &mut Exchange, status: u16, location: Vec<u8>) -> Ending {
    exchange.kept.location = Some(location);
    Ending::Fail(Fault::status_only(status))
}

/// Puts into an answer where it redirects to.
///
/// As nginx: a path has the place among the fields that absolute redirects have; all else stands where other
/// fields do.
pub fn locate(exchange: &mut Exchange, response: &mut Response) {
    let Some(location) = exchange.kept.location.take() else { return };
    if location.starts_with(b"/") && *exchange.location.core.absolute_redirect {
        response.location = Some(location);
    } else {
        response.fields.push(b"Location", &location);
    }
}

/// Statuses that nginx sends with Location.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Completes a path to an absolute URL where `absolute_redirect` says so.
pub fn absolute(exchange: &Exchange, location: &[u8]) -> Vec<u8> {
    let core = &exchange.location.core;
    if !location.starts_with(b"/") || !*core.absolute_redirect {
        return location.to_vec();
    }
    let host = match &exchange.host {
        _ if *core.server_name_in_redirect => exchange.server.first_name.as_bytes(),
        host if !host.is_empty() => host,
        _ => exchange.client.local.text.as_bytes(),
    };
    let mut url = [exchange.client.scheme().as_bytes(), b"://", host].concat();
    let usual = if exchange.client.is_secured() { 443 } else { 80 };
    match exchange.client.local.port() {
        Some(port) if *core.port_in_redirect && port != usual => {
            url.extend_from_slice(format!(":{port}").as_bytes())
        }
        _ => {}
    }
    url.extend_from_slice(location);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_five() {
        let redirects: Vec<u16> = (200..600).filter(|status| is_redirect(*status)).collect();
        assert_eq!(redirects, [301, 302, 303, 307, 308]);
    }
}
