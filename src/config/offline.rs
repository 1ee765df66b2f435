//! The caches of a configuration, for programs that work on them by hand while no server runs.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::{CachePath, Diagnostic, HostLookup, MainText, Source, load};

/// Why there are no caches to work on.
#[derive(Debug)]
pub enum OfflineError {
    /// The arguments were not `-c FILE [-p PREFIX]`.
    Usage,
    /// The configuration has errors.
    Invalid(Vec<Diagnostic>),
}

impl Error for OfflineError {}

impl Display for OfflineError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => out.write_str("arguments: -c FILE [-p PREFIX]"),
            Self::Invalid(diagnostics) => {
                diagnostics.iter().try_for_each(|diagnostic| writeln!(out, "{diagnostic}"))?;
                out.write_str("the configuration cannot be used")
            }
        }
    }
}

/// A configuration on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfFile {
    /// Its name, relative to the prefix.
    pub file: PathBuf,
    /// Where relative paths begin.
    pub prefix: PathBuf,
}

impl ConfFile {
    /// The configuration of a prefix that is given without one. As nginx.
    pub const DEFAULT: &str = "conf/nginx.conf";

    /// Takes what `-c` and `-p` say, if anything.
    pub fn at(file: Option<PathBuf>, prefix: Option<PathBuf>) -> Self {
        Self {
            file: file.unwrap_or_else(|| Self::DEFAULT.into()),
            prefix: prefix.unwrap_or_else(|| PathBuf::from(".")),
        }
    }
}

/// Reads the configuration that `-c FILE [-p PREFIX]` names, and returns its caches.
pub fn caches(arguments: impl Iterator<Item = OsString>) -> Result<Vec<Arc<CachePath>>, OfflineError> {
    let (mut file, mut prefix) = (None, None);
    let mut words = arguments;
    while let Some(word) = words.next() {
        match (word.to_str(), words.next()) {
            (Some("-c"), Some(value)) => file = Some(PathBuf::from(value)),
            (Some("-p"), Some(value)) => prefix = Some(PathBuf::from(value)),
            _ => return Err(OfflineError::Usage),
        }
    }
    let file = file.ok_or(OfflineError::Usage)?;
    caches_of(&ConfFile::at(Some(file), prefix))
}

/// Reads a configuration, and returns its caches. No name of a host is looked up.
pub fn caches_of(conf: &ConfFile) -> Result<Vec<Arc<CachePath>>, OfflineError> {
    let main = MainText::File(conf.file.clone());
    let source = Source { prefix: conf.prefix.clone(), main, globals: None, error_log: None };
    let loaded = load(&source, &Nowhere).map_err(OfflineError::Invalid)?;
    Ok(loaded.config.http.map_or_else(Vec::new, |http| http.zones))
}

/// Nobody is connected to, so names need no addresses.
struct Nowhere;

impl HostLookup for Nowhere {
    fn lookup(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)])
    }

    fn hostname(&self) -> String {
        "localhost".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caches_of(words: &[&str]) -> Result<Vec<Arc<CachePath>>, OfflineError> {
        caches(words.iter().map(OsString::from))
    }

    #[test]
    fn caches_are_found_without_looking_hosts_up() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("larder.conf");
        let text =
            "events {} http { proxy_cache_path one keys_zone=one:1m; proxy_cache_path two keys_zone=two:1m;
            server { location / { proxy_pass http://no.such.host.invalid; } } }";
        std::fs::write(&file, text).unwrap();
        let prefix = dir.path().to_str().unwrap();
        let found = caches_of(&["-p", prefix, "-c", file.to_str().unwrap()]).unwrap();
        let paths: Vec<_> = found.iter().map(|cache| cache.path.clone()).collect();
        assert_eq!(paths, [dir.path().join("one"), dir.path().join("two")]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(matches!(caches_of(&["-p", "/"]), Err(OfflineError::Usage)));
        assert!(matches!(caches_of(&["-c"]), Err(OfflineError::Usage)));
        let error = caches_of(&["-c", "/no/such/file"]).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }
}
