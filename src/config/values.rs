//! Values as nginx reads them: flags, sizes, times, numbers, text with variables.

use std::time::Duration;

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{Arity, Reader},
    source::Problem,
    template::Template,
};

/// `on` or `off`.
pub const FLAG: Reader<bool> = pending("on | off");
/// Bytes: `10`, `10k`, `10m`.
pub const SIZE: Reader<u64> = pending("size");
/// Bytes that may also be given in `g`.
pub const OFFSET: Reader<u64> = pending("size");
/// A time to the millisecond.
pub const TIME: Reader<Duration> = pending("time");
/// A number.
pub const NUMBER: Reader<u64> = pending("number");
/// Text with variables.
pub const TEXT: Reader<Template> = pending("string");
/// Several texts with variables.
pub const TEXTS: Reader<Vec<Template>> = pending("string ...");

/// A reader still to be written.
pub const fn pending<T>(syntax: &'static str) -> Reader<T> {
    fn read<T>(directive: &Directive, _: &Scope<'_>) -> Result<T, Problem> {
        Err(directive.duplicate())
    }
    Reader { arity: Arity::at_least(1), syntax, read: read::<T> }
}
