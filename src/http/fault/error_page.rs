//! `error_page`: where an error leads, and what status the client sees then.
//!
//! As nginx: the rules of the location in force decide; one error page is taken per request unless
//! `recursive_error_pages` is on; an internal redirect turns the method into GET.

use std::sync::Arc;

use config::{ErrorPage as Rule, ErrorTarget, LocationConf, Overwrite};
use http1::Method;

use super::{
    Fault, Kind, Side, log,
    page::{plain, shown_status},
    redirect,
};
use crate::http::{Exchange, Response, exchange::ErrorPage};

/// Where an error leads.
pub enum PageAction {
    /// An internal redirect.
    Redirect {
        /// Path.
        uri: Vec<u8>,
        /// Arguments, without `?`.
        args: Vec<u8>,
    },
    /// A named location, with the path as it is.
    Named(Arc<LocationConf>),
    /// An answer at once: a redirect of the client.
    External(Response),
}

/// Takes note of an error and finds what the configuration has for it.
///
/// Nothing means the default page. [`Exchange::error_status`] is the status to be shown from here on, and the
/// connection ends after errors that leave its state unclear.
pub fn error_page(exchange: &mut Exchange, status: u16) -> Option<PageAction> {
    exchange.error_status = Some(status);
    if ends_connection(status) {
        exchange.keepalive = false;
    }
    let action = take(exchange, status);
    if action.is_none() {
        exchange.error_status = Some(shown_status(status));
    }
    action
}

/// Says whether the location in force has an error page for a status (`proxy_intercept_errors`).
pub fn has_error_page(exchange: &Exchange, status: u16) -> bool {
    rule_for(&exchange.location, status).is_some()
}

/// Finds a named location of the server in force, given without its `@`.
///
/// # Errors
/// There is none of that name.
pub fn named_location(exchange: &Exchange, name: &[u8]) -> Result<Arc<LocationConf>, Fault> {
    let found = std::str::from_utf8(name).ok().and_then(|name| exchange.server.locations.named(name));
    found.cloned().ok_or_else(|| {
        let detail = format!("could not find named location \"@{}\"", name.escape_ascii());
        Fault::new(Side::Server, Kind::Status(500), detail)
    })
}

fn rule_for(location: &LocationConf, status: u16) -> Option<&Rule> {
    location.core.error_page.iter().find(|rule| rule.statuses.contains(&status))
}

fn ends_connection(status: u16) -> bool {
    matches!(status, 400 | 413 | 414 | 495..=497 | 500 | 501)
}

fn take(exchange: &mut Exchange, status: u16) -> Option<PageAction> {
    let location = Arc::clone(&exchange.location);
    if exchange.error_page == ErrorPage::Taken || location.core.error_page.is_empty() {
        return None;
    }
    if !*location.core.recursive_error_pages {
        exchange.error_page = ErrorPage::Taken;
    }
    let rule = rule_for(&location, status)?;
    exchange.error_status = match rule.overwrite {
        Overwrite::Keep => Some(shown_status(status)),
        Overwrite::Target => None,
        Overwrite::Fixed(status) => Some(status),
    };
    let target = match &rule.target {
        ErrorTarget::Named(name) => return Some(named(exchange, name.as_bytes())),
        ErrorTarget::Uri(template) | ErrorTarget::Url(template) => template.expand(exchange),
    };
    // What variables make of the target decides, not how it was written.
    Some(match target.first() {
        Some(b'/') => {
            if exchange.method != Method::Head {
                exchange.method = Method::Get;
            }
            let (uri, args) = split_args(&target);
            PageAction::Redirect { uri: uri.to_vec(), args: args.to_vec() }
        }
        Some(b'@') => named(exchange, &target[1..]),
        _ => external(exchange, rule.overwrite, &target),
    })
}

/// Splits a target at its first `?`.
pub fn split_args(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, b""),
    }
}

fn named(exchange: &mut Exchange, name: &[u8]) -> PageAction {
    let fault = match named_location(exchange, name) {
        Ok(location) => return PageAction::Named(location),
        Err(fault) => fault,
    };
    log(exchange, &fault);
    exchange.error_status = Some(500);
    exchange.keepalive = false;
    PageAction::External(plain(500, exchange))
}

fn external(exchange: &mut Exchange, overwrite: Overwrite, url: &[u8]) -> PageAction {
    let status = match overwrite {
        Overwrite::Fixed(status) if redirect::is_redirect(status) => status,
        Overwrite::Fixed(_) | Overwrite::Keep | Overwrite::Target => 302,
    };
    exchange.error_status = Some(status);
    exchange.kept.location = Some(url.to_vec());
    PageAction::External(plain(status, exchange))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_split_at_the_first_mark() {
        for (target, uri, args) in
            [("/a", "/a", ""), ("/a?b", "/a", "b"), ("/a?b?c", "/a", "b?c"), ("/?", "/", "")]
        {
            assert_eq!(split_args(target.as_bytes()), (uri.as_bytes(), args.as_bytes()), "{target}");
        }
    }

    #[test]
    fn errors_that_end_the_connection() {
        let ending: Vec<u16> = (300..600).filter(|status| ends_connection(*status)).collect();
        assert_eq!(ending, [400, 413, 414, 495, 496, 497, 500, 501]);
    }
}
