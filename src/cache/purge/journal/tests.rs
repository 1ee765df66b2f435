//! Files of purges that are whole, torn, damaged, lost, replaced, and written by several at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::format::Meta;
use crate::key::Key;
use crate::purge::Standing;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn open_at(dir: &Path, published: u64, seconds: u64) -> Purges {
    Purges::open(&dir.join("larder.purges"), &dir.join("larder.lock"), published, at(seconds)).unwrap()
}

fn tag(text: &str) -> Purge {
    Purge::Tag(text.as_bytes().to_vec())
}

/// Purges a tag at a time, with nothing published but what this one published.
fn purge(purges: &Purges, text: &str, seconds: u64) -> u64 {
    let order =
        Order { what: &[tag(text)], how: Mode::Hard, durability: Durability::Synced, now: at(seconds) };
    purges.record(&order, || 0, |_| {}).unwrap()
}

fn standing(purges: &Purges, tag: &str, epoch: u64) -> Standing {
    let meta = Meta { epoch, tags: tag.as_bytes().to_vec(), ..Meta::default() };
    purges.rules().judge(&Key::new(b"k".to_vec()), &meta)
}

#[test]
fn purges_are_there_after_a_restart_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_at(dir.path(), 0, 1);
    assert!(!dir.path().join("larder.purges").exists(), "no purge, no file");
    let number = purge(&first, "a", 100);
    assert_eq!(number, 100_000_000);
    drop(first);
    // The clock was set back, and the shared memory is of another boot.
    let second = open_at(dir.path(), 0, 1);
    assert_eq!(standing(&second, "a", number - 1), Standing::Gone);
    assert_eq!(standing(&second, "b", number - 1), Standing::Live);
    assert_eq!(purge(&second, "b", 1), number + 1);
}

#[test]
fn a_torn_end_is_cut_off_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("larder.purges");
    purge(&open_at(dir.path(), 0, 1), "a", 1);
    let whole = fs::read(&path).unwrap();
    purge(&open_at(dir.path(), 0, 1), "b", 2);
    let both = fs::read(&path).unwrap();
    for cut in whole.len()..both.len() {
        fs::write(&path, &both[..cut]).unwrap();
        let purges = open_at(dir.path(), 0, 3);
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        assert_eq!(standing(&purges, "a", 0), Standing::Gone, "cut at {cut}");
        assert_eq!(standing(&purges, "b", 0), Standing::Live, "cut at {cut}: it was never answered");
        purge(&purges, "c", 4);
        assert_eq!(standing(&open_at(dir.path(), 0, 5), "c", 0), Standing::Gone, "cut at {cut}");
    }
}

#[test]
fn where_purges_are_lost_everything_counts_as_purged() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 5] = [
        ("the header", |path| fs::write(path, b"no such file").unwrap()),
        ("emptied", |path| fs::write(path, b"").unwrap()),
        ("the first record", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[HEADER_BYTES + 10] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("an old copy", |path| fs::write(path, record::header(0, 0)).unwrap()),
    ];
    for (name, spoil) in spoils {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.purges");
        let purges = open_at(dir.path(), 0, 1);
        purge(&purges, "a", 1);
        let last = purge(&purges, "b", 2);
        spoil(&path);
        let purges = open_at(dir.path(), last, 10);
        assert_eq!(standing(&purges, "x", last), Standing::Gone, "{name}");
        let number = purges.rules().last();
        assert_eq!((number, standing(&purges, "x", number)), (10_000_000, Standing::Live), "{name}");
        let again = open_at(dir.path(), number, 20);
        assert_eq!(again.rules().last(), number, "{name}: once is enough");
    }
}

#[test]
fn a_file_that_is_deleted_while_it_is_used_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let purges = open_at(dir.path(), 0, 1);
    let first = purge(&purges, "a", 1);
    fs::remove_file(dir.path().join("larder.purges")).unwrap();
    let order = Order { what: &[tag("b")], how: Mode::Hard, durability: Durability::Committed, now: at(2) };
    purges.record(&order, || first, |_| {}).unwrap();
    let again = open_at(dir.path(), 0, 3);
    assert_eq!((standing(&again, "a", 0), standing(&again, "b", 0)), (Standing::Gone, Standing::Gone));
}

#[test]
fn others_learn_what_was_published_also_from_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (open_at(dir.path(), 0, 1), open_at(dir.path(), 0, 1));
    let first = purge(&one, "a", 1);
    assert_eq!(standing(&other, "a", 0), Standing::Live, "it was told of nothing yet");
    other.catch_up(first);
    assert_eq!(standing(&other, "a", 0), Standing::Gone);

    let second = purge(&one, "b", 2);
    one.forget(first, second, at(3)).unwrap();
    let third = purge(&other, "c", 4);
    one.catch_up(third);
    for (name, purges) in [("one", &one), ("the other", &other), ("a third", &open_at(dir.path(), third, 5))]
    {
        assert_eq!(purges.rules().len(), 2, "{name}: {:?}", purges.rules());
        assert_eq!(purges.rules().floor(), first, "{name}");
        assert_eq!(standing(purges, "c", second), Standing::Gone, "{name}");
    }
    fs::remove_file(dir.path().join("larder.purges")).unwrap();
    other.catch_up(third + 1);
    assert_eq!(standing(&other, "x", third), Standing::Gone, "what cannot be read may have named it");
}

#[test]
fn purges_of_many_at_once_are_all_kept_in_order_while_some_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let published = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dir, published) = (dir.path(), &published);
            scope.spawn(move || {
                let purges = open_at(dir, 0, 1);
                for round in 0..50 {
                    let what = [tag(&format!("{thread} {round}")), tag("same")];
                    let order =
                        Order { what: &what, how: Mode::Hard, durability: Durability::Committed, now: at(1) };
                    let publish = |number| {
                        assert!(published.swap(number, Ordering::SeqCst) < number, "in order");
                    };
                    let number = purges.record(&order, || published.load(Ordering::SeqCst), publish).unwrap();
                    if thread == 0 && round == 25 {
                        purges.forget(number, published.load(Ordering::SeqCst), at(1)).unwrap();
                    }
                    purges.catch_up(published.load(Ordering::SeqCst));
                    let is_forgotten = number <= purges.rules().floor();
                    assert!(is_forgotten || standing(&purges, "same", number - 1) == Standing::Gone);
                }
            });
        }
    });
    let purges = open_at(dir.path(), 0, 1);
    assert_eq!(purges.rules().last(), 1_000_000 + 199);
    let floor = purges.rules().floor();
    let kept = (0..4).flat_map(|thread| (0..50).map(move |round| format!("{thread} {round}")));
    let kept = kept.filter(|tag| standing(&purges, tag, floor) == Standing::Gone).count();
    assert_eq!(kept as u64, purges.rules().last() - floor);
}
