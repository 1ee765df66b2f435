//! The keys zone: which digests have a file, how large, and when each was last used. An LMDB environment, through heed.
//!
//! Tables: `rows` (digest → [`Row`]) and `ages` (last use, digest), which yields entries oldest first; the queues of
//! S3-FIFO (turn → digest) and what they remember, empty where that is not the order; `notes` holds the total size and the
//! temporary directories in use. This file knows rows, not files: what a change means for the disk is
//! decided in [`crate::writer`], the only place that begins write transactions. Everything here may block.
//!
//! Flags: NO_SYNC, since a lost index is rebuilt ([`crate::marker`] says when); never WRITE_MAP, since a full disk
//! would then kill the process.

#![expect(unsafe_code, reason = "opening an LMDB environment maps a file")]

mod check;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};
use thiserror::Error;

use self::check::Damage;
use crate::eviction::Scarce;
use crate::key::Digest;
use crate::s3fifo::{Place, Queue};
use crate::shared::allocate;

/// Address space, not disk: the same in every process and never resized.
const MAP_BYTES: usize = 16 << 30;
const MAX_READERS: u32 = 1024;
/// What LMDB maps of its lock file for so many readers, and a little more.
const LOCK_BYTES: usize = 64 * (MAX_READERS as usize + 64);
const STORED_BYTES: &[u8] = b"stored bytes";
const TEMP_DIR: &[u8] = b"temp ";
const QUEUES: &[u8] = b"queues";
/// Digests that are remembered at least, however few entries there are.
const LEAST_REMEMBERED: u64 = 64;
/// Old entries that are looked at for one without a place.
const OLD_ENTRIES: usize = 1000;

type Table = Database<'static, Bytes, Bytes>;

/// What the index knows of one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Seconds since the epoch.
    pub(crate) last_use: u32,
    /// With a file: how often it was served. Without: how often it was asked for, for `proxy_cache_min_uses`.
    pub(crate) uses: u32,
    /// What its file takes on disk; zero for a key that is only counted.
    pub(crate) size_bytes: u64,
    /// Where it stands in the queues of S3-FIFO, if it does: such a row is longer.
    pub(crate) place: Option<Place>,
}

impl Row {
    const BYTES: usize = 26;
    const BYTES_WITHOUT_PLACE: usize = 16;

    fn encode(self, out: &mut [u8; Self::BYTES]) -> &[u8] {
        out[..4].copy_from_slice(&self.last_use.to_le_bytes());
        out[4..8].copy_from_slice(&self.uses.to_le_bytes());
        out[8..16].copy_from_slice(&self.size_bytes.to_le_bytes());
        let Some(place) = self.place else { return &out[..Self::BYTES_WITHOUT_PLACE] };
        out[16..24].copy_from_slice(&place.turn.to_le_bytes());
        out[24] = match place.queue {
            Queue::Small => 0,
            Queue::Main => 1,
        };
        out[25] = place.frequency;
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (last_use, rest) = bytes.split_first_chunk::<4>()?;
        let (uses, rest) = rest.split_first_chunk::<4>()?;
        let (size_bytes, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            last_use: u32::from_le_bytes(*last_use),
            uses: u32::from_le_bytes(*uses),
            size_bytes: u64::from_le_bytes(*size_bytes),
            place: decode_place(rest),
        })
    }

    /// Whether the digest has a file.
    pub(crate) fn has_file(self) -> bool {
        self.size_bytes != 0
    }
}

/// The open environment.
pub(crate) struct Index {
    env: Env<WithoutTls>,
    rows: Table,
    ages: Table,
    notes: Table,
    small: Table,
    main: Table,
    /// Digests that left the small queue, by turn and the other way round.
    remembered: Table,
    remembered_turns: Table,
    /// The files that were opened.
    files: Option<Files>,
}

/// What tells the files of an index from others under the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    index: (u64, u64),
    lock: (u64, u64),
}

impl Files {
    /// The files of this index that are there now; nothing where one of them is missing.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let known = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        Some(Self { index: known(path)?, lock: known(&lock_of(path))? })
    }
}

/// The file that LMDB keeps beside the index.
pub(crate) fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    name.into()
}

/// How far the file of an index may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is as it was left in order, or others are using it.
    InOrder,
    /// Whoever used it was killed, or it was changed by somebody else: all of it is looked at first.
    Doubted,
}

/// Why an index cannot be used.
#[derive(Debug, Error)]
pub(crate) enum IndexError {
    /// Its file is not what LMDB would write.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The system or LMDB refused.
    #[error("{0}")]
    Lmdb(#[from] heed::Error),
}

impl From<Damage> for IndexError {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Content(what) => Self::Damaged(what.to_owned()),
            Damage::Io(error) => Self::Lmdb(heed::Error::Io(error)),
        }
    }
}

impl IndexError {
    /// Whether making it anew helps.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Lmdb(error) => is_damage(error),
        }
    }
}

/// Whether LMDB says that its file is no good.
pub(crate) fn is_damage(error: &heed::Error) -> bool {
    use heed::MdbError::{BadTxn, Corrupted, Incompatible, Invalid, PageNotFound, Panic, VersionMismatch};
    matches!(
        error,
        heed::Error::Mdb(
            BadTxn | Corrupted | Incompatible | Invalid | PageNotFound | Panic | VersionMismatch
        )
    )
}

/// What is answered where there is no index at the moment.
pub(crate) fn absent() -> heed::Error {
    heed::Error::Io(io::Error::new(io::ErrorKind::NotFound, "there is no index"))
}

impl Index {
    /// Opens or creates the environment in one file; its lock file lies beside it.
    pub(crate) fn open(path: &Path, trust: Trust) -> Result<Self, IndexError> {
        check::metas(path)?;
        let mut lock = OpenOptions::new();
        let lock = lock.read(true).write(true).create(true).truncate(false).mode(0o600).open(lock_of(path));
        lock.and_then(|lock| allocate(&lock, LOCK_BYTES)).map_err(heed::Error::Io)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES).max_readers(MAX_READERS).max_dbs(7);
        // SAFETY: NO_SYNC gives up durability only, for which the marker answers. The file is opened once per
        // process (heed refuses a second time), never across a fork, and changed by nothing but LMDB, whose lock file is kept.
        let env = unsafe {
            options.flags(EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC | EnvFlags::NO_READ_AHEAD);
            options.open(path)?
        };
        env.clear_stale_readers()?;
        if trust == Trust::Doubted {
            // Others may be writing: what this state consists of is not used again while it is read.
            let _state = env.read_txn()?;
            check::whole(path)?;
        }
        let txn = env.write_txn()?;
        let tables = env.create_databases_and_commit(txn, |opener, txn| {
            let mut table = |name| opener.create_database::<Bytes, Bytes>(txn, Some(name));
            let tables = [
                table("rows")?,
                table("ages")?,
                table("notes")?,
                table("small")?,
                table("main")?,
                table("remembered")?,
                table("remembered turns")?,
            ];
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
        })?;
        let [rows, ages, notes, small, main, remembered, remembered_turns] = tables.unwrap_commit();
        Ok(Self { env, rows, ages, notes, small, main, remembered, remembered_turns, files: Files::of(path) })
    }

    /// Whether its files still have their names.
    pub(crate) fn is_in_place(&self, path: &Path) -> bool {
        self.files.is_some() && Files::of(path) == self.files
    }

    /// Looks up one digest: about a microsecond.
    pub(crate) fn row(&self, digest: &Digest) -> heed::Result<Option<Row>> {
        let txn = self.env.read_txn()?;
        Ok(self.rows.get(&txn, digest)?.and_then(Row::decode))
    }

    /// When the entry that was not used for the longest time was last used.
    pub(crate) fn oldest_use(&self) -> heed::Result<Option<SystemTime>> {
        let txn = self.env.read_txn()?;
        let first = self.ages.first(&txn)?;
        Ok(first
            .and_then(|(key, _)| split_age(key))
            .map(|(last_use, _)| UNIX_EPOCH + Duration::from_secs(u64::from(last_use))))
    }

    /// The first digest after another one, or of all.
    pub(crate) fn next(&self, after: Option<&Digest>) -> heed::Result<Option<Digest>> {
        let txn = self.env.read_txn()?;
        let found = match after {
            Some(after) => self.rows.get_greater_than(&txn, after)?,
            None => self.rows.first(&txn)?,
        };
        Ok(found.and_then(|(digest, _)| digest.try_into().ok()))
    }

    /// Directories outside the cache in which fills made temporary files.
    pub(crate) fn temp_dirs(&self) -> heed::Result<Vec<Vec<u8>>> {
        let txn = self.env.read_txn()?;
        let found = self.notes.prefix_iter(&txn, TEMP_DIR)?;
        found.map(|entry| entry.map(|(key, _)| key[TEMP_DIR.len()..].to_vec())).collect()
    }

    /// Begins to change rows; waits for other processes' writers.
    pub(crate) fn begin(&self) -> heed::Result<Batch<'_>> {
        let txn = self.env.write_txn()?;
        let stored = self.notes.get(&txn, STORED_BYTES)?.and_then(|bytes| bytes.try_into().ok());
        let queues = self.notes.get(&txn, QUEUES)?.and_then(Queues::decode).unwrap_or_default();
        Ok(Batch {
            index: self,
            txn,
            stored_bytes: stored.map_or(0, u64::from_le_bytes),
            queues,
            before: queues,
        })
    }

    fn queue(&self, queue: Queue) -> &Table {
        match queue {
            Queue::Small => &self.small,
            Queue::Main => &self.main,
        }
    }

    /// Makes everything committed so far survive a crash of the machine.
    pub(crate) fn sync(&self) -> heed::Result<()> {
        self.env.force_sync()
    }

    /// Frees the places of readers that died: they would keep pages from being used again.
    pub(crate) fn clear_stale_readers(&self) -> heed::Result<usize> {
        self.env.clear_stale_readers()
    }

    /// Every digest with its row, for tests that compare index and files.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> Vec<(Digest, Row)> {
        let txn = self.env.read_txn().unwrap();
        let rows = self.rows.iter(&txn).unwrap().map(Result::unwrap);
        rows.map(|(key, row)| (key.try_into().unwrap(), Row::decode(row).unwrap())).collect()
    }
}

/// What is kept of the queues besides their entries.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Queues {
    /// What the files of the small queue take.
    small_bytes: u64,
    next_turn: u64,
}

impl Queues {
    fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.small_bytes.to_le_bytes());
        out[8..].copy_from_slice(&self.next_turn.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (small_bytes, next_turn) = bytes.split_first_chunk::<8>()?;
        let next_turn = u64::from_le_bytes(next_turn.try_into().ok()?);
        Some(Self { small_bytes: u64::from_le_bytes(*small_bytes), next_turn })
    }
}

/// Changes that become visible together.
pub(crate) struct Batch<'a> {
    index: &'a Index,
    txn: RwTxn<'a>,
    stored_bytes: u64,
    queues: Queues,
    /// As they are on record.
    before: Queues,
}

impl Batch<'_> {
    /// The row as this batch sees it.
    pub(crate) fn row(&self, digest: &Digest) -> heed::Result<Option<Row>> {
        row_in(&self.index.rows, &self.txn, digest)
    }

    /// Sets a row, and moves it to its place among the ages.
    pub(crate) fn put(&mut self, digest: &Digest, row: Row) -> heed::Result<()> {
        let before = self.row(digest)?;
        if before.is_none_or(|before| before.last_use != row.last_use) {
            if let Some(before) = before {
                self.index.ages.delete(&mut self.txn, &age_key(before.last_use, digest))?;
            }
            self.index.ages.put(&mut self.txn, &age_key(row.last_use, digest), &[])?;
        }
        self.index.rows.put(&mut self.txn, digest, row.encode(&mut [0; Row::BYTES]))?;
        self.requeue(digest, before.and_then(|before| before.place), row.place)?;
        self.count(before, Some(row));
        Ok(())
    }

    /// Takes a digest out of one place and puts it into another, where they are not the same.
    fn requeue(&mut self, digest: &Digest, from: Option<Place>, to: Option<Place>) -> heed::Result<()> {
        let spot = |place: Place| (place.queue, place.turn);
        if from.map(spot) == to.map(spot) {
            return Ok(());
        }
        if let Some(Place { queue, turn, .. }) = from {
            self.index.queue(queue).delete(&mut self.txn, &turn.to_be_bytes())?;
        }
        if let Some(Place { queue, turn, .. }) = to {
            self.index.queue(queue).put(&mut self.txn, &turn.to_be_bytes(), digest)?;
        }
        Ok(())
    }

    /// Removes a row and says what it was.
    pub(crate) fn remove(&mut self, digest: &Digest) -> heed::Result<Option<Row>> {
        let Some(row) = self.row(digest)? else { return Ok(None) };
        self.index.rows.delete(&mut self.txn, digest)?;
        self.index.ages.delete(&mut self.txn, &age_key(row.last_use, digest))?;
        self.requeue(digest, row.place, None)?;
        self.count(Some(row), None);
        Ok(Some(row))
    }

    /// The first `count` digests by last use, oldest first.
    pub(crate) fn oldest(&self, count: usize) -> heed::Result<Vec<(u32, Digest)>> {
        let ages = self.index.ages.iter(&self.txn)?.take(count);
        ages.map(|entry| Ok(entry.ok().and_then(|(key, _)| split_age(key))))
            .filter_map(Result::transpose)
            .collect()
    }

    /// The least recently used entry that stands in no queue.
    pub(crate) fn oldest_without_place(&self) -> heed::Result<Option<Digest>> {
        let Index { rows, ages, small, main, .. } = self.index;
        if small.len(&self.txn)? + main.len(&self.txn)? >= rows.len(&self.txn)? {
            return Ok(None);
        }
        for entry in ages.iter(&self.txn)?.take(OLD_ENTRIES) {
            let Some((_, digest)) = split_age(entry?.0) else { continue };
            if self.row(&digest)?.is_some_and(|row| row.place.is_none()) {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// A place behind all others of a queue.
    pub(crate) fn end_of(&mut self, queue: Queue, frequency: u8) -> Place {
        let turn = self.queues.next_turn;
        self.queues.next_turn += 1;
        Place { queue, turn, frequency }
    }

    /// Who stands first in a queue.
    pub(crate) fn head(&self, queue: Queue) -> heed::Result<Option<Digest>> {
        let first = self.index.queue(queue).first(&self.txn)?;
        Ok(first.and_then(|(_, digest)| digest.try_into().ok()))
    }

    /// Removes the first of a queue, which has no row.
    pub(crate) fn drop_head(&mut self, queue: Queue) -> heed::Result<()> {
        let first = self.index.queue(queue).first(&self.txn)?;
        let Some(turn) = first.map(|(turn, _)| turn.to_vec()) else { return Ok(()) };
        self.index.queue(queue).delete(&mut self.txn, &turn).map(|_| ())
    }

    /// What the small queue has, and the whole cache.
    pub(crate) fn shares(&self, scarce: Scarce) -> (u64, u64) {
        match scarce {
            Scarce::Bytes => (self.queues.small_bytes, self.stored_bytes),
            Scarce::Keys => {
                let count = |table: &Table| table.len(&self.txn).unwrap_or(0);
                (count(&self.index.small), count(&self.index.rows))
            }
        }
    }

    /// Remembers a digest that leaves the small queue, and forgets the oldest where there are more than entries.
    pub(crate) fn remember(&mut self, digest: &Digest) -> heed::Result<()> {
        let turn = self.queues.next_turn.to_be_bytes();
        self.queues.next_turn += 1;
        self.recall(digest)?;
        self.index.remembered.put(&mut self.txn, digest, &turn)?;
        self.index.remembered_turns.put(&mut self.txn, &turn, digest)?;
        let most = self.entries()?.max(LEAST_REMEMBERED);
        while self.index.remembered_turns.len(&self.txn)? > most {
            let oldest = self.index.remembered_turns.first(&self.txn)?;
            let Some(oldest) = oldest.and_then(|(_, digest)| digest.try_into().ok()) else { break };
            self.recall(&oldest)?;
        }
        Ok(())
    }

    /// Forgets a digest, and says whether it was remembered.
    pub(crate) fn recall(&mut self, digest: &Digest) -> heed::Result<bool> {
        let Some(turn) = self.index.remembered.get(&self.txn, digest)?.map(<[u8]>::to_vec) else {
            return Ok(false);
        };
        self.index.remembered_turns.delete(&mut self.txn, &turn)?;
        self.index.remembered.delete(&mut self.txn, digest)
    }

    /// Remembers a directory in which fills make temporary files.
    pub(crate) fn note_temp_dir(&mut self, dir: &[u8]) -> heed::Result<()> {
        self.index.notes.put(&mut self.txn, &[TEMP_DIR, dir].concat(), &[])
    }

    pub(crate) fn entries(&self) -> heed::Result<u64> {
        self.index.rows.len(&self.txn)
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    pub(crate) fn commit(mut self) -> heed::Result<()> {
        let stored = self.stored_bytes.to_le_bytes();
        self.index.notes.put(&mut self.txn, STORED_BYTES, &stored)?;
        if self.queues != self.before {
            self.index.notes.put(&mut self.txn, QUEUES, &self.queues.encode())?;
        }
        self.txn.commit()
    }

    fn count(&mut self, before: Option<Row>, after: Option<Row>) {
        let bytes = |row: Option<Row>| row.map_or(0, |row| row.size_bytes);
        let is_small = |row: &Row| row.place.is_some_and(|place| place.queue == Queue::Small);
        let in_small = |row: Option<Row>| bytes(row.filter(is_small));
        self.stored_bytes = self.stored_bytes.saturating_add(bytes(after)).saturating_sub(bytes(before));
        let small = &mut self.queues.small_bytes;
        *small = small.saturating_add(in_small(after)).saturating_sub(in_small(before));
    }
}

fn row_in(rows: &Table, txn: &RoTxn<'_, WithoutTls>, digest: &Digest) -> heed::Result<Option<Row>> {
    Ok(rows.get(txn, digest)?.and_then(Row::decode))
}

fn decode_place(bytes: &[u8]) -> Option<Place> {
    let (turn, rest) = bytes.split_first_chunk::<8>()?;
    let queue = match rest.first()? {
        0 => Queue::Small,
        _ => Queue::Main,
    };
    Some(Place { queue, turn: u64::from_le_bytes(*turn), frequency: *rest.get(1)? })
}

fn age_key(last_use: u32, digest: &Digest) -> [u8; 20] {
    let mut key = [0; 20];
    // Big-endian, so that the order of bytes is the order of time.
    key[..4].copy_from_slice(&last_use.to_be_bytes());
    key[4..].copy_from_slice(digest);
    key
}

fn split_age(key: &[u8]) -> Option<(u32, Digest)> {
    let (last_use, digest) = key.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*last_use), digest.try_into().ok()?))
}
