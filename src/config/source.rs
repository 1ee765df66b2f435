//! Where configuration text comes from, and what is told about a place in it.

use std::path::PathBuf;

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
    pub text: Vec<u8>,
}

/// A place in a [`SourceFile`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Number of the file.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Byte past the last.
    pub end: usize,
}

/// How bad it is, in nginx's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Larder cannot start.
    Emerg,
    /// Odd but fine.
    Warn,
    /// Good to know.
    Notice,
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
}

impl Problem {
    /// Makes an error.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Emerg, message: message.into(), span, help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Something to say about the configuration, with all that is needed to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// In nginx's words where it has some.
    pub message: String,
    /// Path of the file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What to do about it.
    pub help: Option<String>,
}
