//! Digests whose files exist but whose rows are still in the queue.
//!
//! Without it, a request that comes within the few milliseconds of a batch would not find what was just stored,
//! and an eviction would take a new file for the old one of its row.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::key::Digest;

/// How many rows are on their way, for each digest that has any.
#[derive(Default)]
pub(crate) struct Pending {
    counts: Mutex<HashMap<Digest, u32>>,
}

impl Pending {
    /// A row for this digest is about to be queued.
    pub(crate) fn queued(&self, digest: &Digest) {
        *self.counts.lock().entry(*digest).or_default() += 1;
    }

    /// One of them has been committed, or given up.
    pub(crate) fn committed(&self, digest: &Digest) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                counts.remove(digest);
            }
        }
    }

    /// Whether a row is on its way.
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.counts.lock().contains_key(digest)
    }
}
