//! A cache in a temporary directory, used as a worker, a manager and a loader use it.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::UNIX_EPOCH;

use http1::Fields;
use parking_lot::RwLock;

use super::*;
use crate::format::Prefix;
use crate::is_left_behind;
use crate::writer::Durability;

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
pub(super) const AGE: Duration = Duration::from_secs(5);

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn conf(path: &Path, max_size: Option<u64>) -> Arc<CachePath> {
    Arc::new(CachePath {
        name: "zone".to_owned(),
        levels: vec![1, 2],
        keys_zone_size: 1 << 20,
        max_size,
        use_temp_path: false,
        ..CachePath::at(path.to_owned())
    })
}

/// A warm cache: what has no row is not looked for.
pub(super) fn open(conf: &Arc<CachePath>) -> Zone {
    let zone = Zone::open(conf, Role::Worker).unwrap();
    zone.set_loaded().unwrap();
    zone
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text.as_bytes().to_vec())
}

pub(super) fn meta() -> Meta {
    Meta { valid_until: at(NOW + 60), date: at(NOW), etag: b"\"1\"".to_vec(), ..Meta::default() }
}

pub(super) fn permit(zone: &Zone, digest: &Digest) -> FillPermit {
    match zone.lease(digest, AGE, at(NOW)) {
        Lease::Granted(permit) => permit,
        Lease::Held { .. } => panic!("nobody else fills it"),
    }
}

pub(super) fn store(zone: &Zone, key: &Key, body: &[u8], now: u64) -> Committed {
    store_in_steps(zone, key, body, now, &RwLock::new(()))
}

/// Stores a body; no step of it is taken while somebody else has `still` for himself.
fn store_in_steps(zone: &Zone, key: &Key, body: &[u8], now: u64, still: &RwLock<()>) -> Committed {
    let step = || still.read();
    let permit = permit(zone, &key.digest);
    let room = zone.reserve(body.len() as u64 + 1024).unwrap();
    let mut temp = {
        let _step = step();
        zone.create_temp(&key.digest, None).unwrap()
    };
    {
        let _step = step();
        temp.begin_with(Prefix::new(key, &mut meta(), HEAD).unwrap(), body).unwrap();
    }
    let _step = step();
    zone.commit(permit, &key.digest, temp, room, at(now)).unwrap()
}

fn body_of(entry: &StoredEntry) -> Vec<u8> {
    let mut body = vec![0; usize::try_from(entry.body_len).unwrap()];
    entry.file.read_exact_at(&mut body, entry.body_start).unwrap();
    body
}

pub(super) fn path(zone: &Zone, key: &Key) -> PathBuf {
    path_of(zone.conf(), &key.digest)
}

#[test]
fn what_is_stored_is_found_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let zone = open(&conf);
    let (small, large) = (key("small"), key("large"));
    let long = vec![b'x'; 100_000];
    for round in 0..2 {
        if round == 0 {
            assert!(zone.read(&small, &small.digest).unwrap().is_none());
            store(&zone, &small, b"one", NOW);
            store(&zone, &large, &long, NOW);
        }
        let entry = zone.read(&small, &small.digest).unwrap().unwrap();
        assert_eq!((entry.head.as_slice(), entry.small_body.as_deref()), (HEAD, Some(&b"one"[..])));
        assert_eq!(body_of(&entry), b"one");
        assert_eq!(entry.meta.body_len, Some(3));
        let entry = zone.read(&large, &large.digest).unwrap().unwrap();
        assert_eq!((entry.small_body.is_none(), body_of(&entry) == long), (true, true));
        zone.flush(Durability::Committed);
    }
    drop(zone);
    let zone = Zone::open(&conf, Role::Worker).unwrap();
    assert!(!zone.is_cold(), "a clean index needs no loader");
    assert_eq!(zone.stats(), Stats { entries: 2, stored_bytes: 4096 + 102_400, reserved_bytes: 0 });
    assert!(zone.read(&small, &small.digest).unwrap().is_some());
}

#[test]
fn a_dropped_fill_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), Some(1 << 20)));
    let key = key("k");
    let held = permit(&zone, &key.digest);
    assert!(matches!(zone.lease(&key.digest, AGE, at(NOW)), Lease::Held { .. }));
    let room = zone.reserve(5000).unwrap();
    assert_eq!(zone.stats().reserved_bytes, 8192);
    let mut temp = zone.create_temp(&key.digest, None).unwrap();
    temp.begin(Prefix::new(&key, &mut Meta { body_len: Some(10), ..meta() }, HEAD).unwrap()).unwrap();
    temp.append(b"short").unwrap();
    let torn = zone.commit(held, &key.digest, temp, room, at(NOW));
    assert!(matches!(torn, Err(StoreError::Incomplete)), "{torn:?}");
    assert_eq!(temporary_files(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(zone.stats().reserved_bytes, 0);
    drop(permit(&zone, &key.digest));
    assert!(zone.read(&key, &key.digest).unwrap().is_none());
}

#[test]
fn a_lease_lapses_at_its_deadline_and_with_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("k");
    let first = permit(&zone, &key.digest);
    let Lease::Held { until } = zone.lease(&key.digest, AGE, at(NOW + 2)) else { panic!("it is held") };
    assert!(until >= at(NOW + 5) && until <= at(NOW + 6), "{until:?}");
    let Lease::Granted(second) = zone.lease(&key.digest, AGE, at(NOW + 6)) else { panic!("it has lapsed") };
    // The first one's end does not give the second's lease up.
    drop(first);
    assert!(matches!(zone.lease(&key.digest, AGE, at(NOW + 6)), Lease::Held { .. }));
    drop(second);
    drop(permit(&zone, &key.digest));
}

#[test]
fn a_process_may_take_its_own_lease_over() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("k");
    let late = permit(&zone, &key.digest);
    let Lease::Granted(second) = zone.lease_anew(&key.digest, AGE, at(NOW + 2)) else { panic!("it is ours") };
    drop(late);
    let Lease::Held { until } = zone.lease(&key.digest, AGE, at(NOW + 2)) else { panic!("it is held") };
    assert!(until >= at(NOW + 7), "it counts from when it was taken over: {until:?}");
    drop(second);
    drop(permit(&zone, &key.digest));
}

#[test]
fn one_of_many_threads_gets_the_lease() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    for round in 0..50 {
        let key = key(&format!("key {round}"));
        let granted = AtomicUsize::new(0);
        let barrier = std::sync::Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let lease = zone.lease(&key.digest, AGE, at(NOW));
                    granted.fetch_add(usize::from(matches!(lease, Lease::Granted(_))), Ordering::SeqCst);
                    barrier.wait();
                    drop(lease);
                });
            }
        });
        assert_eq!(granted.into_inner(), 1, "round {round}");
    }
}

#[test]
fn the_generation_moves_when_a_file_changes_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let one = key("one");
    store(&zone, &one, b"1", NOW);
    let entry = zone.read(&one, &one.digest).unwrap().unwrap();
    let same = |entry: &StoredEntry| zone.generation(&one.digest) == entry.generation;
    zone.touch(&one.digest, 1, at(NOW + 60));
    zone.flush(Durability::Committed);
    assert!(same(&entry) && zone.still_there(&one.digest, &entry.identity));

    store(&zone, &one, b"2", NOW);
    assert!(!same(&entry) && !zone.still_there(&one.digest, &entry.identity), "replaced");

    let entry = zone.read(&one, &one.digest).unwrap().unwrap();
    let renewed = Meta { valid_until: at(NOW + 999), ..entry.meta.clone() };
    let renewed = Renewed { digest: &one.digest, identity: &entry.identity, meta: &renewed };
    let identity = zone.update_meta(&one, &renewed).unwrap().unwrap();
    assert!(!same(&entry) && !zone.still_there(&one.digest, &entry.identity), "rewritten in place");
    assert!(zone.still_there(&one.digest, &identity));
    assert_eq!(zone.update_meta(&one, &renewed).unwrap(), None, "no longer the file that was read");

    let entry = zone.read(&one, &one.digest).unwrap().unwrap();
    assert_eq!((entry.meta.valid_until, entry.small_body.as_deref()), (at(NOW + 999), Some(&b"2"[..])));
    zone.remove(&one.digest);
    zone.flush(Durability::Committed);
    assert!(!same(&entry) && !zone.still_there(&one.digest, &entry.identity), "removed");
    assert_eq!(body_of(&entry), b"2", "what is open stays readable");
}

#[test]
fn other_header_lines_take_the_place_of_stored_ones() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let one = key("one");
    let large = vec![b'x'; 300_000];
    for body in [&b"body"[..], &large] {
        for (name, lines, is_moved) in [
            ("shorter", &b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[..], false),
            ("as long", HEAD, false),
            (
                "longer",
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-More: than there is room for\r\n\r\n",
                true,
            ),
        ] {
            store(&zone, &one, body, NOW);
            let entry = zone.read(&one, &one.digest).unwrap().unwrap();
            let meta = Meta { valid_until: at(NOW + 999), ..entry.meta.clone() };
            let renewed = Renewed { digest: &one.digest, identity: &entry.identity, meta: &meta };
            let rewrite =
                || zone.rewrite(&one, &renewed, lines, Some(permit(&zone, &one.digest)), dir.path(), at(NOW));
            let (rewritten, written) = rewrite().unwrap();
            let identity = match rewritten {
                Rewritten::InPlace(identity) if !is_moved => identity,
                Rewritten::Moved(committed) if is_moved => committed.identity,
                other => panic!("{name}: {other:?}"),
            };
            zone.flush(Durability::Committed);
            assert!(zone.still_there(&one.digest, &identity), "{name}");
            let found = zone.read(&one, &one.digest).unwrap().unwrap();
            assert_eq!((&found.head[..], body_of(&found)), (lines, body.to_vec()), "{name}");
            assert_eq!(found.meta, written, "{name}");
            assert_eq!(found.meta.valid_until, at(NOW + 999), "{name}");
            assert_eq!(body_of(&entry), body, "who has it open reads on");
            assert!(
                matches!(rewrite().unwrap().0, Rewritten::Gone),
                "{name}: no longer the file that was read"
            );
        }
    }
    assert_eq!(zone.stats().entries, 1);
}

#[test]
fn a_file_that_does_not_match_its_row_is_a_miss_and_the_row_goes() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 4] = [
        ("removed by hand", |path| fs::remove_file(path).unwrap()),
        ("cut short", |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(420).unwrap()),
        ("too long", |path| {
            fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap();
        }),
        ("another file", |path| fs::write(path, [0; 1000]).unwrap()),
    ];
    for (name, spoil) in spoils {
        let key = key(name);
        store(&zone, &key, b"body", NOW);
        zone.flush(Durability::Committed);
        spoil(&path(&zone, &key));
        assert!(zone.read(&key, &key.digest).unwrap().is_none(), "{name}");
        zone.flush(Durability::Committed);
        assert_eq!(zone.index.row(&key.digest).unwrap(), None, "{name}");
        assert!(!path(&zone, &key).exists(), "{name}");
    }
    assert_eq!(zone.stats().stored_bytes, 0);
}

#[test]
fn variants_of_a_key_live_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    let key = key("k");
    let request = |language: &str| {
        let mut fields = Fields::new();
        fields.push(b"Accept-Language", language.as_bytes());
        fields
    };
    for language in ["de", "en"] {
        let request = request(language);
        assert!(zone.find(&key, &request).unwrap().is_none());
        let variant =
            crate::variant(&key.digest, b"Accept-Language", &request, crate::policy::vary::Matching::Literal);
        let digest = if language == "de" { key.digest } else { variant };
        let mut meta = Meta { vary: b"Accept-Language".to_vec(), variant, ..meta() };
        let mut temp = zone.create_temp(&digest, None).unwrap();
        temp.begin_with(Prefix::new(&key, &mut meta, HEAD).unwrap(), language.as_bytes()).unwrap();
        let (permit, room) = (permit(&zone, &digest), zone.reserve(1000).unwrap());
        zone.commit(permit, &digest, temp, room, at(NOW)).unwrap();
    }
    for language in ["de", "en"] {
        let entry = zone.find(&key, &request(language)).unwrap().unwrap();
        assert_eq!(entry.small_body.as_deref(), Some(language.as_bytes()));
    }
    assert!(zone.find(&key, &request("fr")).unwrap().is_none());
}

#[test]
fn max_size_holds_while_many_threads_fill() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let zone = open(&conf(dir.path(), Some(limit)));
    assert!(zone.reserve(limit + 1).is_err());
    let still = RwLock::new(());
    thread::scope(|scope| {
        let (zone, still) = (&zone, &still);
        let fill = move |thread| {
            for round in 0..100 {
                let key = key(&format!("{thread} {round}"));
                store_in_steps(zone, &key, &[b'x'; 20_000], NOW + round, still);
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || fill(thread))).collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            // Files that come while others are counted would be counted with those that went for them.
            let counting = still.write();
            let used = disk_bytes(dir.path());
            drop(counting);
            assert!(used <= limit, "{used} bytes on disk");
            thread::yield_now();
        }
    });
    zone.flush(Durability::Committed);
    let stats = zone.stats();
    assert!(stats.stored_bytes <= limit && stats.stored_bytes > limit / 2, "{stats:?}");
    assert_eq!(stats.reserved_bytes, 0);
    agrees_with_files(&zone);
    // The last ones are there, the first ones are not.
    assert!(zone.read(&key("0 99"), &key("0 99").digest).unwrap().is_some());
    assert!(zone.read(&key("0 0"), &key("0 0").digest).unwrap().is_none());
}

/// What cached and temporary files take on disk; a file counts once, also if it is renamed meanwhile.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    let mut files = HashMap::new();
    collect_files(dir, &mut files);
    files.values().sum()
}

fn collect_files(dir: &Path, files: &mut HashMap<u64, u64>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => collect_files(&entry.path(), files),
            Ok(_) if entry.file_name().to_string_lossy().starts_with("larder.") => {}
            Ok(metadata) => {
                files.insert(metadata.ino(), on_disk(metadata.len()));
            }
            Err(_) => {}
        }
    }
}

/// Every row has its file, of the size that is counted, and every file its row.
pub(super) fn agrees_with_files(zone: &Zone) {
    let rows = zone.index.get().unwrap().rows();
    let mut bytes = 0;
    for (digest, row) in &rows {
        let file = fs::metadata(path_of(zone.conf(), digest)).unwrap();
        assert_eq!(row.size_bytes, on_disk(file.len()));
        bytes += row.size_bytes;
    }
    assert_eq!((zone.stats().entries, zone.stats().stored_bytes), (rows.len() as u64, bytes));
    assert_eq!(disk_bytes(&zone.conf().path), bytes);
}

#[test]
fn a_full_keys_zone_lets_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    let small = CachePath { keys_zone_size: 1024, ..(*conf(dir.path(), None)).clone() };
    let zone = open(&Arc::new(small));
    for round in 0..20 {
        store(&zone, &key(&round.to_string()), b"x", NOW + round);
    }
    zone.flush(Durability::Committed);
    assert_eq!(zone.stats().entries, 7, "8,000 keys a megabyte");
    agrees_with_files(&zone);
    for (round, wanted) in [(0, false), (12, false), (13, true), (19, true)] {
        let key = key(&round.to_string());
        assert_eq!(zone.read(&key, &key.digest).unwrap().is_some(), wanted, "{round}");
    }
}

#[test]
fn eviction_goes_by_last_use() {
    let dir = tempfile::tempdir().unwrap();
    let zone = open(&conf(dir.path(), None));
    for round in 0..10 {
        store(&zone, &key(&round.to_string()), b"x", NOW + round);
    }
    zone.touch(&key("0").digest, 1, at(NOW + 5));
    zone.touch(&key("1").digest, 1, at(NOW + 100));
    zone.flush(Durability::Committed);
    assert_eq!(
        zone.oldest_use().unwrap(),
        Some(at(NOW)),
        "a use five seconds after the last is not recorded"
    );
    let since = Until::UsedSince(u32::try_from(NOW + 4).unwrap());
    assert_eq!(zone.evict(Eviction { until: since, files: 2 }).entries, 2, "as many as may go at a time");
    assert_eq!(
        zone.evict(Eviction { until: since, files: 9 }),
        Evicted { entries: 1, bytes: 4096, reached: true }
    );
    assert_eq!(zone.evict(Eviction { until: Until::Bytes(3 * 4096), files: 9 }).entries, 4);
    let left: Vec<_> = (0..10).filter(|round| path(&zone, &key(&round.to_string())).exists()).collect();
    assert_eq!(left, [1, 8, 9]);
    agrees_with_files(&zone);
}

#[test]
fn hits_are_counted_beside_uses() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let zone = open(&conf);
    let key = key("a");
    assert_eq!((zone.count_use(&key.digest, at(NOW)), zone.count_use(&key.digest, at(NOW))), (1, 2));
    zone.flush(Durability::Committed);
    assert_eq!(zone.hits(&key.digest), None);
    store(&zone, &key, b"body", NOW);
    zone.flush(Durability::Committed);
    assert_eq!(zone.hits(&key.digest), Some(0), "asked for, but not served");
    let due: Vec<bool> = [1, 2, 9, 11].map(|after| zone.touch(&key.digest, 5, at(NOW + after))).to_vec();
    assert_eq!(due, [true, false, false, true]);
    zone.count_hits(&key.digest, 100, at(NOW + 12));
    store(&zone, &key, b"newer", NOW + 13);
    zone.flush(Durability::Committed);
    assert_eq!(zone.hits(&key.digest), Some(110), "those of an earlier file count");
    assert_eq!(zone.count_use(&key.digest, at(NOW)), u32::MAX);
    drop(zone);
    let zone = open(&conf);
    assert_eq!(zone.hits(&key.digest), Some(110));
    zone.remove(&key.digest);
    zone.flush(Durability::Committed);
    assert_eq!((zone.hits(&key.digest), zone.count_use(&key.digest, at(NOW))), (None, 1));
}

#[test]
fn uses_of_absent_keys_are_counted_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let key = key("k");
    let zone = open(&conf);
    assert_eq!([1, 2].map(|_| zone.count_use(&key.digest, at(NOW))), [1, 2]);
    assert!(zone.read(&key, &key.digest).unwrap().is_none());
    drop(zone);
    let zone = open(&conf);
    assert_eq!(zone.count_use(&key.digest, at(NOW)), 3);
    zone.flush(Durability::Committed);
    assert_eq!(zone.stats(), Stats { entries: 1, ..Stats::default() });
}

#[test]
fn a_cold_cache_serves_files_that_have_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let zone = Zone::open(&conf, Role::Worker).unwrap();
    assert!(zone.is_cold(), "the first start");
    // As nginx left it: no block, so the length of the body is the file's.
    let key = key("/etagswr");
    let file = path(&zone, &key);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, include_bytes!("../format/golden/etagswr")).unwrap();
    let entry = zone.read(&key, &key.digest).unwrap().unwrap();
    assert_eq!(entry.small_body.as_deref(), Some(&b"body of /etagswr\n"[..]));
    assert_eq!((entry.meta.body_len, entry.body_len), (None, 17));
    zone.flush(Durability::Committed);
    assert_eq!(zone.stats().entries, 1);
    zone.set_loaded().unwrap();
    assert!(zone.read(&key, &key.digest).unwrap().is_some());
}

#[test]
fn an_index_that_is_gone_damaged_or_of_another_place_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let first = conf(dir.path(), None);
    let key = key("k");
    let index = dir.path().join("larder.mdb");
    drop(open(&first));
    type Spoil<'a> = (&'a str, Box<dyn Fn()>);
    let boot = dir.path().join("larder.state");
    let spoils: [Spoil<'_>; 3] = [
        (
            "gone",
            Box::new({
                let index = index.clone();
                move || fs::remove_file(&index).unwrap()
            }),
        ),
        (
            "damaged",
            Box::new({
                let index = index.clone();
                move || fs::write(&index, [7; 8192]).unwrap()
            }),
        ),
        (
            "of another boot",
            Box::new(move || {
                let marker = crate::marker::Marker::read(&boot).unwrap();
                let marker = crate::marker::Marker { boot: 1, stop: crate::marker::Stop::Unclean, ..marker };
                marker.write(&boot).unwrap();
            }),
        ),
    ];
    for (name, spoil) in spoils {
        let zone = open(&first);
        store(&zone, &key, b"body", NOW);
        drop(zone);
        spoil();
        let zone = Zone::open(&first, Role::Worker).unwrap();
        assert!(zone.is_cold() && zone.stats().entries == 0, "{name}");
        assert!(zone.read(&key, &key.digest).unwrap().is_some(), "{name}: the file is the truth");
    }
    drop(open(&first));
    let other = CachePath { levels: vec![2], ..(*first).clone() };
    let zone = Zone::open(&Arc::new(other), Role::Worker).unwrap();
    assert!(zone.is_cold() && zone.stats().entries == 0);
}

/// Files below a directory whose names are longer than a digest.
pub(super) fn temporary_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(temporary_files(&entry.path()));
        } else if entry.file_name().len() > 32 {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn temporary_files_of_dead_processes_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let conf = CachePath { use_temp_path: true, ..(*conf(dir.path(), None)).clone() };
    let zone = open(&Arc::new(conf));
    let digest = key("k").digest;
    let beside = zone.create_temp(&digest, None).unwrap();
    assert_eq!(beside.path().parent(), path_of(zone.conf(), &digest).parent());
    let other = zone.create_temp(&digest, Some(outside.path())).unwrap();
    assert!(other.path().starts_with(outside.path()));
    zone.flush(Durability::Committed);
    let mut child = Command::new("true").spawn().unwrap();
    let dead = u64::from(child.id()) << 32 | 1;
    child.wait().unwrap();
    let name = format!("{}.{dead:x}.0", "0".repeat(32));
    assert!(is_left_behind(name.as_ref()) && !is_left_behind(beside.path().file_name().unwrap()));
    let (left, foreign) = (outside.path().join(&name), outside.path().join("0000000001"));
    fs::write(&left, "x").unwrap();
    fs::write(&foreign, "x").unwrap();
    assert_eq!(zone.sweep().unwrap(), 1);
    assert!(!left.exists() && foreign.exists() && other.path().exists());
}

#[test]
fn the_index_is_discarded_only_where_nobody_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    drop(open(&conf));
    discard_index(&conf).unwrap();
    assert!(!dir.path().join("larder.mdb").exists());
    assert!(Zone::open(&conf, Role::Worker).unwrap().is_cold());
}

/// A cache that keeps checksums, and forces what it stores to the disk.
fn careful(path: &Path) -> Arc<CachePath> {
    let conf = (*conf(path, None)).clone();
    Arc::new(CachePath { verify: config::Verify::Sum, fsync: config::Fsync::Full, ..conf })
}

/// Stores a body in pieces, with its length known beforehand or not.
fn store_summed(zone: &Zone, key: &Key, pieces: &[&[u8]], body_len: Option<u64>) {
    let mut temp = zone.create_temp(&key.digest, None).unwrap();
    let mut meta = Meta { body_len, body_sum: Some(0), ..meta() };
    let prefix = Prefix::new(key, &mut meta, HEAD).unwrap();
    match pieces {
        [whole] => temp.begin_with(prefix, whole).unwrap(),
        _ => temp.begin(prefix).unwrap(),
    }
    if pieces.len() > 1 {
        pieces.iter().for_each(|piece| temp.append(piece).unwrap());
    }
    let (permit, room) = (permit(zone, &key.digest), zone.reserve(1).unwrap());
    zone.commit(permit, &key.digest, temp, room, at(NOW)).unwrap();
    zone.flush(Durability::Committed);
}

#[test]
fn a_bit_that_flipped_is_noticed_where_sums_are_verified() {
    let large = vec![b'x'; 300_000];
    let bodies: [(&str, &[&[u8]]); 3] =
        [("small", &[b"body"]), ("in pieces", &[b"bo", b"dy"]), ("large", &[&large, b"end"])];
    for (name, pieces) in bodies {
        let body = pieces.concat();
        for body_len in [None, Some(body.len() as u64)] {
            let dir = tempfile::tempdir().unwrap();
            let conf = careful(dir.path());
            let zone = open(&conf);
            let key = key("k");
            let path = path_of(&conf, &key.digest);
            store_summed(&zone, &key, pieces, body_len);
            let entry = zone.read(&key, &key.digest).unwrap().unwrap();
            assert_eq!((entry.body_len, entry.meta.body_len), (body.len() as u64, Some(body.len() as u64)));
            let head_at = u64::from(entry.meta.header_start) + 10;
            for at in [head_at, entry.body_start, entry.body_start + entry.body_len - 1] {
                store_summed(&zone, &key, pieces, body_len);
                let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1], at).unwrap();
                assert!(zone.read(&key, &key.digest).unwrap().is_none(), "{name}, {body_len:?}, at {at}");
                zone.flush(Durability::Committed);
                assert!(!path.exists(), "{name}: it is removed");
            }
        }
    }
}

#[test]
fn a_file_without_a_sum_is_served_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let conf = careful(dir.path());
    let zone = open(&conf);
    store(&zone, &key("k"), b"body", NOW);
    assert!(zone.read(&key("k"), &key("k").digest).unwrap().is_some());
}

/// Walks over all files, a little at a time, and adds up what was done.
fn scrub(zone: &Zone, allowance: u64) -> Scrubbed {
    let mut scrubber = Scrubber::default();
    let mut all = Scrubbed::default();
    while !all.is_over {
        let done = scrubber.step(zone, allowance).unwrap();
        all = Scrubbed {
            files: all.files + done.files,
            bytes: all.bytes + done.bytes,
            removed: all.removed + done.removed,
            is_over: done.is_over,
        };
    }
    all
}

#[test]
fn a_scrub_removes_what_does_not_fit_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let conf = careful(dir.path());
    let zone = open(&conf);
    let large = vec![b'x'; 700_000];
    let keys: Vec<Key> = (0..12).map(|number: u32| key(&number.to_string())).collect();
    for key in &keys {
        store_summed(&zone, key, &[&large, b"end"], None);
    }
    store(&zone, &key("without a sum"), b"body", NOW);
    zone.flush(Durability::Committed);
    assert_eq!(scrub(&zone, 1 << 20), Scrubbed { removed: 0, files: 13, ..scrub(&zone, 1) });
    let path = |number: usize| path_of(&conf, &keys[number].digest);
    let open = |number| fs::OpenOptions::new().write(true).open(path(number)).unwrap();
    open(0).write_all_at(b"y", 500_000).unwrap();
    open(1).set_len(100).unwrap();
    open(2).set_len(690_000).unwrap();
    open(3).write_all_at(b"4", 0).unwrap();
    fs::rename(path(4), path(5)).unwrap();
    fs::remove_file(path(6)).unwrap();
    fs::create_dir(path(6)).unwrap();
    let done = scrub(&zone, 1 << 20);
    assert_eq!(done.removed, 6, "{done:?}");
    zone.flush(Durability::Committed);
    let left: Vec<usize> = (0..12).filter(|&number| path(number).exists()).collect();
    assert_eq!(left, [7, 8, 9, 10, 11]);
    assert_eq!(scrub(&zone, 1 << 20).removed, 0);
}

#[test]
fn a_directory_in_the_place_of_a_file_is_a_miss_and_makes_way() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let zone = open(&conf);
    let key = key("k");
    let path = path_of(&conf, &key.digest);
    store(&zone, &key, b"body", NOW);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(zone.read(&key, &key.digest).unwrap().is_none());
    zone.flush(Durability::Committed);
    store(&zone, &key, b"body again", NOW);
    assert_eq!(zone.read(&key, &key.digest).unwrap().unwrap().body_len, 10);
    // One that holds something stays, and is in the way.
    zone.remove(&key.digest);
    zone.flush(Durability::Committed);
    fs::create_dir_all(path.join("somebody's")).unwrap();
    zone.adopt(&key.digest, 5, at(NOW));
    assert!(zone.read(&key, &key.digest).unwrap().is_none());
    zone.flush(Durability::Committed);
    assert!(path.join("somebody's").exists());
}

#[test]
fn a_file_is_copied_from_another_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let Ok(outside) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: there is no /dev/shm");
        return;
    };
    if fs::metadata(dir.path()).unwrap().dev() == fs::metadata(outside.path()).unwrap().dev() {
        println!("skipped: there is only one file system");
        return;
    }
    let body: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    for fsync in [config::Fsync::Off, config::Fsync::File, config::Fsync::Full] {
        let conf = CachePath { use_temp_path: true, fsync, ..(*careful(dir.path())).clone() };
        let zone = open(&Arc::new(conf));
        let key = key("k");
        let mut temp = zone.create_temp(&key.digest, Some(outside.path())).unwrap();
        let mut meta = Meta { body_sum: Some(0), ..meta() };
        temp.begin(Prefix::new(&key, &mut meta, HEAD).unwrap()).unwrap();
        temp.append(&body).unwrap();
        assert!(temp.path().starts_with(outside.path()));
        let permit = permit(&zone, &key.digest);
        let room = zone.reserve(body.len() as u64).unwrap();
        zone.commit(permit, &key.digest, temp, room, at(NOW)).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "what was copied is removed");
        let entry = zone.read(&key, &key.digest).unwrap().unwrap();
        let mut read = vec![0; body.len()];
        entry.file.read_exact_at(&mut read, entry.body_start).unwrap();
        assert!(read == body && entry.body_len == body.len() as u64);
        let beside = path_of(zone.conf(), &key.digest);
        assert_eq!(fs::read_dir(beside.parent().unwrap()).unwrap().count(), 1, "no copy is left");
        zone.remove(&key.digest);
    }
}

/// Stores some, takes the index away as `damage` does while the zone is open, and looks whether all goes on.
fn survives(name: &str, damage: impl Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let zone = open(&conf);
    let keys: Vec<Key> = (0..20).map(|number: u32| key(&number.to_string())).collect();
    keys.iter().for_each(|key| drop(store(&zone, key, b"body", NOW)));
    zone.flush(Durability::Committed);
    damage(dir.path());
    // The next change is what finds it out.
    store(&zone, &key("new"), b"body", NOW);
    zone.flush(Durability::Committed);
    assert!(zone.loss().is_some() && zone.is_cold(), "{name}");
    for key in keys.iter().chain([&key("new")]) {
        assert!(zone.read(key, &key.digest).unwrap().is_some(), "{name}");
    }
    zone.flush(Durability::Committed);
    assert_eq!(zone.stats().entries, 21, "{name}: each has its row again");
    drop(zone);
    let zone = Zone::open(&conf, Role::Worker).unwrap();
    assert!(zone.is_cold() && zone.stats().entries == 21, "{name}: the loader is still to look");
}

#[test]
fn an_index_that_goes_while_it_is_open_is_made_anew() {
    let remove = |dir: &Path, name: &str| fs::remove_file(dir.join(name)).unwrap();
    survives("the index", |dir| remove(dir, "larder.mdb"));
    survives("its lock", |dir| remove(dir, "larder.mdb-lock"));
    survives("all of it", |dir| {
        for name in ["larder.mdb", "larder.mdb-lock", "larder.state", "larder.lock", "larder.shared"] {
            remove(dir, name);
        }
    });
    survives("another in its place", |dir| {
        fs::write(dir.join("other"), "no index at all").unwrap();
        fs::rename(dir.join("other"), dir.join("larder.mdb")).unwrap();
    });
}

#[test]
fn an_index_that_was_changed_while_nobody_used_it_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(dir.path(), None);
    let path = dir.path().join("larder.mdb");
    let spoil = |damage: &dyn Fn(&File)| {
        let zone = open(&conf);
        for number in 0..300 {
            store(&zone, &key(&number.to_string()), b"body", NOW);
        }
        drop(zone);
        assert!(!Zone::open(&conf, Role::Worker).unwrap().is_cold(), "it is believed after a clean stop");
        damage(&fs::OpenOptions::new().write(true).open(&path).unwrap());
        Zone::open(&conf, Role::Worker).unwrap()
    };
    let len = |file: &File| file.metadata().unwrap().len();
    type Spoil<'a> = &'a dyn Fn(&File);
    let damages: [(&str, Spoil<'_>); 4] = [
        ("zeros", &|file| {
            let zeros = vec![0; usize::try_from(len(file) - 8192).unwrap()];
            file.write_all_at(&zeros, 8192).unwrap();
        }),
        ("noise", &|file| {
            let noise: Vec<u8> = (0..len(file)).map(|at| (at * at / 7) as u8).collect();
            file.write_all_at(&noise, 0).unwrap();
        }),
        ("noise in its pages", &|file| {
            let noise: Vec<u8> = (0..len(file) - 8192).map(|at| (at * at / 7) as u8).collect();
            file.write_all_at(&noise, 8192).unwrap();
        }),
        ("cut", &|file| file.set_len(len(file) / 2).unwrap()),
    ];
    for (name, damage) in damages {
        let zone = spoil(damage);
        assert!(zone.is_cold() && zone.stats().entries == 0, "{name}");
        assert!(
            zone.read(&key("7"), &key("7").digest).unwrap().is_some(),
            "{name}: files are found all the same"
        );
    }
}
