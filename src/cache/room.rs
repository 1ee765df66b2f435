//! Room for bytes that are not in the index yet: what keeps `max_size` a limit while fills run.
//!
//! A reservation is counted in [`crate::shared`] from before the first byte is written until the row that takes its
//! place is committed, by every process, so that the sum of both never exceeds the limit.

use std::sync::Arc;

use thiserror::Error;

use crate::shared::Shared;

/// The file system's unit, as a file's size is counted in it.
const BLOCK_BYTES: u64 = 4096;

/// Bytes that a fill may write. Dropping it gives them back.
#[must_use = "dropping it gives the room back"]
pub struct Room {
    bytes: u64,
    shared: Arc<Shared>,
    made_way: bool,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no room for {wanted} bytes within max_size")]
pub struct NoRoom {
    /// What was asked for.
    pub wanted: u64,
}

impl Room {
    pub(crate) fn new(shared: &Arc<Shared>, bytes: u64) -> Self {
        let bytes = on_disk(bytes);
        shared.reserve(bytes);
        Self { bytes, shared: Arc::clone(shared), made_way: false }
    }

    /// How much may be written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes that entries had to go for it.
    pub(crate) fn has_made_way(&mut self) {
        self.made_way = true;
    }

    /// Whether entries had to go for it since this was last asked: who keeps their files open keeps their space.
    pub fn made_way(&mut self) -> bool {
        std::mem::take(&mut self.made_way)
    }

    /// Makes this room as large as both were.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
        self.made_way |= other.made_way;
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes);
    }
}

/// What a file of this length takes on disk.
pub(crate) fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES).max(BLOCK_BYTES)
}
