//! `index`: the file that stands for a directory.
//!
//! The first one that exists is redirected to inside, so that its own location has the last word.

use std::{io, path::Path};

use nix::errno::Errno;

use super::{fail, look, path::file_path};
use crate::{
    error_log::{Level, system_words},
    http::{Exchange, fault::report, phases::Ending},
};

/// Answers a path that ends in a slash.
pub(super) async fn serve(exchange: &mut Exchange) -> Ending {
    let location = exchange.location.clone();
    let directory = file_path(exchange, &exchange.uri);
    let mut directory_is_known = false;
    for template in location.core.index.iter() {
        let name = template.expand(exchange);
        if name.starts_with(b"/") {
            return redirect(exchange, name);
        }
        let uri = [&exchange.uri[..], &name].concat();
        let path = file_path(exchange, &uri);
        let (path, found) = look(path).await;
        let Err(error) = found else { return redirect(exchange, uri) };
        match errno(&error) {
            Some(Errno::ELOOP | Errno::EMLINK) => return fail(403),
            Some(Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::EACCES) => {
                return refuse(exchange, &path, &error);
            }
            _ if !directory_is_known => {
                if let Some(ending) = check_directory(exchange, &directory, &path).await {
                    return ending;
                }
                directory_is_known = true;
            }
            _ => {}
        }
        if errno(&error) != Some(Errno::ENOENT) {
            let words = system_words(&error);
            report(exchange, Level::Crit, format_args!("stat() \"{}\" failed ({words})", path.display()));
            return fail(500);
        }
    }
    report(
        exchange,
        Level::Error,
        format_args!("directory index of \"{}\" is forbidden", directory.display()),
    );
    fail(403)
}

/// Redirects inside; the arguments stay.
fn redirect(exchange: &mut Exchange, uri: Vec<u8>) -> Ending {
    let args = std::mem::take(&mut exchange.args);
    exchange.redirect(uri, args);
    Ending::Restart
}

/// Tells a directory without an index from one that is not there.
///
/// `index` is the file that was looked for in it, which the log names as nginx's does.
async fn check_directory(exchange: &Exchange, path: &Path, index: &Path) -> Option<Ending> {
    let error = match look(path.to_owned()).await.1 {
        Ok(metadata) if metadata.is_dir() => return None,
        Ok(_) => {
            report(exchange, Level::Alert, format_args!("\"{}\" is not a directory", path.display()));
            return Some(fail(500));
        }
        Err(error) => error,
    };
    match errno(&error) {
        // A file of it could be looked for, so the directory itself may be searched.
        Some(Errno::EACCES) => None,
        Some(Errno::ELOOP | Errno::EMLINK) => Some(fail(403)),
        Some(Errno::ENOENT) => Some(refuse(exchange, index, &error)),
        _ => {
            let words = system_words(&error);
            report(exchange, Level::Crit, format_args!("stat() \"{}\" failed ({words})", path.display()));
            Some(fail(500))
        }
    }
}

fn refuse(exchange: &Exchange, path: &Path, error: &io::Error) -> Ending {
    let words = system_words(error);
    if errno(error) == Some(Errno::EACCES) {
        report(exchange, Level::Error, format_args!("\"{}\" is forbidden ({words})", path.display()));
        return fail(403);
    }
    if *exchange.location.core.log_not_found {
        report(exchange, Level::Error, format_args!("\"{}\" is not found ({words})", path.display()));
    }
    fail(404)
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}
