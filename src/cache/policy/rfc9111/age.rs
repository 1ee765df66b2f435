//! How old an answer is when it comes (RFC 9111, 4.2.3 and 5.1).

use std::time::Duration;

use http1::Fields;

use super::only_date;
use crate::policy::list::Delta;
use crate::policy::rules::{Answered, Asked};

/// Returns how old an answer was when its head was there: what caches before this one say, and the way it took.
pub(super) fn initial_age(asked: &Asked<'_>, answered: &Answered<'_>) -> Duration {
    let delay = answered.at.duration_since(asked.at).unwrap_or_default();
    let corrected = received(answered.fields).map_or(Duration::ZERO, |age| age.saturating_add(delay));
    let date = only_date(answered.fields, "date", answered.at);
    // Dates have whole seconds: the fraction of the one that it was made in says nothing about its age.
    let apparent = date.and_then(|date| answered.at.duration_since(date).ok()).unwrap_or_default();
    let apparent = Duration::from_secs(apparent.as_secs());
    corrected.max(apparent)
}

/// The Age of an answer: the first member of the first line, where that is a number.
fn received(fields: &Fields) -> Option<Duration> {
    let line = fields.get("age")?;
    let first = line.split(|byte| *byte == b',').next().unwrap_or_default();
    match Delta::parse(first.trim_ascii()) {
        delta @ Delta::Seconds(_) => Some(delta.span()),
        Delta::Invalid => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use http1::Method;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn ages_that_are_received() {
        let cases: [(&str, &[&str], Option<u64>); 14] = [
            ("none", &[], None),
            ("a number", &["30"], Some(30)),
            ("zero", &["0"], Some(0)),
            ("leading zeros", &["0030"], Some(30)),
            ("the first of a list", &["30, 60"], Some(30)),
            ("the first of a list, with space", &["30 ,60"], Some(30)),
            ("the first line", &["30", "60"], Some(30)),
            ("a first line that is none", &["a", "60"], None),
            ("a first member that is none", &["a, 60"], None),
            ("negative", &["-30"], None),
            ("a fraction", &["30.5"], None),
            ("a parameter", &["30;a"], None),
            ("saturates", &["99999999999"], Some(1 << 31)),
            ("empty", &[""], None),
        ];
        for (name, lines, wanted) in cases {
            let mut fields = Fields::new();
            lines.iter().for_each(|line| fields.push(b"Age", line.as_bytes()));
            assert_eq!(received(&fields), wanted.map(Duration::from_secs), "{name}");
        }
    }

    #[test]
    fn ages_are_corrected_for_the_way() {
        // Sat, 10 Jan 1970 00:00:00 GMT
        const DATE: u64 = 777_600;
        let date = "Sat, 10 Jan 1970 00:00:00 GMT";
        let cases = [
            ("nothing known", "", "", (0, 3), 0),
            ("the way of an aged answer", "30", "", (0, 3), 33),
            ("made on the way", "", date, (DATE - 2, DATE + 1), 1),
            ("older than it says", "5", date, (DATE + 100, DATE + 101), 101),
            ("older than its date", "200", date, (DATE + 100, DATE + 101), 201),
            ("a date to come", "", date, (DATE - 100, DATE - 90), 0),
            ("no date", "5", "yesterday", (DATE, DATE), 5),
        ];
        for (name, age, date, (asked_at, answered_at), wanted) in cases {
            let mut fields = Fields::new();
            for (field, value) in [("Age", age), ("Date", date)] {
                if !value.is_empty() {
                    fields.push(field.as_bytes(), value.as_bytes());
                }
            }
            let asked = Asked { method: Method::Get, fields: &Fields::new(), at: at(asked_at) };
            let answered = Answered { status: 200, fields: &fields, at: at(answered_at) };
            assert_eq!(initial_age(&asked, &answered), Duration::from_secs(wanted), "{name}");
        }
    }
}
