//! Times as texts: seconds with milliseconds, and the local time as logs have it.

use std::{
    cell::RefCell,
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, ToSpan, Zoned, civil::Time, fmt::strtime, tz::TimeZone};

/// How a local time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `21/Nov/2026:09:28:04 +0000`.
    Log,
    /// `2026-11-21T09:28:04+00:00`.
    Iso8601,
}

/// Where a clock hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here.
    Here,
    /// In Greenwich.
    Greenwich,
}

/// How dates are written where a page does not say (`$date_local`, `$date_gmt`).
pub(crate) const DATE_FORMAT: &[u8] = b"%A, %d-%b-%Y %H:%M:%S %Z";

/// Texts of one second.
#[derive(Default)]
struct Texts {
    second: u64,
    log: String,
    iso8601: String,
}

/// Appends a time as nginx has it: seconds with three decimals.
pub(super) fn write_seconds(out: &mut Vec<u8>, time: Duration) {
    write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()).expect("memory takes all that is written");
}

/// Returns the time since 1970.
pub(super) fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Appends `now` in the local zone. The text is made once per second and thread.
pub(super) fn write_local(out: &mut Vec<u8>, now: SystemTime, form: Form) {
    thread_local! {
        static TEXTS: RefCell<Texts> = RefCell::default();
    }
    let second = since_epoch(now).as_secs();
    TEXTS.with_borrow_mut(|texts| {
        if texts.second != second {
            let zoned = local(now);
            *texts = Texts { second, log: text(&zoned, Form::Log), iso8601: text(&zoned, Form::Iso8601) };
        }
        let text = match form {
            Form::Log => &texts.log,
            Form::Iso8601 => &texts.iso8601,
        };
        out.extend_from_slice(text.as_bytes());
    });
}

/// Appends `now` as `strftime` would write it. As nginx: `%s` alone is the seconds since 1970.
pub(crate) fn write_formatted(out: &mut Vec<u8>, now: SystemTime, place: Place, format: &[u8]) {
    if format == b"%s" {
        let seconds = since_epoch(now).as_secs();
        return write!(out, "{seconds}").expect("memory takes all that is written");
    }
    let format = String::from_utf8_lossy(format);
    let (zoned, format) = match place {
        Place::Here => (local(now), format.into_owned()),
        Place::Greenwich => (local(now).with_time_zone(TimeZone::UTC), in_greenwich(&format)),
    };
    let lenient = strtime::Config::new().lenient(true);
    let written = strtime::BrokenDownTime::from(&zoned).to_string_with_config(&lenient, format.as_str());
    out.extend_from_slice(written.unwrap_or_default().as_bytes());
}

/// Puts the name that the zone has in dates into a format.
fn in_greenwich(format: &str) -> String {
    format.split("%%").map(|part| part.replace("%Z", "GMT")).collect::<Vec<_>>().join("%%")
}

/// Returns the next moment at which clocks here show this time of day.
pub(crate) fn next_time_of_day(time_of_day: Duration, now: SystemTime) -> SystemTime {
    next_in_zone(time_of_day, &local(now)).map_or(now, |zoned| SystemTime::from(zoned.timestamp()))
}

fn next_in_zone(time_of_day: Duration, now: &Zoned) -> Result<Zoned, jiff::Error> {
    let seconds = time_of_day.as_secs();
    let part = |number: u64| i8::try_from(number).unwrap_or(i8::MAX);
    // 24h is the next midnight.
    let (days, hour) = (seconds / 86_400, part(seconds / 3600 % 24));
    let time = Time::new(hour, part(seconds / 60 % 60), part(seconds % 60), 0)?;
    let on =
        |days: i64| now.date().checked_add(days.days())?.to_datetime(time).to_zoned(now.time_zone().clone());
    let days = i64::try_from(days).unwrap_or(0);
    let today = on(days)?;
    if today > *now { Ok(today) } else { on(days + 1) }
}

fn local(now: SystemTime) -> Zoned {
    let second = i64::try_from(since_epoch(now).as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::system())
}

fn text(zoned: &Zoned, form: Form) -> String {
    let format = match form {
        Form::Log => "%d/%b/%Y:%H:%M:%S %z",
        Form::Iso8601 => "%Y-%m-%dT%H:%M:%S%:z",
    };
    strtime::format(format, zoned).expect("the formats are right and a zoned time has all parts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(second: i64, zone: &str) -> Zoned {
        let zone = TimeZone::posix(zone).unwrap();
        Timestamp::from_second(second).unwrap().to_zoned(zone)
    }

    #[test]
    fn seconds_have_three_decimals() {
        for (millis, wanted) in [(0, "0.000"), (1, "0.001"), (1234, "1.234"), (60_000, "60.000")] {
            let mut out = Vec::new();
            write_seconds(&mut out, Duration::from_millis(millis));
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn local_times_name_their_zone() {
        for (zone, log, iso8601) in [
            ("UTC0", "09/Sep/2001:01:46:40 +0000", "2001-09-09T01:46:40+00:00"),
            ("XXX-5:30", "09/Sep/2001:07:16:40 +0530", "2001-09-09T07:16:40+05:30"),
            ("XXX8", "08/Sep/2001:17:46:40 -0800", "2001-09-08T17:46:40-08:00"),
        ] {
            let zoned = zoned(1_000_000_000, zone);
            assert_eq!(
                (text(&zoned, Form::Log), text(&zoned, Form::Iso8601)),
                (log.to_owned(), iso8601.to_owned())
            );
        }
    }

    #[test]
    fn dates_are_written_by_a_format() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (format, wanted) in [
            ("%A, %d-%b-%Y %H:%M:%S %Z", "Sunday, 09-Sep-2001 01:46:40 GMT"),
            ("%s", "1000000000"),
            ("%%Z %y%%", "%Z 01%"),
            ("text", "text"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            write_formatted(&mut out, now, Place::Greenwich, format.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "{format}");
        }
    }

    #[test]
    fn a_time_of_day_comes_today_or_tomorrow() {
        const HOUR: u64 = 3600;
        // 01:46:40 in UTC.
        let now = zoned(1_000_000_000, "UTC0");
        for (time_of_day, wanted) in [
            (12 * HOUR, "09/Sep/2001:12:00:00 +0000"),
            (HOUR, "10/Sep/2001:01:00:00 +0000"),
            (HOUR + 46 * 60 + 40, "10/Sep/2001:01:46:40 +0000"),
            (24 * HOUR, "10/Sep/2001:00:00:00 +0000"),
        ] {
            let next = next_in_zone(Duration::from_secs(time_of_day), &now).unwrap();
            assert_eq!(text(&next, Form::Log), wanted, "{time_of_day}");
        }
    }

    #[test]
    fn texts_follow_the_clock() {
        let at = |seconds| {
            let mut out = Vec::new();
            write_local(&mut out, UNIX_EPOCH + Duration::from_secs(seconds), Form::Log);
            out
        };
        assert_eq!(at(1_000_000_000), at(1_000_000_000));
        assert_ne!(at(1_000_000_000), at(1_000_000_001));
    }
}
