//! Sets of words in which each word may be there or not: `proxy_next_upstream error timeout`.

use crate::{parse::Directive, settings::Join, source::Problem, values::accepted};

/// A set made by [`flags!`].
pub trait Flags: Default + Join {
    /// Its words.
    fn words() -> impl Iterator<Item = &'static str> + Clone;

    /// Puts a word in, whichever way its letters are written.
    fn put(&mut self, word: &[u8]) -> Placed;

    /// Reads all arguments of a directive; a word that comes twice is worth a warning only.
    fn read(directive: &Directive, report: impl Fn(Problem)) -> Result<Self, Problem> {
        let mut set = Self::default();
        for number in 0..directive.args.len() {
            let word = directive.text(number);
            match set.put(directive.bytes(number)) {
                Placed::New => {}
                Placed::Again => report(Problem::warning(
                    directive.args[number].span,
                    format!("duplicate value \"{word}\""),
                )),
                Placed::Unknown => {
                    let problem = directive.fail(number, format!("invalid value \"{word}\""));
                    return Err(problem.with_help(accepted(&word, Self::words())));
                }
            }
        }
        // Lets a word that beats all do so.
        set.join(Self::default());
        Ok(set)
    }
}

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is in now.
    New,
    /// It was in already.
    Again,
    /// The set has no such word.
    Unknown,
}

/// Makes a set: a struct of bools, its words, and how pieces are joined.
///
/// `with field: Set` takes the words of another set in. `off beats all` clears the others, as in nginx.
macro_rules! flags {
    ($(#[$outer:meta])* pub struct $set:ident $(with $base:ident: $base_set:ident)? {
        $(#[doc = $about:literal] $field:ident = $word:literal,)*
    } $($alone:ident beats all)?) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set {
            $(
                /// The words that other sets have too.
                pub $base: $base_set,
            )?
            $(#[doc = $about] pub $field: bool,)*
        }

        impl $crate::flags::Flags for $set {
            fn words() -> impl Iterator<Item = &'static str> + Clone {
                let words = [$($word),*].into_iter();
                $(let words = $base_set::words().chain(words);)?
                words
            }

            fn put(&mut self, word: &[u8]) -> $crate::flags::Placed {
                use $crate::flags::Placed;

                $(match self.$base.put(word) {
                    Placed::Unknown => {}
                    placed => return placed,
                })?
                $(if word.eq_ignore_ascii_case($word.as_bytes()) {
                    return if std::mem::replace(&mut self.$field, true) { Placed::Again } else { Placed::New };
                })*
                Placed::Unknown
            }
        }

        impl $crate::settings::Join for $set {
            fn join(&mut self, more: Self) {
                $(self.$base.join(more.$base);)?
                $(self.$field |= more.$field;)*
                $(if self.$alone {
                    *self = Self { $alone: true, ..Self::default() };
                })?
            }
        }
    };
}

pub(crate) use flags;
