//! What to evict next, as a pure function of a cache's limits and its condition.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache::{Stats, Until};
use config::CachePath;

/// The longest time without a look: what happens meanwhile (a disk that others fill) gives no sign.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// The rest where a limit on size may be near.
const SHORT_REST: Duration = Duration::from_millis(500);

/// How a cache is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its sums.
    pub stats: Stats,
    /// The last use of its least recently used entry.
    pub oldest_use: Option<SystemTime>,
    /// Free bytes of its file system, where they matter.
    pub free_bytes: Option<u64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Evict that far.
    Evict(Until),
    /// Nothing, for this long.
    Rest(Duration),
}

/// Decides what to evict, or for how long nothing needs to be.
pub fn plan(conf: &CachePath, condition: &Condition, now: SystemTime) -> Plan {
    let Some(oldest_use) = condition.oldest_use else { return Plan::Rest(rest(conf, LONGEST_REST)) };
    let expires = oldest_use + conf.inactive;
    if expires <= now {
        return Plan::Evict(Until::UsedSince(used_since(now, conf.inactive)));
    }
    let taken = condition.stats.stored_bytes + condition.stats.reserved_bytes;
    if let Some(limit) = conf.max_size
        && taken > limit - limit / 128
    {
        return Plan::Evict(Until::Bytes(limit - limit / 64));
    }
    if condition.free_bytes.is_some_and(|free| free < conf.min_free) {
        // A helping at a time: how much room a file gives back is the file system's to say.
        return Plan::Evict(Until::AllGone);
    }
    Plan::Rest(rest(conf, expires.duration_since(now).unwrap_or_default()))
}

fn rest(conf: &CachePath, until_expiry: Duration) -> Duration {
    let longest = if conf.max_size.is_some() || conf.min_free > 0 { SHORT_REST } else { LONGEST_REST };
    until_expiry.min(longest)
}

/// The first second whose uses are recent enough.
fn used_since(now: SystemTime, inactive: Duration) -> u32 {
    let since = now.checked_sub(inactive).and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u32::try_from(since.as_secs() + 1).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn conf(max_size: Option<u64>, min_free: u64) -> CachePath {
        CachePath {
            name: "zone".to_owned(),
            keys_zone_size: 1 << 20,
            max_size,
            min_free,
            ..CachePath::at(PathBuf::from("/nowhere"))
        }
    }

    #[test]
    fn plans() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(10_000);
        let bytes = |stored_bytes, reserved_bytes| Stats { entries: 9, stored_bytes, reserved_bytes };
        let evict = Plan::Evict;
        let cases = [
            ("empty", None, 0, bytes(0, 0), None, None, Plan::Rest(LONGEST_REST)),
            ("all used lately", None, 0, bytes(1, 0), Some(9_999), None, Plan::Rest(LONGEST_REST)),
            (
                "one about to expire",
                None,
                0,
                bytes(1, 0),
                Some(9_404),
                None,
                Plan::Rest(Duration::from_secs(4)),
            ),
            ("one just expired", None, 0, bytes(1, 0), Some(9_400), None, evict(Until::UsedSince(9_401))),
            ("below max_size", Some(6400), 0, bytes(6000, 300), Some(9_999), None, Plan::Rest(SHORT_REST)),
            (
                "near max_size with fills",
                Some(6400),
                0,
                bytes(6000, 351),
                Some(9_999),
                None,
                evict(Until::Bytes(6300)),
            ),
            ("enough free", None, 50, bytes(1, 0), Some(9_999), Some(50), Plan::Rest(SHORT_REST)),
            ("under min_free", None, 50, bytes(1, 0), Some(9_999), Some(49), evict(Until::AllGone)),
            (
                "under min_free, nothing to evict",
                None,
                50,
                bytes(0, 0),
                None,
                Some(49),
                Plan::Rest(SHORT_REST),
            ),
            (
                "expired goes first",
                Some(6400),
                0,
                bytes(7000, 0),
                Some(1),
                None,
                evict(Until::UsedSince(9_401)),
            ),
        ];
        for (name, max_size, min_free, stats, oldest, free_bytes, wanted) in cases {
            let condition = Condition { stats, oldest_use: oldest.map(at), free_bytes };
            assert_eq!(plan(&conf(max_size, min_free), &condition, now), wanted, "{name}");
        }
    }
}
