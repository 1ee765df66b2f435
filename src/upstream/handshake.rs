//! TLS towards a peer: shaking hands, and what is said where that comes to nothing. The words are nginx's.

use tls::{ClientWish, PeerSessions, VerifyError};

use crate::{
    error_log::system_words,
    net::{Socket, Stream, TlsStream, tls::HandshakeError},
};

/// What is being done, for the log.
pub const HANDSHAKING: &str = "SSL handshaking to upstream";

/// Shakes hands over a connection to a peer, which may go on with one of its sessions. Not cancel safe: the connection is lost.
///
/// # Errors
/// What to say of it.
pub async fn secure(socket: Socket, wish: &ClientWish, sessions: &PeerSessions) -> Result<Stream, String> {
    let (config, name) = wish.begin(sessions);
    match TlsStream::connect(socket, config, name).await {
        Ok(stream) => Ok(stream.into()),
        Err(error) => Err(words(&error, &wish.name().shown())),
    }
}

/// Says why there is no TLS with an upstream of this name.
fn words(error: &HandshakeError, name: &str) -> String {
    let refusal = match error {
        HandshakeError::Refused(refusal) => refusal,
        HandshakeError::Closed => return error.to_string(),
        HandshakeError::Broken(error) => {
            return format!("peer closed connection in SSL handshake ({})", system_words(error));
        }
    };
    match VerifyError::of_handshake(refusal) {
        Some(VerifyError::Name | VerifyError::Address) => {
            format!("upstream SSL certificate does not match \"{name}\"")
        }
        Some(error) => format!("upstream SSL certificate verify error: ({}:{error})", error.code()),
        None => format!("SSL_do_handshake() failed (SSL: {})", tls::words(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn handshakes_that_come_to_nothing_read_as_nginxs() {
        let refused = |error: VerifyError| HandshakeError::Refused(error.into());
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        let cases = [
            (HandshakeError::Closed, "peer closed connection in SSL handshake"),
            (
                HandshakeError::Broken(io::Error::from_raw_os_error(104)),
                "peer closed connection in SSL handshake (104: Connection reset by peer)",
            ),
            (
                refused(VerifyError::NoLocalIssuer),
                "upstream SSL certificate verify error: (20:unable to get local issuer certificate)",
            ),
            (refused(VerifyError::Name), "upstream SSL certificate does not match \"a.test\""),
            (refused(VerifyError::Address), "upstream SSL certificate does not match \"a.test\""),
            (
                HandshakeError::Refused(alert),
                "SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL \
                 alert number 40)",
            ),
        ];
        for (error, wanted) in cases {
            assert_eq!(words(&error, "a.test"), wanted);
        }
    }
}
