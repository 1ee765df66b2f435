//! A `rustls` connection and the bytes that go in and out of it; nothing here waits.
//!
//! What the socket gives is fed at once, so that ciphertext is kept nowhere but as a part of a record. As much is read as the
//! caller has room for: what `rustls` keeps of decrypted bytes stays below the one record that it has room for.

use std::{
    cell::RefCell,
    fmt,
    io::{self, BufRead, IoSlice, Read, Write},
};

use bytes::BytesMut;
use rustls::{CommonState, Connection};

use super::would_block;
use crate::net::Socket;

/// Bytes that one read asks of a socket.
const RECEIVE_BYTES: usize = 64 << 10;

/// Bytes that are encrypted before the socket has to take them: a usual answer with its head, and a bound for what slow
/// clients cost.
const WAITING_BYTES: usize = 72 << 10;

/// Bytes of early data that are moved at once.
const EARLY_PIECE_BYTES: usize = 1024;

/// A connection's keys and state.
pub(super) struct Session {
    connection: Connection,
    plaintext: Plaintext,
    /// What the client sent before the handshake was done, and nobody has read yet.
    early: BytesMut,
    end: End,
    /// The socket took no more when it was tried last.
    is_blocked: bool,
}

/// Decrypted bytes that nobody has read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plaintext(usize);

/// How the peer's side has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not yet.
    Open,
    /// With a word.
    Notified,
    /// Without one.
    Truncated,
}

thread_local! {
    static RECEIVED: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

impl Session {
    pub(super) fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(WAITING_BYTES));
        Self {
            connection,
            plaintext: Plaintext(0),
            early: BytesMut::new(),
            end: End::Open,
            is_blocked: false,
        }
    }

    pub(super) fn facts(&self) -> &CommonState {
        &self.connection
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    pub(super) fn has_plaintext(&self) -> bool {
        self.plaintext.0 > 0 || !self.early.is_empty()
    }

    /// Whether what is read now came before the client has shown that it is no recording.
    pub(super) fn is_early(&self) -> bool {
        self.is_handshaking()
    }

    /// Whether a read has something to say without asking the socket.
    pub(super) fn has_news(&self) -> bool {
        self.has_plaintext() || self.end != End::Open
    }

    pub(super) fn was_truncated(&self) -> bool {
        self.end == End::Truncated
    }

    /// Reads into the free capacity of `buffer`; zero is the end.
    pub(super) fn read(&mut self, socket: &Socket, buffer: &mut BytesMut) -> io::Result<usize> {
        let before = buffer.len();
        self.take_plaintext(buffer)?;
        while buffer.len() == before && self.end == End::Open {
            let room = buffer.capacity() - before;
            self.exchange(socket, room, Some(buffer))?;
        }
        Ok(buffer.len() - before)
    }

    /// Takes in up to `most` bytes from the socket, and keeps what they say. `most` must be below a record's size.
    pub(super) fn receive(&mut self, socket: &Socket, most: usize) -> io::Result<()> {
        self.exchange(socket, most, None)
    }

    /// Receives once.
    fn exchange(&mut self, socket: &Socket, most: usize, buffer: Option<&mut BytesMut>) -> io::Result<()> {
        RECEIVED.with_borrow_mut(|received| {
            received.clear();
            received.reserve(RECEIVE_BYTES);
            if socket.try_read_up_to(received, most)? == 0 {
                self.end = End::Truncated;
            }
            self.feed_or_tell(socket, received, buffer)
        })
    }

    /// Takes in what was received before there was a session; some of it has been fed already.
    pub(super) fn take_in(&mut self, socket: &Socket, received: &[u8]) -> io::Result<()> {
        let fed = self.process();
        self.tell(socket, fed)?;
        self.feed_or_tell(socket, received, None)
    }

    fn feed_or_tell(
        &mut self,
        socket: &Socket,
        received: &[u8],
        buffer: Option<&mut BytesMut>,
    ) -> io::Result<()> {
        let fed = self.feed(received, buffer);
        self.tell(socket, fed)
    }

    /// Tells the peer what is wrong with what it said, if anything is.
    fn tell(&mut self, socket: &Socket, fed: io::Result<()>) -> io::Result<()> {
        fed.inspect_err(|_| {
            // Whether the peer gets the alert makes no difference here.
            let _ = self.flush(socket);
        })
    }

    /// Feeds what was received, and hands on what it decrypts to.
    fn feed(&mut self, mut received: &[u8], mut buffer: Option<&mut BytesMut>) -> io::Result<()> {
        while !received.is_empty() && self.end == End::Open {
            self.connection.read_tls(&mut received)?;
            self.process()?;
            if let Some(buffer) = &mut buffer {
                self.take_plaintext(buffer)?;
            }
        }
        Ok(())
    }

    /// Works through what was fed.
    fn process(&mut self) -> io::Result<()> {
        let state = self
            .connection
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.plaintext = Plaintext(state.plaintext_bytes_to_read());
        self.take_early();
        if state.peer_has_closed() {
            self.end = End::Notified;
        }
        Ok(())
    }

    /// Moves early data out of the connection, which has it only as long as the handshake goes on.
    fn take_early(&mut self) {
        let Connection::Server(server) = &mut self.connection else { return };
        let Some(mut early) = server.early_data() else { return };
        let mut piece = [0; EARLY_PIECE_BYTES];
        while let Ok(count @ 1..) = early.read(&mut piece) {
            self.early.extend_from_slice(&piece[..count]);
        }
    }

    /// Moves decrypted bytes as far as there is room for them.
    fn take_plaintext(&mut self, buffer: &mut BytesMut) -> io::Result<()> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.capacity() - buffer.len());
            buffer.extend_from_slice(&self.early.split_to(count));
        }
        while self.plaintext.0 > 0 && buffer.len() < buffer.capacity() {
            let mut reader = self.connection.reader();
            let chunk = reader.fill_buf()?;
            let count = chunk.len().min(buffer.capacity() - buffer.len());
            buffer.extend_from_slice(&chunk[..count]);
            reader.consume(count);
            self.plaintext.0 -= count;
        }
        Ok(())
    }

    /// Encrypts what there is room for, and sends what the socket takes.
    pub(super) fn write(&mut self, socket: &Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_blocked {
            self.flush(socket)?;
        }
        let count = self.connection.writer().write_vectored(slices)?;
        match self.flush(socket) {
            Err(error) if !would_block(&error) => Err(error),
            Ok(()) | Err(_) => Ok(count),
        }
    }

    /// Sends all that is waiting, or says that the socket takes no more.
    pub(super) fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        self.is_blocked = false;
        while self.connection.wants_write() {
            if let Err(error) = self.connection.write_tls(&mut Outlet(socket)) {
                self.is_blocked = would_block(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn refresh_keys(&mut self) {
        self.connection.refresh_traffic_keys().expect("the handshake is done");
    }

    /// Says that nothing more comes, if the socket takes it.
    pub(super) fn close(&mut self, socket: &Socket) {
        self.connection.send_close_notify();
        // The peer may be gone already; then it needs no word.
        let _ = self.flush(socket);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("plaintext", &self.plaintext)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A socket as `rustls` writes to it.
struct Outlet<'a>(&'a Socket);

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
