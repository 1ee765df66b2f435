//! Sets of words in which each word may be there or not: `proxy_next_upstream error timeout`.

use crate::{parse::Directive, settings::Join, source::Problem, values::accepted};

/// A set made by [`flags!`].
pub trait Flags: Default + Join {
    /// Its words.
    const WORDS: &'static [&'static str];

    /// Puts the word of this number in; false says that it was in already.
    fn put(&mut self, word: usize) -> bool;

    /// Reads all arguments of a directive; a word that comes twice is worth a warning only.
    fn read(directive: &Directive, report: impl Fn(Problem)) -> Result<Self, Problem> {
        let mut set = Self::default();
        for number in 0..directive.args.len() {
            let word = directive.text(number);
            let known =
                Self::WORDS.iter().position(|known| known.eq_ignore_ascii_case(&word)).ok_or_else(|| {
                    let words = Self::WORDS.iter().copied();
                    directive
                        .fail(number, format!("invalid value \"{word}\""))
                        .with_help(accepted(&word, words))
                })?;
            if !set.put(known) {
                report(Problem::warning(directive.args[number].span, format!("duplicate value \"{word}\"")));
            }
        }
        // Lets a word that beats all do so.
        set.join(Self::default());
        Ok(set)
    }
}

/// Makes a set: a struct of bools, its words, and how pieces are joined. `off beats all` clears the others, as in nginx.
macro_rules! flags {
    ($(#[$outer:meta])* pub struct $set:ident {
        $(#[doc = $about:literal] $field:ident = $word:literal,)*
    } $($alone:ident beats all)?) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set {
            $(#[doc = $about] pub $field: bool,)*
        }

        impl $crate::flags::Flags for $set {
            const WORDS: &'static [&'static str] = &[$($word),*];

            fn put(&mut self, word: usize) -> bool {
                let field: &mut bool = [$(&mut self.$field),*].into_iter().nth(word).expect("a number of WORDS");
                !std::mem::replace(field, true)
            }
        }

        impl $crate::settings::Join for $set {
            fn join(&mut self, more: Self) {
                $(self.$field |= more.$field;)*
                $(if self.$alone {
                    *self = Self { $alone: true, ..Self::default() };
                })?
            }
        }
    };
}

pub(crate) use flags;
