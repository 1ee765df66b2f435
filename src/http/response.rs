//! An answer before it is written: status, fields, body.
//!
//! Fields that nginx writes in fixed places (Content-Type, Content-Length, Last-Modified, Location)
//! have slots of their own; all others stay in the order in which they came. Filters edit this
//! value; only a front (`h1`, `h2`) turns it into bytes.

mod head;

use std::{
    fs::File,
    ops::Range,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http1::Fields;

pub use self::head::{Decimal, each_slot, ends_with_head, has_date, has_server};
use super::{
    Exchange, Fault,
    fault::Context,
    filter::{ArrivingParts, Assembling, Compressing, Decompressing},
    proxy::{
        ahead::ReadAhead,
        cache::fill::FillReader,
        transport::{Upgraded, UpstreamBody},
    },
    slice::Slices,
};

/// What a client is sent for one request.
pub struct Response {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase of an upstream, where it came with one; otherwise nginx's for the status.
    pub reason: Option<Bytes>,
    /// Content-Type.
    pub content_type: Option<Bytes>,
    /// Content-Length, where the length of the whole body is known.
    pub content_length: Option<u64>,
    /// When the content changed last (Last-Modified).
    pub last_modified: Option<LastModified>,
    /// Location that the front completes to an absolute one where `absolute_redirect` says so.
    pub location: Option<Vec<u8>>,
    /// Fields shared with other answers from the same stored file; written before [`Self::fields`].
    pub shared: Option<Arc<SharedFields>>,
    /// All other fields, in order.
    pub fields: Fields,
    /// Whether caches are told that it depends on Accept-Encoding (`gzip_vary`).
    pub varies_by_encoding: bool,
    /// Whether ranges of this body may be asked for.
    pub ranges: Ranges,
    /// Whose head it is.
    pub author: Author,
    /// Who answers If-Modified-Since, If-None-Match and their kind.
    pub conditions: Conditions,
    /// The body.
    pub body: Body,
    /// Why it is no answer after all.
    pub refused: Option<Box<Fault>>,
}

/// Fields formatted once and sent many times.
#[derive(Debug, Default)]
pub struct SharedFields {
    /// The fields, for variables and filters.
    pub fields: Fields,
    /// The same as header lines, each with its CR LF.
    pub lines: Vec<u8>,
    /// The same as HTTP/2 sends them, made when they are first sent so.
    pub over_http2: OnceLock<Box<[(HeaderName, HeaderValue)]>>,
}

/// When the content changed last, and who tells the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastModified {
    /// We do, in the place that nginx has for it.
    Ours(SystemTime),
    /// The upstream does: its field stands where it came, among the others. Nothing is what is no date.
    Upstream(Option<SystemTime>),
}

impl LastModified {
    /// Returns the time, for conditions.
    pub fn time(self) -> Option<SystemTime> {
        match self {
            Self::Ours(time) => Some(time),
            Self::Upstream(time) => time,
        }
    }
}

/// Whether parts of a body may be asked for (`Accept-Ranges`, `proxy_force_ranges`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// Range is ignored.
    Refused,
    /// One range at a time.
    Single,
    /// Any ranges up to `max_ranges`.
    Allowed,
}

/// Who wrote the head of an answer, at first or for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// We did.
    Us,
    /// An upstream did: its Date and Server may be passed on in the place of ours.
    Upstream,
}

/// Who answers conditions of the request (If-Modified-Since, If-None-Match, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// We do: the answer is our own, or may be stored.
    Ours,
    /// The upstream did: it saw them, and its answer is passed on as it is.
    Upstream,
}

/// The bytes after the head.
pub enum Body {
    /// None.
    Empty,
    /// In memory, whole.
    Memory(Bytes),
    /// Part of an open file.
    File(FileSlice),
    /// Several pieces in order (multipart ranges).
    Pieces(Vec<Piece>),
    /// None: after the head both sides talk freely (a WebSocket).
    Tunnel(Box<Upgraded>),
    /// Still arriving.
    Stream {
        /// Where it comes from.
        source: Source,
        /// The only part that is sent, in bytes of the whole body.
        window: Option<Range<u64>>,
    },
}

/// A body that is still arriving.
pub enum Source {
    /// From the upstream, as fast as the client takes it (`proxy_buffering off`).
    Upstream(Box<UpstreamBody>),
    /// From the upstream, as fast as that sends it.
    Ahead(Box<ReadAhead>),
    /// From a fill of the cache, as it grows.
    Fill(Box<FillReader>),
    /// From a fill of the cache: several parts of it.
    Parts(Box<ArrivingParts>),
    /// From several answers, one after another (`slice`).
    Slices(Box<Slices>),
    /// From another body, compressed.
    Compressing(Box<Compressing>),
    /// From another body that was compressed.
    Decompressing(Box<Decompressing>),
    /// From another body, with its commands carried out.
    Assembling(Box<Assembling>),
}

impl Source {
    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_ready(),
            Self::Ahead(ahead) => ahead.is_ready(),
            Self::Fill(reader) => reader.is_ready(),
            Self::Parts(parts) => parts.is_ready(),
            Self::Slices(slices) => slices.is_ready(),
            Self::Compressing(body) => body.is_ready(),
            Self::Decompressing(body) => body.is_ready(),
            Self::Assembling(body) => body.is_ready(),
        }
    }

    /// Returns the next piece, which may be empty where nothing has come yet of what was waited for; nothing at the
    /// end. Cancel safe.
    ///
    /// # Errors
    /// The upstream's fault where the body cannot be completed.
    pub async fn next(&mut self, exchange: &Exchange) -> Result<Option<Piece>, Fault> {
        match self {
            Self::Upstream(body) => Ok(body.next().await?.map(Piece::Memory)),
            Self::Ahead(ahead) => ahead.next().await,
            Self::Fill(reader) => reader.next().await,
            Self::Parts(parts) => parts.next().await,
            Self::Slices(slices) => slices.next(exchange).await,
            // Boxed, since what they read is a source again.
            Self::Compressing(body) => Ok(Box::pin(body.next(exchange)).await?.map(Piece::Memory)),
            Self::Decompressing(body) => Ok(Box::pin(body.next(exchange)).await?.map(Piece::Memory)),
            Self::Assembling(body) => Ok(Box::pin(body.next(exchange)).await?.map(Piece::Memory)),
        }
    }

    /// Leaves out all but a part where that is less work than reading the whole; otherwise returns the part, which whoever
    /// reads has to cut out.
    pub fn narrow(&mut self, part: &Range<u64>) -> Option<Range<u64>> {
        match self {
            Self::Fill(reader) => reader.narrow(part),
            Self::Slices(slices) => slices.narrow(part),
            Self::Upstream(_)
            | Self::Ahead(_)
            | Self::Parts(_)
            | Self::Compressing(_)
            | Self::Decompressing(_)
            | Self::Assembling(_) => return Some(part.clone()),
        }
        None
    }

    /// Notes whose answer it is, where it may have to say something of it.
    pub fn introduce(&mut self, exchange: &Exchange) {
        if let Some(ahead) = self.ahead().filter(|ahead| ahead.wants_context()) {
            ahead.set_context(Context::of(exchange));
        }
    }

    /// Runs `work`, the sending of a piece, and goes on reading meanwhile where that is wanted.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        match self.ahead() {
            Some(ahead) => ahead.meanwhile(work).await,
            None => work.await,
        }
    }

    /// Finds what reads ahead, under all filters.
    fn ahead(&mut self) -> Option<&mut ReadAhead> {
        match self {
            Self::Ahead(ahead) => Some(ahead),
            Self::Upstream(_) | Self::Fill(_) | Self::Parts(_) => None,
            Self::Slices(slices) => slices.source_mut()?.ahead(),
            Self::Compressing(body) => body.input_mut().source_mut()?.ahead(),
            Self::Decompressing(body) => body.input_mut().source_mut()?.ahead(),
            Self::Assembling(body) => body.input_mut().source_mut()?.ahead(),
        }
    }

    /// Whether it comes from a fill of the cache, which goes on without the client.
    pub fn outlives_client(&self) -> bool {
        match self {
            Self::Fill(_) | Self::Parts(_) => true,
            Self::Upstream(_) | Self::Ahead(_) => false,
            Self::Slices(slices) => slices.source().is_none_or(Self::outlives_client),
            Self::Compressing(body) => body.input().source().is_some_and(Self::outlives_client),
            Self::Decompressing(body) => body.input().source().is_some_and(Self::outlives_client),
            Self::Assembling(body) => body.input().source().is_some_and(Self::outlives_client),
        }
    }

    /// Notes what the whole answer took, for the log.
    pub fn finish(&self, exchange: &mut Exchange) {
        match self {
            Self::Upstream(body) => body.finish(&mut exchange.upstream),
            Self::Ahead(ahead) => ahead.finish(&mut exchange.upstream),
            Self::Fill(reader) => reader.finish(&mut exchange.upstream),
            Self::Parts(parts) => parts.finish(exchange),
            Self::Slices(slices) => slices.finish(exchange),
            Self::Compressing(body) => body.finish(exchange),
            Self::Decompressing(body) => {
                body.input().source().into_iter().for_each(|source| source.finish(exchange));
            }
            Self::Assembling(body) => {
                body.input().source().into_iter().for_each(|source| source.finish(exchange));
            }
        }
    }
}

/// A run of bytes of an open file.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The file.
    pub file: Arc<File>,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// One piece of a body.
pub enum Piece {
    /// Bytes in memory.
    Memory(Bytes),
    /// Bytes in a file.
    File(FileSlice),
}

impl Piece {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits it where so many bytes have been taken, if there are more.
    pub fn split(self, taken: u64) -> (Self, Option<Self>) {
        match self {
            Self::Memory(mut bytes) => match usize::try_from(taken) {
                Ok(taken) if taken < bytes.len() => {
                    let rest = bytes.split_off(taken);
                    (Self::Memory(bytes), Some(Self::Memory(rest)))
                }
                _ => (Self::Memory(bytes), None),
            },
            Self::File(slice) if taken < slice.len => {
                let rest = FileSlice {
                    file: Arc::clone(&slice.file),
                    offset: slice.offset + taken,
                    len: slice.len - taken,
                };
                (Self::File(FileSlice { len: taken, ..slice }), Some(Self::File(rest)))
            }
            Self::File(slice) => (Self::File(slice), None),
        }
    }

    /// Returns the part that lies in the window, where `start` is the piece's place in the body.
    pub fn cut(self, start: u64, window: Option<&Range<u64>>) -> Option<Self> {
        let Some(window) = window else { return Some(self) };
        let end = start + self.len();
        let (from, to) = (window.start.max(start), window.end.min(end));
        if from >= to {
            return None;
        }
        let (skip, len) = (from - start, to - from);
        Some(match self {
            Piece::Memory(bytes) => {
                let skip = usize::try_from(skip).expect("it lies within bytes in memory");
                let len = usize::try_from(len).expect("it lies within bytes in memory");
                Piece::Memory(bytes.slice(skip..skip + len))
            }
            Piece::File(slice) => Piece::File(FileSlice { offset: slice.offset + skip, len, ..slice }),
        })
    }
}

impl Response {
    /// Starts an answer without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            reason: None,
            content_type: None,
            content_length: Some(0),
            last_modified: None,
            location: None,
            shared: None,
            fields: Fields::new(),
            varies_by_encoding: false,
            ranges: Ranges::Refused,
            author: Author::Us,
            conditions: Conditions::Ours,
            body: Body::Empty,
            refused: None,
        }
    }

    /// Sets a body in memory, with its length and type.
    pub fn with_memory(mut self, content_type: impl Into<Bytes>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.content_type = Some(content_type.into());
        self.content_length = Some(body.len() as u64);
        self.body = Body::Memory(body);
        self
    }

    /// Returns the first field of that name among all that will be sent, slots not counted.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let shared = || self.shared.as_ref().and_then(|shared| shared.fields.get(name));
        self.fields.get(name).or_else(shared)
    }
}
