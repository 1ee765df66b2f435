//! Purges of a cache in a temporary directory: what is found after them, what is not stored, what is removed.

use std::fs;
use std::time::Duration;

use http1::Fields;

use super::*;
use crate::format::Prefix;
use crate::policy::vary::Matching;
use crate::policy::{Reuse, nginx::reuse};
use crate::store::tests::{HEAD, NOW, agrees_with_files, at, conf, key, meta, open, permit};
use crate::store::{Committed, StoreError};

/// Stores a body that was asked for when `epoch` was the last purge.
fn store(zone: &Zone, key: &Key, meta: Meta) -> Result<Committed, StoreError> {
    store_under(zone, key, &key.digest, meta)
}

fn store_under(zone: &Zone, key: &Key, digest: &Digest, mut meta: Meta) -> Result<Committed, StoreError> {
    let mut temp = zone.create_temp(digest, None).unwrap();
    temp.begin_with(Prefix::new(key, &mut meta, HEAD).unwrap(), b"body").unwrap();
    let room = zone.reserve(1024).unwrap();
    zone.commit(permit(zone, digest), digest, temp, room, at(NOW))
}

/// Ten entries, each with a tag of its own and one in common; 0 to 4 below `/a/`.
fn fill(zone: &Zone) -> Vec<Key> {
    let keys = (0..10).map(|number| {
        let key = key(&format!("/{}/{number}", if number < 5 { 'a' } else { 'b' }));
        let tags = format!("all\nt{number}").into_bytes();
        store(zone, &key, Meta { epoch: zone.epoch(), tags, ..meta() }).unwrap();
        key
    });
    keys.collect()
}

fn found(zone: &Zone, keys: &[Key]) -> Vec<usize> {
    let all = keys.iter().enumerate();
    all.filter(|(_, key)| zone.read(key, &key.digest).unwrap().is_some()).map(|(number, _)| number).collect()
}

fn purge(zone: &Zone, what: Purge, how: Mode) -> Purged {
    zone.purge(&[what], how, Durability::Committed, at(NOW)).unwrap()
}

#[test]
fn what_is_purged_is_not_found_and_its_space_is_freed_when_it_is_met() {
    type Case = (&'static str, fn(&Key) -> Purge, Option<u64>, &'static [usize]);
    let names: [Case; 5] = [
        ("a key", |key| Purge::Key(key.digest), Some(1), &[3]),
        ("a prefix", |_| Purge::Prefix(b"/a/".to_vec()), None, &[0, 1, 2, 3, 4]),
        ("a tag", |_| Purge::Tag(b"t3".to_vec()), None, &[3]),
        ("a tag of all", |_| Purge::Tag(b"all".to_vec()), None, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("everything", |_| Purge::All, Some(10), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ];
    for (name, what, entries, gone) in names {
        let dir = tempfile::tempdir().unwrap();
        let zone = open(&conf(dir.path(), None));
        let keys = fill(&zone);
        zone.flush(Durability::Committed);
        let (generation, purges) = (zone.generation(&keys[9].digest), zone.purges());
        assert_eq!(purge(&zone, what(&keys[3]), Mode::Hard).entries, entries, "{name}");
        assert_eq!(zone.generation(&keys[9].digest) - generation, 1, "{name}: everyone looks again");
        assert_eq!(zone.purges() - purges, 1, "{name}");
        let left: Vec<_> = (0..10).filter(|number| !gone.contains(number)).collect();
        assert_eq!(found(&zone, &keys), left, "{name}");
        zone.flush(Durability::Committed);
        assert_eq!(zone.stats().entries, left.len() as u64, "{name}");
        agrees_with_files(&zone);
        // What is stored afterwards stays.
        fill(&zone);
        assert_eq!(found(&zone, &keys).len(), 10, "{name}");
    }
}

#[test]
fn what_is_purged_softly_is_stale_until_it_is_validated() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let keys = fill(&zone);
    assert_eq!(purge(&zone, Purge::Tag(b"t3".to_vec()), Mode::Soft).entries, None);
    assert_eq!(found(&zone, &keys).len(), 10);
    let judged = |number: usize| {
        let entry = zone.read(&keys[number], &keys[number].digest).unwrap().unwrap();
        (reuse(&entry.meta, at(NOW)), entry)
    };
    let (stale, entry) = judged(3);
    assert_eq!(stale, Reuse::Stale { while_updating: true, on_error: false });
    assert_eq!(judged(4).0, Reuse::Fresh);
    let renewed = Meta { valid_until: at(NOW + 9), epoch: zone.epoch(), ..entry.meta.clone() };
    let renewed = Renewed { digest: &entry.digest, identity: &entry.identity, meta: &renewed };
    zone.update_meta(&keys[3], &renewed).unwrap().unwrap();
    assert_eq!(judged(3).0, Reuse::Fresh, "a 304 makes it good again, and its file says so");
    purge(&zone, Purge::Key(keys[3].digest), Mode::Soft);
    assert_ne!(judged(3).0, Reuse::Fresh, "and it can be purged again");
}

#[test]
fn all_variants_of_a_key_go_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("/v");
    let request = |language: &str| {
        let mut fields = Fields::new();
        fields.push(b"Accept-Language", language.as_bytes());
        fields
    };
    for language in ["de", "en", "fr"] {
        let variant = crate::variant(&key.digest, b"Accept-Language", &request(language), Matching::Literal);
        let digest = if language == "de" { key.digest } else { variant };
        let meta = Meta { vary: b"Accept-Language".to_vec(), variant, ..meta() };
        store_under(&zone, &key, &digest, meta).unwrap();
    }
    let purged = purge(&zone, Purge::Key(key.digest), Mode::Hard);
    assert_eq!(purged.entries, None, "how many there are is not known");
    let variant = crate::variant(&key.digest, b"Accept-Language", &request("de"), Matching::Literal);
    let meta = Meta { vary: b"Accept-Language".to_vec(), variant, epoch: zone.epoch(), ..meta() };
    store(&zone, &key, meta).unwrap();
    let found = ["de", "en", "fr"].map(|language| zone.find(&key, &request(language)).unwrap().is_some());
    assert_eq!(found, [true, false, false], "also where the main file is new");
}

#[test]
fn a_fill_that_began_before_a_purge_is_not_stored() {
    type Case = (&'static str, fn(&Key) -> Purge, Mode, bool);
    let cases: [Case; 7] = [
        ("its key", |key| Purge::Key(key.digest), Mode::Hard, false),
        ("its prefix", |_| Purge::Prefix(b"/k".to_vec()), Mode::Hard, false),
        ("its tag", |_| Purge::Tag(b"t".to_vec()), Mode::Hard, false),
        ("everything", |_| Purge::All, Mode::Hard, false),
        ("another tag", |_| Purge::Tag(b"u".to_vec()), Mode::Hard, true),
        ("another key", |_| Purge::Prefix(b"/l".to_vec()), Mode::Hard, true),
        ("softly", |_| Purge::All, Mode::Soft, true),
    ];
    for (name, what, how, is_stored) in cases {
        let dir = tempfile::tempdir().unwrap();
        let zone = open(&conf(dir.path(), None));
        let key = key("/key");
        let asked_at = zone.epoch();
        purge(&zone, what(&key), how);
        let stored = store(&zone, &key, Meta { epoch: asked_at, tags: b"t".to_vec(), ..meta() });
        match stored {
            Ok(_) => assert!(is_stored, "{name}"),
            Err(error) => assert!(!is_stored && matches!(error, StoreError::Purged), "{name}: {error}"),
        }
        assert_eq!(zone.read(&key, &key.digest).unwrap().is_some(), is_stored, "{name}");
        assert_eq!(
            purge(&zone, Purge::Key(key.digest), Mode::Hard).entries,
            Some(u64::from(is_stored)),
            "{name}"
        );
    }
}

#[test]
fn purges_hold_when_the_index_is_made_anew_and_for_files_of_nginx() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let zone = open(&conf);
    let keys = fill(&zone);
    let foreign = key("/etagswr");
    let file = path_of(&conf, &foreign.digest);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, include_bytes!("../../format/golden/etagswr")).unwrap();
    zone.adopt(&foreign.digest, fs::metadata(&file).unwrap().len(), at(NOW));
    zone.flush(Durability::Committed);
    assert!(zone.read(&foreign, &foreign.digest).unwrap().is_some());
    purge(&zone, Purge::Prefix(b"/etag".to_vec()), Mode::Hard);
    purge(&zone, Purge::Tag(b"t7".to_vec()), Mode::Hard);
    drop(zone);
    for name in ["larder.mdb", "larder.mdb-lock", "larder.shared", "larder.state"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let zone = Zone::open(&conf, crate::Role::Worker).unwrap();
    assert!(zone.is_cold());
    assert_eq!(found(&zone, &keys), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert!(zone.read(&foreign, &foreign.digest).unwrap().is_none());
    assert_eq!(zone.epoch(), zone.purges.rules().last(), "what is asked for now is younger");
}

#[test]
fn the_purger_removes_softens_and_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let keys = fill(&zone);
    purge(&zone, Purge::Tag(b"t1".to_vec()), Mode::Hard);
    purge(&zone, Purge::Tag(b"t2".to_vec()), Mode::Soft);
    assert_eq!(zone.known_purges().0, 2);
    let walked_to = zone.epoch();
    let inspected: Vec<_> = keys.iter().map(|key| zone.inspect(&key.digest).unwrap()).collect();
    assert_eq!(inspected[..4], [Inspected::Live, Inspected::Removed, Inspected::Softened, Inspected::Live]);
    assert_eq!(zone.inspect(&key("/none").digest).unwrap(), Inspected::Nothing);
    zone.flush(Durability::Committed);
    assert!(!path_of(zone.conf(), &keys[1].digest).exists());
    agrees_with_files(&zone);
    let last = purge(&zone, Purge::Tag(b"t3".to_vec()), Mode::Hard).number;
    assert_eq!(zone.forget_purges(walked_to, at(NOW)).unwrap(), Forgotten { before: 3, left: 1 });
    assert_eq!(found(&zone, &keys), [0, 2, 4, 5, 6, 7, 8, 9]);
    let entry = zone.read(&keys[2], &keys[2].digest).unwrap().unwrap();
    assert_eq!(reuse(&entry.meta, at(NOW)), Reuse::Stale { while_updating: true, on_error: false });
    assert_eq!(zone.inspect(&keys[2].digest).unwrap(), Inspected::Live, "once is enough");
    // What was asked for before the forgotten purges can no longer be judged.
    let late = |epoch| store(&zone, &key("/late"), Meta { epoch, ..meta() });
    assert!(matches!(late(walked_to - 1), Err(StoreError::Purged)));
    assert!(late(last).is_ok());
}

#[test]
fn a_file_that_was_replaced_is_not_discarded_with_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("/k");
    let old = store(&zone, &key, meta()).unwrap();
    store(&zone, &key, Meta { valid_until: at(NOW) + Duration::from_secs(1), ..meta() }).unwrap();
    zone.discard(&key.digest, old.identity);
    zone.flush(Durability::Committed);
    assert!(zone.read(&key, &key.digest).unwrap().is_some());
    agrees_with_files(&zone);
}
