//! `proxy_store`: a whole answer kept as a file of its own, beside the client or without it.
//!
//! The body goes to a temporary file as it comes, and to its name when its end is proven. Where the name is on another file
//! system, a copy beside it takes the name, so that nobody ever finds half a file there.

use std::{
    fs::{self, File, FileTimes, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use config::{LocationConf, Store};
use http1::{Method, ResponseHead, Version};

use super::{
    cache::fill::{Fill, FillReader, Ticket},
    cache::pump::{Disk, Pump},
    cache::sink::{GaveUp, Shown, Sink},
    cache::zone::Entry,
    transport::UpstreamBody,
};
use crate::{
    error_log::Level,
    http::{
        Exchange,
        fault::Context,
        files,
        temp_file::{self, FileError, TempFile},
    },
};

/// Whether the location keeps answers.
pub(super) fn is_wanted(location: &LocationConf) -> bool {
    *location.proxy.store != Store::Off
}

/// Whether this answer may be kept: as nginx, only a whole page with status 200. What has no head, and what only tells
/// of a page (HEAD), is none.
pub(super) fn may_keep(exchange: &Exchange, head: &ResponseHead) -> bool {
    is_wanted(&exchange.location)
        && head.status == 200
        && head.version != Version::V0_9
        && !sent_head(exchange)
}

fn sent_head(exchange: &Exchange) -> bool {
    match &*exchange.location.proxy.method {
        Some(method) => method.expand(exchange) == b"HEAD",
        None => exchange.method == Method::Head,
    }
}

/// Begins to keep an answer, on a task of its own that goes on without the client, and returns what the client reads.
pub(super) fn start(exchange: &Exchange, head: &ResponseHead, body: Box<UpstreamBody>) -> FillReader {
    let (ticket, reader) = Ticket::unlisted();
    let sink = StoreFile {
        location: Arc::clone(&exchange.location),
        fill: Arc::clone(ticket.fill()),
        target: target(exchange),
        modified: head.fields.get("Last-Modified").and_then(time_of),
        context: Context::of(exchange),
        temp: None,
        written: 0,
    };
    let length = body.length();
    let pump = Pump::new(ticket, body, length, Disk::Idle(Box::new(sink)));
    let counted = exchange.event_loop.fills.begin();
    let facts = exchange.upstream.clone();
    tokio::task::spawn_local(async move {
        pump.run(facts).await;
        drop(counted);
    });
    reader
}

/// Finds the file that an answer to the path in force is kept in.
fn target(exchange: &Exchange) -> PathBuf {
    match &*exchange.location.proxy.store {
        Store::Off | Store::Mapped => files::file_path(exchange, &exchange.uri),
        Store::Path(template) => files::path_of(template.expand(exchange)),
    }
}

fn time_of(text: &[u8]) -> Option<SystemTime> {
    let seconds = u64::try_from(http1::date::parse(text)?).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// An answer on its way to a file of its own.
struct StoreFile {
    location: Arc<LocationConf>,
    fill: Arc<Fill>,
    target: PathBuf,
    modified: Option<SystemTime>,
    /// Whose answer it is, for the log.
    context: Context,
    temp: Option<Temporary>,
    written: u64,
}

/// Its temporary file, which goes with it unless it has been renamed.
struct Temporary {
    file: Arc<File>,
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has no such name any more where it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}

impl Sink for StoreFile {
    fn write(&mut self, chunks: &[Bytes]) -> Result<u64, GaveUp> {
        self.append(chunks).map_err(|error| self.log(&error))?;
        Ok(self.written)
    }

    fn show(&mut self, _: &[Bytes]) -> Option<Shown> {
        None
    }

    fn commit(mut self: Box<Self>, chunks: &[Bytes], _: Option<&Arc<Entry>>) -> Result<(), GaveUp> {
        self.append(chunks).and_then(|()| self.place()).map_err(|error| self.log(&error))
    }
}

impl StoreFile {
    fn append(&mut self, chunks: &[Bytes]) -> Result<(), FileError> {
        if self.temp.is_none() {
            let TempFile { file, path } = TempFile::create(&self.location.proxy.temp_path)?;
            let file = Arc::new(file);
            // Set once: an answer is kept in one file.
            let _ = self.fill.file.set((Arc::clone(&file), 0));
            self.temp = Some(Temporary { file, path });
        }
        let temp = self.temp.as_ref().expect("it was made just now, or before");
        for chunk in chunks {
            let wrote = temp.file.write_all_at(chunk, self.written);
            wrote.map_err(temp_file::failed("pwrite()", &temp.path))?;
            self.written += chunk.len() as u64;
        }
        Ok(())
    }

    fn place(&self) -> Result<(), FileError> {
        let temp = self.temp.as_ref().expect("all of the body was written to it");
        let access = *self.location.proxy.store_access;
        Placing { target: &self.target, access, modified: self.modified }.place(&temp.path, &temp.file)
    }

    fn log(&self, error: &FileError) -> GaveUp {
        self.context.report(Level::Crit, format_args!("{error} while reading upstream"));
        GaveUp
    }
}

/// The name that a whole file gets, and what it looks like there.
struct Placing<'a> {
    target: &'a Path,
    /// Permissions.
    access: u32,
    /// When the page was changed last, where that is known.
    modified: Option<SystemTime>,
}

impl Placing<'_> {
    fn place(&self, path: &Path, file: &File) -> Result<(), FileError> {
        let chmod = file.set_permissions(Permissions::from_mode(self.access));
        chmod.map_err(temp_file::failed("chmod()", path))?;
        self.date(path, file)?;
        let mut renamed = temp_file::rename(path, self.target);
        if renamed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let directory = self.target.parent().unwrap_or(Path::new("/"));
            temp_file::create_directories(directory, directory_access(self.access))?;
            renamed = temp_file::rename(path, self.target);
        }
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.copy(file),
            other => other,
        }
    }

    fn date(&self, path: &Path, file: &File) -> Result<(), FileError> {
        let Some(modified) = self.modified else { return Ok(()) };
        let times = FileTimes::new().set_accessed(modified).set_modified(modified);
        file.set_times(times).map_err(temp_file::failed("utimes()", path))
    }

    /// Makes a copy beside the target, which then takes its name.
    fn copy(&self, mut file: &File) -> Result<(), FileError> {
        let mut path = self.target.as_os_str().to_owned();
        path.push(format!(".{:010}", temp_file::next_number()));
        let path = PathBuf::from(path);
        let open = OpenOptions::new().write(true).create_new(true).mode(self.access).open(&path);
        let mut copy = open.map_err(temp_file::failed("open()", &path))?;
        let made = io::copy(&mut file, &mut copy)
            .and_then(|_| copy.set_permissions(Permissions::from_mode(self.access)))
            .map_err(temp_file::failed("write()", &path))
            .and_then(|()| self.date(&path, &copy))
            .and_then(|()| temp_file::rename(&path, self.target));
        if made.is_err() {
            // Half a copy is of no use; what matters is the error before.
            let _ = fs::remove_file(&path);
        }
        made
    }
}

/// As nginx: who may read files may enter their directories.
fn directory_access(access: u32) -> u32 {
    access | (access & 0o444) >> 2
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn who_may_read_files_may_enter_directories() {
        for (access, wanted) in [(0o600, 0o700), (0o644, 0o755), (0o660, 0o770), (0o400, 0o500)] {
            assert_eq!(directory_access(access), wanted, "{access:o}");
        }
    }

    fn placed_in(directory: &Path) {
        let mut temp = tempfile::NamedTempFile::new_in(std::env::temp_dir()).unwrap();
        temp.write_all(&[b'x'; 300_000]).unwrap();
        let file = File::options().read(true).write(true).open(temp.path()).unwrap();
        let target = directory.join("deep/down/page");
        let modified = Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let placing = Placing { target: &target, access: 0o640, modified };
        placing.place(temp.path(), &file).unwrap();
        let metadata = fs::metadata(&target).unwrap();
        assert_eq!((metadata.len(), metadata.mtime()), (300_000, 1_000_000_000));
        assert_eq!(metadata.mode() & 0o777, 0o640);
        let above = target.parent().unwrap();
        assert_eq!(fs::metadata(above).unwrap().mode() & 0o750, 0o750);
        assert_eq!(fs::read_dir(above).unwrap().count(), 1, "no copy is left");
    }

    #[test]
    fn a_file_takes_its_name_with_permissions_and_time() {
        placed_in(tempfile::tempdir().unwrap().path());
    }

    #[test]
    fn a_file_is_copied_to_another_file_system() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            println!("skipped: there is no /dev/shm");
            return;
        };
        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        if device(directory.path()) == device(&std::env::temp_dir()) {
            println!("skipped: there is only one file system");
            return;
        }
        placed_in(directory.path());
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let temp = tempfile::NamedTempFile::new().unwrap();
        fs::create_dir_all(directory.path().join("page/below")).unwrap();
        let target = directory.path().join("page");
        let placing = Placing { target: &target, access: 0o600, modified: None };
        let said = placing.place(temp.path(), temp.as_file()).unwrap_err().to_string();
        let words = format!(
            "rename() \"{}\" to \"{}\" failed (21: Is a directory)",
            temp.path().display(),
            target.display()
        );
        assert_eq!(said, words);
    }
}
