//! The cache manager: keeps each cache within `inactive`, `max_size`, `min_free` and its keys zone.
//!
//! One loop over all caches of a configuration. What to evict next is decided by [`plan`], which is pure; entries go by
//! last use, `manager_files` at a time with `manager_sleep` between. Fills reserve their room themselves and
//! evict where they must, so the loop need not hurry: it keeps a margin free, so that they seldom have to.

mod plan;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cache::{Evicted, Eviction, OpenError, Role, Until, Zone};
use config::CachePath;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

pub use crate::plan::{Condition, Plan, plan};

/// The longest sleep: how late a stop may be noticed where no signal ends the sleep.
const SLICE: Duration = Duration::from_millis(250);
/// How often what dead processes left behind is looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Keeps the caches within their limits until `stop` says so.
///
/// Call it in a process of its own, which has opened none of them; it opens them all.
pub fn run(zones: &[Arc<CachePath>], stop: &impl Fn() -> bool) -> Result<(), OpenError> {
    let mut watches =
        zones.iter().map(|conf| Watch::open(conf, monotonic())).collect::<Result<Vec<_>, _>>()?;
    while !stop() {
        let now = monotonic();
        for watch in watches.iter_mut().filter(|watch| watch.due <= now) {
            watch.look(stop);
        }
        let next = watches.iter().map(|watch| watch.due).min();
        let wait = next.map_or(SLICE, |due| due.saturating_duration_since(monotonic()));
        sleep(wait.min(SLICE));
    }
    Ok(())
}

/// One cache and when to look at it again.
struct Watch {
    zone: Zone,
    due: Instant,
    swept: Option<Instant>,
}

impl Watch {
    fn open(conf: &Arc<CachePath>, now: Instant) -> Result<Self, OpenError> {
        Ok(Self { zone: Zone::open(conf, Role::Manager)?, due: now, swept: None })
    }

    /// Evicts what must go, but no more than one helping, and sets the time of the next look.
    fn look(&mut self, stop: &impl Fn() -> bool) {
        self.sweep();
        let conf = Arc::clone(self.zone.conf());
        let begun = monotonic();
        let mut left = usize::try_from(conf.manager_files).unwrap_or(usize::MAX);
        let rest = loop {
            let until = match plan(&conf, &self.condition(), wall_clock()) {
                Plan::Rest(rest) => break rest,
                Plan::Evict(until) => until,
            };
            let gone = self.evict(until, left.min(100));
            left = left.saturating_sub(usize::try_from(gone.entries).unwrap_or(usize::MAX));
            // Where nothing can go (all of it is being replaced just now), trying again at once would spin.
            let tired = left == 0 || gone.entries == 0 || begun.elapsed() >= conf.manager_threshold;
            if tired || stop() {
                break conf.manager_sleep;
            }
        };
        self.due = monotonic() + rest;
    }

    fn evict(&self, until: Until, files: usize) -> Evicted {
        let gone = self.zone.evict(Eviction { until, files });
        tracing::debug!(
            "cache \"{}\": evicted {} of {} bytes",
            self.zone.conf().name,
            gone.entries,
            gone.bytes
        );
        gone
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

/// Sleeps, but not through a signal.
fn sleep(time: Duration) {
    // Interrupted or not: the caller looks at the clock.
    let _ = clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::empty(),
        &TimeSpec::from_duration(time),
    );
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
