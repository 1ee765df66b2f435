//! Walks over directories as nginx, a crash or a hand left them.

use std::cell::Cell;
use std::process::Command;

use cache::{Key, hex};

use super::*;

/// A file as nginx 1.22 wrote it, for this key.
const FILE: &[u8] = include_bytes!("../../src/cache/format/golden/etagswr");
const KEY: &str = "/etagswr";

fn conf(path: &Path) -> CachePath {
    CachePath {
        name: "zone".to_owned(),
        levels: vec![1, 2],
        keys_zone_size: 1 << 20,
        use_temp_path: false,
        loader_sleep: Duration::from_millis(1),
        ..CachePath::at(path.to_owned())
    }
}

fn put(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_warm_nginx_directory_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let conf = Arc::new(conf(dir.path()));
    let key = Key::new(KEY.as_bytes().to_vec());
    put(&path_of(&conf, &key.digest), FILE);
    let others: Vec<_> = (0..250).map(|number: u32| Key::new(number.to_string().into_bytes())).collect();
    others.iter().for_each(|key| put(&path_of(&conf, &key.digest), &[0; 400]));
    assert_eq!(load(&conf, &|_| false).unwrap(), Outcome::Complete(Loaded { files: 251, removed: 0 }));
    assert_eq!(load(&conf, &|_| false).unwrap(), Outcome::Unneeded);

    let zone = Zone::open(&conf, Role::Worker).unwrap();
    assert!(!zone.is_cold());
    assert_eq!((zone.stats().entries, zone.stats().stored_bytes), (251, 251 * 4096));
    let entry = zone.read(&key, &key.digest).unwrap().unwrap();
    assert_eq!(entry.small_body.as_deref(), Some(&b"body of /etagswr\n"[..]));
    // The others have no header: the one who asks finds out.
    assert!(zone.read(&others[0], &others[0].digest).unwrap().is_none());
}

#[test]
fn what_no_key_leads_to_is_removed_and_what_is_not_ours_stays() {
    let dir = tempfile::tempdir().unwrap();
    let conf = Arc::new(conf(dir.path()));
    let name = hex(&Key::new(KEY.as_bytes().to_vec()).digest);
    let torn = path_of(&conf, &Key::new(b"torn".to_vec()).digest);
    let other_levels = dir.path().join("9e").join(&name);
    let foreign = [
        dir.path().join("README"),
        dir.path().join("a").join(&name),
        dir.path().join("lost+found").join(&name),
        dir.path().join("temp").join("0000000001"),
    ];
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let left = torn.with_file_name(format!("{name}.{:x}.0", u64::from(child.id()) << 32 | 1));
    put(&left, b"a fill that was cut short");
    put(&torn, &FILE[..335]);
    put(&other_levels, FILE);
    foreign.iter().for_each(|path| put(path, b"not a cached file"));
    assert_eq!(load(&conf, &|_| false).unwrap(), Outcome::Complete(Loaded { files: 0, removed: 3 }));
    assert!(!left.exists() && !torn.exists() && !other_levels.exists());
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn a_walk_that_was_stopped_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let conf = Arc::new(conf(dir.path()));
    put(&path_of(&conf, &Key::new(KEY.as_bytes().to_vec()).digest), FILE);
    assert_eq!(load(&conf, &|_| true).unwrap(), Outcome::Stopped);
    assert!(Zone::open(&conf, Role::Worker).unwrap().is_cold());
    // Told to end while it waits for its second look.
    run(std::slice::from_ref(&conf), &|time| time >= WATCH).unwrap();
    let zone = Zone::open(&conf, Role::Worker).unwrap();
    assert_eq!((zone.is_cold(), zone.stats().entries), (false, 1));
}

#[test]
fn an_index_that_is_removed_meanwhile_has_files_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let conf = Arc::new(conf(dir.path()));
    for number in 0..20 {
        let digest = Key::new(format!("key {number}").into_bytes()).digest;
        put(&path_of(&conf, &digest), FILE);
    }
    let steps = Cell::new(0);
    // Once on the way, once after the end.
    let rest = |time| {
        steps.set(steps.get() + 1);
        if [10, 60].contains(&steps.get()) {
            fs::remove_file(dir.path().join("larder.mdb")).unwrap();
            if time == WATCH {
                drop(Zone::open(&conf, Role::Worker).unwrap());
            }
        }
        steps.get() > 200
    };
    run(std::slice::from_ref(&conf), &rest).unwrap();
    let zone = Zone::open(&conf, Role::Worker).unwrap();
    assert_eq!((zone.is_cold(), zone.stats().entries), (false, 20));
}
