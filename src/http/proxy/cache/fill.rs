//! One fill: an answer on its way into the cache, and everyone who reads it meanwhile.
//!
//! The task that asks the upstream owns a [`Ticket`]; all others see the [`Fill`]. Bytes become readable the
//! moment they arrive: the newest from memory, older ones from the temporary file. Dropping the
//! ticket without an end releases everyone to try anew, so a fill that dies never holds up a key.

use std::{
    collections::VecDeque,
    fs::File,
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use cache::{Digest, FillPermit, Meta};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::zone::{Entry, FillTable};
use crate::{
    clock::{self, Moment},
    http::{
        Fault,
        exchange::UpstreamFacts,
        fault::{Kind, Side},
        response::{FileSlice, Piece},
    },
};

/// Bytes that a fill keeps in memory while the disk is behind.
pub(super) const TAIL_BYTES: u64 = 1 << 20;

/// A fill as its readers see it.
pub struct Fill {
    /// When the upstream was asked.
    begun: Moment,
    /// The number of the last purge at that time.
    epoch: u64,
    /// The temporary file and where the body begins in it, once there is one.
    pub file: OnceLock<(Arc<File>, u64)>,
    state: Mutex<State>,
    /// More to read, or an end.
    changed: Notify,
    /// A reader went on or left.
    moved: Notify,
}

struct State {
    stage: Stage,
    /// The newest chunks; the first begins at `tail_start`.
    tail: VecDeque<Bytes>,
    tail_start: u64,
    received: u64,
    /// When the upstream was asked, or bytes came last.
    advanced: Moment,
    end: Option<End>,
    /// What is known of the tries that brought the answer, when all of it is there.
    facts: Option<UpstreamFacts>,
    /// Positions of the readers that follow.
    readers: Vec<Option<u64>>,
    /// Who waits for the answer to begin.
    waiting: usize,
    /// Whether it is wanted though nobody may read it to its end.
    kept: bool,
}

/// How far a fill has come.
#[derive(Clone)]
pub enum Stage {
    /// The upstream has been asked.
    Asking,
    /// It answers, and the answer is being stored.
    Storing(Arc<Incomplete>),
    /// It is over for those who wait.
    Released(Release),
}

/// Why waiting is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// There is something in the cache now, or another may try: look again.
    LookAgain,
    /// The upstream failed and the stale entry was served instead: all may do so.
    ServeStale,
    /// The answer must not be stored: everyone asks for himself, at once.
    Uncacheable,
}

/// How a body ended.
#[derive(Clone)]
enum End {
    Complete,
    Broken(Fault),
}

/// An answer whose body is still arriving.
pub struct Incomplete {
    /// What it will be in the cache; its body is not used.
    pub entry: Arc<Entry>,
    /// Content-Length, where there is one.
    pub length: Option<u64>,
}

impl Fill {
    pub(super) fn new(epoch: u64) -> Arc<Self> {
        let begun = clock::moment();
        let state = State {
            stage: Stage::Asking,
            tail: VecDeque::new(),
            tail_start: 0,
            received: 0,
            advanced: begun,
            end: None,
            facts: None,
            readers: Vec::new(),
            waiting: 0,
            kept: false,
        };
        Arc::new(Self {
            begun,
            epoch,
            file: OnceLock::new(),
            state: Mutex::new(state),
            changed: Notify::new(),
            moved: Notify::new(),
        })
    }

    /// Waits until the fill is more than a question. Cancel safe.
    pub async fn answered(&self) -> Stage {
        let _counted = Waiting::begin(self);
        loop {
            let changed = self.changed.notified();
            let stage = self.state.lock().stage.clone();
            if !matches!(stage, Stage::Asking) {
                return stage;
            }
            changed.await;
        }
    }

    /// Whether it is still a question.
    pub fn is_asking(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Asking)
    }

    /// Whether nothing has come for that long (`proxy_cache_lock_age`): another may try.
    pub fn is_late(&self, age: Duration) -> bool {
        self.state.lock().advanced.elapsed() >= age
    }

    /// What it will be in the cache, as far as purges go: all that is known before it answers is when it was asked.
    pub(super) fn with_meta<T>(&self, judge: impl FnOnce(&Meta) -> T) -> T {
        let stage = self.state.lock().stage.clone();
        match stage {
            Stage::Storing(incomplete) => judge(&incomplete.entry.meta),
            Stage::Asking | Stage::Released(_) => judge(&Meta { epoch: self.epoch, ..Meta::default() }),
        }
    }

    /// How long the upstream has been asked for.
    pub fn asked_for(&self) -> Duration {
        self.begun.elapsed()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }
}

/// Someone who waits for an answer to begin.
struct Waiting<'a>(&'a Fill);

impl<'a> Waiting<'a> {
    fn begin(fill: &'a Fill) -> Self {
        fill.state.lock().waiting += 1;
        Self(fill)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting -= 1;
        self.0.moved.notify_one();
    }
}

/// The right to fill one key. Dropping it ends the fill and lets another take over.
#[must_use = "dropping it gives the fill up and wakes everyone who waits"]
pub struct Ticket {
    fill: Arc<Fill>,
    listing: Option<Listing>,
    /// The same right towards other processes.
    permit: Option<FillPermit>,
}

/// Where others find a fill.
struct Listing {
    table: Arc<FillTable>,
    digest: Digest,
}

impl Ticket {
    pub(super) fn new(fill: Arc<Fill>, table: Arc<FillTable>, digest: Digest) -> Self {
        Self { fill, listing: Some(Listing { table, digest }), permit: None }
    }

    /// Makes the ticket of a fill that nobody else ever finds.
    pub(super) fn apart() -> Self {
        Self { fill: Fill::new(0), listing: None, permit: None }
    }

    /// Makes the ticket of a fill that is no cache's, and its only reader.
    pub fn unlisted() -> (Self, FillReader) {
        let ticket = Self::apart();
        let slot = ticket.fill.state.lock().register();
        let reader = FillReader::new(Arc::clone(&ticket.fill), slot, ReadBy::Initiator);
        (ticket, reader)
    }

    /// Takes along the right towards other processes.
    pub(super) fn with_permit(mut self, permit: FillPermit) -> Self {
        self.permit = Some(permit);
        self
    }

    /// Whether what comes may be stored.
    pub(super) fn may_store(&self) -> bool {
        self.permit.is_some()
    }

    /// Hands the right towards other processes to the one who stores.
    pub(super) fn take_permit(&mut self) -> Option<FillPermit> {
        self.permit.take()
    }

    /// The fill as others see it.
    pub fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// Ends the fill for those who wait: the answer is not stored.
    pub fn release(mut self, why: Release) {
        self.turn_away(why);
    }

    /// Lets nobody else read; those who do go on.
    pub fn turn_away(&mut self, why: Release) {
        self.unlist();
        self.fill.change(|state| state.stage = Stage::Released(why));
    }

    /// Lets everyone read what will arrive.
    pub fn publish(&self, incomplete: Arc<Incomplete>) {
        self.fill.change(|state| {
            state.stage = Stage::Storing(incomplete);
            state.advanced = clock::moment();
        });
    }

    /// Adds bytes that arrived.
    pub fn append(&self, bytes: Bytes) {
        self.fill.change(|state| {
            state.received += bytes.len() as u64;
            state.advanced = clock::moment();
            state.tail.push_back(bytes);
        });
    }

    /// Forgets chunks that are in the file up to `position`.
    pub fn trim(&self, position: u64) {
        let mut state = self.fill.state.lock();
        state.trim(position);
    }

    /// Returns the bytes of the tail that the slowest reader still needs, for a fill that has no file any more.
    ///
    /// Bytes that all have read are forgotten. None where nobody reads.
    pub fn unread(&self) -> Option<u64> {
        let mut state = self.fill.state.lock();
        let slowest = state.readers.iter().flatten().copied().min()?;
        state.trim(slowest);
        Some(state.received - state.tail_start)
    }

    /// Waits until nobody waits for the answer or reads it. Cancel safe.
    pub async fn deserted(&self) {
        loop {
            if self.fill.state.lock().is_deserted() {
                return;
            }
            self.reader_moved().await;
        }
    }

    /// Ends the fill for those who come, where nobody waits for it or reads it; says whether it is over.
    pub fn end_if_deserted(&mut self) -> bool {
        let is_deserted = {
            let mut state = self.fill.state.lock();
            let is_deserted = state.is_deserted();
            if is_deserted {
                state.stage = Stage::Released(Release::LookAgain);
            }
            is_deserted
        };
        if is_deserted {
            self.turn_away(Release::LookAgain);
        }
        is_deserted
    }

    /// Waits until a reader has moved on since this was last called. Cancel safe.
    pub async fn reader_moved(&self) {
        self.fill.moved.notified().await;
    }

    /// Takes the key off the table, so that the next request does not find this fill.
    pub(super) fn unlist(&mut self) {
        if let Some(Listing { table, digest }) = self.listing.take() {
            table.remove(&digest, &self.fill);
        }
    }

    /// Tells the readers that the body is whole, and the one who asked what it took.
    pub fn complete(&self, facts: UpstreamFacts) {
        self.fill.change(|state| {
            state.end = Some(End::Complete);
            state.facts = Some(facts);
        });
    }

    /// Tells the readers that the rest of the body will not come.
    pub fn fail(self, fault: Fault) {
        self.fill.change(|state| state.end = Some(End::Broken(fault)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unlist();
        self.fill.change(|state| {
            if matches!(state.stage, Stage::Asking) {
                state.stage = Stage::Released(Release::LookAgain);
            }
            if state.end.is_none() {
                state.end = Some(End::Broken(given_up()));
            }
        });
    }
}

impl State {
    fn is_deserted(&self) -> bool {
        !self.kept && self.waiting == 0 && self.readers.iter().all(Option::is_none)
    }

    /// Notes a reader at the first byte, and returns where its position is kept.
    fn register(&mut self) -> usize {
        let free = self.readers.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.readers.push(None);
            self.readers.len() - 1
        });
        self.readers[slot] = Some(0);
        slot
    }

    fn trim(&mut self, position: u64) {
        while let Some(first) = self.tail.front() {
            let end = self.tail_start + first.len() as u64;
            if end > position {
                return;
            }
            self.tail_start = end;
            self.tail.pop_front();
        }
    }

    /// Returns the newest chunk's part from `position` on, where it is in memory.
    fn tail_from(&self, position: u64) -> Option<Bytes> {
        let mut start = self.tail_start;
        for chunk in &self.tail {
            let end = start + chunk.len() as u64;
            if position >= start && position < end {
                let skip = usize::try_from(position - start).expect("it lies within a chunk in memory");
                return Some(chunk.slice(skip..));
            }
            start = end;
        }
        None
    }
}

/// The task that filled is gone, with the worker or by a bug.
fn given_up() -> Fault {
    Fault {
        during: "reading upstream",
        ..Fault::new(Side::Upstream, Kind::Connection, "the fill of the cache was given up")
    }
}

/// Someone who reads an answer while it is being stored.
pub struct FillReader {
    fill: Arc<Fill>,
    position: u64,
    /// Where reading ends.
    until: u64,
    slot: usize,
    by: ReadBy,
}

/// How the body of an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// There is something to send.
    Arriving,
    /// It broke off before its first byte.
    Broken,
}

/// Whose request caused the fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBy {
    /// The reader's own: the try with the upstream is in its log line.
    Initiator,
    /// Another's.
    Follower,
}

impl FillReader {
    /// Starts to read at the first byte; none where nobody may any more.
    ///
    /// Where the disk has failed, bytes are forgotten once all readers have them: the first ones are there only
    /// for those who joined before.
    pub fn join(fill: Arc<Fill>, by: ReadBy) -> Option<Self> {
        let slot = {
            let mut state = fill.state.lock();
            if !matches!(state.stage, Stage::Storing(_)) {
                return None;
            }
            state.register()
        };
        Some(Self::new(fill, slot, by))
    }

    fn new(fill: Arc<Fill>, slot: usize, by: ReadBy) -> Self {
        Self { fill, position: 0, until: u64::MAX, slot, by }
    }

    /// Whether another request caused the fill.
    pub fn follows(&self) -> bool {
        self.by == ReadBy::Follower
    }

    /// Goes to the beginning of a part, and ends behind it. Not back: that may be forgotten.
    pub fn narrow(&mut self, part: &Range<u64>) {
        debug_assert!(part.start >= self.position, "what was read may be forgotten");
        self.position = part.start;
        self.until = part.end;
        self.fill.state.lock().readers[self.slot] = Some(self.position);
        self.fill.moved.notify_one();
    }

    /// Waits for the first byte, or the end of an answer without any. Cancel safe.
    pub async fn begun(&self) -> Begun {
        loop {
            let changed = self.fill.changed.notified();
            {
                let state = self.fill.state.lock();
                match &state.end {
                    _ if state.received > 0 => return Begun::Arriving,
                    Some(End::Complete) => return Begun::Arriving,
                    Some(End::Broken(_)) => return Begun::Broken,
                    None => {}
                }
            }
            changed.await;
        }
    }

    /// Has the fill go on though this reader may leave before its end: the client does not want all of it.
    pub fn wants_no_end(&self) {
        self.fill.state.lock().kept = true;
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        let state = self.fill.state.lock();
        self.position >= self.until || state.received > self.position || state.end.is_some()
    }

    /// Returns the next piece; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The upstream's fault where the body cannot be completed.
    pub async fn next(&mut self) -> Result<Option<Piece>, Fault> {
        loop {
            let fill = Arc::clone(&self.fill);
            let changed = fill.changed.notified();
            if let Some(done) = self.take() {
                return done;
            }
            changed.await;
        }
    }

    /// Notes in the facts what the whole answer took, where it was this request that caused it.
    pub fn finish(&self, facts: &mut UpstreamFacts) {
        if self.by != ReadBy::Initiator {
            return;
        }
        let mut state = self.fill.state.lock();
        let Some(mut whole) = state.facts.take() else {
            // It goes on without us: what we saw of it is what there is to tell.
            if let Some(known) = facts.tries.last_mut() {
                known.response = Some(self.fill.begun.elapsed());
                known.response_length = state.received;
            }
            return;
        };
        drop(state);
        if let Some((known, done)) = facts.tries.last_mut().zip(whole.tries.pop()) {
            *known = done;
        }
        facts.trailers = whole.trailers;
    }

    fn take(&mut self) -> Option<Result<Option<Piece>, Fault>> {
        if self.position >= self.until {
            return Some(Ok(None));
        }
        let mut state = self.fill.state.lock();
        if self.position >= state.received {
            return state.end.as_ref().map(|end| match end {
                End::Complete => Ok(None),
                End::Broken(fault) => Err(fault.clone()),
            });
        }
        let piece = match state.tail_from(self.position) {
            Some(bytes) => Piece::Memory(bytes),
            None => {
                let (file, body_start) =
                    self.fill.file.get().expect("what is not in memory any more is in the file");
                let len = state.tail_start - self.position;
                Piece::File(FileSlice { file: Arc::clone(file), offset: body_start + self.position, len })
            }
        };
        let (piece, _) = piece.split(self.until - self.position);
        self.position += piece.len();
        state.readers[self.slot] = Some(self.position);
        drop(state);
        self.fill.moved.notify_one();
        Some(Ok(Some(piece)))
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.state.lock().readers[self.slot] = None;
        self.fill.moved.notify_one();
    }
}

#[cfg(test)]
mod tests;
