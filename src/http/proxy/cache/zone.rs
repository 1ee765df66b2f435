//! One cache as a worker serves from it: the store, the entries in memory, and the fills under way.
//!
//! A hit finds its entry here and touches neither index nor file system. What may have changed behind
//! our back (a purge, an eviction, a file removed by hand) is noticed by the store's generation, read at each
//! hit for nanoseconds, and by a look at the file once a second.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cache::{Committed, Digest, Identity, Key, Lease, Meta, ReadError, Role, Standing, StoredEntry, Trouble};
use config::{CachePath, Verify};
use http1::{Progress, ResponseHead, ResponseParser};
use parking_lot::{Mutex, MutexGuard};

use super::{
    fill::{Fill, Ticket},
    memory::{Budget, Memory},
    remembered::Remembered,
    stored::Cooked,
};
use crate::{
    clock,
    error_log::{self, Level},
    http::response::{Body, FileSlice},
};

/// A cache zone of this worker.
pub struct Zone {
    /// Files and index.
    pub store: Arc<cache::Zone>,
    /// `proxy_cache_path`.
    pub path: Arc<CachePath>,
    /// What was learned of keys a moment ago.
    pub remembered: Remembered,
    memory: Memory,
    fills: Arc<FillTable>,
    commits: [Mutex<()>; COMMITS],
    uncounted: Mutex<Vec<(Digest, Arc<AtomicU32>)>>,
}

/// A stored answer, ready to be sent.
pub struct Entry {
    /// What the file's header says.
    pub meta: Meta,
    /// The answer's head as the upstream sent it.
    pub head: Arc<ResponseHead>,
    /// Its body.
    pub body: StoredBody,
    /// The head for clients, by the location that it was made for.
    pub cooked: OnceLock<(usize, Cooked)>,
    /// What is known of its file; nothing while that is still being written.
    file: Arc<OnceLock<StoredFile>>,
    /// The store's generation when it was last found to be good.
    generation: AtomicU64,
    /// How many purges that generation counts.
    purges: AtomicU64,
    /// When its file was last looked at, in milliseconds of the monotonic clock.
    looked_ms: AtomicU64,
    /// When a use of it was last recorded; zero for never.
    touched_ms: AtomicU64,
    /// Hits that the index does not know of yet.
    hits: Arc<AtomicU32>,
}

/// What is known of an entry's file.
#[derive(Debug, Clone, Copy)]
pub struct StoredFile {
    /// What tells it from another under the same name.
    pub identity: Identity,
    /// Where its header lines and its body start.
    pub starts: (u16, u16),
}

/// Where the body of an entry is.
pub enum StoredBody {
    /// In memory, whole.
    Memory(Bytes),
    /// In its file.
    File(FileSlice),
    /// Still arriving.
    Arriving,
}

/// How long a file that was removed by hand may still be served.
const LOOK_AGAIN_MS: u64 = 1000;
/// How long files that are gone may be kept open.
const CLOSE_GONE_AFTER: Duration = Duration::from_millis(500);
/// How far apart two recorded uses of an entry are at least.
const TOUCH_AGAIN_MS: u64 = 10_000;

/// Files of one zone that may take their names at the same time.
const COMMITS: usize = 64;

impl Zone {
    /// Opens a cache for this worker, which may keep so many of its files open.
    ///
    /// # Errors
    /// Its directory or index cannot be used.
    pub fn open(path: Arc<CachePath>, descriptors: u64) -> Result<Self, cache::OpenError> {
        let store = Arc::new(cache::Zone::open(&path, Role::Worker)?);
        let memory = Memory::new(&Budget::new(path.ram, descriptors));
        Ok(Self {
            store,
            path,
            remembered: Remembered::default(),
            memory,
            fills: Arc::default(),
            commits: [const { Mutex::new(()) }; COMMITS],
            uncounted: Mutex::default(),
        })
    }

    /// Finds the entry of a digest: in memory, or in the store on a thread that may block.
    pub async fn find(self: &Arc<Self>, key: &Key, digest: &Digest) -> Option<Arc<Entry>> {
        if let Some(entry) = self.memory.get(digest) {
            match self.current(key, digest, entry) {
                Some(entry) => return Some(entry),
                None => self.memory.forget(digest),
            }
        }
        let (zone, key, digest) = (Arc::clone(self), key.clone(), *digest);
        let read = tokio::task::spawn_blocking(move || zone.read(&key, &digest)).await;
        let stored = match read {
            Ok(Ok(stored)) => stored?,
            Ok(Err(error)) => {
                if let Some(say) = self.store.complaints().due(trouble_of(&error)) {
                    error_log::write(Level::Crit, format_args!("cache \"{}\": {error}{say}", self.path.name));
                }
                return None;
            }
            Err(error) => {
                error_log::write(Level::Alert, format_args!("reading cache \"{}\": {error}", self.path.name));
                return None;
            }
        };
        let entry = Arc::new(Entry::from_stored(stored, self.largest_body())?);
        self.memory.insert(digest, Arc::clone(&entry));
        Some(entry)
    }

    /// Reads a stored file. Where there is no descriptor for it, files that are only kept open make way. Blocks.
    fn read(&self, key: &Key, digest: &Digest) -> Result<Option<StoredEntry>, ReadError> {
        match self.store.read(key, digest) {
            Err(ReadError::File { source, .. }) if has_no_descriptors(&source) => {
                self.close_files();
                self.store.read(key, digest)
            }
            other => other,
        }
    }

    /// Gives up the descriptors of files that are removed or replaced, now and then: until then they take room on the disk.
    /// And writes down the hits so far.
    pub async fn look_after(self: Arc<Self>) {
        let mut seen = self.store.moves();
        let mut counted_ms = monotonic_ms();
        loop {
            tokio::time::sleep(CLOSE_GONE_AFTER).await;
            if monotonic_ms().saturating_sub(counted_ms) >= TOUCH_AGAIN_MS {
                counted_ms = monotonic_ms();
                self.count_hits();
            }
            let moves = self.store.moves();
            if std::mem::replace(&mut seen, moves) != moves {
                self.close_gone();
            }
        }
    }

    /// Gives up the descriptors of files that are removed or replaced. Blocks for a look at each that may be.
    pub fn close_gone(&self) {
        for (digest, entry) in self.memory.files() {
            let Some(file) = entry.file.get() else { continue };
            // Whoever asks for it next settles with purges; here only its file counts.
            let may_be_gone = entry.generation.load(Ordering::Relaxed) != self.store.generation(&digest);
            if may_be_gone && !self.store.still_there(&digest, &file.identity) {
                self.withdraw(&digest, &entry);
            }
        }
    }

    /// Gives up the descriptors of all entries that are kept open; who is sending one keeps it.
    pub fn close_files(&self) {
        self.memory.close_files();
    }

    /// What an entry in memory still is: nothing where its file is another or gone, or where it was purged.
    fn current(&self, key: &Key, digest: &Digest, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let generation = self.store.generation(digest);
        let known = entry.generation.load(Ordering::Relaxed);
        let now_ms = monotonic_ms();
        let looked_lately = now_ms.saturating_sub(entry.looked_ms.load(Ordering::Relaxed)) < LOOK_AGAIN_MS;
        let file = entry.file.get();
        if known == generation && (looked_lately || file.is_none()) {
            return Some(entry);
        }
        let purges = self.store.purges();
        let by_purges = purges.wrapping_sub(entry.purges.load(Ordering::Relaxed));
        // Where only purges have moved it, the file is the one it was.
        let is_same_file = looked_lately && generation.wrapping_sub(known) == by_purges;
        if let Some(StoredFile { identity, .. }) = file
            && !is_same_file
        {
            if !self.store.still_there(digest, identity) {
                return None;
            }
            entry.looked_ms.store(now_ms, Ordering::Relaxed);
        }
        let current = self.judged(key, Arc::clone(&entry))?;
        current.generation.store(generation, Ordering::Relaxed);
        current.purges.store(purges, Ordering::Relaxed);
        if !Arc::ptr_eq(&current, &entry) {
            self.memory.insert(*digest, Arc::clone(&current));
        }
        Some(current)
    }

    /// What purges leave of an entry: all of it, a stale one, or nothing.
    fn judged(&self, key: &Key, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        match self.store.judge(key, &entry.meta) {
            Standing::Live => Some(entry),
            Standing::Soft(number) if entry.meta.is_softened(number) => Some(entry),
            Standing::Soft(number) => {
                let mut meta = entry.meta.clone();
                meta.soften(number);
                let generation = entry.generation.load(Ordering::Relaxed);
                Some(Arc::new(entry.renewed(meta, Arc::clone(&entry.head), None, generation)))
            }
            Standing::Gone => None,
        }
    }

    /// Counts a hit, and records a use for the eviction by age, at most once in ten seconds: a hit must not cost a write.
    pub fn touch(&self, digest: &Digest, entry: &Entry) {
        let now_ms = monotonic_ms();
        let touched_ms = entry.touched_ms.load(Ordering::Relaxed);
        let is_due = touched_ms == 0 || now_ms.saturating_sub(touched_ms) >= TOUCH_AGAIN_MS;
        // Without a file it is not in the index either.
        if is_due && entry.file.get().is_some() {
            entry.touched_ms.store(now_ms, Ordering::Relaxed);
            let hits = entry.hits.swap(0, Ordering::Relaxed).saturating_add(1);
            if !self.store.touch(digest, hits, clock::now()) {
                self.count_later(digest, entry, hits);
            }
        } else {
            self.count_later(digest, entry, 1);
        }
    }

    /// Keeps hits until [`Zone::count_hits`].
    fn count_later(&self, digest: &Digest, entry: &Entry, hits: u32) {
        if entry.hits.fetch_add(hits, Ordering::Relaxed) == 0 {
            self.uncounted.lock().push((*digest, Arc::clone(&entry.hits)));
        }
    }

    /// Writes down all hits that have not been. Blocks where the writer of the index is behind.
    fn count_hits(&self) {
        let now = clock::now();
        for (digest, hits) in std::mem::take(&mut *self.uncounted.lock()) {
            let hits = hits.swap(0, Ordering::Relaxed);
            if hits > 0 {
                self.store.count_hits(&digest, hits, now);
            }
        }
    }

    /// Puts a new entry in the place of an old one, as far as no purge was quicker.
    pub fn replace(&self, key: &Key, digest: Digest, entry: Arc<Entry>) {
        // What is there instead may be younger than the purge, and is judged by itself.
        if let Some(entry) = self.judged(key, entry) {
            self.memory.insert(digest, entry);
        }
    }

    /// Whether a key is in memory and not purged, or on its way there.
    pub fn holds(&self, key: &Key) -> bool {
        let in_memory = self.memory.peek(&key.digest).and_then(|entry| self.judged(key, entry));
        in_memory.is_some() || self.fills.find(&key.digest).is_some_and(|fill| !self.is_purged(key, &fill))
    }

    /// Whether what a fill fetches has been purged since its upstream was asked.
    pub fn is_purged(&self, key: &Key, fill: &Fill) -> bool {
        fill.with_meta(|meta| self.store.judge(key, meta)) == Standing::Gone
    }

    /// Holds up other files of the same name while one takes it: the answer that was found first is stored first. Blocks.
    pub fn in_order(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        self.commits[usize::from(digest[1]) % COMMITS].lock()
    }

    /// Whether new files say what the sum of their body is.
    pub fn states_sums(&self) -> bool {
        self.path.verify == Verify::Sum
    }

    /// Whether somebody is filling a key.
    pub fn is_filling(&self, digest: &Digest) -> bool {
        self.fills.has(digest)
    }

    /// Length of the largest body that is kept in memory, where any is.
    pub fn largest_body(&self) -> Option<u64> {
        self.memory.largest_body()
    }

    /// Whether an entry is in memory, good or not.
    pub fn knows(&self, digest: &Digest) -> bool {
        self.memory.peek(digest).is_some()
    }

    /// Whether another entry has taken the place of this one in memory.
    pub fn has_another(&self, digest: &Digest, entry: &Arc<Entry>) -> bool {
        self.memory.peek(digest).is_some_and(|now| !Arc::ptr_eq(&now, entry))
    }

    /// Forgets an entry, unless another has taken its place.
    pub fn withdraw(&self, digest: &Digest, entry: &Arc<Entry>) {
        self.memory.remove(digest, entry);
    }

    /// Decides whose turn it is to fill a key: in this worker first, then among all processes.
    ///
    /// A fill from which nothing has come for longer than `age` is passed over, and so is one that was purged.
    pub fn turn(&self, key: &Key, digest: &Digest, age: Duration) -> Turn {
        let epoch = self.store.epoch();
        let is_over = |fill: &Fill| fill.is_late(age) || self.is_purged(key, fill);
        let (ticket, lease) = match self.fills.place(digest, epoch, is_over) {
            Place::Taken(fill) => return Turn::Theirs(fill),
            Place::Free(ticket) => (ticket, self.store.lease(digest, age, clock::now())),
            // Its lease is ours to take over: in this process the table decides.
            Place::Late(ticket) => (ticket, self.store.lease_anew(digest, age, clock::now())),
        };
        match lease {
            Lease::Granted(permit) => Turn::Mine(ticket.with_permit(permit)),
            Lease::Held { .. } => Turn::Elsewhere,
        }
    }

    /// Gives the right to store a key to one who asks whoever else does. What is stored last counts.
    pub fn turn_anyway(&self, key: &Key, digest: &Digest, age: Duration) -> Ticket {
        match self.turn(key, digest, age) {
            Turn::Mine(ticket) => ticket,
            Turn::Theirs(_) | Turn::Elsewhere => {
                Ticket::apart().with_permit(self.store.permit_beside(digest))
            }
        }
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.count_hits();
    }
}

/// Whose turn it is to fill a key.
pub enum Turn {
    /// Ours.
    Mine(Ticket),
    /// Somebody's who is at it.
    Theirs(Arc<Fill>),
    /// Another process's.
    Elsewhere,
}

/// The place of a key among the fills of this worker.
pub(super) enum Place {
    /// Nobody was at it: it is ours.
    Free(Ticket),
    /// Somebody has been at it for too long, or for what was purged: it is ours now.
    Late(Ticket),
    /// Somebody is at it.
    Taken(Arc<Fill>),
}

/// The fills of a zone, by digest.
#[derive(Default)]
pub struct FillTable {
    shards: [Mutex<HashMap<Digest, Arc<Fill>>>; SHARDS],
}

const SHARDS: usize = 16;

impl FillTable {
    /// Gives the place of a key to the caller, unless there is a fill that is not over. `epoch` is the last purge so far.
    pub(super) fn place(
        self: &Arc<Self>,
        digest: &Digest,
        epoch: u64,
        is_over: impl FnOnce(&Fill) -> bool,
    ) -> Place {
        let mut fills = self.shard(digest).lock();
        if let Some(fill) = fills.get(digest)
            && !is_over(fill)
        {
            return Place::Taken(Arc::clone(fill));
        }
        let fill = Fill::new(epoch);
        let before = fills.insert(*digest, Arc::clone(&fill));
        let ticket = Ticket::new(fill, Arc::clone(self), *digest);
        if before.is_some() { Place::Late(ticket) } else { Place::Free(ticket) }
    }

    fn find(&self, digest: &Digest) -> Option<Arc<Fill>> {
        self.shard(digest).lock().get(digest).map(Arc::clone)
    }

    /// Takes a fill off, unless another has its place.
    pub(super) fn remove(&self, digest: &Digest, fill: &Arc<Fill>) {
        let mut fills = self.shard(digest).lock();
        if fills.get(digest).is_some_and(|listed| Arc::ptr_eq(listed, fill)) {
            fills.remove(digest);
        }
    }

    fn has(&self, digest: &Digest) -> bool {
        self.shard(digest).lock().contains_key(digest)
    }

    fn shard(&self, digest: &Digest) -> &Mutex<HashMap<Digest, Arc<Fill>>> {
        &self.shards[usize::from(digest[0]) % SHARDS]
    }
}

impl Entry {
    /// Makes an entry of what the store read; none where its head is none that we could send.
    fn from_stored(stored: StoredEntry, largest_body: Option<u64>) -> Option<Self> {
        let mut head = ResponseHead::new();
        let parsed = ResponseParser::new().parse(&stored.head, usize::MAX, &mut head);
        let Ok(Progress::Done(_)) = parsed else { return None };
        let kept = stored.small_body.filter(|body| Some(body.len() as u64) <= largest_body);
        let body = match kept {
            Some(bytes) => StoredBody::Memory(Bytes::from(bytes)),
            None => StoredBody::File(FileSlice {
                file: stored.file,
                offset: stored.body_start,
                len: stored.body_len,
            }),
        };
        Some(Self {
            file: known(StoredFile {
                identity: stored.identity,
                starts: (stored.meta.header_start, stored.meta.body_start),
            }),
            meta: stored.meta,
            head: Arc::new(head),
            body,
            cooked: OnceLock::new(),
            generation: stored.generation.into(),
            purges: AtomicU64::new(0),
            looked_ms: monotonic_ms().into(),
            touched_ms: AtomicU64::new(0),
            hits: Arc::default(),
        })
    }

    /// Makes the entry of an answer whose body is still arriving.
    pub fn arriving(meta: Meta, head: Arc<ResponseHead>) -> Self {
        Self {
            meta,
            head,
            body: StoredBody::Arriving,
            cooked: OnceLock::new(),
            file: Arc::default(),
            generation: AtomicU64::new(0),
            purges: AtomicU64::new(0),
            looked_ms: AtomicU64::new(0),
            touched_ms: AtomicU64::new(0),
            hits: Arc::default(),
        }
    }

    /// Makes the entry of an answer that is whole, and about to be stored.
    pub fn shown(arriving: &Self, meta: Meta, body: StoredBody) -> Self {
        Self { body, ..Self::arriving(meta, Arc::clone(&arriving.head)) }
    }

    /// Makes the entry of an answer that has just been stored.
    pub fn committed(arriving: &Self, meta: Meta, body: StoredBody, committed: &Committed) -> Self {
        let starts = (meta.header_start, meta.body_start);
        Self {
            body,
            file: known(StoredFile { identity: committed.identity, starts }),
            generation: committed.generation.into(),
            looked_ms: monotonic_ms().into(),
            ..Self::arriving(meta, Arc::clone(&arriving.head))
        }
    }

    /// Makes the same entry with other times and head, after a validation; `file` where the file has them too.
    pub fn renewed(
        &self,
        meta: Meta,
        head: Arc<ResponseHead>,
        file: Option<StoredFile>,
        generation: u64,
    ) -> Self {
        let body = match &self.body {
            StoredBody::Memory(bytes) => StoredBody::Memory(bytes.clone()),
            StoredBody::File(slice) => StoredBody::File(slice.clone()),
            StoredBody::Arriving => StoredBody::Arriving,
        };
        Self {
            body,
            file: file.map_or_else(|| Arc::clone(&self.file), known),
            generation: generation.into(),
            looked_ms: monotonic_ms().into(),
            hits: Arc::clone(&self.hits),
            ..Self::arriving(meta, head)
        }
    }

    /// Makes the same entry with another head, where that has moved the body to another file.
    pub fn moved(&self, meta: Meta, head: Arc<ResponseHead>, committed: &Committed) -> Self {
        let starts = (meta.header_start, meta.body_start);
        let offset = u64::from(meta.body_start);
        let file = StoredFile { identity: committed.identity, starts };
        let mut moved = self.renewed(meta, head, Some(file), committed.generation);
        if let StoredBody::File(slice) = &mut moved.body {
            *slice = FileSlice { file: Arc::clone(&committed.file), offset, len: slice.len };
        }
        moved
    }

    /// Returns what is known of its file; nothing while that is still being written.
    pub fn file(&self) -> Option<StoredFile> {
        self.file.get().copied()
    }

    /// Notes that its file has been written.
    pub fn has_file(&self, file: StoredFile) {
        // Written once: an entry is shown once.
        let _ = self.file.set(file);
    }

    /// Returns the body as it is sent.
    pub fn body(&self) -> Body {
        match &self.body {
            StoredBody::Memory(bytes) => Body::Memory(bytes.clone()),
            StoredBody::File(slice) => Body::File(slice.clone()),
            StoredBody::Arriving => Body::Empty,
        }
    }

    /// Returns the body's length in bytes.
    pub fn body_len(&self) -> u64 {
        match &self.body {
            StoredBody::Memory(bytes) => bytes.len() as u64,
            StoredBody::File(slice) => slice.len,
            StoredBody::Arriving => 0,
        }
    }
}

/// Whether a process, or the system, has as many files open as it may.
pub fn has_no_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

fn trouble_of(error: &ReadError) -> Trouble {
    match error {
        ReadError::Index(_) => Trouble::Index,
        ReadError::File { .. } => Trouble::Read,
    }
}

fn known(file: StoredFile) -> Arc<OnceLock<StoredFile>> {
    Arc::new(OnceLock::from(file))
}

fn monotonic_ms() -> u64 {
    u64::try_from(clock::moment().since(clock::Moment::default()).as_millis()).unwrap_or(u64::MAX)
}
