//! A connection as tokio's traits show one, that gathers what is written: for servers, whose engine (h2) writes the frames of
//! many streams at a time.
//!
//! It goes out when much has gathered, or when whoever drives the engine has nothing left to do ([`Outlet`]): many frames
//! cost one system call. A flush does nothing for that reason.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Stream;

/// Both directions of a connection, and what was read before it began.
pub struct Gathering {
    stream: Rc<Stream>,
    /// What was read and not asked for yet.
    input: BytesMut,
    output: Rc<RefCell<Output>>,
}

/// Where what a [`Gathering`] has gathered goes out.
pub struct Outlet {
    stream: Rc<Stream>,
    output: Rc<RefCell<Output>>,
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    /// How many of them the socket has taken.
    taken: usize,
    /// How many it has taken at all.
    total: u64,
    failed: Option<io::ErrorKind>,
}

/// Bytes that one read asks for.
const READ_BYTES: usize = 16 << 10;
/// Bytes that gather at most.
const GATHERED_BYTES: usize = 64 << 10;
/// Memory that stays with a connection when all is out.
const KEPT_BYTES: usize = 16 << 10;

impl Gathering {
    /// Takes charge of a connection of which these bytes have been read.
    pub fn new(stream: Rc<Stream>, input: BytesMut) -> (Self, Outlet) {
        let output = Rc::new(RefCell::default());
        let outlet = Outlet { stream: Rc::clone(&stream), output: Rc::clone(&output) };
        (Self { stream, input, output }, outlet)
    }
}

impl AsyncRead for Gathering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, input, output } = &mut *self;
        if let Some(failed) = output.borrow().failed {
            return Poll::Ready(Err(failed.into()));
        }
        while input.is_empty() {
            input.clear();
            input.reserve(READ_BYTES);
            match stream.try_read(input) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.socket().poll_read_ready(context))?
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let count = input.len().min(buffer.remaining());
        buffer.put_slice(&input[..count]);
        input.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gathering {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut output = self.output.borrow_mut();
        ready!(output.make_room(&self.stream, context))?;
        Poll::Ready(Ok(output.gather(bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut output = self.output.borrow_mut();
        ready!(output.make_room(&self.stream, context))?;
        Poll::Ready(Ok(slices.iter().map(|slice| output.gather(slice)).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.output.borrow_mut().send(&self.stream, context))?;
        Poll::Ready(self.stream.shutdown_write())
    }
}

impl Outlet {
    /// Runs what reads and writes the [`Gathering`], and sends what has gathered whenever that waits.
    pub async fn drive<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            let done = work.as_mut().poll(context);
            if done.is_pending() {
                self.send(context);
            }
            done
        })
        .await
    }

    /// Sends as much as the socket takes; `context` is woken when it takes more. Where that fails, the next read tells.
    pub fn send(&self, context: &mut Context<'_>) {
        let mut output = self.output.borrow_mut();
        if let Poll::Ready(Err(error)) = output.send(&self.stream, context)
            && output.failed.is_none()
        {
            output.failed = Some(error.kind());
            context.waker().wake_by_ref();
        }
    }

    /// Returns how many bytes wait for the socket to take them.
    pub fn waiting(&self) -> usize {
        let output = self.output.borrow();
        output.bytes.len() - output.taken
    }

    /// Returns how many bytes the socket has taken.
    pub fn taken(&self) -> u64 {
        self.output.borrow().total
    }
}

impl Output {
    /// Sends where there is no room to gather more.
    fn make_room(&mut self, stream: &Stream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.bytes.len() < GATHERED_BYTES { Poll::Ready(Ok(())) } else { self.send(stream, context) }
    }

    fn gather(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(GATHERED_BYTES.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..count]);
        count
    }

    fn send(&mut self, stream: &Stream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken < self.bytes.len() {
            match stream.try_write(&self.bytes[self.taken..]) {
                Ok(count) => {
                    self.taken += count;
                    self.total += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.socket().poll_write_ready(context))?
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        loop {
            match stream.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.socket().poll_write_ready(context))?;
                }
                done => break done?,
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.taken = 0;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;

    fn pair(arrived: &[u8]) -> (Gathering, Outlet, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (duplex, outlet) = Gathering::new(Rc::new(ours.into()), BytesMut::from(arrived));
        (duplex, outlet, theirs)
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (mut duplex, _outlet, mut theirs) = pair(b"first, ");
        theirs.write_all(b"then").await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut text = String::new();
        duplex.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "first, then");
    }

    #[tokio::test]
    async fn what_is_written_goes_out_when_the_driver_waits() {
        let (mut duplex, outlet, mut theirs) = pair(b"");
        for word in ["one ", "two ", "three"] {
            duplex.write_all(word.as_bytes()).await.unwrap();
            duplex.flush().await.unwrap();
        }
        assert_eq!((outlet.waiting(), outlet.taken()), (13, 0));
        let mut buffer = [0; 64];
        let read = outlet.drive(theirs.read(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..read], b"one two three");
        assert_eq!((outlet.waiting(), outlet.taken()), (0, 13));
    }

    #[tokio::test]
    async fn an_end_comes_behind_what_was_written_however_much_it_is() {
        let (mut duplex, outlet, mut theirs) = pair(b"");
        let many = vec![7; 1 << 20];
        let mut read = Vec::new();
        let write = async {
            duplex.write_all(&many).await.unwrap();
            duplex.shutdown().await.unwrap();
        };
        tokio::join!(outlet.drive(write), async { theirs.read_to_end(&mut read).await.unwrap() });
        assert!(read == many);
    }

    #[tokio::test]
    async fn a_connection_that_is_lost_ends_the_reading() {
        let (mut duplex, outlet, theirs) = pair(b"");
        duplex.write_all(b"nobody reads this").await.unwrap();
        drop(theirs);
        let mut buffer = [0; 8];
        let error = outlet.drive(async {
            tokio::task::yield_now().await;
            duplex.read(&mut buffer).await
        });
        assert_eq!(error.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
