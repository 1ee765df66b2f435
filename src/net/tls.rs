//! TLS over a socket, for either side: what was agreed on, and bytes in and out of it.
//!
//! Own glue over `rustls`, because it has to work as [`super::Stream`] does: shared between a reader and a writer, tried before it
//! is waited for, and quiet while it is idle. What is written is encrypted at once and sent as far as the socket takes it; what
//! is left over goes out with whatever is done next, or by `flush`. So a write that was cancelled has written nothing.

mod connect;
mod error;
mod greeting;
mod session;

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use rustls::CommonState;

use self::session::Session;
pub use self::{
    error::HandshakeError,
    greeting::{Greeting, HelloFacts, Opening},
};
use super::{PeerSide, Socket, file};

/// A TLS connection whose handshake is done.
#[derive(Debug)]
pub struct TlsStream {
    socket: Socket,
    session: RefCell<Session>,
    /// What the client offered, where we are the server.
    hello: Option<Box<HelloFacts>>,
    goodbye: Cell<Goodbye>,
}

/// Whether the peer is told that nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    Owed,
    Settled,
}

/// What a reader has to wait for.
enum Outlook {
    /// Nothing: there is something to read.
    News,
    /// The peer.
    Silent,
    /// The peer, or room for what it has to be sent before it says anything.
    Blocked,
}

/// Bytes of a file that are read and encrypted at once.
const FILE_PIECE_BYTES: u64 = 64 << 10;

/// Bytes that are taken off the socket to know what they are, while nobody wants them.
const PEEK_BYTES: usize = 1536;

impl TlsStream {
    fn new(socket: Socket, session: Session, hello: Option<Box<HelloFacts>>) -> Self {
        Self { socket, session: RefCell::new(session), hello, goodbye: Cell::new(Goodbye::Owed) }
    }

    /// Shows what was agreed on in the handshake.
    pub fn inspect<R>(&self, look: impl FnOnce(&CommonState) -> R) -> R {
        look(self.session.borrow().facts())
    }

    /// Says whether this is the protocol that was chosen by ALPN.
    pub fn has_agreed_on(&self, protocol: &[u8]) -> bool {
        self.inspect(|facts| facts.alpn_protocol() == Some(protocol))
    }

    /// Returns the name that the client asked for, where we are the server and it asked for one.
    pub fn server_name(&self) -> Option<&str> {
        self.hello.as_ref()?.server_name.as_deref()
    }

    /// Returns what the client offered, where we are the server.
    pub fn hello(&self) -> Option<&HelloFacts> {
        self.hello.as_deref()
    }

    /// Says whether requests may still be early data, which somebody else may have recorded and sent again.
    pub fn is_early(&self) -> bool {
        self.session.borrow().is_early()
    }

    /// Says whether the peer's end came without its word (`close_notify`): what came before may have been cut off.
    pub fn was_truncated(&self) -> bool {
        self.session.borrow().was_truncated()
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self.outlook() {
            Outlook::News => Ok(()),
            Outlook::Silent => self.socket.readable().await,
            Outlook::Blocked => self.socket.readable_or_writable().await,
        }
    }

    /// Sends what is left over, and says what to wait for before reading.
    fn outlook(&self) -> Outlook {
        let mut session = self.session.borrow_mut();
        if session.has_news() {
            return Outlook::News;
        }
        match session.flush(&self.socket) {
            Err(error) if would_block(&error) => Outlook::Blocked,
            // A socket that is broken shows when it is read.
            Ok(()) | Err(_) => Outlook::Silent,
        }
    }

    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.session.borrow_mut().read(&self.socket, buffer)
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session.borrow_mut().write(&self.socket, slices)
    }

    pub(super) fn try_flush(&self) -> io::Result<()> {
        self.session.borrow_mut().flush(&self.socket)
    }

    pub(super) async fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.try_write_vectored(slices) {
                Err(error) if would_block(&error) => self.socket.writable().await?,
                done => return done,
            }
        }
    }

    pub(super) async fn flush(&self) -> io::Result<()> {
        loop {
            match self.try_flush() {
                Err(error) if would_block(&error) => self.socket.writable().await?,
                done => return done,
            }
        }
    }

    pub(super) async fn send_file(&self, file: &Arc<File>, offset: u64, len: u64) -> io::Result<usize> {
        let piece = file::read(file, offset, len.min(FILE_PIECE_BYTES)).await?;
        if piece.is_empty() {
            return Ok(0);
        }
        self.write_vectored(&[IoSlice::new(&piece)]).await
    }

    pub(super) async fn peek_end(&self) -> io::Result<PeerSide> {
        loop {
            match self.look() {
                Ok(Some(side)) => return Ok(side),
                Ok(None) => {}
                Err(error) if would_block(&error) => self.readable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what has arrived, and says what the peer is doing if that tells.
    fn look(&self) -> io::Result<Option<PeerSide>> {
        let mut session = self.session.borrow_mut();
        if !session.has_news() {
            session.receive(&self.socket, PEEK_BYTES)?;
        }
        Ok(match (session.has_plaintext(), session.has_news()) {
            (true, _) => Some(PeerSide::Sending),
            (false, true) => Some(PeerSide::Closed),
            (false, false) => None,
        })
    }

    pub(super) fn is_quiet(&self, context: &mut Context<'_>) -> bool {
        loop {
            match self.look() {
                Ok(Some(_)) => return false,
                Ok(None) => continue,
                Err(error) if would_block(&error) => {}
                Err(_) => return false,
            }
            // Whether it worked shows when the connection is used.
            let _ = self.session.borrow_mut().flush(&self.socket);
            match self.socket.poll_read_ready(context) {
                Poll::Pending => return true,
                Poll::Ready(Err(_)) => return false,
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.say_goodbye();
        self.socket.shutdown_write()
    }

    /// Has the connection closed without a word to the peer.
    pub(super) fn forgo_goodbye(&self) {
        self.goodbye.set(Goodbye::Settled);
    }

    /// Tells the peer that nothing more comes, if the socket takes it at once: nobody waits to say goodbye.
    fn say_goodbye(&self) {
        if self.goodbye.replace(Goodbye::Settled) == Goodbye::Owed {
            self.session.borrow_mut().close(&self.socket);
        }
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests;
