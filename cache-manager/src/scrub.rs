//! The scrub (`scrub=SIZE`): stored files are looked through for damage, so many bytes a second, from the first to the last.
//!
//! A pass begins when the manager does, and an hour after the last one has ended. What does not fit is removed, which the
//! log tells; so does each pass when it is over.

use std::time::{Duration, Instant};

use cache::{Scrubbed, Scrubber, Zone};

/// From one helping to the next.
const REST: Duration = Duration::from_millis(250);
/// From the end of a pass to the next one.
const AGAIN: Duration = Duration::from_secs(3600);
/// What was not read for so long is not caught up with.
const MOST: Duration = Duration::from_secs(1);

/// The walks over one cache.
#[derive(Default)]
pub(crate) struct Scrub {
    scrubber: Scrubber,
    pass: Scrubbed,
    begun: Option<Instant>,
    last: Option<Instant>,
}

impl Scrub {
    /// Reads on where the pace allows it, and says for how long there is nothing to do; nothing where no scrub is wanted.
    pub(crate) fn look(&mut self, zone: &Zone, now: Instant) -> Option<Duration> {
        let rate = zone.conf().scrub?;
        let since = self.last.map(|last| now.saturating_duration_since(last));
        let wait = if self.begun.is_none() && self.last.is_some() { AGAIN } else { REST };
        if let Some(left) = since.and_then(|since| wait.checked_sub(since)).filter(|left| !left.is_zero()) {
            return Some(left);
        }
        self.last = Some(now);
        let begun = *self.begun.get_or_insert(now);
        match self.scrubber.step(zone, allowance(rate, since.unwrap_or(REST))) {
            Ok(done) => {
                self.pass.files += done.files;
                self.pass.bytes += done.bytes;
                self.pass.removed += done.removed;
                if done.is_over {
                    self.end(zone, now.saturating_duration_since(begun));
                    return Some(AGAIN);
                }
                Some(REST)
            }
            Err(error) => {
                tracing::error!("cache \"{}\": scrub: {error}", zone.conf().name);
                Some(AGAIN)
            }
        }
    }

    fn end(&mut self, zone: &Zone, took: Duration) {
        let Scrubbed { files, bytes, removed, .. } = std::mem::take(&mut self.pass);
        self.begun = None;
        let (name, took) = (&zone.conf().name, took.as_millis());
        tracing::info!(
            "cache \"{name}\": scrubbed {files} files, {bytes} bytes, removed {removed} in {took} ms"
        );
    }
}

/// Bytes that may be read after so long.
fn allowance(rate: u64, since: Duration) -> u64 {
    let bytes = u128::from(rate) * since.min(MOST).as_millis() / 1000;
    u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_the_rate_allows() {
        let cases =
            [(1 << 20, 250, 1 << 18), (1 << 20, 60_000, 1 << 20), (1, 250, 1), (u64::MAX, 500, u64::MAX / 2)];
        for (rate, millis, wanted) in cases {
            assert_eq!(allowance(rate, Duration::from_millis(millis)), wanted, "{rate} after {millis} ms");
        }
    }
}
