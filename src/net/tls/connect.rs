//! The client's side of a handshake, and what both sides' have in common.

use std::{io, sync::Arc};

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

use super::{HandshakeError, TlsStream, session::Session, would_block};
use crate::net::Socket;

/// Bytes that one read takes during a handshake: what comes with its end must fit what is kept for the reader.
const HANDSHAKE_BYTES: usize = 16 << 10;

impl TlsStream {
    /// Shakes hands with a server. Not cancel safe: the connection is lost with it.
    ///
    /// # Errors
    /// The server has left, or one side refuses the other.
    pub async fn connect(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, HandshakeError> {
        let connection = ClientConnection::new(config, name).map_err(HandshakeError::Refused)?;
        let mut session = Session::new(connection.into());
        shake(&socket, &mut session).await?;
        Ok(Self::new(socket, session, None))
    }
}

/// Goes on with a handshake until bytes may be written and read.
///
/// Its last words wait for the first bytes that are written, and go out with them.
pub(super) async fn shake(socket: &Socket, session: &mut Session) -> Result<(), HandshakeError> {
    while session.is_handshaking() && !session.has_plaintext() {
        if let Err(error) = session.flush(socket) {
            if !would_block(&error) {
                return Err(error.into());
            }
            socket.writable().await?;
            continue;
        }
        match session.receive(socket, HANDSHAKE_BYTES) {
            Err(error) if would_block(&error) => socket.readable().await?,
            received => received?,
        }
        if session.was_truncated() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(())
}
