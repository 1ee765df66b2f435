//! The commands there are, and their parameters.

use super::{document::Mistake, scanner::Command};

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Include,
    Echo,
    Config,
    Set,
    If,
    Elif,
    Else,
    EndIf,
    Block,
    EndBlock,
}

/// A command's row: its kind, its name, parameters that it needs, parameters that it may have.
type Row = (Kind, &'static str, &'static [&'static str], &'static [&'static str]);

const ROWS: [Row; 10] = [
    (Kind::Include, "include", &[], &["virtual", "file", "wait", "set", "stub"]),
    (Kind::Echo, "echo", &["var"], &["default", "encoding"]),
    (Kind::Config, "config", &[], &["errmsg", "timefmt"]),
    (Kind::Set, "set", &["var", "value"], &[]),
    (Kind::If, "if", &["expr"], &[]),
    (Kind::Elif, "elif", &["expr"], &[]),
    (Kind::Else, "else", &[], &[]),
    (Kind::EndIf, "endif", &[], &[]),
    (Kind::Block, "block", &["name"], &[]),
    (Kind::EndBlock, "endblock", &[], &[]),
];

impl Kind {
    /// Finds a command by its name.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        ROWS.iter().find(|(_, known, _, _)| known.as_bytes() == name).map(|(kind, ..)| *kind)
    }

    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> &'static Row {
        ROWS.iter().find(|(kind, ..)| *kind == self).expect("each kind has a row")
    }
}

/// The parameters of a command: all of them known, none twice, none missing.
pub(super) struct Parameters<'a>(&'a [(Vec<u8>, Vec<u8>)]);

impl<'a> Parameters<'a> {
    /// Checks a command's parameters.
    pub(super) fn of(command: &'a Command, kind: Kind) -> Result<Self, Mistake> {
        let (_, name, needed, optional) = kind.row();
        let given = &command.parameters[..];
        for (at, (parameter, _)) in given.iter().enumerate() {
            let is_it = |known: &&&str| known.as_bytes() == parameter;
            if needed.iter().chain(*optional).find(is_it).is_none() {
                return Err(Mistake::UnknownParameter(parameter.clone(), name));
            }
            if given[..at].iter().any(|(earlier, _)| earlier == parameter) {
                return Err(Mistake::DuplicateParameter(parameter.clone(), name));
            }
        }
        let parameters = Self(given);
        match needed.iter().find(|needed| parameters.get(needed).is_none()) {
            Some(missing) => Err(Mistake::MissingParameter(missing, name)),
            None => Ok(parameters),
        }
    }

    /// Returns the value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// Returns the value of a parameter that the command needs.
    pub(super) fn needed(&self, name: &str) -> &'a [u8] {
        self.get(name).expect("a command without it has been refused")
    }
}

impl Command {
    /// Appends the command as it is written, for a block that keeps it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<!--#");
        out.extend_from_slice(&self.name);
        for (name, value) in &self.parameters {
            out.push(b' ');
            out.extend_from_slice(name);
            out.extend_from_slice(b"=\"");
            out.extend_from_slice(value);
            out.push(b'"');
        }
        out.extend_from_slice(b" -->");
    }
}
