//! Which server block and which location a request belongs to.
//!
//! Pure: tables in, configuration out. The tables themselves are made by the `config` package.

use std::sync::Arc;

use config::{Captures, Found, HttpConf, LocationConf, ServerConf};

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

/// What a path leads to.
pub enum Place<'a> {
    /// This location, with the captures of its regular expression.
    Location(&'a Arc<LocationConf>, Captures),
    /// A location that wants a slash at the end of the path: 301.
    WantsSlash,
    /// No location: the server's own settings.
    Server(&'a Arc<LocationConf>),
}

/// Chooses the location for a decoded path.
pub fn location<'a>(server: &'a ServerConf, uri: &[u8]) -> Place<'a> {
    match server.locations.find(uri) {
        Some(Found::Location { location, captures }) => Place::Location(location, captures),
        Some(Found::WantsSlash { .. }) => Place::WantsSlash,
        None => Place::Server(&server.defaults),
    }
}
