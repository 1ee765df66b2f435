//! A connection as tokio's traits show one, for protocols whose engine reads and writes by itself (HTTP/2).
//!
//! It owns its stream: nobody else may read or write meanwhile. It has no timeouts; whoever drives the engine has them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A stream that can be read and written by polling.
#[derive(Debug)]
pub struct Duplex {
    stream: Stream,
}

impl Duplex {
    /// Takes a stream over.
    pub fn new(stream: Stream) -> Self {
        Self { stream }
    }

    /// Returns the stream, to look at.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
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
        let mut duplex = Duplex::new(Stream::Unix(ours));
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
