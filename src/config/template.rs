//! Text with variables, compiled when the configuration is read, and the list of all variables.
//!
//! Values come from a [`VariableSource`]; this file knows none of them.

pub use crate::variable::Variable;

/// Text with variables and captures in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(Vec<u8>),
    /// `$name`.
    Variable(Variable),
    /// `$1` to `$9`: a group of the last expression that matched.
    Capture(usize),
}

/// Knows the values of variables.
pub trait VariableSource {
    /// Appends a variable's value; false says that it has none, which reads as empty text or `-` in a log.
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool;

    /// Returns what a group of the last expression caught.
    fn capture(&self, number: usize) -> Option<&[u8]>;
}

impl Template {
    /// Makes a template of plain text.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] } }
    }

    /// Makes a template of pieces.
    pub fn from_parts(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// Returns its pieces.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Says whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns its text, where no variable is in it.
    pub fn as_text(&self) -> Option<&[u8]> {
        match &self.parts[..] {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with each variable's value put in.
    pub fn write(&self, out: &mut Vec<u8>, source: &(impl VariableSource + ?Sized)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Variable(variable) => {
                    source.write(variable, out);
                }
                Part::Capture(number) => out.extend_from_slice(source.capture(*number).unwrap_or_default()),
            }
        }
    }

    /// Returns the text with each variable's value put in.
    pub fn expand(&self, source: &(impl VariableSource + ?Sized)) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, source);
        out
    }
}
