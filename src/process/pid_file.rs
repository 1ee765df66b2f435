//! The file with the master's process id: there while it serves, `.oldbin` while a new program takes over.

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    process,
};

use nix::unistd::Pid;

use crate::error_log::system_words;

/// A pid file that this process has written.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Current,
    Old,
}

/// Why a pid file is of no use.
#[derive(Debug)]
pub enum PidFileError {
    /// It cannot be read or written.
    Open(PathBuf, io::Error),
    /// It holds something else.
    Invalid(PathBuf, String),
}

impl PidFile {
    /// Writes our process id.
    pub fn write(path: &Path) -> Result<Self, PidFileError> {
        fs::write(path, format!("{}\n", process::id()))
            .map_err(|error| PidFileError::Open(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), role: Role::Current })
    }

    /// Returns where it is meant to be when nothing is being replaced.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes way for the file of a new program.
    pub fn step_aside(&mut self) -> io::Result<()> {
        fs::rename(&self.path, old_path(&self.path))?;
        self.role = Role::Old;
        Ok(())
    }

    /// Takes the place again after the new program has gone.
    pub fn step_back(&mut self) -> io::Result<()> {
        fs::rename(old_path(&self.path), &self.path)?;
        self.role = Role::Current;
        Ok(())
    }

    /// Removes it.
    pub fn remove(self) -> io::Result<()> {
        match self.role {
            Role::Current => fs::remove_file(&self.path),
            Role::Old => fs::remove_file(old_path(&self.path)),
        }
    }
}

/// Reads whose process id a file holds.
pub fn read(path: &Path) -> Result<Pid, PidFileError> {
    let text = fs::read_to_string(path).map_err(|error| PidFileError::Open(path.to_owned(), error))?;
    match text.trim_end().parse::<i32>() {
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        _ => Err(PidFileError::Invalid(path.to_owned(), text.trim_end().to_owned())),
    }
}

fn old_path(path: &Path) -> PathBuf {
    let mut old = OsString::from(path);
    old.push(".oldbin");
    PathBuf::from(old)
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => {
                write!(f, "open() \"{}\" failed ({})", path.display(), system_words(error))
            }
            Self::Invalid(path, text) => write!(f, "invalid PID number \"{text}\" in \"{}\"", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_steps_aside_and_back_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.pid");
        let old = dir.path().join("larder.pid.oldbin");
        let mut file = PidFile::write(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Pid::this());
        file.step_aside().unwrap();
        assert!(!path.exists() && old.exists());
        file.step_back().unwrap();
        assert!(path.exists() && !old.exists());
        file.step_aside().unwrap();
        fs::write(&path, "1\n").unwrap();
        file.remove().unwrap();
        assert!(path.exists(), "the new program's file stays");
        assert!(!old.exists());
    }

    #[test]
    fn other_content_is_refused_in_nginxs_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        fs::write(&path, "12x\n").unwrap();
        let shown = path.display();
        assert_eq!(
            read(&path).unwrap_err().to_string(),
            format!("invalid PID number \"12x\" in \"{shown}\"")
        );
        fs::remove_file(&path).unwrap();
        let missing = format!("open() \"{shown}\" failed (2: No such file or directory)");
        assert_eq!(read(&path).unwrap_err().to_string(), missing);
    }
}
