//! What is wrong with a configuration, and how it is shown: nginx's line first, then the place and what to do.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{AnnotationKind, Group, Renderer, Snippet};

use crate::source::COMMAND_LINE;

/// How bad it is, in nginx's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Larder cannot start.
    Emerg,
    /// Odd but fine.
    Warn,
}

/// Something to say about the configuration, with all that is needed to show it.
///
/// Its first line reads as nginx's: `[emerg] MESSAGE in FILE:LINE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// In nginx's words where it has some.
    pub message: String,
    /// Where; absent where it is about no text at all.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line itself.
    pub text: String,
    /// What of it is meant, in bytes of [`Self::text`].
    pub marked: Range<usize>,
}

impl Diagnostic {
    /// Makes an error that is about no text.
    pub fn bare(message: impl Into<String>) -> Self {
        Self { level: Level::Emerg, message: message.into(), place: None, help: None }
    }
}

impl Place {
    /// Finds line and column of a range of bytes; what runs over several lines is marked on the first.
    pub(crate) fn find(file: &Path, text: &[u8], range: Range<usize>) -> Self {
        let line_start = memchr::memrchr(b'\n', &text[..range.start]).map_or(0, |newline| newline + 1);
        let line_end =
            memchr::memchr(b'\n', &text[range.start..]).map_or(text.len(), |found| range.start + found);
        let shown = |from: usize, to: usize| String::from_utf8_lossy(&text[from..to]).into_owned();
        let before = shown(line_start, range.start);
        let marked = shown(range.start, range.end.clamp(range.start, line_end));
        let after = shown(range.start + (range.end.clamp(range.start, line_end) - range.start), line_end);
        Self {
            file: file.to_owned(),
            line: memchr::memchr_iter(b'\n', &text[..range.start]).count() + 1,
            column: before.chars().count() + 1,
            marked: before.len()..before.len() + marked.len(),
            text: format!("{before}{marked}{}", after.trim_end_matches('\r')),
        }
    }

    fn is_command_line(&self) -> bool {
        self.file == Path::new(COMMAND_LINE)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emerg => "emerg",
            Self::Warn => "warn",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.level, self.message)?;
        let level = match self.level {
            Level::Emerg => annotate_snippets::Level::ERROR,
            Level::Warn => annotate_snippets::Level::WARNING,
        };
        let help = || self.help.as_deref().map(|help| annotate_snippets::Level::HELP.message(help));
        let Some(place) = &self.place else {
            return self.help.as_deref().map_or(Ok(()), |help| write!(f, "\n  = help: {help}"));
        };
        write!(f, " in {}", place.file.display())?;
        if !place.is_command_line() {
            write!(f, ":{}", place.line)?;
        }
        let path = place.file.to_string_lossy();
        let snippet = Snippet::source(&*place.text)
            .line_start(place.line)
            .path(path)
            .annotation(AnnotationKind::Primary.span(place.marked.clone()));
        let mut group = Group::with_level(level).element(snippet);
        if let Some(help) = help() {
            group = group.element(help);
        }
        write!(f, "\n{}", Renderer::plain().render(&[group]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(help: Option<&str>) -> Diagnostic {
        let text = b"http {\n    root \"\xc3\xa4\" x;\n}\n";
        let place = Place::find(Path::new("/etc/n.conf"), text, 21..22);
        let help = help.map(str::to_owned);
        Diagnostic { level: Level::Emerg, message: "bad \"x\"".to_owned(), place: Some(place), help }
    }

    #[test]
    fn the_first_line_is_nginxs_and_the_place_follows() {
        let wanted = concat!(
            "[emerg] bad \"x\" in /etc/n.conf:2\n",
            " --> /etc/n.conf:2:14\n",
            "  |\n",
            "2 |     root \"ä\" x;\n",
            "  |              ^\n",
            "  |\n",
            "  = help: try y",
        );
        assert_eq!(diagnostic(Some("try y")).to_string(), wanted);
    }

    #[test]
    fn without_a_place_there_is_one_line() {
        assert_eq!(Diagnostic::bare("open() failed").to_string(), "[emerg] open() failed");
    }

    #[test]
    fn the_command_line_has_no_line_number() {
        let place = Place::find(Path::new(COMMAND_LINE), b"daemon x;", 7..8);
        let shown = Diagnostic { place: Some(place), ..diagnostic(None) }.to_string();
        assert!(shown.starts_with("[emerg] bad \"x\" in command line\n"), "{shown}");
    }
}
