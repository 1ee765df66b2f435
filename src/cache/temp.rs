//! A file on its way into the cache: made under a name that says who writes it, renamed once when it is complete.
//!
//! Dropped before that, it is removed; left behind by a killed process, it is removed by whoever meets it
//! ([`is_left_behind`]), since its name tells the owner. Readers may follow it while it grows: [`TempFile::file`] is the same open file.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use config::Fsync;
use crc32fast::Hasher;

use crate::format::Prefix;
use crate::key::{Digest, hex};
use crate::process::Owner;

/// A file being written.
#[derive(Debug)]
#[must_use = "dropping it removes the file"]
pub struct TempFile {
    file: Arc<File>,
    path: PathBuf,
    owner: Owner,
    len: u64,
    prefix: Option<Prefix>,
    /// Of header lines and body so far, where it is wanted.
    sum: Option<Hasher>,
    fsync: Fsync,
    renamed: bool,
}

impl TempFile {
    /// Creates a file for a digest, and the directory if need be.
    pub(crate) fn create(dir: &Path, digest: &Digest, owner: Owner, fsync: Fsync) -> io::Result<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{}.{:x}.{serial}", hex(digest), owner.bits()));
        let create = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_dirs(dir)?;
                create()?
            }
            other => other?,
        };
        let file = Arc::new(file);
        Ok(Self { file, path, owner, len: 0, prefix: None, sum: None, fsync, renamed: false })
    }

    /// Writes what stands before the body; the first thing to write.
    pub fn begin(&mut self, prefix: Prefix) -> io::Result<()> {
        self.append(&prefix.bytes)?;
        self.sum = prefix.head_sum.map(Hasher::new_with_initial);
        self.prefix = Some(prefix);
        Ok(())
    }

    /// Writes the prefix and the whole of a small body in one go.
    pub fn begin_with(&mut self, mut prefix: Prefix, body: &[u8]) -> io::Result<()> {
        let start = prefix.bytes.len();
        if prefix.body_len.is_none_or(|announced| announced == body.len() as u64) {
            let sum = prefix.head_sum.map(|head| {
                let mut sum = Hasher::new_with_initial(head);
                sum.update(body);
                sum.finalize()
            });
            prefix.state(body.len() as u64, sum);
        }
        prefix.bytes.extend_from_slice(body);
        self.append(&prefix.bytes)?;
        prefix.bytes.truncate(start);
        self.prefix = Some(prefix);
        Ok(())
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        if let Some(sum) = &mut self.sum {
            sum.update(bytes);
        }
        Ok(())
    }

    /// Adds the rest of another file from an offset on; the kernel copies, or shares blocks where it can. Must not be used where a checksum
    /// is counted.
    pub(crate) fn append_from(&mut self, mut source: File, from: u64) -> io::Result<()> {
        debug_assert!(self.sum.is_none(), "the bytes do not pass here");
        source.seek(SeekFrom::Start(from))?;
        let mut target = &*self.file;
        target.seek(SeekFrom::Start(self.len))?;
        self.len += io::copy(&mut source, &mut target)?;
        Ok(())
    }

    /// The open file, for readers that follow it.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Bytes written so far, the prefix included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes what stands before the body, of a file that is complete.
    pub(crate) fn take_prefix(&mut self) -> Option<Prefix> {
        self.prefix.take()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks the length of the body against what was announced, states what is known only now, and forces the content
    /// to the disk where that is wanted.
    pub(crate) fn complete(&mut self) -> io::Result<Completion> {
        let Some(prefix) = &mut self.prefix else { return Ok(Completion::Torn) };
        let written = self.len - prefix.bytes.len() as u64;
        if prefix.body_len.is_some_and(|announced| announced != written) {
            return Ok(Completion::Torn);
        }
        let sum = self.sum.take().map(Hasher::finalize);
        if prefix.body_len.is_none() || sum.is_some() {
            let from = prefix.state(written, sum);
            self.file.write_all_at(&prefix.bytes[from..], from as u64)?;
        }
        self.sync()?;
        Ok(Completion::Whole)
    }

    fn sync(&self) -> io::Result<()> {
        if self.fsync == Fsync::Off { Ok(()) } else { self.file.sync_data() }
    }

    /// Gives the file its final name. Where that is on another file system, a copy of it takes the name.
    pub(crate) fn rename(mut self, target: &Path, digest: &Digest) -> io::Result<Arc<File>> {
        let file = match rename_into(&self.path, target) {
            Ok(()) => {
                self.renamed = true;
                Arc::clone(&self.file)
            }
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let mut copy = Self::create(beside(target), digest, self.owner, self.fsync)?;
                copy_whole(&self.file, &copy.file)?;
                copy.sync()?;
                rename_into(&copy.path, target)?;
                copy.renamed = true;
                Arc::clone(&copy.file)
            }
            Err(error) => return Err(error),
        };
        if self.fsync == Fsync::Full {
            // The name stands; whether it survives a power failure is all that can go wrong.
            File::open(beside(target))?.sync_all()?;
        }
        Ok(file)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed now is swept when this process has ended.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a body is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    Whole,
    Torn,
}

/// Removes the files that dead processes left in a directory of temporary files, and says how many there were.
pub(crate) fn sweep(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if is_left_behind(&entry.file_name()) {
            swept += u64::from(fs::remove_file(entry.path()).is_ok());
        }
    }
    Ok(swept)
}

/// Whether a name is that of a temporary file whose process has ended.
pub fn is_left_behind(name: &OsStr) -> bool {
    name.to_str().and_then(owner_of).is_some_and(|owner| !owner.is_alive())
}

/// Returns the directory of a cached file.
pub(crate) fn beside(path: &Path) -> &Path {
    path.parent().expect("a cached file lies in a directory")
}

/// Creates a directory of the cache and those above it, for the owner alone, as nginx does.
pub(crate) fn create_dirs(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The owner in a name that [`TempFile::create`] made; nothing for the names of others, which are not ours to remove.
fn owner_of(name: &str) -> Option<Owner> {
    let mut parts = name.split('.');
    let (digest, owner, serial) = (parts.next()?, parts.next()?, parts.next()?);
    let ours = digest.len() == 32 && serial.parse::<u64>().is_ok() && parts.next().is_none();
    Owner::from_bits(u64::from_str_radix(owner, 16).ok().filter(|_| ours)?)
}

fn rename_into(from: &Path, target: &Path) -> io::Result<()> {
    match fs::rename(from, target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dirs(beside(target))?;
            fs::rename(from, target)
        }
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            move_aside(target)?;
            fs::rename(from, target)
        }
        other => other,
    }
}

/// Clears a name that somebody gave to a directory: what that holds is not ours to remove.
fn move_aside(dir: &Path) -> io::Result<()> {
    if fs::remove_dir(dir).is_ok() {
        return Ok(());
    }
    let names = (0_u32..).map(|number| dir.with_extension(format!("aside-{number}")));
    let aside = names.into_iter().find(|name| fs::symlink_metadata(name).is_err());
    let aside = aside.ok_or(io::ErrorKind::AlreadyExists)?;
    fs::rename(dir, &aside)?;
    tracing::error!(
        "\"{}\" is a directory where a cached file belongs, it is moved to \"{}\"",
        dir.display(),
        aside.display()
    );
    Ok(())
}

fn copy_whole(from: &File, to: &File) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        let count = from.read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
}
