//! `Cache-Control` in an answer: its directives, from all of its lines together (RFC 9111, 5.2.2).
//!
//! Names in any case; unknown directives, and whatever stands in quoted strings, say nothing. A directive that
//! comes twice counts as it came first (RFC 9111, 4.2.1).

use http1::Fields;

use super::{Rules, targeted};
use crate::policy::list::{Argument, Delta, each_member};

/// What an answer says to caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) s_maxage: Option<Delta>,
    pub(super) max_age: Option<Delta>,
    pub(super) stale_while_revalidate: Option<Delta>,
    pub(super) stale_if_error: Option<Delta>,
    /// Whether it comes from a targeted field, which stands for Expires too.
    pub(super) is_targeted: bool,
}

impl Control {
    /// Reads what an answer says to this cache: the targeted field that counts, or else `Cache-Control`.
    pub(super) fn of(rules: &Rules<'_>, fields: &Fields) -> Self {
        if let Some(control) = rules.targeted.iter().find_map(|name| targeted::read(fields, name)) {
            return control;
        }
        if rules.ignored.cache_control {
            return Self::default();
        }
        Self::read(fields.all("cache-control"))
    }

    fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut control = Self::default();
        for line in lines {
            each_member(line, |name, argument| control.note(name, argument));
        }
        control
    }

    fn note(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // A directive for which no argument is defined keeps its meaning with one, and so do `private` and `no-cache` with names of
        // fields: the whole answer is meant then, which is what the RFC allows, and most caches do.
        match name.len() {
            6 if is("public") => self.public = true,
            7 if is("private") => self.private = true,
            7 if is("max-age") => _ = self.max_age.get_or_insert_with(|| argument.delta()),
            8 if is("no-store") => self.no_store = true,
            8 if is("no-cache") => self.no_cache = true,
            8 if is("s-maxage") => _ = self.s_maxage.get_or_insert_with(|| argument.delta()),
            14 if is("stale-if-error") => _ = self.stale_if_error.get_or_insert_with(|| argument.delta()),
            15 if is("must-revalidate") => self.must_revalidate = true,
            15 if is("must-understand") => self.must_understand = true,
            16 if is("proxy-revalidate") => self.proxy_revalidate = true,
            22 if is("stale-while-revalidate") => {
                _ = self.stale_while_revalidate.get_or_insert_with(|| argument.delta());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Control {
        Control::read(text.lines().map(str::as_bytes))
    }

    #[test]
    fn ages_are_found() {
        let seconds = |number| Some(Delta::Seconds(number));
        let invalid = Some(Delta::Invalid);
        let cases = [
            ("max-age=60", seconds(60)),
            ("MAX-AGE=60", seconds(60)),
            ("Max-Age=60", seconds(60)),
            ("max-age=\"60\"", seconds(60)),
            ("public,max-age=60", seconds(60)),
            ("public , max-age=60 , ", seconds(60)),
            (",,, max-age=60", seconds(60)),
            ("\tmax-age=60\t", seconds(60)),
            ("public\nmax-age=60", seconds(60)),
            ("max-age=60, max-age=10", seconds(60)),
            ("max-age=60\nmax-age=10", seconds(60)),
            ("a=\"max-age=1\", max-age=60", seconds(60)),
            ("max-age=60, a=\"max-age=1\"", seconds(60)),
            ("a=\"x, max-age=1, y\", max-age=60", seconds(60)),
            ("a=\"x\\\", max-age=1, y\", max-age=60", seconds(60)),
            ("\"max-age=1\", max-age=60", seconds(60)),
            ("a=\"open, max-age=60", invalid),
            ("max-age=60, a=\"open", seconds(60)),
            ("a=\"max-age=60\"", None),
            ("x-max-age=60", None),
            ("max-agex=60", None),
            ("max-ag=60", None),
            ("unknown", None),
            ("", None),
            ("max-age", invalid),
            ("max-age=", invalid),
            ("max-age=\"\"", invalid),
            ("max-age='60'", invalid),
            ("max-age=\"60", invalid),
            ("max-age=\"60\"s", invalid),
            ("max-age =60", invalid),
            ("max-age= 60", invalid),
            ("max-age:60", invalid),
            ("max-age=60;public", invalid),
            ("max-age=-60", invalid),
            ("max-age=60 public", invalid),
            ("max-age=x, max-age=60", invalid),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text).max_age, wanted, "{text}");
        }
    }

    #[test]
    fn every_directive_is_known_in_any_case_and_on_any_line() {
        let all = Control {
            no_store: true,
            no_cache: true,
            private: true,
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            s_maxage: Some(Delta::Seconds(1)),
            max_age: Some(Delta::Seconds(2)),
            stale_while_revalidate: Some(Delta::Seconds(3)),
            stale_if_error: Some(Delta::Seconds(4)),
            is_targeted: false,
        };
        let list = "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand, s-maxage=1, \
                    max-age=2, stale-while-revalidate=3, stale-if-error=4";
        assert_eq!(read(list), all);
        assert_eq!(read(&list.to_uppercase()), all);
        assert_eq!(read(&list.replace(", ", "\n")), all);
    }

    #[test]
    fn arguments_that_are_not_defined_change_nothing() {
        let private = Control { private: true, ..Control::default() };
        let no_cache = Control { no_cache: true, ..Control::default() };
        let no_store = Control { no_store: true, ..Control::default() };
        let cases = [
            ("private=\"Set-Cookie\"", private),
            ("private=\"a, no-store\"", private),
            ("private=x", private),
            ("no-cache=\"Set-Cookie, X\"", no_cache),
            ("no-cache=", no_cache),
            ("no-store=1", no_store),
            ("no-store =1", no_store),
            ("no-store; x", no_store),
            ("no-stores", Control::default()),
            ("a=no-store", Control::default()),
            ("a=\"no-store\"", Control::default()),
            ("\"no-store\"", Control::default()),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
