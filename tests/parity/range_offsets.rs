//! Ranges that begin far behind what is stored (`proxy_cache_max_range_offset`).

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn ranges_that_begin_late() {
    compare(&group());
}

/// What the origin has, in part and whole.
pub fn group() -> Group {
    let conf = http(
        r#"proxy_cache_path cache levels=1:2 keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT%;
            proxy_cache zone; proxy_cache_valid 200 1h; proxy_http_version 1.1;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_cache_max_range_offset 10; proxy_pass http://%ORIGIN%; }
            location /none/ { proxy_cache_max_range_offset 0; proxy_pass http://%ORIGIN%; }
            location /any/ { proxy_pass http://%ORIGIN%; }
        }"#,
    );
    let asks = |name, path: &str, range: &str| case(name).get_with(path, &[&format!("Range: {range}")]);
    let whole = |case: Case| case.origin(letters());
    let part = |case: Case, from: usize| case.origin(slice(from));
    Group::new("range offsets", conf).cases([
        whole(asks("a range that begins early", "/a", "bytes=5-7")).get("/a"),
        whole(asks("a range that begins just before the limit", "/b", "bytes=9-12")).get("/b"),
        part(asks("a range that begins at the limit", "/c", "bytes=10-12"), 10).origin(letters()).get("/c"),
        part(asks("a range that begins late", "/d", "bytes=20-"), 20).origin(letters()).get("/d"),
        part(asks("the end", "/e", "bytes=-6"), 20).origin(letters()).get("/e"),
        whole(asks("several ranges, the first of them early", "/f", "bytes=1-2,20-21")).get("/f"),
        whole(case("a range that begins late in what is stored").get("/g"))
            .get_with("/g", &["Range: bytes=20-21"]),
        part(asks("no range is stored", "/none/a", "bytes=0-1"), 0).origin(letters()).get("/none/a"),
        whole(case("what is asked for whole is stored").get("/none/b"))
            .get_with("/none/b", &["Range: bytes=0-1"]),
        whole(asks("without a limit any range is stored", "/any/a", "bytes=20-")).get("/any/a"),
    ])
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

fn letters() -> Reply {
    answer(200).field("Accept-Ranges", "bytes").body(LETTERS)
}

fn slice(from: usize) -> Reply {
    let to = LETTERS.len() - 1;
    answer(206).field("Content-Range", &format!("bytes {from}-{to}/26")).body(&LETTERS[from..])
}
