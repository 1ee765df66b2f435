//! Text with variables, compiled when the configuration is read.
//!
//! Values come from a [`VariableSource`]; this file knows none of them.

use crate::variable::Variable;

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

    /// Appends what a group of the last expression caught; false says that it caught nothing.
    fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool;
}

/// Why a text cannot be compiled, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A `$` without a name: the text from there on.
    #[error("invalid variable name")]
    NoName(String),
    /// A `${` without its `}`.
    #[error("the closing bracket in \"{0}\" variable is missing")]
    NoBracket(String),
    /// No such variable.
    #[error("unknown \"{0}\" variable")]
    Unknown(String),
}

impl Template {
    /// Compiles a text; `find` turns names into variables.
    pub fn compile(text: &[u8], find: impl Fn(&str) -> Option<Variable>) -> Result<Self, InvalidTemplate> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            push_text(&mut parts, &rest[..dollar]);
            let from_dollar = &rest[dollar..];
            let (name, behind) = variable_name(&from_dollar[1..])?;
            rest = behind;
            // As nginx: one digit only, so that `$10` is `$1` and a zero.
            parts.push(match name.as_bytes() {
                [digit @ b'1'..=b'9'] => Part::Capture(usize::from(digit - b'0')),
                [] => return Err(InvalidTemplate::NoName(String::from_utf8_lossy(from_dollar).into_owned())),
                _ => Part::Variable(find(name).ok_or_else(|| InvalidTemplate::Unknown(name.to_owned()))?),
            });
        }
        push_text(&mut parts, rest);
        Ok(Self { parts })
    }

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
                Part::Capture(number) => {
                    source.write_capture(*number, out);
                }
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

fn push_text(parts: &mut Vec<Part>, text: &[u8]) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_vec()));
    }
}

/// Splits what follows a `$` into a name and the rest.
fn variable_name(text: &[u8]) -> Result<(&str, &[u8]), InvalidTemplate> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let (bracketed, text) = match text {
        [b'{', inner @ ..] => (true, inner),
        _ => (false, text),
    };
    let length = match text.first() {
        Some(b'1'..=b'9') => 1,
        _ => text.iter().position(|byte| !is_name(byte)).unwrap_or(text.len()),
    };
    let name = str::from_utf8(&text[..length]).expect("names are ASCII");
    match (bracketed, &text[length..]) {
        (false, rest) => Ok((name, rest)),
        (true, [b'}', rest @ ..]) => Ok((name, rest)),
        (true, _) => Err(InvalidTemplate::NoBracket(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Result<Template, String> {
        Template::compile(text.as_bytes(), Variable::named).map_err(|error| error.to_string())
    }

    #[test]
    fn text_variables_and_captures_are_told_apart() {
        let text = |text: &str| Part::Text(text.as_bytes().to_vec());
        let cases = [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            ("$uri", vec![Part::Variable(Variable::Uri)]),
            ("a${uri}b", vec![text("a"), Part::Variable(Variable::Uri), text("b")]),
            ("$uri$is_args", vec![Part::Variable(Variable::Uri), Part::Variable(Variable::IsArgs)]),
            ("$1-${2}$10", vec![Part::Capture(1), text("-"), Part::Capture(2), Part::Capture(1), text("0")]),
            ("$http_x_y.", vec![Part::Variable(Variable::Http("x-y".into())), text(".")]),
        ];
        for (written, wanted) in cases {
            assert_eq!(compiled(written), Ok(Template::from_parts(wanted)), "{written}");
        }
    }

    #[test]
    fn errors_read_as_nginxs() {
        let cases = [
            ("a$", "invalid variable name"),
            ("a$-b", "invalid variable name"),
            ("${uri", "the closing bracket in \"uri\" variable is missing"),
            ("${uri-}", "the closing bracket in \"uri\" variable is missing"),
            ("${}", "invalid variable name"),
            ("$nothing", "unknown \"nothing\" variable"),
        ];
        for (written, wanted) in cases {
            assert_eq!(compiled(written), Err(wanted.to_owned()), "{written}");
        }
    }

    #[test]
    fn values_are_put_in() {
        struct Fixed;
        impl VariableSource for Fixed {
            fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
                out.extend_from_slice(if *variable == Variable::Uri { b"/x" } else { b"" });
                *variable == Variable::Uri
            }

            fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
                out.extend_from_slice(if number == 1 { b"one" } else { b"" });
                number == 1
            }
        }
        let template = compiled("[$uri][$args][$1][$2]").expect("it compiles");
        assert_eq!(template.expand(&Fixed), b"[/x][][one][]");
        assert_eq!(template.as_text(), None);
        assert_eq!(compiled("abc").expect("it compiles").as_text(), Some(&b"abc"[..]));
    }
}
