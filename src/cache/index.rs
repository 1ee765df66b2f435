//! The keys zone: which digests have a file, how large, and when each was last used. An LMDB environment, through heed.
//!
//! Two tables: `rows` (digest → [`Row`]) and `ages` (last use, digest), which yields entries oldest first; `notes`
//! holds the total size and the temporary directories in use. This file knows rows, not files: what a change means for the disk is
//! decided in [`crate::writer`], the only place that begins write transactions. Everything here may block.
//!
//! Flags: NO_SYNC, since a lost index is rebuilt ([`crate::marker`] says when); never WRITE_MAP, since a full disk
//! would then kill the process.

#![expect(unsafe_code, reason = "opening an LMDB environment maps a file")]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};

use crate::key::Digest;

/// Address space, not disk: the same in every process and never resized.
const MAP_BYTES: usize = 16 << 30;
const MAX_READERS: u32 = 1024;
const STORED_BYTES: &[u8] = b"stored bytes";
const TEMP_DIR: &[u8] = b"temp ";

type Table = Database<'static, Bytes, Bytes>;

/// What the index knows of one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Seconds since the epoch.
    pub(crate) last_use: u32,
    /// How often it was asked for, as far as `proxy_cache_min_uses` needs it.
    pub(crate) uses: u32,
    /// What its file takes on disk; zero for a key that is only counted.
    pub(crate) size_bytes: u64,
}

impl Row {
    const BYTES: usize = 16;

    fn encode(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..4].copy_from_slice(&self.last_use.to_le_bytes());
        out[4..8].copy_from_slice(&self.uses.to_le_bytes());
        out[8..].copy_from_slice(&self.size_bytes.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (last_use, rest) = bytes.split_first_chunk::<4>()?;
        let (uses, size_bytes) = rest.split_first_chunk::<4>()?;
        Some(Self {
            last_use: u32::from_le_bytes(*last_use),
            uses: u32::from_le_bytes(*uses),
            size_bytes: u64::from_le_bytes(size_bytes.try_into().ok()?),
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
}

impl Index {
    /// Opens or creates the environment in one file; its lock file lies beside it.
    pub(crate) fn open(path: &Path) -> heed::Result<Self> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES).max_readers(MAX_READERS).max_dbs(3);
        // SAFETY: NO_SYNC gives up durability only, for which the marker answers. The file is opened once per
        // process (heed refuses a second time), never across a fork, and changed by nothing but LMDB, whose lock file is kept.
        let env = unsafe {
            options.flags(EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC | EnvFlags::NO_READ_AHEAD);
            options.open(path)?
        };
        env.clear_stale_readers()?;
        let txn = env.write_txn()?;
        let tables = env.create_databases_and_commit(txn, |opener, txn| {
            let rows = opener.create_database::<Bytes, Bytes>(txn, Some("rows"))?;
            let ages = opener.create_database::<Bytes, Bytes>(txn, Some("ages"))?;
            let notes = opener.create_database::<Bytes, Bytes>(txn, Some("notes"))?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((rows, ages, notes)))
        })?;
        let (rows, ages, notes) = tables.unwrap_commit();
        Ok(Self { env, rows, ages, notes })
    }

    /// Looks up one digest: about a microsecond.
    pub(crate) fn row(&self, digest: &Digest) -> heed::Result<Option<Row>> {
        let txn = self.env.read_txn()?;
        Ok(self.rows.get(&txn, digest)?.and_then(Row::decode))
    }

    /// When the entry that would be evicted next was last used.
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
        Ok(Batch { index: self, txn, stored_bytes: stored.map_or(0, u64::from_le_bytes) })
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

/// Changes that become visible together.
pub(crate) struct Batch<'a> {
    index: &'a Index,
    txn: RwTxn<'a>,
    stored_bytes: u64,
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
        self.index.rows.put(&mut self.txn, digest, &row.encode())?;
        self.count(before.map_or(0, |before| before.size_bytes), row.size_bytes);
        Ok(())
    }

    /// Removes a row and says what it was.
    pub(crate) fn remove(&mut self, digest: &Digest) -> heed::Result<Option<Row>> {
        let Some(row) = self.row(digest)? else { return Ok(None) };
        self.index.rows.delete(&mut self.txn, digest)?;
        self.index.ages.delete(&mut self.txn, &age_key(row.last_use, digest))?;
        self.count(row.size_bytes, 0);
        Ok(Some(row))
    }

    /// The first `count` digests by last use, oldest first.
    pub(crate) fn oldest(&self, count: usize) -> heed::Result<Vec<(u32, Digest)>> {
        let ages = self.index.ages.iter(&self.txn)?.take(count);
        ages.map(|entry| Ok(entry.ok().and_then(|(key, _)| split_age(key))))
            .filter_map(Result::transpose)
            .collect()
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
        self.txn.commit()
    }

    fn count(&mut self, before: u64, after: u64) {
        self.stored_bytes = self.stored_bytes.saturating_add(after).saturating_sub(before);
    }
}

fn row_in(rows: &Table, txn: &RoTxn<'_, WithoutTls>, digest: &Digest) -> heed::Result<Option<Row>> {
    Ok(rows.get(txn, digest)?.and_then(Row::decode))
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
