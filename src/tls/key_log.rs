//! `ssl_key_log` and `proxy_ssl_key_log`: secrets of connections in a file, for whoever looks into recorded packets.
//!
//! The format is NSS's, which Wireshark reads (draft-ietf-tls-keylogfile). The environment's `SSLKEYLOGFILE` counts for nothing.

use std::{
    fmt::{self, Write as _},
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use config::system_words;
use rustls::KeyLog;
use thiserror::Error;

/// A file that secrets are added to, a line each.
pub struct KeyLogFile {
    file: File,
}

/// The file cannot be opened; in nginx's words.
#[derive(Debug, Error)]
#[error("open() \"{}\" failed ({})", path.display(), system_words(source))]
pub struct KeyLogError {
    path: PathBuf,
    source: io::Error,
}

impl KeyLogFile {
    /// Opens a file, which only its owner may read where it is made by this.
    pub fn open(path: &Path) -> Result<Self, KeyLogError> {
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        match opened {
            Ok(file) => Ok(Self { file }),
            Err(source) => Err(KeyLogError { path: path.to_path_buf(), source }),
        }
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = label.to_owned();
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                // Writing to a text cannot fail.
                let _ = write!(line, "{byte:02x}");
            }
        }
        line.push('\n');
        // One write adds one line whole, whoever else writes. As nginx: a full disk ends no connection.
        let _ = (&self.file).write(line.as_bytes());
    }
}

impl fmt::Debug for KeyLogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLogFile")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

    use super::*;
    use crate::rehearsal::{self, Version};

    #[test]
    fn secrets_of_connections_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let resolver = Arc::new(rehearsal::resolver());
        for (version, labels) in [
            (Version::Tls12, ["CLIENT_RANDOM"].as_slice()),
            (
                Version::Tls13,
                &[
                    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                    "CLIENT_TRAFFIC_SECRET_0",
                    "SERVER_TRAFFIC_SECRET_0",
                    "EXPORTER_SECRET",
                ],
            ),
        ] {
            fs::write(&path, "before\n").unwrap();
            let mut server = rehearsal::server(resolver.clone());
            server.key_log = Arc::new(KeyLogFile::open(&path).unwrap());
            rehearsal::meet(&Arc::new(rehearsal::client(version)), &Arc::new(server)).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
            assert_eq!(lines.remove(0), ["before"]);
            let mut found: Vec<_> = lines.iter().map(|line| line[0]).collect();
            let mut wanted = labels.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{version:?}");
            assert!(lines.iter().all(|line| line.len() == 3 && line[1].len() == 64), "{text}");
        }
    }

    #[test]
    fn only_the_owner_may_read_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        drop(KeyLogFile::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = KeyLogFile::open(Path::new("/nowhere/keys")).unwrap_err();
        assert_eq!(error.to_string(), "open() \"/nowhere/keys\" failed (2: No such file or directory)");
    }
}
