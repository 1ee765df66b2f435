//! Item 18: ranges go through on a miss, what comes of them is kept in parts, and only what is missing is asked for.

use std::sync::{Arc, Mutex};

use crate::caching::entries_below;
use crate::support::{
    Client, Gate, Origin, Ranged, Response, Server, answer, client::To, location, origin::Asked, wait_until,
};

/// A server in RFC mode, and an origin with one file that may be replaced.
struct World {
    server: Server,
    origin: Origin,
    file: Arc<Mutex<Ranged>>,
}

impl World {
    fn start() -> Self {
        let file = Arc::new(Mutex::new(Ranged::new(1000, "a")));
        let served = Arc::clone(&file);
        let origin = Origin::answering(move |asked| served.lock().unwrap().reply(asked));
        let server = Server::start(&location("proxy_cache zone; proxy_cache_rfc on;", &origin));
        Self { server, origin, file }
    }

    fn replace(&self, file: Ranged) {
        *self.file.lock().unwrap() = file;
    }

    fn body(&self) -> Vec<u8> {
        self.file.lock().unwrap().body.clone()
    }

    fn ask(&self, lines: &str) -> Response {
        self.send(lines).response()
    }

    fn send(&self, lines: &str) -> Client {
        let mut client = self.server.client();
        client.send(format!("GET /a HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
        client
    }

    /// Asks for a range and checks the bytes that come.
    fn range(&self, first: usize, last: usize) -> Response {
        let response = self.ask(&format!("Range: bytes={first}-{last}\r\n"));
        let (body, length) = (self.body(), self.body().len());
        assert_eq!(response.status(), 206, "{response}");
        assert_eq!(
            response.field("Content-Range"),
            Some(&*format!("bytes {first}-{last}/{length}")),
            "{response}"
        );
        assert!(response.body == body[first..=last], "{first}-{last}: {response}");
        response
    }

    /// The ranges that the origin was asked for since the last time.
    fn asked(&self) -> Vec<String> {
        let ranges = self.origin.requests().iter().map(range_of).collect();
        let served = Arc::clone(&self.file);
        self.origin.restart([]);
        self.origin.answer_by(move |asked| served.lock().unwrap().reply(asked));
        ranges
    }
}

fn range_of(asked: &Asked) -> String {
    asked.field("Range").map_or("whole".to_owned(), |range| range.trim_start_matches("bytes=").to_owned())
}

#[test]
fn a_change_of_the_file_invalidates_its_parts() {
    let world = World::start();
    wait_until("a part is stored", || {
        world.range(0, 9);
        world.asked().is_empty()
    });
    let mut client = world.server.client();
    client.send("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").response();
    world.asked();
    world.range(0, 9);
    assert_eq!(world.asked(), ["0-9"]);
}

#[test]
fn a_range_goes_through_and_its_part_is_kept() {
    let world = World::start();
    assert_eq!(world.range(100, 199).cache(), "MISS");
    assert_eq!(world.range(100, 199).cache(), "HIT");
    assert_eq!(world.range(150, 160).cache(), "HIT");
    assert_eq!(world.asked(), ["100-199"]);
}

#[test]
fn parts_are_joined_and_only_what_is_missing_is_asked_for() {
    let world = World::start();
    world.range(100, 199);
    world.range(300, 399);
    assert_eq!(world.asked(), ["100-199", "300-399"]);
    world.range(150, 349);
    assert_eq!(world.asked(), ["200-299"]);
    world.range(50, 450);
    assert_eq!(world.asked(), ["50-99", "400-450"]);
    world.range(50, 450);
    assert_eq!(world.asked(), Vec::<String>::new());
}

#[test]
fn what_is_missing_behind_a_stored_beginning_makes_it_a_partial_hit() {
    let world = World::start();
    world.range(0, 99);
    assert_eq!(world.range(0, 99).cache(), "HIT");
    assert_eq!(world.range(50, 149).cache(), "MISS");
    assert_eq!(world.range(50, 149).cache(), "HIT");
    assert_eq!(world.asked(), ["0-99", "100-149"]);
}

#[test]
fn an_origin_may_give_less_of_a_gap_than_it_was_asked_for() {
    let world = World::start();
    world.range(0, 9);
    world.asked();
    world.replace(Ranged { part_bytes: 300, ..Ranged::new(1000, "a") });
    let whole = world.ask("");
    assert_eq!((whole.status(), whole.body), (200, world.body()));
    assert_eq!(world.asked(), ["10-999", "310-999", "610-999", "910-999"]);
    assert_eq!(world.ask("").cache(), "HIT");
}

#[test]
fn the_whole_is_completed_from_its_parts() {
    let world = World::start();
    world.range(0, 9);
    world.range(500, 999);
    world.asked();
    let whole = world.ask("");
    assert_eq!((whole.status(), whole.field("Content-Length")), (200, Some("1000")));
    assert_eq!(whole.field("Content-Range"), None);
    assert_eq!(whole.body, world.body());
    assert_eq!(world.asked(), ["10-499"]);
    for lines in ["", "Range: bytes=0-1,5-6\r\n", "Range: bytes=-3\r\n", "If-None-Match: \"a\"\r\n"] {
        assert_eq!(world.ask(lines).cache(), "HIT", "{lines}");
    }
    assert_eq!(world.asked(), Vec::<String>::new());
    let whole = world.ask("Range: bytes=0-1,5-6\r\n");
    assert_eq!(whole.status(), 206, "what is whole is a stored answer like any other");
    assert!(whole.field("Content-Type").unwrap().starts_with("multipart/"), "{whole}");
}

#[test]
fn who_reads_parts_goes_on_with_the_whole_that_is_made_of_them() {
    const LEN: usize = 8 << 20;
    let world = World::start();
    world.replace(Ranged::new(LEN, "a"));
    world.range(0, LEN / 2 - 1);
    world.range(LEN - 1000, LEN - 1);
    world.asked();
    // It has begun, and waits for a client that does not read.
    let mut slow = Client::connect_narrow(world.server.address(), 4096);
    slow.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    world.range(LEN / 2, LEN - 1001);
    wait_until("the parts have made way for the whole", || {
        entries_below(&world.server.dir().join("cache")) == 1
    });
    let whole = slow.response();
    assert!(whole.status() == 200 && whole.body == world.body(), "{} bytes", whole.body.len());
    assert_eq!(world.asked(), [format!("{}-{}", LEN / 2, LEN - 1001)]);
}

#[test]
fn suffixes_and_ranges_without_an_end_use_the_parts() {
    let world = World::start();
    let tail = world.ask("Range: bytes=-100\r\n");
    assert_eq!((tail.status(), tail.field("Content-Range")), (206, Some("bytes 900-999/1000")));
    assert_eq!(world.asked(), ["-100"]);
    let tail = world.ask("Range: bytes=890-\r\n");
    assert_eq!(tail.body, world.body()[890..]);
    assert_eq!(world.ask("Range: bytes=-110\r\n").cache(), "HIT");
    assert_eq!(world.asked(), ["890-899"]);
    let beyond = world.ask("Range: bytes=1000-\r\n");
    assert_eq!((beyond.status(), beyond.field("Content-Range")), (416, Some("bytes */1000")));
    assert_eq!(world.asked(), Vec::<String>::new(), "the length is known");
}

#[test]
fn a_changed_file_is_noticed_before_the_head() {
    let world = World::start();
    world.range(0, 99);
    world.range(200, 299);
    world.replace(Ranged::new(1200, "b"));
    // The first bytes are missing: they come with another tag, and no old part is used any more.
    world.range(100, 250);
    assert_eq!(world.asked(), ["0-99", "200-299", "100-199", "100-250"]);
    assert_eq!(world.range(120, 130).cache(), "HIT");
    assert_eq!(world.range(200, 299).field("ETag"), Some("\"b\""));
    assert_eq!(world.asked(), ["251-299"]);
}

#[test]
fn a_change_in_the_middle_ends_the_connection() {
    let world = World::start();
    world.range(0, 99);
    let old = world.body();
    world.replace(Ranged::new(1000, "b"));
    let mut client = world.send("Range: bytes=50-150\r\n");
    let (bytes, _) = client.rest();
    assert!(
        bytes.ends_with(&old[50..100]),
        "what is fresh may be sent, and nothing of another whole behind it"
    );
    world.server.wait_for_log("etag mismatch in slice response");
    wait_until("the old part is given up", || {
        let answer = world.send("Range: bytes=50-150\r\n").try_response(To::Get);
        answer.is_ok_and(|answer| answer.body == world.body()[50..151])
    });
}

#[test]
fn parts_that_have_expired_are_validated_by_a_part() {
    let world = World::start();
    world.replace(Ranged { cache_control: "max-age=0", ..Ranged::new(1000, "a") });
    world.range(0, 99);
    world.range(0, 99);
    assert_eq!(world.asked(), ["0-99", "0-99"]);
    world.replace(Ranged { cache_control: "max-age=0", ..Ranged::new(900, "b") });
    assert_eq!(world.range(0, 49).field("ETag"), Some("\"b\""));
}

#[test]
fn if_range_decides_between_the_part_and_the_whole() {
    let world = World::start();
    let part = world.ask("Range: bytes=0-9\r\nIf-Range: \"a\"\r\n");
    assert_eq!((part.status(), part.body.len()), (206, 10));
    assert_eq!(world.ask("Range: bytes=0-9\r\nIf-Range: \"a\"\r\n").cache(), "HIT");
    let whole = world.ask("Range: bytes=0-9\r\nIf-Range: \"b\"\r\n");
    assert_eq!((whole.status(), whole.body), (200, world.body()));
    assert_eq!(world.asked(), ["0-9", "10-999"]);
}

#[test]
fn a_whole_answer_to_a_range_is_stored_whole() {
    let origin = Origin::always(
        answer(200).field("ETag", "\"a\"").field("Cache-Control", "max-age=60").body("abcdef"),
    );
    let server = Server::start(&location("proxy_cache zone; proxy_cache_rfc on;", &origin));
    for status in ["MISS", "HIT"] {
        let mut client = server.client();
        client.send("GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=1-2\r\n\r\n");
        let response = client.response();
        assert_eq!((response.cache(), response.body.is_empty()), (status, false));
    }
    assert_eq!(server.get("/a").text(), "abcdef");
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn parts_without_a_strong_tag_are_passed_on() {
    for etag in ["W/\"a\"", ""] {
        let part = || {
            let part =
                answer(206).field("Content-Range", "bytes 0-1/10").field("Cache-Control", "max-age=60");
            if etag.is_empty() { part } else { part.field("ETag", etag) }.body("ab")
        };
        let origin = Origin::always(part());
        let server = Server::start(&location("proxy_cache zone; proxy_cache_rfc on;", &origin));
        for _ in 0..2 {
            let mut client = server.client();
            client.send("GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\n\r\n");
            let response = client.response();
            assert_eq!((response.status(), response.text().as_str(), response.cache()), (206, "ab", "MISS"));
        }
        assert_eq!(origin.request_count(), 2);
    }
}

#[test]
fn who_asks_for_the_same_part_waits_for_it() {
    let gate = Gate::closed();
    let (held, file) = (gate.clone(), Ranged::new(1000, "a"));
    let body = file.body.clone();
    let origin = Origin::answering(move |asked| file.reply(asked).when(&held));
    let server = Server::start(&location("proxy_cache zone; proxy_cache_rfc on;", &origin));
    let ask = || {
        let mut client = server.client();
        client.send("GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-9\r\n\r\n");
        client
    };
    let clients: Vec<Client> = (0..5).map(|_| ask()).collect();
    origin.wait_for_requests(1);
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().body, body[5..10]);
    }
    assert!(origin.request_count() <= 2, "{}", origin.request_count());
}

#[test]
fn slices_are_stored_as_slices() {
    let file = Ranged::new(1000, "a");
    let body = file.body.clone();
    let origin = Origin::answering(move |asked| file.reply(asked));
    let slices = "proxy_cache zone; proxy_cache_rfc on; slice 400;
        proxy_set_header Range $slice_range; proxy_cache_key $uri$slice_range;";
    let server = Server::start(&location(slices, &origin));
    for status in ["MISS", "HIT"] {
        let mut client = server.client();
        client.send("GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=300-900\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status(), response.cache()), (206, status));
        assert_eq!(response.body, body[300..901]);
    }
    assert_eq!(origin.request_count(), 3);
}

#[test]
fn nginxs_rules_keep_no_parts() {
    let origin = Origin::answering(|asked| Ranged::new(1000, "a").reply(asked));
    let server = Server::start(&location("proxy_cache zone;", &origin));
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-9\r\n\r\n");
    assert_eq!(client.response().status(), 206);
    assert_eq!(origin.requests()[0].field("Range"), None);
}
