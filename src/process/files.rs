//! Directories and logs that children need: made by the master, given to the user that they run as.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use config::{Config, HttpConf, LocationConf, LogSink, LogTarget};

use super::rights::Identity;
use crate::error_log::{self, Level, system_words};

/// A file or directory that children would lack.
#[derive(Debug, thiserror::Error)]
#[error("{call} \"{}\" failed ({})", path.display(), system_words(source))]
pub struct FilesError {
    call: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Makes the directories of a configuration, and opens its error logs.
///
/// # Errors
/// What was written in the configuration and cannot be had. Default directories may be missing: whoever needs
/// one will say so.
pub fn prepare(config: &Config, identity: Option<&Identity>) -> Result<(), FilesError> {
    let Some(http) = &config.http else { return Ok(()) };
    for zone in &http.zones {
        directory(&zone.path, identity)?;
    }
    for location in http.all_locations() {
        for (temp, is_written) in [
            (&location.core.client_body_temp_path.path, location.core.client_body_temp_path.is_written()),
            (&location.proxy.temp_path.path, location.proxy.temp_path.is_written()),
        ] {
            match directory(temp, identity) {
                Err(error) if is_written => return Err(error),
                Err(_) | Ok(()) => {}
            }
        }
    }
    Ok(())
}

/// Opens the error logs of locations while the master's rights last, and sees that access logs can be opened.
///
/// # Errors
/// The first file that cannot be opened.
pub fn open_logs(config: &Config) -> Result<(), error_log::OpenError> {
    let Some(http) = &config.http else { return Ok(()) };
    http.all_locations().iter().try_for_each(|location| {
        error_log::open(&location.log.error_log)?;
        access_paths(location).try_for_each(|path| error_log::try_file(&path))
    })
}

/// Makes the log files, and gives them to the children's user, so that they can open them again on USR1. As nginx.
pub fn hand_over_logs(config: &Config, identity: Option<&Identity>) {
    let Some(identity) = identity else { return };
    for path in log_paths(config) {
        if let Err(error) = hand_over_log(&path, identity) {
            error_log::write(Level::Emerg, format_args!("{error}"));
        }
    }
}

fn hand_over_log(path: &Path, identity: &Identity) -> Result<(), FilesError> {
    let failed = |call| move |source| FilesError { call, path: path.to_owned(), source };
    let file = fs::OpenOptions::new().append(true).create(true).open(path).map_err(failed("open()"))?;
    let metadata = file.metadata().map_err(failed("stat()"))?;
    if !metadata.is_file() {
        // A terminal or pipe is nobody's to give.
        return Ok(());
    }
    if metadata.uid() != identity.uid.as_raw() {
        chown(path, Some(identity.uid.as_raw()), None).map_err(failed("chown()"))?;
    }
    let mode = metadata.permissions().mode();
    if mode & 0o600 != 0o600 {
        let readable = fs::Permissions::from_mode(mode | 0o600);
        file.set_permissions(readable).map_err(failed("chmod()"))?;
    }
    Ok(())
}

fn log_paths(config: &Config) -> Vec<PathBuf> {
    let mut paths = files_of(&config.main.error_log);
    for location in config.http.iter().flat_map(HttpConf::all_locations) {
        paths.extend(files_of(&location.log.error_log));
        paths.extend(access_paths(location));
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Lists the access logs of a location that no variable names.
fn access_paths(location: &LocationConf) -> impl Iterator<Item = PathBuf> {
    let texts = location.log.access_log.logs.iter().filter_map(|log| log.path.as_text());
    texts.map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned()))
}

fn files_of(targets: &[LogTarget]) -> Vec<PathBuf> {
    let file = |target: &LogTarget| match &target.sink {
        LogSink::File(path) => Some(path.clone()),
        LogSink::Stderr => None,
    };
    targets.iter().filter_map(file).collect()
}

/// Makes a directory, and gives it to the children's user.
fn directory(path: &Path, identity: Option<&Identity>) -> Result<(), FilesError> {
    let failed = |call| move |source| FilesError { call, path: path.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("mkdir()")(error)),
        Ok(()) | Err(_) => {}
    }
    let Some(identity) = identity else { return Ok(()) };
    let metadata = fs::metadata(path).map_err(failed("stat()"))?;
    if metadata.uid() != identity.uid.as_raw() {
        chown(path, Some(identity.uid.as_raw()), None).map_err(failed("chown()"))?;
    }
    Ok(())
}
