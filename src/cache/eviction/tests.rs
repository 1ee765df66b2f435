//! Both orders of `proxy_cache_path` on the same traces, through the rows of a real index.

use std::collections::HashMap;

use super::*;
use crate::index::Index;

const ENTRY_BYTES: u64 = 4096;

fn digest(number: u64) -> Digest {
    let mut digest = Digest::default();
    digest[..8].copy_from_slice(&number.to_le_bytes());
    digest
}

fn row(now: u32) -> Row {
    Row { last_use: now, uses: 1, size_bytes: ENTRY_BYTES, place: None }
}

/// An index in a directory that goes with it.
fn index() -> (tempfile::TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("index"), crate::index::Trust::Doubted).unwrap();
    (dir, index)
}

/// One request, as a worker and the writer deal with it; whether it was a hit.
fn request(order: EvictionOrder, batch: &mut Batch<'_>, key: &Digest, now: u32, most: u64) -> bool {
    if let Some(row) = batch.row(key).unwrap() {
        if let Some(row) = touched(row, now) {
            put(order, batch, key, row).unwrap();
        }
        return true;
    }
    put(order, batch, key, row(now)).unwrap();
    while batch.stored_bytes() > most * ENTRY_BYTES {
        let next = match order {
            EvictionOrder::Lru => batch.oldest(1).unwrap().first().map(|(_, digest)| *digest),
            EvictionOrder::S3Fifo => next_of_queues(batch, Scarce::Bytes, |_| true).unwrap(),
        };
        batch.remove(&next.unwrap()).unwrap();
    }
    false
}

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

struct Trace {
    keys: usize,
    exponent: f64,
    /// Part of the requests whose keys nobody asks for again.
    once: f64,
    per_second: u32,
}

/// Requests for keys after Zipf's law, with others that come once.
fn keys(trace: &Trace, count: u32) -> Vec<u64> {
    let mut sums = Vec::new();
    let mut sum = 0.0;
    for rank in 1..=trace.keys {
        sum += (rank as f64).powf(-trace.exponent);
        sums.push(sum);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut key = |number: u32| match random.unit() < trace.once {
        true => (1 << 32) + u64::from(number),
        false => {
            let wanted = random.unit() * sum;
            sums.partition_point(|sum| *sum < wanted) as u64
        }
    };
    (0..count).map(&mut key).collect()
}

/// Hits out of a hundred, after the cache has become full.
fn hit_ratio(order: EvictionOrder, trace: &Trace, count: u32, most: u64) -> f64 {
    let (_dir, index) = index();
    let mut batch = index.begin().unwrap();
    let (mut hits, mut asked) = (0u32, 0u32);
    for (number, key) in (0..).zip(keys(trace, count)) {
        let hit = request(order, &mut batch, &digest(key), 1000 + number / trace.per_second, most);
        if number >= count / 4 {
            asked += 1;
            hits += u32::from(hit);
        }
    }
    f64::from(hits) * 100.0 / f64::from(asked)
}

#[test]
fn s3fifo_hits_more_often_where_much_is_asked_for_once() {
    let (count, most) = (30_000, 1000);
    let cases = [
        ("Zipf 0.9, 30 % once", Trace { keys: 20_000, exponent: 0.9, once: 0.3, per_second: 5 }, 3.0),
        ("Zipf 0.9", Trace { keys: 20_000, exponent: 0.9, once: 0.0, per_second: 5 }, 2.0),
        ("Zipf 1.1, 50 % once", Trace { keys: 20_000, exponent: 1.1, once: 0.5, per_second: 5 }, 2.0),
        // The small queue turns over in less than the ten seconds in which uses count as one.
        ("Zipf 0.9, 30 % once, fast", Trace { keys: 20_000, exponent: 0.9, once: 0.3, per_second: 200 }, 0.0),
    ];
    for (name, trace, gain) in cases {
        let lru = hit_ratio(EvictionOrder::Lru, &trace, count, most);
        let s3fifo = hit_ratio(EvictionOrder::S3Fifo, &trace, count, most);
        println!("{name}: lru {lru:.1} %, s3fifo {s3fifo:.1} %");
        assert!(s3fifo >= lru + gain, "{name}: {lru} and {s3fifo}");
    }
}

#[test]
fn what_is_used_again_outlives_what_comes_once() {
    let (_dir, index) = index();
    let mut batch = index.begin().unwrap();
    let order = EvictionOrder::S3Fifo;
    for number in 0..10 {
        put(order, &mut batch, &digest(number), row(100)).unwrap();
    }
    for (key, uses) in [(2, 1), (5, 2), (7, 3)] {
        for use_number in 1..=uses {
            let row = touched(batch.row(&digest(key)).unwrap().unwrap(), 100 + use_number * 10).unwrap();
            put(order, &mut batch, &digest(key), row).unwrap();
        }
    }
    let mut gone = Vec::new();
    while let Some(next) = next_of_queues(&mut batch, Scarce::Bytes, |_| true).unwrap() {
        batch.remove(&next).unwrap();
        gone.push(next[0]);
    }
    assert_eq!(gone, [0, 1, 3, 4, 6, 8, 9, 2, 5, 7]);
    assert_eq!((batch.entries().unwrap(), batch.stored_bytes(), batch.shares(Scarce::Bytes).0), (0, 0, 0));
}

#[test]
fn what_comes_back_in_time_is_put_where_it_stays() {
    let (_dir, index) = index();
    let mut batch = index.begin().unwrap();
    let order = EvictionOrder::S3Fifo;
    put(order, &mut batch, &digest(1), row(100)).unwrap();
    let gone = next_of_queues(&mut batch, Scarce::Bytes, |_| true).unwrap();
    assert_eq!(gone, Some(digest(1)));
    batch.remove(&digest(1)).unwrap();
    let queue = |batch: &Batch<'_>| batch.row(&digest(1)).unwrap().unwrap().place.unwrap().queue;
    put(order, &mut batch, &digest(1), row(101)).unwrap();
    assert_eq!(queue(&batch), Queue::Main);
    batch.remove(&digest(1)).unwrap();
    put(order, &mut batch, &digest(1), row(102)).unwrap();
    assert_eq!(queue(&batch), Queue::Small, "removed otherwise, and no longer remembered");
}

#[test]
fn no_more_is_remembered_than_there_are_entries() {
    let (_dir, index) = index();
    let mut batch = index.begin().unwrap();
    for number in 0..1000 {
        request(EvictionOrder::S3Fifo, &mut batch, &digest(number), 100, 200);
    }
    let remembered = (0..1000).filter(|number| batch.recall(&digest(*number)).unwrap()).count();
    assert!((190..=201).contains(&remembered), "{remembered}");
}

#[test]
fn entries_from_before_the_order_was_chosen_go_first() {
    let (_dir, index) = index();
    let mut batch = index.begin().unwrap();
    put(EvictionOrder::S3Fifo, &mut batch, &digest(1), row(50)).unwrap();
    for (number, last_use) in [(2, 300), (3, 200)] {
        put(EvictionOrder::Lru, &mut batch, &digest(number), row(last_use)).unwrap();
    }
    batch.commit().unwrap();
    let mut batch = index.begin().unwrap();
    let mut gone = HashMap::new();
    for turn in 0..3 {
        let next = next_of_queues(&mut batch, Scarce::Keys, |_| true).unwrap().unwrap();
        batch.remove(&next).unwrap();
        gone.insert(next[0], turn);
    }
    assert_eq!(gone, HashMap::from([(3, 0), (2, 1), (1, 2)]));
}

#[test]
fn what_may_not_go_is_passed_over() {
    let (_dir, index) = index();
    let mut batch = index.begin().unwrap();
    for number in 0..3 {
        put(EvictionOrder::S3Fifo, &mut batch, &digest(number), row(100)).unwrap();
    }
    let next = next_of_queues(&mut batch, Scarce::Bytes, |candidate| *candidate == digest(2)).unwrap();
    assert_eq!(next, Some(digest(2)));
    assert_eq!(next_of_queues(&mut batch, Scarce::Bytes, |_| false).unwrap(), None);
    assert_eq!(batch.entries().unwrap(), 3);
}
