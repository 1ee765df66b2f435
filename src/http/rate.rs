//! How fast bytes may go: nginx's arithmetic of `limit_rate` and `proxy_limit_rate`. Pure but for reading the settings.
//!
//! So many bytes a second, counted from a beginning, the second that has begun included; what was sent at once makes
//! for a pause behind it, so that bytes flow evenly within a second too.

use std::{num::NonZeroU64, time::Duration};

use config::{SizeValue, parse_size};

use super::{Exchange, fault::report};
use crate::error_log::Level;

/// A limit, and how many bytes are free of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    bytes_per_s: NonZeroU64,
    free: u64,
}

/// Whether bytes may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// At most so many, now.
    Go(u64),
    /// Not before this time has passed.
    Wait(Duration),
}

impl Rate {
    /// Makes a limit, unless it is 0, which is none.
    pub fn new(bytes_per_s: u64, free: u64) -> Option<Self> {
        NonZeroU64::new(bytes_per_s).map(|bytes_per_s| Self { bytes_per_s, free })
    }

    /// Says whether more may go, so long after the beginning, when so many bytes have gone.
    pub fn turn(self, elapsed: Duration, gone: u64) -> Turn {
        let rate = i128::from(self.bytes_per_s.get());
        let allowed = rate * (i128::from(elapsed.as_secs()) + 1) - (i128::from(gone) - i128::from(self.free));
        match u64::try_from(allowed) {
            Ok(0) | Err(_) if allowed <= 0 => Turn::Wait(self.millis(allowed.unsigned_abs()) + MILLISECOND),
            Ok(most) => Turn::Go(most),
            Err(_) => Turn::Go(u64::MAX),
        }
    }

    /// Returns the pause that belongs behind bytes: so many had gone before them, and so many with them.
    pub fn pause(self, before: u64, after: u64) -> Duration {
        let counted = |gone: u64| gone.saturating_sub(self.free);
        self.millis(u128::from(counted(after) - counted(before)))
    }

    /// Returns the time of so many bytes, to the millisecond.
    fn millis(self, bytes: u128) -> Duration {
        let millis = bytes * 1000 / u128::from(self.bytes_per_s.get());
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// Returns the limit towards the client, and notes it for `$limit_rate`.
pub fn to_client(exchange: &mut Exchange) -> Option<Rate> {
    let core = &exchange.location.core;
    let bytes_per_s = match (exchange.limit_rate, &*core.limit_rate) {
        (Some(set), _) => set,
        (None, SizeValue::Fixed(0)) => return None,
        (None, value) => size(exchange, value),
    };
    let free = size(exchange, &core.limit_rate_after);
    exchange.limit_rate = Some(bytes_per_s);
    Rate::new(bytes_per_s, free)
}

/// Returns the limit for reading from an upstream.
pub fn from_upstream(exchange: &Exchange) -> Option<Rate> {
    Rate::new(size(exchange, &exchange.location.proxy.limit_rate), 0)
}

fn size(exchange: &Exchange, value: &SizeValue) -> u64 {
    match value {
        SizeValue::Fixed(size) => *size,
        SizeValue::Variable(template) => {
            let text = template.expand(exchange);
            parse_size(&text).unwrap_or_else(|| {
                let text = String::from_utf8_lossy(&text);
                report(exchange, Level::Error, format_args!("invalid size \"{text}\""));
                0
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_brings_its_bytes() {
        let go = Turn::Go;
        let wait = |millis| Turn::Wait(Duration::from_millis(millis));
        let cases = [
            ("at first", 1000, 0, 0, 0, go(1000)),
            ("some are gone", 1000, 0, 0, 400, go(600)),
            ("all of the first second", 1000, 0, 0, 1000, wait(1)),
            ("within the second", 1000, 0, 999, 1000, wait(1)),
            ("the next second", 1000, 0, 1000, 1000, go(1000)),
            ("too many", 1000, 0, 0, 1500, wait(501)),
            ("far too many", 10, 0, 0, 1010, wait(100_001)),
            ("saved up", 1000, 0, 5500, 1000, go(5000)),
            ("some are free", 1000, 5000, 0, 0, go(6000)),
            ("the free ones are gone", 1000, 5000, 0, 5000, go(1000)),
            ("more than the free ones", 1000, 5000, 0, 6000, wait(1)),
            ("no end of it", u64::MAX, 0, 9000, 0, go(u64::MAX)),
        ];
        for (name, rate, free, elapsed_ms, gone, wanted) in cases {
            let rate = Rate::new(rate, free).expect("it is a limit");
            assert_eq!(rate.turn(Duration::from_millis(elapsed_ms), gone), wanted, "{name}");
        }
        assert_eq!(Rate::new(0, 10), None);
    }

    #[test]
    fn a_pause_is_as_long_as_what_went_before_it() {
        let cases = [
            ("nothing", 1000, 0, 0, 0, 0),
            ("half a second", 1000, 0, 0, 500, 500),
            ("later bytes", 1000, 0, 500, 600, 100),
            ("too few to tell", 10_000, 0, 0, 9, 0),
            ("free ones", 1000, 500, 0, 500, 0),
            ("partly free ones", 1000, 500, 400, 700, 200),
        ];
        for (name, rate, free, before, after, wanted_ms) in cases {
            let rate = Rate::new(rate, free).expect("it is a limit");
            assert_eq!(rate.pause(before, after), Duration::from_millis(wanted_ms), "{name}");
        }
    }
}
