//! The server's side of a handshake, in two steps: what the client says first, and the answer to it.
//!
//! Between the two the caller chooses whose certificate answers, by the name that the client asks for; or it finds that what
//! came is no TLS at all.

use std::{io, sync::Arc};

use bytes::{Buf, BytesMut};
use rustls::{
    CipherSuite, NamedGroup, ServerConfig,
    server::{Accepted, AcceptedAlert, Acceptor, ClientHello},
};

use super::{HandshakeError, TlsStream, connect::shake, session::Session, would_block};
use crate::net::Socket;

/// What a client begins with.
pub enum Opening {
    /// A TLS handshake.
    Tls(Greeting),
    /// Something else, which has been read already.
    Plain(Socket, BytesMut),
    /// Nothing: it has left.
    Silence,
}

/// A client that has said what it wants, and waits for the answer.
pub struct Greeting {
    socket: Socket,
    accepted: Box<Accepted>,
    /// What came behind it.
    behind: BytesMut,
}

/// What a client has offered, for the variables that tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloFacts {
    /// The name that it asked for.
    pub server_name: Option<String>,
    /// Cipher suites.
    pub ciphers: Box<[CipherSuite]>,
    /// Groups for key exchange.
    pub groups: Box<[NamedGroup]>,
}

/// Bytes that a read of the first message takes; more than one read is rare.
const HELLO_BYTES: usize = 4 << 10;

/// First byte of a record of a handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// Type of a record that holds an alert.
const ALERT_RECORD: u8 = 21;
/// Level of an alert that ends the connection.
const FATAL: u8 = 2;

impl Greeting {
    /// Waits for what a client says first. Not cancel safe: the connection is lost with it.
    ///
    /// # Errors
    /// The connection is broken, or what came begins as TLS does and is none.
    pub async fn receive(socket: Socket) -> Result<Opening, HandshakeError> {
        let mut acceptor = Acceptor::default();
        let mut input = BytesMut::with_capacity(HELLO_BYTES);
        let mut is_first = true;
        loop {
            input.reserve(HELLO_BYTES);
            match socket.try_read_up_to(&mut input, HELLO_BYTES) {
                Err(error) if would_block(&error) => {
                    socket.readable().await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
                Ok(0) if is_first => return Ok(Opening::Silence),
                Ok(0) => return Err(HandshakeError::Closed),
                Ok(_) => {}
            }
            if is_first && !begins_as_tls(input[0]) {
                return Ok(Opening::Plain(socket, input));
            }
            is_first = false;
            while !input.is_empty() {
                let count = acceptor.read_tls(&mut &*input)?;
                input.advance(count);
                match acceptor.accept() {
                    Ok(Some(accepted)) => {
                        let accepted = Box::new(accepted);
                        return Ok(Opening::Tls(Self { socket, accepted, behind: input }));
                    }
                    Ok(None) => {}
                    Err((error, alert)) => return Err(refused(&socket, error, alert)),
                }
            }
        }
    }

    /// Returns what the client wants.
    pub fn hello(&self) -> ClientHello<'_> {
        self.accepted.client_hello()
    }

    /// Has something found out about the connection, which is given back, and what the client wants of it.
    pub fn consider<T>(self, find: impl FnOnce(Socket, HelloFacts) -> (Socket, T)) -> (Self, T) {
        let hello = HelloFacts::of(&self.hello());
        let (socket, found) = find(self.socket, hello);
        (Self { socket, ..self }, found)
    }

    /// Answers with a server's configuration, and goes on until requests may be read. Not cancel safe: the connection is
    /// lost with it.
    ///
    /// # Errors
    /// The client has left, or one side refuses the other.
    pub async fn answer(self, config: Arc<ServerConfig>) -> Result<TlsStream, HandshakeError> {
        let hello = Box::new(HelloFacts::of(&self.hello()));
        let Self { socket, accepted, behind } = self;
        let connection = match accepted.into_connection(config) {
            Ok(connection) => connection,
            Err((error, alert)) => return Err(refused(&socket, error, alert)),
        };
        let mut session = Session::new(connection.into());
        session.take_in(&socket, &behind)?;
        shake(&socket, &mut session).await?;
        Ok(TlsStream::new(socket, session, Some(hello)))
    }

    /// Turns the client away with an alert.
    pub fn refuse(self, alert: u8) {
        // As with every alert: a client that has gone needs none.
        let _ = self.socket.try_write(&[ALERT_RECORD, 3, 3, 0, 2, FATAL, alert]);
    }
}

impl HelloFacts {
    fn of(hello: &ClientHello<'_>) -> Self {
        Self {
            server_name: hello.server_name().map(str::to_owned),
            ciphers: hello.cipher_suites().into(),
            groups: hello.named_groups().unwrap_or_default().into(),
        }
    }
}

/// As nginx: a record of a handshake, or what SSL 2 began with.
fn begins_as_tls(first: u8) -> bool {
    first == HANDSHAKE_RECORD || first & 0x80 != 0
}

fn refused(socket: &Socket, error: rustls::Error, mut alert: AcceptedAlert) -> HandshakeError {
    let mut words = Vec::new();
    // Writing to memory does not fail, and the client may be gone already.
    let _ = alert.write_all(&mut words as &mut dyn io::Write);
    let _ = socket.try_write(&words);
    HandshakeError::Refused(error)
}
