//! `Cache-Status` (RFC 9211) and `Age`: what an answer tells of the cache.

use crate::support::{Conf, Gate, Origin, Reply, Server, answer, client::Response, location, wait_until};

/// Asks with fields of one's own.
fn ask(server: &Server, path: &str, fields: &str) -> Response {
    server.client().send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).response()
}

fn all<'a>(answer: &'a Response, name: &'a str) -> impl Iterator<Item = &'a str> {
    answer.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// Every `Cache-Status` line, without the time to live, which depends on the clock.
fn status(answer: &Response) -> Vec<String> {
    let lines = all(answer, "Cache-Status");
    let timeless =
        |line: &str| line.split("; ").filter(|part| !part.starts_with("ttl=")).collect::<Vec<_>>().join("; ");
    lines.map(timeless).collect()
}

fn ttl(answer: &Response) -> Option<i64> {
    let line = answer.field("Cache-Status")?;
    line.split("; ").find_map(|part| part.strip_prefix("ttl="))?.parse().ok()
}

const NAMED: &str = "proxy_cache zone; proxy_cache_status larder; proxy_cache_key $uri;";

#[test]
fn an_answer_tells_what_the_cache_did() {
    let expired = || answer(200).field("X-Accel-Expires", "@1").field("ETag", "\"a\"").body("old");
    let origin = Origin::script([
        answer(200).field("Cache-Status", "origin; hit").body("one"),
        answer(200).field("Set-Cookie", "a=b").body("two"),
        answer(204),
        answer(200).body("bypassed"),
        answer(200).field("Vary", "X-A").body("varied"),
        answer(200).field("Vary", "X-A").body("varied"),
        expired(),
        answer(304).field("ETag", "\"a\""),
        answer(200).body("uncached"),
    ]);
    let more = "proxy_cache_bypass $arg_bypass; proxy_cache_revalidate on; proxy_cache_methods GET HEAD;";
    let conf = location(&format!("{NAMED} {more}"), &origin).with_text(|text| {
        text.replace(
            "location / {",
            "location /off/ { proxy_pass http://%ORIGIN%; proxy_cache_status larder; }\nlocation / {",
        )
    });
    let server = Server::start(&conf);
    let get = |path| status(&server.get(path));
    assert_eq!(get("/a"), ["origin; hit", "larder; fwd=uri-miss; fwd-status=200; stored; key=\"/a\""]);
    let hit = server.get("/a");
    assert_eq!(status(&hit), ["origin; hit", "larder; hit; key=\"/a\""]);
    assert_eq!(get("/cookie"), ["larder; fwd=uri-miss; fwd-status=200; key=\"/cookie\"; detail=set-cookie"]);
    let posted = server.client().send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").response();
    assert_eq!(status(&posted), ["larder; fwd=method; fwd-status=204"]);
    assert_eq!(get("/a?bypass=1"), ["larder; fwd=bypass; fwd-status=200; stored; key=\"/a\""]);
    let varied = |value: &str| status(&ask(&server, "/vary", &format!("X-A: {value}\r\n")));
    assert_eq!(varied("1"), ["larder; fwd=uri-miss; fwd-status=200; stored; key=\"/vary\""]);
    assert_eq!(varied("2"), ["larder; fwd=vary-miss; fwd-status=200; stored; key=\"/vary\""]);
    assert_eq!(varied("2"), ["larder; hit; key=\"/vary\""]);
    get("/old");
    let renewed = server.get("/old");
    assert_eq!(status(&renewed), ["larder; fwd=stale; fwd-status=304; stored; key=\"/old\""]);
    assert_eq!(get("/off/"), ["larder; fwd=bypass; fwd-status=200"]);
    assert_eq!(origin.request_count(), 9);
}

#[test]
fn time_to_live_goes_below_zero_for_stale_answers() {
    let gate = Gate::closed();
    let fresh = answer(200).field("Cache-Control", "max-age=100").body("new");
    let origin = Origin::script([
        fresh.clone(),
        answer(200).field("X-Accel-Expires", "@1").body("old"),
        fresh.when(&gate),
        answer(503),
    ]);
    let directives = "proxy_cache_use_stale updating; proxy_cache_background_update on;";
    let server = Server::start(&location(&format!("{NAMED} {directives}"), &origin));
    server.get("/fresh");
    let left = ttl(&server.get("/fresh")).unwrap();
    assert!((90..=100).contains(&left), "{left}");
    server.get("/a");
    let stale = server.get("/a");
    assert_eq!(status(&stale), ["larder; hit; key=\"/a\""]);
    assert!(ttl(&stale).unwrap() < -1_000_000, "{stale}");
    gate.open();
    wait_until("the update is stored", || server.get("/a").text() == "new");
}

#[test]
fn a_failing_origin_is_told_of_beside_the_stale_answer() {
    let origin = Origin::script([answer(200).field("X-Accel-Expires", "@1").body("old"), answer(503)]);
    let server = Server::start(&location(&format!("{NAMED} proxy_cache_use_stale http_503;"), &origin));
    server.get("/a");
    let stale = server.get("/a");
    assert_eq!(stale.text(), "old");
    assert_eq!(status(&stale), ["larder; fwd=stale; fwd-status=503; key=\"/a\"; detail=stale-on-error"]);
}

#[test]
fn who_waits_for_anothers_answer_is_told_so() {
    const HALF_BYTES: usize = 32 << 10;
    let gate = Gate::closed();
    let half = [b'a'; HALF_BYTES];
    let origin = Origin::script([answer(200).declared(2 * HALF_BYTES).bytes(half).wait(&gate).bytes(half)]);
    let server = Server::start(&location(&format!("{NAMED} proxy_cache_lock on;"), &origin));
    let ask = || {
        let mut client = server.client();
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.head_only();
        (client, status(&head))
    };
    let (first, asked) = ask();
    assert_eq!(asked, ["larder; fwd=uri-miss; fwd-status=200; stored; key=\"/a\""]);
    let (mut second, waited) = ask();
    assert_eq!(waited, ["larder; fwd=uri-miss; collapsed; key=\"/a\""]);
    gate.open();
    assert_eq!(second.bytes(2 * HALF_BYTES).len(), 2 * HALF_BYTES);
    first.leave();
}

#[test]
fn errors_of_our_own_and_names_with_spaces() {
    let origin = Origin::always(answer(200).body("one"));
    let text = "location /gone/ { proxy_pass http://%CLOSED%; proxy_cache zone; proxy_cache_status edge; }";
    let conf =
        location("proxy_cache zone; proxy_cache_status \"Our Cache\"; proxy_cache_key 'a\"b';", &origin)
            .with_text(|conf| conf.replace("location / {", &format!("{text}\nlocation / {{")));
    let mut server = Server::start(&conf);
    server.allow_in_log("connect() failed");
    server.get("/a");
    assert_eq!(status(&server.get("/a")), ["\"Our Cache\"; hit; key=\"a\\\"b\""]);
    let failed = server.get("/gone/");
    assert_eq!((failed.status(), status(&failed)), (502, Vec::new()));
}

/// An origin whose answers were made long ago, and say so.
fn aged() -> Reply {
    answer(200).field("Age", "1000").field("Cache-Control", "max-age=5000").body("aged")
}

fn ages(answer: &Response) -> Vec<u64> {
    all(answer, "Age").map(|line| line.parse().unwrap()).collect()
}

fn with_age(directives: &str, origin: &Origin) -> Conf {
    location(&format!("proxy_cache zone; add_header X-Age $upstream_cache_age; {directives}"), origin)
}

#[test]
fn the_age_of_a_stored_answer_is_told_where_that_is_asked_for() {
    let origin = Origin::script([answer(200).body("new"), aged(), aged().field("Age", "5")]);
    let server = Server::start(&with_age("proxy_cache_age on;", &origin));
    let miss = server.get("/new");
    assert_eq!((ages(&miss), miss.field("X-Age")), (vec![], None));
    let hit = server.get("/new");
    assert!(matches!(ages(&hit)[..], [0..10]), "{hit}");
    assert!(hit.field("X-Age").is_some(), "{hit}");
    for path in ["/aged", "/twice"] {
        for _ in 0..2 {
            let answer = server.get(path);
            assert!(matches!(ages(&answer)[..], [1000..1010]), "{answer}");
        }
    }
}

#[test]
fn without_that_ages_go_through_as_they_came() {
    let origin = Origin::script([aged(), answer(200).body("new")]);
    let server = Server::start(&with_age("", &origin));
    server.get("/aged");
    let hit = server.get("/aged");
    assert_eq!(ages(&hit), [1000]);
    let age: u64 = hit.field("X-Age").unwrap().parse().unwrap();
    assert!((1000..1010).contains(&age), "{hit}");
    server.get("/new");
    assert_eq!(ages(&server.get("/new")), [0; 0]);
}
