//! Looking through stored files for those that are not what was stored: a little at a time, from one digest to the next.
//!
//! A file is judged as a reader would judge it, with its own key, length and checksum, and removed where it does not
//! fit. What was read of a large file is kept between two steps, so that the pace holds for it too.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use crc32fast::Hasher;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::format::{self, FormatError};
use crate::key::{Digest, path_of};
use crate::store::read::{ReadError, Unfit, read_at, read_start};
use crate::store::{Identity, Zone};

/// Read at a time.
const STEP_BYTES: u64 = 256 * 1024;
/// What opening a file counts for at least.
const LEAST_BYTES: u64 = 4096;

/// Where a walk over the files of a cache is.
#[derive(Default)]
pub struct Scrubber {
    /// The last digest that was looked at.
    after: Option<Digest>,
    /// A file whose body is being read.
    reading: Option<Reading>,
}

/// What a step of a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files that were looked at, to their end.
    pub files: u64,
    /// Bytes that were read, or count as read.
    pub bytes: u64,
    /// Files that did not fit, and are removed.
    pub removed: u64,
    /// Whether all entries have been seen; the next step begins anew.
    pub is_over: bool,
}

struct Reading {
    digest: Digest,
    file: File,
    identity: Identity,
    sum: Hasher,
    stated: u32,
    at: u64,
}

/// What is known of a file after a look at it.
enum Finding {
    /// There is nothing wrong with it, or it is gone.
    Sound,
    Damaged(Identity, FormatError),
    /// Its body is to be read yet.
    Reading(Box<Reading>),
}

impl Scrubber {
    /// Looks at files until about so many bytes are read, or all entries were seen.
    ///
    /// # Errors
    /// The index does not answer. A file that cannot be read is left to whoever asks for it.
    pub fn step(&mut self, zone: &Zone, allowance: u64) -> Result<Scrubbed, ReadError> {
        let mut done = Scrubbed::default();
        while done.bytes < allowance {
            let (digest, found) = match self.reading.take() {
                Some(reading) => (reading.digest, go_on(reading, &mut done.bytes)),
                None => {
                    let next = zone.index.get().and_then(|index| index.next(self.after.as_ref()));
                    let Some(digest) = next.map_err(ReadError::Index)? else {
                        self.after = None;
                        done.is_over = true;
                        return Ok(done);
                    };
                    self.after = Some(digest);
                    (digest, look(zone, &digest, &mut done.bytes))
                }
            };
            match found {
                Ok(Finding::Reading(reading)) => {
                    self.reading = Some(*reading);
                    continue;
                }
                Ok(Finding::Damaged(identity, error)) => {
                    done.removed += u64::from(remove(zone, &digest, &identity, error));
                }
                Ok(Finding::Sound) | Err(_) => {}
            }
            done.files += 1;
        }
        Ok(done)
    }
}

/// Begins with a file: its header and, where it is small, its body.
fn look(zone: &Zone, digest: &Digest, bytes: &mut u64) -> io::Result<Finding> {
    *bytes += LEAST_BYTES;
    // Never waits, whatever has taken the name.
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path_of(&zone.conf, digest))?;
    let metadata = file.metadata()?;
    let identity = Identity::of(&metadata);
    if !metadata.is_file() {
        return Ok(Finding::Damaged(identity, FormatError::NoFile));
    }
    // Where the system does not heed it, other files' pages leave its memory sooner.
    let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_NOREUSE);
    let start = match read_start(&file, &identity, LEAST_BYTES) {
        Ok(start) => start,
        Err(Unfit::Io(error)) => return Err(error),
        Err(Unfit::Content(error)) => return Ok(Finding::Damaged(identity, error)),
    };
    Ok(match judge(digest, &start, identity.size) {
        Err(error) => Finding::Damaged(identity, error),
        Ok(None) => Finding::Sound,
        Ok(Some(Summed { stated, head, at })) => {
            let sum = Hasher::new_with_initial(head);
            Finding::Reading(Box::new(Reading { digest: *digest, file, identity, sum, stated, at }))
        }
    })
}

/// A checksum that a file states.
struct Summed {
    stated: u32,
    /// That of its head.
    head: u32,
    /// Where its body starts.
    at: u64,
}

/// Compares the start of a file with its name and its size, and returns the checksum that it states, if any.
fn judge(digest: &Digest, start: &[u8], size: u64) -> Result<Option<Summed>, FormatError> {
    let key = format::stated_key(start).ok_or(FormatError::Offsets)?;
    let opening = format::parse(start, &key)?;
    let meta = &opening.meta;
    if key.digest != *digest && meta.variant != *digest {
        return Err(FormatError::Collision);
    }
    let body_start = u64::from(meta.body_start);
    if meta.body_len.is_some_and(|stated| stated != size.saturating_sub(body_start)) {
        return Err(FormatError::TooSmall);
    }
    let summed = |stated| Summed { stated, head: crc32fast::hash(opening.head), at: body_start };
    Ok(meta.body_sum.map(summed))
}

/// Reads on in a body.
fn go_on(mut reading: Reading, bytes: &mut u64) -> io::Result<Finding> {
    let read = read_at(&reading.file, reading.at, STEP_BYTES)?;
    *bytes += read.len() as u64;
    reading.at += read.len() as u64;
    reading.sum.update(&read);
    if read.len() as u64 == STEP_BYTES {
        return Ok(Finding::Reading(Box::new(reading)));
    }
    match reading.sum.finalize() == reading.stated {
        true => Ok(Finding::Sound),
        false => Ok(Finding::Damaged(reading.identity, FormatError::Sum)),
    }
}

/// Removes a file, unless another has taken its place or it was rewritten meanwhile.
fn remove(zone: &Zone, digest: &Digest, identity: &Identity, error: FormatError) -> bool {
    if !zone.still_there(digest, identity) {
        return false;
    }
    tracing::error!("cache file \"{}\" {error}, it is removed", path_of(&zone.conf, digest).display());
    zone.remove(digest);
    true
}
