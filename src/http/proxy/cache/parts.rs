//! Parts of answers (RFC 9111, 3.3 and 3.4): which answer is one, and the stored ones as a body is put together from them.

use std::{ops::Range, sync::Arc};

use cache::{Digest, Key, Parts};
use http1::ResponseHead;

use super::zone::{Entry, Zone};
use crate::http::{
    Body,
    slice::{ContentRange, content_range},
};

/// What came for a question for a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// A part that may be joined with others of the same tag.
    Part(Parts),
    /// What does not depend on the range: the whole, or an error.
    Whole,
    /// What is this request's alone.
    Own,
}

/// Says what an answer is that has a body of this length.
pub(super) fn came(head: &ResponseHead, length: Option<u64>) -> Came {
    match head.status {
        206 => part(head, length).map_or(Came::Own, Came::Part),
        416 | 304 => Came::Own,
        _ => Came::Whole,
    }
}

/// RFC 9110, 15.3.7.3: only a strong tag tells that parts are of the same whole.
fn part(head: &ResponseHead, length: Option<u64>) -> Option<Parts> {
    let is_strong = head.fields.get("ETag").is_some_and(|tag| tag.len() > 2 && tag.starts_with(b"\""));
    let range = head.fields.get("Content-Range").and_then(content_range::parse).filter(|_| is_strong)?;
    let complete_length = range.complete_length.filter(|complete| range.end <= *complete)?;
    (length == Some(range.end - range.start)).then(|| Parts::one(range.start..range.end, complete_length))
}

/// The stored parts of one whole.
pub struct StoredParts {
    zone: Arc<Zone>,
    key: Key,
    list: Arc<Entry>,
    parts: Parts,
}

impl StoredParts {
    /// Takes what a list names; none where it is no list.
    pub(super) fn of(zone: Arc<Zone>, key: Key, list: Arc<Entry>) -> Option<Self> {
        let parts = Parts::clone(list.meta.parts.as_deref()?);
        Some(Self { zone, key, list, parts })
    }

    /// Which parts there are.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Forgets all of them: they are of another whole than there is now.
    pub fn forget(&self) {
        let digest = self.key.parts_digest();
        self.zone.withdraw(&digest, &self.list);
        if let Some(file) = self.list.file() {
            // Whoever comes before it is done finds out the same.
            self.zone.store.discard(&digest, file.identity);
        }
    }

    /// The tag that they have alike.
    pub fn etag(&self) -> &[u8] {
        &self.list.meta.etag
    }

    /// Bytes of the whole.
    pub fn complete_length(&self) -> u64 {
        self.parts.complete_length
    }

    /// Finds what is stored of the byte at a position: a part, or the whole that was made of all parts since. Cancel safe.
    pub async fn at(&self, position: u64) -> Option<(Body, ContentRange)> {
        if let Some(range) = self.parts.at(position) {
            let digest = self.key.part_digest(self.etag(), range);
            let is_it = |entry: &Arc<Entry>| {
                let own = entry.meta.parts.as_ref().and_then(|parts| parts.ranges.first());
                own == Some(range) && entry.body_len() == range.end - range.start
            };
            if let Some(entry) = self.zone.find(&self.key, &digest).await.filter(is_it) {
                return Some(self.read(&digest, &entry, range));
            }
        }
        self.whole().await
    }

    /// Finds the whole, if it has been stored since: its parts are removed then.
    async fn whole(&self) -> Option<(Body, ContentRange)> {
        let digest = self.key.digest;
        let entry = self.zone.find(&self.key, &digest).await?;
        let is_it = entry.meta.etag == self.etag() && entry.body_len() == self.complete_length();
        is_it.then(|| self.read(&digest, &entry, &(0..self.complete_length())))
    }

    fn read(&self, digest: &Digest, entry: &Entry, range: &Range<u64>) -> (Body, ContentRange) {
        self.zone.touch(digest, entry);
        let Range { start, end } = *range;
        (entry.body(), ContentRange { start, end, complete_length: self.complete_length() })
    }

    /// Returns where the next part behind a position begins, or the whole ends.
    pub fn next_start(&self, position: u64) -> u64 {
        self.parts.next_start(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_with_its_place_and_a_strong_tag_is_joined() {
        let one = Came::Part(Parts::one(2..5, 10));
        for (status, tag, range, length, wanted) in [
            (206, "\"a\"", "bytes 2-4/10", Some(3), one),
            (206, "W/\"a\"", "bytes 2-4/10", Some(3), Came::Own),
            (206, "", "bytes 2-4/10", Some(3), Came::Own),
            (206, "\"a\"", "bytes 2-4/*", Some(3), Came::Own),
            (206, "\"a\"", "bytes 2-4/4", Some(3), Came::Own),
            (206, "\"a\"", "bytes 2-4/10", Some(4), Came::Own),
            (206, "\"a\"", "bytes 2-4/10", None, Came::Own),
            (206, "\"a\"", "", Some(3), Came::Own),
            (416, "\"a\"", "bytes */10", Some(0), Came::Own),
            (200, "\"a\"", "", Some(10), Came::Whole),
            (404, "", "", Some(3), Came::Whole),
        ] {
            let mut head = ResponseHead::new();
            head.status = status;
            for (name, value) in [("ETag", tag), ("Content-Range", range)] {
                if !value.is_empty() {
                    head.fields.push(name.as_bytes(), value.as_bytes());
                }
            }
            assert_eq!(came(&head, length), wanted, "{status} {tag} {range} {length:?}");
        }
    }
}
