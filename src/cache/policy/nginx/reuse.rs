//! Whether a stored response may be served, by its own times.

use std::time::{Duration, SystemTime};

use crate::format::{Meta, seconds};
use crate::policy::Reuse;

/// Judges an entry by its times. As nginx: whole seconds, and fresh up to and including the last one.
pub fn reuse(meta: &Meta, now: SystemTime) -> Reuse {
    let now = seconds(now);
    let valid_until = seconds(meta.valid_until);
    if valid_until >= now {
        return Reuse::Fresh;
    }
    let within = |window: Duration| valid_until.saturating_add_unsigned(window.as_secs()) >= now;
    Reuse::Stale {
        while_updating: within(meta.stale_while_revalidate),
        on_error: within(meta.stale_if_error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_entry_is_fresh_to_its_last_second_and_stale_within_its_windows() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 500);
        let meta = Meta {
            valid_until: at(100),
            stale_while_revalidate: Duration::from_secs(10),
            stale_if_error: Duration::from_secs(20),
            ..Meta::default()
        };
        let stale = |while_updating, on_error| Reuse::Stale { while_updating, on_error };
        let cases = [
            (99, Reuse::Fresh),
            (100, Reuse::Fresh),
            (101, stale(true, true)),
            (110, stale(true, true)),
            (111, stale(false, true)),
            (120, stale(false, true)),
            (121, stale(false, false)),
        ];
        for (now, wanted) in cases {
            assert_eq!(reuse(&meta, at(now)), wanted, "at {now}");
        }
    }
}
