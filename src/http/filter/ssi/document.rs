//! What the commands of a page mean: which texts are shown, what stands in the place of a command.
//!
//! Pure: it says what is to be included and does not do it. Variables and blocks are those of the whole page, which all
//! documents in it share; conditions and formats are each document's own. As nginx, down to the order of the checks.

use std::{cell::RefCell, fmt};

use bytes::Bytes;
use config::Captures;
use http1::EscapeKind;

use super::{
    commands::{Kind, Parameters},
    expressions::Expressions,
    scanner::Command,
    text::{Answer, Verdict, evaluate, test},
};

/// What a whole page has: the same for all documents in it.
#[derive(Debug, Default)]
pub struct Page {
    variables: Vec<(String, Vec<u8>)>,
    blocks: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Page {
    /// Gives a variable a value.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// What a document asks of the request that it is the answer to.
pub(super) trait Surroundings {
    /// What all documents of the page share.
    fn page(&self) -> &RefCell<Page>;
    /// The value of a variable of the configuration's, or of the program's own.
    fn variable(&self, name: &str, time_format: &[u8]) -> Option<Vec<u8>>;
    /// The path that relative ones start from.
    fn path(&self) -> &[u8];
    /// Where compiled expressions are kept.
    fn expressions(&self) -> &Expressions;
}

/// What comes in the place of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// A text.
    Show(Bytes),
    /// The answer to another request.
    Include(Include),
}

/// An answer to be included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Include {
    /// Path and arguments, as they are written.
    pub target: Vec<u8>,
    /// What becomes of it.
    pub becomes: Becomes,
}

/// What becomes of an answer that is included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Becomes {
    /// It is shown while the document goes on.
    Shown,
    /// It is shown, and the document waits for its end.
    ShownFirst,
    /// It is shown, or this text where it is empty or fails; `wait` as above.
    OrElse(Bytes, Wait),
    /// It is the value of a variable.
    Value(String),
}

/// Whether a document waits for what it includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It goes on.
    Not,
    /// It waits for the end.
    Whole,
}

/// What is wrong with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mistake {
    /// There is no such command.
    UnknownCommand(Vec<u8>),
    /// It makes no sense here.
    Context(&'static str),
    /// `if` in `if`.
    NestedIf,
    /// A parameter comes twice.
    DuplicateParameter(Vec<u8>, &'static str),
    /// A parameter of that name is not known.
    UnknownParameter(Vec<u8>, &'static str),
    /// A parameter is needed.
    MissingParameter(&'static str, &'static str),
    /// `include` of nothing.
    NothingToInclude,
    /// `include` of two things.
    TwoInclusions(Vec<u8>, Vec<u8>),
    /// `set` with `stub`.
    SetAndStub,
    /// `wait` with `file`.
    WaitForFile(Vec<u8>),
    /// `wait` is neither `yes` nor `no`.
    InvalidWait(Vec<u8>),
    /// There is no block of that name.
    UnknownStub(Vec<u8>),
    /// An expression has no form that is known.
    InvalidExpression(Vec<u8>),
    /// A regular expression is none, or gave up.
    Regex(String),
    /// A `$` without a name.
    InvalidVariable(Vec<u8>),
    /// A `${` without an end.
    NoBracket(Vec<u8>),
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::UnknownCommand(name) => write!(out, "invalid SSI command: \"{}\"", text(name)),
            Self::Context(command) => write!(out, "invalid context of SSI command: \"{command}\""),
            Self::NestedIf => out.write_str("the \"if\" command inside the \"if\" command"),
            Self::DuplicateParameter(name, command) => {
                write!(out, "duplicate \"{}\" parameter in \"{command}\" SSI command", text(name))
            }
            Self::UnknownParameter(name, command) => {
                write!(out, "invalid parameter name: \"{}\" in \"{command}\" SSI command", text(name))
            }
            Self::MissingParameter(name, command) => {
                write!(out, "mandatory \"{name}\" parameter is absent in \"{command}\" SSI command")
            }
            Self::NothingToInclude => out.write_str("no parameter in \"include\" SSI command"),
            Self::TwoInclusions(address, file) => {
                write!(
                    out,
                    "inclusion may be either virtual=\"{}\" or file=\"{}\"",
                    text(address),
                    text(file)
                )
            }
            Self::SetAndStub => {
                out.write_str("\"set\" and \"stub\" cannot be used together in \"include\" SSI command")
            }
            Self::WaitForFile(file) => write!(out, "\"wait\" cannot be used with file=\"{}\"", text(file)),
            Self::InvalidWait(value) => {
                write!(out, "invalid value \"{}\" in the \"wait\" parameter", text(value))
            }
            Self::UnknownStub(name) => {
                write!(out, "\"stub\"=\"{}\" for \"include\" not found", text(name))
            }
            Self::InvalidExpression(expression) => {
                write!(out, "invalid expression in \"{}\"", text(expression))
            }
            Self::Regex(words) => out.write_str(words),
            Self::InvalidVariable(value) => write!(out, "invalid variable name in \"{}\"", text(value)),
            Self::NoBracket(name) => {
                write!(out, "the closing bracket in \"{}\" variable is missing", text(name))
            }
        }
    }
}

/// One document on its way through its commands.
pub(super) struct Document {
    branch: Branch,
    /// Whether one branch of the condition has been taken.
    is_decided: bool,
    display: Display,
    /// What stands in the place of a command with a mistake.
    pub error_message: Bytes,
    time_format: Vec<u8>,
    encoding: Encoding,
    caught: Captures,
}

/// Where in a condition a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Outside,
    /// Behind `if` or `elif`.
    If,
    /// Behind `else`.
    Else,
}

/// What becomes of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    Shown,
    Hidden,
    /// It is put into the block of that number.
    Kept(usize),
}

/// How `echo` writes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    None,
    Url,
    Entity,
}

impl Document {
    /// Begins a document.
    pub(super) fn new() -> Self {
        Self {
            branch: Branch::Outside,
            is_decided: false,
            display: Display::Shown,
            error_message: Bytes::from_static(b"[an error occurred while processing the directive]"),
            time_format: b"%A, %d-%b-%Y %H:%M:%S %Z".to_vec(),
            encoding: Encoding::Entity,
            caught: Captures::default(),
        }
    }

    /// Takes a text, and returns it if it is to be shown.
    pub(super) fn text(&self, text: Bytes, page: &RefCell<Page>) -> Option<Bytes> {
        match self.display {
            Display::Shown => Some(text),
            Display::Hidden => None,
            Display::Kept(block) => {
                page.borrow_mut().blocks[block].1.extend_from_slice(&text);
                None
            }
        }
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// What is wrong with it; it has had no effect then.
    pub(super) fn command(
        &mut self,
        command: &Command,
        around: &impl Surroundings,
    ) -> Result<Action, Mistake> {
        let Some(kind) = Kind::of(&command.name) else {
            let is_shown = self.display == Display::Shown;
            return if is_shown {
                Err(Mistake::UnknownCommand(command.name.clone()))
            } else {
                Ok(Action::Nothing)
            };
        };
        match self.display {
            Display::Kept(block) if kind != Kind::EndBlock => {
                command.write(&mut around.page().borrow_mut().blocks[block].1);
                return Ok(Action::Nothing);
            }
            Display::Hidden if !matches!(kind, Kind::EndBlock | Kind::Elif | Kind::Else | Kind::EndIf) => {
                return Ok(Action::Nothing);
            }
            Display::Shown | Display::Hidden | Display::Kept(_) => {}
        }
        let fits = match kind {
            Kind::Elif | Kind::Else => self.branch == Branch::If,
            Kind::EndIf => self.branch != Branch::Outside,
            _ => true,
        };
        if !fits {
            return Err(Mistake::Context(kind.name()));
        }
        let parameters = Parameters::of(command, kind)?;
        self.carry_out(kind, &parameters, around)
    }

    fn carry_out(
        &mut self,
        kind: Kind,
        parameters: &Parameters<'_>,
        around: &impl Surroundings,
    ) -> Result<Action, Mistake> {
        match kind {
            Kind::Include => return self.include(parameters, around).map(Action::Include),
            Kind::Echo => return Ok(self.echo(parameters, around)),
            Kind::Config => {
                if let Some(format) = parameters.get("timefmt") {
                    self.time_format = format.to_vec();
                }
                if let Some(message) = parameters.get("errmsg") {
                    self.error_message = Bytes::copy_from_slice(message);
                }
            }
            Kind::Set => {
                let value = self.evaluate(parameters.needed("value"), around)?;
                let name = lower(parameters.needed("var"));
                around.page().borrow_mut().set(&name, value);
            }
            Kind::If if self.branch != Branch::Outside => return Err(Mistake::NestedIf),
            Kind::If | Kind::Elif if self.is_decided => self.display = Display::Hidden,
            Kind::If | Kind::Elif => self.decide(parameters.needed("expr"), around)?,
            Kind::Else => {
                self.display = if self.is_decided { Display::Hidden } else { Display::Shown };
                self.branch = Branch::Else;
            }
            Kind::EndIf => {
                self.display = Display::Shown;
                self.is_decided = false;
                self.branch = Branch::Outside;
            }
            Kind::Block => {
                let blocks = &mut around.page().borrow_mut().blocks;
                blocks.push((parameters.needed("name").to_vec(), Vec::new()));
                self.display = Display::Kept(blocks.len() - 1);
            }
            Kind::EndBlock => self.display = Display::Shown,
        }
        Ok(Action::Nothing)
    }

    fn decide(&mut self, expression: &[u8], around: &impl Surroundings) -> Result<(), Mistake> {
        let Answer { verdict, caught } =
            test(expression, &|name| self.variable(name, around), around.expressions())?;
        self.branch = Branch::If;
        self.is_decided = verdict == Verdict::Holds;
        self.display = if self.is_decided { Display::Shown } else { Display::Hidden };
        if !caught.groups.is_empty() {
            self.caught = caught.groups;
        }
        let mut page = around.page().borrow_mut();
        caught.named.into_iter().for_each(|(name, value)| page.set(&name.to_ascii_lowercase(), value));
        Ok(())
    }

    fn echo(&mut self, parameters: &Parameters<'_>, around: &impl Surroundings) -> Action {
        match parameters.get("encoding") {
            Some(b"none") => self.encoding = Encoding::None,
            Some(b"url") => self.encoding = Encoding::Url,
            Some(b"entity") => self.encoding = Encoding::Entity,
            // As nginx: an encoding that is not known is no reason not to show the value.
            Some(_) | None => {}
        }
        let value = self.variable(&lower(parameters.needed("var")), around);
        let absent = || parameters.get("default").unwrap_or(b"(none)").to_vec();
        let value = value.unwrap_or_else(absent);
        Action::Show(match self.encoding {
            Encoding::None => value.into(),
            Encoding::Url => http1::escape_uri(&value, EscapeKind::Html).into_owned().into(),
            Encoding::Entity => escape_entities(&value).into(),
        })
    }

    fn include(&self, parameters: &Parameters<'_>, around: &impl Surroundings) -> Result<Include, Mistake> {
        let wait = parameters.get("wait");
        let (written, wait) = match (parameters.get("virtual"), parameters.get("file"), wait) {
            (Some(address), Some(file), _) => {
                return Err(Mistake::TwoInclusions(address.to_vec(), file.to_vec()));
            }
            (None, None, _) => return Err(Mistake::NothingToInclude),
            _ if parameters.get("set").is_some() && parameters.get("stub").is_some() => {
                return Err(Mistake::SetAndStub);
            }
            (None, Some(file), Some(_)) => return Err(Mistake::WaitForFile(file.to_vec())),
            // As nginx: files are waited for.
            (None, Some(file), None) => (file, Wait::Whole),
            (Some(address), None, None) => (address, Wait::Not),
            (Some(address), None, Some(wait)) if wait.eq_ignore_ascii_case(b"no") => (address, Wait::Not),
            (Some(address), None, Some(wait)) if wait.eq_ignore_ascii_case(b"yes") => (address, Wait::Whole),
            (Some(_), None, Some(wait)) => return Err(Mistake::InvalidWait(wait.to_vec())),
        };
        let mut target = self.evaluate(written, around)?;
        // As nginx: nothing written is the page's own directory, a variable without a value is a mistake.
        let is_some = written.is_empty() || !target.is_empty();
        if is_some && !target.starts_with(b"/") {
            let path = around.path();
            let directory = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            target.splice(..0, path[..directory].iter().copied());
        }
        let becomes = match (parameters.get("set"), parameters.get("stub"), wait) {
            (Some(name), _, _) => {
                around.page().borrow_mut().set(&lower(name), Vec::new());
                Becomes::Value(lower(name))
            }
            (None, Some(stub), wait) => {
                let page = around.page().borrow();
                let block = page.blocks.iter().find(|(name, _)| name == stub);
                let (_, text) = block.ok_or_else(|| Mistake::UnknownStub(stub.to_vec()))?;
                Becomes::OrElse(Bytes::copy_from_slice(text), wait)
            }
            (None, None, Wait::Whole) => Becomes::ShownFirst,
            (None, None, Wait::Not) => Becomes::Shown,
        };
        Ok(Include { target, becomes })
    }

    fn evaluate(&self, text: &[u8], around: &impl Surroundings) -> Result<Vec<u8>, Mistake> {
        evaluate(text, &|name| self.variable(name, around))
    }

    /// Finds a variable: a group of the last expression, one of the page, one of the request.
    fn variable(&self, name: &str, around: &impl Surroundings) -> Option<Vec<u8>> {
        if let [digit @ b'0'..=b'9'] = name.as_bytes()
            && let Some(group) = self.caught.group(usize::from(digit - b'0'))
        {
            return Some(group.to_vec());
        }
        let of_page = around.page().borrow().variable(name).map(<[u8]>::to_vec);
        of_page.or_else(|| around.variable(name, &self.time_format))
    }
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

fn escape_entities(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            byte => out.push(*byte),
        }
    }
    out
}

#[cfg(test)]
mod tests;
