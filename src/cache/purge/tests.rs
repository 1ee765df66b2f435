//! What purges name, before and after, hard and soft, alone and one after another.

use super::*;

const KEY: &str = "http://h/shop/1";

fn record(number: u64, mode: Mode, what: Purge) -> Record {
    Record { number, mode, what }
}

fn rules(records: &[Record]) -> Rules {
    let mut rules = Rules::default();
    records.iter().for_each(|record| rules.apply(record));
    rules
}

fn entry(epoch: u64) -> (Key, Meta) {
    let key = Key::new(KEY.as_bytes().to_vec());
    (key, Meta { epoch, tags: b"a\nshop 1\nc".to_vec(), ..Meta::default() })
}

fn key_of(text: &str) -> Purge {
    Purge::Key(Key::new(text.as_bytes().to_vec()).digest)
}

fn prefix(text: &str) -> Purge {
    Purge::Prefix(text.as_bytes().to_vec())
}

fn tag(text: &str) -> Purge {
    Purge::Tag(text.as_bytes().to_vec())
}

#[test]
fn each_name_before_and_after_hard_and_soft() {
    let names = [
        ("the key", key_of(KEY), true),
        ("another key", key_of("http://h/shop/2"), false),
        ("a prefix", prefix("http://h/shop/"), true),
        ("the whole key as a prefix", prefix(KEY), true),
        ("no prefix", prefix(""), true),
        ("a longer prefix", prefix("http://h/shop/12"), false),
        ("another prefix", prefix("http://h/shoq"), false),
        ("the first tag", tag("a"), true),
        ("a tag with a space", tag("shop 1"), true),
        ("the last tag", tag("c"), true),
        ("a part of a tag", tag("shop"), false),
        ("another tag", tag("b"), false),
        ("everything", Purge::All, true),
    ];
    for (name, what, fits) in names {
        for (mode, gone) in [(Mode::Hard, Standing::Gone), (Mode::Soft, Standing::Soft(10))] {
            let rules = rules(&[record(10, mode, what.clone())]);
            for (epoch, is_older) in [(0, true), (9, true), (10, false), (11, false)] {
                let (key, meta) = entry(epoch);
                let wanted = if fits && is_older { gone } else { Standing::Live };
                assert_eq!(rules.judge(&key, &meta), wanted, "{name}, {mode:?}, entry of {epoch}");
            }
        }
    }
}

#[test]
fn the_strongest_of_several_counts() {
    let (hard, soft) = (Mode::Hard, Mode::Soft);
    let cases = [
        ("soft after hard", vec![record(5, hard, key_of(KEY)), record(7, soft, tag("a"))], 3, Standing::Gone),
        (
            "hard before it was asked for",
            vec![record(5, hard, key_of(KEY)), record(7, soft, tag("a"))],
            5,
            Standing::Soft(7),
        ),
        (
            "hard after soft",
            vec![record(5, soft, prefix("h")), record(7, hard, prefix("http"))],
            5,
            Standing::Gone,
        ),
        (
            "two soft ones: the last",
            vec![record(7, soft, Purge::All), record(5, soft, tag("a"))],
            1,
            Standing::Soft(7),
        ),
        ("all, then others", vec![record(5, hard, Purge::All), record(7, hard, tag("b"))], 5, Standing::Live),
        (
            "the same name again",
            vec![record(7, hard, tag("a")), record(5, hard, tag("a"))],
            6,
            Standing::Gone,
        ),
    ];
    for (name, records, epoch, wanted) in cases {
        let (key, meta) = entry(epoch);
        assert_eq!(rules(&records).judge(&key, &meta), wanted, "{name}");
    }
}

#[test]
fn a_purge_of_everything_makes_older_ones_needless() {
    let mut all = rules(&[
        record(1, Mode::Hard, tag("a")),
        record(2, Mode::Soft, prefix("h")),
        record(3, Mode::Hard, Purge::All),
        record(4, Mode::Soft, key_of("k")),
    ]);
    assert_eq!(all.len(), 2);
    all.apply(&record(5, Mode::Soft, Purge::All));
    assert_eq!(all.len(), 2, "a soft one takes nothing away");
}

#[test]
fn forgotten_purges_stop_what_comes_too_late() {
    let mut rules = rules(&[
        record(3, Mode::Hard, tag("b")),
        record(5, Mode::Soft, key_of("k")),
        record(7, Mode::Hard, prefix("http://h/shop/")),
    ]);
    assert_eq!((rules.oldest(), rules.floor()), (Some(3), 0));
    rules.forget(6);
    assert_eq!((rules.len(), rules.oldest(), rules.floor(), rules.last()), (1, Some(7), 5, 7));
    let cases = [(4, Standing::Gone), (5, Standing::Gone), (7, Standing::Live)];
    for (epoch, wanted) in cases {
        let (key, meta) = entry(epoch);
        assert_eq!(rules.judge_late(&key, &meta), wanted, "asked for at {epoch}");
    }
    let other = Key::new(b"x".to_vec());
    let late = |epoch| rules.judge_late(&other, &Meta { epoch, ..Meta::default() });
    assert_eq!((late(4), late(5)), (Standing::Gone, Standing::Live), "what was forgotten may have named it");
    rules.forget(6);
    assert_eq!((rules.len(), rules.floor()), (1, 5), "once is enough");
}

#[test]
fn what_is_written_of_rules_makes_the_same_rules() {
    let records = [
        record(3, Mode::Hard, tag("a")),
        record(4, Mode::Soft, tag("a")),
        record(5, Mode::Soft, key_of("k")),
        record(6, Mode::Hard, prefix("ht")),
        record(2, Mode::Hard, Purge::All),
    ];
    let first = rules(&records);
    let written: Vec<_> = first.records().collect();
    let second = rules(&written);
    let sorted = |rules: &Rules| {
        let mut records: Vec<_> = rules.records().map(|record| format!("{record:?}")).collect();
        records.sort();
        records
    };
    assert_eq!(sorted(&first), sorted(&second));
    assert_eq!(written.len(), 5);
}

#[test]
fn numbers_grow_with_the_time_and_whatever_it_does() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let cases = [
        ("the time", 0, at(1_800_000_000), 1_800_000_000_000_000),
        ("one at the same time", 1_800_000_000_000_000, at(1_800_000_000), 1_800_000_000_000_001),
        ("a clock that was set back", 1_800_000_000_000_000, at(5), 1_800_000_000_000_001),
    ];
    for (name, last, now, wanted) in cases {
        assert_eq!(next_number(last, now), wanted, "{name}");
    }
}

#[test]
fn a_softened_entry_is_stale_from_the_purge_on() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let number = next_number(0, at(100));
    let cases = [("fresh for long", at(1000), at(99)), ("stale before", at(50), at(50))];
    for (name, valid_until, wanted) in cases {
        let mut meta = Meta { valid_until, stale_if_error: Duration::from_secs(5), ..Meta::default() };
        assert!(!meta.is_softened(number), "{name}");
        meta.soften(number);
        assert_eq!((meta.valid_until, meta.stale_if_error), (wanted, Duration::from_secs(5)), "{name}");
        assert!(meta.is_softened(number), "{name}");
        let reuse = crate::policy::nginx::reuse(&meta, at(100));
        let on_error = wanted + Duration::from_secs(5) >= at(100);
        assert_eq!(reuse, crate::policy::Reuse::Stale { while_updating: true, on_error }, "{name}");
    }
}
