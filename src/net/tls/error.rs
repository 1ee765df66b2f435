//! Why there is no TLS connection, in nginx's words.

use std::io;

/// A handshake that has come to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer has left.
    #[error("peer closed connection in SSL handshake")]
    Closed,
    /// One side does not take what the other says; the peer was told if it was this one.
    #[error("SSL_do_handshake() failed (SSL: {})", tls::words(.0))]
    Refused(#[source] rustls::Error),
    /// The connection is broken, or the time is over (`TimedOut`).
    #[error("{0}")]
    Broken(#[source] io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(refusal) => Self::Refused(refusal),
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::Closed,
                _ => Self::Broken(error),
            },
        }
    }
}
