//! `try_files`.

use super::error_page::parse_status;
use crate::{parse::Directive, scope::Scope, source::Problem, template::Template};

/// `try_files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryFiles {
    /// What is looked for, in order.
    pub files: Vec<TriedFile>,
    /// What comes where none of them is there.
    pub fallback: Fallback,
}

/// A file that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedFile {
    /// Its path below the directory in force, without the slash that asks for a directory.
    pub path: Template,
    /// What it has to be.
    pub kind: TriedKind,
}

/// What a file has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriedKind {
    /// No directory.
    File,
    /// A directory: a slash is written behind it.
    Directory,
}

/// What comes where no file is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// `=code`.
    Status(u16),
    /// A path to be redirected to inside, or `@name`.
    Uri(Template),
}

/// Reads `try_files FILE ... URI|=CODE`.
pub fn try_files(directive: &Directive, scope: &Scope<'_>) -> Result<TryFiles, Problem> {
    let last = directive.args.len() - 1;
    let file = |number| {
        let (path, kind) = match directive.bytes(number) {
            [path @ .., b'/'] => (path, TriedKind::Directory),
            path => (path, TriedKind::File),
        };
        Ok(TriedFile { path: scope.compile(directive, number, path)?, kind })
    };
    let fallback = match directive.bytes(last) {
        [b'=', code @ ..] => Fallback::Status(
            parse_status(code)
                .ok_or_else(|| directive.fail(last, format!("invalid code \"{}\"", directive.text(last))))?,
        ),
        _ => Fallback::Uri(scope.template(directive, last)?),
    };
    Ok(TryFiles { files: (0..last).map(file).collect::<Result<_, Problem>>()?, fallback })
}
