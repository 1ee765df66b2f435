//! `proxy_add_via`: the field Via, by which those on a request's way tell that it passed them (RFC 9110, 7.6.3).
//!
//! A field of our own follows those that are there, which means the same as one list.

use http1::{Fields, Version};

/// The name that we give in it.
const PSEUDONYM: &str = "larder";

/// Appends our line to the head of a request that came in this version.
pub(super) fn write(head: &mut Vec<u8>, received: Version) {
    http1::write_field(head, b"Via", entry(received).as_bytes());
}

/// Appends our field to an answer that came in this version.
pub(super) fn push(fields: &mut Fields, received: Version) {
    fields.push(b"Via", entry(received).as_bytes());
}

fn entry(Version { major, minor }: Version) -> String {
    format!("{major}.{minor} {PSEUDONYM}")
}
