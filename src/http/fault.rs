//! What can go wrong with a request, and the only place that turns it into a status.

use std::borrow::Cow;

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
    /// Makes the fault of a rule that answers with `status`.
    pub fn status_only(status: u16) -> Self {
        Self {
            side: Side::Server,
            kind: Kind::Status(status),
            during: "",
            retry: Retry::Never,
            detail: Cow::Borrowed(""),
        }
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
