//! The entries of one cache that a worker keeps in memory (`ram=` of `proxy_cache_path`): small bodies whole, of others
//! the head and the open file.
//!
//! Two tables, since they are short of different things: bodies of memory, open files of descriptors too. Which
//! entries stay is `quick_cache`'s to say (CLOCK-PRO). All event loops of a worker share them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cache::{Digest, Meta};
use http1::ResponseHead;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::Cache, sync::DefaultLifecycle};

use super::zone::{Entry, StoredBody};

/// Bodies up to this many bytes are kept in memory with their entry.
const BODY_BYTES: u64 = 32 << 10;
/// Memory for the heads of open files, at most; it is part of `ram`.
const HEADS_BYTES: u64 = 4 << 20;
/// What an entry takes besides what it points to: itself, its place in the table, a share of the places of those
/// that have gone, and what allocators add.
const ENTRY_BYTES: usize = size_of::<Entry>() + 256;
/// Copies of the head that an entry comes to have: as it came, made for a location, and that as text.
const HEADS: usize = 3;
/// A part of the table has room for so many of the largest entries, or two keys could push each other out.
const LARGEST_IN_SHARD: u64 = 16;
/// What an entry weighs on average, for a first guess at their number.
const USUAL_BYTES: u64 = 4096;

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes for entries with their bodies.
    bodies: u64,
    /// Bytes for entries with an open file.
    heads: u64,
    /// What each of the latter counts for at least, so that there are no more than there are descriptors.
    least: u64,
}

impl Budget {
    /// Shares out memory; with none for bodies, some is left for heads. `descriptors` is the most files to keep open.
    pub fn new(ram: u64, descriptors: u64) -> Self {
        let heads = if ram == 0 { HEADS_BYTES } else { (ram / 4).min(HEADS_BYTES) };
        Self { bodies: ram.saturating_sub(heads), heads, least: heads.div_ceil(descriptors.max(1)) }
    }
}

/// The tables of one cache.
pub struct Memory {
    bodies: Table,
    files: Table,
}

type Table = Cache<Digest, Arc<Entry>, ByMemory>;

#[derive(Clone)]
struct ByMemory {
    least: u64,
}

impl Weighter<Digest, Arc<Entry>> for ByMemory {
    fn weight(&self, _: &Digest, entry: &Arc<Entry>) -> u64 {
        memory_bytes(&entry.meta, &entry.head, &entry.body).max(self.least)
    }
}

impl Memory {
    /// Makes empty tables.
    pub fn new(budget: &Budget) -> Self {
        Self {
            bodies: table(budget.bodies, 0, BODY_BYTES + USUAL_BYTES),
            files: table(budget.heads, budget.least, budget.least.max(USUAL_BYTES)),
        }
    }

    /// Length of the largest body that is kept.
    pub fn largest_body(&self) -> Option<u64> {
        (self.bodies.capacity() > 0).then_some(BODY_BYTES)
    }

    /// Finds an entry and notes its use.
    pub fn get(&self, digest: &Digest) -> Option<Arc<Entry>> {
        self.bodies.get(digest).or_else(|| self.files.get(digest))
    }

    /// Finds an entry, which is no use of it.
    pub fn peek(&self, digest: &Digest) -> Option<Arc<Entry>> {
        self.bodies.peek(digest).or_else(|| self.files.peek(digest))
    }

    /// Puts an entry in the place of any other.
    pub fn insert(&self, digest: Digest, entry: Arc<Entry>) {
        let (to, from) = match entry.body {
            StoredBody::Memory(_) => (&self.bodies, &self.files),
            StoredBody::File(_) | StoredBody::Arriving => (&self.files, &self.bodies),
        };
        to.insert(digest, entry);
        from.remove(&digest);
    }

    /// Removes whatever entry there is.
    pub fn forget(&self, digest: &Digest) {
        self.bodies.remove(digest);
        self.files.remove(digest);
    }

    /// Removes all entries with an open file.
    pub fn close_files(&self) {
        self.files.clear();
    }

    /// Lists the entries with an open file.
    pub fn files(&self) -> impl Iterator<Item = (Digest, Arc<Entry>)> {
        self.files.iter()
    }

    /// Removes an entry, unless another has taken its place.
    pub fn remove(&self, digest: &Digest, entry: &Arc<Entry>) {
        for table in [&self.bodies, &self.files] {
            table.remove_if(digest, |now| Arc::ptr_eq(now, entry));
        }
    }
}

fn table(bytes: u64, least: u64, largest: u64) -> Table {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(usize::try_from(bytes / least.max(USUAL_BYTES)).unwrap_or(usize::MAX))
        .weight_capacity(bytes)
        .shards(shards(bytes, largest))
        .build()
        .expect("all that has to be said is said");
    Cache::with_options(
        options,
        ByMemory { least },
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    )
}

/// How many parts a table has, a power of two: each with a lock and an equal share of the memory.
fn shards(bytes: u64, largest: u64) -> usize {
    let most = (bytes / (largest * LARGEST_IN_SHARD)).clamp(1, 64);
    1 << most.ilog2()
}

/// What an entry takes of the worker's memory, once it has been served. It does not change while the entry lives.
fn memory_bytes(meta: &Meta, head: &ResponseHead, body: &StoredBody) -> u64 {
    let texts = meta.etag.len() + meta.vary.len() + meta.tags.len() + head.reason.len();
    let body = match body {
        StoredBody::Memory(bytes) => bytes.len(),
        StoredBody::File(_) | StoredBody::Arriving => 0,
    };
    (ENTRY_BYTES + texts + HEADS * head.fields.memory_bytes() + body) as u64
}
