//! Whether a stored response may be served (RFC 9111, 4.2 and 4.2.4; RFC 5861).

use std::time::{Duration, SystemTime};

use crate::format::Meta;
use crate::policy::{Restraint, Reuse};

/// Judges an entry by its times: fresh while its lifetime is greater than its age, and stale to the end of its windows.
pub fn reuse(meta: &Meta, now: SystemTime) -> Reuse {
    let is_fresh = now < meta.valid_until;
    match meta.restraint {
        Restraint::AlwaysValidated => return Reuse::AfterValidation,
        Restraint::Free | Restraint::NeverStale if is_fresh => return Reuse::Fresh,
        Restraint::NeverStale => return Reuse::AfterValidation,
        Restraint::Free => {}
    }
    let within = |window: Duration| meta.valid_until.checked_add(window).is_none_or(|end| now < end);
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
    fn entries_are_fresh_and_stale_exactly_so_long() {
        let at = |millis: u64| UNIX_EPOCH + Duration::from_millis(millis);
        let stale = |while_updating, on_error| Reuse::Stale { while_updating, on_error };
        let cases = [
            (Restraint::Free, 99_999, Reuse::Fresh),
            (Restraint::Free, 100_000, stale(true, true)),
            (Restraint::Free, 109_999, stale(true, true)),
            (Restraint::Free, 110_000, stale(false, true)),
            (Restraint::Free, 119_999, stale(false, true)),
            (Restraint::Free, 120_000, stale(false, false)),
            (Restraint::NeverStale, 99_999, Reuse::Fresh),
            (Restraint::NeverStale, 100_000, Reuse::AfterValidation),
            (Restraint::AlwaysValidated, 99_999, Reuse::AfterValidation),
            (Restraint::AlwaysValidated, 100_000, Reuse::AfterValidation),
        ];
        for (restraint, now, wanted) in cases {
            let meta = Meta {
                valid_until: at(100_000),
                stale_while_revalidate: Duration::from_secs(10),
                stale_if_error: Duration::from_secs(20),
                restraint,
                ..Meta::default()
            };
            assert_eq!(reuse(&meta, at(now)), wanted, "{restraint:?} at {now} ms");
        }
    }
}
