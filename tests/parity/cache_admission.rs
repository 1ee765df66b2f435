//! What is stored, and for how long: methods, statuses, fields of the answer, uses, bypass.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn what_is_stored() {
    compare(&group());
}

/// Each location has rules of its own; `X-Cache` tells what the cache did.
pub fn group() -> Group {
    let conf = http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=1h;
        map $upstream_http_content_type $no_cache_type { default 0; text/private 1; }
        map $upstream_status $no_cache_status { default 1; 404 0; }
        server {
            listen 127.0.0.1:%PORT%;
            proxy_cache zone; proxy_cache_key $uri$is_args$args;
            add_header X-Cache $upstream_cache_status always;
            location /valid/ { proxy_cache_valid 200 404 1h; proxy_cache_valid 301 1h; proxy_pass http://%ORIGIN%; }
            location /valid-any/ { proxy_cache_valid any 1h; proxy_pass http://%ORIGIN%; }
            location /valid-plain/ { proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /valid-zero/ { proxy_cache_valid 200 0; proxy_pass http://%ORIGIN%; }
            location /unruled/ { proxy_pass http://%ORIGIN%; }
            location /off/ { proxy_cache off; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /unbuffered/ { proxy_buffering off; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /post/ { proxy_cache_methods POST; proxy_cache_key $request_method$uri; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /head/ { proxy_cache_convert_head off; proxy_cache_key $request_method$uri; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /uses/ { proxy_cache_min_uses 3; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /bypass/ { proxy_cache_bypass $arg_fresh $http_x_fresh; proxy_cache_key $uri; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /no-cache/ { proxy_no_cache $arg_private; proxy_cache_key $uri; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /no-cache-answer/ {
                proxy_no_cache $upstream_http_x_private $no_cache_type; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%;
            }
            location /no-cache-status/ { proxy_no_cache $no_cache_status; proxy_cache_valid any 1h; proxy_pass http://%ORIGIN%; }
            location /key/ { proxy_cache_key "$host|$arg_a"; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /ignore/ {
                proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires;
                proxy_cache_valid 200 1h; proxy_pass http://%ORIGIN%;
            }
            location /ignore-accel/ { proxy_ignore_headers X-Accel-Expires; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("cache admission", conf)
        .cases(statuses())
        .cases(fields())
        .cases(ignored())
        .cases(requests())
        .cases(vary())
}

/// Asks twice: the second answer shows whether the first was stored.
fn twice(name: &'static str, path: &str, first: Reply) -> Case {
    case(name).origin(first).origin(answer(200).body("second")).get(path).get(path)
}

fn statuses() -> Vec<Case> {
    let one = |status| answer(status).body("one");
    vec![
        twice("200 with a rule", "/valid/200", one(200)),
        twice("404 with a rule", "/valid/404", one(404)),
        twice("301 with a rule", "/valid/301", one(301).field("Location", "http://elsewhere.test/")),
        twice("302 without a rule", "/valid/302", one(302)),
        twice("500 without a rule", "/valid/500", one(500)),
        twice("204 with any", "/valid-any/204", answer(204)),
        twice("503 with any", "/valid-any/503", one(503)),
        twice("200 with a rule of no status", "/valid-plain/200", one(200)),
        twice("302 with a rule of no status", "/valid-plain/302", one(302)),
        twice("404 with a rule of no status", "/valid-plain/404", one(404)),
        twice("a rule of no time", "/valid-zero/a", one(200)),
        twice("no rule at all", "/unruled/a", one(200)),
        twice("no cache", "/off/a", one(200)),
        twice("no buffering, no cache", "/unbuffered/a", one(200))
            .differs("what is passed on at once can be stored all the same", &["< X-Cache: HIT"]),
        twice("a body that ends with the connection", "/valid/close", answer(200).until_close("one"))
            .may_differ("an answer that has come whole is sent with its length", &["< X-Cache: HIT"]),
        twice("a body cut short", "/valid/short", answer(200).declared(10).bytes("short").then_close())
            .may_differ("of a torn answer the last bytes may be missing", &["connection: closed"]),
        case("an answer without a head")
            .origin(Reply::raw("HTTP/1.1 20 OK\r\n\r\none"))
            .origin(answer(200).body("second"))
            .request("GET /valid/headless HTTP/1.1", &["Connection: close"], "")
            .on("")
            .get("/valid/headless"),
        twice("206 is not 200", "/valid/206", answer(206).field("Content-Range", "bytes 0-2/5").body("one")),
    ]
}

fn fields() -> Vec<Case> {
    let with =
        |name, path, field: &str, value: &str| twice(name, path, answer(200).field(field, value).body("one"));
    vec![
        with("max-age", "/unruled/cc1", "Cache-Control", "max-age=100"),
        with("max-age of zero", "/valid/cc2", "Cache-Control", "max-age=0"),
        with("s-maxage before max-age", "/unruled/cc3", "Cache-Control", "max-age=0, s-maxage=100"),
        with("s-maxage of zero", "/unruled/cc4", "Cache-Control", "max-age=100, s-maxage=0"),
        with("no-cache", "/valid/cc5", "Cache-Control", "no-cache"),
        with("no-store", "/valid/cc6", "Cache-Control", "no-store"),
        with("private", "/valid/cc7", "Cache-Control", "private"),
        with("private among others", "/valid/cc8", "Cache-Control", "max-age=100, private"),
        with("upper case", "/valid/cc9", "Cache-Control", "NO-STORE"),
        with("public alone says nothing", "/unruled/cc10", "Cache-Control", "public"),
        with("public with a rule", "/valid/cc11", "Cache-Control", "public"),
        with("a broken max-age", "/valid/cc12", "Cache-Control", "max-age=abc"),
        with("max-age in quotes", "/valid/cc13", "Cache-Control", "max-age=\"100\""),
        with("an unknown directive", "/valid/cc14", "Cache-Control", "must-revalidate, x=y"),
        twice(
            "two lines of Cache-Control",
            "/valid/cc15",
            answer(200).field("Cache-Control", "max-age=100").field("Cache-Control", "no-store").body("one"),
        ),
        with("Expires in the future", "/unruled/ex1", "Expires", "Thu, 31 Dec 2037 23:55:55 GMT"),
        with("Expires in the past", "/valid/ex2", "Expires", "Thu, 01 Jan 1970 00:00:01 GMT"),
        with("Expires that is no date", "/valid/ex3", "Expires", "0"),
        twice(
            "Cache-Control before Expires",
            "/unruled/ex4",
            answer(200)
                .field("Cache-Control", "max-age=100")
                .field("Expires", "Thu, 01 Jan 1970 00:00:01 GMT")
                .body("one"),
        ),
        twice(
            "Expires before Cache-Control",
            "/unruled/ex5",
            answer(200)
                .field("Expires", "Thu, 31 Dec 2037 23:55:55 GMT")
                .field("Cache-Control", "no-cache")
                .body("one"),
        ),
        with("X-Accel-Expires in seconds", "/unruled/xa1", "X-Accel-Expires", "100"),
        with("X-Accel-Expires of zero", "/valid/xa2", "X-Accel-Expires", "0"),
        with("X-Accel-Expires at a time to come", "/unruled/xa3", "X-Accel-Expires", "@4000000000"),
        with("X-Accel-Expires at a time gone by", "/unruled/xa4", "X-Accel-Expires", "@1"),
        with("X-Accel-Expires that is no number", "/valid/xa5", "X-Accel-Expires", "abc"),
        twice(
            "X-Accel-Expires before Cache-Control",
            "/unruled/xa6",
            answer(200).field("X-Accel-Expires", "100").field("Cache-Control", "max-age=0").body("one"),
        ),
        twice(
            "Cache-Control, then X-Accel-Expires",
            "/unruled/xa7",
            answer(200).field("Cache-Control", "max-age=0").field("X-Accel-Expires", "100").body("one"),
        )
        .differs("as nginx since 1.23.1, X-Accel-Expires rules whatever the order", &["< X-Cache: HIT"]),
        with("Set-Cookie", "/valid/sc1", "Set-Cookie", "a=b"),
        with("Pragma says nothing", "/valid/pr1", "Pragma", "no-cache"),
        with("Authorization of the answer says nothing", "/valid/au1", "WWW-Authenticate", "Basic"),
    ]
}

fn ignored() -> Vec<Case> {
    let with =
        |name, path, field: &str, value: &str| twice(name, path, answer(200).field(field, value).body("one"));
    vec![
        with("Cache-Control ignored", "/ignore/a", "Cache-Control", "no-store"),
        with("Expires ignored", "/ignore/b", "Expires", "Thu, 01 Jan 1970 00:00:01 GMT"),
        with("Set-Cookie ignored", "/ignore/c", "Set-Cookie", "a=b"),
        with("Vary ignored", "/ignore/d", "Vary", "*"),
        with("X-Accel-Expires ignored", "/ignore/e", "X-Accel-Expires", "0"),
        with(
            "an ignored X-Accel-Expires makes nothing cacheable",
            "/ignore-accel/a",
            "X-Accel-Expires",
            "100",
        ),
    ]
}

fn requests() -> Vec<Case> {
    let post =
        |case: Case, path: &str| case.request(&format!("POST {path} HTTP/1.1"), &["Content-Length: 1"], "x");
    let one = |name| case(name).origin(answer(200).body("one")).origin(answer(200).body("second"));
    vec![
        post(post(one("POST is not stored"), "/valid/post"), "/valid/post"),
        post(post(one("POST is stored where configured"), "/post/a"), "/post/a"),
        post(one("POST is not answered by a stored GET").get("/valid/post2"), "/valid/post2"),
        one("HEAD asks for all of it").head("/valid/head").get("/valid/head").head("/valid/head"),
        one("HEAD as it is").head("/head/a").get("/head/a").head("/head/a"),
        one("the third use stores")
            .origin(answer(200).body("third"))
            .get("/uses/a")
            .get("/uses/a")
            .get("/uses/a")
            .get("/uses/a"),
        one("bypass stores what it got").get("/bypass/a").get("/bypass/a?fresh=1").get("/bypass/a"),
        one("bypass by 0 is none").get("/bypass/b").get("/bypass/b?fresh=0"),
        one("bypass by a field").get("/bypass/c").get_with("/bypass/c", &["X-Fresh: yes"]),
        one("not to be stored").get("/no-cache/a?private=1").get("/no-cache/a"),
        one("an answer from the cache though not to be stored")
            .get("/no-cache/b")
            .get("/no-cache/b?private=1"),
        twice(
            "a field of the answer keeps it out",
            "/no-cache-answer/a",
            answer(200).field("X-Private", "1").body("one"),
        ),
        twice(
            "a field of the answer that is 0",
            "/no-cache-answer/b",
            answer(200).field("X-Private", "0").body("one"),
        ),
        twice("an answer without the field", "/no-cache-answer/c", answer(200).body("one")),
        twice(
            "a table of the answer",
            "/no-cache-answer/d",
            answer(200).field("Content-Type", "text/private").body("one"),
        ),
        twice("a table by status keeps out", "/no-cache-status/a", answer(200).body("one")),
        twice("a table by status lets in", "/no-cache-status/b", answer(404).body("one")),
        one("arguments are part of the key").get("/valid/args?a").get("/valid/args?b").get("/valid/args?a"),
        one("a key of its own").get("/key/a?a=1").get("/key/other?a=1&b=2"),
        one("a request's Cache-Control says nothing")
            .get("/valid/rcc")
            .get_with("/valid/rcc", &["Cache-Control: no-cache"]),
        one("a request with credentials is stored")
            .get_with("/valid/auth", &["Authorization: Basic eDp5"])
            .get("/valid/auth"),
        one("HTTP/1.0 gets what HTTP/1.1 stored").get("/valid/old").send("GET /valid/old HTTP/1.0\r\n\r\n"),
    ]
}

fn vary() -> Vec<Case> {
    let varied = |field: &str, body: &str| answer(200).field("Vary", field).body(body);
    let german: &[&str] = &["Accept-Language: de"];
    let english: &[&str] = &["Accept-Language: en"];
    vec![
        twice("Vary: * is not stored", "/valid/v1", varied("*", "one")),
        case("variants are kept apart")
            .origin(varied("Accept-Language", "deutsch"))
            .origin(varied("Accept-Language", "english"))
            .get_with("/valid/v2", german)
            .get_with("/valid/v2", english)
            .get_with("/valid/v2", german)
            .get_with("/valid/v2", english),
        case("spaces and order of a list do not matter")
            .origin(varied("Accept-Language", "one"))
            .origin(varied("Accept-Language", "two"))
            .get_with("/valid/v3", &["Accept-Language: de, en"])
            .get_with("/valid/v3", &["Accept-Language: de,en"]),
        case("a missing field is a variant too")
            .origin(varied("Accept-Language", "none"))
            .origin(varied("Accept-Language", "deutsch"))
            .get("/valid/v4")
            .get_with("/valid/v4", german)
            .get("/valid/v4"),
        case("Vary on two fields")
            .origin(varied("Accept-Language, X-Kind", "one"))
            .origin(varied("Accept-Language, X-Kind", "two"))
            .get_with("/valid/v5", &["Accept-Language: de", "X-Kind: a"])
            .get_with("/valid/v5", &["Accept-Language: de", "X-Kind: b"])
            .get_with("/valid/v5", &["X-Kind: a", "Accept-Language: de"]),
        case("Vary that changes")
            .origin(varied("Accept-Language", "one"))
            .origin(varied("X-Kind", "two"))
            .origin(varied("X-Kind", "three"))
            .get_with("/valid/v6", german)
            .get_with("/valid/v6", english)
            .get_with("/valid/v6", german)
            .get_with("/valid/v6", english),
    ]
}
