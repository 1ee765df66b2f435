//! A connection as tokio's traits show one, for protocols whose engine reads and writes by itself (HTTP/2).
//!
//! It owns its stream: nobody else may read or write meanwhile. It has no timeouts; whoever drives the engine has them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Stream;

/// Bytes that one read of the stream asks for.
const READ_BYTES: usize = 16 << 10;

/// A stream that can be read and written by polling.
#[derive(Debug)]
pub struct Duplex {
    stream: Stream,
    /// What was read and has found no room yet.
    input: BytesMut,
}

impl Duplex {
    /// Takes a stream over.
    pub fn new(stream: Stream) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// Returns the stream, to look at.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    fn poll_flush_stream(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.stream.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.socket().poll_write_ready(context))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, input } = &mut *self;
        while input.is_empty() {
            input.reserve(READ_BYTES);
            match stream.try_read(input) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.socket().poll_read_ready(context))?;
                }
                Ok(0) => return Poll::Ready(Ok(())),
                read => drop(read?),
            }
        }
        let count = input.len().min(buffer.remaining());
        buffer.put_slice(&input[..count]);
        input.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.socket().poll_write_ready(context))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_stream(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush_stream(context))?;
        Poll::Ready(self.stream.shutdown_write())
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways_and_the_end_too() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut duplex = Duplex::new(ours.into());
        duplex.write_all(b"ping").await.expect("room");
        theirs.write_all(b"pong").await.expect("room");
        let mut read = [0; 4];
        theirs.read_exact(&mut read).await.expect("four bytes");
        assert_eq!(&read, b"ping");
        duplex.read_exact(&mut read).await.expect("four bytes");
        assert_eq!(&read, b"pong");
        duplex.shutdown().await.expect("an end");
        assert_eq!(theirs.read(&mut read).await.expect("an end"), 0);
    }
}
