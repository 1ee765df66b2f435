//! One `proxy_cache_path`, opened by one process: find, begin, commit, remove.
//!
//! The rules that make a crash harmless are kept here and in [`crate::writer`]: a file takes its name complete and
//! before its row; a row goes before its file; a file that does not match its row is a miss, and the row goes.
//! Except where a method says otherwise it may block, and belongs on a thread for disk work.

#[cfg(test)]
mod crash_tests;
mod held_index;
mod maintain;
mod open;
#[cfg(test)]
mod order_tests;
mod parts;
mod purge;
mod read;
mod rewrite;
mod scrub;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use config::CachePath;
use parking_lot::Mutex;
use thiserror::Error;

pub use self::held_index::Loss;
pub(crate) use self::held_index::{HeldIndex, is_passing};
pub use self::maintain::Stats;
pub use self::open::{OpenError, Role, discard_index, lacks_rows};
pub use self::parts::{PartError, StoredPart};
pub use self::purge::{Forgotten, Inspected, PurgeError};
pub use self::read::{ReadError, StoredEntry};
pub use self::rewrite::{RewriteError, Rewritten};
pub use self::scrub::{Scrubbed, Scrubber};
use crate::complaints::Complaints;
use crate::format::{Meta, encode_struct};
use crate::key::{Digest, Key, path_of};
use crate::lease::{self, FillPermit, Lease};
use crate::pending::Pending;
use crate::purge::journal::Purges;
use crate::recent::Recent;
use crate::room::{NoRoom, Room, on_disk};
use crate::shared::Shared;
use crate::temp::{Completion, TempFile, beside};
use crate::writer::{Change, Evicted, Eviction, Until};

/// Entries that make room for a fill are evicted this many at a time.
const EVICT_FILES: usize = 64;
/// Keys without a file whose uses are counted in memory; past that they are read from the index again.
const COUNTED_KEYS: usize = 8192;

/// A cache, as one process has it open. Dropping it closes it ([`Zone::close`]).
pub struct Zone {
    conf: Arc<CachePath>,
    shared: Arc<Shared>,
    index: Arc<HeldIndex>,
    pending: Arc<Pending>,
    purges: Arc<Purges>,
    complaints: Arc<Complaints>,
    changes: SyncSender<Change>,
    writer: Mutex<Option<JoinHandle<()>>>,
    uses: Mutex<HashMap<Digest, u32>>,
    recent: Recent,
    temp_dirs: Mutex<Vec<PathBuf>>,
}

/// Tells a file from another that has taken its name, and from itself before a rewrite in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.size(),
        }
    }

    /// Whether the file of that name is the one: one `stat`.
    pub(crate) fn is_of(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| Self::of(&found) == *self)
    }
}

/// A response that has just been stored.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The digest it is stored under.
    pub digest: Digest,
    /// The open file.
    pub file: Arc<File>,
    /// What [`Zone::still_there`] compares.
    pub identity: Identity,
    /// The generation to compare with [`Zone::generation`].
    pub generation: u64,
}

/// Why a response was not stored.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The body is not as long as was announced, or nothing was written at all.
    #[error("the body is incomplete")]
    Incomplete,
    /// The file system refused.
    #[error("rename() \"{}\" to \"{}\" failed ({source})", from.display(), to.display())]
    Rename {
        /// The temporary file.
        from: PathBuf,
        /// The name in the cache.
        to: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file could not be completed.
    #[error("could not complete a temporary file ({0})")]
    Write(#[from] io::Error),
    /// It was purged on its way.
    #[error("it was purged meanwhile")]
    Purged,
    /// The cache is being closed.
    #[error("the cache is closed")]
    Closed,
}

impl Zone {
    /// The configuration it was opened with.
    pub fn conf(&self) -> &Arc<CachePath> {
        &self.conf
    }

    /// A number that moves when the file of this digest may have gone or changed. Never blocks: two atomic loads.
    ///
    /// What was read from a file holds while the number is the one from before the read; once it has moved,
    /// [`Zone::still_there`] tells. Other digests share the number, one in 4,096: inserts and touches do not move it.
    pub fn generation(&self, digest: &Digest) -> u64 {
        self.shared.generation(digest)
    }

    /// A number that moves when that of any digest does. Never blocks: some microseconds.
    pub fn moves(&self) -> u64 {
        self.shared.moves()
    }

    /// Whether a digest's file is still the one that was read: one `stat`.
    pub fn still_there(&self, digest: &Digest, identity: &Identity) -> bool {
        identity.is_of(&path_of(&self.conf, digest))
    }

    /// Counts a request for a key without a file, for `proxy_cache_min_uses`; the first is one.
    ///
    /// A key that had one a moment ago was asked for often enough.
    pub fn count_use(&self, digest: &Digest, now: SystemTime) -> u32 {
        let row = self.index.row(digest).ok().flatten();
        if row.is_some_and(|row| row.has_file()) {
            return u32::MAX;
        }
        let mut counted = self.uses.lock();
        if counted.len() >= COUNTED_KEYS {
            counted.clear();
        }
        let known = || row.map_or(0, |row| row.uses);
        let uses = counted.entry(*digest).or_insert_with(known);
        *uses = uses.saturating_add(1);
        let uses = *uses;
        drop(counted);
        self.offer(Change::Count { digest: *digest, uses, now: seconds(now) });
        uses
    }

    /// Records a use that is the last of so many hits, where the last one on record is older than ten seconds; says whether it is.
    /// Never blocks: where the queue is full the use is forgotten.
    pub fn touch(&self, digest: &Digest, hits: u32, now: SystemTime) -> bool {
        let now = seconds(now);
        let is_due = self.recent.is_due(digest, now);
        if is_due {
            self.offer(Change::Touch { digest: *digest, hits, now });
        }
        is_due
    }

    /// Adds hits to those of an entry. Waits where the queue is full.
    pub fn count_hits(&self, digest: &Digest, hits: u32, now: SystemTime) {
        self.queue(Change::Touch { digest: *digest, hits, now: seconds(now) });
    }

    /// How often an entry was served from the cache since it was first stored, as far as that is written down: what is newer than ten
    /// seconds may be missing.
    pub fn hits(&self, digest: &Digest) -> Option<u32> {
        let row = self.index.row(digest).ok().flatten();
        row.filter(|row| row.has_file()).map(|row| row.uses)
    }

    /// Asks to fill a key. The lease lapses after `age` (`proxy_cache_lock_age`), or with this process.
    /// Reads `/proc` only where another process holds the lease.
    ///
    /// What this process has just stored keeps its lease until its row is written; it need not wait for itself.
    pub fn lease(&self, digest: &Digest, age: Duration, now: SystemTime) -> Lease {
        // Asked first: once the row is written, the lease is given up before the row counts as no longer on its way.
        let is_ours = self.pending.contains(digest);
        match lease::take(&self.shared, digest, age, now) {
            Lease::Held { .. } if is_ours => Lease::Granted(FillPermit::without_lease(&self.shared, digest)),
            answer => answer,
        }
    }

    /// As [`Zone::lease`], but a lease that this process holds is taken over: its holder is late.
    pub fn lease_anew(&self, digest: &Digest, age: Duration, now: SystemTime) -> Lease {
        lease::take_over(&self.shared, digest, age, now)
    }

    /// The right to store a key beside whoever else fills it.
    pub fn permit_beside(&self, digest: &Digest) -> FillPermit {
        FillPermit::without_lease(&self.shared, digest)
    }

    /// Reserves room within `max_size`, evicting entries where it needs to.
    pub fn reserve(&self, bytes: u64) -> Result<Room, NoRoom> {
        let mut room = Room::new(&self.shared, bytes);
        let Some(limit) = self.conf.max_size else { return Ok(room) };
        if room.bytes() > limit {
            return Err(NoRoom { wanted: bytes });
        }
        while self.taken_bytes() > limit {
            // A little more than is needed: one transaction then serves many fills.
            let target = (limit - limit / 64).max(room.bytes());
            let gone = self.evict(Eviction { until: Until::Bytes(target), files: EVICT_FILES });
            room.has_made_way();
            // Where it is reached and yet too little, other fills were quicker: try again.
            if gone.entries == 0 && !gone.reached {
                return Err(NoRoom { wanted: bytes });
            }
        }
        Ok(room)
    }

    /// Makes a room larger: for bodies whose length is not known beforehand.
    pub fn grow(&self, room: &mut Room, bytes: u64) -> Result<(), NoRoom> {
        room.absorb(self.reserve(bytes)?);
        Ok(())
    }

    /// Creates the file for a fill: in `temp_dir` where `use_temp_path` is on, else beside the name that it will take.
    ///
    /// A file system spreads directories over the disk: files of many directories are made faster than as many in one.
    pub fn create_temp(&self, digest: &Digest, temp_dir: Option<&Path>) -> io::Result<TempFile> {
        let path = path_of(&self.conf, digest);
        let dir = temp_dir.filter(|_| self.conf.use_temp_path);
        dir.inspect(|dir| self.note_temp_dir(dir));
        TempFile::create(dir.unwrap_or(beside(&path)), digest, self.shared.owner(), self.conf.fsync)
    }

    /// Stores a complete response: the file takes its name, then its row is queued.
    ///
    /// `digest` is the permit's, or the main one of the same key where [`crate::policy::vary::store_under`] says so.
    /// Room and permit are given up when the row is committed.
    pub fn commit(
        &self,
        permit: FillPermit,
        digest: &Digest,
        mut temp: TempFile,
        room: Room,
        now: SystemTime,
    ) -> Result<Committed, StoreError> {
        if temp.complete()? == Completion::Torn {
            return Err(StoreError::Incomplete);
        }
        let prefix = temp.take_prefix();
        if prefix.as_ref().is_some_and(|prefix| self.is_late(prefix)) {
            return Err(StoreError::Purged);
        }
        let size_bytes = on_disk(temp.len());
        let (from, to) = (temp.path().to_owned(), path_of(&self.conf, digest));
        self.pending.queued(digest);
        let renamed = temp.rename(&to, digest);
        let stored = renamed.and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = stored.map_err(|source| {
            self.pending.committed(digest);
            StoreError::Rename { from, to, source }
        })?;
        self.shared.advance(digest);
        let generation = self.shared.generation(digest);
        self.uses.lock().remove(digest);
        let insert = Change::Insert { digest: *digest, size_bytes, now: seconds(now), room, permit };
        self.changes.send(insert).map_err(|_| StoreError::Closed)?;
        let identity = Identity::of(&metadata);
        if let Some(prefix) = prefix
            && self.is_late(&prefix)
        {
            // Purged between the first look and the new name.
            self.discard(digest, identity);
        }
        Ok(Committed { digest: *digest, file, identity, generation })
    }

    /// Removes an entry: its row, then its file. Returns before either is gone; [`Zone::flush`] waits.
    pub fn remove(&self, digest: &Digest) {
        self.queue(Change::Remove { digest: *digest });
    }

    /// Writes new times into a file's header after a 304, as nginx does: in place, and only if it is still the file that was read.
    ///
    /// Returns what the file is known by from then on, or nothing where it has been replaced meanwhile.
    pub fn update_meta(&self, key: &Key, entry: &Renewed<'_>) -> io::Result<Option<Identity>> {
        let path = path_of(&self.conf, entry.digest);
        let file = fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let found = file.metadata()?;
        if Identity::of(&found) != *entry.identity {
            return Ok(None);
        }
        file.write_all_at(&encode_struct(entry.meta, key.crc32), 0)?;
        if entry.meta.epoch != 0 {
            purge::raise_epoch(&file, entry.meta)?;
        }
        self.shared.advance(entry.digest);
        Ok(Some(Identity::of(&file.metadata()?)))
    }

    /// Bytes of entries and fills, of all processes.
    fn taken_bytes(&self) -> u64 {
        self.shared.totals().1 + self.shared.reserved()
    }

    /// Queues a change that must not be lost; waits where the queue is full.
    fn queue(&self, change: Change) {
        // The writer only ends when the zone does.
        let _ = self.changes.send(change);
    }

    /// Queues a change that may be lost.
    fn offer(&self, change: Change) {
        let _ = self.changes.try_send(change);
    }

    /// Directories outside the cache are remembered, so that what a killed process leaves there is swept.
    fn note_temp_dir(&self, dir: &Path) {
        let mut noted = self.temp_dirs.lock();
        if !noted.iter().any(|known| known == dir) {
            noted.push(dir.to_owned());
            drop(noted);
            self.queue(Change::NoteTempDir(dir.to_owned()));
        }
    }

    /// Sends a request to the writer thread and waits for its answer.
    fn ask<T>(&self, request: impl FnOnce(SyncSender<T>) -> Change) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        self.changes.send(request(reply)).ok()?;
        answer.recv().ok()
    }

    /// Evicts entries in the order that the cache has: rows, then files. Waits until it is done.
    pub fn evict(&self, eviction: Eviction) -> Evicted {
        self.ask(|reply| Change::Evict(eviction, reply)).unwrap_or_default()
    }
}

/// A stored entry and the times that a 304 gave it.
#[derive(Clone, Copy, Debug)]
pub struct Renewed<'a> {
    /// The digest it is stored under.
    pub digest: &'a Digest,
    /// The file that was read.
    pub identity: &'a Identity,
    /// Its header, with the new times; offsets unchanged.
    pub meta: &'a Meta,
}

/// Seconds since the epoch as the index keeps them: enough until 2106.
fn seconds(now: SystemTime) -> u32 {
    u32::try_from(crate::format::seconds(now)).unwrap_or(u32::MAX)
}
