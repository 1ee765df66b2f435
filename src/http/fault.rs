//! What can go wrong with a request, and the only place that turns it into a status and a line in the log.
//!
//! What the client sees of it is made beside: [`page`] has the default bodies, [`error_page`](mod@error_page) the
//! ones that the configuration names, [`redirect`] the answers of `return` and of paths that want a slash; [`whom`] names the request in lines
//! of the log.

use std::{borrow::Cow, fmt, io};

use config::GaveUp;

use super::Exchange;
use crate::error_log::{Level, system_words};

mod error_page;
mod page;
mod redirect;
mod whom;

pub use error_page::{PageAction, error_page, has_error_page, named_location, split_args};
pub use page::{plain, product, write_server};
pub use redirect::{absolute, add_slash, locate, returned, send_to};
pub use whom::{Asked, Asker, Context, Whom};

/// A failure while serving.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Whose fault it is.
    pub side: Side,
    /// What happened.
    pub kind: Kind,
    /// What was being done, in nginx's words (`reading response header from upstream`).
    pub during: &'static str,
    /// Whether another try may be made.
    pub retry: Retry,
    /// More for the log: the system's error, the offending text.
    pub detail: Cow<'static, str>,
}

/// Whose fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// Ours.
    Server,
    /// An upstream's.
    Upstream,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A status that a rule decided on: no failure to log by itself.
    Status(u16),
    /// The peer closed or reset the connection, or could not be reached.
    Connection,
    /// Nothing happened for too long.
    Timeout,
    /// What came cannot be understood.
    InvalidHeader,
    /// No peer can be chosen ("no live upstreams").
    NoPeers,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body's framing is broken.
    InvalidBody,
    /// Which server a request is for cannot be found out.
    NoServer,
    /// A file or the system failed us.
    System,
}

/// Whether another try may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No.
    Never,
    /// With the next peer, where `proxy_next_upstream` allows this kind.
    NextPeer,
    /// With the same peer over a fresh connection: a kept one had been closed meanwhile.
    FreshConnection,
}

impl Fault {
    /// Makes a fault that no other try would mend.
    pub fn new(side: Side, kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { side, kind, during: "", retry: Retry::Never, detail: detail.into() }
    }

    /// Makes the fault of a rule that answers with `status`.
    pub fn status_only(status: u16) -> Self {
        Self::new(Side::Server, Kind::Status(status), "")
    }

    /// Makes the fault of an expression that decides what is done and was not matched to its end.
    pub fn gave_up(gave_up: &GaveUp, during: &'static str) -> Self {
        Self { detail: Cow::Owned(gave_up.to_string()), during, ..Self::status_only(500) }
    }

    /// Makes the fault of a body of `length` bytes, more than `client_max_body_size` allows.
    pub fn body_too_large(length: u64) -> Self {
        let detail = format!("client intended to send too large body: {length} bytes");
        Self::new(Side::Client, Kind::BodyTooLarge, detail)
    }

    /// Returns the status that the client is answered with.
    pub fn status(&self) -> u16 {
        match (self.side, self.kind) {
            (_, Kind::Status(status)) => status,
            (Side::Client, Kind::Timeout) => 408,
            (Side::Client, Kind::BodyTooLarge) => 413,
            (Side::Client, Kind::Connection) => 499,
            (Side::Client, _) => 400,
            (Side::Upstream, Kind::Timeout) => 504,
            (Side::Upstream, _) => 502,
            (Side::Server, _) => 500,
        }
    }
}

impl Fault {
    /// Says whether the connection ends without an answer: the client is gone, a rule says so (444), or nobody knows whose
    /// rules hold.
    pub fn closes_silently(&self) -> bool {
        matches!(self.status(), 408 | 444 | 499) || self.kind == Kind::NoServer
    }

    /// Returns how bad it is; nothing where a rule decided on the status, which is no failure.
    fn level(&self) -> Option<Level> {
        match (self.side, self.kind) {
            (_, Kind::Status(_)) if self.detail.is_empty() => None,
            (Side::Client, Kind::BodyTooLarge | Kind::InvalidBody) => Some(Level::Error),
            (Side::Client, _) => Some(Level::Info),
            (Side::Server, Kind::System) => Some(Level::Crit),
            (Side::Server | Side::Upstream, _) => Some(Level::Error),
        }
    }
}

/// What happened, in nginx's words.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match (self.side, self.kind) {
            _ if !self.detail.is_empty() => &self.detail,
            (_, Kind::Status(status)) => return write!(out, "answered with {status}"),
            (Side::Client, Kind::Timeout) => "client timed out",
            (Side::Client, Kind::Connection) => "client prematurely closed connection",
            (Side::Client, Kind::BodyTooLarge) => "client intended to send too large body",
            (Side::Client, Kind::InvalidBody) => "client sent invalid chunked body",
            (Side::Client, _) => "client sent invalid request",
            (Side::Upstream, Kind::Timeout) => "upstream timed out",
            (Side::Upstream, Kind::Connection) => "upstream prematurely closed connection",
            (Side::Upstream, Kind::InvalidHeader) => "upstream sent invalid header",
            (Side::Upstream, Kind::InvalidBody) => "upstream sent invalid chunked response",
            (Side::Upstream, Kind::BodyTooLarge) => "upstream sent too big response",
            (_, Kind::NoPeers) => "no live upstreams",
            (Side::Upstream | Side::Server, _) => "internal error",
        };
        out.write_str(words)?;
        if self.during.is_empty() {
            return Ok(());
        }
        write!(out, " while {}", self.during)
    }
}

/// Logs a failure, where it is one.
pub fn log(exchange: &Exchange, fault: &Fault) {
    if let Some(level) = fault.level() {
        report(exchange, level, format_args!("{fault}"));
    }
}

/// Logs that an answer could not be sent to its end.
pub fn log_send_failure(exchange: &Exchange, error: &io::Error) {
    let level = Level::Info;
    match error.kind() {
        io::ErrorKind::TimedOut => {
            report(exchange, level, format_args!("client timed out while sending to client"))
        }
        io::ErrorKind::ConnectionAborted => {
            report(
                exchange,
                level,
                format_args!("client prematurely closed connection while sending to client"),
            );
        }
        io::ErrorKind::UnexpectedEof => {
            report(
                exchange,
                Level::Alert,
                format_args!("file was truncated while sending response to client"),
            );
        }
        _ => report(
            exchange,
            level,
            format_args!("send() failed ({}) while sending to client", system_words(error)),
        ),
    }
}

/// Writes a line about a request to the error log: what happened, then whom it concerned, as nginx.
pub fn report(exchange: &Exchange, level: Level, what: fmt::Arguments<'_>) {
    Whom::of(exchange).report(&exchange.location, level, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(side: Side, kind: Kind, during: &'static str, detail: &'static str) -> Fault {
        Fault { side, kind, during, retry: Retry::Never, detail: Cow::Borrowed(detail) }
    }

    #[test]
    fn faults_have_a_status_a_level_and_words() {
        let head = "reading response header from upstream";
        let table = [
            (Side::Client, Kind::Timeout, "", "", 408, Some(Level::Info), "client timed out"),
            (
                Side::Client,
                Kind::Connection,
                "",
                "",
                499,
                Some(Level::Info),
                "client prematurely closed connection",
            ),
            (Side::Server, Kind::Status(404), "", "", 404, None, "answered with 404"),
            (
                Side::Upstream,
                Kind::Timeout,
                head,
                "upstream timed out (110: Connection timed out)",
                504,
                Some(Level::Error),
                "upstream timed out (110: Connection timed out) while reading response header from upstream",
            ),
            (
                Side::Upstream,
                Kind::NoPeers,
                "connecting to upstream",
                "",
                502,
                Some(Level::Error),
                "no live upstreams while connecting to upstream",
            ),
            (Side::Server, Kind::System, "", "disk on fire", 500, Some(Level::Crit), "disk on fire"),
        ];
        for (side, kind, during, detail, status, level, words) in table {
            let fault = fault(side, kind, during, detail);
            assert_eq!((fault.status(), fault.level()), (status, level), "{words}");
            assert_eq!(fault.to_string(), words);
        }
    }

    #[test]
    fn a_large_body_is_told_with_its_length() {
        let fault = Fault::body_too_large(2_000_000);
        assert_eq!(fault.status(), 413);
        assert_eq!(fault.to_string(), "client intended to send too large body: 2000000 bytes");
    }
}
