//! Random input against simple models, httparse, and the parsers themselves fed in pieces.
//!
//! Each run takes a new seed and prints it; `HTTP1_SEED=number cargo test -p http1` runs it again.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;

use http1::{
    CHUNK_END, Chunk, ChunkLimits, ChunkedDecoder, EscapeKind, Fields, HeadRules, InvalidNames, Progress,
    RequestHead, RequestParser, ResponseHead, ResponseParser, date, escape_uri, unescape, uri,
    write_chunk_size, write_trailers,
};

const ROUNDS: usize = 5_000;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// xorshift64*: enough for test input.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let given = env::var("HTTP1_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0)).max(1);
        println!("HTTP1_SEED={seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn text(&mut self, alphabet: &[u8], max_len: usize) -> Vec<u8> {
        let len = self.below(max_len + 1);
        (0..len).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    fn mutate(&mut self, text: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let place = self.below(text.len() + 1);
            let byte =
                *self.pick(&[&b'\r', &b'\n', &b' ', &b':', &0, &b'\t', &b'_', &0xff, &b'/', &b'0', &b';']);
            match self.below(3) {
                0 => text.insert(place, byte),
                1 if place < text.len() => text[place] = byte,
                _ => text.truncate(text.len().max(1) - 1),
            }
        }
    }

    /// Ends of pieces that lead to the end of a text of this length.
    fn ends(&mut self, len: usize) -> Vec<usize> {
        let step = 1 + self.below(len.max(1));
        let mut ends = Vec::new();
        let mut end = 0;
        while end < len {
            end = len.min(end + 1 + self.below(step));
            ends.push(end);
        }
        ends
    }

    fn fields(&mut self, count: usize) -> Pairs {
        (0..count)
            .map(|_| {
                let mut name = vec![*self.pick(&[&b'A', &b'x', &b'Z'])];
                name.extend(self.text(b"abcXYZ019-", 20));
                let mut value = self.text(b"abc ,;=\"\xc3\xa9\t:/", 60);
                value = value.trim_ascii().to_vec();
                (name, value)
            })
            .collect()
    }
}

fn write_lines(random: &mut Random, out: &mut Vec<u8>, fields: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in fields {
        out.extend_from_slice(name);
        out.extend_from_slice(random.pick::<[u8]>(&[b":", b": ", b":   "]));
        out.extend_from_slice(value);
        out.extend_from_slice(random.pick::<[u8]>(&[b"\r\n", b" \r\n", b"\n"]));
    }
    out.extend_from_slice(b"\r\n");
}

fn pairs(fields: &Fields) -> Pairs {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn request_text(random: &mut Random) -> (Vec<u8>, Pairs) {
    let mut text = random.pick::<[u8]>(&[b"GET", b"POST", b"PROPPATCH", b"X-Y"]).to_vec();
    text.push(b' ');
    text.extend_from_slice(random.pick::<[u8]>(&[b"/", b"http://a.b:80/", b"/a?", b"/%2e/../"]));
    text.extend(random.text(b"abc/.%2f?&=", 40));
    text.extend_from_slice(random.pick::<[u8]>(&[b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.1\n"]));
    let count = random.below(20);
    let fields = random.fields(count);
    write_lines(random, &mut text, &fields);
    (text, fields)
}

fn rules() -> HeadRules {
    HeadRules { invalid_names: InvalidNames::Kept, ..HeadRules::default() }
}

fn parse_request(text: &[u8], ends: &[usize]) -> (Option<Progress>, RequestHead) {
    let (mut parser, mut head) = (RequestParser::new(), RequestHead::new());
    for &end in ends {
        match parser.parse(&text[..end], &rules(), &mut head) {
            Ok(Progress::NeedMore) => {}
            Ok(done) => return (Some(done), head),
            Err(_) => return (None, head),
        }
    }
    (Some(Progress::NeedMore), head)
}

#[test]
fn well_formed_requests_are_read_as_written_and_as_httparse_reads_them() {
    let mut random = Random::new();
    for _ in 0..ROUNDS {
        let (text, fields) = request_text(&mut random);
        let shown = String::from_utf8_lossy(&text);
        let (progress, head) = parse_request(&text, &[text.len()]);
        assert_eq!(progress, Some(Progress::Done(text.len())), "{shown}");
        assert_eq!(pairs(&head.fields), fields, "{shown}");
        let mut theirs = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut theirs);
        assert_eq!(request.parse(&text), Ok(httparse::Status::Complete(text.len())), "{shown}");
        assert_eq!(request.method.map(str::as_bytes), Some(head.method_text()), "{shown}");
        assert_eq!(request.path.map(str::as_bytes), Some(head.target()), "{shown}");
        assert_eq!(request.version, Some(head.version.minor), "{shown}");
        let theirs = request.headers.iter().map(|field| (field.name.as_bytes(), field.value));
        assert!(theirs.eq(head.fields.iter()), "{shown}");
    }
}

#[test]
fn damaged_requests_are_read_alike_in_pieces() {
    let mut random = Random::new();
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let (mut text, _) = request_text(&mut random);
        random.mutate(&mut text);
        let shown = String::from_utf8_lossy(&text);
        let (whole, head) = parse_request(&text, &[text.len()]);
        let (pieces, head_of_pieces) = parse_request(&text, &random.ends(text.len()));
        match whole {
            Some(_) => assert_eq!((pieces, &head_of_pieces), (whole, &head), "{shown}"),
            // What is wrong in a line that comes in pieces may be told when its end has come.
            None => assert!(!matches!(pieces, Some(Progress::Done(_))), "{shown}"),
        }
        let Some(Progress::Done(used)) = whole else { continue };
        accepted += 1;
        let mut theirs = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut theirs);
        // It refuses control bytes in values, methods and names that nginx takes, HTTP/0.9 and more.
        if request.parse(&text) == Ok(httparse::Status::Complete(used)) {
            assert_eq!(request.path.map(str::as_bytes), Some(head.target()), "{shown}");
            assert_eq!(request.headers.len(), head.fields.len(), "{shown}");
        }
    }
    assert!(accepted > ROUNDS / 10, "the damage is not always fatal: {accepted}");
}

#[test]
fn responses_are_read_as_written_and_alike_in_pieces() {
    let mut random = Random::new();
    for round in 0..ROUNDS {
        let mut text = b"HTTP/1.1 200".to_vec();
        text.extend_from_slice(random.pick::<[u8]>(&[b"\r\n", b" OK\r\n", b" \xc3\xa9 x\n"]));
        let count = random.below(20);
        let fields = random.fields(count);
        write_lines(&mut random, &mut text, &fields);
        let damaged = round % 2 == 1;
        if damaged {
            random.mutate(&mut text);
        }
        let shown = String::from_utf8_lossy(&text);
        let parse = |ends: &[usize]| {
            let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::new());
            let step = |&end: &usize| match parser.parse(&text[..end], 65536, &mut head) {
                Ok(Progress::NeedMore) => None,
                other => Some(other.ok()),
            };
            (ends.iter().find_map(step), head)
        };
        let (whole, head) = parse(&[text.len()]);
        let (pieces, head_of_pieces) = parse(&random.ends(text.len()));
        match whole {
            Some(None) => assert!(!matches!(pieces, Some(Some(_))), "{shown}"),
            _ => assert_eq!((pieces, &head_of_pieces), (whole, &head), "{shown}"),
        }
        if !damaged {
            assert_eq!(whole, Some(Some(Progress::Done(text.len()))), "{shown}");
            assert_eq!(pairs(&head.fields), fields, "{shown}");
        }
    }
}

type Decoded = Option<(Vec<u8>, Fields, usize)>;

fn decode(text: &[u8], ends: &[usize]) -> Result<Decoded, http1::ChunkError> {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    let (mut payload, mut at) = (Vec::new(), 0);
    for &end in ends {
        loop {
            match decoder.decode(&text[at..end])? {
                Chunk::NeedMore { used } => {
                    at += used;
                    break;
                }
                Chunk::Payload { skip, len } => {
                    payload.extend_from_slice(&text[at + skip..at + skip + len]);
                    at += skip + len;
                }
                Chunk::End { used } => return Ok(Some((payload, decoder.trailers(), at + used))),
            }
        }
    }
    Ok(None)
}

#[test]
fn chunked_bodies_come_back() {
    let mut random = Random::new();
    for round in 0..ROUNDS {
        let payload = random.text(b"abc\r\n0;", 200);
        let mut text = Vec::new();
        let mut rest = &payload[..];
        while !rest.is_empty() {
            let (chunk, others) = rest.split_at(1 + random.below(rest.len()));
            write_chunk_size(&mut text, chunk.len());
            text.extend_from_slice(chunk);
            text.extend_from_slice(CHUNK_END);
            rest = others;
        }
        let count = random.below(3);
        let trailers: Fields =
            random.fields(count).iter().map(|(name, value)| (&name[..], &value[..])).collect();
        write_trailers(&mut text, &trailers);
        if round % 2 == 1 {
            random.mutate(&mut text);
        }
        let pieces = decode(&text, &random.ends(text.len()));
        let shown = String::from_utf8_lossy(&text);
        if round % 2 == 0 {
            assert_eq!(pieces, Ok(Some((payload, trailers, text.len()))), "{shown}");
        }
        assert_eq!(decode(&text, &[text.len()]), decode(&text, &random.ends(text.len())), "{shown}");
    }
}

/// What [`uri::normalize`] does, said simply: decode, split at the slashes, walk.
fn model_of_path(raw: &[u8], slashes: uri::MergeSlashes) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'?' | b'#' => break,
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) || digits == "00" {
                    return None;
                }
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            _ => decoded.push(byte),
        }
    }
    let decoded = decoded.strip_prefix(b"/").unwrap_or(&decoded);
    let segments: Vec<&[u8]> = decoded.split(|&byte| byte == b'/').collect();
    let mut walked: Vec<&[u8]> = Vec::new();
    for (index, &segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match segment {
            b"." => {}
            b".." => {
                walked.pop()?;
            }
            b"" if slashes == uri::MergeSlashes::Merged && !is_last => {}
            _ => walked.push(segment),
        }
        if is_last && matches!(segment, b"." | b"..") {
            walked.push(b"");
        }
    }
    Some([b"/", &walked.join(&b'/')[..]].concat())
}

#[test]
fn paths_are_what_a_simple_model_says() {
    let mut random = Random::new();
    for _ in 0..10 * ROUNDS {
        let mut raw = b"/".to_vec();
        for _ in 0..random.below(12) {
            let part = random.pick::<[u8]>(&[
                b"/", b"/", b".", b"..", b"/../", b"a", b"b.c", b"%2e", b"%2F", b"%25", b"%3f", b"%41", b"%",
                b"?", b"#", b"%00",
            ]);
            raw.extend_from_slice(part);
        }
        for slashes in [uri::MergeSlashes::Merged, uri::MergeSlashes::Kept] {
            let shown = String::from_utf8_lossy(&raw);
            let ours = uri::normalize(&raw, slashes).ok().map(|uri| uri.path.into_owned());
            assert_eq!(ours, model_of_path(&raw, slashes), "{shown} {slashes:?}");
        }
    }
}

#[test]
fn escapes_and_dates_come_back() {
    let mut random = Random::new();
    for _ in 0..ROUNDS {
        let len = random.below(30);
        let text: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        for kind in [EscapeKind::Uri, EscapeKind::Args, EscapeKind::UriComponent, EscapeKind::Html] {
            assert_eq!(unescape(&escape_uri(&text, kind)), text, "{kind:?}");
        }
        let seconds = random.below(400_000_000_000) as i64 - 62_000_000_000;
        if seconds < 253_402_300_800 {
            assert_eq!(date::parse(date::format(seconds).as_bytes()), Some(seconds));
        }
    }
}

#[test]
fn fields_behave_as_a_plain_list() {
    let mut random = Random::new();
    for _ in 0..ROUNDS / 10 {
        let (mut fields, mut model) = (Fields::new(), Pairs::new());
        for _ in 0..30 {
            let name = random.pick::<str>(&["A", "a", "b-c", "B-C", "b_c", "Long-Name"]);
            let value = random.text(b"xyz", 12);
            let is_named = |pair: &(Vec<u8>, Vec<u8>)| pair.0.eq_ignore_ascii_case(name.as_bytes());
            match random.below(4) {
                0 => {
                    let before = model.len();
                    model.retain(|pair| !is_named(pair));
                    assert_eq!(fields.remove(name), before - model.len());
                }
                1 => {
                    fields.set(name, &value);
                    match model.iter().position(is_named) {
                        None => model.push((name.as_bytes().to_vec(), value)),
                        Some(first) => {
                            model[first].1 = value;
                            let mut index = 0;
                            model.retain(|pair| {
                                index += 1;
                                index <= first + 1 || !is_named(pair)
                            });
                        }
                    }
                }
                _ => {
                    fields.push(name.as_bytes(), &value);
                    model.push((name.as_bytes().to_vec(), value));
                }
            }
            assert_eq!(pairs(&fields), model);
            let found: Vec<&[u8]> =
                model.iter().filter(|pair| is_named(pair)).map(|pair| &pair.1[..]).collect();
            assert_eq!(fields.all(name).collect::<Vec<_>>(), found);
        }
    }
}
