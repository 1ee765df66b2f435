//! Opening and closing a cache: directories, the lock, the marker, the index, the writer thread.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::SystemTime;

use config::CachePath;
use fs2::FileExt;
use nix::unistd::{Uid, User};
use parking_lot::Mutex;
use thiserror::Error;

use crate::complaints::Complaints;
use crate::index::{Files, Index, IndexError, Trust, lock_of};
use crate::marker::{Coverage, Marker, Seal, Stop, Verdict, place_of, verdict};
use crate::pending::Pending;
use crate::process;
use crate::purge::journal::Purges;
use crate::recent::Recent;
use crate::shared::{Predecessors, Shared, Warmth};
use crate::store::Zone;
use crate::store::held_index::{HeldIndex, Loss, is_passing, publish_totals};
use crate::temp::create_dirs;
use crate::writer::{Change, QUEUE, Writer};

/// What nginx promises for a megabyte of `keys_zone`.
const KEYS_PER_MEGABYTE: u64 = 8000;

/// What a process does with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves and fills.
    Worker,
    /// Evicts.
    Manager,
    /// Makes the index agree with the files.
    Loader,
    /// Frees the space of what was purged.
    Purger,
    /// Looks into it, or puts it right, for somebody at a terminal.
    Tool,
}

impl Role {
    fn thread_name(self) -> &'static str {
        match self {
            Self::Worker => "cache index",
            Self::Manager => "manager index",
            Self::Loader => "loader index",
            Self::Purger => "purger index",
            Self::Tool => "tool index",
        }
    }
}

/// Why a cache cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A directory or one of the cache's own files.
    #[error("could not open cache \"{}\": {what} ({source})", path.display())]
    File {
        /// The cache's directory.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Its files are not this user's to use.
    #[error(
        "cache \"{}\" cannot be used by user {user}: {what} ({source}); give that user the directory and all that is in \
         it (chown -R), or name its owner with \"user\"",
        path.display()
    )]
    Permission {
        /// The cache's directory.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// Who asked.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The index, even when made anew.
    #[error("could not open cache \"{}\": the index, {reason}", path.display())]
    Index {
        /// The cache's directory.
        path: PathBuf,
        /// What LMDB said.
        reason: String,
    },
}

impl OpenError {
    fn file(conf: &CachePath, what: &'static str, source: io::Error) -> Self {
        let path = conf.path.clone();
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Self::Permission { path, what, user: user(), source },
            _ => Self::File { path, what, source },
        }
    }

    fn index(conf: &CachePath, error: IndexError) -> Self {
        match error {
            IndexError::Lmdb(heed::Error::Io(source)) => Self::file(conf, "the index", source),
            other => Self::Index { path: conf.path.clone(), reason: other.to_string() },
        }
    }
}

/// The name of the user that this process runs as, or the number.
pub(super) fn user() -> String {
    let own = Uid::effective();
    User::from_uid(own).ok().flatten().map_or_else(|| own.to_string(), |user| format!("\"{}\"", user.name))
}

/// The cache's own files, beside the directories of the first level.
pub(crate) struct Own {
    lock: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) index: PathBuf,
    pub(crate) shared: PathBuf,
    purges: PathBuf,
}

/// What became of the rows of an index that was opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    Kept,
    Lost,
}

impl Own {
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            lock: path.join("larder.lock"),
            state: path.join("larder.state"),
            index: path.join("larder.mdb"),
            shared: path.join("larder.shared"),
            purges: path.join("larder.purges"),
        }
    }

    /// Keeps other processes from opening and closing; given up when the file is dropped.
    pub(crate) fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.lock)?;
        file.lock_exclusive()?;
        Ok(file)
    }

    pub(crate) fn remove_index(&self) -> io::Result<()> {
        for path in [&self.index, &lock_of(&self.index)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Changes what is noted of the index. The caller holds the lock.
    fn rewrite_marker(&self, change: impl FnOnce(&mut Marker)) -> io::Result<()> {
        let mut marker = Marker::read(&self.state).ok_or(io::ErrorKind::NotFound)?;
        change(&mut marker);
        marker.write(&self.state)
    }

    /// Opens the index, or makes it anew where it is missing or damaged. The caller holds the lock.
    pub(crate) fn open_index(&self, conf: &CachePath, trust: Trust) -> Result<(Index, Rows), IndexError> {
        // LMDB's lock must be the one that others hold: without it nobody knows who is writing.
        let mut rows = Rows::Kept;
        if Files::of(&self.index).is_none() {
            self.remove_index().map_err(heed::Error::Io)?;
            rows = Rows::Lost;
        }
        let index = match Index::open(&self.index, trust) {
            Err(error) if error.is_damage() => {
                tracing::warn!("cache \"{}\": the index cannot be used, {error}; it is made anew", conf.name);
                self.remove_index().map_err(heed::Error::Io)?;
                rows = Rows::Lost;
                Index::open(&self.index, trust)
            }
            other => other,
        };
        Ok((index?, rows))
    }
}

impl Zone {
    /// Opens a cache for this process, makes what is missing, and starts the thread that writes the index.
    ///
    /// A full or broken disk is no reason to fail: the cache then does without what cannot be had, and tries again.
    /// Threads and LMDB do not survive a fork: call it in the process that uses it.
    pub fn open(conf: &Arc<CachePath>, role: Role) -> Result<Self, OpenError> {
        let failed = |what| move |source| OpenError::file(conf, what, source);
        create_dirs(&conf.path).map_err(failed("the directory"))?;
        let own = Own::of(&conf.path);
        let _lock = dispense_with(conf, "its lock", own.lock())?;
        let opened = Shared::open(&own.shared, process::boot());
        let (shared, predecessors) = match dispense_with(conf, "its shared state", opened)? {
            Some(opened) => opened,
            None => Shared::private(process::boot()).map_err(failed("memory for its state"))?,
        };
        let place = place_of(conf);
        let found = Marker::read(&own.state);
        let mut coverage = match verdict(found.as_ref(), &place, process::boot()) {
            Verdict::Keep(coverage) if predecessors == Predecessors::LeftInOrder => coverage,
            Verdict::Keep(_) => Coverage::Partial,
            Verdict::Rebuild(_) => {
                dispense_with(conf, "the old index", own.remove_index())?;
                Coverage::Partial
            }
        };
        let is_sealed =
            || found.and_then(|found| found.seal).is_some_and(|seal| Seal::of(&own.index).ok() == Some(seal));
        let in_order = predecessors == Predecessors::LeftInOrder && (shared.has_others() || is_sealed());
        let opened = match own.open_index(conf, if in_order { Trust::InOrder } else { Trust::Doubted }) {
            Err(IndexError::Lmdb(heed::Error::Io(error))) => dispense_with(conf, "the index", Err(error))?,
            other => Some(other.map_err(|error| OpenError::index(conf, error))?),
        };
        let index = match opened {
            Some((index, Rows::Kept)) => Some(index),
            lost => {
                coverage = Coverage::Partial;
                lost.map(|(index, _)| index)
            }
        };
        shared.set_warm(if coverage == Coverage::Complete { Warmth::Warm } else { Warmth::Cold });
        let purges = Purges::open(&own.purges, &own.lock, shared.purged(), wall_clock());
        let purges = purges.map_err(failed("its purges"))?;
        let last = purges.rules().last();
        if last > shared.purged() {
            shared.publish_purge(last);
        }
        if let Some(index) = &index {
            publish_totals(index, &shared).map_err(|error| OpenError::index(conf, error.into()))?;
        }
        let marker = Marker { boot: process::boot(), stop: Stop::Unclean, coverage, place, seal: None };
        dispense_with(conf, "its state", marker.write(&own.state))?;
        Self::start(conf, role, index, Arc::new(shared), Arc::new(purges)).map_err(failed("its thread"))
    }

    fn start(
        conf: &Arc<CachePath>,
        role: Role,
        index: Option<Index>,
        shared: Arc<Shared>,
        purges: Arc<Purges>,
    ) -> io::Result<Self> {
        let (changes, queue) = sync_channel(QUEUE);
        let complaints = Arc::new(Complaints::default());
        let index = Arc::new(HeldIndex::new(conf, &shared, &purges, index, &complaints));
        let pending = Arc::new(Pending::default());
        let writer = Writer {
            conf: Arc::clone(conf),
            index: Arc::clone(&index),
            shared: Arc::clone(&shared),
            pending: Arc::clone(&pending),
            complaints: Arc::clone(&complaints),
            most_keys: most_keys(conf.keys_zone_size),
            unsynced: 0,
        };
        let writer =
            thread::Builder::new().name(role.thread_name().to_owned()).spawn(move || writer.run(&queue))?;
        Ok(Self {
            conf: Arc::clone(conf),
            shared,
            index,
            pending,
            purges,
            complaints,
            changes,
            writer: Mutex::new(Some(writer)),
            uses: Mutex::new(HashMap::new()),
            recent: Recent::new(),
            temp_dirs: Mutex::new(Vec::new()),
        })
    }

    /// Notes that every file has its row: from now on a key without one is a miss without a look at the disk. Where rows were
    /// lost since the cache was opened it notes nothing, and says how they were.
    ///
    /// Where that cannot be written down now, it holds until all processes have ended.
    pub fn set_loaded(&self) -> io::Result<Option<Loss>> {
        let own = Own::of(&self.conf.path);
        let _lock = unless_passing(own.lock())?;
        if let Some(loss) = self.index.loss_so_far() {
            return Ok(Some(loss));
        }
        unless_passing(own.rewrite_marker(|marker| marker.coverage = Coverage::Complete))?;
        self.shared.set_warm(Warmth::Warm);
        Ok(None)
    }

    /// Writes out and syncs the index and leaves the cache in order, once. A process that ends without it counts as
    /// killed: the next start then walks over the files. Nothing is stored or removed afterwards.
    pub fn close(&self) {
        let Some(writer) = self.writer.lock().take() else { return };
        let _ = self.changes.send(Change::Stop);
        // A panic in it has been reported by then.
        let _ = writer.join();
        self.shared.leave();
        if self.shared.has_others() {
            return;
        }
        let seal = Seal::of(&Own::of(&self.conf.path).index).ok();
        let stopped = |marker: &mut Marker| {
            marker.stop = Stop::Clean;
            marker.seal = seal;
        };
        let own = Own::of(&self.conf.path);
        let marked = own.lock().and_then(|_lock| own.rewrite_marker(stopped));
        if let Err(error) = marked {
            // Then the index is made anew after the next reboot, which costs time only.
            tracing::warn!("cache \"{}\": could not mark a clean stop ({error})", self.conf.name);
        }
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.close();
    }
}

/// Deletes a cache's index, so that the next to open it loads it anew. Only while no process uses the cache.
pub fn discard_index(conf: &CachePath) -> io::Result<()> {
    let own = Own::of(&conf.path);
    if !conf.path.exists() {
        return Ok(());
    }
    let _lock = own.lock()?;
    let (shared, _) = Shared::open(&own.shared, process::boot())?;
    if shared.has_others() {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process uses this cache"));
    }
    own.remove_index()
}

/// Whether the last to note it found that files may have no rows. One look at a file.
pub fn lacks_rows(conf: &CachePath) -> bool {
    Marker::read(&Own::of(&conf.path).state).is_some_and(|marker| marker.coverage == Coverage::Partial)
}

/// Does without what a full or broken disk withholds.
fn unless_passing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if !is_passing(&error) => Err(error),
        other => Ok(other.ok()),
    }
}

/// Lets a cache begin without something that a full or broken disk withholds, and says so.
fn dispense_with<T>(
    conf: &CachePath,
    what: &'static str,
    result: io::Result<T>,
) -> Result<Option<T>, OpenError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_passing(&error) => {
            tracing::error!("cache \"{}\": goes on without {what} ({error})", conf.name);
            Ok(None)
        }
        Err(error) => Err(OpenError::file(conf, what, error)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "for the number that stands for purges that were lost, and nothing else"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn most_keys(zone_bytes: u64) -> u64 {
    (zone_bytes.saturating_mul(KEYS_PER_MEGABYTE) / (1 << 20)).max(1)
}
