//! Where configuration text comes from: files, what they include, the command line, and our own texts.
//!
//! [`Texts`] keeps all of it, so that [`Span`]s can be turned into places that people can read.

use std::{
    borrow::Cow,
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::diagnostic::{Diagnostic, Level, Place};

/// Name of the text given with `-g`, as nginx calls it.
pub const COMMAND_LINE: &str = "command line";

/// Number of the main text.
pub const MAIN: usize = 0;

/// The types every installation has.
const MIME_TYPES: &str = include_str!("../../conf/mime.types");

/// What to read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Directory that relative paths start from (`-p`).
    pub prefix: PathBuf,
    /// The main text.
    pub main: MainText,
    /// Directives given on the command line (`-g`), read before the main text.
    pub globals: Option<String>,
    /// Log to start with, and to keep where no `error_log` is written (`-e`).
    pub error_log: Option<PathBuf>,
}

/// The main text.
#[derive(Debug, Clone)]
pub enum MainText {
    /// A file (`-c`); relative to the prefix.
    File(PathBuf),
    /// Text of ours, and the name it goes by. It may include `mime.types`, which is then ours too.
    Embedded {
        /// Name in messages.
        name: PathBuf,
        /// The text.
        text: String,
    },
}

/// A text that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, as messages show it.
    pub path: PathBuf,
    /// Its bytes.
    pub text: Arc<[u8]>,
}

/// A place in a text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Number of the text.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Byte past the last.
    pub end: usize,
}

/// Something to say about a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// In nginx's words where it has some.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to do about it.
    pub help: Option<String>,
    /// When nginx would meet it.
    pub met: Met,
}

/// When nginx, which stops at the first problem, would meet one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// When it reads the place.
    There,
    /// At the end of a block, which is this.
    Behind(Span),
    /// At the end of `http`, when levels inherit from each other.
    Inheriting,
    /// Behind that, when addresses and their servers are looked at.
    Listening,
    /// Behind that, when variables get their meaning.
    Naming,
    /// When all is read.
    AtLast,
}

impl Span {
    /// The place of what is about no text at all.
    pub const NOWHERE: Self = Self { file: usize::MAX, start: 0, end: 0 };
}

impl Problem {
    /// Makes an error about the configuration as a whole.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self::new(Span::NOWHERE, message).met(Met::AtLast)
    }

    /// Makes an error.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Emerg, message: message.into(), span, help: None, met: Met::There }
    }

    /// Makes a warning.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Warn, ..Self::new(span, message) }
    }

    /// Says when nginx would meet it.
    #[must_use]
    pub fn met(self, met: Met) -> Self {
        Self { met, ..self }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to do about it, where there is something.
    #[must_use]
    pub fn with_help_if(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// All texts of a run.
#[derive(Debug)]
pub struct Texts {
    files: Vec<SourceFile>,
    /// Where each of them was first included; nowhere for those that are not.
    included_at: Vec<Option<Span>>,
    /// Directory that `include` starts from: the main file's.
    directory: PathBuf,
    /// Whether `mime.types` may be ours.
    embedded: bool,
}

impl Texts {
    /// Reads the main text, which becomes number 0, and the command line's, number 1 where there is one; or says in nginx's
    /// words why it cannot.
    pub fn open(source: &Source) -> Result<Self, String> {
        let (path, text, embedded) = match &source.main {
            MainText::File(path) => {
                let path = source.prefix.join(path);
                let text = fs::read(&path).map_err(|error| open_failed(&path, &error))?;
                (path, text, false)
            }
            MainText::Embedded { name, text } => (name.clone(), text.clone().into_bytes(), true),
        };
        let directory = source.prefix.join(path.parent().unwrap_or(Path::new("")));
        let mut files = vec![SourceFile { path, text: text.into() }];
        if let Some(globals) = &source.globals {
            files.push(SourceFile { path: PathBuf::from(COMMAND_LINE), text: globals.as_bytes().into() });
        }
        let included_at = vec![None; files.len()];
        Ok(Self { files, included_at, directory, embedded })
    }

    /// Returns a text.
    pub fn text(&self, file: usize) -> Arc<[u8]> {
        Arc::clone(&self.files[file].text)
    }

    /// Returns the directory of the main file.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the number of the command line's text, where there is one.
    pub fn command_line(&self) -> Option<usize> {
        self.files.iter().position(|file| file.path == Path::new(COMMAND_LINE))
    }

    /// Returns nginx's words for a directive that the end of a text cuts off.
    pub fn end_message(&self, file: usize) -> &'static str {
        if self.command_line() == Some(file) {
            "unexpected end of parameter, expecting \";\""
        } else {
            "unexpected end of file, expecting \";\" or \"}\""
        }
    }

    /// Returns the numbers of the files that an `include` names, in order, or nginx's words for why it cannot.
    ///
    /// As nginx: a mask may match nothing, a plain name must be there; names start from the main file's directory.
    pub fn included(&mut self, name: &Path, at: Span) -> Result<Vec<usize>, String> {
        let path = self.directory.join(name);
        let is_mask = path.to_string_lossy().contains(['*', '?', '[']);
        if !is_mask {
            return self.read(&path, at).map(|file| vec![file]);
        }
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let found = glob::glob_with(&path.to_string_lossy(), options)
            .map_err(|error| format!("invalid mask \"{}\": {}", path.display(), error.msg))?;
        found.flatten().map(|path| self.read(&path, at)).collect()
    }

    fn read(&mut self, path: &Path, at: Span) -> Result<usize, String> {
        if let Some(known) = self.files.iter().position(|file| file.path == path) {
            return Ok(known);
        }
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(_) if self.embedded && path == self.directory.join("mime.types") => MIME_TYPES.into(),
            Err(error) => return Err(open_failed(path, &error)),
        };
        self.files.push(SourceFile { path: path.to_owned(), text: text.into() });
        self.included_at.push(Some(at));
        Ok(self.files.len() - 1)
    }

    /// Returns what compares two places by which is read first: the ways to them through all that includes.
    fn reading_order(&self, span: Span) -> Vec<usize> {
        let mut way = vec![span.start, span.file];
        let mut file = span.file;
        while let Some(Some(include)) = self.included_at.get(file) {
            way.extend([include.start, include.file]);
            file = include.file;
        }
        // The command line is read before the main text.
        way.push(usize::from(self.command_line() != Some(file)));
        way.reverse();
        way
    }

    /// Puts problems in the order nginx would meet them, and drops what is told twice; `whole` is the place where `http` ends.
    pub fn in_order(&self, mut problems: Vec<Problem>, whole: Span) -> Vec<Problem> {
        problems.sort_by_cached_key(|problem| {
            let (met, stage) = match problem.met {
                Met::There => (problem.span, 0),
                Met::Behind(end) => (end, 1),
                Met::Inheriting => (whole, 2),
                Met::Listening => (whole, 3),
                Met::Naming => (whole, 4),
                Met::AtLast => (Span::NOWHERE, 5),
            };
            (self.reading_order(met), stage, self.reading_order(problem.span))
        });
        let mut seen = HashSet::new();
        problems.retain(|problem| seen.insert((problem.span, problem.message.clone())));
        problems
    }

    /// Turns a problem into something to show.
    pub fn diagnose(&self, problem: Problem) -> Diagnostic {
        let Problem { level, message, span, help, met: _ } = problem;
        Diagnostic { level, message, place: self.place(span), help }
    }

    /// Finds a place that people can read; there is none in what is no text.
    pub fn place(&self, span: Span) -> Option<Place> {
        let file = self.files.get(span.file)?;
        Some(Place::find(&file.path, &file.text, span.start..span.end))
    }

    /// Returns the files themselves, the command line left out.
    pub fn into_files(mut self) -> Vec<SourceFile> {
        self.files.retain(|file| file.path != Path::new(COMMAND_LINE));
        self.files
    }
}

/// Says in nginx's words why a file cannot be opened.
pub fn open_failed(path: &Path, error: &io::Error) -> String {
    format!("open() \"{}\" failed ({})", path.display(), system_words(error))
}

/// Writes a system error as nginx does: `2: No such file or directory`.
pub fn system_words(error: &io::Error) -> Cow<'static, str> {
    let words = error.to_string();
    match (error.raw_os_error(), words.split_once(" (os error")) {
        (Some(code), Some((words, _))) => Cow::Owned(format!("{code}: {words}")),
        _ => Cow::Owned(words),
    }
}
