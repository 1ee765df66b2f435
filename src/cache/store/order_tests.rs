//! A cache by S3-FIFO (`eviction=` of `proxy_cache_path`): each reason to evict follows it, and it can be chosen later.

use std::path::Path;
use std::sync::Arc;

use config::{CachePath, EvictionOrder};

use super::Zone;
use super::tests::{NOW, agrees_with_files, at, conf, key, open, path, store};
use crate::writer::{Durability, Evicted, Eviction, Until};

fn by_s3fifo(path: &Path) -> CachePath {
    CachePath { eviction: EvictionOrder::S3Fifo, ..CachePath::clone(&conf(path, None)) }
}

/// Which of the keys have files, once everything is committed.
fn left(zone: &Zone, keys: std::ops::Range<u64>) -> Vec<u64> {
    zone.flush(Durability::Committed);
    agrees_with_files(zone);
    keys.filter(|number| path(zone, &key(&number.to_string())).exists()).collect()
}

/// Stores twenty keys, the first of which is used before half of the others come.
fn fill(zone: &Zone) {
    for number in 0..20 {
        store(zone, &key(&number.to_string()), b"x", NOW + number);
        if number == 10 {
            zone.touch(&key("0").digest, 1, at(NOW + 10));
        }
    }
    zone.flush(Durability::Committed);
}

#[test]
fn room_is_made_by_turn_and_inactivity_is_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&Arc::new(by_s3fifo(dir.path())));
    fill(&zone);
    let gone = zone.evict(Eviction { until: Until::Bytes(5 * 4096), files: 100 });
    assert_eq!(gone, Evicted { entries: 15, bytes: 15 * 4096, reached: true });
    assert_eq!(left(&zone, 0..20), [0, 16, 17, 18, 19]);
    let since = Until::UsedSince(u32::try_from(NOW + 18).unwrap());
    assert_eq!(zone.evict(Eviction { until: since, files: 100 }).entries, 3);
    assert_eq!(left(&zone, 0..20), [18, 19]);
    assert_eq!(zone.evict(Eviction { until: Until::AllGone, files: 100 }).entries, 2);
    assert_eq!(left(&zone, 0..20), [0; 0]);
}

#[test]
fn a_full_keys_zone_makes_room_by_turn() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&Arc::new(CachePath { keys_zone_size: 8192, ..by_s3fifo(dir.path()) }));
    fill(&zone);
    for number in 20..100 {
        store(&zone, &key(&number.to_string()), b"x", NOW + number);
    }
    let left = left(&zone, 0..100);
    assert_eq!(left[..2], [0, 100 - left.len() as u64 + 1], "the one that was used, and the newest");
}

#[test]
fn the_order_can_be_changed_and_changed_back() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(&conf(dir.path(), None)));
    let all = Until::AllGone;
    let zone = open(&Arc::new(by_s3fifo(dir.path())));
    store(&zone, &key("20"), b"x", NOW);
    zone.flush(Durability::Committed);
    assert_eq!(zone.evict(Eviction { until: all, files: 17 }).entries, 17);
    assert_eq!(left(&zone, 0..21), [17, 18, 19, 20], "those from before go first, by age");
    drop(zone);
    let zone = open(&conf(dir.path(), None));
    assert_eq!(zone.evict(Eviction { until: all, files: 1 }).entries, 1);
    assert_eq!(left(&zone, 0..21), [17, 18, 19], "by age again");
    drop(zone);
    let zone = open(&Arc::new(by_s3fifo(dir.path())));
    assert_eq!(zone.evict(Eviction { until: all, files: 9 }).entries, 3);
    assert_eq!(left(&zone, 0..21), [0; 0]);
}
