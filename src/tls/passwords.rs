//! `ssl_password_file`: the passphrases that encrypted keys are tried with, a line each.
//!
//! The file may be a named pipe, so that it is read once and never looked at before.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use config::system_words;
use thiserror::Error;

/// Passphrases in the order of their file.
#[derive(Default)]
pub struct Passwords {
    lines: Vec<Vec<u8>>,
}

/// What is wrong with a file of passphrases, in nginx's words.
#[derive(Debug, Error)]
pub enum PasswordsError {
    /// It cannot be opened.
    #[error("open() \"{}\" failed ({})", path.display(), system_words(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("read() \"{}\" failed ({})", path.display(), system_words(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is longer than nginx takes.
    #[error("too long line in \"{}\"", path.display())]
    Line {
        /// The file.
        path: PathBuf,
    },
}

/// As nginx: a line and its end must fit into this.
const LONGEST_LINE: usize = 4096;
/// No file of passphrases is longer.
const MOST_BYTES: u64 = 1 << 20;

impl Passwords {
    /// Reads a file, which blocks until a writer comes where it is a named pipe.
    pub fn read(path: &Path) -> Result<Self, PasswordsError> {
        let named = || path.to_path_buf();
        let file = fs::File::open(path).map_err(|source| PasswordsError::Open { path: named(), source })?;
        let mut text = Vec::new();
        file.take(MOST_BYTES)
            .read_to_end(&mut text)
            .map_err(|source| PasswordsError::Read { path: named(), source })?;
        Self::parse(&text).ok_or_else(|| PasswordsError::Line { path: named() })
    }

    /// Takes the lines that have something in them; `None` where one is too long.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            if line.len() >= LONGEST_LINE {
                return None;
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                lines.push(line.to_vec());
            }
        }
        Some(Self { lines })
    }

    /// The passphrases, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }
}

/// Shows how many there are and none of them.
impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({})", self.lines.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passphrases() {
        let long = "a".repeat(LONGEST_LINE - 1);
        let table: &[(&str, Option<Vec<&str>>)] = &[
            ("", Some(vec![])),
            ("one\n", Some(vec!["one"])),
            ("one", Some(vec!["one"])),
            ("one\r\n\r\n\n two \n", Some(vec!["one", " two "])),
            (&long, Some(vec![&long])),
            (&format!("{long}a\n"), None),
        ];
        for (text, wanted) in table {
            let read = Passwords::parse(text.as_bytes());
            let read =
                read.map(|read| read.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect());
            assert_eq!(
                read,
                wanted.clone().map(|lines| lines.into_iter().map(str::to_owned).collect::<Vec<_>>())
            );
        }
    }

    #[test]
    fn a_named_pipe_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, "secret\n").unwrap()
        });
        let read = Passwords::read(&path).unwrap();
        writer.join().unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), [b"secret"]);
        assert_eq!(format!("{read:?}"), "Passwords(1)");
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = Passwords::read(Path::new("/nowhere/a")).unwrap_err();
        assert_eq!(error.to_string(), "open() \"/nowhere/a\" failed (2: No such file or directory)");
    }
}
