//! The one thread of a process that changes the index: it takes changes off a bounded queue and commits them together.
//!
//! It also keeps the order that makes a crash harmless: a file stands under its name before its row is queued here,
//! and a row is gone before its file is removed here. Where a commit fails (a full disk), files whose
//! rows could not be written are removed: a file without a row would take space that nobody counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

use config::{CachePath, EvictionOrder};

use crate::complaints::{Complaints, Trouble};
use crate::eviction::{self, Scarce};
use crate::index::{Batch, Row};
use crate::key::{Digest, path_of};
use crate::lease::FillPermit;
use crate::pending::Pending;
use crate::room::{Room, on_disk};
use crate::shared::Shared;
use crate::store::{HeldIndex, Identity};

/// Changes that may wait; then their senders do, and touches are dropped.
pub(crate) const QUEUE: usize = 4096;
/// Changes in one transaction. It holds the lock that writers of other processes wait for.
const BATCH: usize = 500;
/// How often, and how long each time, a batch waits for more: a commit alone costs six times a change in company.
const WAITS: u32 = 5;
const WAIT: Duration = Duration::from_millis(1);
/// How long the index stays unsynced when nothing else happens.
const IDLE: Duration = Duration::from_secs(5);
/// And how many commits when it never is idle: about five seconds too, at the pace of the waits.
const COMMITS_UNSYNCED: u32 = 1000;

/// A wish to change the index. What a change holds (room, permit) is given up once it is committed.
pub(crate) enum Change {
    /// A file has taken its name.
    #[expect(dead_code, reason = "room and permit are held until the row is committed")]
    Insert { digest: Digest, size_bytes: u64, now: u32, room: Room, permit: FillPermit },
    /// A file was found: it may have no row, or that of a file before it.
    Adopt { digest: Digest, size_bytes: u64, now: u32 },
    /// An entry was used, and served so often since this was last told.
    Touch { digest: Digest, hits: u32, now: u32 },
    /// A key without a file was asked for.
    Count { digest: Digest, uses: u32, now: u32 },
    /// A row has no file that fits it.
    Forget { digest: Digest },
    /// An entry shall go.
    Remove { digest: Digest },
    /// An entry shall go, if its file is still this one.
    Discard { digest: Digest, identity: Identity },
    /// Fills make temporary files in this directory.
    NoteTempDir(PathBuf),
    /// Everything before this is committed, then the reply is sent.
    Flush(Durability, SyncSender<()>),
    /// Old entries shall go.
    Evict(Eviction, SyncSender<Evicted>),
    /// The cache is closed: sync and end.
    Stop,
}

/// How safe a flush makes the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Against the death of processes.
    Committed,
    /// Against the death of the machine.
    Synced,
}

/// Which entries to evict, in the order that the cache has, at most `files` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// How far to go.
    pub until: Until,
    /// How many at a time.
    pub files: usize,
}

/// Where an eviction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Entries and reservations take no more than this.
    Bytes(u64),
    /// Every entry was used since, in seconds since the epoch: by age, whatever the order.
    UsedSince(u32),
    /// As many are gone as may go.
    AllGone,
}

/// What an eviction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Entries, those without a file too.
    pub entries: u64,
    /// What their files took.
    pub bytes: u64,
    /// Whether it went as far as it should.
    pub reached: bool,
}

/// The thread's belongings.
pub(crate) struct Writer {
    pub(crate) conf: Arc<CachePath>,
    pub(crate) index: Arc<HeldIndex>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) complaints: Arc<Complaints>,
    /// Most rows that `keys_zone` has room for.
    pub(crate) most_keys: u64,
    pub(crate) unsynced: u32,
}

impl Writer {
    /// Works until it is told to stop.
    pub(crate) fn run(mut self, queue: &Receiver<Change>) {
        loop {
            let first = match queue.recv_timeout(IDLE) {
                Ok(change) => change,
                Err(RecvTimeoutError::Timeout) => {
                    self.index.mend();
                    self.sync();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (changes, barrier) = gather(first, queue);
            self.index.mend();
            self.commit(changes);
            match barrier {
                None => {}
                Some(Change::Stop) => break,
                Some(barrier) => self.pass(barrier),
            }
            if self.unsynced >= COMMITS_UNSYNCED {
                self.sync();
            }
        }
        self.sync();
    }

    /// Does what stands on its own: it sees every change that was queued before it.
    fn pass(&mut self, barrier: Change) {
        match barrier {
            Change::Flush(durability, reply) => {
                if durability == Durability::Synced {
                    self.sync();
                }
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
            Change::Evict(eviction, reply) => {
                let _ = reply.send(self.evict(eviction));
            }
            _ => unreachable!("only flushes and evictions are barriers"),
        }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.unsynced += 1;
        let mut after = Aftermath::default();
        let result = self.commit_rows(&changes, &mut after);
        if let Err(error) = &result {
            self.report("could not write the index", error);
            after.doomed.extend(changes.iter().filter_map(stored));
            if changes.iter().any(|change| matches!(change, Change::Adopt { .. })) {
                self.index.has_lost_rows();
            }
        }
        let settled: Vec<Digest> = changes.iter().filter_map(inserted).collect();
        // Rooms and permits end here, when the rows that stand for them are visible; a lease that is still held
        // without a row on its way is then another's.
        drop(changes);
        for digest in settled {
            self.pending.committed(&digest);
        }
        self.finish(after);
    }

    fn commit_rows(&self, changes: &[Change], after: &mut Aftermath) -> heed::Result<()> {
        let index = self.index.get()?;
        let mut batch = index.begin()?;
        for change in changes {
            self.apply(&mut batch, change, after)?;
        }
        self.keep_to_keys_zone(&mut batch, after)?;
        self.commit_batch(batch, after)
    }

    fn apply(&self, batch: &mut Batch<'_>, change: &Change, after: &mut Aftermath) -> heed::Result<()> {
        match change {
            Change::Insert { digest, size_bytes, now, .. } => {
                // Its removal was asked for before this file took the name.
                after.doomed.retain(|doomed| doomed != digest);
                let before = batch.row(digest)?;
                // Who asked for what had expired has used it.
                let place = before.and_then(|row| eviction::touched(row, *now).unwrap_or(row).place);
                let row = Row { last_use: *now, uses: hits(before), size_bytes: *size_bytes, place };
                eviction::put(self.conf.eviction, batch, digest, row)
            }
            Change::Adopt { digest, size_bytes, now } => match batch.row(digest)? {
                Some(row) if row.size_bytes == *size_bytes => Ok(()),
                Some(row) if row.has_file() => {
                    // Replaced by a process that was killed before its row was written, or just now: the file says.
                    match fs::metadata(path_of(&self.conf, digest)) {
                        Ok(file) => batch.put(digest, Row { size_bytes: on_disk(file.len()), ..row }),
                        Err(_) => Ok(()),
                    }
                }
                before => {
                    let place = before.and_then(|row| row.place);
                    let row = Row { last_use: *now, uses: hits(before), size_bytes: *size_bytes, place };
                    eviction::put(self.conf.eviction, batch, digest, row)
                }
            },
            Change::Touch { digest, hits, now } => {
                let Some(row) = batch.row(digest)?.filter(|row| row.has_file()) else { return Ok(()) };
                let used = eviction::touched(row, *now).unwrap_or(row);
                let row = Row { uses: row.uses.saturating_add(*hits), ..used };
                eviction::put(self.conf.eviction, batch, digest, row)
            }
            Change::Count { digest, uses, now } => {
                let before = batch.row(digest)?;
                let (size_bytes, place) = before.map_or((0, None), |row| (row.size_bytes, row.place));
                let row = Row { last_use: *now, uses: *uses, size_bytes, place };
                eviction::put(self.conf.eviction, batch, digest, row)
            }
            // Looked at again, since a fill may have made the file meanwhile.
            Change::Forget { digest } if path_of(&self.conf, digest).exists() => Ok(()),
            Change::Forget { digest } => batch.remove(digest).map(|_| ()),
            Change::Discard { digest, identity } if !identity.is_of(&path_of(&self.conf, digest)) => Ok(()),
            Change::Remove { digest } | Change::Discard { digest, .. } => {
                // Without a row too: the file may be one that the loader has not reached.
                let row = batch.remove(digest)?.filter(|row| row.has_file());
                after.doom(digest, row.unwrap_or(Row { last_use: 0, uses: 0, size_bytes: 1, place: None }));
                Ok(())
            }
            Change::NoteTempDir(dir) => batch.note_temp_dir(dir.as_os_str().as_encoded_bytes()),
            Change::Flush(..) | Change::Evict(..) | Change::Stop => unreachable!("barriers are taken out"),
        }
    }

    fn commit_batch(&self, batch: Batch<'_>, after: &mut Aftermath) -> heed::Result<()> {
        after.leaving = (after.bytes > 0).then(|| Room::new(&self.shared, after.bytes));
        let (entries, bytes) = (batch.entries()?, batch.stored_bytes());
        // Set before the lock is given up, so that the last writer's totals are the ones that stay.
        let before = self.shared.totals();
        self.shared.set_totals(entries, bytes);
        batch.commit().inspect_err(|_| self.shared.set_totals(before.0, before.1))
    }

    /// As nginx's forced expiry: where the zone is full, the least recently used keys make way, or whose turn it is.
    fn keep_to_keys_zone(&self, batch: &mut Batch<'_>, after: &mut Aftermath) -> heed::Result<()> {
        let over = batch.entries()?.saturating_sub(self.most_keys);
        let over = usize::try_from(over).unwrap_or(BATCH).min(BATCH);
        match self.conf.eviction {
            EvictionOrder::Lru => {
                for (_, digest) in batch.oldest(over)? {
                    if let Some(row) = batch.remove(&digest)? {
                        after.doom(&digest, row);
                    }
                }
            }
            EvictionOrder::S3Fifo => {
                for _ in 0..over {
                    let next = eviction::next_of_queues(batch, Scarce::Keys, |_| true)?;
                    let Some(digest) = next else { break };
                    if let Some(row) = batch.remove(&digest)? {
                        after.doom(&digest, row);
                    }
                }
            }
        }
        Ok(())
    }

    fn evict(&mut self, eviction: Eviction) -> Evicted {
        self.unsynced += 1;
        let mut after = Aftermath::default();
        let mut evicted = Evicted::default();
        if let Err(error) = self.evict_rows(eviction, &mut after, &mut evicted) {
            // Their files go all the same: on a full disk that is what makes room for the next commit.
            self.report("could not write the index", &error);
        }
        self.finish(after);
        evicted
    }

    fn evict_rows(&self, eviction: Eviction, after: &mut Aftermath, out: &mut Evicted) -> heed::Result<()> {
        let index = self.index.get()?;
        let mut batch = index.begin()?;
        let files = eviction.files.min(BATCH);
        match (eviction.until, self.conf.eviction) {
            (Until::UsedSince(_), _) | (_, EvictionOrder::Lru) => {
                self.evict_by_age(&mut batch, eviction.until, files, after, out)?;
            }
            (until, EvictionOrder::S3Fifo) => self.evict_by_turn(&mut batch, until, files, after, out)?,
        }
        self.commit_batch(batch, after)
    }

    fn evict_by_age(
        &self,
        batch: &mut Batch<'_>,
        until: Until,
        files: usize,
        after: &mut Aftermath,
        out: &mut Evicted,
    ) -> heed::Result<()> {
        let reserved = self.shared.reserved();
        for (last_use, digest) in batch.oldest(files)? {
            let done = match until {
                Until::Bytes(bytes) => batch.stored_bytes() + reserved <= bytes,
                Until::UsedSince(since) => last_use >= since,
                Until::AllGone => false,
            };
            if done {
                out.reached = true;
                break;
            }
            // Its file has just been replaced, and a row for that one is on its way.
            if !self.pending.contains(&digest) {
                take(batch, &digest, after, out)?;
            }
        }
        Ok(())
    }

    fn evict_by_turn(
        &self,
        batch: &mut Batch<'_>,
        until: Until,
        files: usize,
        after: &mut Aftermath,
        out: &mut Evicted,
    ) -> heed::Result<()> {
        let reserved = self.shared.reserved();
        for _ in 0..files {
            if matches!(until, Until::Bytes(bytes) if batch.stored_bytes() + reserved <= bytes) {
                out.reached = true;
                break;
            }
            let may_go = |digest: &Digest| !self.pending.contains(digest);
            let next = eviction::next_of_queues(batch, Scarce::Bytes, may_go)?;
            let Some(digest) = next else { break };
            take(batch, &digest, after, out)?;
        }
        Ok(())
    }

    /// The rows are gone: now the files may go, and then readers are told to look.
    fn finish(&self, after: Aftermath) {
        // A file that was stored under the same name since then stays.
        for digest in after.doomed.iter().filter(|digest| !self.pending.contains(digest)) {
            let path = path_of(&self.conf, digest);
            match remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if let Some(say) = self.complaints.due(Trouble::Remove) {
                        tracing::error!("unlink() \"{}\" failed ({error}){say}", path.display());
                    }
                }
                _ => {}
            }
            self.shared.advance(digest);
        }
        drop(after.leaving);
    }

    fn sync(&mut self) {
        if self.unsynced == 0 {
            return;
        }
        self.unsynced = 0;
        if let Err(error) = self.index.get().and_then(|index| index.sync()) {
            self.report("could not sync the index", &error);
        }
    }

    fn report(&self, what: &str, error: &heed::Error) {
        self.index.judge(error);
        if let Some(say) = self.complaints.due(Trouble::Index) {
            tracing::error!("cache \"{}\": {what} ({error}){say}", self.conf.name);
        }
    }
}

/// Removes the row of what is evicted; its file follows.
fn take(
    batch: &mut Batch<'_>,
    digest: &Digest,
    after: &mut Aftermath,
    out: &mut Evicted,
) -> heed::Result<()> {
    if let Some(row) = batch.remove(digest)? {
        out.entries += 1;
        out.bytes += row.size_bytes;
        after.doom(digest, row);
    }
    Ok(())
}

/// Files to remove once the rows are gone.
#[derive(Default)]
struct Aftermath {
    doomed: Vec<Digest>,
    bytes: u64,
    /// Counts them until they are gone: a fill must not take their room before.
    leaving: Option<Room>,
}

impl Aftermath {
    fn doom(&mut self, digest: &Digest, row: Row) {
        if row.has_file() {
            self.doomed.push(*digest);
            self.bytes += row.size_bytes;
        }
    }
}

/// Collects a batch, up to the first change that stands on its own.
fn gather(first: Change, queue: &Receiver<Change>) -> (Vec<Change>, Option<Change>) {
    let mut changes = Vec::new();
    if is_barrier(&first) {
        return (changes, Some(first));
    }
    changes.push(first);
    let mut waits = WAITS;
    while changes.len() < BATCH {
        let next = match queue.try_recv() {
            Err(TryRecvError::Empty) if waits > 0 => {
                waits -= 1;
                queue.recv_timeout(WAIT).ok()
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            Ok(change) => Some(change),
        };
        match next {
            Some(barrier) if is_barrier(&barrier) => return (changes, Some(barrier)),
            Some(change) => changes.push(change),
            None => {}
        }
    }
    (changes, None)
}

/// Removes a file, or an empty directory that somebody put in its place: with what it holds, it is not ours to remove.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(path),
        other => other,
    }
}

fn is_barrier(change: &Change) -> bool {
    matches!(change, Change::Flush(..) | Change::Evict(..) | Change::Stop)
}

/// The hits of an entry that is there already: its new file goes on with them.
fn hits(before: Option<Row>) -> u32 {
    before.filter(|row| row.has_file()).map_or(0, |row| row.uses)
}

/// A file that was made for this change. One that was found stays: the next look at the disk finds it again.
fn stored(change: &Change) -> Option<Digest> {
    match change {
        Change::Insert { digest, .. } => Some(*digest),
        _ => None,
    }
}

fn inserted(change: &Change) -> Option<Digest> {
    match change {
        Change::Insert { digest, .. } | Change::Adopt { digest, .. } => Some(*digest),
        _ => None,
    }
}
