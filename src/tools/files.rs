//! The files of a cache, one after another: where they are, and what they say about themselves.
//!
//! The files are the truth: nothing here asks the index. Files that no name of a digest leads to, such as temporary ones
//! and the cache's own, are passed over.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use cache::{
    Digest, Key, Meta, digest_of_name,
    format::{self, FormatError},
};
use config::CachePath;

/// Read of a file at first: most heads fit.
const START_BYTES: usize = 4096;
/// Levels of directories that nginx allows.
const DEEPEST: usize = 3;

/// A stored answer.
#[derive(Debug)]
pub struct CachedFile {
    /// Its name.
    pub path: PathBuf,
    /// What its name says.
    pub digest: Digest,
    /// All of it, in bytes.
    pub size: u64,
    /// What it is stored under.
    pub key: Key,
    /// What it says about itself.
    pub meta: Meta,
    /// Status line and header lines, as the upstream sent them.
    pub head: Vec<u8>,
}

impl CachedFile {
    /// Length of its body, in bytes.
    pub fn body_len(&self) -> u64 {
        self.size.saturating_sub(u64::from(self.meta.body_start))
    }

    /// Returns the status, where the head begins with a status line.
    pub fn status(&self) -> Option<u16> {
        let word = self.head.split(|byte| *byte == b' ').nth(1)?;
        str::from_utf8(word.get(..3)?).ok()?.parse().ok()
    }
}

/// What a file with the name of a digest turns out to be.
#[derive(Debug)]
pub enum Found {
    /// An answer, as far as its start tells.
    Answer(Box<CachedFile>),
    /// None that could be served.
    Damaged {
        /// Its name.
        path: PathBuf,
        /// What its name says.
        digest: Digest,
        /// What is wrong.
        why: FormatError,
    },
}

/// Goes through the files of a cache until `each` breaks off.
///
/// # Errors
/// A directory or a file cannot be read. What goes away meanwhile is passed over.
pub fn walk(
    conf: &CachePath,
    each: &mut impl FnMut(Found) -> io::Result<ControlFlow<()>>,
) -> io::Result<ControlFlow<()>> {
    directory(&conf.path, 0, each)
}

fn directory(
    path: &Path,
    depth: usize,
    each: &mut impl FnMut(Found) -> io::Result<ControlFlow<()>>,
) -> io::Result<ControlFlow<()>> {
    let Some(entries) = present(fs::read_dir(path)).map_err(|error| named(path, &error))? else {
        return Ok(ControlFlow::Continue(()));
    };
    for entry in entries {
        let entry = entry.map_err(|error| named(path, &error))?;
        let (name, path) = (entry.file_name(), entry.path());
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let flow = match digest_of_name(&name) {
            Some(digest) => match look(&path, digest).map_err(|error| named(&path, &error))? {
                Some(found) => each(found)?,
                None => ControlFlow::Continue(()),
            },
            None if is_directory && depth < DEEPEST && is_level(name.as_encoded_bytes()) => {
                directory(&path, depth + 1, each)?
            }
            None => ControlFlow::Continue(()),
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads the start of a file; nothing where it has gone.
///
/// # Errors
/// It cannot be read.
pub fn look(path: &Path, digest: Digest) -> io::Result<Option<Found>> {
    // Never waits, whatever has taken the name.
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let Some(file) = present(opened)? else { return Ok(None) };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Some(Found::Damaged { path: path.to_owned(), digest, why: FormatError::NoFile }));
    }
    let size = metadata.len();
    let mut start = read(&file, START_BYTES)?;
    if let Some(wanted) = format::body_start(&start).filter(|wanted| *wanted > start.len()) {
        start = read(&file, wanted)?;
    }
    Ok(Some(match parse(&start, &digest) {
        Ok((key, meta, head)) => {
            Found::Answer(Box::new(CachedFile { path: path.to_owned(), digest, size, key, meta, head }))
        }
        Err(why) => Found::Damaged { path: path.to_owned(), digest, why },
    }))
}

/// Returns key, facts and head of a file that begins so and has that name.
///
/// # Errors
/// It is none that could be served.
pub fn parse(start: &[u8], digest: &Digest) -> Result<(Key, Meta, Vec<u8>), FormatError> {
    let key = format::stated_key(start).ok_or(FormatError::TooSmall)?;
    let opening = format::parse(start, &key)?;
    if key.digest != *digest && opening.meta.variant != *digest {
        return Err(FormatError::Collision);
    }
    let (meta, head) = (opening.meta, opening.head.to_vec());
    Ok((key, meta, head))
}

fn read(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        result => result.map(Some),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("\"{}\": {error}", path.display()))
}

/// A directory of the cache's levels is named by one or two hex digits.
fn is_level(name: &[u8]) -> bool {
    matches!(name.len(), 1 | 2) && name.iter().all(u8::is_ascii_hexdigit)
}
