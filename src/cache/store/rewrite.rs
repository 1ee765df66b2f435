//! Other header lines for a stored body, after a 304 that brought new ones.
//!
//! Where they fit before the body they are written over the old ones, as nginx does with times. Else the body goes into a new file
//! that takes the name of the old one, as after any fill: the kernel copies it, or shares its blocks where the file system can.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use crc32fast::Hasher;

use crate::format::{self, FormatError, Meta, Prefix};
use crate::key::{Key, path_of};
use crate::lease::FillPermit;
use crate::room::NoRoom;
use crate::store::{Committed, Identity, Renewed, StoreError, Zone};

/// What became of other header lines.
#[derive(Debug)]
pub enum Rewritten {
    /// They stand in the same file, which is known by this from now on.
    InPlace(Identity),
    /// They stand in another file.
    Moved(Committed),
    /// Nothing: another file has taken the name, or this one is not what it was.
    Gone,
}

/// Why they were not written.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The file could not be read or written.
    #[error("could not rewrite \"{path}\" ({source})")]
    File {
        /// Its name.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The lines do not fit the format.
    #[error("cache file {0}")]
    Format(#[from] FormatError),
    /// There is no room for a copy.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// The copy could not take its name.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Zone {
    /// Gives a stored body other header lines and a header with new times. `permit` is needed where the body has to move; without one
    /// it stays as it is. Sets the offsets in `meta` to those of the file.
    pub fn rewrite(
        &self,
        key: &Key,
        entry: &Renewed<'_>,
        lines: &[u8],
        permit: Option<FillPermit>,
        temp_dir: &Path,
        now: SystemTime,
    ) -> Result<(Rewritten, Meta), RewriteError> {
        let path = path_of(self.conf(), entry.digest);
        let failed = |source| RewriteError::File { path: path.display().to_string(), source };
        let mut meta = entry.meta.clone();
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Rewritten::Gone, meta)),
            other => other.map_err(failed)?,
        };
        let found = Identity::of(&file.metadata().map_err(failed)?);
        if found != *entry.identity {
            return Ok((Rewritten::Gone, meta));
        }
        let body_len = found.size.saturating_sub(meta.body_start.into());
        meta.body_len = Some(body_len);
        if let Some(sum) = meta.body_sum {
            let old = old_lines(&file, key, &meta).map_err(failed)?;
            meta.body_sum = old.map(|old| moved_sum(sum, &old, lines, body_len));
        }
        if let Some(prefix) = Prefix::fitted(key, &mut meta, lines) {
            file.write_all_at(&prefix.bytes, 0).map_err(failed)?;
            self.shared.advance(entry.digest);
            let identity = Identity::of(&file.metadata().map_err(failed)?);
            return Ok((Rewritten::InPlace(identity), meta));
        }
        let Some(permit) = permit else { return Ok((Rewritten::Gone, meta)) };
        let body_from = u64::from(meta.body_start);
        let prefix = Prefix { head_sum: None, ..Prefix::new(key, &mut meta, lines)? };
        let room = self.reserve(prefix.bytes.len() as u64 + body_len)?;
        let mut temp = self.create_temp(entry.digest, Some(temp_dir)).map_err(failed)?;
        temp.begin(prefix).map_err(failed)?;
        temp.append_from(file, body_from).map_err(failed)?;
        let committed = self.commit(permit, entry.digest, temp, room, now)?;
        Ok((Rewritten::Moved(committed), meta))
    }
}

/// The header lines that stand in the file; nothing where it is not a file of the key any more.
fn old_lines(file: &File, key: &Key, meta: &Meta) -> io::Result<Option<Vec<u8>>> {
    let mut start = vec![0; usize::from(meta.body_start)];
    file.read_exact_at(&mut start, 0)?;
    Ok(format::parse(&start, key).ok().map(|opening| opening.head.to_vec()))
}

/// The checksum of lines and body, when other lines stand before a body of that length.
///
/// A CRC is linear: the difference of two lines, moved past the body, is the difference of the sums.
fn moved_sum(sum: u32, old: &[u8], new: &[u8], body_len: u64) -> u32 {
    let moved = |lines: &[u8]| {
        let mut sum = Hasher::new_with_initial_len(crc32fast::hash(lines), lines.len() as u64);
        sum.combine(&Hasher::new_with_initial_len(0, body_len));
        sum.finalize()
    };
    sum ^ moved(old) ^ moved(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_follows_its_lines() {
        for body in [&b""[..], b"b", &[7; 1000]] {
            let (old, new) = (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nLonger: line\r\n\r\n");
            let sum = |lines: &[u8]| crc32fast::hash(&[lines, body].concat());
            assert_eq!(moved_sum(sum(old), old, new, body.len() as u64), sum(new), "{} bytes", body.len());
        }
    }
}
