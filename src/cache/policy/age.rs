//! How old a stored response is (RFC 9111, 4.2.3).
//!
//! The age at receipt is what the response says of itself: its `Age`, or the time since its `Date` where that is more. From then on
//! the clock counts.

use std::time::{Duration, SystemTime};

use http1::Fields;

use crate::format::seconds;

/// The age of a response when it was received.
pub fn initial(head: &Fields, received: SystemTime) -> Duration {
    let apparent =
        head.get("date").and_then(http1::date::parse).map(|date| seconds(received).saturating_sub(date));
    let apparent = apparent.and_then(|age| u64::try_from(age).ok()).unwrap_or(0);
    Duration::from_secs(stated(head).unwrap_or(0).max(apparent))
}

/// The age now of a response that had `initial` when it was received.
pub fn current(initial: Duration, received: SystemTime, now: SystemTime) -> Duration {
    initial.saturating_add(now.duration_since(received).unwrap_or_default())
}

/// What `Age` says: the first member of the first line, where it is a number; more than 2^31 counts as that.
fn stated(head: &Fields) -> Option<u64> {
    const MOST: u64 = 1 << 31;
    let first = head.get("age")?.split(|byte| *byte == b',').next()?.trim_ascii();
    if first.is_empty() || !first.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(first.iter().fold(0, add).min(MOST))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_age_at_receipt_is_the_larger_of_what_age_and_date_say() {
        let received = UNIX_EPOCH + Duration::from_secs(784_111_777 + 10);
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 09:49:37 GMT");
        type Case<'a> = (&'a [(&'a str, &'a str)], u64);
        let cases: [Case<'_>; 13] = [
            (&[], 0),
            (&[("Date", date)], 10),
            (&[("Date", later)], 0),
            (&[("Date", "soon")], 0),
            (&[("Age", "7")], 7),
            (&[("age", "7"), ("DATE", date)], 10),
            (&[("Age", "70"), ("Date", date)], 70),
            (&[("Age", "7, 90")], 7),
            (&[("Age", "7"), ("Age", "90")], 7),
            (&[("Age", "-7"), ("Age", "90")], 0),
            (&[("Age", "7.5")], 0),
            (&[("Age", "")], 0),
            (&[("Age", "99999999999999999999999")], 1 << 31),
        ];
        for (lines, wanted) in cases {
            let head: Fields =
                lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            assert_eq!(initial(&head, received), Duration::from_secs(wanted), "{lines:?}");
        }
    }

    #[test]
    fn the_clock_counts_from_receipt() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let age = |received, now| current(Duration::from_secs(5), at(received), at(now)).as_secs();
        assert_eq!((age(100, 100), age(100, 130), age(100, 90)), (5, 35, 5));
    }
}
