//! From a key to its stored response: index, file, header, with every doubt a miss.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

use config::Verify;
use crc32fast::Hasher;
use http1::Fields;
use thiserror::Error;

use crate::format::{self, Meta, STRUCT_BYTES};
use crate::key::{Digest, Key, path_of};
use crate::parts::list_digest;
use crate::policy::vary::{self, Matching};
use crate::purge::Standing;
use crate::room::on_disk;
use crate::store::{Identity, Zone, seconds};
use crate::writer::Change;

/// A file of up to this size is read whole, in the read that gets its header.
const READ_BYTES: u64 = 32 * 1024;

/// A body is read for its checksum in steps of this.
const SUM_STEP_BYTES: u64 = 256 * 1024;

/// A stored response, open.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    /// The digest it is stored under.
    pub digest: Digest,
    /// The open file; it stays readable after the entry is removed.
    pub file: Arc<File>,
    /// What its header says.
    pub meta: Meta,
    /// Status line and header lines, as the upstream sent them.
    pub head: Vec<u8>,
    /// Where the body starts in the file.
    pub body_start: u64,
    /// How long the body is.
    pub body_len: u64,
    /// The body, where the file is small.
    pub small_body: Option<Vec<u8>>,
    /// What [`Zone::still_there`] compares.
    pub identity: Identity,
    /// The generation from before the file was opened.
    pub generation: u64,
}

impl StoredEntry {
    /// Whether it answers a request with these fields, as far as `Vary` goes.
    pub fn answers(&self, main: &Digest, request: &Fields) -> bool {
        self.meta.vary.is_empty()
            || vary::variant(main, &self.meta.vary, request, Matching::Literal) == self.meta.variant
    }
}

/// Why the cache could not be read. The answer is the upstream's then.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The index did not answer.
    #[error("could not read the index ({0})")]
    Index(#[source] heed::Error),
    /// The file could not be opened or read.
    #[error("could not read \"{path}\" ({source})")]
    File {
        /// Its name.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Zone {
    /// Finds the response for a request: the main file of the key, or, where its `Vary` asks for another, the variant's.
    pub fn find(&self, key: &Key, request: &Fields) -> Result<Option<StoredEntry>, ReadError> {
        let Some(main) = self.read(key, &key.digest)? else { return Ok(None) };
        if main.answers(&key.digest, request) {
            return Ok(Some(main));
        }
        let variant = vary::variant(&key.digest, &main.meta.vary, request, Matching::Literal);
        Ok(self.read(key, &variant)?.filter(|entry| entry.answers(&key.digest, request)))
    }

    /// Reads the file of one digest of a key. One that is not there, is short or belongs to another key is a miss.
    pub fn read(&self, key: &Key, digest: &Digest) -> Result<Option<StoredEntry>, ReadError> {
        let generation = self.generation(digest);
        let listed = self.lists(digest)?;
        // As nginx: until the loader has seen all files, one without a row may exist.
        if !listed && !self.is_cold() {
            return Ok(None);
        }
        let path = path_of(&self.conf, digest);
        let failed = |source| ReadError::File { path: path.display().to_string(), source };
        // Never waits, whatever has taken the name.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path) {
            Ok(file) => Arc::new(file),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                if listed {
                    self.offer(Change::Forget { digest: *digest });
                }
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let identity = Identity::of(&metadata);
        let read = match metadata.is_file() {
            true => read_entry(key, digest, file, identity, generation),
            false => Err(format::FormatError::NoFile.into()),
        };
        match read.and_then(|entry| self.verified(entry)) {
            Ok(mut entry) => {
                match self.judge(key, &entry.meta) {
                    Standing::Live => {}
                    Standing::Soft(number) => entry.meta.soften(number),
                    Standing::Gone => {
                        self.discard(digest, entry.identity);
                        return Ok(None);
                    }
                }
                if !listed {
                    self.adopt_read(&entry);
                }
                Ok(Some(entry))
            }
            Err(Unfit::Io(error)) => Err(failed(error)),
            Err(Unfit::Content(error)) => {
                tracing::error!("cache file \"{}\" {error}", path.display());
                self.offer(Change::Remove { digest: *digest });
                Ok(None)
            }
        }
    }

    /// Compares head and body with their checksum where the configuration wants it, and the file has one.
    fn verified(&self, entry: StoredEntry) -> Result<StoredEntry, Unfit> {
        let Some(stated) = entry.meta.body_sum.filter(|_| self.conf.verify == Verify::Sum) else {
            return Ok(entry);
        };
        let mut sum = Hasher::new();
        sum.update(&entry.head);
        match &entry.small_body {
            Some(body) => sum.update(body),
            None => add_rest(&mut sum, &entry.file, entry.body_start).map_err(Unfit::Io)?,
        }
        if sum.finalize() == stated { Ok(entry) } else { Err(format::FormatError::Sum.into()) }
    }

    /// Whether the index has a file under this digest, or will have it in a moment.
    pub fn lists(&self, digest: &Digest) -> Result<bool, ReadError> {
        let row = self.index.row(digest).map_err(ReadError::Index)?;
        Ok(row.is_some_and(|row| row.has_file()) || self.pending.contains(digest))
    }

    /// Whether parts of a key's answer may be stored. A look into the index: some microseconds.
    pub fn holds_parts(&self, key: &Key) -> bool {
        // Where the index does not answer there may be anything.
        self.is_cold() || self.lists(&list_digest(&key.digest)).unwrap_or(true)
    }

    /// A file that the loader has not reached yet. It counts as just used, since it has been.
    fn adopt_read(&self, entry: &StoredEntry) {
        self.pending.queued(&entry.digest);
        let change = Change::Adopt {
            digest: entry.digest,
            size_bytes: on_disk(entry.body_start + entry.body_len),
            now: seconds(entry.meta.date),
        };
        if self.changes.try_send(change).is_err() {
            self.pending.committed(&entry.digest);
        }
    }
}

/// Why a file is not a response for the key.
pub(super) enum Unfit {
    Io(io::Error),
    Content(format::FormatError),
}

impl From<format::FormatError> for Unfit {
    fn from(error: format::FormatError) -> Self {
        Self::Content(error)
    }
}

fn read_entry(
    key: &Key,
    digest: &Digest,
    file: Arc<File>,
    identity: Identity,
    generation: u64,
) -> Result<StoredEntry, Unfit> {
    let mut start = read_start(&file, &identity, READ_BYTES)?;
    let body_start = format::body_start(&start).expect("it reaches as far as the body");
    let opening = format::parse(&start, key)?;
    let (meta, head) = (opening.meta, opening.head.to_vec());
    let body_len = identity.size.saturating_sub(body_start as u64);
    // A file of nginx's own does not state the length; one of ours does, and so shows a torn end.
    if meta.body_len.is_some_and(|stated| stated != body_len) {
        return Err(format::FormatError::TooSmall.into());
    }
    let whole = start.len() as u64 == identity.size;
    let small_body = whole.then(|| start.split_off(body_start));
    let body_start = body_start as u64;
    Ok(StoredEntry {
        digest: *digest,
        file,
        meta,
        head,
        body_start,
        body_len,
        small_body,
        identity,
        generation,
    })
}

/// Reads a file as far as its body at least, and up to `count` bytes.
pub(super) fn read_start(file: &File, identity: &Identity, count: u64) -> Result<Vec<u8>, Unfit> {
    let mut start = read_at(file, 0, identity.size.min(count)).map_err(Unfit::Io)?;
    let body_start = format::body_start(&start).filter(|_| start.len() >= STRUCT_BYTES);
    let body_start = body_start.ok_or(format::FormatError::TooSmall)?;
    if body_start > start.len() {
        let rest = (body_start - start.len()) as u64;
        start.extend(read_at(file, start.len() as u64, rest).map_err(Unfit::Io)?);
    }
    Ok(start)
}

/// Adds all that stands in a file from a place on to a checksum.
fn add_rest(sum: &mut Hasher, file: &File, from: u64) -> io::Result<()> {
    let mut at = from;
    loop {
        let bytes = read_at(file, at, SUM_STEP_BYTES)?;
        if bytes.is_empty() {
            return Ok(());
        }
        at += bytes.len() as u64;
        sum.update(&bytes);
    }
}

/// Reads up to `count` bytes; fewer only where the file ends.
pub(super) fn read_at(file: &File, from: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(count).expect("at most a header")];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
