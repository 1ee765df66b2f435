//! The error log: nginx's lines, in files or on standard error, each from a level on.
//!
//! One log for the process, which [`init`] sets; a location may have targets of its own. A file is opened once
//! per path, appended to with one system call per line, and opened anew by [`reopen`]. While the program
//! starts, what is at least a warning goes to the terminal too.

mod events;
mod line;

use std::{
    collections::HashMap,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
};

use config::{LogSink, LogTarget};
use parking_lot::RwLock;

pub use config::LogLevel as Level;
pub use events::route_events;
pub use line::word;

use self::line::Line;

/// Where lines go and what is open.
#[derive(Default)]
struct Log {
    targets: Vec<LogTarget>,
    files: HashMap<PathBuf, Arc<File>>,
}

static LOG: LazyLock<RwLock<Log>> = LazyLock::new(RwLock::default);

/// The most talkative level of the process' log, so that a line nobody wants costs one load.
static MOST: AtomicU8 = AtomicU8::new(0);

/// Whether the terminal gets warnings and worse too.
static CONSOLE: AtomicBool = AtomicBool::new(true);

/// Makes `targets` the log of the process and opens their files.
///
/// # Errors
/// The first file that cannot be opened; the log stays as it was.
pub fn init(targets: &[LogTarget]) -> Result<(), OpenError> {
    open(targets)?;
    let most = targets.iter().map(|target| target.level).max();
    LOG.write().targets = targets.to_vec();
    MOST.store(most.map_or(0, |level| level as u8), Relaxed);
    Ok(())
}

/// Opens the files of targets, so that rights given up later are not missed.
///
/// # Errors
/// The first file that cannot be opened.
pub fn open(targets: &[LogTarget]) -> Result<(), OpenError> {
    for target in targets {
        if let LogSink::File(path) = &target.sink
            && !LOG.read().files.contains_key(path)
        {
            let file = append_to(path).map_err(|source| OpenError { path: path.clone(), source })?;
            LOG.write().files.insert(path.clone(), Arc::new(file));
        }
    }
    Ok(())
}

/// Opens all files anew (USR1): what was renamed is let go, and a new file begins.
pub fn reopen() {
    let paths: Vec<PathBuf> = LOG.read().files.keys().cloned().collect();
    for path in paths {
        match append_to(&path) {
            Ok(file) => {
                LOG.write().files.insert(path, Arc::new(file));
            }
            Err(source) => write(Level::Emerg, format_args!("{}", OpenError { path, source })),
        }
    }
}

/// Ends the time in which the terminal gets warnings too: the program runs now.
pub fn leave_console() {
    CONSOLE.store(false, Relaxed);
}

/// Says whether a line of that level is wanted in the log of the process.
pub fn enabled(level: Level) -> bool {
    level as u8 <= MOST.load(Relaxed) || CONSOLE.load(Relaxed)
}

/// Writes a line to the log of the process.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    write_for(None, level, None, message);
}

/// Writes a line to the log of the process; the terminal, while it gets any, is also told the details.
pub fn write_with_details(level: Level, message: fmt::Arguments<'_>, details: &str) {
    write(level, message);
    if CONSOLE.load(Relaxed) && !details.is_empty() {
        to_stderr(format!("{details}\n").as_bytes());
    }
}

/// Writes a line about a connection to targets, or to the log of the process where there are none.
pub fn write_for(
    targets: Option<&[LogTarget]>,
    level: Level,
    connection: Option<u64>,
    message: fmt::Arguments<'_>,
) {
    if targets.is_none() && !enabled(level) {
        return;
    }
    let log = LOG.read();
    let targets = targets.unwrap_or(&log.targets);
    let mut wanting = targets.iter().filter(|target| target.level >= level).peekable();
    if wanting.peek().is_some() {
        let line = Line::now(level, connection, message);
        for target in wanting {
            match &target.sink {
                LogSink::Stderr => to_stderr(line.as_bytes()),
                LogSink::File(path) => to_file(&log, path, line.as_bytes()),
            }
        }
    }
    let is_shown = targets.iter().any(|target| target.sink == LogSink::Stderr && target.level >= level);
    if CONSOLE.load(Relaxed) && level <= Level::Warn && !is_shown {
        to_stderr(format!("larder: [{}] {message}\n", word(level)).as_bytes());
    }
}

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("open() \"{}\" failed ({})", path.display(), system_words(source))]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// Writes a system error as nginx does: `2: No such file or directory`.
pub fn system_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            let words = error.to_string();
            let words = words.split_once(" (os error").map_or(&*words, |(words, _)| words);
            format!("{code}: {words}")
        }
        None => error.to_string(),
    }
}

/// Makes a log file, if there is none, to see whether it can be written to.
///
/// # Errors
/// It cannot.
pub fn try_file(path: &Path) -> Result<(), OpenError> {
    append_to(path).map(drop).map_err(|source| OpenError { path: path.to_owned(), source })
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn to_file(log: &Log, path: &Path, line: &[u8]) {
    // One write to a file opened for appending: lines of several processes do not mix. A full disk has no
    // other place to complain in.
    if let Some(mut file) = log.files.get(path).map(Arc::as_ref) {
        let _ = file.write_all(line);
    }
}

fn to_stderr(line: &[u8]) {
    // The terminal may be gone.
    let _ = io::stderr().write_all(line);
}

#[cfg(test)]
mod tests;
