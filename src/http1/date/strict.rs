//! Dates as RFC 9110, 5.6.7, has them: its three forms and nothing else, names in any case.

use super::{Cursor, DAY_SECONDS, MONTHS, civil_from_days, time};

const DAY_NAMES: [&[u8]; 7] =
    [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];

/// Reads a time in any of the three forms of RFC 9110, exactly as the grammar has them. Two digits of a year are read as of `now`.
pub fn parse_strictly(text: &[u8], now: i64) -> Option<i64> {
    let mut rest = Cursor { rest: text };
    let name = rest.letters();
    let seconds = if is_one_of_days(name, |day| &day[..3]) {
        match rest.byte()? {
            b',' => fixed(&mut rest)?,
            b' ' => asctime(&mut rest)?,
            _ => return None,
        }
    } else if is_one_of_days(name, |day| day) {
        rest.expect(b',')?;
        rfc850(&mut rest, now)?
    } else {
        return None;
    };
    rest.rest.is_empty().then_some(seconds)
}

/// ` 06 Nov 1994 08:49:37 GMT`
fn fixed(rest: &mut Cursor<'_>) -> Option<i64> {
    rest.expect(b' ')?;
    let day = rest.digits(2)?;
    rest.expect(b' ')?;
    let month = rest.month_in_any_case()?;
    rest.expect(b' ')?;
    let year = rest.digits(4)?;
    rest.expect(b' ')?;
    let second = rest.time_with_leap_second()?;
    rest.greenwich()?;
    checked(year, month, day, second)
}

/// ` 06-Nov-94 08:49:37 GMT`
fn rfc850(rest: &mut Cursor<'_>, now: i64) -> Option<i64> {
    rest.expect(b' ')?;
    let day = rest.digits(2)?;
    rest.expect(b'-')?;
    let month = rest.month_in_any_case()?;
    rest.expect(b'-')?;
    let digits = rest.digits(2)?;
    rest.expect(b' ')?;
    let second = rest.time_with_leap_second()?;
    rest.greenwich()?;
    // RFC 9110, 5.6.7: what seems to lie more than 50 years ahead is the most recent such year that is past.
    let (this_year, ..) = civil_from_days(now.div_euclid(DAY_SECONDS));
    let latest = this_year + 50;
    let year = latest - (latest - digits).rem_euclid(100);
    let seconds = checked(year, month, day, second);
    match seconds {
        Some(seconds) if seconds <= fifty_years_after(now) => Some(seconds),
        _ => checked(year - 100, month, day, second).filter(|_| year == latest).or(seconds),
    }
}

/// `Nov  6 08:49:37 1994`
fn asctime(rest: &mut Cursor<'_>) -> Option<i64> {
    let month = rest.month_in_any_case()?;
    rest.expect(b' ')?;
    let day = match rest.rest.first()? {
        b' ' => {
            rest.byte()?;
            rest.digits(1)?
        }
        _ => rest.digits(2)?,
    };
    rest.expect(b' ')?;
    let second = rest.time_with_leap_second()?;
    rest.expect(b' ')?;
    checked(rest.digits(4)?, month, day, second)
}

fn is_one_of_days(name: &[u8], spelling: fn(&'static [u8]) -> &'static [u8]) -> bool {
    DAY_NAMES.iter().any(|day| spelling(day).eq_ignore_ascii_case(name))
}

/// A day that the month has; there is no day zero.
fn checked(year: i64, month: i64, day: i64, second: i64) -> Option<i64> {
    if day == 0 { None } else { time(year, month, day, second) }
}

/// The same day of the year fifty years on; in February, the last one that there is.
fn fifty_years_after(now: i64) -> i64 {
    let (year, month, day) = civil_from_days(now.div_euclid(DAY_SECONDS));
    let second = now.rem_euclid(DAY_SECONDS);
    time(year + 50, month, day, second)
        .or_else(|| time(year + 50, month, day - 1, second))
        .unwrap_or(i64::MAX)
}

impl<'a> Cursor<'a> {
    fn letters(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (letters, rest) = self.rest.split_at(end);
        self.rest = rest;
        letters
    }

    fn month_in_any_case(&mut self) -> Option<i64> {
        let name = self.letters();
        let found = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
        i64::try_from(found).ok().map(|index| index + 1)
    }

    /// A time of day, in which a second may be the 61st.
    fn time_with_leap_second(&mut self) -> Option<i64> {
        let is_leap = self.rest.get(6..8) == Some(b"60");
        if !is_leap {
            return self.time_of_day();
        }
        let mut minute = Cursor { rest: self.rest.get(..6)? };
        self.rest = &self.rest[8..];
        let hour = minute.digits(2)?;
        minute.expect(b':')?;
        let minutes = minute.digits(2)?;
        minute.expect(b':')?;
        (hour <= 23 && minutes <= 59).then_some((hour * 60 + minutes) * 60 + 60)
    }

    fn greenwich(&mut self) -> Option<()> {
        self.expect(b' ')?;
        self.letters().eq_ignore_ascii_case(b"GMT").then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sat, 21 Nov 2026 15:00:00 GMT
    const NOW: i64 = 1_795_273_200;

    #[test]
    fn the_three_forms_and_nothing_else() {
        const WHEN: Option<i64> = Some(784_111_777);
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", WHEN),
            ("Sunday, 06-Nov-94 08:49:37 GMT", WHEN),
            ("Sun Nov  6 08:49:37 1994", WHEN),
            ("Sun Nov 06 08:49:37 1994", WHEN),
            ("sUN, 06 nOV 1994 08:49:37 gmt", WHEN),
            ("SUNDAY, 06-NOV-94 08:49:37 gmt", WHEN),
            ("sun nov  6 08:49:37 1994", WHEN),
            ("Mon, 06 Nov 1994 08:49:37 GMT", WHEN),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Thu, 18 Aug 2050 02:01:18 GMT", Some(2_544_400_878)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Mon, 01 Jan 1900 00:00:00 GMT", Some(-2_208_988_800)),
            ("", None),
            ("0", None),
            ("-1", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37 AEST", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT+1", None),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("Sun, 06 Nov 1994  08:49:37 GMT", None),
            ("Sun,  06 Nov 1994 08:49:37 GMT", None),
            ("Sun,06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun, 06-Nov-94 08:49:37 GMT", None),
            ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-1994 08:49:37 GMT", None),
            ("Sunday Nov  6 08:49:37 1994", None),
            ("Sun Nov 6 08:49:37 1994", None),
            ("Sun Nov  6 08:49:37 1994 GMT", None),
            ("06 Nov 1994 08:49:37 GMT", None),
            ("Xyz, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 November 1994 08:49:37 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 31 Nov 1994 08:49:37 GMT", None),
            ("Tue, 29 Feb 2023 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:60:00 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT ", None),
            ("\"Sun, 06 Nov 1994 08:49:37 GMT\"", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_strictly(text.as_bytes(), NOW), wanted, "{text}");
        }
    }

    #[test]
    fn two_digits_of_a_year_lie_at_most_fifty_years_ahead() {
        // Seen from November 2026.
        let cases = [
            ("Friday, 01-Jan-27 00:00:00 GMT", "Fri, 01 Jan 2027 00:00:00 GMT"),
            ("Wednesday, 01-Jan-75 00:00:00 GMT", "Tue, 01 Jan 2075 00:00:00 GMT"),
            ("Wednesday, 01-Jan-76 00:00:00 GMT", "Wed, 01 Jan 2076 00:00:00 GMT"),
            ("Saturday, 21-Nov-76 15:00:00 GMT", "Sat, 21 Nov 2076 15:00:00 GMT"),
            ("Sunday, 21-Nov-76 15:00:01 GMT", "Sun, 21 Nov 1976 15:00:01 GMT"),
            ("Saturday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT"),
            ("Saturday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
            ("Friday, 31-Dec-99 00:00:00 GMT", "Fri, 31 Dec 1999 00:00:00 GMT"),
        ];
        for (text, wanted) in cases {
            let read = parse_strictly(text.as_bytes(), NOW).map(super::super::format);
            assert_eq!(read.as_deref(), Some(wanted), "{text}");
        }
    }
}
