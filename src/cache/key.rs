//! The identity of a cached response: the text of `proxy_cache_key`, its MD5 and its CRC-32.
//!
//! The digest names the file. `levels` of a path take their characters from its end, so that
//! files spread evenly over directories. Nothing here touches the disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use config::CachePath;
use md5::{Digest as _, Md5};

/// The MD5 of a key, or of a key and the request fields that `Vary` names.
pub type Digest = [u8; 16];

/// A key with its digests, computed once for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key as `proxy_cache_key` spells it.
    pub text: Vec<u8>,
    /// The MD5 of the text: the name of the main file.
    pub digest: Digest,
    /// The CRC-32 of the text, kept in the file as a second check.
    pub crc32: u32,
}

impl Key {
    /// Computes both digests of a key's text.
    pub fn new(text: Vec<u8>) -> Self {
        let digest = Md5::digest(&text).into();
        let crc32 = crc32fast::hash(&text);
        Self { text, digest, crc32 }
    }
}

/// Names the file of a digest below a cache path.
pub fn path_of(zone: &CachePath, digest: &Digest) -> PathBuf {
    path_below(zone, &hex(digest))
}

/// Reads a digest back from the name of a file; anything but 32 lower-case hex digits is not one.
pub fn digest_of_name(name: &OsStr) -> Option<Digest> {
    let name = name.as_bytes();
    if name.len() != 32 {
        return None;
    }
    let mut digest = [0; 16];
    for (byte, pair) in digest.iter_mut().zip(name.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

/// Writes a digest as 32 lower-case hex digits.
pub fn hex(digest: &Digest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pairs = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    pairs.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

fn path_below(zone: &CachePath, name: &str) -> PathBuf {
    let mut path = PathBuf::with_capacity(zone.path.as_os_str().len() + 48);
    path.push(&zone.path);
    let mut end = name.len();
    for &width in &zone.levels {
        let start = end - usize::from(width);
        path.push(&name[start..end]);
        end = start;
    }
    path.push(name);
    path
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
