//! Who fills a key, and until when: at most one [`FillPermit`] per digest over all processes of a cache.
//!
//! A lease is one number in [`crate::shared`]: part of the digest, the owner's place and a deadline. It is taken
//! and given up by one atomic exchange. Past its deadline, or with its owner gone, it does not exist. Two processes
//! that race for the last free place of a row may both win: then a key is fetched twice, and the last rename counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::key::Digest;
use crate::shared::{LEASES, Shared};

/// Places that one digest may use. Where all are taken the fill goes on without a lease.
const ROW: usize = 8;
/// The resolution of deadlines.
const TICK: Duration = Duration::from_millis(100);

/// The answer to a request for a lease.
#[derive(Debug)]
pub enum Lease {
    /// The caller may fill the key.
    Granted(FillPermit),
    /// Somebody else is at it.
    Held {
        /// When that lease lapses at the latest.
        until: SystemTime,
    },
}

/// The right to store a response under one digest.
#[must_use = "dropping it gives the fill up"]
pub struct FillPermit {
    digest: Digest,
    /// The place of the lease and what it holds; nothing where all places were taken, or this process has it already.
    held: Option<(usize, u64)>,
    shared: Arc<Shared>,
}

impl FillPermit {
    /// Makes a right that no other process knows of.
    pub(crate) fn without_lease(shared: &Arc<Shared>, digest: &Digest) -> Self {
        Self { digest: *digest, held: None, shared: Arc::clone(shared) }
    }

    /// The digest that it is for.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Lets the next fill of the key begin: all of this one's answer is there, and only its file is still to be written.
    pub fn give_up_lease(&mut self) {
        if let Some((place, bits)) = self.held.take() {
            // It may have lapsed and belong to another by now: then it is not ours to give up.
            let _ =
                self.shared.leases()[place].compare_exchange(bits, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for FillPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FillPermit").field("digest", &crate::key::hex(&self.digest)).finish_non_exhaustive()
    }
}

impl Drop for FillPermit {
    fn drop(&mut self) {
        self.give_up_lease();
    }
}

/// Asks for the lease of a digest, for `age` from `now` on.
pub(crate) fn take(shared: &Arc<Shared>, digest: &Digest, age: Duration, now: SystemTime) -> Lease {
    grant(shared, digest, age, now, None)
}

/// As [`take`], where the caller has decided that what this process holds itself is in nobody's way.
pub(crate) fn take_over(shared: &Arc<Shared>, digest: &Digest, age: Duration, now: SystemTime) -> Lease {
    grant(shared, digest, age, now, Some(shared.slot()))
}

/// `yields` is the place of a process whose lease does not count.
fn grant(shared: &Arc<Shared>, digest: &Digest, age: Duration, now: SystemTime, yields: Option<u8>) -> Lease {
    let tick = ticks(now);
    let wanted =
        Entry { slot: shared.slot(), tag: tag_of(digest), deadline: tick.wrapping_add(age_in_ticks(age)) };
    let granted = |held| Lease::Granted(FillPermit { digest: *digest, held, shared: Arc::clone(shared) });
    loop {
        let mut free = None;
        for place in row_of(digest) {
            let bits = shared.leases()[place].load(Ordering::Acquire);
            match Entry::read(bits).filter(|entry| entry.counts(shared, tick)) {
                Some(entry) if entry.tag == wanted.tag && yields == Some(entry.slot) => {
                    free = Some((place, bits));
                    break;
                }
                Some(entry) if entry.tag == wanted.tag => {
                    return Lease::Held { until: now + TICK * entry.left(tick) };
                }
                Some(_) => {}
                None => free = free.or(Some((place, bits))),
            }
        }
        let Some((place, before)) = free else { return granted(None) };
        if exchange(&shared.leases()[place], before, wanted.bits()) {
            return granted(Some((place, wanted.bits())));
        }
        // Somebody was quicker, perhaps for this digest: look again.
    }
}

fn exchange(place: &AtomicU64, before: u64, after: u64) -> bool {
    place.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// A lease, unpacked.
#[derive(Clone, Copy)]
struct Entry {
    slot: u8,
    tag: u32,
    deadline: u32,
}

impl Entry {
    fn read(bits: u64) -> Option<Self> {
        let entry =
            Self { slot: (bits >> 56) as u8, tag: (bits >> 32) as u32 & TAG_BITS, deadline: bits as u32 };
        (bits != 0).then_some(entry)
    }

    fn bits(self) -> u64 {
        u64::from(self.slot) << 56 | u64::from(self.tag) << 32 | u64::from(self.deadline)
    }

    fn counts(self, shared: &Shared, now: u32) -> bool {
        self.left(now) > 0 && (self.slot == shared.slot() || shared.slot_is_living(self.slot))
    }

    /// Ticks until the deadline. Both wrap, so what looks like more than six years ahead is past.
    fn left(self, now: u32) -> u32 {
        let left = self.deadline.wrapping_sub(now);
        if left.cast_signed() > 0 { left } else { 0 }
    }
}

const TAG_BITS: u32 = 0x00ff_ffff;

/// Never zero, so that an entry is never zero.
fn tag_of(digest: &Digest) -> u32 {
    (u32::from_le_bytes([digest[4], digest[5], digest[6], digest[7]]) & TAG_BITS).max(1)
}

fn row_of(digest: &Digest) -> std::ops::Range<usize> {
    let rows = LEASES / ROW;
    let row = usize::from(u16::from_le_bytes([digest[8], digest[9]])) % rows;
    row * ROW..(row + 1) * ROW
}

/// Tenths of a second since the epoch, modulo 2^32 (thirteen years).
fn ticks(now: SystemTime) -> u32 {
    (now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() / TICK.as_millis()) as u32
}

/// Rounded up, and one more for the part of a tick that has gone already: a lease never lapses early.
fn age_in_ticks(age: Duration) -> u32 {
    let ticks = age.as_millis().div_ceil(TICK.as_millis()) + 1;
    u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX / 4)
}
