//! The clock, read in one place: coarse (a few nanoseconds, a few milliseconds off), as nginx's cached time.
//!
//! Pure code takes `now` as an argument and never comes here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// A point on the monotonic clock, for measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(Duration);

impl Moment {
    /// Returns the time from `earlier` to this moment; zero where it is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the moment that comes so much later.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// Returns the time that has passed since this moment.
    pub fn elapsed(self) -> Duration {
        moment().since(self)
    }
}

/// Returns the wall clock's time, to some milliseconds.
pub fn now() -> SystemTime {
    UNIX_EPOCH + read(ClockId::CLOCK_REALTIME_COARSE)
}

/// Returns the monotonic clock's time, to some milliseconds.
pub fn moment() -> Moment {
    Moment(read(ClockId::CLOCK_MONOTONIC_COARSE))
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).expect("linux has had the coarse clocks since 2.6.32")
}
