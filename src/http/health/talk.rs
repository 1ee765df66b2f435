//! A request of a check and its answer, on a connection that may serve the next check too.

use std::{fmt, future::Future, io, task::Context, task::Waker, time::Duration};

use bytes::BytesMut;
use http1::{Chunk, ChunkLimits, ChunkedDecoder, Framing, Method, Progress, ResponseHead, ResponseParser};
use tokio::time::timeout;

use super::verdict::Mismatch;
use crate::{
    clock::{self, Moment},
    error_log::system_words,
    net::Stream,
};

/// Bytes of a body that are looked at, as nginx; what is longer is judged by its beginning.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Bytes that are asked for at a time.
const READ_BYTES: usize = 16 << 10;
/// What is being done, for the log.
const READING_HEAD: &str = "reading response header from upstream";
const READING_BODY: &str = "reading upstream";

/// Why a check failed.
pub enum Failure {
    /// The answer is not as wanted.
    Mismatch(Mismatch),
    /// There is none, though the peer had its time.
    Late {
        /// What was being done.
        during: &'static str,
    },
    /// There is none, since the connection or the answer is broken.
    Broken {
        /// What happened, in nginx's words.
        what: String,
        /// What was being done.
        during: &'static str,
    },
}

/// A connection between two checks.
pub struct Kept {
    stream: Stream,
    opened: Moment,
}

impl Kept {
    /// Begins to use a connection.
    pub fn new(stream: Stream) -> Self {
        Self { stream, opened: clock::moment() }
    }

    /// Says whether it may serve another check, if a connection serves for so long.
    pub fn may_serve(&self, keepalive_time: Duration) -> bool {
        // What comes unasked, as a 408, is no answer to the next request.
        self.opened.elapsed() < keepalive_time
            && self.stream.is_quiet(&mut Context::from_waker(Waker::noop()))
    }
}

/// A request and its answer on their way.
pub struct Talk {
    connection: Kept,
    input: BytesMut,
    /// How long each read may take.
    patience: Duration,
    received: u64,
    status: Option<u16>,
    stage: Stage,
}

/// How far it has come, as far as the connection's next use is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Something is still to come, or nobody knows.
    UnderWay,
    /// The peer keeps the connection, and its answer has a body that must be read before.
    BeforeBody,
    /// All of the answer is here, and the peer keeps the connection.
    Over,
}

impl Talk {
    /// Begins to talk over a connection.
    pub fn new(connection: Kept, patience: Duration) -> Self {
        Self {
            connection,
            input: BytesMut::new(),
            patience,
            received: 0,
            status: None,
            stage: Stage::UnderWay,
        }
    }

    /// Counts the bytes that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns the status of the answer, once its head is here.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Returns the connection where it may be used again.
    pub fn into_kept(self) -> Option<Kept> {
        (self.stage == Stage::Over && self.input.is_empty()).then_some(self.connection)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The connection's.
    pub async fn send(&mut self, mut request: &[u8], patience: Duration) -> Result<(), Failure> {
        let stream = &self.connection.stream;
        while !request.is_empty() {
            let sent = within(patience, "sending request to upstream", "send", stream.write(request)).await?;
            request = &request[sent..];
        }
        Ok(())
    }

    /// Reads a head of at most so many bytes that is not an interim one, and says how its body ends.
    ///
    /// # Errors
    /// The connection's, or those of the head.
    pub async fn head(&mut self, most: usize) -> Result<(ResponseHead, Framing), Failure> {
        let mut parser = ResponseParser::new();
        let mut head = ResponseHead::new();
        loop {
            let parsed = match self.input.is_empty() {
                true => Ok(Progress::NeedMore),
                false => parser.parse(&self.input, most, &mut head),
            };
            match parsed {
                Ok(Progress::Done(used)) => {
                    let _head = self.input.split_to(used);
                    if !matches!(head.status, 100 | 102..=199) {
                        break;
                    }
                    parser.reset();
                    head.clear();
                }
                Ok(Progress::NeedMore) => {
                    if self.receive(READING_HEAD).await? == 0 {
                        return Err(broken("upstream prematurely closed connection", READING_HEAD));
                    }
                }
                Err(error) => return Err(broken(&error.to_string(), READING_HEAD)),
            }
        }
        self.status = Some(head.status);
        let framing = http1::response_framing(&head, Method::Get)
            .map_err(|error| broken(&format!("upstream sent {error}"), READING_HEAD))?;
        if head.persists() {
            self.stage = if framing == Framing::Empty { Stage::Over } else { Stage::BeforeBody };
        }
        Ok((head, framing))
    }

    /// Reads the body up to its end or to what is looked at.
    ///
    /// # Errors
    /// The connection's; a body that ends too early is judged by what came.
    pub async fn body(&mut self, framing: Framing) -> Result<Vec<u8>, Failure> {
        match framing {
            Framing::Empty => Ok(Vec::new()),
            Framing::Length(length) => self.plain_body(length).await,
            Framing::UntilClose => self.plain_body(u64::MAX).await,
            Framing::Chunked => self.chunked_body().await,
        }
    }

    async fn plain_body(&mut self, length: u64) -> Result<Vec<u8>, Failure> {
        let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(BODY_BYTES_MAX);
        while self.input.len() < wanted && self.receive(READING_BODY).await? > 0 {}
        let count = self.input.len().min(wanted);
        if count as u64 == length {
            self.end();
        }
        Ok(self.input.split_to(count).to_vec())
    }

    async fn chunked_body(&mut self) -> Result<Vec<u8>, Failure> {
        let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
        let mut body = Vec::new();
        while body.len() < BODY_BYTES_MAX {
            match decoder.decode(&self.input) {
                Ok(Chunk::NeedMore { used }) => {
                    drop(self.input.split_to(used));
                    if self.receive(READING_BODY).await? == 0 {
                        break;
                    }
                }
                Ok(Chunk::Payload { skip, len }) => {
                    drop(self.input.split_to(skip));
                    body.extend_from_slice(&self.input.split_to(len));
                }
                Ok(Chunk::End { used }) => {
                    drop(self.input.split_to(used));
                    self.end();
                    break;
                }
                Err(_) => return Err(broken("upstream sent invalid chunked response", READING_BODY)),
            }
        }
        body.truncate(BODY_BYTES_MAX);
        Ok(body)
    }

    /// All of the body is here.
    fn end(&mut self) {
        if self.stage == Stage::BeforeBody {
            self.stage = Stage::Over;
        }
    }

    async fn receive(&mut self, during: &'static str) -> Result<usize, Failure> {
        self.input.reserve(READ_BYTES);
        let reading = self.connection.stream.read(&mut self.input);
        let count = within(self.patience, during, "recv", reading).await?;
        self.received += count as u64;
        Ok(count)
    }
}

/// Waits for what a peer is to do, for as long as it may take.
///
/// # Errors
/// It took longer, or `call` failed.
pub async fn within<T>(
    patience: Duration,
    during: &'static str,
    call: &str,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    match timeout(patience, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(broken(&format!("{call}() failed ({})", system_words(&error)), during)),
        Err(_elapsed) => Err(Failure::Late { during }),
    }
}

fn broken(what: &str, during: &'static str) -> Failure {
    Failure::Broken { what: what.to_owned(), during }
}

impl Failure {
    /// Says what was being done.
    pub fn during(&self) -> &'static str {
        match self {
            Self::Mismatch(mismatch) => mismatch.words(),
            Self::Late { during } | Self::Broken { during, .. } => during,
        }
    }
}

/// What happened and what was being done.
impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch(mismatch) => out.write_str(mismatch.words()),
            Self::Late { during } => {
                write!(out, "upstream timed out (110: Connection timed out) while {during}")
            }
            Self::Broken { what, during } => write!(out, "{what} while {during}"),
        }
    }
}
