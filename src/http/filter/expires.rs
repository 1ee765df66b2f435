//! `expires`: the fields Expires and Cache-Control by rules and the clock.
//!
//! Pure but for the time zone, which a time of day needs.

use std::time::{Duration, SystemTime};

use config::{Expires, Sign};
use http1::date;

use super::conditional::seconds;
use crate::http::variables::time;

/// What the fields say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Expires.
    pub expires: String,
    /// Cache-Control.
    pub cache_control: String,
}

impl Lifetime {
    fn new(expires: impl Into<String>, cache_control: impl Into<String>) -> Self {
        Self { expires: expires.into(), cache_control: cache_control.into() }
    }
}

/// Works out how long an answer may be kept; nothing where the rule is off.
///
/// `modified` is the time of the last change of what is answered.
pub(super) fn lifetime(rule: &Expires, modified: Option<SystemTime>, now: SystemTime) -> Option<Lifetime> {
    let now_s = seconds(now);
    let (at, age) = match rule {
        Expires::Off | Expires::Variable(_) => return None,
        Expires::Epoch => return Some(Lifetime::new("Thu, 01 Jan 1970 00:00:01 GMT", "no-cache")),
        Expires::Max => return Some(Lifetime::new("Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000")),
        Expires::After(_, Duration::ZERO) | Expires::Modified(_, Duration::ZERO) => (now_s, 0),
        Expires::After(sign, time) => (now_s.saturating_add(offset(*sign, *time)), offset(*sign, *time)),
        Expires::Modified(sign, time) => {
            let at = modified.map_or(now_s, seconds).saturating_add(offset(*sign, *time));
            // As nginx: back in time from a change is never fresh, whatever comes out.
            (at, if *sign == Sign::Minus { -1 } else { at - now_s })
        }
        Expires::Daily(time_of_day) => {
            let at = seconds(time::next_time_of_day(*time_of_day, now));
            (at, at - now_s)
        }
    };
    let cache_control = if age < 0 { "no-cache".to_owned() } else { format!("max-age={age}") };
    Some(Lifetime::new(in_range(at), cache_control))
}

fn offset(sign: Sign, time: Duration) -> i64 {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match sign {
        Sign::Plus => seconds,
        Sign::Minus => -seconds,
    }
}

/// Formats a time as header fields have it; what lies before 1970 or after 9999 is moved to there.
fn in_range(at: i64) -> String {
    const YEAR_9999_END: i64 = 253_402_300_799;
    date::format(at.clamp(0, YEAR_9999_END))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn rules_become_fields() {
        let hour = Duration::from_secs(3600);
        let now = at(1_000_000_000);
        let changed = Some(at(1_000_000_000 - 1800));
        let old = Some(at(1_000_000_000 - 7200));
        let table = [
            ("off", Expires::Off, changed, None),
            ("epoch", Expires::Epoch, None, Some(("Thu, 01 Jan 1970 00:00:01 GMT", "no-cache"))),
            ("max", Expires::Max, None, Some(("Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000"))),
            (
                "1h",
                Expires::After(Sign::Plus, hour),
                old,
                Some(("Sun, 09 Sep 2001 02:46:40 GMT", "max-age=3600")),
            ),
            (
                "-1h",
                Expires::After(Sign::Minus, hour),
                None,
                Some(("Sun, 09 Sep 2001 00:46:40 GMT", "no-cache")),
            ),
            (
                "0",
                Expires::After(Sign::Plus, Duration::ZERO),
                None,
                Some(("Sun, 09 Sep 2001 01:46:40 GMT", "max-age=0")),
            ),
            (
                "modified +1h",
                Expires::Modified(Sign::Plus, hour),
                changed,
                Some(("Sun, 09 Sep 2001 02:16:40 GMT", "max-age=1800")),
            ),
            (
                "modified +1h, long ago",
                Expires::Modified(Sign::Plus, hour),
                old,
                Some(("Sun, 09 Sep 2001 00:46:40 GMT", "no-cache")),
            ),
            (
                "modified +1h, unknown",
                Expires::Modified(Sign::Plus, hour),
                None,
                Some(("Sun, 09 Sep 2001 02:46:40 GMT", "max-age=3600")),
            ),
            (
                "modified -1h",
                Expires::Modified(Sign::Minus, hour),
                changed,
                Some(("Sun, 09 Sep 2001 00:16:40 GMT", "no-cache")),
            ),
        ];
        for (name, rule, modified, wanted) in table {
            let wanted = wanted.map(|(expires, cache_control)| Lifetime::new(expires, cache_control));
            assert_eq!(lifetime(&rule, modified, now), wanted, "{name}");
        }
    }

    #[test]
    fn a_time_of_day_is_within_a_day() {
        let now = at(1_000_000_000);
        let lifetime = lifetime(&Expires::Daily(Duration::from_secs(12 * 3600)), None, now).unwrap();
        let age: i64 = lifetime.cache_control.strip_prefix("max-age=").unwrap().parse().unwrap();
        assert!((1..=25 * 3600).contains(&age), "{age}");
        assert_eq!(lifetime.expires, date::format(1_000_000_000 + age));
    }

    #[test]
    fn times_out_of_range_are_moved_into_it() {
        let forever = Expires::After(Sign::Plus, Duration::from_secs(u64::MAX));
        assert_eq!(lifetime(&forever, None, at(1)).unwrap().expires, "Fri, 31 Dec 9999 23:59:59 GMT");
        let never = Expires::After(Sign::Minus, Duration::from_secs(u64::MAX));
        assert_eq!(lifetime(&never, None, at(1)).unwrap().expires, "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
