//! `split_clients`: which part of all keys a key belongs to. Pure.
//!
//! The arithmetic is nginx's, so that a key falls into the same part there and here.

use std::sync::Arc;

/// `split_clients`: parts of all keys, each with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitTable {
    parts: Vec<Part>,
    /// Hundredths of a percent that are given away.
    total: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Hashes below it are in this part or an earlier one.
    end: u64,
    value: Arc<[u8]>,
}

/// How much a part gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Hundredths of a percent; not 0.
    Hundredths(u32),
    /// `*`: what is left.
    Rest,
}

/// More than all was given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("percent total is greater than 100%")]
pub struct OverAll;

/// Hundredths of a percent in all.
const ALL: u32 = 10_000;

impl Share {
    /// Reads `12.34%` or `*`; nothing where it is neither, or no share at all.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Rest);
        }
        let number = str::from_utf8(text.strip_suffix(b"%")?).ok()?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if number.is_empty() || fraction.len() > 2 || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let hundredths: u32 = format!("{whole}{fraction:0<2}").parse().ok()?;
        (hundredths > 0).then_some(Self::Hundredths(hundredths))
    }
}

impl SplitTable {
    /// Adds a part behind those that are there.
    pub fn push(&mut self, share: Share, value: Arc<[u8]>) -> Result<(), OverAll> {
        self.total = match share {
            Share::Hundredths(hundredths) => self.total.saturating_add(hundredths),
            // As nginx: several `*` may stand, but nothing may follow one.
            Share::Rest => ALL,
        };
        if self.total > ALL {
            return Err(OverAll);
        }
        let end = match share {
            Share::Hundredths(hundredths) => {
                let before = self.parts.last().map_or(0, |part| part.end);
                before + u64::from(hundredths) * u64::from(u32::MAX) / u64::from(ALL)
            }
            Share::Rest => u64::MAX,
        };
        self.parts.push(Part { end, value });
        Ok(())
    }

    /// Returns the value of a key's part; nothing where the parts leave room and the key is in it.
    pub fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = u64::from(murmur2(key));
        self.parts.iter().find(|part| hash < part.end).map(|part| &*part.value)
    }
}

/// MurmurHash2 with a seed of 0.
pub fn murmur2(text: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    // As nginx: the length counts modulo 2^32.
    let mut hash = text.len() as u32;
    let (words, rest) = text.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = hash.wrapping_mul(FACTOR) ^ mixed.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_to_hundredths() {
        let cases = [
            ("10%", Some(Share::Hundredths(1000))),
            ("0.01%", Some(Share::Hundredths(1))),
            (".5%", Some(Share::Hundredths(50))),
            ("5.%", Some(Share::Hundredths(500))),
            ("33.33%", Some(Share::Hundredths(3333))),
            ("101%", Some(Share::Hundredths(10_100))),
            ("*", Some(Share::Rest)),
            ("0%", None),
            ("0.00%", None),
            ("0.001%", None),
            ("10", None),
            ("%", None),
            ("x%", None),
            ("-1%", None),
            ("1.x%", None),
            ("99999999999%", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(Share::parse(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn hashes_are_those_of_murmurhash2() {
        // Computed with another implementation.
        let cases = [
            ("", 0),
            ("a", 2_456_313_694),
            ("ab", 446_775_395),
            ("abc", 324_500_635),
            ("abcd", 646_393_889),
            ("/some/page", 2_151_899_408),
        ];
        for (text, wanted) in cases {
            assert_eq!(murmur2(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn every_key_has_its_part() {
        let mut table = SplitTable::default();
        for (share, value) in [("0.5%", "canary"), ("50%", "half")] {
            let share = Share::parse(share.as_bytes()).expect("it is a share");
            table.push(share, Arc::from(value.as_bytes())).expect("there is room");
        }
        let count = |table: &SplitTable, value: Option<&str>| {
            let keys = (0..10_000).map(|number: u32| number.to_string());
            keys.filter(|key| table.find(key.as_bytes()) == value.map(str::as_bytes)).count()
        };
        let (canary, half, none) =
            (count(&table, Some("canary")), count(&table, Some("half")), count(&table, None));
        assert!((30..70).contains(&canary), "{canary}");
        assert!((4800..5200).contains(&half), "{half}");
        assert_eq!(canary + half + none, 10_000);
        table.push(Share::Rest, Arc::from(&b"rest"[..])).expect("there is room");
        assert_eq!(count(&table, None), 0);
        assert_eq!(table.push(Share::Hundredths(1), Arc::from(&b""[..])), Err(OverAll));
    }
}
