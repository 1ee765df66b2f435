//! The layout of a cached file, byte for byte that of nginx (version 5, 64-bit little-endian).
//!
//! ```text
//! 0     struct: version, times, crc32, offsets, etag, vary, variant      336 bytes
//! 336   "\nKEY: " text "\n"
//!       status line and header lines as the upstream sent them           from header_start
//!       block of our own, optional, recognised by its last eight bytes
//!       body                                                             from body_start
//! ```
//!
//! The block holds what the struct has no room for: the length of the body, a checksum, what purges go by, and an `ETag` or `Vary` over
//! 128 bytes. It ends where the body starts, so it is found without reading the header lines, and nginx skips it.
//! Everything here is bytes to values and back; the files themselves belong to [`crate::store`].

mod block;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::key::{Digest, Key};
use crate::parts::Parts;
use crate::policy::Restraint;

/// The size of the struct at the start of a file.
pub const STRUCT_BYTES: usize = 336;

const VERSION: u64 = 5;
/// Where the length of `Vary` stands: behind that of an `ETag` and its room.
const VARY_LEN_AT: usize = 58 + 1 + TEXT_BYTES;
const KEY_MARK: &[u8] = b"\nKEY: ";
/// The room for an `ETag` in the struct.
const TEXT_BYTES: usize = 128;
/// The length that a `Vary` has there which is in the block: out of range for nginx, so that it takes the file for a miss instead of
/// showing it to everyone.
const VARY_ELSEWHERE: u8 = u8::MAX;

/// What a cached file says about itself, apart from header lines and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Up to when the response is fresh.
    pub valid_until: SystemTime,
    /// For how long after that it may be served while it is being updated.
    pub stale_while_revalidate: Duration,
    /// For how long after that it may be served where the upstream fails.
    pub stale_if_error: Duration,
    /// The time of `Last-Modified`, where a request may be made conditional on it.
    pub last_modified: Option<SystemTime>,
    /// When the response was stored, or last revalidated.
    pub date: SystemTime,
    /// The response's `ETag`, or nothing.
    pub etag: Vec<u8>,
    /// The response's `Vary`, or nothing.
    pub vary: Vec<u8>,
    /// The digest of the request fields that `vary` names; zeros where there is no `vary`.
    pub variant: Digest,
    /// Where the header lines start.
    pub header_start: u16,
    /// Where the body starts.
    pub body_start: u16,
    /// The length of the body, where the file states it.
    pub body_len: Option<u64>,
    /// The crc32 of header lines and body, where the file states it. A new file has room for it where this is set, to
    /// whatever.
    pub body_sum: Option<u32>,
    /// The number of the last purge when the upstream was asked; zero, older than all, where the file states none.
    pub epoch: u64,
    /// What else it can be purged by ([`crate::purge::tags`]), or nothing.
    pub tags: Vec<u8>,
    /// Which parts of a whole there are, where it is not the whole that is stored.
    pub parts: Option<Box<Parts>>,
    /// How old the response was when it came, where the rules in force then asked for it.
    pub initial_age: Option<Duration>,
    /// What the response forbids those who reuse it, as far as the rules in force then asked.
    pub restraint: Restraint,
}

impl Default for Meta {
    /// A response that nothing is known of, and that has always been stale.
    fn default() -> Self {
        Self {
            valid_until: UNIX_EPOCH,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            last_modified: None,
            date: UNIX_EPOCH,
            etag: Vec::new(),
            vary: Vec::new(),
            variant: Digest::default(),
            header_start: 0,
            body_start: 0,
            body_len: None,
            body_sum: None,
            epoch: 0,
            tags: Vec::new(),
            parts: None,
            initial_age: None,
            restraint: Restraint::Free,
        }
    }
}

/// Why bytes are not the start of a cached file for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The file ends within its own header.
    #[error("is too small")]
    TooSmall,
    /// A directory or the like stands under its name.
    #[error("is no file")]
    NoFile,
    /// Another version of the format, or no cache file at all.
    #[error("version mismatch")]
    Version,
    /// The file holds another key.
    #[error("has md5 collision")]
    Collision,
    /// The offsets contradict each other.
    #[error("has incorrect offsets")]
    Offsets,
    /// The length of `Vary` is out of range.
    #[error("has incorrect vary length")]
    Vary,
    /// Header lines or body are not what was stored.
    #[error("has a wrong checksum")]
    Sum,
    /// Key and header lines do not fit the 65,535 bytes that the format can address.
    #[error("has too long header")]
    TooLong,
}

/// The start of a file, up to and including its header lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    /// What the file says about itself.
    pub meta: Meta,
    /// Status line and header lines, as the upstream sent them.
    pub head: &'a [u8],
}

/// Everything that stands before a body in a new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The bytes to write.
    pub bytes: Vec<u8>,
    /// The length of the body, where it is known already.
    pub body_len: Option<u64>,
    /// The checksum of the header lines, where one of them and the body is stated too.
    pub head_sum: Option<u32>,
    /// The number of the last purge when the upstream was asked.
    pub epoch: u64,
}

impl Prefix {
    /// Lays out a file for a key: struct, key, header lines and block. Offsets and body length in `meta` are set by it.
    pub fn new(key: &Key, meta: &mut Meta, head: &[u8]) -> Result<Self, FormatError> {
        Self::padded(key, meta, head, 0)
    }

    /// Lays out other header lines before a body that stays where it is; nothing where they do not fit there.
    pub(crate) fn fitted(key: &Key, meta: &mut Meta, head: &[u8]) -> Option<Self> {
        let body_start = usize::from(meta.body_start);
        let tight = Self::new(key, &mut meta.clone(), head).ok()?;
        let padding = body_start.checked_sub(tight.bytes.len())?;
        Self::padded(key, meta, head, padding).ok()
    }

    fn padded(key: &Key, meta: &mut Meta, head: &[u8], padding: usize) -> Result<Self, FormatError> {
        let header_start = STRUCT_BYTES + KEY_MARK.len() + key.text.len() + 1;
        if [&meta.etag, &meta.vary, &meta.tags].iter().any(|text| text.len() > usize::from(u16::MAX)) {
            return Err(FormatError::TooLong);
        }
        let block = block::encode(meta, padding);
        let body_start = header_start + head.len() + block.len();
        meta.header_start = u16::try_from(header_start).map_err(|_| FormatError::TooLong)?;
        meta.body_start = u16::try_from(body_start).map_err(|_| FormatError::TooLong)?;
        let mut bytes = Vec::with_capacity(body_start);
        bytes.extend_from_slice(&encode_struct(meta, key.crc32));
        bytes.extend_from_slice(KEY_MARK);
        bytes.extend_from_slice(&key.text);
        bytes.push(b'\n');
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(&block);
        let head_sum = meta.body_sum.map(|_| crc32fast::hash(head));
        Ok(Self { bytes, body_len: meta.body_len, head_sum, epoch: meta.epoch })
    }

    /// States what was learnt at the end of a body, and returns where in the file the bytes changed from.
    pub(crate) fn state(&mut self, body_len: u64, sum: Option<u32>) -> usize {
        self.body_len = Some(body_len);
        block::state(&mut self.bytes, body_len, sum)
    }
}

/// Where a file that begins with `prefix` (up to its body) states its epoch, and what to write there for another. None for
/// files that state none, as those of nginx.
pub(crate) fn raised_epoch(prefix: &[u8], epoch: u64) -> Option<(u64, Vec<u8>)> {
    block::raise_epoch(prefix, epoch)
}

/// Writes the struct alone, for the rewrite in place after a 304.
pub fn encode_struct(meta: &Meta, crc32: u32) -> [u8; STRUCT_BYTES] {
    let mut out = Writer { out: [0; STRUCT_BYTES], at: 0 };
    out.put(&VERSION.to_le_bytes());
    out.put(&seconds(meta.valid_until).to_le_bytes());
    out.put(&whole(meta.stale_while_revalidate).to_le_bytes());
    out.put(&whole(meta.stale_if_error).to_le_bytes());
    out.put(&meta.last_modified.map_or(-1, seconds).to_le_bytes());
    out.put(&seconds(meta.date).to_le_bytes());
    out.put(&crc32.to_le_bytes());
    // As nginx: milliseconds of the validity are only used for errors remembered in memory.
    out.put(&0u16.to_le_bytes());
    out.put(&meta.header_start.to_le_bytes());
    out.put(&meta.body_start.to_le_bytes());
    out.put_text(&meta.etag, 0);
    out.put_text(&meta.vary, VARY_ELSEWHERE);
    out.put(&meta.variant);
    out.out
}

/// Reads the start of a file and checks that it belongs to a key. `bytes` must reach as far as the body's start.
pub fn parse<'a>(bytes: &'a [u8], key: &Key) -> Result<Opening<'a>, FormatError> {
    let mut meta = parse_struct(bytes, key.crc32)?;
    let header_start = usize::from(meta.header_start);
    let body_start = usize::from(meta.body_start);
    if header_start != STRUCT_BYTES + KEY_MARK.len() + key.text.len() + 1 {
        return Err(FormatError::Collision);
    }
    if body_start < header_start {
        return Err(FormatError::Offsets);
    }
    if bytes.len() < body_start {
        return Err(FormatError::TooSmall);
    }
    let stored_key = &bytes[STRUCT_BYTES + KEY_MARK.len()..header_start];
    if stored_key[..key.text.len()] != key.text {
        return Err(FormatError::Collision);
    }
    let lines = &bytes[header_start..body_start];
    let block_len = block::decode(lines, &mut meta);
    if bytes[VARY_LEN_AT] == VARY_ELSEWHERE && meta.vary.is_empty() {
        return Err(FormatError::Vary);
    }
    Ok(Opening { meta, head: &lines[..lines.len() - block_len] })
}

/// Returns the key that a file says it is for, without believing it. `bytes` must reach as far as the body's start.
pub fn stated_key(bytes: &[u8]) -> Option<Key> {
    let field = bytes.get(54..56)?;
    let header_start = usize::from(u16::from_le_bytes([field[0], field[1]]));
    let text = bytes.get(STRUCT_BYTES + KEY_MARK.len()..header_start.checked_sub(1)?)?;
    Some(Key::new(text.to_vec()))
}

/// Says where the body starts in a file that begins with `bytes`, so that a reader knows how much it needs.
pub fn body_start(bytes: &[u8]) -> Option<usize> {
    let field = bytes.get(56..58)?;
    Some(usize::from(u16::from_le_bytes([field[0], field[1]])))
}

fn parse_struct(bytes: &[u8], crc32: u32) -> Result<Meta, FormatError> {
    if bytes.len() < STRUCT_BYTES {
        return Err(FormatError::TooSmall);
    }
    let mut from = Reader { bytes, at: 0 };
    if u64::from_le_bytes(from.take()) != VERSION {
        return Err(FormatError::Version);
    }
    let valid_until = time(i64::from_le_bytes(from.take()));
    let stale_while_revalidate = span(i64::from_le_bytes(from.take()));
    let stale_if_error = span(i64::from_le_bytes(from.take()));
    let last_modified = i64::from_le_bytes(from.take());
    let date = time(i64::from_le_bytes(from.take()));
    if u32::from_le_bytes(from.take()) != crc32 {
        return Err(FormatError::Collision);
    }
    let _valid_msec: [u8; 2] = from.take();
    let header_start = u16::from_le_bytes(from.take());
    let body_start = u16::from_le_bytes(from.take());
    let etag = from.take_text().0.unwrap_or_default();
    let (vary, vary_len) = from.take_text();
    if vary.is_none() && vary_len != VARY_ELSEWHERE {
        return Err(FormatError::Vary);
    }
    Ok(Meta {
        valid_until,
        stale_while_revalidate,
        stale_if_error,
        last_modified: (last_modified >= 0).then(|| time(last_modified)),
        date,
        etag,
        vary: vary.unwrap_or_default(),
        variant: from.take(),
        header_start,
        body_start,
        ..Meta::default()
    })
}

/// Fills the struct from its start; its fields are packed as the C compiler packs them, without gaps.
struct Writer {
    out: [u8; STRUCT_BYTES],
    at: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// A length byte and 128 bytes. A text that does not fit is left out, and its length is `instead`.
    fn put_text(&mut self, text: &[u8], instead: u8) {
        let (text, len) = match u8::try_from(text.len()) {
            Ok(len) if text.len() <= TEXT_BYTES => (text, len),
            Ok(_) | Err(_) => (&[][..], instead),
        };
        self.out[self.at] = len;
        self.out[self.at + 1..self.at + 1 + text.len()].copy_from_slice(text);
        self.at += 1 + TEXT_BYTES;
    }
}

/// Walks over the struct; its caller has checked the length.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        out
    }

    /// The text, where its length is one that fits, and that length.
    fn take_text(&mut self) -> (Option<Vec<u8>>, u8) {
        let stated = self.bytes[self.at];
        let len = usize::from(stated);
        let text = (len <= TEXT_BYTES).then(|| self.bytes[self.at + 1..self.at + 1 + len].to_vec());
        self.at += 1 + TEXT_BYTES;
        (text, stated)
    }
}

/// Seconds since the epoch, rounded down; times before it become zero.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    whole(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// A file may claim any number: one that is no time counts as the epoch, and so is stale.
fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH.checked_add(span(seconds)).unwrap_or(UNIX_EPOCH)
}

fn span(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
