//! The index as a zone holds it: there, or for the moment not.
//!
//! Files of the index that were removed or replaced while it was open, and files that LMDB finds damaged, are let go of
//! and opened anew; where the disk does not allow that, the cache goes on without: what has a file is found by looking
//! at the disk, and it is tried again. The loader then makes rows of the files. What processes share, and the directory
//! of all of it, are made anew in the same way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use config::CachePath;
use parking_lot::{Mutex, RwLock};

use crate::complaints::{Complaints, Trouble, monotonic};
use crate::index::{Index, IndexError, Row, Trust, absent, is_damage};
use crate::key::Digest;
use crate::marker::{Coverage, Marker, Stop, place_of};
use crate::process;
use crate::purge::journal::Purges;
use crate::shared::{Shared, Warmth};
use crate::store::open::{Own, user};
use crate::temp::create_dirs;

/// From one try to open an index to the next.
const PACE: Duration = Duration::from_secs(5);
/// How long readers may take that are in the index when it is let go of.
const READERS: Duration = Duration::from_secs(2);

/// How an index came to lack rows of files while it was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its files were removed or damaged, and there are others now.
    Replaced,
    /// They could not be written: its disk is full or broken.
    Unwritten,
}

/// The index of a zone in this process.
pub(crate) struct HeldIndex {
    conf: Arc<CachePath>,
    own: Own,
    shared: Arc<Shared>,
    purges: Arc<Purges>,
    open: RwLock<Option<Arc<Index>>>,
    /// LMDB has found its file damaged.
    is_damaged: AtomicBool,
    /// What rows were lost since the zone was opened, the last of it.
    loss: Mutex<Option<Loss>>,
    tried: Mutex<Option<Instant>>,
    complaints: Arc<Complaints>,
}

impl HeldIndex {
    pub(crate) fn new(
        conf: &Arc<CachePath>,
        shared: &Arc<Shared>,
        purges: &Arc<Purges>,
        index: Option<Index>,
        complaints: &Arc<Complaints>,
    ) -> Self {
        Self {
            conf: Arc::clone(conf),
            own: Own::of(&conf.path),
            shared: Arc::clone(shared),
            purges: Arc::clone(purges),
            is_damaged: AtomicBool::new(false),
            loss: Mutex::new(None),
            tried: Mutex::new(index.is_none().then(monotonic)),
            open: RwLock::new(index.map(Arc::new)),
            complaints: Arc::clone(complaints),
        }
    }

    /// The index, where there is one at the moment. Kept only as long as a transaction takes.
    pub(crate) fn get(&self) -> heed::Result<Arc<Index>> {
        self.open.read().clone().ok_or_else(absent)
    }

    /// Looks up one digest; without an index none has a row.
    pub(crate) fn row(&self, digest: &Digest) -> heed::Result<Option<Row>> {
        match &*self.open.read() {
            Some(index) => index.row(digest).inspect_err(|error| self.judge(error)),
            None => Ok(None),
        }
    }

    /// When the entry that would be evicted next was last used.
    pub(crate) fn oldest_use(&self) -> heed::Result<Option<SystemTime>> {
        match &*self.open.read() {
            Some(index) => index.oldest_use().inspect_err(|error| self.judge(error)),
            None => Ok(None),
        }
    }

    /// How rows may have come to be missing since the zone was opened.
    pub(crate) fn loss(&self) -> Option<Loss> {
        *self.loss.lock()
    }

    /// The same with a look at the files of the index. While their directory is locked it stays true.
    pub(crate) fn loss_so_far(&self) -> Option<Loss> {
        let is_gone = self.open.read().as_ref().is_some_and(|index| !index.is_in_place(&self.own.index));
        self.loss().or_else(|| is_gone.then_some(Loss::Replaced))
    }

    /// Notes that rows could not be written which stand for files.
    pub(crate) fn has_lost_rows(&self) {
        self.shared.set_warm(Warmth::Cold);
        *self.loss.lock() = Some(Loss::Unwritten);
    }

    /// Notes what an error says about the file.
    pub(crate) fn judge(&self, error: &heed::Error) {
        if is_damage(error) {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Opens anew what has gone or cannot be used: the index, what processes share, the directory of both. Called by the thread
    /// that writes the index: four looks at the file system.
    pub(crate) fn mend(&self) {
        // Who knows all purges can write them down again.
        self.purges.catch_up(self.shared.purged());
        let is_shared = self.shared.is_in_place(&self.own.shared) && !self.purges.lacks_file();
        let lost = self.why_lost();
        if is_shared && lost.is_none() {
            return;
        }
        let now = monotonic();
        {
            let mut tried = self.tried.lock();
            if tried.is_some_and(|at| now.saturating_duration_since(at) < PACE) {
                return;
            }
            *tried = Some(now);
        }
        if !self.has_directory() {
            return;
        }
        // Before the index: what is said of that is said to all.
        let is_shared = is_shared || self.share_anew();
        let has_index = lost.is_none_or(|why| self.mend_index(why));
        if is_shared && has_index {
            *self.tried.lock() = None;
        }
    }

    fn why_lost(&self) -> Option<&'static str> {
        match &*self.open.read() {
            Some(_) if self.is_damaged.load(Ordering::Relaxed) => Some("is damaged"),
            Some(index) if index.is_in_place(&self.own.index) => None,
            Some(_) => Some("has been removed"),
            None => Some("could not be opened"),
        }
    }

    /// Makes the cache's directory anew where somebody has removed it. Says whether there is one.
    fn has_directory(&self) -> bool {
        let (name, path) = (&self.conf.name, &self.conf.path);
        if path.is_dir() {
            return true;
        }
        match create_dirs(path) {
            Ok(()) => {
                tracing::warn!(
                    "cache \"{name}\": its directory \"{}\" has been removed, it is made anew",
                    path.display()
                );
                true
            }
            Err(error) => {
                self.has_lost_rows();
                if let Some(say) = self.complaints.due(Trouble::Index) {
                    tracing::error!(
                        "cache \"{name}\": its directory \"{}\" has been removed and cannot be made anew ({error}); \
                         nothing is cached until it is there and belongs to user {}{say}",
                        path.display(),
                        user()
                    );
                }
                false
            }
        }
    }

    /// Shares purges and a new table with other processes, where somebody has removed the old ones. Says whether that is so.
    fn share_anew(&self) -> bool {
        let share = || {
            let _lock = self.own.lock()?;
            self.purges.restore(self.shared.purged())?;
            if !self.shared.is_in_place(&self.own.shared) {
                self.shared.move_to(&self.own.shared)?;
                tracing::warn!(
                    "cache \"{}\": larder.shared has been removed, it is made anew",
                    self.conf.name
                );
            }
            io::Result::Ok(())
        };
        match share() {
            Ok(()) => true,
            Err(error) => {
                if let Some(say) = self.complaints.due(Trouble::Index) {
                    tracing::error!("cache \"{}\": there is no larder.shared ({error}){say}", self.conf.name);
                }
                false
            }
        }
    }

    /// Opens the index anew, and says whether it is open.
    fn mend_index(&self, why: &str) -> bool {
        // Told first: nobody may take what has no row for what has no file.
        self.shared.set_warm(Warmth::Cold);
        if !self.let_go() {
            return false;
        }
        match self.open_anew() {
            Ok(index) => {
                *self.open.write() = Some(Arc::new(index));
                *self.loss.lock() = Some(Loss::Replaced);
                tracing::warn!("cache \"{}\": the index {why}, it is opened anew", self.conf.name);
                true
            }
            Err(error) => {
                if let Some(say) = self.complaints.due(Trouble::Index) {
                    tracing::error!("cache \"{}\": the index {why}, and {error}{say}", self.conf.name);
                }
                false
            }
        }
    }

    /// Closes the index: nobody may map it twice. Says whether nobody has it open any more.
    fn let_go(&self) -> bool {
        let Some(mut index) = self.open.write().take() else { return true };
        let begun = monotonic();
        loop {
            match Arc::try_unwrap(index) {
                Ok(index) => {
                    drop(index);
                    return true;
                }
                Err(still) if begun.elapsed() < READERS => {
                    index = still;
                    thread::sleep(Duration::from_millis(1));
                }
                Err(still) => {
                    *self.open.write() = Some(still);
                    return false;
                }
            }
        }
    }

    fn open_anew(&self) -> Result<Index, IndexError> {
        let _lock = self.own.lock().map_err(heed::Error::Io)?;
        if self.is_damaged.swap(false, Ordering::Relaxed) {
            self.own.remove_index().map_err(heed::Error::Io)?;
        }
        let (index, _) = self.own.open_index(&self.conf, Trust::Doubted)?;
        // Again, under the lock: a loader may just have noted that it is done, with the index that is gone.
        self.shared.set_warm(Warmth::Cold);
        let place = place_of(&self.conf);
        let marker = Marker {
            boot: process::boot(),
            stop: Stop::Unclean,
            coverage: Coverage::Partial,
            place,
            seal: None,
        };
        // The one that is there says that nobody has stopped cleanly, too.
        let _ = marker.write(&self.own.state);
        publish_totals(&index, &self.shared)?;
        Ok(index)
    }
}

/// Sets the shared totals to what the index holds, while nobody else can change it.
pub(crate) fn publish_totals(index: &Index, shared: &Shared) -> heed::Result<()> {
    let batch = index.begin()?;
    shared.set_totals(batch.entries()?, batch.stored_bytes());
    Ok(())
}

/// Whether an error may go away by itself, or is one to live with: then a cache does what it can without. What the
/// configuration or the rights of a file forbid is another matter.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ENOSPC
                | libc::EDQUOT
                | libc::EROFS
                | libc::EIO
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::EFBIG
        )
    )
}
