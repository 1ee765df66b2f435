//! Processes that are killed while they fill, and a disk that is full: the children are this test program again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::tests::{
    AGE, HEAD, NOW, agrees_with_files, at, conf, disk_bytes, key, meta, open, temporary_files,
};
use crate::format::{Meta, Prefix};
use crate::is_left_behind;
use crate::key::{Key, digest_of_name};
use crate::lease::Lease;
use crate::store::{Committed, Role, StoreError, Zone};
use crate::writer::Durability;

const DIR: &str = "LARDER_TEST_DIR";
const SEED: &str = "LARDER_TEST_SEED";
const KEYS: u64 = 40;
const MAX_SIZE: u64 = 400_000;

/// Runs one of the ignored tests below in a process of its own, perhaps under a shell's limits.
fn child(test: &str, limits: &str, dir: &Path, seed: u64) -> Child {
    let program = std::env::current_exe().unwrap();
    let script = format!("{limits} exec \"$0\" --exact store::crash_tests::{test} --ignored --nocapture");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(program).env(DIR, dir).env(SEED, seed.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn own_dir() -> PathBuf {
    std::env::var_os(DIR).expect("only run by other tests").into()
}

fn seed() -> u64 {
    std::env::var(SEED).unwrap().parse().unwrap()
}

/// A body that tells its key and, at both ends, its length.
fn body(key: u64, len: usize) -> Vec<u8> {
    format!("{key} {len}\n").into_bytes().into_iter().cycle().take(len).collect()
}

fn is_whole(key: u64, found: &[u8]) -> bool {
    found == body(key, found.len())
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Fills, replaces, removes and evicts without end, and says after each step that it is alive.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn fill_until_killed() {
    let zone = Zone::open(&conf(&own_dir(), Some(MAX_SIZE)), Role::Worker).unwrap();
    let mut state = seed();
    for step in 0.. {
        let number = random(&mut state) % KEYS;
        let key = key(&number.to_string());
        let body = body(number, 1 + usize::try_from(random(&mut state) % 30_000).unwrap());
        let Lease::Granted(permit) = zone.lease(&key.digest, AGE, at(NOW)) else { continue };
        let room = zone.reserve(body.len() as u64 + 1000).unwrap();
        let mut temp = zone.create_temp(&key.digest, None).unwrap();
        let known = step % 2 == 0;
        let mut meta = Meta { body_len: known.then_some(body.len() as u64), ..meta() };
        temp.begin(Prefix::new(&key, &mut meta, HEAD).unwrap()).unwrap();
        body.chunks(4096).for_each(|part| temp.append(part).unwrap());
        zone.commit(permit, &key.digest, temp, room, at(NOW + step)).unwrap();
        if step % 5 == 0 {
            zone.remove(&Key::new((random(&mut state) % KEYS).to_string().into_bytes()).digest);
        }
        println!("step");
    }
}

#[test]
fn killed_fills_leave_nothing_torn_and_nothing_held() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), Some(MAX_SIZE));
    drop(open(&conf));
    for round in 1..=20 {
        let mut child = child("fill_until_killed", "", dir.path(), round * 0x9e37_79b9);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let steps = lines.by_ref().filter(|line| line.as_ref().is_ok_and(|line| line == "step"));
        let wanted = 5 + usize::try_from(round).unwrap() * 7 % 50;
        assert_eq!(steps.take(wanted).count(), wanted, "round {round}: the child fills");
        child.kill().unwrap();
        child.wait().unwrap();

        let zone = Zone::open(&conf, Role::Worker).unwrap();
        assert!(zone.is_cold(), "round {round}: rows may have been lost in the queue");
        // Rows are written in batches: the first round may be over before the first of them.
        assert!(round == 1 || zone.stats().entries > 0, "round {round}: those that were committed are not");
        for left in temporary_files(dir.path()) {
            assert!(is_left_behind(left.file_name().unwrap()), "round {round}: {}", left.display());
            fs::remove_file(left).unwrap();
        }
        assert_eq!(zone.stats().reserved_bytes, 0, "round {round}");
        for number in 0..KEYS {
            let key = key(&number.to_string());
            if let Some(entry) = zone.read(&key, &key.digest).unwrap() {
                let mut found = vec![0; usize::try_from(entry.body_len).unwrap()];
                entry.file.read_exact_at(&mut found, entry.body_start).unwrap();
                assert!(is_whole(number, &found), "round {round}, key {number}");
            }
            assert!(
                matches!(zone.lease(&key.digest, AGE, at(NOW)), Lease::Granted(_)),
                "round {round}: {number}"
            );
        }
        adopt_files(&zone);
        agrees_with_files(&zone);
        assert!(
            disk_bytes(dir.path()) <= MAX_SIZE + 60_000,
            "round {round}: only the files of one batch more"
        );
    }
}

/// What the loader does.
fn adopt_files(zone: &Zone) {
    let mut dirs = vec![zone.conf().path.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else if let Some(digest) = digest_of_name(&entry.file_name()) {
                zone.adopt(&digest, entry.metadata().unwrap().len(), at(NOW));
            }
        }
    }
    zone.flush(Durability::Committed);
}

/// Under a limit on the size of any file, which is how a full disk looks to a writer.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn fill_a_full_disk() {
    let dir = own_dir();
    let zone = open(&conf(&dir, None));
    let first = key("first");
    let store = |key: &Key, len: usize| -> Result<Committed, StoreError> {
        let Lease::Granted(permit) = zone.lease(&key.digest, AGE, at(NOW)) else { panic!("it is free") };
        let room = zone.reserve(len as u64).unwrap();
        let mut temp = zone.create_temp(&key.digest, None)?;
        temp.begin_with(Prefix::new(key, &mut meta(), HEAD).unwrap(), &body(1, len))?;
        zone.commit(permit, &key.digest, temp, room, at(NOW))
    };
    store(&first, 1000).unwrap();
    zone.flush(Durability::Committed);

    let large = key("large");
    assert!(matches!(store(&large, 1 << 20), Err(StoreError::Write(_))), "the body does not fit");
    assert_eq!(zone.stats().reserved_bytes, 0);
    assert_eq!(temporary_files(&dir), Vec::<PathBuf>::new());

    // Until the index itself cannot grow: then what has no row has no file either.
    let keys: Vec<_> = (0..3000).map(|number| key(&number.to_string())).collect();
    for key in &keys {
        store(key, 10).unwrap();
    }
    zone.flush(Durability::Committed);
    assert!(zone.stats().entries < 3000, "the limit was never met: {:?}", zone.stats());
    assert_eq!(zone.stats().reserved_bytes, 0);
    agrees_with_files(&zone);
    assert!(zone.read(&first, &first.digest).unwrap().is_some(), "what was stored stays");
    println!("passed");
}

#[test]
fn a_full_disk_loses_only_what_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    // 512-byte units: 256 KiB. Without the trap the first write beyond it would kill the child.
    let mut child = child("fill_a_full_disk", "trap '' XFSZ; ulimit -f 512;", dir.path(), 1);
    let said: Vec<_> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    let status = child.wait().unwrap();
    assert!(status.success() && said.iter().any(|line| line == "passed"), "{status}: {said:#?}");
    // With room again the cache goes on.
    let zone = open(&conf(dir.path(), None));
    let first = key("first");
    assert!(zone.read(&first, &first.digest).unwrap().is_some());
}
