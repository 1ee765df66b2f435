//! Files of an index as LMDB leaves them, and damaged in every way that random bytes find.

use std::os::unix::fs::FileExt;

use super::*;

fn digest(number: u32) -> Digest {
    let mut digest = [0; 16];
    digest[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    digest[12..].copy_from_slice(&number.to_le_bytes());
    digest
}

/// An index of some size with a history: rows come and go, so that pages are freed and used again.
fn make(path: &Path, rows: u32) {
    let index = Index::open(path, Trust::Doubted).unwrap();
    for round in 0..4 {
        for first in (0..rows).step_by(500) {
            let mut batch = index.begin().unwrap();
            for number in first..(first + 500).min(rows) {
                match (number + round) % 4 {
                    0 => drop(batch.remove(&digest(number)).unwrap()),
                    _ => batch
                        .put(
                            &digest(number),
                            Row { last_use: number * 7 + round, uses: 1, size_bytes: 4096, place: None },
                        )
                        .unwrap(),
                }
            }
            batch.note_temp_dir(b"/tmp").unwrap();
            batch.commit().unwrap();
        }
    }
}

#[test]
fn what_lmdb_writes_passes() {
    let dir = tempfile::tempdir().unwrap();
    for rows in [0, 1, 30, 3000, 60_000] {
        let path = dir.path().join(format!("{rows}.mdb"));
        check::whole(&path).unwrap();
        make(&path, rows);
        check::whole(&path).unwrap();
        let index = Index::open(&path, Trust::Doubted).unwrap();
        let left = (0..rows).filter(|number| (number + 3) % 4 != 0).count() as u64;
        assert_eq!(index.begin().unwrap().entries().unwrap(), left);
    }
}

#[test]
fn an_index_in_use_passes_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("larder.mdb");
    make(&path, 5000);
    let index = Index::open(&path, Trust::Doubted).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let mut batch = index.begin().unwrap();
                for number in 0..50 {
                    let row = Row { last_use: round, uses: 1, size_bytes: 4096, place: None };
                    batch.put(&digest((round * 37 + number) % 6000), row).unwrap();
                }
                batch.commit().unwrap();
            }
        });
        for _ in 0..200 {
            let _state = index.env.read_txn().unwrap();
            check::whole(&path).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn what_is_no_index_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("larder.mdb");
    make(&path, 3000);
    let good = fs::read(&path).unwrap();
    let page = 4096;
    let put = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    // The meta page of the last state, where its page size and its last page stand.
    let last = if u64::from_le_bytes(good[16 + 128..16 + 136].try_into().unwrap())
        > u64::from_le_bytes(good[page + 16 + 128..page + 16 + 136].try_into().unwrap())
    {
        0
    } else {
        page
    };
    let cases = [
        ("random text", b"this is no index".repeat(1000)),
        ("a short file", good[..100].to_vec()),
        ("one page", good[..page].to_vec()),
        ("cut in the middle", good[..good.len() / 2 / page * page].to_vec()),
        ("no pages", put(16 + 24, &[0; 4])),
        ("huge pages", put(16 + 24, &[0xff; 4])),
        ("another version", put(16 + 4, &[2])),
        ("far too large", put(last + 16 + 120, &[0xff; 8])),
        ("a root behind the end", put(last + 16 + 24 + 48 + 40, &[0xfe, 0xff, 0xff, 0, 0, 0, 0, 0])),
        ("a root that is a meta page", put(last + 16 + 24 + 48 + 40, &[0; 8])),
        ("zeros behind the meta pages", [&good[..2 * page], &vec![0; good.len() - 2 * page]].concat()),
    ];
    for (name, file) in cases {
        fs::write(&path, file).unwrap();
        assert!(matches!(check::whole(&path), Err(Damage::Content(_))), "{name}");
        assert!(Index::open(&path, Trust::Doubted).is_err_and(|error| error.is_damage()), "{name}");
    }
}

/// What passes must not lead LMDB astray: it reads and writes all of it.
#[test]
fn whatever_passes_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let origin = dir.path().join("good.mdb");
    make(&origin, 1500);
    let good = fs::read(&origin).unwrap();
    let (mut passed, mut refused) = (0, 0);
    for round in 0..300 {
        let path = dir.path().join(format!("{round}.mdb"));
        fs::write(&path, &good).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        for _ in 0..1 + random(3) {
            let bytes: Vec<u8> = (0..1 + random(8)).map(|_| random(256) as u8).collect();
            file.write_all_at(&bytes, random(good.len()) as u64).unwrap();
        }
        match Index::open(&path, Trust::Doubted) {
            Err(_) => refused += 1,
            Ok(index) => {
                passed += 1;
                use_all(&index);
            }
        }
        fs::remove_file(&path).unwrap();
        fs::remove_file(lock_of(&path)).unwrap();
    }
    println!("{passed} passed, {refused} refused");
    assert!(passed > 0 && refused > 0);
}

fn use_all(index: &Index) {
    let mut last = None;
    while let Some(digest) = index.next(last.as_ref()).unwrap() {
        index.row(&digest).unwrap();
        last = Some(digest);
    }
    index.oldest_use().unwrap();
    for round in 0..8 {
        let mut batch = index.begin().unwrap();
        for number in (0..1500).filter(|number| number % 8 == round) {
            // What LMDB finds odd it may refuse.
            let _ = batch.remove(&digest(number));
            let _ = batch
                .put(&digest(number + 10_000), Row { last_use: number, uses: 1, size_bytes: 1, place: None });
        }
        let _ = batch.oldest(100);
        let _ = batch.commit();
    }
}
