//! What entries weigh, and that no more is kept than the budget allows.

use bytes::Bytes;

use super::*;

fn head(fields: usize) -> Arc<ResponseHead> {
    let mut head = ResponseHead::new();
    for number in 0..fields {
        head.fields.push(format!("X-Field-{number}").as_bytes(), &[b'v'; 100]);
    }
    Arc::new(head)
}

fn entry(body: usize, fields: usize) -> Arc<Entry> {
    let arriving = Entry::arriving(Meta::default(), head(fields));
    let body = StoredBody::Memory(Bytes::from(vec![b'b'; body]));
    Arc::new(Entry::shown(&arriving, Meta::default(), body))
}

/// An entry whose body is not in memory.
fn open(fields: usize) -> Arc<Entry> {
    Arc::new(Entry::arriving(Meta::default(), head(fields)))
}

fn digest(number: u32) -> Digest {
    let mut digest = Digest::default();
    digest[..4].copy_from_slice(&number.to_le_bytes());
    digest
}

#[test]
fn budgets() {
    let (mib, budget) = (1 << 20, |bodies, heads, least| Budget { bodies, heads, least });
    let cases = [
        ("the default", 64 * mib, 256, budget(60 * mib, 4 * mib, 16 << 10)),
        ("a little", mib, 256, budget(3 * mib / 4, mib / 4, 1 << 10)),
        ("none for bodies", 0, 1024, budget(0, 4 * mib, 4 << 10)),
        ("no descriptors to speak of", 0, 0, budget(0, 4 * mib, 4 * mib)),
        ("no lack of them", 64 * mib, 1 << 30, budget(60 * mib, 4 * mib, 1)),
    ];
    for (name, ram, descriptors, wanted) in cases {
        assert_eq!(Budget::new(ram, descriptors), wanted, "{name}");
    }
}

#[test]
fn an_entry_weighs_what_it_points_to() {
    let weigh = |entry: &Entry| memory_bytes(&entry.meta, &entry.head, &entry.body);
    let empty = weigh(&entry(0, 0));
    assert_eq!(empty, ENTRY_BYTES as u64);
    assert_eq!(weigh(&entry(5000, 0)), empty + 5000);
    let ten = head(10).fields.memory_bytes();
    assert!(ten >= 10 * 109 + 10 * 20, "names, values and where they are: {ten}");
    assert_eq!(weigh(&entry(0, 10)), empty + 3 * ten as u64);
    let (etag, vary, tags) = (vec![b'e'; 300], vec![b'v'; 200], vec![b't'; 100]);
    let meta = Meta { etag, vary, tags, ..Meta::default() };
    assert_eq!(memory_bytes(&meta, &head(0), &StoredBody::Arriving), empty + 600);
}

#[test]
fn an_open_file_counts_as_a_descriptor_at_least() {
    let weigher = ByMemory { least: 2000 };
    assert_eq!(weigher.weight(&digest(1), &open(0)), 2000);
    assert!(weigher.weight(&digest(1), &open(20)) > 2000);
}

#[test]
fn many_keys_stay_within_the_budget() {
    let cases = [(1 << 20, 64, 100), (1 << 20, 64, 30_000), (16 << 20, 300, 2000), (0, 100, 2000)];
    for (ram, descriptors, body) in cases {
        let memory = Memory::new(&Budget::new(ram, descriptors));
        for number in 0..5000 {
            memory.insert(digest(number), entry(body, 5));
            memory.insert(digest(10_000 + number), open(5));
        }
        let (bodies, files) = (memory.bodies.weight(), memory.files.weight());
        let bound = ram.max(HEADS_BYTES) + 64;
        assert!(bodies + files <= bound, "ram={ram}: {bodies} and {files}");
        assert!(memory.files.len() as u64 <= descriptors, "ram={ram}: {} files", memory.files.len());
        assert_eq!(memory.bodies.is_empty(), ram == 0);
        assert!(!memory.files.is_empty() && (ram == 0 || bodies > ram / 2), "ram={ram}: it is used");
    }
}

#[test]
fn a_key_is_in_one_table_at_a_time() {
    let memory = Memory::new(&Budget::new(1 << 20, 64));
    let (first, second, key) = (entry(10, 1), open(1), digest(7));
    for (now, before) in [(&first, &second), (&second, &first), (&first, &second)] {
        memory.insert(key, Arc::clone(now));
        assert_eq!(memory.bodies.len() + memory.files.len(), 1);
        memory.remove(&key, before);
        assert!(memory.get(&key).is_some_and(|found| Arc::ptr_eq(&found, now)));
    }
    memory.remove(&key, &first);
    assert!(memory.peek(&key).is_none());
}

#[test]
fn parts_hold_several_of_the_largest() {
    let cases = [(0, 1), (1 << 20, 1), (60 << 20, 64), (3 << 20, 4), (1 << 40, 64)];
    for (bytes, wanted) in cases {
        assert_eq!(shards(bytes, BODY_BYTES + USUAL_BYTES), wanted, "{bytes}");
    }
}
