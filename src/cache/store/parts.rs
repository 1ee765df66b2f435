//! Keeping the list of parts that are stored, and making a whole of them when nothing is missing.

use std::{io, path::Path, time::Duration};

use http1::{Progress, ResponseHead, ResponseParser};
use thiserror::Error;

use super::{ReadError, StoreError, StoredEntry, Zone};
use crate::format::{FormatError, Meta, Prefix};
use crate::key::{Digest, Key};
use crate::lease::{FillPermit, Lease};
use crate::parts::Parts;
use crate::room::NoRoom;
use crate::store::read::read_at;

/// How long making a whole may take before somebody else may do it.
const LEASE_AGE: Duration = Duration::from_secs(60);
/// Bytes that are copied at a time.
const COPY_BYTES: u64 = 256 * 1024;
/// Bytes before a body besides head and key, at most.
const PREFIX_BYTES: u64 = 8 * 1024;

/// Why a part is not listed. It is stored then, and nobody finds it.
#[derive(Debug, Error)]
pub enum PartError {
    /// The list, or another part, could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no room.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// The head does not fit the file format.
    #[error("cache file {0}")]
    Format(#[from] FormatError),
    /// The disk failed or is full.
    #[error("writing a temporary file failed ({0})")]
    Write(#[from] io::Error),
    /// The file could not take its name.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A part that has just been stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredPart<'a> {
    /// The key.
    pub key: &'a Key,
    /// What its file says about itself.
    pub meta: &'a Meta,
    /// Status line and header lines, as the upstream sent them.
    pub head: &'a [u8],
    /// Where temporary files go (`use_temp_path`).
    pub temp_dir: Option<&'a Path>,
}

impl Zone {
    /// Puts a stored part into the list of its key; where nothing is missing then, makes a whole of all. Blocks. The caller sees to it that
    /// no two parts of a key come at the same time.
    ///
    /// # Errors
    /// It is not in the list. The list stays as it was.
    pub fn note_part(&self, part: &StoredPart<'_>, now: std::time::SystemTime) -> Result<(), PartError> {
        let Some(own) = &part.meta.parts else { return Ok(()) };
        let list = self.read(part.key, &part.key.parts_digest())?;
        let joined = joined(list.as_ref(), part.meta, own);
        if joined.is_whole() && self.make_whole(part, &joined, now)? {
            self.remove(&part.key.parts_digest());
            for range in &joined.ranges {
                self.remove(&part.key.part_digest(&part.meta.etag, range));
            }
            return Ok(());
        }
        let digest = part.key.parts_digest();
        let mut meta =
            Meta { parts: Some(Box::new(joined)), variant: digest, body_len: Some(0), ..part.meta.clone() };
        let prefix = Prefix::new(part.key, &mut meta, part.head)?;
        let mut temp = self.create_temp(&digest, part.temp_dir)?;
        let room = self.reserve(prefix.bytes.len() as u64)?;
        temp.begin_with(prefix, b"")?;
        self.commit(self.permit_beside(&digest), &digest, temp, room, now)?;
        Ok(())
    }

    /// Writes all parts into one file under the key's own digest. Says whether that could be done: a part may be gone, or somebody
    /// may be at it.
    fn make_whole(
        &self,
        part: &StoredPart<'_>,
        parts: &Parts,
        now: std::time::SystemTime,
    ) -> Result<bool, PartError> {
        let key = part.key;
        let Some(stored) = self.open_parts(key, &part.meta.etag, parts)? else { return Ok(false) };
        let Some(permit) = self.permit(&key.digest, now) else { return Ok(false) };
        let Some(head) = whole_head(part.head, parts.complete_length) else { return Ok(false) };
        // Purged with the oldest of them.
        let epoch = stored.iter().map(|entry| entry.meta.epoch).chain([part.meta.epoch]).min().unwrap_or(0);
        let mut meta = Meta {
            parts: None,
            variant: Digest::default(),
            body_len: Some(parts.complete_length),
            epoch,
            ..part.meta.clone()
        };
        let prefix = Prefix::new(key, &mut meta, &head)?;
        let room = self.reserve(parts.complete_length + prefix.bytes.len() as u64 + PREFIX_BYTES)?;
        let mut temp = self.create_temp(&key.digest, part.temp_dir)?;
        temp.begin(prefix)?;
        let mut position = 0;
        while let Some(range) = parts.at(position) {
            let found = stored.iter().find(|entry| holds(entry, range));
            let Some(entry) = found else { return Ok(false) };
            copy(entry, position - range.start, |bytes| temp.append(bytes))?;
            position = range.end;
        }
        self.commit(permit, &key.digest, temp, room, now)?;
        Ok(true)
    }

    /// Opens all parts; none where one of them is gone.
    fn open_parts(
        &self,
        key: &Key,
        etag: &[u8],
        parts: &Parts,
    ) -> Result<Option<Vec<StoredEntry>>, PartError> {
        let mut stored = Vec::with_capacity(parts.ranges.len());
        for range in &parts.ranges {
            let Some(entry) = self.read(key, &key.part_digest(etag, range))? else { return Ok(None) };
            if !holds(&entry, range) || entry.body_len != range.end - range.start {
                return Ok(None);
            }
            stored.push(entry);
        }
        Ok(Some(stored))
    }

    fn permit(&self, digest: &Digest, now: std::time::SystemTime) -> Option<FillPermit> {
        match self.lease(digest, LEASE_AGE, now) {
            Lease::Granted(permit) => Some(permit),
            Lease::Held { .. } => None,
        }
    }
}

/// Returns what is there with a new part. RFC 9111, 3.4: only with the same strong validator; otherwise the new one is all there is.
fn joined(list: Option<&StoredEntry>, meta: &Meta, own: &Parts) -> Parts {
    let listed = list.filter(|list| list.meta.etag == meta.etag).and_then(|list| list.meta.parts.as_deref());
    match listed {
        Some(listed) if listed.complete_length == own.complete_length => {
            let mut joined = listed.clone();
            own.ranges.iter().for_each(|range| joined.add(range.clone()));
            joined
        }
        _ => own.clone(),
    }
}

fn holds(entry: &StoredEntry, range: &std::ops::Range<u64>) -> bool {
    entry.meta.parts.as_ref().is_some_and(|parts| parts.ranges.first() == Some(range))
}

/// Hands out the body from a place on.
fn copy(
    entry: &StoredEntry,
    from: u64,
    mut append: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), PartError> {
    let end = entry.body_start + entry.body_len;
    let mut at = entry.body_start + from;
    while at < end {
        let bytes = match read_at(&entry.file, at, COPY_BYTES.min(end - at))? {
            bytes if bytes.is_empty() => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            bytes => bytes,
        };
        append(&bytes)?;
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Makes the head of the whole from that of a part.
fn whole_head(head: &[u8], complete_length: u64) -> Option<Vec<u8>> {
    let mut parsed = ResponseHead::new();
    let Ok(Progress::Done(_)) = ResponseParser::new().parse(head, usize::MAX, &mut parsed) else {
        return None;
    };
    parsed.fields.retain(|name, _| {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        !is("Content-Range") && !is("Content-Length")
    });
    let mut whole = b"HTTP/1.1 200 OK\r\n".to_vec();
    http1::write_fields(&mut whole, &parsed.fields);
    http1::write_field(&mut whole, b"Content-Length", complete_length.to_string().as_bytes());
    whole.extend_from_slice(b"\r\n");
    Some(whole)
}

#[cfg(test)]
mod tests;
