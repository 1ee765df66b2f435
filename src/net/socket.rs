//! A connected socket of either kind: the system calls behind [`super::Stream`].
//!
//! Each operation tries the system call first and waits only where the kernel says so.

#![expect(unsafe_code, reason = "a buffer is filled by the kernel without being zeroed first")]

use std::{
    fs::File,
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use nix::sys::{
    sendfile::sendfile64,
    socket::{MsgFlags, send},
};
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

use super::PeerSide;

/// A connected stream socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A UNIX-domain socket.
    Unix(UnixStream),
}

/// Bytes that one `sendfile` call may move, so that one client cannot hold an event loop.
const SENDFILE_PIECE_BYTES: u64 = 2 << 20;

impl Socket {
    /// Waits until there are bytes, the end or an error to read.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Waits until the socket takes bytes.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Reads into the free capacity of `buffer`, which the caller has reserved; zero is the end.
    ///
    /// A read that does not fill the buffer has emptied the socket: it is taken for not readable until the kernel
    /// says otherwise, which saves the read that would only find that out.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.try_read_up_to(buffer, usize::MAX)
    }

    /// As [`Self::try_read`], `most` bytes at most.
    pub fn try_read_up_to(&self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        let free = buffer.spare_capacity_mut();
        let most = most.min(free.len());
        let free = &mut free[..most];
        let mut partial = None;
        let mut receive = || {
            let count = SockRef::from(self).recv(free)?;
            if count == 0 || count == free.len() {
                return Ok(count);
            }
            partial = Some(count);
            Err(io::ErrorKind::WouldBlock.into())
        };
        let received = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, &mut receive),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, &mut receive),
        };
        let count = partial.map_or(received, Ok)?;
        // SAFETY: the kernel has written `count` bytes to the start of the spare capacity.
        unsafe { buffer.set_len(buffer.len() + count) };
        Ok(count)
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

    /// Writes what the socket takes at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
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

    /// Writes what the socket takes at once of several slices.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            Self::Unix(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Writes at least one byte of several slices. Cancel safe.
    pub async fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                done => return done,
            }
        }
    }

    /// Writes at least one byte, telling the kernel that more follows at once (`MSG_MORE`). Cancel safe.
    pub async fn write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let more = MsgFlags::from_bits_retain(libc::MSG_MORE);
        let flags = more | MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        self.io(Interest::WRITABLE, || Ok(send(self.as_fd().as_raw_fd(), bytes, flags)?)).await
    }

    /// Sends up to `len` bytes of a file from `offset` without copying them; zero is the end of the file. Cancel safe.
    pub async fn send_file(&self, file: &File, offset: u64, len: u64) -> io::Result<usize> {
        let count = usize::try_from(len.min(SENDFILE_PIECE_BYTES)).expect("2 MiB fit");
        let mut position = i64::try_from(offset).map_err(io::Error::other)?;
        self.io(Interest::WRITABLE, || Ok(sendfile64(self.as_fd(), file, Some(&mut position), count)?)).await
    }

    async fn io<R>(&self, interest: Interest, mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        match self {
            Self::Tcp(stream) => stream.async_io(interest, &mut call).await,
            Self::Unix(stream) => stream.async_io(interest, &mut call).await,
        }
    }

    /// Waits for bytes or the peer's end, and says which it was without taking anything.
    pub async fn peek_end(&self) -> io::Result<PeerSide> {
        let mut byte = [0];
        let count = match self {
            Self::Tcp(stream) => stream.peek(&mut byte).await?,
            Self::Unix(_) => {
                let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
                self.io(Interest::READABLE, || {
                    Ok(nix::sys::socket::recv(self.as_fd().as_raw_fd(), &mut byte, flags)?)
                })
                .await?
            }
        };
        Ok(if count == 0 { PeerSide::Closed } else { PeerSide::Sending })
    }

    /// Whether nothing has happened on an idle connection; then `context` is woken when something does.
    ///
    /// It takes a byte off to know, so what has not been quiet is of no use any more.
    pub fn is_quiet(&self, context: &mut Context<'_>) -> bool {
        loop {
            match self.poll_read_ready(context) {
                Poll::Pending => return true,
                Poll::Ready(Err(_)) => return false,
                // It may be left over from what was read before: only reading tells.
                Poll::Ready(Ok(())) => match self.try_read_byte() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return false,
                },
            }
        }
    }

    fn try_read_byte(&self) -> io::Result<usize> {
        let mut byte = [0];
        match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        }
    }

    /// Says whether there may be something to read; else `context` is woken when there is.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }

    /// Says whether there may be room to write; else `context` is woken when there is.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
        }
    }

    /// Waits until there is something to read or room to write. Cancel safe.
    pub async fn readable_or_writable(&self) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.ready(both).await.map(drop),
            Self::Unix(stream) => stream.ready(both).await.map(drop),
        }
    }

    /// Ends our side: the peer reads the end after what was written.
    pub fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(std::net::Shutdown::Write)
    }

    /// Sets `TCP_NODELAY`; nothing to do on other sockets.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Makes the close a reset that frees the socket at once (`reset_timedout_connection`).
    pub fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    /// Returns the peer's address where it has one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Returns our own address where it has one.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}
