//! The cache loader: walks the files of a cache and gives each one that has none its row in the index.
//!
//! It starts at once, but only where index and files may differ (first start, a warm nginx directory, a crash of the
//! machine); meanwhile workers look at the disk for what the index does not have. A minute after the start, when nginx's
//! loader begins, it looks once more and ends. Files are not read, as in nginx: a wrong one is noticed when it is asked
//! for. `loader_files`, `loader_threshold` and `loader_sleep` set the pace; each iteration is a line of the log at level info.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cache::format::STRUCT_BYTES;
use cache::{
    Digest, Durability, Loss, OpenError, Role, Zone, digest_of_name, is_left_behind, lacks_rows, path_of,
};
use config::CachePath;
use thiserror::Error;

/// When it looks a second time, after it was started.
const SECOND_LOOK: Duration = Duration::from_secs(60);
/// From one try to the next where there is no index.
const NO_INDEX: Duration = Duration::from_secs(60);
/// How often it begins anew at once, where somebody removed an index.
const AGAIN_MOST: u32 = 5;
/// How often it looks whether that has happened, until its second look.
const WATCH: Duration = Duration::from_secs(1);
/// Levels of directories that nginx allows.
const DEEPEST: usize = 3;

/// Why a cache could not be loaded. The next loader starts again.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A directory could not be read.
    #[error("could not read \"{}\" ({source})", path.display())]
    Directory {
        /// Its name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The result could not be noted.
    #[error("could not note that a cache is loaded ({0})")]
    Note(#[source] io::Error),
    /// Its index was removed meanwhile, and made anew.
    #[error("the index of cache \"{name}\" was removed")]
    IndexReplaced {
        /// The cache.
        name: String,
    },
    /// There was no index for all rows.
    #[error("cache \"{name}\" has no index for its files")]
    NoIndex {
        /// The cache.
        name: String,
    },
}

/// What the loader found in one cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Files that belong to it.
    pub files: u64,
    /// What was removed: torn files, files where no key leads, temporary files of dead processes.
    pub removed: u64,
}

/// Whether a cache was walked to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The index was right already.
    Unneeded,
    /// Every file has its row now.
    Complete(Loaded),
    /// It was told to stop.
    Stopped,
}

/// Loads each cache whose index may lack files, now and once more after a minute, and where an index is removed meanwhile; ends
/// early when told to: `rest` waits for at most that long, and says whether it is so.
///
/// Call it in a process of its own, which has opened none of them.
pub fn run(zones: &[Arc<CachePath>], rest: &impl Fn(Duration) -> bool) -> Result<(), LoadError> {
    let second_look = monotonic() + SECOND_LOOK;
    let mut anew = 0..AGAIN_MOST;
    loop {
        match load_all(zones, rest) {
            Err(error @ LoadError::IndexReplaced { .. }) if anew.next().is_some() => {
                tracing::warn!("{error}, its files are looked at again");
            }
            Err(error @ (LoadError::IndexReplaced { .. } | LoadError::NoIndex { .. })) => {
                // A disk that is full or broken: files are found without rows meanwhile.
                tracing::error!("{error}, trying again in {} s", NO_INDEX.as_secs());
                if rests(rest, NO_INDEX) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
            Ok(()) => {
                let is_due = || !anew.is_empty() && zones.iter().any(|conf| lacks_rows(conf));
                match watch(rest, second_look, is_due) {
                    Watched::Stopped => return Ok(()),
                    Watched::Due => drop(anew.next()),
                    Watched::Over => return load_all(zones, rest),
                }
            }
        }
    }
}

/// How a watch ended.
enum Watched {
    Stopped,
    Due,
    Over,
}

/// Rests until then, unless something is due earlier.
fn watch(rest: &impl Fn(Duration) -> bool, until: Instant, is_due: impl Fn() -> bool) -> Watched {
    loop {
        let left = until.saturating_duration_since(monotonic());
        if rest(left.min(WATCH)) {
            return Watched::Stopped;
        }
        if left.is_zero() {
            return Watched::Over;
        }
        if is_due() {
            return Watched::Due;
        }
    }
}

fn load_all(zones: &[Arc<CachePath>], rest: &impl Fn(Duration) -> bool) -> Result<(), LoadError> {
    for conf in zones {
        let begun = monotonic();
        match load(conf, rest)? {
            Outcome::Unneeded => {}
            Outcome::Complete(loaded) => tracing::info!(
                "cache \"{}\": loaded {} files, removed {} in {} ms",
                conf.name,
                loaded.files,
                loaded.removed,
                begun.elapsed().as_millis()
            ),
            Outcome::Stopped => return Ok(()),
        }
    }
    Ok(())
}

/// Loads one cache, if its index may lack files.
pub fn load(conf: &Arc<CachePath>, rest: &impl Fn(Duration) -> bool) -> Result<Outcome, LoadError> {
    let zone = Zone::open(conf, Role::Loader)?;
    if !zone.is_cold() {
        return Ok(Outcome::Unneeded);
    }
    let mut walk = Walk { zone, rest, loaded: Loaded::default(), pace: Pace::begin(monotonic()) };
    walk.loaded.removed = walk.zone.sweep().unwrap_or_default();
    if walk.directory(&conf.path, 0)? == Progress::Stopped {
        return Ok(Outcome::Stopped);
    }
    walk.zone.flush(Durability::Synced);
    let name = || conf.name.clone();
    match walk.zone.set_loaded().map_err(LoadError::Note)? {
        None => Ok(Outcome::Complete(walk.loaded)),
        Some(Loss::Replaced) => Err(LoadError::IndexReplaced { name: name() }),
        Some(Loss::Unwritten) => Err(LoadError::NoIndex { name: name() }),
    }
}

/// Rests for all of a time, and says whether it was told to end.
fn rests(rest: &impl Fn(Duration) -> bool, time: Duration) -> bool {
    let until = monotonic() + time;
    loop {
        let left = until.saturating_duration_since(monotonic());
        if rest(left) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    Stopped,
}

struct Walk<'a, S> {
    zone: Zone,
    rest: &'a S,
    loaded: Loaded,
    pace: Pace,
}

impl<S: Fn(Duration) -> bool> Walk<'_, S> {
    fn directory(&mut self, dir: &Path, depth: usize) -> Result<Progress, LoadError> {
        let failed = |source| LoadError::Directory { path: dir.to_owned(), source };
        for entry in fs::read_dir(dir).map_err(failed)? {
            if self.take_breath() == Progress::Stopped {
                return Ok(Progress::Stopped);
            }
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_file() {
                self.file(&entry);
            } else if kind.is_dir() && depth < DEEPEST && is_level(&entry.file_name()) {
                // A directory that the manager's side removed meanwhile holds nothing.
                if entry.path().exists() && self.directory(&entry.path(), depth + 1)? == Progress::Stopped {
                    return Ok(Progress::Stopped);
                }
            }
        }
        Ok(Progress::Done)
    }

    /// Rests where an iteration is over, and tells of it.
    fn take_breath(&mut self) -> Progress {
        let conf = self.zone.conf();
        let pause = match self.pace.step(conf) {
            Step::Rest(took) => {
                tracing::info!(
                    "cache \"{}\": looked at {} files in {} ms; {} loaded, {} removed so far",
                    conf.name,
                    self.pace.files,
                    took.as_millis(),
                    self.loaded.files,
                    self.loaded.removed
                );
                self.pace = Pace::begin(monotonic() + conf.loader_sleep);
                conf.loader_sleep
            }
            Step::GoOn => Duration::ZERO,
        };
        if (self.rest)(pause) { Progress::Stopped } else { Progress::Done }
    }

    /// Files whose names are no digest are somebody else's, and stay.
    fn file(&mut self, entry: &DirEntry) {
        self.pace.files += 1;
        let name = entry.file_name();
        let Some(digest) = digest_of_name(&name) else {
            if is_left_behind(&name) {
                self.loaded.removed += u64::from(fs::remove_file(entry.path()).is_ok());
            }
            return;
        };
        // Removed meanwhile.
        let Ok(metadata) = entry.metadata() else { return };
        let path = entry.path();
        match judge(self.zone.conf(), &digest, &path, &metadata) {
            Verdict::Ours => {
                self.zone.adopt(&digest, metadata.len(), wall_clock());
                self.loaded.files += 1;
            }
            Verdict::Torn => {
                tracing::error!("cache file \"{}\" is too small, it is removed", path.display());
                self.loaded.removed += u64::from(fs::remove_file(&path).is_ok());
            }
            Verdict::Rubbish => {
                self.loaded.removed += u64::from(fs::remove_file(&path).is_ok());
            }
            Verdict::Foreign => {}
        }
    }
}

/// What a file with a digest for a name is.
enum Verdict {
    Ours,
    /// Too short for a header.
    Torn,
    /// A cached file where no key leads: of other `levels`.
    Rubbish,
    Foreign,
}

fn judge(conf: &CachePath, digest: &Digest, path: &Path, metadata: &Metadata) -> Verdict {
    let in_place = path_of(conf, digest) == path;
    if in_place {
        return if metadata.len() < STRUCT_BYTES as u64 { Verdict::Torn } else { Verdict::Ours };
    }
    let mut version = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut version));
    if read.is_ok() && version == 5u64.to_le_bytes() { Verdict::Rubbish } else { Verdict::Foreign }
}

/// A directory of the cache's levels is named by one or two hex digits; `temp` and others are not entered.
fn is_level(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    matches!(name.len(), 1 | 2) && name.iter().all(u8::is_ascii_hexdigit)
}

/// Works for a while, then rests, as nginx's loader does.
struct Pace {
    since: Instant,
    files: u64,
}

impl Pace {
    fn begin(now: Instant) -> Self {
        Self { since: now, files: 0 }
    }

    /// Says whether to rest before the next file.
    fn step(&self, conf: &CachePath) -> Step {
        let took = self.since.elapsed();
        if self.files < conf.loader_files && took < conf.loader_threshold {
            Step::GoOn
        } else {
            Step::Rest(took)
        }
    }
}

/// What to do before the next file.
enum Step {
    GoOn,
    /// An iteration is over, which took so long.
    Rest(Duration),
}

#[expect(clippy::disallowed_methods, reason = "the walk's clock: it paces the disk")]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the walk's clock: files it finds count as used now")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;
