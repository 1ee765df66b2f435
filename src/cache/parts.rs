//! Parts of an answer that is not stored whole (RFC 9111, 3.3 and 3.4).
//!
//! Each part is a file of its own, and a list says which there are. All of them are kept as variants are, under digests of their own
//! that no request's key has: nginx never looks there, and what purges the key purges them. Parts in one list have the same strong entity
//! tag and the same length of the whole, so they may be joined.

use std::ops::Range;

use md5::{Digest as _, Md5};

use crate::key::{Digest, Key};

/// Parts in one list, at most: so its file stays small.
const PARTS_MOST: usize = 256;

/// Which bytes of a whole are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Bytes of the whole.
    pub complete_length: u64,
    /// The parts, by their first byte. None lies within another.
    pub ranges: Vec<Range<u64>>,
}

impl Parts {
    /// The one part of a whole.
    pub fn one(range: Range<u64>, complete_length: u64) -> Self {
        Self { complete_length, ranges: vec![range] }
    }

    /// Returns the part that reaches furthest from a position on.
    pub fn at(&self, position: u64) -> Option<&Range<u64>> {
        self.ranges.iter().filter(|range| range.contains(&position)).max_by_key(|range| range.end)
    }

    /// Returns where the next part behind a position begins, or the whole ends.
    pub fn next_start(&self, position: u64) -> u64 {
        let starts = self.ranges.iter().map(|range| range.start);
        starts.filter(|start| *start > position).min().unwrap_or(self.complete_length)
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.cover(&(0..self.complete_length))
    }

    /// Whether nothing is missing of a range.
    pub fn cover(&self, wanted: &Range<u64>) -> bool {
        let mut position = wanted.start;
        while position < wanted.end {
            let Some(range) = self.at(position) else { return false };
            position = range.end;
        }
        true
    }

    /// Adds a part. Those within it go; one that lies within another is not added. Where there are too many, the smallest goes.
    pub fn add(&mut self, added: Range<u64>) {
        let within =
            |inner: &Range<u64>, outer: &Range<u64>| inner.start >= outer.start && inner.end <= outer.end;
        if self.ranges.iter().any(|range| within(&added, range)) {
            return;
        }
        self.ranges.retain(|range| !within(range, &added));
        let place = self.ranges.partition_point(|range| range.start < added.start);
        self.ranges.insert(place, added);
        if self.ranges.len() > PARTS_MOST {
            let smallest = self.ranges.iter().enumerate().min_by_key(|(_, range)| range.end - range.start);
            let place = smallest.map_or(0, |(place, _)| place);
            self.ranges.remove(place);
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = self.ranges.iter().flat_map(|range| [range.start, range.end]);
        [self.complete_length].into_iter().chain(numbers).flat_map(u64::to_le_bytes).collect()
    }

    /// Reads what a file says; none where that makes no sense.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().copied().map(u64::from_le_bytes);
        let complete_length = numbers.next().filter(|_| rest.is_empty())?;
        let mut ranges = Vec::new();
        while let Some(start) = numbers.next() {
            let end = numbers.next().filter(|end| start < *end && *end <= complete_length)?;
            ranges.push(start..end);
        }
        Some(Self { complete_length, ranges })
    }
}

impl Key {
    /// The digest of the list of parts.
    pub fn parts_digest(&self) -> Digest {
        list_digest(&self.digest)
    }

    /// The digest of one part of the whole with that entity tag.
    pub fn part_digest(&self, etag: &[u8], range: &Range<u64>) -> Digest {
        derived(&self.digest, b"part", &[etag, &range.start.to_le_bytes(), &range.end.to_le_bytes()])
    }

    /// The digest of a question for a part: two who ask for the same wait for each other.
    pub fn part_question(&self, fields: &[&[u8]]) -> Digest {
        derived(&self.digest, b"question", fields)
    }
}

/// The digest of the list of parts of a key.
pub(crate) fn list_digest(main: &Digest) -> Digest {
    derived(main, b"parts", &[])
}

fn derived(main: &Digest, what: &[u8], texts: &[&[u8]]) -> Digest {
    let mut md5 = Md5::new();
    md5.update(main);
    md5.update(b"\0larder ");
    md5.update(what);
    for text in texts {
        md5.update((text.len() as u64).to_le_bytes());
        md5.update(text);
    }
    md5.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Parts {
        let mut parts = Parts { complete_length: 100, ranges: Vec::new() };
        for range in text.split_whitespace() {
            let (start, end) = range.split_once("..").unwrap();
            parts.add(start.parse().unwrap()..end.parse().unwrap());
        }
        parts
    }

    fn text(parts: &Parts) -> String {
        parts.ranges.iter().map(|range| format!("{range:?}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parts_are_kept_in_order_and_none_within_another() {
        for (added, wanted, is_whole) in [
            ("50..60 0..10", "0..10 50..60", false),
            ("0..10 0..10", "0..10", false),
            ("0..10 5..20 2..8", "0..10 5..20", false),
            ("5..8 20..30 0..50", "0..50", false),
            ("0..50 50..100", "0..50 50..100", true),
            ("0..60 40..100", "0..60 40..100", true),
            ("0..50 51..100", "0..50 51..100", false),
            ("0..100", "0..100", true),
        ] {
            let parts = parts(added);
            assert_eq!((&*text(&parts), parts.is_whole()), (wanted, is_whole), "{added}");
            assert_eq!(Parts::decode(&parts.encode()), Some(parts), "{added}");
        }
    }

    #[test]
    fn what_is_there_and_what_is_missing_are_found() {
        let parts = parts("10..20 15..40 60..70");
        for (position, part, next) in [
            (0, None, 10),
            (10, Some(10..20), 15),
            (15, Some(15..40), 60),
            (40, None, 60),
            (69, Some(60..70), 100),
        ] {
            assert_eq!((parts.at(position), parts.next_start(position)), (part.as_ref(), next), "{position}");
        }
    }

    #[test]
    fn a_list_has_an_end() {
        let mut parts = Parts { complete_length: u64::MAX, ranges: Vec::new() };
        for number in 0..1000 {
            parts.add(number * 10..number * 10 + 5 + u64::from(number != 7));
        }
        assert_eq!(parts.ranges.len(), PARTS_MOST);
        assert!(parts.at(70).is_none(), "the smallest went first");
    }

    #[test]
    fn nonsense_is_no_list() {
        for bytes in [&b""[..], &[1; 7], &[0; 24], &[1; 16]] {
            assert_eq!(Parts::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn digests_differ() {
        let key = Key::new(b"a".to_vec());
        let other = Key::new(b"b".to_vec());
        let digests = [
            key.digest,
            key.parts_digest(),
            other.parts_digest(),
            key.part_digest(b"\"a\"", &(0..1)),
            key.part_digest(b"\"a\"", &(0..2)),
            key.part_digest(b"\"b\"", &(0..1)),
            key.part_question(&[b"ab", b"c"]),
            key.part_question(&[b"a", b"bc"]),
        ];
        let mut sorted = digests.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), digests.len());
    }
}
