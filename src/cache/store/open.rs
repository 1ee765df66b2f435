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
use parking_lot::Mutex;
use thiserror::Error;

use crate::index::Index;
use crate::marker::{Coverage, Marker, Stop, Verdict, place_of, verdict};
use crate::pending::Pending;
use crate::process;
use crate::purge::journal::Purges;
use crate::recent::Recent;
use crate::shared::{Predecessors, Shared, Warmth};
use crate::store::Zone;
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
    /// The index, even when made anew.
    #[error("could not open cache \"{}\": the index ({source})", path.display())]
    Index {
        /// The cache's directory.
        path: PathBuf,
        /// What LMDB said.
        source: heed::Error,
    },
}

/// The cache's own files, beside the directories of the first level.
struct Own {
    lock: PathBuf,
    state: PathBuf,
    index: PathBuf,
    index_lock: PathBuf,
    shared: PathBuf,
    purges: PathBuf,
}

impl Own {
    fn of(path: &Path) -> Self {
        Self {
            lock: path.join("larder.lock"),
            state: path.join("larder.state"),
            index: path.join("larder.mdb"),
            index_lock: path.join("larder.mdb-lock"),
            shared: path.join("larder.shared"),
            purges: path.join("larder.purges"),
        }
    }

    /// Keeps other processes from opening and closing; given up when the file is dropped.
    fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.lock)?;
        file.lock_exclusive()?;
        Ok(file)
    }

    fn remove_index(&self) -> io::Result<()> {
        for path in [&self.index, &self.index_lock] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Zone {
    /// Opens a cache for this process, makes what is missing, and starts the thread that writes the index.
    ///
    /// Threads and LMDB do not survive a fork: call it in the process that uses it.
    pub fn open(conf: &Arc<CachePath>, role: Role) -> Result<Self, OpenError> {
        let failed = |what| move |source| OpenError::File { path: conf.path.clone(), what, source };
        create_dirs(&conf.path).map_err(failed("the directory"))?;
        let own = Own::of(&conf.path);
        let _lock = own.lock().map_err(failed("its lock"))?;
        let place = place_of(conf);
        let mut coverage = match verdict(Marker::read(&own.state).as_ref(), &place, process::boot()) {
            Verdict::Keep(coverage) if own.index.exists() => coverage,
            Verdict::Keep(_) | Verdict::Rebuild(_) => {
                own.remove_index().map_err(failed("the old index"))?;
                Coverage::Partial
            }
        };
        let index = match Index::open(&own.index) {
            Err(error) if is_damage(&error) => {
                tracing::warn!("cache \"{}\": the index is damaged ({error}), loading it anew", conf.name);
                own.remove_index().map_err(failed("the damaged index"))?;
                coverage = Coverage::Partial;
                Index::open(&own.index)
            }
            other => other,
        };
        let broken = |source| OpenError::Index { path: conf.path.clone(), source };
        let index = Arc::new(index.map_err(broken)?);
        let opened = Shared::open(&own.shared, process::boot()).map_err(failed("shared memory"));
        let (shared, predecessors) = opened?;
        if predecessors == Predecessors::Killed {
            coverage = Coverage::Partial;
        }
        let shared = Arc::new(shared);
        shared.set_warm(if coverage == Coverage::Complete { Warmth::Warm } else { Warmth::Cold });
        let purges = Purges::open(&own.purges, &own.lock, shared.purged(), wall_clock());
        let purges = purges.map_err(failed("its purges"))?;
        let last = purges.rules().last();
        if last > shared.purged() {
            shared.publish_purge(last);
        }
        publish_totals(&index, &shared).map_err(broken)?;
        let marker = Marker { boot: process::boot(), stop: Stop::Unclean, coverage, place };
        marker.write(&own.state).map_err(failed("its state"))?;
        Self::start(conf, role, index, shared, purges).map_err(failed("its thread"))
    }

    fn start(
        conf: &Arc<CachePath>,
        role: Role,
        index: Arc<Index>,
        shared: Arc<Shared>,
        purges: Purges,
    ) -> io::Result<Self> {
        let (changes, queue) = sync_channel(QUEUE);
        let pending = Arc::new(Pending::default());
        let writer = Writer {
            conf: Arc::clone(conf),
            index: Arc::clone(&index),
            shared: Arc::clone(&shared),
            pending: Arc::clone(&pending),
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
            changes,
            writer: Mutex::new(Some(writer)),
            uses: Mutex::new(HashMap::new()),
            recent: Recent::new(),
            temp_dirs: Mutex::new(Vec::new()),
        })
    }

    /// Notes that every file has its row: from now on a key without one is a miss without a look at the disk.
    pub fn set_loaded(&self) -> io::Result<()> {
        self.rewrite_marker(|marker| marker.coverage = Coverage::Complete)?;
        self.shared.set_warm(Warmth::Warm);
        Ok(())
    }

    fn rewrite_marker(&self, change: impl FnOnce(&mut Marker)) -> io::Result<()> {
        let own = Own::of(&self.conf.path);
        let _lock = own.lock()?;
        let mut marker = Marker::read(&own.state).ok_or(io::ErrorKind::NotFound)?;
        change(&mut marker);
        marker.write(&own.state)
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
        if let Err(error) = self.rewrite_marker(|marker| marker.stop = Stop::Clean) {
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

/// Sets the shared totals to what the index holds, while nobody else can change it.
fn publish_totals(index: &Index, shared: &Shared) -> heed::Result<()> {
    let batch = index.begin()?;
    shared.set_totals(batch.entries()?, batch.stored_bytes());
    Ok(())
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

fn is_damage(error: &heed::Error) -> bool {
    use heed::MdbError::{BadTxn, Corrupted, Incompatible, Invalid, PageNotFound, Panic, VersionMismatch};
    matches!(
        error,
        heed::Error::Mdb(
            BadTxn | Corrupted | Incompatible | Invalid | PageNotFound | Panic | VersionMismatch
        )
    )
}
