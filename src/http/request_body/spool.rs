//! Bodies in temporary files, written on the blocking pool.
//!
//! Such a file has no name, unless `client_body_in_file_only` gives it one for whoever is asked to read it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use config::{BodyInFile, CoreConf, TempPath};

use crate::{
    error_log::{self, Level, system_words},
    http::{
        fault::{Fault, Kind, Side},
        response::FileSlice,
        temp_file::{self, FileError, TempFile},
    },
};

/// A whole body in a temporary file.
#[derive(Clone, Debug)]
pub struct BodyFile {
    /// Its bytes.
    pub slice: FileSlice,
    /// Where it is, or was.
    pub path: Arc<Path>,
    _removal: Option<Arc<Removal>>,
}

/// A body on its way into a temporary file.
pub(super) struct Spool {
    file: fs::File,
    path: Arc<Path>,
    removal: Option<Arc<Removal>>,
    len: u64,
}

/// Removes a file once nobody needs it any more (`client_body_in_file_only clean`).
#[derive(Debug)]
struct Removal(PathBuf);

impl Drop for Removal {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let (path, words) = (self.0.display(), system_words(&error));
                error_log::write(Level::Crit, format_args!("unlink() \"{path}\" failed ({words})"));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

impl Spool {
    pub async fn create(core: &CoreConf) -> Result<Self, Fault> {
        let place = TempPath::clone(&core.client_body_temp_path);
        let in_file = *core.client_body_in_file_only;
        blocking(move || {
            let TempFile { file, path } = match in_file {
                BodyInFile::Off => TempFile::create_nameless(&place)?,
                BodyInFile::Clean | BodyInFile::On => TempFile::create(&place)?,
            };
            let removal = (in_file == BodyInFile::Clean).then(|| Arc::new(Removal(path.clone())));
            Ok(Self { file, path: path.into(), removal, len: 0 })
        })
        .await
    }

    pub async fn append(mut self, bytes: Bytes) -> Result<Self, Fault> {
        blocking(move || {
            self.file.write_all(&bytes).map_err(temp_file::failed("write()", &self.path))?;
            self.len += bytes.len() as u64;
            Ok(self)
        })
        .await
    }

    pub fn finish(self) -> BodyFile {
        let slice = FileSlice { file: Arc::new(self.file), offset: 0, len: self.len };
        BodyFile { slice, path: self.path, _removal: self.removal }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| system(error.to_string())),
        Err(error) => Err(system(error.to_string())),
    }
}

fn system(detail: String) -> Fault {
    Fault::new(Side::Server, Kind::System, detail)
}
