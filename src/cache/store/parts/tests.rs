//! Parts in a temporary directory: listed, joined, made whole, purged.

use std::ops::Range;

use super::*;
use crate::purge::{Mode, Purge};
use crate::store::Inspected;
use crate::store::tests::{NOW, at, conf, key, meta, open};
use crate::writer::Durability;

const BODY: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/26\r\nX: y\r\n\r\n";

/// Stores a part and notes it.
fn put(zone: &Zone, key: &Key, etag: &str, range: Range<u64>) {
    let bytes = |at: u64| usize::try_from(at).unwrap();
    let digest = key.part_digest(etag.as_bytes(), &range);
    let mut meta = Meta {
        etag: etag.as_bytes().to_vec(),
        parts: Some(Box::new(Parts::one(range.clone(), BODY.len() as u64))),
        variant: digest,
        epoch: zone.epoch(),
        ..meta()
    };
    let mut temp = zone.create_temp(&digest, None).unwrap();
    temp.begin_with(Prefix::new(key, &mut meta, HEAD).unwrap(), &BODY[bytes(range.start)..bytes(range.end)])
        .unwrap();
    let room = zone.reserve(1024).unwrap();
    zone.commit(zone.permit_beside(&digest), &digest, temp, room, at(NOW)).unwrap();
    let part = StoredPart { key, meta: &meta, head: HEAD, temp_dir: None };
    zone.note_part(&part, at(NOW)).unwrap();
}

/// The parts that the list names; none where there is no list.
fn listed(zone: &Zone, key: &Key) -> Option<Vec<Range<u64>>> {
    let list = zone.read(key, &key.parts_digest()).unwrap()?;
    Some(list.meta.parts.unwrap().ranges)
}

#[test]
fn parts_of_one_whole_are_listed_and_made_one() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("/a");
    put(&zone, &key, "\"a\"", 10..20);
    put(&zone, &key, "\"a\"", 0..5);
    assert_eq!(listed(&zone, &key), Some(vec![0..5, 10..20]));
    assert!(zone.read(&key, &key.digest).unwrap().is_none());
    put(&zone, &key, "\"a\"", 3..12);
    put(&zone, &key, "\"a\"", 20..26);
    let whole = zone.read(&key, &key.digest).unwrap().unwrap();
    assert_eq!(whole.small_body.as_deref(), Some(BODY));
    assert_eq!(whole.meta.parts, None);
    assert_eq!(
        String::from_utf8(whole.head).unwrap(),
        "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 26\r\n\r\n"
    );
    zone.flush(Durability::Committed);
    assert_eq!(listed(&zone, &key), None);
    assert_eq!(zone.stats().entries, 1, "the parts are gone");
}

#[test]
fn a_part_of_another_whole_begins_a_new_list() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("/a");
    put(&zone, &key, "\"a\"", 0..10);
    put(&zone, &key, "\"b\"", 10..26);
    assert_eq!(listed(&zone, &key).map(|ranges| ranges.len()), Some(1));
    assert!(zone.read(&key, &key.digest).unwrap().is_none());
}

#[test]
fn what_purges_the_key_purges_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("/a");
    let part = key.part_digest(b"\"a\"", &(0..10));
    let purge =
        || zone.purge(&[Purge::Key(key.digest)], Mode::Hard, Durability::Committed, at(NOW)).unwrap().entries;
    put(&zone, &key, "\"a\"", 0..10);
    zone.flush(Durability::Committed);
    assert_eq!(purge(), None, "there was something, and nobody knows how much");
    assert_eq!((listed(&zone, &key), purge()), (None, Some(0)));
    assert_eq!(zone.inspect(&part).unwrap(), Inspected::Removed);
    zone.flush(Durability::Committed);
    assert_eq!(zone.stats().entries, 0);
}

#[test]
fn the_head_of_a_whole_needs_one_of_a_part() {
    assert_eq!(whole_head(b"nonsense", 10), None);
}
