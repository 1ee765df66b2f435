//! Which entries' uses were recorded within the last seconds, so that a hit does not queue what the writer would drop.
//!
//! A fixed table of atomics, four places a row. Where more entries than that are hot at once in one row, some uses
//! are queued again: the writer then finds them too young.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::key::Digest;

/// A use is recorded only where the last one on record is this old.
pub(crate) const TOUCH_SECONDS: u32 = 10;

const ROWS: usize = 16_384;
const PLACES: usize = 4;

/// The times of recorded uses: half a mebibyte for each zone.
pub(crate) struct Recent {
    /// Part of a digest above, seconds since the epoch below.
    places: Box<[AtomicU64]>,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { places: (0..ROWS * PLACES).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether this use is to be recorded; if so, it counts as recorded from now on.
    pub(crate) fn is_due(&self, digest: &Digest, now: u32) -> bool {
        let row = usize::from(u16::from_le_bytes([digest[10], digest[11]])) % ROWS * PLACES;
        let row = &self.places[row..row + PLACES];
        let tag = u32::from_le_bytes([digest[12], digest[13], digest[14], digest[15]]);
        let mut oldest = (u32::MAX, &row[0]);
        for place in row {
            let bits = place.load(Ordering::Relaxed);
            let (known, since) = ((bits >> 32) as u32, bits as u32);
            if known == tag && since != 0 {
                let due = now.saturating_sub(since) >= TOUCH_SECONDS;
                if due {
                    place.store(entry(tag, now), Ordering::Relaxed);
                }
                return due;
            }
            if since < oldest.0 {
                oldest = (since, place);
            }
        }
        oldest.1.store(entry(tag, now), Ordering::Relaxed);
        true
    }
}

fn entry(tag: u32, now: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_due_once_in_ten_seconds() {
        let recent = Recent::new();
        let one = [7; 16];
        let mut two = one;
        two[15] = 8;
        let steps =
            [(one, 100, true), (one, 109, false), (two, 109, true), (one, 110, true), (two, 118, false)];
        for (digest, now, wanted) in steps {
            assert_eq!(recent.is_due(&digest, now), wanted, "at {now}");
        }
    }

    #[test]
    fn a_full_row_forgets_its_oldest() {
        let recent = Recent::new();
        let digest = |last| {
            let mut digest = [7; 16];
            digest[15] = last;
            digest
        };
        for last in 0..5 {
            assert!(recent.is_due(&digest(last), 100 + u32::from(last)));
        }
        assert!(!recent.is_due(&digest(4), 105) && !recent.is_due(&digest(1), 105));
        assert!(recent.is_due(&digest(0), 105));
    }
}
