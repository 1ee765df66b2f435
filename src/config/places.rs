//! Where directives are written whose mistakes show only when the files that they name are read.

use std::{collections::BTreeMap, fmt};

use crate::{
    diagnostic::{Diagnostic, Level, Place},
    parse::Directive,
    scope::Scope,
    source::Span,
};

/// Places of directives at one level, those of the outer levels that hold there included.
#[derive(Clone, Default)]
pub struct Places(BTreeMap<String, Vec<Written>>);

#[derive(Clone)]
struct Written {
    span: Span,
    place: Option<Place>,
    /// The first argument.
    value: String,
}

impl Places {
    /// Notes a directive that was applied.
    pub(crate) fn note(&mut self, directive: &Directive, scope: &Scope<'_>) {
        let span = directive.name.span;
        let value = directive.args.first().map_or_else(String::new, |_| directive.text(0).into_owned());
        let written = Written { span, place: scope.place(span), value };
        self.0.entry(directive.name().into_owned()).or_default().push(written);
    }

    /// Takes from the outer level what this one did not write.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        for (name, written) in &outer.0 {
            self.0.entry(name.clone()).or_insert_with(|| written.clone());
        }
    }

    /// Returns where in the texts a directive is written last, and its first argument.
    pub(crate) fn last(&self, directive: &str) -> Option<(Span, &str)> {
        self.0.get(directive)?.last().map(|written| (written.span, &*written.value))
    }

    /// Returns where a directive is written, of those with the same name the one with this number.
    pub fn of(&self, directive: &str, number: usize) -> Option<&Place> {
        self.0.get(directive)?.get(number)?.place.as_ref()
    }

    /// Makes something to say about a directive.
    pub fn diagnostic(
        &self,
        level: Level,
        directive: &str,
        number: usize,
        message: impl Into<String>,
    ) -> Diagnostic {
        let place = self.of(directive, number).cloned();
        Diagnostic { level, place, ..Diagnostic::bare(message) }
    }
}

/// Two configurations that differ in where something stands are alike.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}
