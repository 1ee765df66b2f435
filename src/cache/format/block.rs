//! The block between the header lines and the body, in files that Larder wrote.
//!
//! ```text
//! texts: (tag u8, length u16, bytes)*   body length u64   crc32 of these u32   length of all u16   "LARDER\0\x01"
//! ```
//!
//! Zeros before a text are padding: other header lines may take the place of longer ones (`Prefix::fitted`).
//!
//! What is known only at the end of a body (its length, its checksum) is stated in place then: the checksum is the last text.
//!
//! A block whose sum is wrong is taken for header lines of somebody else, which is what it would look like to nginx.

use std::time::Duration;

use crate::format::{Meta, TEXT_BYTES};
use crate::parts::Parts;
use crate::policy::Restraint;

const MAGIC: &[u8; 8] = b"LARDER\0\x01";
const UNKNOWN: u64 = u64::MAX;
/// Body length and the block's own sum, its length, and the mark.
const FIXED: usize = 8 + 4 + 2 + MAGIC.len();

/// Stands where a tag would, any number of times.
const PADDING: u8 = 0;
const ETAG: u8 = 1;
const VARY: u8 = 2;
const EPOCH: u8 = 3;
const TAGS: u8 = 4;
const BODY_SUM: u8 = 5;
/// Tag, length and value of an epoch.
const EPOCH_BYTES: usize = 11;
/// Tag, length and value of a checksum.
const BODY_SUM_BYTES: usize = 7;
const INITIAL_AGE: u8 = 6;
const RESTRAINT: u8 = 7;
const PARTS: u8 = 8;

/// Values of [`RESTRAINT`].
const NEVER_STALE: u8 = 1;
const ALWAYS_VALIDATED: u8 = 2;

/// Writes the block, with so many zeros in it.
pub(super) fn encode(meta: &Meta, padding: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(padding + FIXED + EPOCH_BYTES);
    // Always there, and first, so that a validation can raise it in place.
    put(&mut out, EPOCH, &meta.epoch.to_le_bytes());
    out.resize(out.len() + padding, PADDING);
    for (tag, text, beyond) in
        [(ETAG, &meta.etag, TEXT_BYTES), (VARY, &meta.vary, TEXT_BYTES), (TAGS, &meta.tags, 0)]
    {
        if text.len() > beyond {
            put(&mut out, tag, text);
        }
    }
    if let Some(age) = meta.initial_age {
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        put(&mut out, INITIAL_AGE, &seconds.to_le_bytes());
    }
    match meta.restraint {
        Restraint::Free => {}
        Restraint::NeverStale => put(&mut out, RESTRAINT, &[NEVER_STALE]),
        Restraint::AlwaysValidated => put(&mut out, RESTRAINT, &[ALWAYS_VALIDATED]),
    }
    if let Some(parts) = &meta.parts {
        put(&mut out, PARTS, &parts.encode());
    }
    if let Some(sum) = meta.body_sum {
        out.extend_from_slice(&body_sum(sum));
    }
    out.extend_from_slice(&meta.body_len.unwrap_or(UNKNOWN).to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    let len = u16::try_from(out.len() + 2 + MAGIC.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(MAGIC);
    out
}

/// A text over 65,535 bytes is none that a file can hold: the caller refuses the head that it came with.
fn put(out: &mut Vec<u8>, tag: u8, text: &[u8]) {
    if let Ok(len) = u16::try_from(text.len()) {
        out.push(tag);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(text);
    }
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
    while let Some((tag, rest)) = texts.split_first() {
        if *tag == PADDING {
            texts = rest;
            continue;
        }
        let [low, high, rest @ ..] = rest else { break };
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        match (*tag, &rest[..len]) {
            (ETAG, text) => meta.etag = text.to_vec(),
            (VARY, text) => meta.vary = text.to_vec(),
            (EPOCH, epoch) => meta.epoch = epoch.try_into().map_or(0, u64::from_le_bytes),
            (TAGS, tags) => meta.tags = tags.to_vec(),
            (PARTS, parts) => meta.parts = Parts::decode(parts).map(Box::new),
            (BODY_SUM, sum) => meta.body_sum = sum.try_into().ok().map(u32::from_le_bytes),
            (INITIAL_AGE, &[a, b, c, d]) => {
                meta.initial_age = Some(Duration::from_secs(u32::from_le_bytes([a, b, c, d]).into()));
            }
            (RESTRAINT, [NEVER_STALE]) => meta.restraint = Restraint::NeverStale,
            (RESTRAINT, [ALWAYS_VALIDATED]) => meta.restraint = Restraint::AlwaysValidated,
            // Written by a later version: not needed to serve the file.
            _ => {}
        }
        texts = &rest[len..];
    }
    block.len()
}

/// States the length and, where there is room for it, the checksum of a body in the block at the end of `prefix`.
/// Returns where the block starts.
pub(super) fn state(prefix: &mut [u8], body_len: u64, sum: Option<u32>) -> usize {
    let start = prefix.len() - last_block(prefix).expect("a prefix ends with its block").len();
    let block = &mut prefix[start..];
    let (content, own_sum) = block.split_at_mut(block.len() - FIXED + 8);
    let (texts, length) = content.split_at_mut(content.len() - 8);
    length.copy_from_slice(&body_len.to_le_bytes());
    if let (Some(sum), Some(text)) = (sum, texts.last_chunk_mut::<BODY_SUM_BYTES>()) {
        *text = body_sum(sum);
    }
    let sum = crc32fast::hash(content);
    own_sum[..4].copy_from_slice(&sum.to_le_bytes());
    start
}

fn body_sum(sum: u32) -> [u8; BODY_SUM_BYTES] {
    let [a, b, c, d] = sum.to_le_bytes();
    [BODY_SUM, 4, 0, a, b, c, d]
}

/// Where the epoch in the block at the end of `prefix` stands, and the bytes from there to the block's sum with another.
///
/// None where there is no block, or one without a place for it.
pub(super) fn raise_epoch(prefix: &[u8], epoch: u64) -> Option<(u64, Vec<u8>)> {
    let block = last_block(prefix)?;
    let block_start = prefix.len() - block.len();
    let texts = &block[..block.len() - FIXED];
    let mut at = 0;
    while let [tag, low, high, rest @ ..] = &texts[at..] {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        if *tag == EPOCH && len == 8 && rest.len() >= len {
            let mut content = block[..texts.len() + 8].to_vec();
            content[at + 3..at + 3 + len].copy_from_slice(&epoch.to_le_bytes());
            let sum = crc32fast::hash(&content);
            content.extend_from_slice(&sum.to_le_bytes());
            return Some(((block_start + at + 3) as u64, content.split_off(at + 3)));
        }
        at = (at + 3 + len).min(texts.len());
    }
    None
}

fn last_block(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_suffix(MAGIC)?;
    let len = rest.last_chunk::<2>()?;
    let len = usize::from(u16::from_le_bytes(*len));
    if len < FIXED || len > bytes.len() { None } else { Some(&bytes[bytes.len() - len..]) }
}
