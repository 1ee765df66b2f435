//! The cache manager: keeps each cache within `inactive`, `max_size`, `min_free` and its keys zone.
//!
//! One loop over all caches of a configuration. What to evict next is decided by [`plan`], which is pure; entries go by
//! last use, `manager_files` at a time with `manager_sleep` between. Fills reserve their room themselves and
//! evict where they must, so the loop need not hurry: it keeps a margin free, so that they seldom have to.
//! Each iteration that removes something is a line of the log at level info; between them, files are looked through
//! for damage where that is wanted ([`scrub`]).

mod plan;
pub mod purge;
mod scrub;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cache::{Evicted, Eviction, OpenError, Role, Until, Zone};
use config::CachePath;
use thiserror::Error;

pub use crate::plan::{Condition, Plan, plan};
use crate::purge::Purger;
use crate::scrub::Scrub;

/// The longest rest, where no cache is due sooner.
const LONGEST: Duration = Duration::from_secs(60);
/// Entries that one transaction removes at most: meanwhile others cannot write the index.
const MOST_FILES: usize = 100;
/// How long workers may keep files open that were removed.
const LET_GO: Duration = Duration::from_secs(1);
/// How often what dead processes left behind is looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Why the manager cannot go on. Whoever started it starts it again, and a loader.
#[derive(Debug, Error)]
pub enum RunError {
    /// A cache could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The index of a cache was lost while it was in use: all files have to be looked at again.
    #[error("the index of cache \"{name}\" was lost, its files are to be loaded again")]
    IndexLost {
        /// The cache.
        name: String,
    },
}

/// Keeps the caches within their limits until told to end: `rest` waits for at most that long, and says whether it is so.
///
/// Call it in a process of its own, which has opened none of them; it opens them all.
pub fn run(zones: &[Arc<CachePath>], rest: &impl Fn(Duration) -> bool) -> Result<(), RunError> {
    let mut watches =
        zones.iter().map(|conf| Watch::open(conf, monotonic())).collect::<Result<Vec<_>, _>>()?;
    let mut wait = Duration::ZERO;
    while !rest(wait) {
        let now = monotonic();
        for watch in watches.iter_mut().filter(|watch| watch.due <= now) {
            watch.look(rest);
        }
        if let Some(lost) = watches.iter().find(|watch| watch.zone.loss().is_some()) {
            return Err(RunError::IndexLost { name: lost.zone.conf().name.clone() });
        }
        let next = watches.iter().map(|watch| watch.due).min();
        wait = next.map_or(LONGEST, |due| due.saturating_duration_since(monotonic()).min(LONGEST));
    }
    Ok(())
}

/// One cache and when to look at it again.
struct Watch {
    zone: Zone,
    due: Instant,
    swept: Option<Instant>,
    scrub: Scrub,
    purger: Purger,
}

impl Watch {
    fn open(conf: &Arc<CachePath>, now: Instant) -> Result<Self, OpenError> {
        let zone = Zone::open(conf, Role::Manager)?;
        Ok(Self { zone, due: now, swept: None, scrub: Scrub::default(), purger: Purger::of_manager(conf) })
    }

    /// Evicts what must go, but no more than one helping, and sets the time of the next look.
    fn look(&mut self, rest: &impl Fn(Duration) -> bool) {
        self.sweep();
        let conf = Arc::clone(self.zone.conf());
        let begun = monotonic();
        let mut left = usize::try_from(conf.manager_files).unwrap_or(usize::MAX);
        let mut all = Evicted::default();
        let pause = loop {
            let until = match plan(&conf, &self.condition(), wall_clock()) {
                Plan::Rest(pause) => break pause,
                Plan::Evict(until) => until,
            };
            let gone = self.zone.evict(Eviction { until, files: left.min(MOST_FILES) });
            all.entries += gone.entries;
            all.bytes += gone.bytes;
            left = left.saturating_sub(usize::try_from(gone.entries).unwrap_or(usize::MAX));
            if until == Until::AllGone {
                // Room comes back only when workers have let go of the files.
                break conf.manager_sleep.max(LET_GO);
            }
            // Where nothing can go (all of it is being replaced just now), trying again at once would spin.
            let tired = left == 0 || gone.entries == 0 || begun.elapsed() >= conf.manager_threshold;
            if tired || rest(Duration::ZERO) {
                break conf.manager_sleep;
            }
        };
        self.report(all, begun.elapsed());
        let until_scrub = self.scrub.look(&self.zone, monotonic());
        let until_purge = self.purger.look_seldom(&self.zone);
        let rest = [until_scrub, until_purge].into_iter().flatten().fold(pause, Duration::min);
        self.due = monotonic() + rest;
    }

    /// Tells of an iteration that removed something.
    fn report(&self, gone: Evicted, took: Duration) {
        if gone.entries == 0 {
            return;
        }
        let (name, stats) = (&self.zone.conf().name, self.zone.stats());
        tracing::info!(
            "cache \"{name}\": removed {} entries, freed {} bytes in {} ms; {} entries, {} bytes left",
            gone.entries,
            gone.bytes,
            took.as_millis(),
            stats.entries,
            stats.stored_bytes
        );
    }

    fn condition(&self) -> Condition {
        let conf = self.zone.conf();
        let oldest_use = self.zone.oldest_use().unwrap_or_else(|error| {
            tracing::error!("cache \"{}\": could not read the index ({error})", conf.name);
            None
        });
        // Without a min_free nobody asks; where it cannot be told, nothing is evicted for it.
        let free_bytes = if conf.min_free == 0 { None } else { self.zone.free_bytes().ok() };
        Condition { stats: self.zone.stats(), oldest_use, free_bytes }
    }

    /// Removes what dead processes left, now and then.
    fn sweep(&mut self) {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(monotonic());
        if let Err(error) = self.zone.sweep() {
            tracing::error!(
                "cache \"{}\": could not remove old temporary files ({error})",
                self.zone.conf().name
            );
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the loop's clock; what is decided by it gets the time as an argument"
)]
fn monotonic() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the loop's clock; what is decided by it gets the time as an argument"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use cache::{Durability, Key, path_of};

    use super::*;

    /// Files of 4 KiB each, used `age` seconds ago, in a cache that is closed again.
    fn fill(conf: &Arc<CachePath>, ages: impl Iterator<Item = u64>) -> Vec<Key> {
        let zone = Zone::open(conf, Role::Worker).unwrap();
        let keys = ages.enumerate().map(|(number, age)| {
            let key = Key::new(number.to_string().into_bytes());
            let path = path_of(conf, &key.digest);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, [0; 400]).unwrap();
            zone.adopt(&key.digest, 400, wall_clock() - Duration::from_secs(age));
            key
        });
        let keys = keys.collect();
        zone.flush(Durability::Committed);
        keys
    }

    fn conf(path: &Path) -> CachePath {
        CachePath {
            name: "zone".to_owned(),
            levels: vec![2],
            keys_zone_size: 1 << 20,
            use_temp_path: false,
            manager_files: 7,
            manager_sleep: Duration::from_millis(1),
            ..CachePath::at(path.to_owned())
        }
    }

    /// Runs the manager until only the wanted entries have files, or fails after ten seconds.
    fn settles(conf: CachePath, ages: impl Iterator<Item = u64>, wanted: &[usize]) {
        let conf = Arc::new(conf);
        let keys = fill(&conf, ages);
        let left = || -> Vec<_> {
            let all = keys.iter().enumerate();
            all.filter(|(_, key)| path_of(&conf, &key.digest).exists()).map(|(number, _)| number).collect()
        };
        let begun = monotonic();
        let rest = |time: Duration| {
            std::thread::sleep(time.min(Duration::from_millis(10)));
            left() == wanted || begun.elapsed() > Duration::from_secs(10)
        };
        run(std::slice::from_ref(&conf), &rest).unwrap();
        assert_eq!(left(), wanted);
        let zone = Zone::open(&conf, Role::Worker).unwrap();
        zone.flush(Durability::Committed);
        assert_eq!(zone.stats().entries, wanted.len() as u64);
    }

    #[test]
    fn what_the_scrub_finds_goes() {
        let dir = tempfile::tempdir().unwrap();
        // None of them has a header.
        settles(CachePath { scrub: Some(1 << 30), ..conf(dir.path()) }, 0..30, &[]);
    }

    #[test]
    fn the_inactive_go() {
        let dir = tempfile::tempdir().unwrap();
        settles(conf(dir.path()), (0..30).map(|number| number * 100 + 50), &[0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_oldest_go_where_max_size_is_near() {
        let dir = tempfile::tempdir().unwrap();
        let conf = CachePath { max_size: Some(10 * 4096), ..conf(dir.path()) };
        settles(conf, 0..30, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn all_go_where_the_disk_is_never_free_enough() {
        let dir = tempfile::tempdir().unwrap();
        let conf = CachePath { min_free: u64::MAX, ..conf(dir.path()) };
        settles(conf, 0..30, &[]);
    }
}
