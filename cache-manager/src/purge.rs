//! The cache purger (`purger=on` of `proxy_cache_path`): walks over the files of a cache and removes those that a purge named,
//! which nobody can find any more.
//!
//! It walks while there are purges that no whole walk has followed, `purger_files` files at a time; a whole walk lets the cache
//! forget them. Where there is no purger, the manager does the same at its own pace, but only where purges pile up.

use std::fs::{self, ReadDir};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache::{Digest, Inspected, OpenError, Role, Zone, digest_of_name};
use config::CachePath;

use crate::{monotonic, wall_clock};

/// How often new purges are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How long a purge is kept in any case: an answer that was asked for before it may still be on its way, and a purge that is
/// forgotten by then keeps it from being stored.
const KEEP: Duration = Duration::from_secs(3600);
/// And how long where there are more than [`MANY`].
const KEEP_OF_MANY: Duration = Duration::from_secs(60);
/// Purges that are too many to be kept for long, and for which the manager walks.
const MANY: usize = 10_000;

/// Frees the space of what is purged until told to end: `rest` waits for at most that long, and says whether it is so.
///
/// Call it in a process of its own, which has opened none of the caches; it opens those with `purger=on`.
pub fn run(zones: &[Arc<CachePath>], rest: &impl Fn(Duration) -> bool) -> Result<(), OpenError> {
    let with_purger = zones.iter().filter(|conf| conf.purger);
    let mut purgers = with_purger
        .map(|conf| {
            let pace =
                Pace { files: conf.purger_files, threshold: conf.purger_threshold, sleep: conf.purger_sleep };
            let zone = Zone::open(conf, Role::Purger)?;
            Ok((zone, Purger::new(pace), monotonic()))
        })
        .collect::<Result<Vec<_>, OpenError>>()?;
    let mut wait = Duration::ZERO;
    while !rest(wait) {
        let now = monotonic();
        for (zone, purger, due) in purgers.iter_mut().filter(|(_, _, due)| *due <= now) {
            *due = now + purger.look(zone);
        }
        let next = purgers.iter().map(|(_, _, due)| *due).min();
        wait = next.map_or(LOOK, |due| due.saturating_duration_since(monotonic()));
    }
    Ok(())
}

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) files: u64,
    pub(crate) threshold: Duration,
    pub(crate) sleep: Duration,
}

/// The walks over one cache.
pub(crate) struct Purger {
    pace: Pace,
    walk: Option<Walk>,
    /// The last purge that a walk has followed.
    walked_to: u64,
    /// The last one that a walk has followed which saw every file.
    done_to: u64,
}

impl Purger {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, walk: None, walked_to: 0, done_to: 0 }
    }

    /// The manager's, for a cache without a process of its own.
    pub(crate) fn of_manager(conf: &CachePath) -> Self {
        Self::new(Pace {
            files: conf.manager_files,
            threshold: conf.manager_threshold,
            sleep: conf.manager_sleep,
        })
    }

    /// Walks a little where purges pile up, and says after how long to go on; nothing where there is nothing to do.
    pub(crate) fn look_seldom(&mut self, zone: &Zone) -> Option<Duration> {
        if zone.conf().purger || self.walk.is_none() && zone.known_purges().0 <= MANY {
            return None;
        }
        Some(self.look(zone))
    }

    /// Walks a little where there is a purge that no walk has followed, and says after how long to look again.
    pub(crate) fn look(&mut self, zone: &Zone) -> Duration {
        if self.walk.is_none() {
            let (known, oldest) = zone.known_purges();
            let Some(oldest) = oldest else { return LOOK };
            if zone.epoch() <= self.walked_to {
                self.forget(zone, known, oldest);
                return LOOK;
            }
            self.walk = Some(Walk::begin(zone, monotonic()));
        }
        let Some(walk) = &mut self.walk else { return LOOK };
        if walk.step(zone, self.pace) == Progress::More {
            return self.pace.sleep;
        }
        walk.report(zone);
        self.walked_to = walk.upto;
        if walk.failures == 0 {
            self.done_to = walk.upto;
        }
        self.walk = None;
        let (known, oldest) = zone.known_purges();
        oldest.into_iter().for_each(|oldest| self.forget(zone, known, oldest));
        LOOK
    }

    /// Lets the cache forget what this purger has walked for, where there is any that is old enough.
    fn forget(&self, zone: &Zone, known: usize, oldest: u64) {
        let now = wall_clock();
        let upto = forgettable(self.done_to, known, now);
        if oldest > upto {
            return;
        }
        let name = &zone.conf().name;
        match zone.forget_purges(upto, now) {
            Ok(purges) => tracing::info!(
                "cache \"{name}\": forgot {} purges of {}",
                purges.before - purges.left,
                purges.before
            ),
            Err(error) => tracing::error!("cache \"{name}\": {error}"),
        }
    }
}

/// The last purge that need not be known any more: a walk has followed it, and it is old. Numbers of purges are times.
fn forgettable(walked_to: u64, known: usize, now: SystemTime) -> u64 {
    let keep = if known > MANY { KEEP_OF_MANY } else { KEEP };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(keep).as_micros();
    walked_to.min(u64::try_from(since).unwrap_or(u64::MAX))
}

/// One walk over all files.
struct Walk {
    /// The last purge when it began: those it can have missed are newer.
    upto: u64,
    begun: Instant,
    /// The directories that are being read, the innermost last.
    open: Vec<ReadDir>,
    files: u64,
    removed: u64,
    softened: u64,
    /// What could not be read.
    failures: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    More,
    Done,
}

impl Walk {
    fn begin(zone: &Zone, now: Instant) -> Self {
        let upto = zone.epoch();
        let mut walk =
            Self { upto, begun: now, open: Vec::new(), files: 0, removed: 0, softened: 0, failures: 0 };
        walk.enter(zone, &zone.conf().path);
        walk
    }

    /// Inspects as many files as one helping has.
    fn step(&mut self, zone: &Zone, pace: Pace) -> Progress {
        let begun = monotonic();
        for _ in 0..pace.files.max(1) {
            let Some(digest) = self.next(zone) else { return Progress::Done };
            self.files += 1;
            match zone.inspect(&digest) {
                Ok(Inspected::Removed) => self.removed += 1,
                Ok(Inspected::Softened) => self.softened += 1,
                Ok(Inspected::Live | Inspected::Nothing) => {}
                Err(error) => self.fail(zone, &error),
            }
            if begun.elapsed() >= pace.threshold {
                break;
            }
        }
        Progress::More
    }

    /// The next file that has the name of an entry.
    fn next(&mut self, zone: &Zone) -> Option<Digest> {
        while let Some(dir) = self.open.last_mut() {
            match dir.next() {
                None => drop(self.open.pop()),
                Some(Ok(entry)) => {
                    if let Some(digest) = digest_of_name(&entry.file_name()) {
                        return Some(digest);
                    }
                    let is_level =
                        self.open.len() <= zone.conf().levels.len() && entry.file_name().len() <= 2;
                    if is_level && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        self.enter(zone, &entry.path());
                    }
                }
                Some(Err(error)) => {
                    self.open.pop();
                    self.fail(zone, &error);
                }
            }
        }
        None
    }

    /// Reads a directory next; one that is gone holds nothing.
    fn enter(&mut self, zone: &Zone, dir: &Path) {
        match fs::read_dir(dir) {
            Ok(dir) => self.open.push(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.fail(zone, &error),
        }
    }

    fn fail(&mut self, zone: &Zone, error: &io::Error) {
        self.failures += 1;
        tracing::error!("cache \"{}\": could not look for what is purged ({error})", zone.conf().name);
    }

    fn report(&self, zone: &Zone) {
        tracing::info!(
            "cache \"{}\": looked at {} files for purges, removed {}, made {} stale in {} ms",
            zone.conf().name,
            self.files,
            self.removed,
            self.softened,
            self.begun.elapsed().as_millis()
        );
    }
}

#[cfg(test)]
mod tests {
    use cache::format::Prefix;
    use cache::{Durability, Key, Lease, Meta, Mode, Purge, Standing, path_of};

    use super::*;

    fn conf(path: &Path, purger: bool) -> Arc<CachePath> {
        Arc::new(CachePath {
            name: "zone".to_owned(),
            levels: vec![1, 2],
            keys_zone_size: 1 << 20,
            use_temp_path: false,
            purger,
            purger_sleep: Duration::from_millis(1),
            ..CachePath::at(path.to_owned())
        })
    }

    /// Stores thirty entries, with tags `0`, `1`, `2` in turn.
    fn fill(zone: &Zone) -> Vec<Key> {
        let keys = (0..30).map(|number| {
            let key = Key::new(format!("key {number}").into_bytes());
            let mut temp = zone.create_temp(&key.digest, None).unwrap();
            let tags = (number % 3).to_string().into_bytes();
            let mut meta =
                Meta { tags, epoch: zone.epoch(), valid_until: wall_clock() + KEEP, ..Meta::default() };
            temp.begin_with(Prefix::new(&key, &mut meta, b"HTTP/1.1 200 OK\r\n\r\n").unwrap(), b"x").unwrap();
            let Lease::Granted(permit) = zone.lease(&key.digest, KEEP, wall_clock()) else {
                panic!("it is free")
            };
            zone.commit(permit, &key.digest, temp, zone.reserve(1000).unwrap(), wall_clock()).unwrap();
            key
        });
        let keys = keys.collect();
        zone.flush(Durability::Committed);
        keys
    }

    fn purge(zone: &Zone, tag: &str, how: Mode, now: SystemTime) {
        zone.purge(&[Purge::Tag(tag.as_bytes().to_vec())], how, Durability::Committed, now).unwrap();
    }

    fn left(zone: &Zone, keys: &[Key]) -> Vec<usize> {
        let all = keys.iter().enumerate();
        all.filter(|(_, key)| path_of(zone.conf(), &key.digest).exists()).map(|(number, _)| number).collect()
    }

    #[test]
    fn what_is_purged_is_removed_a_helping_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let zone = Zone::open(&conf(dir.path(), true), Role::Purger).unwrap();
        let keys = fill(&zone);
        let mut purger = Purger::new(Pace { files: 10, threshold: KEEP, sleep: Duration::ZERO });
        assert_eq!(purger.look(&zone), LOOK, "nothing is purged, nothing is walked");
        purge(&zone, "1", Mode::Hard, wall_clock());
        purge(&zone, "2", Mode::Soft, wall_clock());
        let helpings = (0..10).take_while(|_| purger.look(&zone) != LOOK).count();
        assert_eq!(helpings, 3, "ten files at a time");
        zone.flush(Durability::Committed);
        let wanted: Vec<_> = (0..30).filter(|number| number % 3 != 1).collect();
        assert_eq!((left(&zone, &keys), zone.stats().entries), (wanted, 20));
        assert_eq!(purger.look(&zone), LOOK, "once is enough");
        assert_eq!(zone.known_purges().0, 2, "they are too young to be forgotten");
        let entry = zone.read(&keys[2], &keys[2].digest).unwrap().unwrap();
        assert_eq!(zone.judge(&keys[2], &entry.meta), Standing::Live, "its file says that it is stale");
        assert!(entry.meta.valid_until <= wall_clock());
    }

    #[test]
    fn a_helping_ends_when_its_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let zone = Zone::open(&conf(dir.path(), true), Role::Purger).unwrap();
        fill(&zone);
        purge(&zone, "1", Mode::Hard, wall_clock());
        let mut purger = Purger::new(Pace { files: 10, threshold: Duration::ZERO, sleep: Duration::ZERO });
        assert_eq!((0..100).take_while(|_| purger.look(&zone) != LOOK).count(), 30, "a file at a time");
    }

    #[test]
    fn old_purges_are_forgotten_after_a_whole_walk() {
        let dir = tempfile::tempdir().unwrap();
        let zone = Zone::open(&conf(dir.path(), true), Role::Purger).unwrap();
        let keys = fill(&zone);
        purge(&zone, "1", Mode::Hard, wall_clock() - KEEP * 2);
        purge(&zone, "2", Mode::Hard, wall_clock());
        let mut purger = Purger::new(Pace { files: 1000, threshold: KEEP, sleep: Duration::ZERO });
        while purger.look(&zone) != LOOK {}
        zone.flush(Durability::Committed);
        assert_eq!(zone.known_purges().0, 1);
        assert_eq!(left(&zone, &keys), (0..30).filter(|number| number % 3 == 0).collect::<Vec<_>>());
    }

    #[test]
    fn when_a_purge_may_be_forgotten() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let micros = |seconds: u64| seconds * 1_000_000;
        let cases = [
            ("no walk", 0, 1, at(10_000), 0),
            ("a walk, but young", micros(9_000), 1, at(10_000), micros(6_400)),
            ("a walk, and old", micros(5_000), 1, at(10_000), micros(5_000)),
            ("many", micros(9_990), MANY + 1, at(10_000), micros(9_940)),
        ];
        for (name, walked_to, known, now, wanted) in cases {
            assert_eq!(forgettable(walked_to, known, now), wanted, "{name}");
        }
    }

    #[test]
    fn the_manager_walks_only_where_purges_pile_up() {
        let dir = tempfile::tempdir().unwrap();
        let zone = Zone::open(&conf(dir.path(), false), Role::Manager).unwrap();
        let keys = fill(&zone);
        let mut purger = Purger::of_manager(zone.conf());
        let long_ago = wall_clock() - KEEP * 2;
        purge(&zone, "1", Mode::Hard, long_ago);
        assert_eq!(purger.look_seldom(&zone), None);
        let many: Vec<_> =
            (0..=MANY).map(|number| Purge::Tag(format!("tag {number}").into_bytes())).collect();
        zone.purge(&many, Mode::Hard, Durability::Committed, long_ago).unwrap();
        while purger.look_seldom(&zone).is_some() {}
        zone.flush(Durability::Committed);
        assert_eq!((zone.known_purges().0, left(&zone, &keys).len()), (0, 20));
        let with_purger = conf(dir.path(), true);
        drop(zone);
        let zone = Zone::open(&with_purger, Role::Manager).unwrap();
        zone.purge(&many, Mode::Hard, Durability::Committed, long_ago).unwrap();
        assert_eq!(purger.look_seldom(&zone), None, "where there is a purger, it is its work");
    }
}
