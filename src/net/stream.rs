//! A connection with just the operations that serving needs: a socket, or TLS over one.
//!
//! All methods take `&self`, so a request can be read while its answer is written. No method has a timeout: the
//! caller combines it with a [`super::timer::Timer`].

use std::{
    fs::File,
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    task::Context,
};

use bytes::BytesMut;
use tokio::net::{TcpStream, UnixStream};

use super::{Socket, tls::TlsStream};

/// A connected stream.
#[derive(Debug)]
pub enum Stream {
    /// What is written goes out as it is.
    Plain(Socket),
    /// What is written goes out encrypted.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Waits until there are bytes, the end or an error to read, or so it seems. Cancel safe.
    ///
    /// It also sends what was left over when the socket took no more.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.readable().await,
            Self::Tls(stream) => stream.readable().await,
        }
    }

    /// Waits until the socket takes bytes.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().writable().await
    }

    /// Reads into the free capacity of `buffer`, which the caller has reserved; zero is the end.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(buffer),
            Self::Tls(stream) => stream.try_read(buffer),
        }
    }

    /// Reads once into the free capacity of `buffer`. Cancel safe.
    pub async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                done => return done,
            }
        }
    }

    /// Writes what is taken at once.
    ///
    /// With TLS some of it may still wait for the socket: see [`Self::flush`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(stream) => stream.try_write(bytes),
        }
    }

    /// Writes at least one byte. Cancel safe.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                done => return done,
            }
        }
    }

    /// Writes at least one byte of several slices. Cancel safe.
    pub async fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(slices).await,
            Self::Tls(stream) => stream.write_vectored(slices).await,
        }
    }

    /// Writes at least one byte, telling the kernel that more follows at once (`MSG_MORE`). Cancel safe.
    pub async fn write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_more(bytes).await,
            Self::Tls(_) => self.write(bytes).await,
        }
    }

    /// Writes what is taken at once of several slices, as [`Self::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(slices),
            Self::Tls(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Sends what the socket takes at once of what was written before.
    pub fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.try_flush(),
        }
    }

    /// Waits until the socket has taken all that was written. Cancel safe.
    ///
    /// Whoever writes and then waits for something other than this stream must call it: what TLS has encrypted and the socket
    /// has not taken yet goes out only while somebody reads, writes or flushes.
    pub async fn flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush().await,
        }
    }

    /// Sends up to `len` bytes of a file from `offset`, without copying them where nothing is to be encrypted; zero is the
    /// end of the file. Cancel safe.
    pub async fn send_file(&self, file: &Arc<File>, offset: u64, len: u64) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.send_file(file, offset, len).await,
            Self::Tls(stream) => stream.send_file(file, offset, len).await,
        }
    }

    /// Waits for bytes or the peer's end, and says which it was without taking anything.
    pub async fn peek_end(&self) -> io::Result<PeerSide> {
        match self {
            Self::Plain(socket) => socket.peek_end().await,
            Self::Tls(stream) => stream.peek_end().await,
        }
    }

    /// Whether nothing has happened on an idle connection; then `context` is woken when something does.
    ///
    /// It takes a byte off to know, so what has not been quiet is of no use any more. What TLS says to itself, as tickets
    /// and new keys, is taken in and does not count.
    pub fn is_quiet(&self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Plain(socket) => socket.is_quiet(context),
            Self::Tls(stream) => stream.is_quiet(context),
        }
    }

    /// Ends our side: the peer reads the end after what was written.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown_write(),
            Self::Tls(stream) => stream.shutdown_write(),
        }
    }

    /// Sets `TCP_NODELAY`; nothing to do on other sockets.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.socket().set_nodelay()
    }

    /// Makes the close a reset that frees the socket at once (`reset_timedout_connection`).
    pub fn reset_on_close(&self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.forgo_goodbye();
        }
        self.socket().reset_on_close()
    }

    /// Returns the peer's address where it has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.socket().peer_address()
    }

    /// Returns our own address where it has one.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.socket().local_address()
    }

    /// Returns the socket underneath.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// Returns the TLS session, where there is one.
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream),
        }
    }
}

/// What the peer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerSide {
    /// Bytes are waiting to be read.
    Sending,
    /// It has closed its side.
    Closed,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream.into())
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Plain(stream.into())
    }
}

impl From<TlsStream> for Stream {
    fn from(stream: TlsStream) -> Self {
        Self::Tls(Box::new(stream))
    }
}
