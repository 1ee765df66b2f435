//! Ten thousand requests at random against a reference of which bytes should come out.
//!
//! Files change, entries are evicted, and clients ask for the whole, for ranges of all kinds, and on condition. Every answer names
//! its version by its tag, and has to be what that version's bytes make of the request. A failure prints the seed, and
//! `LARDER_TEST_SEED` takes another one.

use std::{
    collections::HashMap,
    env,
    ops::Range,
    sync::{Arc, Mutex},
};

use crate::support::{
    Client, Origin, Ranged, Response, Server,
    client::{End, NoAnswer, To},
    http,
};

/// Requests in all.
const CASES: usize = 10_000;
/// Requests that run into a slice of another version, at most: those end the connection.
const TORN_MOST: usize = CASES / 20;

/// xorshift64*: enough for test input.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).expect("31 bits") % limit
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// How a path is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Whole files that stay fresh.
    Plain,
    /// Whole files that have expired when they come: each use is validated.
    Expired,
    /// In slices.
    Slices,
    /// By the rules of RFC 9111, in parts.
    Parts,
}

const WAYS: [(&str, Way); 4] = [
    ("/plain/", Way::Plain),
    ("/expired/", Way::Expired),
    ("/slices/", Way::Slices),
    ("/parts/", Way::Parts),
];

fn way_of(path: &str) -> Way {
    WAYS.iter().find(|(start, _)| path.starts_with(start)).expect("each path has its way").1
}

/// All versions of all files so far, by path; the last one counts.
type Files = Arc<Mutex<HashMap<String, Vec<Ranged>>>>;

/// One request.
#[derive(Debug)]
struct Ask {
    path: String,
    to: To,
    range: Option<String>,
    if_range: Option<String>,
}

#[test]
fn ten_thousand_requests_get_the_right_bytes() {
    let given = env::var("LARDER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or(0x4c61_7264_6572);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let files = Files::default();
    let served = Arc::clone(&files);
    let origin = Origin::answering(move |asked| {
        let files = served.lock().unwrap();
        let file = files[asked.target()].last().expect("a path has a version");
        let reply = file.reply(asked);
        if way_of(asked.target()) == Way::Expired { reply.field("X-Accel-Expires", "@1") } else { reply }
    });
    let server = Server::start(&conf().origin(&origin));
    let mut clients = [server.client(), server.client()];
    let (mut torn, mut hits) = (0, 0);
    for number in 0..CASES / 2 {
        let path = change_something(&mut dice, &files);
        if way_of(&path) != Way::Slices && dice.one_in(30) {
            purge(&mut clients[0], &files, &path);
        }
        // Two clients at once: the second one often reads what the first one fetches.
        let asks = [ask(&mut dice, &files, &path), ask(&mut dice, &files, &path)];
        for (client, ask) in clients.iter_mut().zip(&asks) {
            client.send(ask.text());
        }
        for (client, ask) in clients.iter_mut().zip(&asks) {
            let answer = client.try_response(ask.to);
            hits += usize::from(answer.as_ref().is_ok_and(|answer| answer.cache() == "HIT"));
            match judge(&files.lock().unwrap()[&path], ask, answer) {
                Verdict::Right => {}
                Verdict::Torn => {
                    torn += 1;
                    *client = server.client();
                }
                Verdict::Wrong(what) => panic!("seed {seed}, round {number}: {ask:?}: {what}"),
            }
        }
    }
    println!("{hits} hits, {torn} torn, {} requests to the origin", origin.request_count());
    assert!(torn <= TORN_MOST, "{torn} answers were torn");
    assert!(hits > CASES / 10, "{hits} hits, so the cache was hardly used");
    assert!(origin.request_count() > CASES / 10, "the origin was hardly asked");
}

/// Purges a path: from then on only its last version may come.
fn purge(client: &mut Client, files: &Files, path: &str) {
    let status = client.send(format!("PURGE {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).response().status();
    assert!(matches!(status, 204 | 404), "{status}");
    let mut files = files.lock().unwrap();
    let versions = files.get_mut(path).expect("a path has a version");
    versions.drain(..versions.len() - 1);
}

fn conf() -> crate::support::Conf {
    http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m max_size=1m;
        map $request_method $is_purge { PURGE 1; default 0; }
        server {
            listen 127.0.0.1:%PORT%;
            keepalive_requests 100000;
            proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache zone; proxy_cache_lock on;
            add_header X-Cache $upstream_cache_status always;
            proxy_cache_purge $is_purge;
            location /plain/ { proxy_pass http://%ORIGIN%; }
            location /expired/ { proxy_cache_revalidate on; proxy_pass http://%ORIGIN%; }
            location /parts/ { proxy_cache_rfc on; proxy_pass http://%ORIGIN%; }
            location /slices/ {
                slice 7000; proxy_set_header Range $slice_range; proxy_cache_key $uri$slice_range;
                proxy_pass http://%ORIGIN%;
            }
        }"#,
    )
}

/// Chooses a path, and may make it a new one or give it another version.
fn change_something(dice: &mut Dice, files: &Files) -> String {
    let (start, way) = WAYS[dice.below(WAYS.len())];
    let path = format!("{start}{}", dice.below(12));
    let mut files = files.lock().unwrap();
    let versions = files.entry(path.clone()).or_default();
    let changes = match way {
        Way::Plain | Way::Parts => dice.one_in(20),
        Way::Expired => dice.one_in(4),
        Way::Slices => dice.one_in(200),
    };
    if versions.is_empty() || changes {
        let length = match dice.below(6) {
            0 => dice.below(20) + 1,
            1..4 => dice.below(20_000) + 1,
            4 => dice.below(70_000) + 1,
            _ => dice.below(200_000) + 1,
        };
        versions.push(Ranged::new(length, &format!("{}-{}", dice.below(1 << 30), versions.len())));
    }
    path
}

fn ask(dice: &mut Dice, files: &Files, path: &str) -> Ask {
    let files = files.lock().unwrap();
    let versions = &files[path];
    let length = versions.last().expect("a path has a version").body.len();
    let range = (!dice.one_in(4)).then(|| range(dice, length));
    let if_range = match dice.below(12) {
        0 => Some("\"another\"".to_owned()),
        1 | 2 => Some(versions[dice.below(versions.len())].etag.clone()),
        _ => None,
    };
    let to = if dice.one_in(15) { To::Head } else { To::Get };
    Ask { path: path.to_owned(), to, range, if_range }
}

fn range(dice: &mut Dice, length: usize) -> String {
    let place = |dice: &mut Dice| dice.below(length + length / 8 + 2);
    let one = |dice: &mut Dice| match dice.below(5) {
        0 => format!("{}-", place(dice)),
        1 => format!("-{}", place(dice)),
        2 => {
            let start = place(dice);
            format!("{start}-{}", start + dice.below(100))
        }
        _ => format!("{}-{}", place(dice), place(dice)),
    };
    match dice.below(12) {
        0 => "bytes=oops".to_owned(),
        1 => "lines=1-2".to_owned(),
        2..4 => {
            let count = dice.below(4) + 2;
            let ranges: Vec<String> = (0..count).map(|_| one(dice)).collect();
            format!("bytes={}", ranges.join(","))
        }
        _ => format!("bytes={}", one(dice)),
    }
}

impl Ask {
    fn text(&self) -> String {
        let method = if self.to == To::Head { "HEAD" } else { "GET" };
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: localhost\r\n", self.path);
        for (name, value) in [("Range", &self.range), ("If-Range", &self.if_range)] {
            if let Some(value) = value {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text + "\r\n"
    }
}

/// What an answer is worth.
enum Verdict {
    Right,
    /// The connection ended before the answer did, as it must where slices or parts are of different versions.
    Torn,
    Wrong(String),
}

/// What is to come out of one version.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Parts(Vec<Range<usize>>),
    Nothing,
}

fn judge(versions: &[Ranged], ask: &Ask, answer: Result<Response, NoAnswer>) -> Verdict {
    let may_tear = matches!(way_of(&ask.path), Way::Slices | Way::Parts) && versions.len() > 1;
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) if may_tear => return Verdict::Torn,
        Err(none) => return Verdict::Wrong(format!("no answer: {none:?}")),
    };
    let candidates = match way_of(&ask.path) {
        // What has expired is validated, so it is the newest.
        Way::Expired => &versions[versions.len() - 1..],
        Way::Plain | Way::Slices | Way::Parts => versions,
    };
    let fitting = candidates.iter().filter(|version| match answer.field("ETag") {
        Some(tag) => version.etag == tag,
        None => answer.status() == 416,
    });
    let mut complaint = format!("no version has that tag: {answer}");
    for version in fitting {
        match compare(version, ask, &answer) {
            Ok(()) if answer.end == End::Framed => return Verdict::Right,
            Ok(()) if may_tear => return Verdict::Torn,
            Ok(()) => complaint = format!("torn: {answer}"),
            Err(what) => complaint = what,
        }
    }
    Verdict::Wrong(complaint)
}

/// Compares an answer with what it is to be, if it is that version's.
fn compare(version: &Ranged, ask: &Ask, answer: &Response) -> Result<(), String> {
    let length = version.body.len();
    let wanted = reference(ask, version);
    let is = |status: u16, content_range: Option<&str>| {
        (answer.status(), answer.field("Content-Range")) == (status, content_range)
    };
    let fits = match &wanted {
        Wanted::Nothing => is(416, Some(&format!("bytes */{length}"))),
        Wanted::Whole => is(200, None) && holds(ask, answer, &version.body),
        Wanted::Parts(parts) => match &parts[..] {
            [part] => {
                is(206, Some(&format!("bytes {}-{}/{length}", part.start, part.end - 1)))
                    && holds(ask, answer, &version.body[part.clone()])
            }
            // Several parts of what is being fetched may be answered with the whole.
            _ if answer.status() == 200 => is(200, None) && holds(ask, answer, &version.body),
            _ => is(206, None) && holds_parts(ask, answer, &version.body, parts),
        },
    };
    if fits { Ok(()) } else { Err(format!("wanted {wanted:?} of {length} bytes, got {answer}")) }
}

/// Whether the body is this one: all of it, or its beginning where the connection ended early; none after HEAD.
fn holds(ask: &Ask, answer: &Response, body: &[u8]) -> bool {
    let length = body.len().to_string();
    let same = match (ask.to, answer.end) {
        (To::Head, _) => answer.body.is_empty(),
        (To::Get, End::Framed) => answer.body == body,
        (To::Get, _) => body.starts_with(&answer.body),
    };
    same && answer.field("Content-Length") == Some(&length)
}

fn holds_parts(ask: &Ask, answer: &Response, body: &[u8], parts: &[Range<usize>]) -> bool {
    if ask.to == To::Head {
        return answer.body.is_empty();
    }
    let content_type = answer.field("Content-Type").unwrap_or_default();
    let Some(boundary) = content_type.strip_prefix("multipart/byteranges; boundary=") else { return false };
    let mut wanted = Vec::new();
    for part in parts {
        let (first, last) = (part.start, part.end - 1);
        let head = format!("\r\n--{boundary}\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n", body.len());
        wanted.extend_from_slice(head.as_bytes());
        wanted.extend_from_slice(&body[part.clone()]);
    }
    wanted.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    answer.body == wanted
}

/// Works out which bytes should come.
fn reference(ask: &Ask, version: &Ranged) -> Wanted {
    // RFC 9110, 14.2: only a GET has ranges; nginx gives a HEAD what it would give a GET.
    if ask.to == To::Head && way_of(&ask.path) == Way::Parts {
        return Wanted::Whole;
    }
    let length = version.body.len();
    let set = ask.range.as_ref().and_then(|range| range.strip_prefix("bytes="));
    let holds = ask.if_range.as_ref().is_none_or(|tag| *tag == version.etag);
    let Some(set) = set.filter(|_| holds) else { return Wanted::Whole };
    let mut parts = Vec::new();
    for one in set.split(',') {
        let Some((first, last)) = one.split_once('-') else { return Wanted::Nothing };
        let number = |text: &str| text.parse::<usize>().expect("the dice made a number");
        let part = match (first, last) {
            ("", suffix) => length.saturating_sub(number(suffix))..length,
            (first, "") => number(first)..length,
            (first, last) => number(first)..(number(last) + 1).min(length),
        };
        if !part.is_empty() {
            parts.push(part);
        }
    }
    match parts.iter().map(ExactSizeIterator::len).sum::<usize>() {
        0 => Wanted::Nothing,
        sum if sum > length => Wanted::Whole,
        _ => Wanted::Parts(parts),
    }
}
