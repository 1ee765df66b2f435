//! The block between the header lines and the body, in files that Larder wrote.
//!
//! ```text
//! texts: (tag, length, bytes)*   body length u64   crc32 of these u32   length of all u16   "LARDER\0\x01"
//! ```
//!
//! A block whose sum is wrong is taken for header lines of somebody else, which is what it would look like to nginx.

use crate::format::{Meta, TEXT_BYTES};

const MAGIC: &[u8; 8] = b"LARDER\0\x01";
const UNKNOWN: u64 = u64::MAX;
/// The body length and the sum: the part that is written anew when the length is learnt.
pub(super) const LENGTH_AND_SUM: usize = 12;
const FIXED: usize = LENGTH_AND_SUM + 2 + MAGIC.len();

const ETAG: u8 = 1;
const VARY: u8 = 2;

pub(super) fn encode(meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED);
    for (tag, text) in [(ETAG, &meta.etag), (VARY, &meta.vary)] {
        // A text over 65,535 bytes cannot come from a head that fits the format: the caller refuses that head.
        if text.len() > TEXT_BYTES
            && let Ok(len) = u16::try_from(text.len())
        {
            out.push(tag);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(text);
        }
    }
    out.extend_from_slice(&meta.body_len.unwrap_or(UNKNOWN).to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    let len = u16::try_from(out.len() + 2 + MAGIC.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(MAGIC);
    out
}

/// Reads the block at the end of `lines` into `meta` and returns its length: zero where there is none.
pub(super) fn decode(lines: &[u8], meta: &mut Meta) -> usize {
    let Some(block) = last_block(lines) else { return 0 };
    let (content, sum) = block[..block.len() - 2 - MAGIC.len()].split_at(block.len() - FIXED + 8);
    if sum != crc32fast::hash(content).to_le_bytes() {
        return 0;
    }
    let (mut texts, length) = content.split_at(content.len() - 8);
    let length = u64::from_le_bytes(length.try_into().expect("split at eight"));
    meta.body_len = (length != UNKNOWN).then_some(length);
    while let [tag, low, high, rest @ ..] = texts {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        match *tag {
            ETAG => meta.etag = rest[..len].to_vec(),
            VARY => meta.vary = rest[..len].to_vec(),
            // Written by a later version: not needed to serve the file.
            _ => {}
        }
        texts = &rest[len..];
    }
    block.len()
}

/// The offset and the bytes that state `body_len` in the block at the end of `prefix`.
pub(super) fn restate(prefix: &[u8], body_len: u64) -> (u64, [u8; LENGTH_AND_SUM]) {
    let block = last_block(prefix).expect("a prefix ends with its block");
    let texts = &block[..block.len() - FIXED];
    let mut sum = crc32fast::Hasher::new();
    sum.update(texts);
    sum.update(&body_len.to_le_bytes());
    let mut out = [0; LENGTH_AND_SUM];
    out[..8].copy_from_slice(&body_len.to_le_bytes());
    out[8..].copy_from_slice(&sum.finalize().to_le_bytes());
    ((prefix.len() - FIXED) as u64, out)
}

fn last_block(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_suffix(MAGIC)?;
    let len = rest.last_chunk::<2>()?;
    let len = usize::from(u16::from_le_bytes(*len));
    if len < FIXED || len > bytes.len() { None } else { Some(&bytes[bytes.len() - len..]) }
}
