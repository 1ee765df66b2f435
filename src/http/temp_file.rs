//! Temporary files, named and placed as nginx does: a number of ten digits, below directories of its last ones.
//!
//! Blocking: for threads made for that.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use config::TempPath;
use thiserror::Error;

use crate::error_log::system_words;

/// A new temporary file. It stays until somebody removes it.
#[derive(Debug)]
pub struct TempFile {
    /// Open for reading and writing.
    pub file: File,
    /// Its path.
    pub path: PathBuf,
}

/// What went wrong with a file, in nginx's words.
#[derive(Debug, Error)]
#[error("{call} {operands} failed ({})", system_words(source))]
pub struct FileError {
    call: &'static str,
    /// One path, or two; in quotes.
    operands: String,
    source: io::Error,
}

/// The number of the last file that this process made.
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// How far a taken number is passed by: another process may count up beside this one.
const STRIDE: u64 = 123_456;

impl TempFile {
    /// Makes a file under `place`, and the directories of its levels if need be.
    ///
    /// # Errors
    /// The system's, with the path that it is about.
    pub fn create(place: &TempPath) -> Result<Self, FileError> {
        let mut number = next_number();
        loop {
            let path = path_of(place, number);
            match open(&path) {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    number = NUMBER.fetch_add(STRIDE, Ordering::Relaxed) + STRIDE;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let directory = path.parent().expect("it lies in a directory");
                    create_directories(directory, 0o700)?;
                    let file = open(&path).map_err(failed("open()", &path))?;
                    return Ok(Self { file, path });
                }
                Err(error) => return Err(failed("open()", &path)(error)),
            }
        }
    }

    /// Makes a file that has no name any more: it is gone when it is closed. The path is where it was.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_nameless(place: &TempPath) -> Result<Self, FileError> {
        let made = Self::create(place)?;
        fs::remove_file(&made.path).map_err(failed("unlink()", &made.path))?;
        Ok(made)
    }
}

/// Makes a directory and those above it.
///
/// # Errors
/// The system's.
pub fn create_directories(directory: &Path, mode: u32) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(directory);
    made.map_err(failed("mkdir()", directory))
}

/// Says which call failed on which path.
pub fn failed<'a>(call: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError { call, operands: format!("\"{}\"", path.display()), source }
}

/// Renames a file.
///
/// # Errors
/// The system's, which [`FileError::kind`] tells.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|source| FileError {
        call: "rename()",
        operands: format!("\"{}\" to \"{}\"", from.display(), to.display()),
        source,
    })
}

impl FileError {
    /// Returns what kind of error the system's was.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Returns a number that this process has not used yet.
pub fn next_number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed) + 1
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Each level takes digits off the end: 0000012357 with levels 1 and 2 lies in `7/35`.
fn path_of(place: &TempPath, number: u64) -> PathBuf {
    let name = format!("{number:010}");
    let mut path = place.path.clone();
    let mut end = name.len();
    for &digits in &place.levels {
        let start = end - usize::from(digits);
        path.push(&name[start..end]);
        end = start;
    }
    path.push(name);
    path
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek, Write},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[test]
    fn levels_are_the_last_digits() {
        for (levels, number, wanted) in [
            (&[][..], 1, "/t/0000000001"),
            (&[1], 12_357, "/t/7/0000012357"),
            (&[1, 2], 12_357, "/t/7/35/0000012357"),
            (&[3, 3, 3], 1_234_567_890, "/t/890/567/234/1234567890"),
            (&[1, 2], 123_456_789_012, "/t/2/01/123456789012"),
        ] {
            let place = TempPath { path: "/t".into(), levels: levels.to_vec() };
            assert_eq!(path_of(&place, number), Path::new(wanted), "{levels:?} {number}");
        }
    }

    #[test]
    fn files_are_new_and_the_owner_s_alone() {
        let directory = tempfile::tempdir().unwrap();
        let place = TempPath { path: directory.path().join("deep"), levels: vec![1, 2] };
        let (one, other) = (TempFile::create(&place).unwrap(), TempFile::create(&place).unwrap());
        assert_ne!(one.path, other.path);
        assert_eq!(one.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let taken = NUMBER.load(Ordering::Relaxed);
        for number in taken + 1..taken + 20 {
            let path = path_of(&place, number);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "somebody's").unwrap();
        }
        assert_eq!(TempFile::create(&place).unwrap().file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_nameless_file_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let place = TempPath { path: directory.path().into(), levels: vec![] };
        let TempFile { mut file, path } = TempFile::create_nameless(&place).unwrap();
        assert!(!path.exists());
        file.write_all(b"kept").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "kept");
    }

    #[test]
    fn what_cannot_be_made_is_told_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let place = TempPath { path: file.clone(), levels: vec![1] };
        let said = TempFile::create(&place).unwrap_err().to_string();
        assert!(said.starts_with(&format!("open() \"{}/", file.display())), "{said}");
        assert!(said.ends_with("failed (20: Not a directory)"), "{said}");
    }
}
