//! Where a certificate or a key comes from: a file, the configuration itself, or a place that only OpenSSL knows.
//!
//! nginx's documentation of `ssl_certificate` and `ssl_certificate_key` has the forms.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// What `ssl_certificate` or `ssl_certificate_key` names, variables already put in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file, its name complete.
    File(PathBuf),
    /// `data:TEXT`: the PEM text itself.
    Inline(Vec<u8>),
    /// `engine:NAME:ID`.
    Engine(Vec<u8>),
    /// `store:SCHEME:ID`, other than a file.
    Store(Vec<u8>),
}

/// No file with certificates or keys is longer.
const MOST_BYTES: u64 = 16 << 20;

impl Source {
    /// Reads the value of a directive that names a certificate; names of files are complete or stand below `prefix`.
    pub fn certificate(value: &[u8], prefix: &Path) -> Self {
        match value.strip_prefix(b"data:") {
            Some(text) => Self::Inline(text.to_vec()),
            None => Self::file(value, prefix),
        }
    }

    /// Reads the value of a directive that names a key.
    pub fn key(value: &[u8], prefix: &Path) -> Self {
        if value.starts_with(b"engine:") {
            return Self::Engine(value.to_vec());
        }
        match (value.strip_prefix(b"store:file:"), value.starts_with(b"store:")) {
            // `file://` has an empty host before the path.
            (Some(path), _) => Self::file(path.strip_prefix(b"//").unwrap_or(path), prefix),
            (None, true) => Self::Store(value.to_vec()),
            (None, false) => Self::certificate(value, prefix),
        }
    }

    fn file(name: &[u8], prefix: &Path) -> Self {
        Self::File(prefix.join(OsStr::from_bytes(name)))
    }

    /// The text: a file is read, which may block.
    pub(crate) fn read(&self) -> Result<Vec<u8>, ReadError> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::Engine(_) => Err(ReadError::Engine),
            Self::Store(_) => Err(ReadError::Store),
            Self::File(path) => {
                read_file(path).map_err(|error| ReadError::Open { path: path.clone(), error })
            }
        }
    }
}

/// As nginx shows it in messages, but for the text of `data:`, which may be a secret.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Inline(_) => f.write_str("data:..."),
            Self::Engine(value) | Self::Store(value) => String::from_utf8_lossy(value).fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// Why there is no text.
#[derive(Debug)]
pub(crate) enum ReadError {
    Open { path: PathBuf, error: io::Error },
    Engine,
    Store,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, error } => {
                write!(f, "BIO_new_file() failed (SSL: {})", fopen_words(path, "r", error))
            }
            Self::Engine => f.write_str("OpenSSL engines do not exist in this build"),
            Self::Store => f.write_str("of the schemes of \"store:\" only \"file\" is supported"),
        }
    }
}

/// Reads a file as OpenSSL does: a folder can be opened, and nothing is in it.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::IsADirectory => Err(error),
        _ => Ok(text),
    }
}

/// What OpenSSL 3 says of a file that it cannot open.
pub(crate) fn fopen_words(path: &Path, mode: &str, error: &io::Error) -> String {
    let code = error.raw_os_error().unwrap_or_default();
    let words = error.to_string();
    let words = words.split_once(" (os error").map_or(words.as_str(), |(words, _)| words);
    let bio = match error.kind() {
        io::ErrorKind::NotFound => "error:10000080:BIO routines::no such file",
        _ => "error:10080002:BIO routines::system lib",
    };
    // OpenSSL marks errors of the system by the highest bit.
    let code = 0x8000_0000_u32 | code.unsigned_abs();
    format!("error:{code:08X}:system library::{words}:calling fopen({}, {mode}) {bio}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_name_files_texts_and_places_of_openssl() {
        let file = |path: &str| Source::File(PathBuf::from(path));
        let table: &[(&str, Source)] = &[
            ("a.key", file("/conf/a.key")),
            ("/a.key", file("/a.key")),
            ("data:a", Source::Inline(b"a".to_vec())),
            ("engine:a:b", Source::Engine(b"engine:a:b".to_vec())),
            ("store:file:/a.key", file("/a.key")),
            ("store:file:///a.key", file("/a.key")),
            ("store:file:a.key", file("/conf/a.key")),
            ("store:pkcs11:token=a", Source::Store(b"store:pkcs11:token=a".to_vec())),
        ];
        for (value, wanted) in table {
            assert_eq!(Source::key(value.as_bytes(), Path::new("/conf")), *wanted, "{value}");
        }
        // Engines and stores are for keys only.
        assert_eq!(Source::certificate(b"engine:a", Path::new("/conf")), file("/conf/engine:a"));
    }

    #[test]
    fn errors_of_opening_read_as_openssls() {
        let table = [
            (
                libc::ENOENT,
                "error:80000002:system library::No such file or directory:calling fopen(/a, r) error:10000080:BIO routines::no such file",
            ),
            (
                libc::EACCES,
                "error:8000000D:system library::Permission denied:calling fopen(/a, r) error:10080002:BIO routines::system lib",
            ),
        ];
        for (code, wanted) in table {
            assert_eq!(fopen_words(Path::new("/a"), "r", &io::Error::from_raw_os_error(code)), wanted);
        }
    }
}
