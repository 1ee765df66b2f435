//! What the cache manager and the cache loader need of a cache.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use crate::complaints::Complaints;
use crate::key::Digest;
use crate::room::on_disk;
use crate::store::{Loss, ReadError, Zone, seconds};
use crate::temp;
use crate::writer::{Change, Durability};

/// How full a cache is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys in the index.
    pub entries: u64,
    /// What their files take on disk.
    pub stored_bytes: u64,
    /// What fills of all processes have reserved.
    pub reserved_bytes: u64,
}

impl Zone {
    /// How full the cache is. Does not block.
    pub fn stats(&self) -> Stats {
        let (entries, stored_bytes) = self.shared.totals();
        Stats { entries, stored_bytes, reserved_bytes: self.shared.reserved() }
    }

    /// When the entry that was not used for the longest time was last used.
    pub fn oldest_use(&self) -> heed::Result<Option<SystemTime>> {
        self.index.oldest_use()
    }

    /// Bytes that may still be written to the cache's file system.
    pub fn free_bytes(&self) -> io::Result<u64> {
        fs2::available_space(&self.conf.path)
    }

    /// Whether rows were lost while the index was open, and how: then the loader must look at all files again.
    pub fn loss(&self) -> Option<Loss> {
        self.index.loss()
    }

    /// Says when lines about this cache are due.
    pub fn complaints(&self) -> &Complaints {
        &self.complaints
    }

    /// Waits until everything queued so far is committed, or also synced.
    pub fn flush(&self, durability: Durability) {
        // Nothing comes back only where the writer has ended, and then nothing is queued.
        let _ = self.ask(|reply| Change::Flush(durability, reply));
    }

    /// Whether the loader still has files to see.
    pub fn is_cold(&self) -> bool {
        !self.shared.is_warm()
    }

    /// Makes the row of a file that was found agree with it. Waits where the queue is full.
    pub fn adopt(&self, digest: &Digest, file_bytes: u64, now: SystemTime) {
        self.pending.queued(digest);
        let size_bytes = on_disk(file_bytes);
        self.queue(Change::Adopt { digest: *digest, size_bytes, now: seconds(now) });
    }

    /// Gives a new file under a digest its row, whatever had the name before, and tells every process to look again.
    pub fn replaced(&self, digest: &Digest, file_bytes: u64, now: SystemTime) {
        self.shared.advance(digest);
        self.adopt(digest, file_bytes, now);
    }

    /// The first digest in the index, or the one after `last`, in their own order.
    pub fn next_listed(&self, last: Option<&Digest>) -> Result<Option<Digest>, ReadError> {
        self.index.get().and_then(|index| index.next(last)).map_err(ReadError::Index)
    }

    /// Removes temporary files outside the cache whose process has ended, and frees its places in the index. Says how many
    /// files. Those within are met on a walk over the cache ([`is_left_behind`](crate::is_left_behind)).
    pub fn sweep(&self) -> io::Result<u64> {
        let index = self.index.get().map_err(io::Error::other)?;
        index.clear_stale_readers().map_err(io::Error::other)?;
        let temp_dirs = index.temp_dirs().map_err(io::Error::other)?;
        drop(index);
        let mut swept = 0;
        for dir in temp_dirs {
            swept += temp::sweep(Path::new(OsStr::from_bytes(&dir)))?;
        }
        Ok(swept)
    }
}
