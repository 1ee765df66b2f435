//! Values as nginx reads them: flags, sizes, times, numbers, words of a set, text with variables.
//!
//! The parsers take bytes and know no directive; the [`Reader`]s put nginx's words around what goes wrong.

use std::{path::PathBuf, time::Duration};

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{Arity, Reader},
    source::Problem,
    suggest::did_you_mean,
    template::Template,
};

/// `on` or `off`.
pub const FLAG: Reader<bool> = Reader::one("on | off", flag);
/// Bytes: `10`, `10k`, `10m`.
pub const SIZE: Reader<u64> = Reader::one("size", |directive, _| size(directive, 0));
/// Bytes that may also be given in `g`.
pub const OFFSET: Reader<u64> = Reader::one("size", |directive, _| offset(directive, 0));
/// Bytes of a buffer or file that may be left out.
pub const OPTIONAL_SIZE: Reader<Option<u64>> =
    Reader::one("size", |directive, _| size(directive, 0).map(Some));
/// A time to the millisecond.
pub const TIME: Reader<Duration> = Reader::one("time", |directive, _| time(directive, 0));
/// A time that may be left out.
pub const OPTIONAL_TIME: Reader<Option<Duration>> =
    Reader::one("time", |directive, _| time(directive, 0).map(Some));
/// A time in whole seconds.
pub const SECONDS: Reader<Duration> = Reader::one("time", |directive, _| seconds(directive, 0));
/// A number.
pub const NUMBER: Reader<u64> = Reader::one("number", |directive, _| number(directive, 0));
/// A number that may be left out.
pub const OPTIONAL_NUMBER: Reader<Option<u64>> =
    Reader::one("number", |directive, _| number(directive, 0).map(Some));
/// Text with variables.
pub const TEXT: Reader<Template> = Reader::one("string", |directive, scope| scope.template(directive, 0));
/// Text with variables that may be left out.
pub const OPTIONAL_TEXT: Reader<Option<Template>> =
    Reader::one("string", |directive, scope| scope.template(directive, 0).map(Some));
/// Several texts with variables.
pub const TEXTS: Reader<Vec<Template>> = Reader::many("string ...", |directive, scope| {
    (0..directive.args.len()).map(|number| scope.template(directive, number)).collect()
});
/// Text without variables.
pub const BYTES: Reader<Vec<u8>> = Reader::one("string", |directive, _| Ok(directive.bytes(0).to_vec()));
/// A path; a relative one starts from the prefix.
pub const PATH: Reader<PathBuf> = Reader::one("path", |directive, scope| Ok(scope.path(directive, 0)));
/// A path that may be left out.
pub const OPTIONAL_PATH: Reader<Option<PathBuf>> =
    Reader::one("path", |directive, scope| Ok(Some(scope.path(directive, 0))));

impl<T> Reader<T> {
    /// Makes a reader of one argument.
    pub const fn one(syntax: &'static str, read: Read<T>) -> Self {
        Self { arity: Arity::exactly(1), syntax, read }
    }

    /// Makes a reader of one argument or more.
    pub const fn many(syntax: &'static str, read: Read<T>) -> Self {
        Self { arity: Arity::at_least(1), syntax, read }
    }

    /// Makes a reader of so many arguments.
    pub const fn between(least: usize, most: usize, syntax: &'static str, read: Read<T>) -> Self {
        Self { arity: Arity::between(least, most), syntax, read }
    }
}

/// Turns a directive into a value.
pub type Read<T> = fn(&Directive, &Scope<'_>) -> Result<T, Problem>;

/// Reads `on` or `off`.
pub fn flag(directive: &Directive, _: &Scope<'_>) -> Result<bool, Problem> {
    let word = directive.text(0);
    match &*word.to_ascii_lowercase() {
        "on" => Ok(true),
        "off" => Ok(false),
        lower => {
            let name = directive.name();
            let message =
                format!("invalid value \"{word}\" in \"{name}\" directive, it must be \"on\" or \"off\"");
            Err(directive.fail(0, message).with_help_if(did_you_mean(lower, ["on", "off"])))
        }
    }
}

/// Reads an argument that is a size.
pub fn size(directive: &Directive, number: usize) -> Result<u64, Problem> {
    let parsed = parse_size(directive.bytes(number));
    parsed.ok_or_else(|| invalid_value(directive, number, "a size is bytes, or a number with k or m: 16k"))
}

/// Reads an argument that is a size, `g` included.
pub fn offset(directive: &Directive, number: usize) -> Result<u64, Problem> {
    let parsed = parse_offset(directive.bytes(number));
    parsed.ok_or_else(|| invalid_value(directive, number, "a size is bytes, or a number with k, m or g: 10m"))
}

/// Reads an argument that is a time to the millisecond.
pub fn time(directive: &Directive, number: usize) -> Result<Duration, Problem> {
    let parsed = parse_time(directive.bytes(number), Precision::Milliseconds);
    parsed.ok_or_else(|| {
        invalid_value(directive, number, "a time is seconds, or numbers with ms, s, m, h, d, w: 1m30s")
    })
}

/// Reads an argument that is a time in whole seconds.
pub fn seconds(directive: &Directive, number: usize) -> Result<Duration, Problem> {
    let parsed = parse_time(directive.bytes(number), Precision::Seconds);
    parsed.ok_or_else(|| {
        invalid_value(directive, number, "a time is seconds, or numbers with s, m, h, d, w, M, y: 1h30m")
    })
}

/// Reads an argument that is a number.
pub fn number(directive: &Directive, number: usize) -> Result<u64, Problem> {
    parse_number(directive.bytes(number)).ok_or_else(|| {
        let message = format!("\"{}\" directive invalid number", directive.name());
        directive.fail(number, message).with_help("a number has digits only")
    })
}

fn invalid_value(directive: &Directive, number: usize, help: &str) -> Problem {
    directive.fail(number, format!("\"{}\" directive invalid value", directive.name())).with_help(help)
}

/// Reads an argument that is one word of a set, in any case.
pub fn choice<T: Clone>(directive: &Directive, number: usize, words: &[(&str, T)]) -> Result<T, Problem> {
    let word = directive.text(number);
    match words.iter().find(|(known, _)| known.eq_ignore_ascii_case(&word)) {
        Some((_, value)) => Ok(value.clone()),
        None => Err(directive
            .fail(number, format!("invalid value \"{word}\""))
            .with_help(accepted(&word, words.iter().map(|(known, _)| *known)))),
    }
}

/// Says which words a set has, or which of them was meant.
pub fn accepted<'a>(wrong: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    did_you_mean(wrong, words.clone()).unwrap_or_else(|| {
        let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
        format!("accepted: {}", words.join(", "))
    })
}

/// A number of bytes that variables may decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeValue {
    /// As written.
    Fixed(u64),
    /// To be read with [`parse_size`] for each request.
    Variable(Template),
}

/// Bytes that variables may decide.
pub const SIZE_VALUE: Reader<SizeValue> = Reader::one("size", |directive, scope| {
    let template = scope.template(directive, 0)?;
    match template.as_text() {
        Some(_) => size(directive, 0).map(SizeValue::Fixed),
        None => Ok(SizeValue::Variable(template)),
    }
});

/// Reads digits.
pub fn parse_number(text: &[u8]) -> Option<u64> {
    let number = text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (!text.is_empty() && number <= i64::MAX as u64).then_some(number)
}

/// Reads bytes, `k` and `m`.
pub fn parse_size(text: &[u8]) -> Option<u64> {
    match text.split_last()? {
        (b'k' | b'K', digits) => scaled(digits, 1 << 10),
        (b'm' | b'M', digits) => scaled(digits, 1 << 20),
        _ => parse_number(text),
    }
}

/// Reads bytes, `k`, `m` and `g`.
pub fn parse_offset(text: &[u8]) -> Option<u64> {
    match text.split_last()? {
        (b'g' | b'G', digits) => scaled(digits, 1 << 30),
        _ => parse_size(text),
    }
}

fn scaled(digits: &[u8], scale: u64) -> Option<u64> {
    parse_number(digits)?.checked_mul(scale).filter(|bytes| *bytes <= i64::MAX as u64)
}

/// Smallest unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Milliseconds; months and years are no units then.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// Units from the largest, with their seconds; `ms` apart.
const UNITS: [(u8, u64); 7] = [
    (b'y', 365 * 86400),
    (b'M', 30 * 86400),
    (b'w', 7 * 86400),
    (b'd', 86400),
    (b'h', 3600),
    (b'm', 60),
    (b's', 1),
];

/// Reads a time: numbers with units in falling order, a number without unit (seconds) last.
pub fn parse_time(text: &[u8], precision: Precision) -> Option<Duration> {
    /// Rank of `ms` behind [`UNITS`].
    const MS: usize = UNITS.len();
    // As nginx: `y` and `M` are for times in seconds only.
    let mut least_rank = if precision == Precision::Seconds { 0 } else { 2 };
    let mut total_ms = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = parse_number(&rest[..digits])?;
        rest = &rest[digits..];
        let (rank, unit_ms, width) = match rest {
            [] => (MS + 1, 1000, 0),
            [b'm', b's', ..] if precision == Precision::Milliseconds => (MS, 1, 2),
            [b' ', ..] => (MS + 1, 1000, 1),
            [unit, ..] => {
                let rank = UNITS.iter().position(|(known, _)| known == unit)?;
                (rank, UNITS[rank].1 * 1000, 1)
            }
        };
        if rank < least_rank {
            return None;
        }
        least_rank = rank + 1;
        total_ms = value.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms))?;
        rest = rest[width..].trim_ascii_start();
    }
    (!text.is_empty() && total_ms <= i64::MAX as u64).then_some(Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_nginx_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("10", Some(10)),
            ("10k", Some(10240)),
            ("10K", Some(10240)),
            ("1m", Some(1 << 20)),
            ("1M", Some(1 << 20)),
            ("1g", None),
            ("k", None),
            ("", None),
            ("-1", None),
            ("1kb", None),
            ("1.5m", None),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("9223372036854775807k", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_size(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(parse_offset(b"2g"), Some(2 << 30));
        assert_eq!(parse_offset(b"2G"), Some(2 << 30));
    }

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        use Precision::{Milliseconds, Seconds};
        let cases = [
            ("0", Milliseconds, Some(0)),
            ("10", Milliseconds, Some(10_000)),
            ("10s", Milliseconds, Some(10_000)),
            ("500ms", Milliseconds, Some(500)),
            ("1m30s", Milliseconds, Some(90_000)),
            ("1m 30", Milliseconds, Some(90_000)),
            ("1h1m1s1ms", Milliseconds, Some(3_661_001)),
            ("1d1w", Milliseconds, None),
            ("1s1s", Milliseconds, None),
            ("1M", Milliseconds, None),
            ("1y", Milliseconds, None),
            ("1M", Seconds, Some(2_592_000_000)),
            ("1y1M", Seconds, Some(34_128_000_000)),
            ("500ms", Seconds, None),
            ("", Seconds, None),
            ("s", Seconds, None),
            ("1x", Seconds, None),
            ("-1", Seconds, None),
        ];
        for (text, precision, wanted_ms) in cases {
            let wanted = wanted_ms.map(Duration::from_millis);
            assert_eq!(parse_time(text.as_bytes(), precision), wanted, "{text} {precision:?}");
        }
    }
}
