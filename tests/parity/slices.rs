//! Answers that are asked for in slices (`slice`, `$slice_range`).

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn slices_that_are_passed_on() {
    compare(&passed());
}

#[test]
fn slices_that_are_stored() {
    compare(&stored());
}

#[test]
fn slices_that_do_not_fit() {
    compare(&broken());
}

/// Slices without a cache.
pub fn passed() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%;
            slice 10; postpone_output 0; proxy_http_version 1.1; proxy_set_header Range $slice_range;
            add_header X-Slice "$slice_range" always;
            location / { proxy_pass http://%ORIGIN%; }
            location /off/ { slice 0; proxy_pass http://%ORIGIN%; }
            location /unused/ { proxy_set_header Range $http_range; proxy_pass http://%ORIGIN%; }
            location /if-range/ { proxy_set_header If-Range ""; proxy_pass http://%ORIGIN%; }
            location /max/ { max_ranges 0; proxy_pass http://%ORIGIN%; }
            location ~ ^/captured/(.*)$ { proxy_pass http://%ORIGIN%/$1?$args; }
            location /rewritten/ { rewrite ^ /new break; proxy_pass http://%ORIGIN%; }
            location /replaced/ { proxy_pass http://%ORIGIN%/other/; }
            location /set/ { set $range $slice_range; proxy_set_header Range $range; proxy_pass http://%ORIGIN%; }
            location /buffered/ { proxy_buffering off; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("slices passed on", conf).cases([
        all(case("the whole").get("/a")),
        all(case("the whole, of a location that says off").get("/off/a")),
        case("whole, where nobody asks for slices").get("/unused/a").origin(letters()),
        all(case("HEAD asks once").head("/a")),
        from(0, asks("the first bytes", "/a", "bytes=0-4")),
        from(0, asks("a range over two slices", "/a", "bytes=8-12")),
        from(1, asks("a range within the second slice", "/a", "bytes=12-13")),
        from(1, asks("a range from the second slice on", "/a", "bytes=12-")),
        from(2, asks("the last byte", "/a", "bytes=25-25")),
        from(2, asks("a range that ends behind the last byte", "/a", "bytes=24-99")),
        asks("a suffix", "/a", "bytes=-3").origin(slice(0)).origin(slice(2)),
        all(asks("a suffix in the second slice and the third", "/a", "bytes=-8")),
        all(asks("a suffix of all", "/a", "bytes=-99")),
        all(asks("several ranges", "/a", "bytes=0-1,20-21")),
        all(asks("no range", "/a", "bytes=x")),
        all(asks("another unit", "/a", "lines=1-2")),
        all(asks("a range backwards", "/a", "bytes=9-1")),
        from(1, asks("spaces before the number", "/a", "bytes=  12-13")),
        from(1, asks("a unit in capitals", "/a", "BYTES=12-13")),
        all(asks("a number that is too large", "/a", "bytes=99999999999999999999-")),
        asks("a range behind the end", "/a", "bytes=50-")
            .origin(answer(416).field("Content-Range", "bytes */26").body("no")),
        all(asks("a range where none are allowed", "/max/a", "bytes=3-4")),
        all(if_range("If-Range that holds", "/if-range/a", "bytes=12-13", "\"e\"")),
        all(if_range("If-Range that does not hold", "/if-range/a", "bytes=12-13", "\"other\"")),
        all(if_range("If-Range that is passed on", "/a", "bytes=12-13", "\"e\"")),
        all(case("captures stay").get("/captured/x?y=1")),
        all(case("what a rewrite made stays").get("/rewritten/a")),
        all(case("what proxy_pass replaces stays").get("/replaced/a%20b")),
        all(case("as it comes").get("/buffered/a")),
        case("what was set is not asked anew").get("/set/a").origin(slice(0)).origin(slice(0)),
        case("a whole answer is passed on").get("/a").origin(letters()),
        asks("a range of a whole answer", "/a", "bytes=12-13").origin(letters()),
        case("an error is passed on").get("/a").origin(answer(404).body("none")),
        case("an empty slice of nothing").get("/a").origin(answer(416).field("Content-Range", "bytes */0")),
        case("no length of the whole").get("/a").origin(part("bytes 0-9/*", "abcdefghij")),
        all(case("POST").request("POST /a HTTP/1.1", &["Content-Length: 2"], "hi")),
        all(case("HTTP/1.0").request("GET /a HTTP/1.0", &[], "")),
        all(case("conditions are the origin's").get_with("/a", &["If-None-Match: \"e\""])),
    ])
}

/// Slices in a cache.
pub fn stored() -> Group {
    let conf = http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT%;
            slice 10; postpone_output 0; proxy_http_version 1.1; proxy_set_header Range $slice_range;
            proxy_cache zone; proxy_cache_key $uri$is_args$args$slice_range; proxy_cache_valid 200 206 1h;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://%ORIGIN%; }
            location /one-key/ { proxy_cache_key $uri; proxy_pass http://%ORIGIN%; }
            location /unkept/ { proxy_cache_valid 200 1h; proxy_pass http://%ORIGIN%; }
            location /offset/ { proxy_cache_max_range_offset 5; proxy_pass http://%ORIGIN%; }
            location /force/ { proxy_force_ranges on; proxy_pass http://%ORIGIN%; }
            location /plain/ { slice 0; proxy_set_header Range ""; proxy_pass http://%ORIGIN%; }
        }"#,
    );
    Group::new("stored slices", conf).cases([
        all(case("a miss, then a hit").get("/a")).get("/a"),
        all(case("a HEAD, then the whole").head("/b").get("/b")),
        from(1, asks("the second slice, then the whole", "/c", "bytes=12-13").get("/c")).origin(slice(0)),
        all(case("ranges of what is stored").get("/d"))
            .get_with("/d", &["Range: bytes=3-4"])
            .get_with("/d", &["Range: bytes=8-22"])
            .get_with("/d", &["Range: bytes=-1"])
            .get_with("/d", &["Range: bytes=1-2,3-4"])
            .get_with("/d", &["Range: bytes=26-"]),
        all(case("conditions of what is stored").get("/e"))
            .get_with("/e", &["If-None-Match: \"e\""])
            .get_with("/e", &["If-None-Match: \"other\""])
            .get_with("/e", &["If-Range: \"e\"", "Range: bytes=12-13"])
            .get_with("/e", &["If-Range: \"other\"", "Range: bytes=12-13"]),
        all(case("a condition that fails").get("/h").get_with("/h", &["If-Match: \"other\""])).differs(
            "a connection is kept after a 412 as after any other answer",
            &["< HTTP/1.1 412", "connection: kept"],
        ),
        all(case("a slice is not kept where 206 is not").get("/unkept/a"))
            .get("/unkept/a")
            .origin(slice(0))
            .origin(slice(1))
            .origin(slice(2)),
        asks("beyond the offset", "/offset/a", "bytes=20-21")
            .origin(slice(2))
            .origin(slice(2))
            .get_with("/offset/a", &["Range: bytes=20-21"]),
        all(case("ranges where they are forced").get("/force/a"))
            .get_with("/force/a", &["Range: bytes=12-13"]),
        case("a whole answer is stored under the first slice")
            .get("/f")
            .origin(letters())
            .get("/f")
            .get_with("/f", &["Range: bytes=12-13"])
            .origin(letters()),
        case("without slices")
            .get("/plain/a")
            .origin(letters())
            .get_with("/plain/a", &["Range: bytes=12-13"]),
        case("an error")
            .get("/g")
            .origin(answer(404).body("none"))
            .get("/g")
            .origin(answer(404).body("none")),
        all(case("one key for all slices").get("/one-key/a")),
    ])
}

/// What an origin may do wrong.
pub fn broken() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%;
            slice 10; postpone_output 0; proxy_http_version 1.1; proxy_set_header Range $slice_range;
            proxy_next_upstream off;
            location / { proxy_pass http://%ORIGIN%; }
        }"#,
    );
    let first = |name| case(name).get("/a").origin(slice(0));
    let second = |name, range: &str, body: &str| first(name).origin(part(range, body));
    Group::new("broken slices", conf).cases([
        first("another tag").origin(tagged("bytes 10-19/26", "\"other\"", "klmnopqrst")),
        first("no tag any more")
            .origin(answer(206).field("Content-Range", "bytes 10-19/26").body("klmnopqrst")),
        case("no tag at first")
            .get("/a")
            .origin(answer(206).field("Content-Range", "bytes 0-9/20").body("abcdefghij"))
            .origin(tagged("bytes 10-19/20", "\"e\"", "klmnopqrst")),
        first("a whole answer for the second").origin(letters()),
        first("an error for the second").origin(answer(503).body("later")),
        first("no answer for the second").origin(Reply::nothing()),
        second("the first again", "bytes 0-9/26", "abcdefghij"),
        second("too much", "bytes 10-25/26", "klmnopqrstuvwxyz"),
        second("too little", "bytes 10-14/26", "klmno"),
        second("no range", "", "klmnopqrst"),
        second("a range that cannot be read", "bytes 10-/26", "klmnopqrst"),
        second("no length", "bytes 10-19/*", "klmnopqrst"),
        case("the first is another").get("/a").origin(slice(1)),
        case("the first has too much").get("/a").origin(part("bytes 0-25/26", "abcdefghijklmnopqrstuvwxyz")),
        case("the first has no range").get("/a").origin(answer(206).body("abcdefghij")),
        case("the first is broken off").get("/a").origin(Reply::raw(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/26\r\n\r\nabc",
        )),
    ])
}

fn asks(name: &'static str, path: &str, range: &str) -> Case {
    case(name).get_with(path, &[&format!("Range: {range}")])
}

fn if_range(name: &'static str, path: &str, range: &str, tag: &str) -> Case {
    case(name).get_with(path, &[&format!("Range: {range}"), &format!("If-Range: {tag}")])
}

/// An origin with all slices.
fn all(case: Case) -> Case {
    from(0, case)
}

/// An origin with slices from this one on.
fn from(first: usize, case: Case) -> Case {
    (first..3).fold(case, |case, number| case.origin(slice(number)))
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

fn letters() -> Reply {
    answer(200).field("Accept-Ranges", "bytes").field("ETag", "\"e\"").body(LETTERS)
}

fn slice(number: usize) -> Reply {
    let (start, end) = (number * 10, (number * 10 + 10).min(26));
    part(&format!("bytes {start}-{}/26", end - 1), &LETTERS[start..end])
}

fn part(range: &str, body: &str) -> Reply {
    tagged(range, "\"e\"", body)
}

fn tagged(range: &str, tag: &str, body: &str) -> Reply {
    answer(206).field("Accept-Ranges", "bytes").field("ETag", tag).field("Content-Range", range).body(body)
}
