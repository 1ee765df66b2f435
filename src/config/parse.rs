//! Tokens to directives with positions.

use crate::source::{Problem, Span};

/// A word of the text, quotes and escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes.
    pub text: Vec<u8>,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// A directive: a name, arguments, and perhaps a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: Word,
    /// Its arguments.
    pub args: Vec<Word>,
    /// What stands between its braces.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// Says whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.text == name.as_bytes()
    }

    /// Returns its name as text.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.name.text)
    }

    /// Makes the error for a directive that is there already.
    pub fn duplicate(&self) -> Problem {
        Problem::new(self.name.span, format!("\"{}\" directive is duplicate", self.name()))
    }
}
