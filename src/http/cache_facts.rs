//! What the cache did for one answer and why: for `Cache-Status`, `Age` and the log.
//!
//! Plain facts, noted while a request is dealt with. They cost a few stores; texts are made of them only where the configuration asks for any.

use std::time::{Duration, SystemTime};

use cache::{
    Meta,
    policy::{Forward, age},
};
use http1::{Fields, ResponseHead};

/// What the cache did for one answer.
#[derive(Debug, Default, Clone)]
pub struct CacheFacts {
    /// Why an upstream was asked for it; nothing where none had to be.
    pub forward: Option<Forward>,
    /// Whether the upstream's answer goes into the cache, or renews what is there.
    pub stored: bool,
    /// Whether it is the answer to another's request, which this one has waited for.
    pub collapsed: bool,
    /// What the cache holds, where the answer is that or becomes that.
    pub held: Option<Held>,
    /// What else there is to say, in one word.
    pub detail: Option<&'static str>,
    /// The key, kept only where `proxy_cache_status` shows it.
    pub key: Option<Box<[u8]>>,
}

/// The times of a stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Since when it is held, or was validated last.
    pub since: SystemTime,
    /// Up to when it is fresh.
    pub valid_until: SystemTime,
    /// How old it was then, where that is known.
    pub initial_age: Option<Duration>,
}

impl Held {
    /// The times of an entry.
    pub fn of(meta: &Meta) -> Self {
        Self { since: meta.date, valid_until: meta.valid_until, initial_age: meta.initial_age }
    }

    /// How old the answer with these fields is.
    pub fn age(&self, fields: &Fields, now: SystemTime) -> Duration {
        let initial = self.initial_age.unwrap_or_else(|| age::initial(fields, self.since));
        age::current(initial, self.since, now)
    }

    /// For how many seconds more it is fresh; less than zero where it is not.
    pub fn ttl_s(&self, now: SystemTime) -> i64 {
        let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        match self.valid_until.duration_since(now) {
            Ok(left) => whole(left),
            Err(over) => -whole(over.duration()),
        }
    }
}

impl CacheFacts {
    /// How old the answer is, where it comes from the cache.
    pub fn age(&self, head: Option<&ResponseHead>, now: SystemTime) -> Option<Duration> {
        Some(self.held?.age(&head?.fields, now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn time_to_live_ends_below_zero() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let held = Held { since: at(0), valid_until: at(100), initial_age: None };
        assert_eq!([90, 100, 101, 160].map(|now| held.ttl_s(at(now))), [10, 0, -1, -60]);
    }
}
