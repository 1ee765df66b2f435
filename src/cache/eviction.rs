//! Which entry goes next, by the order that a cache has (`eviction=` of `proxy_cache_path`).
//!
//! The rows of the index say where each entry stands; here they are read and moved, within one batch of the writer. By
//! age, the last use decides. By S3-FIFO ([`crate::s3fifo`]), the queues do; entries without a place in one, which are from
//! before the order was chosen, go first. `inactive` is by age in both.

use config::EvictionOrder;

use crate::index::{Batch, Row};
use crate::key::Digest;
use crate::recent::TOUCH_SECONDS;
use crate::s3fifo::{self, Fate, Past, Place, Queue};

/// Entries that are looked at for one that goes. Then the next one goes, used or not: whoever needs its room waits, and
/// so do writers of other processes.
const STEPS: u32 = 1000;

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// Bytes on the disk.
    Bytes,
    /// Keys of the zone.
    Keys,
}

/// Sets a row; one that is new gets its place.
pub(crate) fn put(
    order: EvictionOrder,
    batch: &mut Batch<'_>,
    digest: &Digest,
    mut row: Row,
) -> heed::Result<()> {
    if order == EvictionOrder::S3Fifo && row.place.is_none() {
        let past = if batch.recall(digest)? { Past::Remembered } else { Past::Unknown };
        let queue = s3fifo::admit(past);
        row.place = Some(batch.end_of(queue, 0));
    }
    batch.put(digest, row)
}

/// A row after a use; nothing where one has been recorded within ten seconds.
pub(crate) fn touched(row: Row, now: u32) -> Option<Row> {
    let is_due = now.saturating_sub(row.last_use) >= TOUCH_SECONDS;
    is_due.then(|| Row { last_use: now, place: row.place.map(Place::used), ..row })
}

/// The entry that goes next by S3-FIFO, out of those that may; those that stay are moved on. It still has its row.
pub(crate) fn next_of_queues(
    batch: &mut Batch<'_>,
    scarce: Scarce,
    may_go: impl Fn(&Digest) -> bool,
) -> heed::Result<Option<Digest>> {
    if let Some(digest) = batch.oldest_without_place()?.filter(&may_go) {
        return Ok(Some(digest));
    }
    for step in 1..=STEPS {
        let (small, all) = batch.shares(scarce);
        let order = match s3fifo::shorten(small, all) {
            Queue::Small => [Queue::Small, Queue::Main],
            Queue::Main => [Queue::Main, Queue::Small],
        };
        let Some((queue, digest)) = first_of(batch, order)? else { return Ok(None) };
        let row = batch.row(&digest)?.and_then(|row| Some((row, row.place?)));
        let Some((row, place)) = row else {
            batch.drop_head(queue)?;
            continue;
        };
        let is_free = may_go(&digest);
        match s3fifo::fate(queue, place.frequency) {
            Fate::Remembered if is_free => {
                batch.remember(&digest)?;
                return Ok(Some(digest));
            }
            Fate::Gone if is_free => return Ok(Some(digest)),
            Fate::Stays { .. } if is_free && step == STEPS => return Ok(Some(digest)),
            Fate::Stays { frequency } => move_to(batch, Queue::Main, &digest, row, frequency)?,
            // Its file is being replaced.
            Fate::Remembered | Fate::Gone => move_to(batch, queue, &digest, row, 0)?,
        }
    }
    Ok(None)
}

fn first_of(batch: &Batch<'_>, order: [Queue; 2]) -> heed::Result<Option<(Queue, Digest)>> {
    for queue in order {
        if let Some(digest) = batch.head(queue)? {
            return Ok(Some((queue, digest)));
        }
    }
    Ok(None)
}

fn move_to(
    batch: &mut Batch<'_>,
    queue: Queue,
    digest: &Digest,
    row: Row,
    frequency: u8,
) -> heed::Result<()> {
    let place = Some(batch.end_of(queue, frequency));
    batch.put(digest, Row { place, ..row })
}

#[cfg(test)]
mod tests;
