//! The body of a request: framing taken off, limits kept, read only when somebody wants it.
//!
//! It is either streamed piece by piece or collected whole, in memory up to
//! `client_body_buffer_size` and in a temporary file beyond. What nobody read is discarded at the end,
//! so that the connection can be used again.

mod spool;

use std::{borrow::Cow, io, rc::Rc, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use config::{BodyInFile, CoreConf};
use http1::{Chunk, ChunkLimits, ChunkedDecoder, Fields, Framing};

pub use self::spool::BodyFile;
use self::spool::Spool;
use super::{
    Exchange,
    client::{Client, Interim},
    fault::{self, Fault, Kind, Side},
};
use crate::{error_log::Level, net::Timer};

/// A request's body while it is being read.
pub struct RequestBody {
    stage: Stage,
    expectation: Expectation,
    /// Whether the client said that there is one; it may be of no bytes all the same.
    announced: bool,
    received: u64,
    payload: u64,
    /// Payload that was taken before it was asked for.
    ahead: Option<Bytes>,
    collected: Option<Collected>,
    /// Fields behind the body.
    trailers: Option<Arc<Fields>>,
    timer: Option<Timer>,
}

/// What the client waits for before it sends the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    None,
    /// `100 Continue`.
    Continue,
}

enum Stage {
    Done,
    Length {
        left: u64,
    },
    Chunked(Box<ChunkedDecoder>),
    /// The front knows the end.
    UntilEnd,
    Broken,
}

/// A body that has been read whole.
#[derive(Clone, Debug)]
pub enum Collected {
    /// In memory.
    Memory(Bytes),
    /// In a temporary file.
    File(BodyFile),
}

/// What is kept to while a body is read.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most bytes of payload; zero is no limit (`client_max_body_size`).
    pub payload_bytes: u64,
    /// Longest pause between two reads (`client_body_timeout`).
    pub timeout: Duration,
}

impl BodyLimits {
    /// Takes the limits of a location.
    pub fn of(core: &CoreConf) -> Self {
        Self { payload_bytes: *core.client_max_body_size, timeout: *core.client_body_timeout }
    }
}

impl RequestBody {
    /// Sets up the reading of a body with that framing.
    pub fn new(framing: Framing, expectation: Expectation) -> Self {
        let announced = framing != Framing::Empty;
        let stage = match framing {
            Framing::Empty | Framing::Length(0) => Stage::Done,
            Framing::UntilClose => Stage::UntilEnd,
            Framing::Length(left) => Stage::Length { left },
            Framing::Chunked => Stage::Chunked(Box::new(ChunkedDecoder::new(ChunkLimits::default()))),
        };
        let (received, payload, ahead, collected, trailers, timer) = (0, 0, None, None, None, None);
        Self { stage, expectation, announced, received, payload, ahead, collected, trailers, timer }
    }

    /// Returns what has been read, as the body of a request that is a part of this one.
    pub fn share(&self) -> Self {
        let collected = self.collected.clone();
        Self { collected, ..Self::new(Framing::Empty, Expectation::None) }
    }

    /// Returns the bytes still announced by Content-Length; none where nobody has announced them.
    pub fn length(&self) -> Option<u64> {
        match (&self.collected, &self.stage) {
            (Some(Collected::Memory(bytes)), _) => Some(bytes.len() as u64),
            (Some(Collected::File(file)), _) => Some(file.slice.len),
            (None, Stage::Length { left }) => Some(*left),
            (None, Stage::Chunked(_) | Stage::UntilEnd) => None,
            (None, Stage::Done | Stage::Broken) => Some(0),
        }
    }

    /// Returns its announced length where that is over a limit; 0 is no limit. Whatever answers then gets no body.
    pub fn refuse_over(&mut self, limit: u64) -> Option<u64> {
        let length = self.length().filter(|length| limit > 0 && *length > limit)?;
        self.give_up();
        Some(length)
    }

    /// As nginx: the page of an error that has to do with the body is asked for without it.
    fn give_up(&mut self) {
        self.collected = Some(Collected::Memory(Bytes::new()));
    }

    /// Returns the bytes taken from the connection, framing included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether nothing is left to read from the connection.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Whether the request has none, not even an empty one that was announced.
    pub fn is_absent(&self) -> bool {
        !self.announced && self.is_done()
    }

    /// Returns the whole body, where it has been collected.
    pub fn collected(&self) -> Option<&Collected> {
        self.collected.as_ref()
    }

    /// Returns the fields that stood behind the body, once all of it was read.
    pub fn trailers(&self) -> Option<&Arc<Fields>> {
        self.trailers.as_ref()
    }

    /// Whether the whole body is in the client's input.
    pub fn has_arrived(&self, client: &Client) -> bool {
        if client.has_sent_all() {
            return true;
        }
        let input = client.input.borrow();
        if let Some(length) = self.length() {
            return input.len() as u64 >= length;
        }
        if matches!(self.stage, Stage::UntilEnd) {
            return false;
        }
        let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
        let mut at = 0;
        loop {
            match decoder.decode(&input[at..]) {
                Ok(Chunk::Payload { skip, len }) => at += skip + len,
                Ok(Chunk::End { .. }) => return true,
                Ok(Chunk::NeedMore { .. }) | Err(_) => return false,
            }
        }
    }

    /// Looks at the chunks that have arrived, so that a body that is broken there already reaches nobody.
    ///
    /// # Errors
    /// It is too large, or its framing is broken.
    pub fn look_ahead(&mut self, client: &Client, limits: BodyLimits) -> Result<(), Fault> {
        if matches!(self.stage, Stage::Chunked(_)) && self.ahead.is_none() {
            self.ahead = self.take(&mut client.input.borrow_mut(), limits)?;
        }
        Ok(())
    }

    /// Reads the next piece; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The client's faults: gone, too slow, too large, broken framing.
    pub async fn next(&mut self, client: &Client, limits: BodyLimits) -> Result<Option<Bytes>, Fault> {
        if let Some(bytes) = self.ahead.take() {
            return Ok(Some(bytes));
        }
        loop {
            if let Some(bytes) = self.take(&mut client.input.borrow_mut(), limits)? {
                return Ok(Some(bytes));
            }
            if matches!(self.stage, Stage::Done) {
                return Ok(None);
            }
            self.say_continue(client).await?;
            let timer = self.timer.get_or_insert_with(|| Timer::new(limits.timeout));
            match timer.within(limits.timeout, client.receive()).await {
                Ok(1..) => {}
                Ok(0) if matches!(self.stage, Stage::UntilEnd) => {
                    self.stage = Stage::Done;
                    self.trailers = client.trailers().map(Arc::new);
                }
                Ok(0) => return Err(self.broken(Kind::Connection, "client prematurely closed connection")),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(self.broken(Kind::Timeout, "client timed out"));
                }
                Err(error) => return Err(self.broken(Kind::Connection, error.to_string())),
            }
        }
    }

    /// Takes payload that has already arrived.
    fn take(&mut self, input: &mut BytesMut, limits: BodyLimits) -> Result<Option<Bytes>, Fault> {
        if input.is_empty() {
            return Ok(None);
        }
        match &mut self.stage {
            Stage::Done | Stage::Broken => Ok(None),
            Stage::Length { left } => {
                let count = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                if *left == 0 {
                    self.stage = Stage::Done;
                }
                self.received += count as u64;
                self.payload += count as u64;
                Ok(Some(input.split_to(count).freeze()))
            }
            Stage::Chunked(_) => self.take_chunks(input, limits),
            Stage::UntilEnd => {
                self.received += input.len() as u64;
                self.payload += input.len() as u64;
                if limits.payload_bytes > 0 && self.payload > limits.payload_bytes {
                    self.stage = Stage::Broken;
                    self.give_up();
                    return Err(Fault::body_too_large(self.payload));
                }
                Ok(Some(input.split().freeze()))
            }
        }
    }

    /// Takes all payload that is there. As nginx: none of it, where the framing behind it is broken.
    fn take_chunks(&mut self, input: &mut BytesMut, limits: BodyLimits) -> Result<Option<Bytes>, Fault> {
        let Some(mut payload) = self.take_chunk(input, limits)? else { return Ok(None) };
        while !input.is_empty() {
            match self.take_chunk(input, limits)? {
                Some(more) => payload.extend_from_slice(&more),
                None => break,
            }
        }
        Ok(Some(payload.freeze()))
    }

    fn take_chunk(&mut self, input: &mut BytesMut, limits: BodyLimits) -> Result<Option<BytesMut>, Fault> {
        let Stage::Chunked(decoder) = &mut self.stage else { return Ok(None) };
        let Ok(chunk) = decoder.decode(input) else {
            return Err(self.broken(Kind::InvalidBody, "client sent invalid chunked body"));
        };
        let (before, mut announced) = (self.payload, decoder.announced());
        let bytes = match chunk {
            Chunk::NeedMore { used } => {
                self.received += used as u64;
                input.advance(used);
                None
            }
            Chunk::End { used } => {
                self.received += used as u64;
                input.advance(used);
                if let Stage::Chunked(decoder) = std::mem::replace(&mut self.stage, Stage::Done) {
                    let trailers = decoder.trailers();
                    self.trailers = (!trailers.is_empty()).then(|| Arc::new(trailers));
                }
                None
            }
            Chunk::Payload { skip, len } => {
                input.advance(skip);
                self.received += (skip + len) as u64;
                self.payload += len as u64;
                announced += len as u64;
                Some(input.split_to(len))
            }
        };
        // As nginx: a chunk that says that it is too large is not waited for.
        if limits.payload_bytes > 0 && before.saturating_add(announced) > limits.payload_bytes {
            let detail =
                format!("client intended to send too large chunked body: {before}+{announced} bytes");
            return Err(self.broken(Kind::BodyTooLarge, detail));
        }
        Ok(bytes)
    }

    fn broken(&mut self, kind: Kind, detail: impl Into<Cow<'static, str>>) -> Fault {
        self.stage = Stage::Broken;
        self.give_up();
        Fault::new(Side::Client, kind, detail)
    }

    /// Answers `Expect: 100-continue`, once, when the body is first waited for.
    async fn say_continue(&mut self, client: &Client) -> Result<(), Fault> {
        if std::mem::replace(&mut self.expectation, Expectation::None) == Expectation::None {
            return Ok(());
        }
        let sent = client.send_interim(&Interim { status: 100, reason: None, fields: Fields::new() }).await;
        sent.map_err(|error| self.broken(Kind::Connection, error.to_string()))
    }

    /// Reads the whole body; later calls return the same.
    ///
    /// # Errors
    /// The client's faults, and ours where the temporary file cannot be written.
    pub async fn collect(&mut self, client: &Client, core: &CoreConf) -> Result<&Collected, Fault> {
        if self.collected.is_none() {
            let collected = self.read_whole(client, core).await?;
            self.collected = Some(collected);
        }
        Ok(self.collected.as_ref().expect("it was collected just now"))
    }

    async fn read_whole(&mut self, client: &Client, core: &CoreConf) -> Result<Collected, Fault> {
        let limits = BodyLimits::of(core);
        let most = memory_bytes(core, self.length(), client.input.borrow().len() as u64);
        let mut memory = BytesMut::new();
        let mut spool: Option<Spool> = None;
        while let Some(bytes) = self.next(client, limits).await? {
            memory.extend_from_slice(&bytes);
            if memory.len() as u64 > most {
                let file = match spool.take() {
                    Some(file) => file,
                    None => Spool::create(core).await?,
                };
                spool = Some(file.append(memory.split().freeze()).await?);
            }
        }
        let spool = match spool {
            None if most == 0 && self.announced => Spool::create(core).await?,
            None => return Ok(Collected::Memory(memory.freeze())),
            Some(spool) => spool.append(memory.freeze()).await?,
        };
        Ok(Collected::File(spool.finish()))
    }

    /// Drops what has arrived, so that a body that is broken shows before the answer promises to go on.
    ///
    /// # Errors
    /// Its framing is broken.
    pub fn discard_arrived(&mut self, client: &Client) -> Result<(), Fault> {
        let limits = BodyLimits { payload_bytes: 0, timeout: Duration::ZERO };
        // As nginx: what is dropped is no part of `$request_length`.
        let received = self.received;
        let broken = loop {
            match self.take(&mut client.input.borrow_mut(), limits) {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        self.received = received;
        broken
    }

    /// Reads and drops what is left. Cancel safe.
    ///
    /// # Errors
    /// The client's faults.
    pub async fn discard(&mut self, client: &Client, timeout: Duration) -> Result<(), Fault> {
        // The client that still waits for leave to send has its answer already: it will not send.
        self.expectation = Expectation::None;
        let limits = BodyLimits { payload_bytes: 0, timeout };
        while self.next(client, limits).await?.is_some() {}
        Ok(())
    }
}

/// Reads the whole body of a request, and says so where it went into a file.
///
/// # Errors
/// The client's faults, and ours where the temporary file cannot be written.
pub async fn collect(exchange: &mut Exchange) -> Result<(), Fault> {
    if exchange.body.collected().is_some() {
        return Ok(());
    }
    let (client, location) = (Rc::clone(&exchange.client), Arc::clone(&exchange.location));
    exchange.body.collect(&client, &location.core).await?;
    if let Some(Collected::File(file)) = exchange.body.collected() {
        // As nginx: a file that was asked for is no reason to warn.
        let level = match *location.core.client_body_in_file_only {
            BodyInFile::Off => Level::Warn,
            BodyInFile::Clean | BodyInFile::On => Level::Notice,
        };
        let words = "a client request body is buffered to a temporary file";
        fault::report(exchange, level, format_args!("{words} {}", file.path.display()));
    }
    Ok(())
}

/// A body that arrived together with the head is in memory already, up to this size.
const PREREAD_BYTES: u64 = 1024;

/// Returns how much of a body stays in memory. As nginx: a little more than the buffer where that is all of it.
fn memory_bytes(core: &CoreConf, length: Option<u64>, arrived: u64) -> u64 {
    let buffer = (*core.client_body_buffer_size).max(arrived.min(PREREAD_BYTES));
    match (*core.client_body_in_file_only, length) {
        (BodyInFile::Clean | BodyInFile::On, _) => 0,
        (BodyInFile::Off, Some(length)) if length < buffer.saturating_add(buffer / 4) => length,
        (BodyInFile::Off, _) => buffer,
    }
}

#[cfg(test)]
mod tests {
    use config::Setting;
    use tokio::net::UnixStream;

    use super::*;

    /// Collects a body with that directive, and lets `look` see it before the request is over.
    async fn collected(in_file: BodyInFile, look: impl FnOnce(&Collected)) -> Vec<std::path::PathBuf> {
        let directory = tempfile::tempdir().unwrap();
        let (_peer, socket) = UnixStream::pair().unwrap();
        let client = Client::new(socket.into(), 1, 0);
        client.input.borrow_mut().extend_from_slice(b"hello");
        let mut core =
            CoreConf { client_body_in_file_only: Setting::written(in_file), ..CoreConf::default() };
        core.client_body_temp_path
            .default_to(config::TempPath { path: directory.path().into(), levels: vec![] });
        let mut body = RequestBody::new(Framing::Length(5), Expectation::None);
        look(body.collect(&client, &core).await.unwrap());
        drop(body);
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[tokio::test]
    async fn a_small_body_is_in_a_file_only_where_that_is_asked_for() {
        let left = collected(BodyInFile::Off, |body| {
            assert!(matches!(body, Collected::Memory(bytes) if bytes == "hello"));
        });
        assert!(left.await.is_empty());
        for (in_file, stays) in [(BodyInFile::Clean, 0), (BodyInFile::On, 1)] {
            let left = collected(in_file, |body| {
                let Collected::File(file) = body else { panic!("in memory") };
                assert_eq!(std::fs::read(&file.path).unwrap(), b"hello");
                assert_eq!(file.slice.len, 5);
            });
            assert_eq!(left.await.len(), stays, "{in_file:?}");
        }
    }

    #[test]
    fn a_body_a_little_larger_than_the_buffer_stays_in_memory() {
        let core = |in_file| CoreConf {
            client_body_in_file_only: Setting::written(in_file),
            client_body_buffer_size: Setting::written(400),
            ..CoreConf::default()
        };
        let cases = [
            (BodyInFile::Off, Some(10), 0, 10),
            (BodyInFile::Off, Some(499), 0, 499),
            (BodyInFile::Off, Some(500), 0, 400),
            (BodyInFile::Off, Some(1000), 1000, 1000),
            (BodyInFile::Off, Some(5000), 5000, 1024),
            (BodyInFile::Off, None, 0, 400),
            (BodyInFile::On, Some(10), 10, 0),
            (BodyInFile::Clean, None, 0, 0),
        ];
        for (in_file, length, arrived, wanted) in cases {
            assert_eq!(memory_bytes(&core(in_file), length, arrived), wanted, "{in_file:?} {length:?}");
        }
    }
}
