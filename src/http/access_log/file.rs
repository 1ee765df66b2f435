//! One log file: what has gathered for it, when that is due, and the writing itself.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    clock,
    error_log::{self, system_words},
};

/// When lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gather {
    /// As soon as the writing thread gets to them.
    Shortly,
    /// Once there are so many bytes, or the first of them is so old.
    Until { bytes: usize, age: Option<Duration> },
}

/// When the lines at hand are to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// There are none, or they wait for more.
    Never,
    /// After this time.
    After(Duration),
    /// Now.
    Now,
}

/// Bytes that may gather while the disk is slow; requests wait beyond.
const GATHERED_MAX_BYTES: usize = 4 << 20;

/// A log file.
pub(super) struct LogFile {
    path: PathBuf,
    gather: Gather,
    gathered: Mutex<Gathered>,
    /// Tells those who wait that there is room again.
    room: Condvar,
    /// Held from taking lines until they are written, which keeps their order.
    file: Mutex<File>,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    since: clock::Moment,
}

impl LogFile {
    /// Opens a file for appending.
    pub(super) fn open(path: &Path, gather: Gather) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            gather,
            gathered: Mutex::default(),
            room: Condvar::new(),
            file: Mutex::new(open(path)?),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line; waits first where too much has gathered. Says when it is due.
    ///
    /// `wake` starts the writing, so that the wait has an end.
    pub(super) fn append(&self, line: &[u8], wake: impl Fn()) -> Due {
        let mut gathered = self.gathered.lock();
        while gathered.bytes.len() > self.most_bytes() {
            wake();
            self.room.wait(&mut gathered);
        }
        if gathered.bytes.is_empty() {
            gathered.since = clock::moment();
        }
        gathered.bytes.extend_from_slice(line);
        self.due_of(&gathered)
    }

    fn most_bytes(&self) -> usize {
        match self.gather {
            Gather::Shortly => GATHERED_MAX_BYTES,
            Gather::Until { bytes, .. } => GATHERED_MAX_BYTES.max(bytes.saturating_mul(2)),
        }
    }

    /// Says when the lines at hand are due.
    pub(super) fn due(&self) -> Due {
        self.due_of(&self.gathered.lock())
    }

    fn due_of(&self, gathered: &Gathered) -> Due {
        if gathered.bytes.is_empty() {
            return Due::Never;
        }
        match self.gather {
            Gather::Shortly => Due::Now,
            Gather::Until { bytes, .. } if gathered.bytes.len() >= bytes => Due::Now,
            Gather::Until { age: None, .. } => Due::Never,
            Gather::Until { age: Some(age), .. } => match age.saturating_sub(gathered.since.elapsed()) {
                Duration::ZERO => Due::Now,
                left => Due::After(left),
            },
        }
    }

    /// Writes the lines at hand.
    pub(super) fn write(&self) {
        self.write_to(&mut self.file.lock());
    }

    /// Writes the lines at hand, then opens the path anew. Without success the old file stays in use.
    pub(super) fn reopen(&self) {
        let mut file = self.file.lock();
        self.write_to(&mut file);
        match open(&self.path) {
            Ok(new) => *file = new,
            Err(error) => complain("open()", &self.path, &error),
        }
    }

    fn write_to(&self, file: &mut File) {
        let bytes = mem::take(&mut self.gathered.lock().bytes);
        self.room.notify_all();
        write_bytes(file, &self.path, &bytes);
    }
}

/// Appends lines to a file that is opened for them alone.
pub(super) fn append_once(path: &Path, bytes: &[u8]) {
    match open(path) {
        Ok(mut file) => write_bytes(&mut file, path, bytes),
        Err(error) => complain("open()", path, &error),
    }
}

fn write_bytes(file: &mut File, path: &Path, bytes: &[u8]) {
    if let Err(error) = file.write_all(bytes) {
        complain("write() to", path, &error);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn complain(call: &str, path: &Path, error: &io::Error) {
    let words = system_words(error);
    error_log::write(error_log::Level::Alert, format_args!("{call} \"{}\" failed ({words})", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_wake() {
        panic!("there is room");
    }

    #[test]
    fn lines_are_due_by_size_and_age() {
        let directory = tempfile::tempdir().unwrap();
        let file = |gather| LogFile::open(&directory.path().join("a"), gather).unwrap();
        let shortly = file(Gather::Shortly);
        assert_eq!(shortly.due(), Due::Never);
        assert_eq!(shortly.append(b"one\n", no_wake), Due::Now);

        let by_size = file(Gather::Until { bytes: 8, age: None });
        assert_eq!(by_size.append(b"one\n", no_wake), Due::Never);
        assert_eq!(by_size.append(b"two\n", no_wake), Due::Now);

        let by_age = file(Gather::Until { bytes: 8, age: Some(Duration::from_secs(60)) });
        let Due::After(left) = by_age.append(b"one\n", no_wake) else { panic!("it is to wait") };
        assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(50));
        let at_once = file(Gather::Until { bytes: 8, age: Some(Duration::ZERO) });
        assert_eq!(at_once.append(b"one\n", no_wake), Due::Now);
    }

    #[test]
    fn reopening_leaves_a_renamed_file_with_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("a"), directory.path().join("a.1"));
        let file = LogFile::open(&path, Gather::Until { bytes: 100, age: None }).unwrap();
        file.append(b"one\n", no_wake);
        std::fs::rename(&path, &old).unwrap();
        file.reopen();
        file.append(b"two\n", no_wake);
        file.write();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
