//! The index as a zone holds it: there, or for the moment not.
//!
//! Files of the index that were removed or replaced while it was open, and files that LMDB finds damaged, are let go of
//! and opened anew; where the disk does not allow that, the cache goes on without: what has a file is found by looking
//! at the disk, and it is tried again. The loader then makes rows of the files.

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
use crate::shared::{Shared, Warmth};
use crate::store::open::Own;

/// From one try to open an index to the next.
const PACE: Duration = Duration::from_secs(5);
/// How long readers may take that are in the index when it is let go of.
const READERS: Duration = Duration::from_secs(2);

/// The index of a zone in this process.
pub(crate) struct HeldIndex {
    conf: Arc<CachePath>,
    own: Own,
    shared: Arc<Shared>,
    open: RwLock<Option<Arc<Index>>>,
    /// LMDB has found its file damaged.
    is_damaged: AtomicBool,
    /// Rows were lost since the zone was opened.
    was_lost: AtomicBool,
    tried: Mutex<Option<Instant>>,
    complaints: Arc<Complaints>,
}

impl HeldIndex {
    pub(crate) fn new(
        conf: &Arc<CachePath>,
        shared: &Arc<Shared>,
        index: Option<Index>,
        complaints: &Arc<Complaints>,
    ) -> Self {
        Self {
            conf: Arc::clone(conf),
            own: Own::of(&conf.path),
            shared: Arc::clone(shared),
            is_damaged: AtomicBool::new(false),
            was_lost: AtomicBool::new(false),
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

    /// Whether rows may be missing because files of the index were lost while it was open.
    pub(crate) fn was_lost(&self) -> bool {
        self.was_lost.load(Ordering::Relaxed)
    }

    /// Notes that rows could not be written which stand for files.
    pub(crate) fn has_lost_rows(&self) {
        self.shared.set_warm(Warmth::Cold);
        self.was_lost.store(true, Ordering::Relaxed);
    }

    /// Notes what an error says about the file.
    pub(crate) fn judge(&self, error: &heed::Error) {
        if is_damage(error) {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Opens the index anew where it has gone or cannot be used. Called by the thread that writes it: two looks at the
    /// file system.
    pub(crate) fn mend(&self) {
        let why = match &*self.open.read() {
            Some(_) if self.is_damaged.load(Ordering::Relaxed) => "is damaged",
            Some(index) if index.is_in_place(&self.own.index) => return,
            Some(_) => "has been removed",
            None => "could not be opened",
        };
        let now = monotonic();
        {
            let mut tried = self.tried.lock();
            if tried.is_some_and(|at| now.saturating_duration_since(at) < PACE) {
                return;
            }
            *tried = Some(now);
        }
        // Told first: nobody may take what has no row for what has no file.
        self.shared.set_warm(Warmth::Cold);
        if !self.let_go() {
            return;
        }
        match self.open_anew() {
            Ok(index) => {
                *self.open.write() = Some(Arc::new(index));
                self.was_lost.store(true, Ordering::Relaxed);
                *self.tried.lock() = None;
                tracing::warn!("cache \"{}\": the index {why}, it is opened anew", self.conf.name);
            }
            Err(error) => {
                if let Some(say) = self.complaints.due(Trouble::Index) {
                    tracing::error!("cache \"{}\": the index {why}, and {error}{say}", self.conf.name);
                }
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
