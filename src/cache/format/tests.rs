//! Files that Debian's nginx 1.22 wrote, and what we write.

use super::*;
use crate::parts::Parts;

const ETAG: &[u8] = include_bytes!("golden/etagswr");
const VARIANT: &[u8] = include_bytes!("golden/variant");

fn key(text: &str) -> Key {
    Key::new(text.as_bytes().to_vec())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn meta() -> Meta {
    Meta {
        valid_until: at(1_795_254_223),
        stale_while_revalidate: Duration::from_secs(30),
        stale_if_error: Duration::from_secs(60),
        last_modified: Some(at(1_795_248_000)),
        date: at(1_795_254_123),
        etag: b"\"abc\"".to_vec(),
        ..Meta::default()
    }
}

#[test]
fn a_file_of_nginx_is_understood() {
    let opening = parse(ETAG, &key("/etagswr")).unwrap();
    assert_eq!(opening.meta, Meta { header_start: 351, body_start: 549, ..meta() });
    assert!(opening.head.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"));
    assert!(opening.head.ends_with(b"Content-Length: 17\r\n\r\n"));
    assert_eq!(&ETAG[usize::from(opening.meta.body_start)..], b"body of /etagswr\n");

    let opening = parse(VARIANT, &key("/v1")).unwrap();
    assert_eq!(opening.meta.vary, b"Accept-Encoding, X-Foo");
    assert_eq!(crate::key::hex(&opening.meta.variant), "211a9a024af7a5e2e226386bad33b612");
    assert_eq!(opening.meta.last_modified, None);
    assert_eq!(opening.meta.stale_if_error, Duration::ZERO);
}

#[test]
fn the_struct_is_written_byte_for_byte() {
    for (file, key) in [(ETAG, key("/etagswr")), (VARIANT, key("/v1"))] {
        let opening = parse(file, &key).unwrap();
        assert_eq!(encode_struct(&opening.meta, key.crc32)[..], file[..STRUCT_BYTES]);
    }
}

#[test]
fn what_is_written_is_read() {
    let head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    let long = Meta { etag: vec![b'e'; 300], vary: vec![b'v'; 200], ..meta() };
    let validated =
        Meta { restraint: Restraint::AlwaysValidated, initial_age: Some(Duration::ZERO), ..meta() };
    let aged =
        Meta { restraint: Restraint::NeverStale, initial_age: Some(Duration::from_secs(1 << 31)), ..meta() };
    let metas = [("short texts", meta()), ("long texts", long), ("validated", validated), ("aged", aged)];
    for (name, mut written) in metas {
        for body_len in [None, Some(0), Some(7)] {
            written.body_len = body_len;
            let key = key("a key");
            let prefix = Prefix::new(&key, &mut written, head).unwrap();
            assert_eq!(prefix.bytes.len(), usize::from(written.body_start), "{name}");
            let opening = parse(&prefix.bytes, &key).unwrap();
            assert_eq!(opening.meta, written, "{name}, {body_len:?}");
            assert_eq!(opening.head, head, "{name}, {body_len:?}");
        }
    }
}

#[test]
fn a_vary_that_nginx_has_no_room_for_makes_the_file_a_miss_to_it() {
    let mut long = Meta { vary: vec![b'v'; 129], ..meta() };
    let prefix = Prefix::new(&key("k"), &mut long, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    assert!(usize::from(prefix.bytes[187]) > TEXT_BYTES);
    assert_eq!(parse(&prefix.bytes, &key("k")).unwrap().meta.vary, long.vary);
    // The struct alone is written anew after a 304.
    assert_eq!(encode_struct(&long, key("k").crc32)[..], prefix.bytes[..STRUCT_BYTES]);
}

#[test]
fn other_header_lines_fit_where_they_are_not_longer() {
    let (key, head) = (key("k"), b"HTTP/1.1 200 OK\r\nA: bcdef\r\n\r\n");
    for etag in [3, 300] {
        let mut written = Meta { etag: vec![b'e'; etag], body_len: Some(5), body_sum: Some(7), ..meta() };
        let body_start = Prefix::new(&key, &mut written, head).unwrap().bytes.len();
        for shorter in 0..=5 {
            let head = [&b"HTTP/1.1 200 OK\r\nA: "[..], &b"bcdef"[shorter..], b"\r\n\r\n"].concat();
            let mut renewed = Meta { date: at(5), ..written.clone() };
            let prefix = Prefix::fitted(&key, &mut renewed, &head).unwrap();
            assert_eq!(prefix.bytes.len(), body_start);
            let opening = parse(&prefix.bytes, &key).unwrap();
            assert_eq!((opening.meta, opening.head), (renewed, &head[..]));
        }
        let longer = b"HTTP/1.1 200 OK\r\nA: bcdefg\r\n\r\n";
        assert_eq!(Prefix::fitted(&key, &mut written, longer), None);
    }
}

#[test]
fn what_is_learnt_at_the_end_is_stated() {
    let key = key("k");
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    for (body_sum, etag) in [(None, 3), (Some(0), 3), (Some(7), 300)] {
        let mut written = Meta { body_sum, etag: vec![b'e'; etag], ..meta() };
        let mut prefix = Prefix::new(&key, &mut written, head).unwrap();
        let read = |prefix: &Prefix| parse(&prefix.bytes, &key).unwrap().meta;
        assert_eq!((read(&prefix).body_len, read(&prefix).body_sum), (None, body_sum));
        let len = prefix.bytes.len();
        let from = prefix.state(123_456, body_sum.map(|_| 0xfeed));
        assert_eq!(prefix.bytes.len(), len);
        assert!(from >= usize::from(written.header_start) + head.len());
        let wanted = Meta { body_len: Some(123_456), body_sum: body_sum.map(|_| 0xfeed), ..written };
        assert_eq!(read(&prefix), wanted);
    }
}

#[test]
fn what_purges_go_by_is_kept_and_raised_in_place() {
    let key = key("k");
    let tagged =
        Meta { epoch: 7, tags: b"a\nb".to_vec(), body_len: Some(5), etag: vec![b'e'; 300], ..meta() };
    let plain = Meta { epoch: 7, ..meta() };
    for (name, mut written) in [("with tags", tagged), ("without", plain)] {
        let mut file = Prefix::new(&key, &mut written, b"HTTP/1.1 200 OK\r\n\r\n").unwrap().bytes;
        assert_eq!(parse(&file, &key).unwrap().meta, written, "{name}");
        let (at, bytes) = raised_epoch(&file, 1 << 50).unwrap();
        let at = usize::try_from(at).unwrap();
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        assert_eq!(parse(&file, &key).unwrap().meta, Meta { epoch: 1 << 50, ..written }, "{name}");
        assert_eq!(stated_key(&file), Some(key.clone()), "{name}");
    }
    assert_eq!(raised_epoch(&ETAG[..549], 1), None, "nginx's files state none");
    let too_many = Meta { tags: vec![b't'; 65_536], ..meta() };
    assert_eq!(Prefix::new(&key, &mut too_many.clone(), b""), Err(FormatError::TooLong));
}

#[test]
fn parts_are_kept_beside_all_else() {
    let key = key("k");
    let parts = Parts { complete_length: 100, ranges: vec![0..10, 20..30] };
    let age = Some(Duration::from_secs(5));
    let mut written = Meta {
        parts: Some(Box::new(parts)),
        initial_age: age,
        body_sum: Some(0),
        body_len: Some(3),
        ..meta()
    };
    let mut prefix = Prefix::new(&key, &mut written, b"HTTP/1.1 206 Partial Content\r\n\r\n").unwrap();
    prefix.state(3, Some(0xfeed));
    assert_eq!(parse(&prefix.bytes, &key).unwrap().meta, Meta { body_sum: Some(0xfeed), ..written });
}

#[test]
fn a_block_with_a_wrong_sum_counts_as_header_lines() {
    let key = key("k");
    let mut written = Meta { body_len: Some(5), ..meta() };
    let mut prefix = Prefix::new(&key, &mut written, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let at = prefix.state(0, None);
    prefix.bytes[at] ^= 1;
    let opening = parse(&prefix.bytes, &key).unwrap();
    assert_eq!(opening.meta.body_len, None);
    assert!(opening.head.ends_with(b"LARDER\0\x01"));
}

#[test]
fn a_file_says_which_key_it_is_for() {
    assert_eq!(stated_key(ETAG).unwrap().text, b"/etagswr");
    for bytes in [&ETAG[..40], &ETAG[..345], &[0; 400]] {
        assert!(stated_key(bytes).is_none());
    }
}

#[test]
fn wrong_files_are_refused() {
    let good = key("/etagswr");
    let with = |at: usize, bytes: &[u8]| {
        let mut file = ETAG.to_vec();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let cases = [
        ("empty", Vec::new(), good.clone(), FormatError::TooSmall),
        ("cut in the struct", ETAG[..335].to_vec(), good.clone(), FormatError::TooSmall),
        ("cut in the lines", ETAG[..548].to_vec(), good.clone(), FormatError::TooSmall),
        ("another version", with(0, &[3]), good.clone(), FormatError::Version),
        ("another key", ETAG.to_vec(), key("/etagswR"), FormatError::Collision),
        ("another sum", with(48, &[0]), good.clone(), FormatError::Collision),
        ("another text under the same sum", with(345, b"E"), good.clone(), FormatError::Collision),
        ("a body before the lines", with(56, &[0, 1]), good.clone(), FormatError::Offsets),
        ("vary too long", with(187, &[129]), good.clone(), FormatError::Vary),
        ("vary in a block that is not there", with(187, &[255]), good.clone(), FormatError::Vary),
    ];
    for (name, file, key, wanted) in cases {
        assert_eq!(parse(&file, &key).unwrap_err(), wanted, "{name}");
    }
    assert!(
        parse(&with(58, &[255]), &good).unwrap().meta.etag.is_empty(),
        "as nginx, an etag too long is none"
    );
}

#[test]
fn a_head_that_cannot_be_addressed_is_refused() {
    let head = vec![b'x'; 65_536 - STRUCT_BYTES];
    assert_eq!(Prefix::new(&key("k"), &mut meta(), &head), Err(FormatError::TooLong));
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let key = key("/etagswr");
    let mut written = Meta { etag: vec![b'e'; 300], ..meta() };
    let ours = Prefix::new(&key, &mut written, b"HTTP/1.1 200 OK\r\n\r\n").unwrap().bytes;
    for round in 0..20_000 {
        let mut file = if round % 2 == 0 { ETAG.to_vec() } else { ours.clone() };
        for _ in 0..1 + random() % 4 {
            let at = usize::try_from(random() % file.len() as u64).unwrap();
            file[at] = random() as u8;
        }
        file.truncate(usize::try_from(random() % (file.len() as u64 * 2)).unwrap());
        // Whatever it says, it says without a panic; what it accepts lies within the bytes.
        if let Ok(opening) = parse(&file, &key) {
            assert!(usize::from(opening.meta.body_start) <= file.len(), "round {round}");
        }
    }
}
