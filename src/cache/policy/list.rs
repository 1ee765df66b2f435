//! The directives of `Cache-Control`, in answers and in requests: lists of names, some with an argument (RFC 9111, 5.2).

use std::time::Duration;

/// The argument of a directive that takes seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// So many.
    Seconds(u32),
    /// None, or something else than digits.
    Invalid,
}

/// What stands for any larger number (RFC 9111, 1.2.2).
pub const DELTA_MOST: u32 = 1 << 31;

impl Delta {
    /// Reads digits and nothing else.
    pub fn parse(text: &[u8]) -> Self {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Self::Invalid;
        }
        let add = |sum: u32, digit: &u8| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
        Self::Seconds(text.iter().fold(0, add).min(DELTA_MOST))
    }

    /// The time it stands for; what is not valid is no time at all.
    pub fn span(self) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Invalid => Duration::ZERO,
        }
    }
}

/// What follows a directive's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// `=` and a token.
    Token(&'a [u8]),
    /// `=` and a quoted string: what stands between the quotes.
    Quoted(&'a [u8]),
    /// Nothing.
    Absent,
    /// Something else.
    Malformed,
}

impl Argument<'_> {
    /// Seconds. RFC 9111, 5.2: both forms are taken, though only one is to be sent.
    pub fn delta(self) -> Delta {
        match self {
            Self::Token(text) | Self::Quoted(text) => Delta::parse(text),
            Self::Absent | Self::Malformed => Delta::Invalid,
        }
    }
}

/// Goes through the members of a list, apart at commas outside of quoted strings.
pub fn each_member(line: &[u8], mut note: impl FnMut(&[u8], Argument<'_>)) {
    let mut rest = line;
    let mut is_torn = false;
    while !rest.is_empty() {
        let (end, is_closed) = member_end(rest);
        let member = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or_default();
        is_torn |= !is_closed;
        let name_end = member.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(member.len());
        let (name, after) = member.split_at(name_end);
        if !name.is_empty() {
            let argument = argument(after);
            note(name, if is_torn && argument != Argument::Absent { Argument::Malformed } else { argument });
        }
    }
}

/// Where the first member ends, and whether all its quotes are closed. One that is not may have swallowed what follows it or
/// not: the names there count, since most of them restrain, and their arguments do not.
fn member_end(list: &[u8]) -> (usize, bool) {
    let mut at = 0;
    let mut is_closed = true;
    while let Some(byte) = list.get(at) {
        match byte {
            b',' => return (at, is_closed),
            b'"' => match quoted_len(&list[at..]) {
                Some(len) => at += len,
                None => {
                    is_closed = false;
                    at += 1;
                }
            },
            _ => at += 1,
        }
    }
    (list.len(), is_closed)
}

/// The length of the quoted string at the start, its quotes included.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn argument(after: &[u8]) -> Argument<'_> {
    let Some((b'=', value)) = after.split_first() else {
        return if after.is_empty() { Argument::Absent } else { Argument::Malformed };
    };
    match value.first() {
        Some(b'"') if quoted_len(value) == Some(value.len()) => Argument::Quoted(&value[1..value.len() - 1]),
        Some(_) if value.iter().all(|byte| is_token_byte(*byte)) => Argument::Token(value),
        Some(_) | None => Argument::Malformed,
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_digits() {
        let cases = [
            ("0", Delta::Seconds(0)),
            ("60", Delta::Seconds(60)),
            ("0000060", Delta::Seconds(60)),
            ("2147483647", Delta::Seconds(2_147_483_647)),
            ("2147483648", Delta::Seconds(DELTA_MOST)),
            ("2147483649", Delta::Seconds(DELTA_MOST)),
            ("4294967296", Delta::Seconds(DELTA_MOST)),
            ("18446744073709551617", Delta::Seconds(DELTA_MOST)),
            ("99999999999999999999999999999999", Delta::Seconds(DELTA_MOST)),
            ("", Delta::Invalid),
            ("-1", Delta::Invalid),
            ("+1", Delta::Invalid),
            ("1.0", Delta::Invalid),
            ("0x10", Delta::Invalid),
            ("60s", Delta::Invalid),
            ("a60", Delta::Invalid),
            ("1 ", Delta::Invalid),
            ("1e3", Delta::Invalid),
            ("'60'", Delta::Invalid),
        ];
        for (text, wanted) in cases {
            assert_eq!(Delta::parse(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn behind_a_quote_that_is_never_closed_only_names_count() {
        let cases: [(&str, &[(&str, Argument<'_>)]); 4] = [
            (
                "max-age=60, foo=\"a, no-store, max-age=70",
                &[
                    ("max-age", Argument::Token(b"60")),
                    ("foo", Argument::Malformed),
                    ("no-store", Argument::Absent),
                    ("max-age", Argument::Malformed),
                ],
            ),
            (
                "foo=\"a\", max-age=\"70\"",
                &[("foo", Argument::Quoted(b"a")), ("max-age", Argument::Quoted(b"70"))],
            ),
            (
                "foo=\"a, max-age=60\", private",
                &[("foo", Argument::Quoted(b"a, max-age=60")), ("private", Argument::Absent)],
            ),
            (
                "private=\"a\\\", no-store",
                &[("private", Argument::Malformed), ("no-store", Argument::Absent)],
            ),
        ];
        for (line, wanted) in cases {
            let mut seen = Vec::new();
            each_member(line.as_bytes(), |name, argument| {
                seen.push((String::from_utf8_lossy(name).into_owned(), format!("{argument:?}")));
            });
            let wanted: Vec<_> =
                wanted.iter().map(|(name, argument)| ((*name).to_owned(), format!("{argument:?}"))).collect();
            assert_eq!(seen, wanted, "{line}");
        }
    }
}
