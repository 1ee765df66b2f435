//! What a request's own `Cache-Control` asks of a cache (RFC 9111, 5.2.1).
//!
//! Only where the configuration lets clients ask: each may send a request on to the origin.

use std::time::{Duration, SystemTime};

use http1::Fields;

use super::Reuse;
use super::list::{Argument, each_member};
use crate::format::Meta;

/// The directives of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Not older than this.
    pub max_age: Option<Duration>,
    /// Fresh for so long yet.
    pub min_fresh: Option<Duration>,
    /// Stale for not longer than this.
    pub max_stale: Option<Duration>,
    /// Not without the origin's word.
    pub no_cache: bool,
    /// Nothing of it is to be stored.
    pub no_store: bool,
    /// Nobody is to be asked.
    pub only_if_cached: bool,
}

impl Wishes {
    /// Reads all lines of `Cache-Control`, or `Pragma` where there is none.
    pub fn read(request: &Fields) -> Self {
        let mut wishes = Self::default();
        for line in request.all("cache-control") {
            each_member(line, |name, argument| wishes.note(name, argument));
        }
        if !request.contains("cache-control") {
            wishes.no_cache = request.all("pragma").any(|line| http1::list_has_token(line, "no-cache"));
        }
        wishes
    }

    fn note(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            // A time that cannot be read is none: what has any age is too old.
            7 if is("max-age") => _ = self.max_age.get_or_insert_with(|| argument.delta().span()),
            8 if is("no-cache") => self.no_cache = true,
            8 if is("no-store") => self.no_store = true,
            9 if is("min-fresh") => _ = self.min_fresh.get_or_insert_with(|| argument.delta().span()),
            9 if is("max-stale") => {
                let tolerated = match argument {
                    Argument::Absent => Duration::MAX,
                    Argument::Token(_) | Argument::Quoted(_) | Argument::Malformed => argument.delta().span(),
                };
                self.max_stale.get_or_insert(tolerated);
            }
            14 if is("only-if-cached") => self.only_if_cached = true,
            _ => {}
        }
    }

    /// Makes the request's verdict of that on an entry that is so old.
    pub fn judge(&self, verdict: Reuse, meta: &Meta, age: Duration, now: SystemTime) -> Reuse {
        let left = meta.valid_until.duration_since(now).unwrap_or_default();
        let is_too_old = self.max_age.is_some_and(|most| age > most);
        let is_too_stale_soon = self.min_fresh.is_some_and(|least| left < least);
        if self.no_cache || is_too_old || is_too_stale_soon {
            return Reuse::AfterValidation;
        }
        let staleness = now.duration_since(meta.valid_until).unwrap_or_default();
        match verdict {
            Reuse::Stale { .. } if self.max_stale.is_some_and(|most| staleness <= most) => Reuse::Tolerated,
            Reuse::Fresh | Reuse::Tolerated | Reuse::Stale { .. } | Reuse::AfterValidation => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn read(lines: &str) -> Wishes {
        let request: Fields = lines
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        Wishes::read(&request)
    }

    #[test]
    fn directives_are_read_from_all_lines() {
        let seconds = |number| Some(Duration::from_secs(number));
        let none = Wishes::default();
        let cases = [
            ("", none),
            ("Cache-Control: max-age=5", Wishes { max_age: seconds(5), ..none }),
            ("cache-control: MAX-AGE=\"5\"", Wishes { max_age: seconds(5), ..none }),
            ("Cache-Control: max-age=x", Wishes { max_age: seconds(0), ..none }),
            ("Cache-Control: max-age", Wishes { max_age: seconds(0), ..none }),
            ("Cache-Control: max-age=5, max-age=9", Wishes { max_age: seconds(5), ..none }),
            ("Cache-Control: min-fresh=7", Wishes { min_fresh: seconds(7), ..none }),
            ("Cache-Control: max-stale", Wishes { max_stale: Some(Duration::MAX), ..none }),
            ("Cache-Control: max-stale=9", Wishes { max_stale: seconds(9), ..none }),
            ("Cache-Control: max-stale=", Wishes { max_stale: seconds(0), ..none }),
            (
                "Cache-Control: no-cache\nCache-Control: no-store",
                Wishes { no_cache: true, no_store: true, ..none },
            ),
            ("Cache-Control: x=\"no-cache\", only-if-cached", Wishes { only_if_cached: true, ..none }),
            ("Pragma: no-cache", Wishes { no_cache: true, ..none }),
            ("Pragma: x, NO-CACHE", Wishes { no_cache: true, ..none }),
            ("Pragma: no-cache\nCache-Control: max-age=5", Wishes { max_age: seconds(5), ..none }),
            ("Cache-Control: s-maxage=5, private, no-cached", none),
        ];
        for (lines, wanted) in cases {
            assert_eq!(read(lines), wanted, "{lines}");
        }
    }

    #[test]
    fn a_request_may_want_more_or_less_than_the_entry_allows() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let stale = Reuse::Stale { while_updating: true, on_error: true };
        let validated = Reuse::AfterValidation;
        // Stored at 50 with an age of 10, fresh to 100.
        let cases = [
            ("", 90, Reuse::Fresh, Reuse::Fresh),
            ("", 110, stale, stale),
            ("no-cache", 60, Reuse::Fresh, validated),
            ("max-age=30", 70, Reuse::Fresh, Reuse::Fresh),
            ("max-age=30", 71, Reuse::Fresh, validated),
            ("max-age=0", 50, Reuse::Fresh, validated),
            ("min-fresh=20", 80, Reuse::Fresh, Reuse::Fresh),
            ("min-fresh=20", 81, Reuse::Fresh, validated),
            ("min-fresh=0", 90, Reuse::Fresh, Reuse::Fresh),
            ("max-stale", 5000, stale, Reuse::Tolerated),
            ("max-stale=10", 110, stale, Reuse::Tolerated),
            ("max-stale=10", 111, stale, stale),
            ("max-stale=10", 90, Reuse::Fresh, Reuse::Fresh),
            ("max-stale", 110, validated, validated),
            ("max-stale, max-age=30", 110, stale, validated),
            ("max-stale, no-cache", 110, stale, validated),
            ("no-store, only-if-cached", 90, Reuse::Fresh, Reuse::Fresh),
        ];
        for (directives, now, verdict, wanted) in cases {
            let meta = Meta { valid_until: at(100), date: at(50), ..Meta::default() };
            let age = Duration::from_secs(10 + now - 50);
            let wishes = read(&format!("Cache-Control: {directives}"));
            assert_eq!(wishes.judge(verdict, &meta, age, at(now)), wanted, "{directives} at {now}");
        }
    }
}
