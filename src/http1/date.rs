//! Dates in header fields: the three forms of RFC 9110, 5.6.7, read as nginx reads them or strictly, and the one written.
//!
//! Times are seconds since 1970 and may be negative. The weekday is not looked at when reading.

mod strict;

pub use self::strict::parse_strictly;
use crate::write::write_decimal;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const DAY_SECONDS: i64 = 86400;

/// Appends a time as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn write(out: &mut Vec<u8>, seconds: i64) {
    let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (year, month, day_of_month) = civil_from_days(day);
    out.extend_from_slice(WEEKDAYS[day.rem_euclid(7) as usize].as_bytes());
    out.extend_from_slice(b", ");
    write_two_digits(out, day_of_month);
    out.push(b' ');
    out.extend_from_slice(MONTHS[month as usize - 1].as_bytes());
    out.push(b' ');
    if (0..1000).contains(&year) {
        out.extend_from_slice(&b"000"[..3 - year.max(1).ilog10() as usize]);
    }
    write_decimal(out, year.unsigned_abs());
    for (separator, value) in [(b' ', second / 3600), (b':', second / 60 % 60), (b':', second % 60)] {
        out.push(separator);
        write_two_digits(out, value);
    }
    out.extend_from_slice(b" GMT");
}

/// A time as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn format(seconds: i64) -> String {
    let mut out = Vec::with_capacity(29);
    write(&mut out, seconds);
    String::from_utf8(out).expect("only ASCII was written")
}

fn write_two_digits(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}

/// Reads a time in any of the three forms:
/// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
pub fn parse(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|byte| matches!(byte, b',' | b' '))?;
    let mut rest = Cursor { rest: &text[end + 1..] };
    rest.skip_spaces();
    if text[end] == b' ' {
        return parse_asctime(rest);
    }
    let day = rest.digits(2)?;
    let separator = rest.byte()?;
    if !matches!(separator, b' ' | b'-') {
        return None;
    }
    let month = rest.month()?;
    rest.expect(separator)?;
    let year = if separator == b' ' {
        rest.digits(4)?
    } else {
        let year = rest.digits(2)?;
        // As nginx: two digits are 1970 to 2069.
        if year < 70 { 2000 + year } else { 1900 + year }
    };
    rest.expect(b' ')?;
    let second = rest.time_of_day()?;
    time(year, month, day, second)
}

fn parse_asctime(mut rest: Cursor<'_>) -> Option<i64> {
    let month = rest.month()?;
    rest.expect(b' ')?;
    rest.skip_one_space();
    let mut day = rest.digits(1)?;
    if rest.rest.first() != Some(&b' ') {
        day = day * 10 + rest.digits(1)?;
    }
    rest.expect(b' ')?;
    let second = rest.time_of_day()?;
    rest.expect(b' ')?;
    time(rest.digits(4)?, month, day, second)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.byte()? == wanted).then_some(())
    }

    fn skip_one_space(&mut self) {
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
    }

    fn skip_spaces(&mut self) {
        while self.rest.first() == Some(&b' ') {
            self.skip_one_space();
        }
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.byte().filter(u8::is_ascii_digit)?;
            value = value * 10 + i64::from(byte - b'0');
        }
        Some(value)
    }

    /// The month's number, from 1.
    fn month(&mut self) -> Option<i64> {
        let (name, rest) = self.rest.split_at_checked(3)?;
        self.rest = rest;
        MONTHS.iter().position(|month| month.as_bytes() == name).map(|index| index as i64 + 1)
    }

    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.expect(b':')?;
        let minute = self.digits(2)?;
        self.expect(b':')?;
        let second = self.digits(2)?;
        (hour <= 23 && minute <= 59 && second <= 59).then_some((hour * 60 + minute) * 60 + second)
    }
}

fn time(year: i64, month: i64, day: i64, second: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (day <= days_in_month).then(|| days_from_civil(year, month, day) * DAY_SECONDS + second)
}

/// Days since 1970 of a date in the Gregorian calendar, with years counted from March so that a leap day
/// is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date, as year, month and day, that lies so many days after the start of 1970.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + shifted.div_euclid(146_097) * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_both_ways() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Mon, 28 Sep 1970 06:00:00 GMT", 23_349_600),
            ("Thu, 31 Dec 2037 23:55:55 GMT", 2_145_916_555),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Sat, 01 Jan 0000 00:00:00 GMT", -62_167_219_200),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
            assert_eq!(format(seconds), text);
        }
    }

    #[test]
    fn all_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "Sun Nov 6 08:49:37 1994",
            "Xyz,06 Nov 1994 08:49:37",
            ",   06 Nov 1994 08:49:37 and more",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(format(parse(b"x, 01-Jan-69 00:00:00").unwrap()), "Tue, 01 Jan 2069 00:00:00 GMT");
        assert_eq!(format(parse(b"x, 01-Jan-70 00:00:00").unwrap()), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn no_dates() {
        for text in [
            "",
            "0",
            "now",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 06-Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994",
            "Sun Nov  6 08:49:37",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for day in -800_000..800_000 {
            let (year, month, day_of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, day_of_month), day);
        }
    }
}
