//! One directive, one row: the table behind the language.
//!
//! [`settings!`] turns rows into a struct of [`Setting`]s, its defaults, its inheritance, and the table that the
//! tree is read with and the documentation made from. It knows nothing of what a directive means.

use std::ops::Deref;

use crate::{parse::Directive, scope::Scope, source::Problem};

/// A value that is always there, and whether the block at hand wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<T> {
    value: T,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Default,
    Written,
}

impl<T> Setting<T> {
    /// Makes a setting that no block wrote.
    pub const fn unwritten(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    /// Makes a setting as if a block had written it.
    pub const fn written(value: T) -> Self {
        Self { value, origin: Origin::Written }
    }

    /// Says whether this very level wrote the value; an inherited one does not count.
    pub fn is_written(&self) -> bool {
        self.origin == Origin::Written
    }

    /// Changes what holds where nothing is written.
    pub fn default_to(&mut self, value: T) {
        if !self.is_written() {
            self.value = value;
        }
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: Clone> Setting<T> {
    /// Takes the outer level's value unless this level wrote one.
    pub fn inherit(&mut self, outer: &Self) {
        if !self.is_written() {
            self.value = outer.value.clone();
        }
    }
}

impl<T: Clone> Setting<Vec<T>> {
    /// Takes items of the outer level as `rule` says.
    pub fn inherit_by(&mut self, rule: ListInheritance, outer: &Self) {
        match rule {
            ListInheritance::IfNoneIsWritten => self.inherit(outer),
            ListInheritance::Merge => self.value.extend_from_slice(&outer.value),
            ListInheritance::Nothing => {}
        }
    }
}

impl<T> Setting<Vec<T>> {
    /// Appends an item; the first one written at a level replaces what was there, as in nginx.
    pub fn append(&mut self, item: T) {
        if !self.is_written() {
            *self = Self::written(Vec::new());
        }
        self.value.push(item);
    }
}

impl<T: Join> Setting<T> {
    /// Joins what is written twice at a level; the first time replaces what was there.
    pub fn join(&mut self, more: T) {
        if self.is_written() {
            self.value.join(more);
        } else {
            *self = Self::written(more);
        }
    }
}

/// What of an outer level's items holds at an inner one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListInheritance {
    /// All of them, unless the inner level has some of its own.
    IfNoneIsWritten,
    /// All of them, behind those of the inner level.
    Merge,
    /// None.
    Nothing,
}

/// A value that can be written in several pieces.
pub trait Join {
    /// Adds another piece.
    fn join(&mut self, more: Self);
}

impl Join for () {
    fn join(&mut self, (): Self) {}
}

impl<T> Join for Vec<T> {
    fn join(&mut self, more: Self) {
        self.extend(more);
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// How many arguments a directive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity {
    /// Fewest.
    pub least: usize,
    /// Most.
    pub most: usize,
}

impl Arity {
    /// Exactly `count`.
    pub const fn exactly(count: usize) -> Self {
        Self { least: count, most: count }
    }

    /// From `least` to `most`.
    pub const fn between(least: usize, most: usize) -> Self {
        Self { least, most }
    }

    /// `least` or more.
    pub const fn at_least(least: usize) -> Self {
        Self { least, most: usize::MAX }
    }

    /// Says whether `count` arguments will do.
    pub fn allows(self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

/// Turns the arguments of a directive into a value.
#[derive(Debug)]
pub struct Reader<T> {
    /// Arguments it takes.
    pub arity: Arity,
    /// How they are written, for people.
    pub syntax: &'static str,
    /// Reads them; their number is right already.
    pub read: fn(&Directive, &Scope<'_>) -> Result<T, Problem>,
}

/// A set of blocks that a directive may stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels(u16);

impl Levels {
    /// Outside all blocks.
    pub const MAIN: Self = Self(1);
    /// `events`.
    pub const EVENTS: Self = Self(2);
    /// `http`.
    pub const HTTP: Self = Self(4);
    /// `server`.
    pub const SERVER: Self = Self(8);
    /// `location`.
    pub const LOCATION: Self = Self(16);
    /// `upstream`.
    pub const UPSTREAM: Self = Self(32);
    /// `if` in `server`.
    pub const SERVER_IF: Self = Self(64);
    /// `if` in `location`.
    pub const LOCATION_IF: Self = Self(128);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::MAIN, "main"),
        (Self::EVENTS, "events"),
        (Self::HTTP, "http"),
        (Self::SERVER, "server"),
        (Self::LOCATION, "location"),
        (Self::UPSTREAM, "upstream"),
        (Self::SERVER_IF, "if in server"),
        (Self::LOCATION_IF, "if in location"),
    ];

    /// Joins two sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Makes the set of all blocks.
    pub const fn all() -> Self {
        MHSL.and(E).and(U).and(IF)
    }

    /// Names the blocks in a sentence.
    pub fn in_words(self) -> String {
        <[_]>::join(&self.names().collect::<Vec<_>>(), ", ")
    }

    /// Says whether the sets have a block in common.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Names the blocks, outermost first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(level, _)| self.contains(*level)).map(|(_, name)| name)
    }
}

/// `main`.
pub const M: Levels = Levels::MAIN;
/// `events`.
pub const E: Levels = Levels::EVENTS;
/// `http`.
pub const H: Levels = Levels::HTTP;
/// `server`.
pub const S: Levels = Levels::SERVER;
/// `location`.
pub const L: Levels = Levels::LOCATION;
/// `upstream`.
pub const U: Levels = Levels::UPSTREAM;
/// `if` in `location`.
pub const LIF: Levels = Levels::LOCATION_IF;
/// `if`, in `server` or `location`.
pub const IF: Levels = Levels::SERVER_IF.and(LIF);
/// `http` and `server`.
pub const HS: Levels = H.and(S);
/// `server` and `location`.
pub const SL: Levels = S.and(L);
/// `http`, `server` and `location`.
pub const HSL: Levels = HS.and(L);
/// `main`, `http`, `server` and `location`.
pub const MHSL: Levels = M.and(HSL);

/// One directive, as the documentation shows it.
#[derive(Debug, Clone, Copy)]
pub struct RowDoc {
    /// Name.
    pub name: &'static str,
    /// How its arguments are written.
    pub syntax: &'static str,
    /// What holds without it; empty where there is nothing to write.
    pub default: &'static str,
    /// Where it may stand.
    pub levels: Levels,
    /// How many arguments it takes.
    pub arity: Arity,
    /// What it is for, in one line.
    pub about: &'static str,
}

/// One directive of a group of settings `C`.
pub struct Row<C: 'static> {
    /// What is told of it.
    pub doc: RowDoc,
    /// Reads the directive into the group.
    pub apply: fn(&mut C, &Directive, &Scope<'_>) -> Result<(), Problem>,
}

/// A struct made by [`settings!`].
pub trait Group: Default + 'static {
    /// Its directives.
    const ROWS: &'static [Row<Self>];

    /// Takes from the outer level what this one did not write.
    fn inherit(&mut self, outer: &Self);

    /// Applies a directive, if it belongs to this group.
    fn apply(&mut self, directive: &Directive, scope: &Scope<'_>) -> Option<Result<(), Problem>> {
        let row = Self::ROWS.iter().find(|row| directive.is(row.doc.name))?;
        Some((row.apply)(self, directive, scope))
    }
}

/// Makes a group of settings: struct, defaults, inheritance and rows.
///
/// A row is `field: Type = default, "directive" in LEVELS, how(READER), "default as written";`. `once` refuses
/// duplicates; `each` appends, and one item replaces the outer list whole, unless the [`ListInheritance`] in another field,
/// of a row above, says otherwise (`each(READER) inherited by field`); `joined` adds the words of each to one set.
macro_rules! settings {
    ($(#[$outer:meta])* pub struct $group:ident {
        $(
            #[doc = $about:literal] $(#[doc = $more:literal])*
            $field:ident: $type:ty = $default:expr,
            $name:literal in $levels:expr, $how:ident($reader:expr) $(inherited by $rule:ident)? $(, $text:literal)?;
        )*
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        pub struct $group {
            $(
                #[doc = $about] $(#[doc = $more])*
                pub $field: $crate::settings::Setting<$type>,
            )*
        }

        impl Default for $group {
            fn default() -> Self {
                Self { $($field: $crate::settings::Setting::unwritten($default),)* }
            }
        }

        impl $crate::settings::Group for $group {
            const ROWS: &'static [$crate::settings::Row<Self>] = &[$(
                $crate::settings::Row {
                    doc: $crate::settings::RowDoc {
                        name: $name,
                        syntax: $reader.syntax,
                        default: concat!($($text)?),
                        levels: $levels,
                        arity: $reader.arity,
                        about: $about,
                    },
                    apply: |group, directive, scope| {
                        $crate::settings::settings!(@$how group.$field, directive, $reader, scope)
                    },
                },
            )*];

            fn inherit(&mut self, outer: &Self) {
                $($crate::settings::settings!(@inherit self.$field, outer $(, $rule)?);)*
            }
        }
    };
    (@inherit $group:ident.$field:ident, $outer:ident) => {
        $group.$field.inherit(&$outer.$field)
    };
    (@inherit $group:ident.$field:ident, $outer:ident, $rule:ident) => {
        $group.$field.inherit_by(*$group.$rule, &$outer.$field)
    };
    (@once $group:ident.$field:ident, $directive:ident, $reader:expr, $scope:ident) => {{
        if $group.$field.is_written() {
            return Err($directive.duplicate());
        }
        $group.$field = $crate::settings::Setting::written(($reader.read)($directive, $scope)?);
        Ok(())
    }};
    (@each $group:ident.$field:ident, $directive:ident, $reader:expr, $scope:ident) => {{
        $group.$field.append(($reader.read)($directive, $scope)?);
        Ok(())
    }};
    (@joined $group:ident.$field:ident, $directive:ident, $reader:expr, $scope:ident) => {{
        $group.$field.join(($reader.read)($directive, $scope)?);
        Ok(())
    }};
}

pub(crate) use settings;
