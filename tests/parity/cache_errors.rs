//! Errors of our own and the cache: how long a 502 or 504 counts as an answer (`proxy_cache_valid 502`).

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn errors_that_are_kept() {
    compare(&group());
}

/// Each case asks several times for a path of its own; what the origin is asked tells what was kept.
pub fn group() -> Group {
    let conf = http(
        r#"proxy_cache_path cache keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT%;
            proxy_cache zone; proxy_read_timeout 1500ms; proxy_cache_valid 200 1h;
            add_header X-Cache "$upstream_cache_status|$upstream_status" always;
            location /502/ { proxy_cache_valid 502 1h; proxy_cache_valid 200 1h; proxy_pass http://%ORIGIN%; }
            location /504/ { proxy_cache_valid 504 1h; proxy_pass http://%ORIGIN%; }
            location /any/ { proxy_cache_valid any 1h; proxy_pass http://%ORIGIN%; }
            location /none/ { proxy_pass http://%ORIGIN%; }
            location /zero/ { proxy_cache_valid 502 0; proxy_pass http://%ORIGIN%; }
            location /closed/ { proxy_cache_valid 502 1h; proxy_pass http://%CLOSED%; }
            location /no-cache/ { proxy_cache_valid 502 1h; proxy_no_cache $arg_no; proxy_pass http://%ORIGIN%; }
            location /bypass/ {
                proxy_cache_valid any 1h; proxy_cache_bypass $http_x_bypass; proxy_pass http://%ORIGIN%;
            }
            location /page/ { proxy_cache_valid 502 1h; error_page 502 =200 /instead; proxy_pass http://%ORIGIN%; }
            location /instead { return 200 instead; }
            location /stale/ { proxy_cache_valid any 1h; proxy_cache_use_stale error; proxy_pass http://%ORIGIN%; }
            location /expired/ { proxy_cache_valid 502 1h; proxy_pass http://%ORIGIN%; }
            location /twice/ { proxy_cache_valid 502 1h; proxy_cache_min_uses 2; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("kept errors", conf).cases(cases())
}

fn fails_then_answers(name: &'static str, path: &str, first: Reply) -> Case {
    case(name)
        .origin(first)
        .origin(answer(200).body("good"))
        .origin(answer(200).body("better"))
        .get(path)
        .get(path)
}

fn cases() -> Vec<Case> {
    let expired = || answer(200).field("X-Accel-Expires", "@1").body("old");
    vec![
        fails_then_answers("502", "/502/a", Reply::nothing()),
        fails_then_answers("502 of an invalid answer", "/502/b", answer(200).line("nonsense").body("")),
        fails_then_answers("504 is not 502", "/502/c", Reply::silence()),
        fails_then_answers("502 of the origin is an answer", "/502/d", answer(502).body("broken")),
        fails_then_answers("504", "/504/a", Reply::silence()),
        fails_then_answers("502 is not 504", "/504/b", Reply::nothing()),
        fails_then_answers("any", "/any/a", Reply::nothing()),
        fails_then_answers("not named", "/none/a", Reply::nothing()),
        fails_then_answers("for no time", "/zero/a", Reply::nothing()),
        case("no connection").get("/closed/a").get("/closed/a").head("/closed/a"),
        fails_then_answers("not where nothing is stored", "/no-cache/a?no=1", Reply::nothing())
            .differs("what is not to be stored is not kept either", &["< X-Cache: MISS|200"]),
        fails_then_answers("where something may be stored", "/no-cache/a?no=0", Reply::nothing()),
        fails_then_answers("an error page", "/page/a", Reply::nothing()),
        case("an answer in its place")
            .origin(Reply::nothing())
            .origin(answer(200).body("good"))
            .get("/bypass/a")
            .get_with("/bypass/a", &["X-Bypass: 1"])
            .get("/bypass/a"),
        case("a stale answer is better")
            .origin(expired())
            .origin(Reply::nothing())
            .origin(Reply::nothing())
            .get("/stale/a")
            .get("/stale/a")
            .get("/stale/a"),
        case("in the place of a stale answer")
            .origin(expired())
            .origin(Reply::nothing())
            .origin(answer(200).body("good"))
            .get("/expired/a")
            .get("/expired/a")
            .get("/expired/a"),
        case("only after as many uses")
            .origin(Reply::nothing())
            .origin(Reply::nothing())
            .origin(answer(200).body("good"))
            .get("/twice/a")
            .get("/twice/a")
            .get("/twice/a"),
    ]
}
