//! For how long a response says that it may be reused: `X-Accel-Expires`, `Cache-Control`, `Expires`, and `proxy_cache_valid`.
//!
//! As nginx: `X-Accel-Expires` beats `Cache-Control`, which beats `Expires`, in whichever order they come, and each
//! beats the configuration. A header line that the configuration ignores is not seen at all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{IgnoreHeaders, ValidRule, ValidStatus};
use http1::Fields;

use super::Rules;
use crate::format::seconds;
use crate::policy::rules::Answered;
use crate::policy::verdict::{Restraint, Terms};

/// What a head says about its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// When it stops being fresh.
    pub lifetime: Lifetime,
    /// For how long after that it may be served while it is being updated.
    pub stale_while_revalidate: Duration,
    /// For how long after that it may be served where the upstream fails.
    pub stale_if_error: Duration,
}

/// When a response stops being fresh, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It does not say: the configuration decides.
    Unstated,
    /// At this time.
    Until(SystemTime),
    /// `Cache-Control` forbids to store it: `no-cache`, `no-store`, `private`, or an age of zero.
    NoCache,
    /// `Cache-Control` has an age that is no number.
    BadAge,
    /// `X-Accel-Expires` is zero.
    AccelZero,
    /// `Expires` is past, or no date.
    Expired,
}

impl Times {
    /// Completes what the head says by the rules of `proxy_cache_valid`; nothing where neither gives a time.
    pub fn terms(&self, status: u16, rules: &[ValidRule], now: SystemTime) -> Option<Terms> {
        let valid_until = match self.lifetime {
            Lifetime::Until(time) => time,
            Lifetime::Unstated => now.checked_add(valid_for(status, rules)?)?,
            Lifetime::NoCache | Lifetime::BadAge | Lifetime::AccelZero | Lifetime::Expired => return None,
        };
        let Self { stale_while_revalidate, stale_if_error, .. } = *self;
        Some(Terms {
            valid_until,
            stale_while_revalidate,
            stale_if_error,
            initial_age: None,
            restraint: Restraint::Free,
        })
    }
}

/// Reads what a head says about its own time.
pub(super) fn times(head: &Fields, ignored: &IgnoreHeaders, now: SystemTime) -> Times {
    let accel = if ignored.x_accel_expires { None } else { accel_expires(head, now) };
    let accel = accel.map(|accel| match accel {
        Accel::Until(time) => Lifetime::Until(time),
        Accel::Zero => Lifetime::AccelZero,
    });
    let mut control = Control::default();
    if !ignored.cache_control {
        for line in head.all("cache-control") {
            control.read(line, accel);
        }
    }
    let age = control.age.map(|age| Lifetime::Until(now + age));
    let lifetime = match (accel, control.refused) {
        (Some(lifetime), _) => lifetime,
        (None, Some(refused)) => refused,
        (None, None) if age.is_some() || ignored.expires => age.unwrap_or(Lifetime::Unstated),
        (None, None) => expires(head, now),
    };
    let (stale_while_revalidate, stale_if_error) = (control.while_revalidate, control.if_error);
    Times { lifetime, stale_while_revalidate, stale_if_error }
}

/// The new times of an entry that the upstream called unchanged: by the 304, else by the stored head, else by the rules for its
/// status. Nothing where none of them gives a time: the entry then stays as old as it is.
pub(super) fn renew(
    rules: &Rules<'_>,
    not_modified: &Answered<'_>,
    (status, stored): (u16, &Fields),
) -> Option<Terms> {
    let now = not_modified.at;
    let stated = |head| {
        let times = times(head, rules.ignored, now);
        // Rules come last: after both heads.
        times.terms(status, &[], now)
    };
    let from_stored = times(stored, rules.ignored, now);
    stated(not_modified.fields)
        .or_else(|| stated(stored))
        .or_else(|| Times { lifetime: Lifetime::Unstated, ..from_stored }.terms(status, rules.valid, now))
}

/// Returns how long an answer of this status stays fresh by `proxy_cache_valid`, where it does not say itself.
pub fn valid_for(status: u16, rules: &[ValidRule]) -> Option<Duration> {
    let applies = |rule: &&ValidRule| match rule.status {
        ValidStatus::Any => true,
        ValidStatus::Code(code) => code == status,
    };
    // As nginx: a time of zero means "do not store".
    rules.iter().find(applies).map(|rule| rule.time).filter(|time| !time.is_zero())
}

/// What `X-Accel-Expires` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Fresh up to this time.
    Until(SystemTime),
    /// Not at all.
    Zero,
}

/// Seconds from now, or `@` and seconds since the epoch. Anything else, `off` too, counts as not there.
pub fn accel_expires(head: &Fields, now: SystemTime) -> Option<Accel> {
    let value = head.get("x-accel-expires")?;
    match value.strip_prefix(b"@") {
        Some(value) => match digits(value)? {
            // As nginx: a validity of zero is "not stated".
            Duration::ZERO => None,
            since => UNIX_EPOCH.checked_add(since).map(Accel::Until),
        },
        None => match digits(value)? {
            Duration::ZERO => Some(Accel::Zero),
            age => now.checked_add(age).map(Accel::Until),
        },
    }
}

fn expires(head: &Fields, now: SystemTime) -> Lifetime {
    let Some(value) = head.get("expires") else { return Lifetime::Unstated };
    let stated = http1::date::parse(value).filter(|stated| *stated >= seconds(now));
    let until = stated.and_then(|stated| u64::try_from(stated).ok()).map(Duration::from_secs);
    match until.and_then(|until| UNIX_EPOCH.checked_add(until)) {
        Some(time) => Lifetime::Until(time),
        None => Lifetime::Expired,
    }
}

/// All lines of `Cache-Control` together.
#[derive(Default)]
struct Control {
    refused: Option<Lifetime>,
    age: Option<Duration>,
    while_revalidate: Duration,
    if_error: Duration,
}

impl Control {
    /// As nginx: the words are looked for anywhere in the line, and a line that forbids storing says nothing else.
    fn read(&mut self, line: &[u8], accel: Option<Lifetime>) {
        let line = &line.to_ascii_lowercase()[..];
        if accel.is_none() && !self.read_lifetime(line) {
            return;
        }
        if let Some(Number::Seconds(span)) = number_after(line, b"stale-while-revalidate=") {
            self.while_revalidate = span;
            self.if_error = span;
        }
        if let Some(Number::Seconds(span)) = number_after(line, b"stale-if-error=") {
            self.if_error = span;
        }
    }

    /// Whether the line may go on to say how stale it may be served.
    fn read_lifetime(&mut self, line: &[u8]) -> bool {
        let words: [&[u8]; 3] = [b"no-cache", b"no-store", b"private"];
        let age = number_after(line, b"s-maxage=").or_else(|| number_after(line, b"max-age="));
        self.refused = if words.iter().any(|word| find(line, word).is_some()) {
            Some(Lifetime::NoCache)
        } else {
            match age {
                Some(Number::Seconds(Duration::ZERO)) => Some(Lifetime::NoCache),
                Some(Number::Broken) => Some(Lifetime::BadAge),
                Some(Number::Seconds(age)) => {
                    self.age = Some(age);
                    return true;
                }
                None => return true,
            }
        };
        false
    }
}

enum Number {
    Seconds(Duration),
    Broken,
}

/// The number that follows a name and ends at a comma, a semicolon, a space or the end. As nginx, an empty one is zero.
fn number_after(line: &[u8], name: &[u8]) -> Option<Number> {
    let rest = &line[find(line, name)? + name.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b',' | b';' | b' ')).unwrap_or(rest.len());
    let number = &rest[..end];
    let parsed = if number.is_empty() { Some(Duration::ZERO) } else { digits(number) };
    Some(parsed.map_or(Number::Broken, Number::Seconds))
}

/// Seconds in digits only. More than a hundred thousand years saturate, so that no sum with a time overflows.
fn digits(text: &[u8]) -> Option<Duration> {
    const MOST: u64 = 1 << 42;
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(Duration::from_secs(text.iter().fold(0, add).min(MOST)))
}

fn find(line: &[u8], word: &[u8]) -> Option<usize> {
    line.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests;
