//! Entries that are no longer fresh: expired, revalidated, served stale, updated in the background.
//!
//! `X-Accel-Expires: @1` stores an answer that expired in 1970, so that no test waits for a time.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn entries_that_are_not_fresh() {
    compare(&group());
}

/// Each location allows staleness in another case.
pub fn group() -> Group {
    let conf = http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=1h;
        server {
            listen 127.0.0.1:%PORT%;
            proxy_cache zone; proxy_cache_key $uri; proxy_cache_valid 200 1h;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://%ORIGIN%; }
            location /revalidate/ { proxy_cache_revalidate on; proxy_pass http://%ORIGIN%; }
            location /error/ { proxy_cache_use_stale error; proxy_pass http://%ORIGIN%; }
            location /error/silence { proxy_cache_use_stale error; proxy_read_timeout 2s; proxy_pass http://%ORIGIN%; }
            location /timeout/ { proxy_cache_use_stale timeout; proxy_read_timeout 2s; proxy_pass http://%ORIGIN%; }
            location /invalid/ { proxy_cache_use_stale invalid_header; proxy_pass http://%ORIGIN%; }
            location /500/ { proxy_cache_use_stale http_500 http_502 http_503 http_504; proxy_pass http://%ORIGIN%; }
            location /403/ { proxy_cache_use_stale http_403 http_404 http_429; proxy_pass http://%ORIGIN%; }
            location /updating/ { proxy_cache_use_stale updating; proxy_cache_background_update on; proxy_pass http://%ORIGIN%; }
            location /background/ { proxy_cache_background_update on; proxy_pass http://%ORIGIN%; }
            location /both/ {
                proxy_cache_use_stale error timeout updating http_500; proxy_cache_background_update on;
                proxy_cache_revalidate on; proxy_pass http://%ORIGIN%;
            }
            location /locked/ { proxy_cache_lock on; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("stale entries", conf).cases(expired()).cases(revalidated()).cases(stale()).cases(background())
}

/// An answer that is stored, but expired long ago.
fn old() -> Reply {
    answer(200).field("X-Accel-Expires", "@1").field("X-Age", "old").body("old")
}

fn new() -> Reply {
    answer(200).field("X-Age", "new").body("new")
}

/// Stores an expired answer, asks again with that second reply, and once more.
fn then(name: &'static str, path: &str, second: Reply) -> Case {
    case(name).origin(old()).origin(second).origin(new()).get(path).get(path).get(path)
}

fn expired() -> Vec<Case> {
    vec![
        then("an expired entry is replaced", "/e1", new()),
        then("an error passes, the entry stays expired", "/e2", answer(500).body("broken")),
        then("no answer", "/e3", Reply::nothing()),
        then("expired again", "/e4", old()),
        then("with the lock", "/locked/a", new()),
        then(
            "replaced by what is not to be stored",
            "/e5",
            answer(200).field("Cache-Control", "no-store").body("secret"),
        ),
        case("HEAD of an expired entry").origin(old()).origin(new()).get("/e6").head("/e6").get("/e6"),
        case("a range of an expired entry")
            .origin(old())
            .origin(new())
            .get("/e7")
            .get_with("/e7", &["Range: bytes=0-1"])
            .get("/e7"),
        case("a condition on an expired entry")
            .origin(old())
            .origin(new())
            .get("/e8")
            .get_with("/e8", &["If-None-Match: \"x\""])
            .get("/e8"),
    ]
}

fn revalidated() -> Vec<Case> {
    const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    let stored = |name, path: &str, first: Reply, second: Reply| {
        case(name).origin(first).origin(second).origin(new()).get(path).get(path).get(path)
    };
    let unchanged = || answer(304).field("X-Age", "from the 304");
    vec![
        stored("by ETag", "/revalidate/a", old().field("ETag", "\"x\""), unchanged()),
        stored("by Last-Modified", "/revalidate/b", old().field("Last-Modified", MODIFIED), unchanged()),
        stored(
            "by both",
            "/revalidate/c",
            old().field("ETag", "W/\"x\"").field("Last-Modified", MODIFIED),
            unchanged(),
        ),
        stored("without validators", "/revalidate/d", old(), new()),
        stored("changed meanwhile", "/revalidate/e", old().field("ETag", "\"x\""), new()),
        stored(
            "304 with a new time",
            "/revalidate/f",
            old().field("ETag", "\"x\""),
            unchanged().field("Cache-Control", "max-age=100"),
        ),
        stored(
            "304 with no time",
            "/revalidate/g",
            old().field("ETag", "\"x\""),
            unchanged().field("X-Accel-Expires", "@1"),
        ),
        stored(
            "an error instead of 304",
            "/revalidate/h",
            old().field("ETag", "\"x\""),
            answer(500).body("broken"),
        ),
        case("the client's own condition holds after revalidation")
            .origin(old().field("ETag", "\"x\""))
            .origin(unchanged())
            .get("/revalidate/i")
            .get_with("/revalidate/i", &["If-None-Match: \"x\""]),
        case("the client's own condition is not the one that is passed")
            .origin(old().field("ETag", "\"x\""))
            .origin(unchanged())
            .get("/revalidate/j")
            .get_with("/revalidate/j", &["If-None-Match: \"other\""]),
        case("HEAD revalidates")
            .origin(old().field("ETag", "\"x\""))
            .origin(unchanged())
            .get("/revalidate/k")
            .head("/revalidate/k"),
        stored("not revalidated where not configured", "/plain", old().field("ETag", "\"x\""), new()),
    ]
}

fn stale() -> Vec<Case> {
    let fails = |name, path: &str, failure: Reply| then(name, path, failure);
    vec![
        fails("closed without an answer", "/error/a", Reply::nothing()),
        fails("an error that is not named", "/error/b", answer(500).body("broken")),
        fails("silence", "/timeout/a", Reply::silence()),
        fails("silence is no error", "/error/silence", Reply::silence()),
        fails("nonsense", "/invalid/a", answer(200).line("nonsense").body("")),
        fails("500", "/500/a", answer(500).body("broken")),
        fails("502", "/500/b", answer(502).body("broken")),
        fails("503", "/500/c", answer(503).body("broken")),
        fails("504", "/500/d", answer(504).body("broken")),
        fails("500 hides what the program itself could not get", "/500/e", Reply::nothing()),
        fails("403", "/403/a", answer(403).body("forbidden")),
        fails("404", "/403/b", answer(404).body("not here")),
        fails("429", "/403/c", answer(429).body("too many")),
        case("stale-if-error")
            .origin(
                answer(200)
                    .field("Cache-Control", "stale-if-error=9000000000")
                    .field("X-Accel-Expires", "@1")
                    .body("old"),
            )
            .origin(answer(500).body("broken"))
            .origin(Reply::nothing())
            .get("/sie")
            .get("/sie")
            .get("/sie"),
        case("stale-if-error that is over")
            .origin(
                answer(200)
                    .field("Cache-Control", "stale-if-error=10")
                    .field("X-Accel-Expires", "@1")
                    .body("old"),
            )
            .origin(answer(500).body("broken"))
            .get("/sie-over")
            .get("/sie-over"),
        case("nothing stored, nothing stale").origin(Reply::nothing()).get("/error/none"),
        case("HEAD of a stale entry").origin(old()).origin(Reply::nothing()).get("/error/d").head("/error/d"),
    ]
}

fn background() -> Vec<Case> {
    let updated = |name, path: &'static str, first: Reply| {
        case(name).origin(first).origin(new()).get(path).get(path).until(path, "X-Cache: HIT")
    };
    vec![
        updated("stale at once, then updated", "/updating/a", old()),
        case("in the background only where stale is allowed")
            .origin(old())
            .origin(new())
            .get("/background/a")
            .get("/background/a")
            .get("/background/a"),
        updated(
            "stale-while-revalidate allows it",
            "/background/b",
            answer(200)
                .field("Cache-Control", "stale-while-revalidate=9000000000")
                .field("X-Accel-Expires", "@1")
                .body("old"),
        ),
        case("stale-while-revalidate that is over")
            .origin(
                answer(200)
                    .field("Cache-Control", "stale-while-revalidate=10")
                    .field("X-Accel-Expires", "@1")
                    .body("old"),
            )
            .origin(new())
            .get("/background/c")
            .get("/background/c"),
        case("revalidated in the background")
            .origin(old().field("ETag", "\"x\""))
            .origin(answer(304).field("Cache-Control", "max-age=100"))
            .get("/both/a")
            .get("/both/a")
            .until("/both/a", "X-Cache: HIT"),
        updated("all together", "/both/b", old()),
    ]
}
