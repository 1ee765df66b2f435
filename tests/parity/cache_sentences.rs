//! What the documentation of the cache's directives says in passing: places that share a zone, defaults, conditions together, values of
//! `$upstream_cache_status`.

use std::time::Duration;

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn what_is_said_of_the_cache_in_passing() {
    compare(&group());
}

/// Places that share entries by their key `$uri`.
pub fn group() -> Group {
    let conf = http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=1h;
        proxy_cache_path other levels=1:2 keys_zone=other:1m inactive=1h;
        map $arg_zone $named_zone { default zone; other other; none off; }
        upstream nobody { server %CLOSED% down; }
        proxy_cache_valid 200 1h;
        add_header X-Cache $upstream_cache_status always;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_cache zone; proxy_pass http://%ORIGIN%; }
            location /one/ { proxy_cache zone; proxy_cache_key $arg_k; proxy_pass http://%ORIGIN%; }
            location /two/ { proxy_cache zone; proxy_cache_key $arg_k; proxy_pass http://%ORIGIN%; }
            location /named/ { proxy_cache $named_zone; proxy_cache_key $uri; proxy_pass http://%ORIGIN%; }
            location /both/ {
                proxy_cache zone; proxy_cache_key $uri; proxy_cache_bypass $arg_no; proxy_no_cache $arg_no;
                proxy_pass http://%ORIGIN%;
            }
            location /post/ {
                proxy_cache zone; proxy_cache_methods POST; proxy_cache_key $request_method$uri;
                proxy_pass http://%ORIGIN%;
            }
            location /nobody/ {
                proxy_cache zone; proxy_cache_key $arg_k; proxy_cache_use_stale error; proxy_pass http://nobody;
            }
            location /error/ {
                proxy_cache zone; proxy_cache_use_stale error http_500; proxy_pass http://%ORIGIN%;
            }
            location /off/ { proxy_cache zone; proxy_cache_use_stale off; proxy_pass http://%ORIGIN%; }
            location /behind/ {
                proxy_cache zone; proxy_cache_use_stale updating; proxy_cache_background_update on;
                proxy_pass http://%ORIGIN%;
            }
            location /again/ { proxy_cache zone; proxy_cache_revalidate on; proxy_pass http://%ORIGIN%; }
        }
        server {
            listen 127.0.0.1:%PORT:b%;
            proxy_cache zone;
            location / { proxy_pass http://%ORIGIN%; }
            location /off/ { proxy_cache off; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("the cache in passing", conf)
        .cases(places())
        .cases(conditions())
        .cases(stale())
        .cases(statuses())
}

fn old() -> Reply {
    answer(200).field("X-Accel-Expires", "@1").body("old")
}

fn twice(name: &'static str) -> Case {
    case(name).origin(answer(200).body("one")).origin(answer(200).body("two"))
}

fn places() -> Vec<Case> {
    vec![
        twice("two locations share a zone").get("/one/a?k=1").get("/two/b?k=1"),
        twice("two keys in it").get("/one/a?k=2").get("/two/b?k=3"),
        twice("two servers share a zone and its default key").get("/shared").on("b").get("/shared"),
        twice("the default key has the arguments").get("/args?a=1").get("/args?a=2").get("/args?a=1"),
        twice("the default key has no host")
            .send("GET /host HTTP/1.1\r\nHost: one.test\r\n\r\n")
            .send("GET /host HTTP/1.1\r\nHost: two.test\r\n\r\n"),
        twice("a zone that a variable names").get("/named/a").get("/named/a"),
        twice("another zone by a variable")
            .get("/named/b")
            .get("/named/b?zone=other")
            .get("/named/b?zone=other"),
        twice("none by a variable").get("/named/c?zone=none").get("/named/c?zone=none"),
        twice("off ends what is inherited").on("b").get("/off/a").get("/off/a"),
    ]
}

fn conditions() -> Vec<Case> {
    let three = |name| twice(name).origin(answer(200).body("three"));
    vec![
        three("neither taken nor stored").get("/both/a").get("/both/a?no=1").get("/both/a"),
        three("not stored, then stored").get("/both/b?no=1").get("/both/b").get("/both/b"),
        twice("GET is cached where only POST is listed").get("/post/a").get("/post/a"),
        twice("so is HEAD").head("/post/b").head("/post/b"),
    ]
}

fn stale() -> Vec<Case> {
    let over = |name, path: &'static str| {
        let windows = "max-age=1, stale-if-error=1, stale-while-revalidate=1";
        let first = answer(200).field("Cache-Control", windows).field("X-Accel-Expires", "@1").body("old");
        case(name).origin(first).origin(answer(500).body("broken")).get(path).get(path)
    };
    vec![
        case("no server can be selected").origin(old()).get("/one/s?k=nobody").get("/nobody/s?k=nobody"),
        case("no server can be selected, and nothing is stale").get("/nobody/s?k=nothing"),
        over("the directive holds where the answer's own time is over", "/error/a"),
        over("neither holds", "/off/a"),
        case("off: nothing stale").origin(old()).origin(Reply::nothing()).get("/off/b").get("/off/b"),
    ]
}

fn statuses() -> Vec<Case> {
    let unchanged = answer(304).field("Cache-Control", "max-age=100");
    vec![
        twice("MISS and HIT").get("/status/a").get("/status/a"),
        case("EXPIRED").origin(old()).origin(old()).get("/status/b").get("/status/b"),
        twice("BYPASS").get("/both/c?no=1"),
        case("STALE").origin(old()).origin(Reply::nothing()).get("/error/b").get("/error/b"),
        case("REVALIDATED")
            .origin(old().field("ETag", "\"x\""))
            .origin(unchanged)
            .get("/again/a")
            .get("/again/a")
            .get("/again/a"),
        case("UPDATING")
            .origin(old())
            .origin(answer(200).body("new").after(Duration::from_secs(2)))
            .get("/behind/a")
            .get("/behind/a")
            .on("")
            .get("/behind/a")
            .until("/behind/a", "X-Cache: HIT"),
        case("none without a cache").origin(answer(200).body("one")).on("b").get("/off/status"),
    ]
}
