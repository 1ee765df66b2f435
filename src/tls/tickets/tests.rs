//! Tickets at times that the tests set.

use super::*;
use crate::rehearsal::TestClock;

/// Keys that change each so many seconds.
fn changing(seconds: u64) -> Arc<TicketKeys> {
    TicketKeys::changing(Duration::from_secs(seconds), UnixTime::since_unix_epoch(Duration::from_secs(1000)))
        .unwrap()
}

fn ticketer(keys: &Arc<TicketKeys>, context: &str) -> Ticketer {
    let context = SessionContext::of([context.as_bytes()]);
    Ticketer::new(Arc::clone(keys), context, Duration::from_secs(300), TestClock::at(0))
}

#[test]
fn a_ticket_is_opened_until_its_time_is_over() {
    let keys = changing(300);
    let ticketer = ticketer(&keys, "a");
    let ticket = ticketer.seal(b"session", 1000).unwrap();
    assert!(!ticket.windows(7).any(|part| part == b"session"));
    for (now, wanted) in [(1000, true), (1299, true), (1300, false)] {
        assert_eq!(ticketer.open(&ticket, now).is_some(), wanted, "at {now}");
    }
    assert_eq!(ticketer.lifetime(), 300);
}

#[test]
fn no_ticket_that_was_touched_or_cut_is_opened() {
    let keys = changing(300);
    let ticketer = ticketer(&keys, "a");
    let ticket = ticketer.seal(b"session", 1000).unwrap();
    assert_eq!(ticketer.open(&ticket, 1000).as_deref(), Some(b"session".as_slice()));
    for place in 0..ticket.len() {
        let mut touched = ticket.clone();
        touched[place] ^= 1;
        assert_eq!(ticketer.open(&touched, 1000), None, "byte {place}");
        assert_eq!(ticketer.open(&ticket[..place], 1000), None, "cut after {place}");
    }
}

#[test]
fn no_server_opens_the_ticket_of_another() {
    let keys = changing(300);
    let ticket = ticketer(&keys, "a").seal(b"session", 1000).unwrap();
    assert_eq!(ticketer(&keys, "b").open(&ticket, 1000), None);
    assert!(ticketer(&keys, "a").open(&ticket, 1000).is_some());
}

#[test]
fn keys_change_and_the_one_before_still_opens() {
    let keys = changing(100);
    let ticketer = ticketer(&keys, "a");
    let first = ticketer.seal(b"1", 1000).unwrap();
    let same = ticketer.seal(b"2", 1099).unwrap();
    assert_eq!(first[..NAME_LEN], same[..NAME_LEN]);
    assert_ne!(first[NAME_LEN..], same[NAME_LEN..]);
    let second = ticketer.seal(b"3", 1100).unwrap();
    assert_ne!(first[..NAME_LEN], second[..NAME_LEN]);
    assert_eq!(ticketer.open(&first, 1199), Some(b"1".to_vec()));
    assert_eq!(ticketer.open(&second, 1199), Some(b"3".to_vec()));
    assert_eq!(ticketer.open(&first, 1200), None);
    assert_eq!(ticketer.open(&second, 1200), Some(b"3".to_vec()));
    // The clock was put back: the key stays what it is.
    let third = ticketer.seal(b"4", 1000).unwrap();
    assert_ne!(third[..NAME_LEN], first[..NAME_LEN]);
    assert_eq!(ticketer.open(&third, 1299), Some(b"4".to_vec()));
    // Nobody came for so long that all keys are forgotten.
    let fourth = ticketer.seal(b"5", 1299).unwrap();
    assert_eq!(ticketer.open(&fourth, 100 * (MOST_STEPS + 100)), None);
}

#[test]
fn processes_that_began_with_the_same_keys_agree() {
    let keys = changing(100);
    let Kind::Changing { ring, .. } = &keys.0 else { panic!("keys are made here") };
    let ring = ring.lock();
    let twin =
        Ring { current: Arc::clone(&ring.current), before: None, secret: ring.secret, number: ring.number };
    drop(ring);
    let twin = Arc::new(TicketKeys(Kind::Changing { every_seconds: 100, ring: Box::new(Mutex::new(twin)) }));
    let ticket = ticketer(&keys, "a").seal(b"session", 5000).unwrap();
    assert_eq!(ticketer(&twin, "a").open(&ticket, 5000), Some(b"session".to_vec()));
    let stranger = ticketer(&changing(100), "a");
    assert_eq!(stranger.open(&ticket, 5000), None);
}

#[test]
fn the_first_file_seals_and_all_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (old, new) = (file("old", &[1; 48]), file("new", &[2; 80]));
    let read =
        |paths: &[&PathBuf]| TicketKeys::read(&paths.iter().map(|path| (*path).clone()).collect::<Vec<_>>());
    let before = ticketer(&read(&[&old]).unwrap(), "a");
    let after = ticketer(&read(&[&new, &old]).unwrap(), "a");
    let ticket = before.seal(b"session", 0).unwrap();
    assert_eq!(ticket[..NAME_LEN], [1; NAME_LEN]);
    assert_eq!(after.open(&ticket, 0), Some(b"session".to_vec()));
    let ticket = after.seal(b"session", 0).unwrap();
    assert_eq!(ticket[..NAME_LEN], [2; NAME_LEN]);
    assert_eq!((before.open(&ticket, 0), after.open(&ticket, 0)), (None, Some(b"session".to_vec())));
    // Keys of the same name and other material are others.
    let other = file("other", &[&[1; 47][..], &[3]].concat());
    let other = ticketer(&read(&[&other]).unwrap(), "a");
    assert_eq!(other.open(&before.seal(b"session", 0).unwrap(), 0), None);

    let wrong = file("wrong", &[0; 79]);
    let missing = folder.path().join("missing");
    let table = [
        (&wrong, format!("\"{}\" must be 48 or 80 bytes", wrong.display())),
        (&missing, format!("open() \"{}\" failed (2: No such file or directory)", missing.display())),
    ];
    for (path, wanted) in table {
        assert_eq!(read(&[&old, path]).unwrap_err().to_string(), wanted);
    }
}
