//! Paths of files: `root` and `alias` over the path of a request.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use config::Root;

use crate::http::Exchange;

/// Returns the file that a path asks for in the location in force.
pub fn file_path(exchange: &Exchange, uri: &[u8]) -> PathBuf {
    let replaced = match replaced(exchange) {
        Replaced::Whole if exchange.appends_to_alias => Replaced::Nothing,
        replaced => replaced,
    };
    path_of(join(document_root(exchange), uri, replaced))
}

/// Takes bytes for a path.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// Returns which part of a path the directory in force stands for.
pub(super) fn replaced(exchange: &Exchange) -> Replaced {
    match (&*exchange.location.core.document_root, exchange.location.alias_len) {
        (Root::Root(_), _) => Replaced::Nothing,
        (Root::Alias(_), Some(len)) => Replaced::Prefix(len),
        (Root::Alias(_), None) => Replaced::Whole,
    }
}

/// Which part of a path the directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// None: the path is appended.
    Nothing,
    /// The beginning, of that many bytes.
    Prefix(usize),
    /// All of it.
    Whole,
}

fn join(mut base: Vec<u8>, uri: &[u8], replaced: Replaced) -> Vec<u8> {
    match replaced {
        Replaced::Nothing => base.extend_from_slice(uri),
        // An internal redirect into a named location may bring a path that does not begin with the name.
        Replaced::Prefix(len) => base.extend_from_slice(uri.get(len..).unwrap_or_default()),
        Replaced::Whole => {}
    }
    base
}

/// Returns the directory in force (`$document_root`).
pub fn document_root(exchange: &Exchange) -> Vec<u8> {
    match &*exchange.location.core.document_root {
        Root::Root(template) | Root::Alias(template) => template.expand(exchange),
    }
}

/// Returns the directory in force with symbolic links resolved (`$realpath_root`), if it exists.
pub fn real_root(exchange: &Exchange) -> Option<Vec<u8>> {
    let root = document_root(exchange);
    let real = std::fs::canonicalize(Path::new(std::ffi::OsStr::from_bytes(&root))).ok()?;
    Some(real.into_os_string().into_vec())
}

/// Returns the extension of a path: what follows the last dot of its last part, which must not begin with it.
pub(super) fn extension(uri: &[u8]) -> Option<&[u8]> {
    let dot = uri.iter().rposition(|&byte| matches!(byte, b'.' | b'/'))?;
    (uri[dot] == b'.' && dot > 1 && uri[dot - 1] != b'/').then(|| &uri[dot + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_stand_for_parts_of_paths() {
        for (base, uri, replaced, wanted) in [
            ("/srv", "/a/b", Replaced::Nothing, "/srv/a/b"),
            ("/srv/", "/a/b", Replaced::Prefix(3), "/srv/b"),
            ("/srv", "/a", Replaced::Prefix(2), "/srv"),
            ("/srv", "/a", Replaced::Prefix(9), "/srv"),
            ("/srv/x", "/a/b", Replaced::Whole, "/srv/x"),
        ] {
            let path = join(base.as_bytes().to_vec(), uri.as_bytes(), replaced);
            assert_eq!(path, wanted.as_bytes(), "{base} {uri} {replaced:?}");
        }
    }

    #[test]
    fn extensions_are_found_as_nginx_finds_them() {
        for (uri, wanted) in [
            ("/a.html", Some("html")),
            ("/a.tar.gz", Some("gz")),
            ("/a.b/c", None),
            ("/.html", None),
            ("/d/.html", None),
            ("/a.", Some("")),
            ("/a", None),
            ("", None),
        ] {
            assert_eq!(extension(uri.as_bytes()), wanted.map(str::as_bytes), "{uri}");
        }
    }
}
