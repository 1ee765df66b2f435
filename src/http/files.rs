//! Static files: `root`, `alias`, `index`, and what a file is answered with.
//!
//! Looking at the file system happens on threads made for it, never on an event loop. What is not there,
//! not allowed or no file is answered and logged as nginx does.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use config::Root;
use http1::Method;
use nix::{errno::Errno, fcntl::OFlag};

use super::{
    Body, Exchange, Fault, Response,
    exchange::UriState,
    fault::{self, Kind, Side},
    phases::Ending,
    response::{FileSlice, LastModified, Ranges},
};
use crate::error_log::{Level, system_words};

mod index;
mod path;
mod try_files;

pub use path::{document_root, file_path, path_of, real_root};
pub use try_files::choose;

/// Answers with a file of the location in force.
pub async fn serve(exchange: &mut Exchange) -> Ending {
    // As nginx: POST is let through to find out what is there, and refused then.
    if !matches!(exchange.method, Method::Get | Method::Head | Method::Post) {
        return fail(405);
    }
    if let Err(fault) = check_alias(exchange) {
        return Ending::Fail(fault);
    }
    if exchange.uri.ends_with(b"/") {
        return index::serve(exchange).await;
    }
    let path = file_path(exchange, &exchange.uri);
    match off_loop(move || open(&path).map_err(|error| (path, error))).await {
        Ok(Found::File(file, metadata)) if exchange.method != Method::Post => {
            match exchange.body.discard_arrived(&exchange.client) {
                Ok(()) => Ending::Answer(Box::new(answer(exchange, file, &metadata))),
                Err(fault) => Ending::Fail(fault),
            }
        }
        Ok(Found::File(..)) => fail(405),
        Ok(Found::Directory) => fault::add_slash(exchange),
        Ok(Found::Other(path)) => {
            fault::report(
                exchange,
                Level::Crit,
                format_args!("\"{}\" is not a regular file", path.display()),
            );
            fail(404)
        }
        Err((path, error)) => fail(refuse(exchange, &path, &error)),
    }
}

/// Refuses a path that an `alias` cannot tell its own part of any more.
pub fn check_alias(exchange: &Exchange) -> Result<(), Fault> {
    let is_alias = matches!(*exchange.location.core.document_root, Root::Alias(_));
    if !is_alias || exchange.uri_state != UriState::ChangedInPlace {
        return Ok(());
    }
    let location = &exchange.location.name;
    let detail = format!("\"alias\" cannot be used in location \"{location}\" where URI was rewritten");
    Err(Fault::new(Side::Server, Kind::Status(500), detail))
}

/// Returns the type of an answer to the path in force, by its extension.
///
/// As nginx: an upstream that had this location answer may have named the type.
pub fn content_type(exchange: &Exchange) -> Option<Bytes> {
    if let Some(kept) = exchange.kept.fields.get("Content-Type") {
        return Some(Bytes::copy_from_slice(kept));
    }
    let core = &exchange.location.core;
    let by_extension = path::extension(&exchange.uri).and_then(|extension| core.types.get(extension));
    let media_type = match by_extension {
        Some(media_type) => media_type.to_vec(),
        None => core.default_type.to_vec(),
    };
    (!media_type.is_empty()).then(|| Bytes::from(media_type))
}

fn fail(status: u16) -> Ending {
    Ending::Fail(Fault::status_only(status))
}

/// What is under a path.
enum Found {
    File(File, Metadata),
    Directory,
    Other(PathBuf),
}

fn open(path: &Path) -> io::Result<Found> {
    // Without O_NONBLOCK opening a pipe waits for its writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    Ok(match metadata.file_type() {
        kind if kind.is_dir() => Found::Directory,
        kind if kind.is_file() => Found::File(file, metadata),
        _ => Found::Other(path.to_owned()),
    })
}

/// Looks at what is under a path, links followed.
pub async fn look(path: PathBuf) -> (PathBuf, io::Result<Metadata>) {
    off_loop(move || {
        let found = fs::metadata(&path);
        (path, found)
    })
    .await
}

/// Logs that a path cannot be looked at, unless nothing is there.
pub fn report_look(exchange: &Exchange, path: &Path, error: &io::Error) {
    let is_absent = matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG)
    );
    if !is_absent {
        let words = system_words(error);
        fault::report(exchange, Level::Crit, format_args!("stat() \"{}\" failed ({words})", path.display()));
    }
}

/// Runs work that may wait for the disk.
async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Logs why a file cannot be opened, and returns the status that follows.
fn refuse(exchange: &Exchange, path: &Path, error: &io::Error) -> u16 {
    let (status, level) = verdict(error);
    if status != 404 || *exchange.location.core.log_not_found {
        let words = system_words(error);
        fault::report(exchange, level, format_args!("open() \"{}\" failed ({words})", path.display()));
    }
    status
}

/// What an error of `open` means to the client and to the log.
fn verdict(error: &io::Error) -> (u16, Level) {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => (404, Level::Error),
        Some(Errno::EACCES | Errno::EMLINK | Errno::ELOOP) => (403, Level::Error),
        // A path with a zero byte in it never gets to the system, and no file has one.
        None if error.kind() == io::ErrorKind::InvalidInput => (404, Level::Error),
        _ => (500, Level::Crit),
    }
}

fn answer(exchange: &Exchange, file: File, metadata: &Metadata) -> Response {
    let mut response = Response::new(200);
    let changed_s = u64::try_from(metadata.mtime()).unwrap_or(0);
    response.content_type = content_type(exchange);
    response.content_length = Some(metadata.len());
    response.last_modified = Some(LastModified::Ours(UNIX_EPOCH + Duration::from_secs(changed_s)));
    if *exchange.location.core.etag {
        response.fields.push(b"ETag", etag(metadata.mtime(), metadata.len()).as_bytes());
    }
    response.ranges = Ranges::Allowed;
    response.body = Body::File(FileSlice { file: Arc::new(file), offset: 0, len: metadata.len() });
    response
}

/// As nginx: time of change and length, in hexadecimal.
fn etag(changed_s: i64, length: u64) -> String {
    format!("\"{changed_s:x}-{length:x}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_look_like_nginxs() {
        assert_eq!(etag(0x6b01_6424, 0x17), "\"6b016424-17\"");
    }

    #[test]
    fn errors_of_open_have_a_status() {
        for (errno, status) in [
            (Errno::ENOENT, 404),
            (Errno::ENOTDIR, 404),
            (Errno::ENAMETOOLONG, 404),
            (Errno::EACCES, 403),
            (Errno::ELOOP, 403),
            (Errno::EMFILE, 500),
            (Errno::EIO, 500),
        ] {
            assert_eq!(verdict(&io::Error::from(errno)).0, status, "{errno}");
        }
        let zero_byte = open(Path::new("/a\0b")).map(|_| ()).unwrap_err();
        assert_eq!(verdict(&zero_byte).0, 404);
    }

    #[test]
    fn what_is_there_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        fs::write(&file, "hello").unwrap();
        let pipe = directory.path().join("p");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(open(directory.path()), Ok(Found::Directory)));
        assert!(matches!(open(&pipe), Ok(Found::Other(path)) if path == pipe));
        assert!(matches!(open(&file), Ok(Found::File(_, metadata)) if metadata.len() == 5));
    }
}
