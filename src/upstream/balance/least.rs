//! The method that compares peers: who has least to do, or takes least time, for its weight.

use std::{cmp::Ordering, time::Duration};

use config::{Balancing, Better, LeastTime};

use super::slot::Slot;

/// What peers are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Requests under way.
    Connections,
    /// The average time of answers, times the requests under way with the new one.
    Time(Inflight),
}

/// Whether requests without an answer yet say something of a peer's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inflight {
    /// Only answers do.
    Ignored,
    /// They do, by the time that they have waited.
    Counted,
}

impl Cost {
    /// Returns what a method compares by; none where it does not compare.
    pub fn of(balancing: &Balancing) -> Option<Self> {
        match balancing {
            Balancing::LeastConn | Balancing::RandomTwo(Better::LeastConn) => Some(Self::Connections),
            Balancing::LeastTime(LeastTime { inflight: true, .. }) => Some(Self::Time(Inflight::Counted)),
            Balancing::LeastTime(LeastTime { inflight: false, .. })
            | Balancing::RandomTwo(Better::LeastTime(_)) => Some(Self::Time(Inflight::Ignored)),
            Balancing::RoundRobin
            | Balancing::IpHash
            | Balancing::Hash(_)
            | Balancing::ConsistentHash(_)
            | Balancing::Random => None,
        }
    }

    /// Weighs what a peer costs.
    pub fn weigh(self, slot: &Slot, now: Duration) -> Weighed {
        Weighed { cost: self.cost(slot, now), share: i128::from(slot.share(now)) }
    }

    fn cost(self, slot: &Slot, now: Duration) -> i128 {
        match self {
            Self::Connections => i128::from(slot.connections),
            Self::Time(inflight) => {
                let time = match inflight {
                    Inflight::Ignored => slot.times.average(),
                    Inflight::Counted => slot.times.average().max(slot.times.waited(now)),
                };
                // Times below the clock's step are alike: then the number of requests decides.
                let time_us = i128::try_from(time.as_micros()).unwrap_or(i128::from(u32::MAX)).max(1000);
                time_us * (i128::from(slot.connections) + 1)
            }
        }
    }
}

/// What a peer costs, and its share of all requests.
#[derive(Debug, Clone, Copy)]
pub struct Weighed {
    cost: i128,
    share: i128,
}

impl Weighed {
    /// Compares what two peers cost for their shares.
    pub fn compare(self, other: Self) -> Ordering {
        (self.cost * other.share).cmp(&(other.cost * self.share))
    }
}

/// How long a peer takes to answer.
#[derive(Debug, Default)]
pub struct Times {
    /// Moving average; none before the first answer.
    average: Option<Duration>,
    /// Requests that have no answer yet, and the sum of when they began.
    waiting: u32,
    began_sum: Duration,
}

/// How much of the average an answer does not change: seven eighths.
const KEPT_PARTS: u32 = 7;

impl Times {
    /// Returns the average; zero before the first answer.
    pub fn average(&self) -> Duration {
        self.average.unwrap_or_default()
    }

    /// Counts a request in.
    pub fn begin(&mut self, now: Duration) {
        self.waiting += 1;
        self.began_sum += now;
    }

    /// Counts a request that began then out, whether or not it was answered.
    pub fn end(&mut self, began: Duration) {
        self.waiting = self.waiting.saturating_sub(1);
        self.began_sum = self.began_sum.saturating_sub(began);
    }

    /// Takes in the time of an answer.
    pub fn took(&mut self, time: Duration) {
        let average = |kept: Duration| (kept * KEPT_PARTS + time) / (KEPT_PARTS + 1);
        self.average = Some(self.average.map_or(time, average));
    }

    /// Returns how long the requests without an answer have waited on average.
    fn waited(&self, now: Duration) -> Duration {
        (now * self.waiting).saturating_sub(self.began_sum).checked_div(self.waiting).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_average_moves_slowly() {
        let mut times = Times::default();
        assert_eq!(times.average(), Duration::ZERO);
        times.took(80 * MS);
        assert_eq!(times.average(), 80 * MS);
        times.took(Duration::ZERO);
        assert_eq!(times.average(), 70 * MS);
    }

    #[test]
    fn requests_without_an_answer_wait() {
        let mut times = Times::default();
        assert_eq!(times.waited(50 * MS), Duration::ZERO);
        times.begin(10 * MS);
        times.begin(30 * MS);
        assert_eq!(times.waited(50 * MS), 30 * MS);
        times.end(10 * MS);
        assert_eq!(times.waited(50 * MS), 20 * MS);
    }
}
