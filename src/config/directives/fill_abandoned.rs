//! `proxy_cache_fill_abandoned`: what becomes of an answer on its way into the cache when its clients have left.

use crate::{settings::Reader, values::parse_number};

/// Whether a fill goes on that no client waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillAbandoned {
    /// Always.
    Goes,
    /// Never.
    Ends,
    /// Where at least so many hundredths of the body have arrived.
    GoesFrom(u8),
}

impl FillAbandoned {
    /// Decides about a body of which so many bytes have arrived, out of so many where that is known.
    pub fn goes_on(self, received: u64, length: Option<u64>) -> bool {
        match (self, length) {
            (Self::Goes, _) => true,
            (Self::Ends, _) | (Self::GoesFrom(_), None) => false,
            (Self::GoesFrom(percent), Some(length)) => {
                u128::from(received) * 100 >= u128::from(length) * u128::from(percent)
            }
        }
    }
}

pub(super) const FILL_ABANDONED: Reader<FillAbandoned> =
    Reader::one("always | never | half | percent", |directive, _| {
        let word = directive.text(0);
        let percent = match &*word {
            "always" => return Ok(FillAbandoned::Goes),
            "never" => return Ok(FillAbandoned::Ends),
            "half" => return Ok(FillAbandoned::GoesFrom(50)),
            part => part.strip_suffix('%').and_then(|number| parse_number(number.as_bytes())),
        };
        match percent.map(u8::try_from) {
            Some(Ok(percent @ 1..=100)) => Ok(FillAbandoned::GoesFrom(percent)),
            _ => Err(directive
                .fail(0, format!("invalid value \"{word}\""))
                .with_help("it is \"always\", \"never\", \"half\", or a part such as \"75%\"")),
        }
    });

#[cfg(test)]
mod tests {
    use super::FillAbandoned::{Ends, Goes, GoesFrom};

    #[test]
    fn an_abandoned_fill_goes_on_from_its_part_on() {
        for (rule, received, length, wanted) in [
            (Goes, 0, None, true),
            (Goes, 0, Some(100), true),
            (Ends, 99, Some(100), false),
            (GoesFrom(50), 49, Some(100), false),
            (GoesFrom(50), 50, Some(100), true),
            (GoesFrom(50), 1, Some(3), false),
            (GoesFrom(50), 2, Some(3), true),
            (GoesFrom(100), 99, Some(100), false),
            (GoesFrom(1), 0, Some(0), true),
            (GoesFrom(75), u64::MAX / 2, Some(u64::MAX), false),
            (GoesFrom(50), 1 << 40, None, false),
        ] {
            assert_eq!(rule.goes_on(received, length), wanted, "{rule:?} {received} {length:?}");
        }
    }
}
