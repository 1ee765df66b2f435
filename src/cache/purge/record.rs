//! Purges as bytes: the layout of `larder.purges`, and what is to be made of one that is torn or damaged.
//!
//! ```text
//! header:  "LARDRPG\x01"   last number u64   floor u64   crc32 of these u32
//! record:  crc32 of what follows u32   length of what follows u32   number u64   mode u8   kind u8   name
//! ```
//!
//! A record that was never finished was never answered for, and is cut off. Where whole records follow a broken one, others may be lost.

use crate::purge::{Mode, Purge};

const MAGIC: &[u8; 8] = b"LARDRPG\x01";
/// The header's length.
pub(crate) const HEADER_BYTES: usize = 28;
/// Sum and length.
const FRAME_BYTES: usize = 8;
/// Number, mode and kind.
const FIXED_BYTES: usize = 10;
/// The longest name: more than any key or tag that a file can hold.
pub(crate) const LONGEST_NAME: usize = 1 << 16;

const HARD: u8 = 0;
const SOFT: u8 = 1;
const KEY: u8 = 0;
const PREFIX: u8 = 1;
const TAG: u8 = 2;
const ALL: u8 = 3;

/// One purge of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) mode: Mode,
    pub(crate) what: Purge,
}

/// What bytes after the header are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) records: Vec<Record>,
    /// The length of the records.
    pub(crate) valid_bytes: usize,
    pub(crate) rest: Rest,
}

/// What follows the last record that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    /// A record that was never finished.
    Torn,
    /// Something broken, and whole records after it.
    Damaged,
}

/// Writes the header.
pub(crate) fn header(last: u64, floor: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&last.to_le_bytes());
    out[16..24].copy_from_slice(&floor.to_le_bytes());
    let sum = crc32fast::hash(&out[..24]);
    out[24..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Reads the last number and the floor off a header; none where it is broken.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<(u64, u64)> {
    let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let sum = crc32fast::hash(&bytes[..24]).to_le_bytes();
    if !bytes.starts_with(MAGIC) || bytes[24..] != sum {
        return None;
    }
    let number = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    Some((number(8), number(16)))
}

/// Adds a record to `out`.
pub(crate) fn write(out: &mut Vec<u8>, record: &Record) {
    let (kind, name): (u8, &[u8]) = match &record.what {
        Purge::Key(digest) => (KEY, digest),
        Purge::Prefix(prefix) => (PREFIX, prefix),
        Purge::Tag(tag) => (TAG, tag),
        Purge::All => (ALL, &[]),
    };
    let mode = match record.mode {
        Mode::Hard => HARD,
        Mode::Soft => SOFT,
    };
    let start = out.len();
    let len = u32::try_from(FIXED_BYTES + name.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&record.number.to_le_bytes());
    out.extend_from_slice(&[mode, kind]);
    out.extend_from_slice(name);
    let sum = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
}

/// Reads records up to the first that is not whole.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((record, len)) = first(&bytes[at..]) {
        records.push(record);
        at += len;
    }
    let rest = &bytes[at..];
    let is_followed = (1..rest.len()).any(|from| first(&rest[from..]).is_some());
    let rest = match (rest.is_empty(), is_followed) {
        (true, _) => Rest::Nothing,
        (false, true) => Rest::Damaged,
        (false, false) => Rest::Torn,
    };
    Parsed { records, valid_bytes: at, rest }
}

/// Reads the record at the start of `bytes`, and says how long it is.
fn first(bytes: &[u8]) -> Option<(Record, usize)> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*rest.first_chunk()?)).ok()?;
    if !(FIXED_BYTES..=FIXED_BYTES + LONGEST_NAME).contains(&len) {
        return None;
    }
    let summed = rest.get(..4 + len)?;
    if crc32fast::hash(summed).to_le_bytes() != *sum {
        return None;
    }
    let (number, rest) = summed[4..].split_first_chunk::<8>()?;
    let [mode, kind, name @ ..] = rest else { return None };
    let mode = match *mode {
        HARD => Mode::Hard,
        SOFT => Mode::Soft,
        _ => return None,
    };
    let what = match *kind {
        KEY => Purge::Key(name.try_into().ok()?),
        PREFIX => Purge::Prefix(name.to_vec()),
        TAG => Purge::Tag(name.to_vec()),
        ALL => Purge::All,
        _ => return None,
    };
    Some((Record { number: u64::from_le_bytes(*number), mode, what }, FRAME_BYTES + len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let of = |number, mode, what| Record { number, mode, what };
        vec![
            of(1, Mode::Hard, Purge::Key([7; 16])),
            of(2, Mode::Soft, Purge::Prefix(b"http://a/".to_vec())),
            of(2, Mode::Soft, Purge::Prefix(Vec::new())),
            of(3, Mode::Hard, Purge::Tag(vec![b't'; LONGEST_NAME])),
            of(u64::MAX, Mode::Hard, Purge::All),
        ]
    }

    fn bytes() -> (Vec<u8>, Vec<usize>) {
        let mut out = Vec::new();
        let ends = records().into_iter().map(|record| {
            write(&mut out, &record);
            out.len()
        });
        let ends = ends.collect();
        (out, ends)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, _) = bytes();
        let wanted = Parsed { records: records(), valid_bytes: bytes.len(), rest: Rest::Nothing };
        assert_eq!(parse(&bytes), wanted);
        assert_eq!(parse_header(&header(5, 3)), Some((5, 3)));
        for at in 0..HEADER_BYTES {
            let mut broken = header(5, 3);
            broken[at] ^= 4;
            assert_eq!(parse_header(&broken), None, "byte {at}");
        }
        assert_eq!(parse_header(&header(5, 3)[..HEADER_BYTES - 1]), None);
    }

    #[test]
    fn a_torn_end_is_cut_at_the_last_whole_record() {
        let (bytes, ends) = bytes();
        let cuts = (0..200).chain(ends.iter().flat_map(|end| end - 1..end + 20)).chain([bytes.len()]);
        for cut in cuts.filter(|cut| *cut <= bytes.len()) {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let valid_bytes = whole.checked_sub(1).map_or(0, |last| ends[last]);
            let rest = if valid_bytes == cut { Rest::Nothing } else { Rest::Torn };
            let wanted = Parsed { records: records()[..whole].to_vec(), valid_bytes, rest };
            assert_eq!(parse(&bytes[..cut]), wanted, "cut at {cut}");
            // A file system may have made the file longer without writing what belongs there.
            let mut zeros = bytes[..cut].to_vec();
            zeros.extend_from_slice(&[0; 100]);
            assert_eq!(parse(&zeros), Parsed { rest: Rest::Torn, ..wanted }, "zeros from {cut} on");
        }
    }

    #[test]
    fn damage_before_whole_records_is_told_from_a_torn_end() {
        let (bytes, ends) = bytes();
        let last_start = ends[ends.len() - 2];
        for at in (0..bytes.len()).filter(|at| at % 997 == 0 || *at < 120 || *at >= last_start) {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            let parsed = parse(&broken);
            let whole = ends.iter().filter(|end| **end <= at).count();
            assert_eq!(parsed.records, records()[..whole], "byte {at}");
            let wanted = if at >= last_start { Rest::Torn } else { Rest::Damaged };
            assert_eq!(parsed.rest, wanted, "byte {at}");
        }
    }
}
