//! Which server block a request belongs to.
//!
//! Pure: the table of names is made by the `config` package, as is that of locations ([`config::LocationTable`]).

use std::sync::Arc;

use config::{Captures, GaveUp, HttpConf, ServerConf};

/// Chooses the server block of a listening address by the request's host.
///
/// As nginx: exact name, longest `*.` wildcard, longest `.*` wildcard, first matching regular
/// expression, and the address's default server where none fits.
///
/// # Errors
/// An expression gave up.
pub fn server<'a>(
    http: &'a HttpConf,
    listener: usize,
    host: &[u8],
) -> Result<(&'a Arc<ServerConf>, Captures), GaveUp> {
    let listener = &http.listeners[listener];
    let found = listener.names.find(host)?;
    Ok(found.map_or((&listener.default_server, Captures::default()), |found| (found.server, found.captures)))
}
