//! Which server block a request belongs to.
//!
//! Pure: the table of names is made by the `config` package, as is that of locations ([`config::LocationTable`]).

use std::sync::Arc;

use config::{Captures, HttpConf, ServerConf};

/// Chooses the server block of a listening address by the request's host.
///
/// As nginx: exact name, longest `*.` wildcard, longest `.*` wildcard, first matching regular
/// expression, and the address's default server where none fits.
pub fn server<'a>(http: &'a HttpConf, listener: usize, host: &[u8]) -> (&'a Arc<ServerConf>, Captures) {
    let listener = &http.listeners[listener];
    match listener.names.find(host) {
        Some(found) => (found.server, found.captures),
        None => (&listener.default_server, Captures::default()),
    }
}
