//! `gzip` and `gunzip`: which answers are compressed for whom, and what becomes of their fields.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn compressed_answers() {
    compare(&conditions());
}

#[test]
fn compression_for_proxies() {
    compare(&proxied());
}

#[test]
fn compression_undone() {
    compare(&undone());
}

const LONG: &str = "a text that is long enough to be worth it, and has more than one line\nin it\n";
const ACCEPTS: &str = "Accept-Encoding: gzip";
const TORN: &str =
    "the head is on its way when the body turns out to be broken, and the missing end tells of it";
const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// Files, texts and proxied answers for clients of all kinds.
pub fn conditions() -> Group {
    let conf = http(
        r#"proxy_cache_path cache keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT%;
            gzip on; gzip_vary on; root %DIR%; index index.html;
            types { text/html html; text/css css; text/x-long "long"; }
            location / { }
            location /origin/ { proxy_pass http://%ORIGIN%; }
            location /modern/ { proxy_http_version 1.1; proxy_pass http://%ORIGIN%; }
            location /unbuffered/ { proxy_buffering off; proxy_pass http://%ORIGIN%; }
            location /cached/ {
                proxy_cache zone; proxy_cache_key $uri; proxy_cache_valid any 1h; add_header X-Cache $upstream_cache_status;
                proxy_pass http://%ORIGIN%;
            }
            location /text { default_type text/html; return 200 "a text that is returned, and long enough"; }
            location /short { default_type text/html; return 200 "under twenty"; }
            location /20 { default_type text/html; return 200 "12345678901234567890"; }
            location /moved { return 301 /text; }
            location /missing-text { default_type text/html; return 404 "a text that is returned, and long enough"; }
            location /denied { return 403; }
            location /failed { return 500; }
            location /ranged/ { error_page 416 =200 /text; alias %DIR%/; }
            location /off/ { gzip off; gzip_vary on; alias %DIR%/; }
            location /silent/ { gzip_vary off; alias %DIR%/; }
            location /longer/ { gzip_min_length 1k; alias %DIR%/; }
            location /anything/ { gzip_min_length 0; alias %DIR%/; }
            location /css/ { gzip_types text/css; alias %DIR%/; }
            location /all/ { gzip_types *; alias %DIR%/; }
            location /best/ { gzip_comp_level 9; alias %DIR%/; }
            location /old/ { gzip_http_version 1.0; alias %DIR%/; }
            location /msie6/ { gzip_disable msie6; alias %DIR%/; }
            location /agents/ { gzip_disable "lynx/[12]" "^Wget"; alias %DIR%/; }
            location /added/ { add_header ETag "\"mine\""; add_header Content-Encoding $arg_coding; alias %DIR%/; }
            location /weak/ { add_header ETag "none"; alias %DIR%/; }
        }"#,
    );
    let conf = conf
        .file("index.html", LONG)
        .file("page.html", LONG)
        .file("style.css", LONG)
        .file("plain.txt", LONG)
        .file("empty.html", "")
        .file("large.html", LONG.repeat(3000));
    Group::new("compressed answers", conf)
        .cases(clients())
        .cases(kinds())
        .cases(fields())
        .cases(origins())
        .cases(stored())
}

fn clients() -> Vec<Case> {
    let accepts = [
        ("gzip is accepted", "gzip"),
        ("gzip in capitals", "GZIP"),
        ("gzip after others", "br, deflate, gzip"),
        ("gzip without a space", "br,gzip"),
        ("gzip with a weight", "gzip;q=0.5"),
        ("gzip with a weight of nothing", "gzip;q=0"),
        ("gzip with a weight of next to nothing", "gzip;q=0.001"),
        ("gzip with a weight that is too long", "gzip;q=0.0001"),
        ("gzip with a weight of too much", "gzip;q=1.001"),
        ("gzip with spaces around", "gzip ; q=1"),
        ("gzip with another parameter", "gzip;level=1"),
        ("gzip twice", "gzip;q=0, gzip"),
        ("gzip in a longer word", "x-gzip"),
        ("gzip at the beginning of a longer word", "gzip2"),
        ("anything is accepted", "*"),
        ("other codings are accepted", "br, deflate"),
    ];
    let accepts = accepts
        .map(|(name, value)| case(name).get_with("/page.html", &[&format!("Accept-Encoding: {value}")]));
    let agents = [
        ("Internet Explorer 6", "/msie6/page.html", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"),
        ("Internet Explorer 6, mended", "/msie6/page.html", "Mozilla/4.0 (compatible; MSIE 6.0; SV1)"),
        ("Internet Explorer 7", "/msie6/page.html", "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)"),
        ("Internet Explorer 6 where it is let be", "/page.html", "Mozilla/4.0 (compatible; MSIE 6.0; x)"),
        ("an agent that is named", "/agents/page.html", "Lynx/2.8"),
        ("an agent that is named by its beginning", "/agents/page.html", "Wget/1"),
        ("an agent that is not named", "/agents/page.html", "not Wget/1"),
    ];
    let agents = agents
        .map(|(name, path, agent)| case(name).get_with(path, &[ACCEPTS, &format!("User-Agent: {agent}")]));
    let others = [
        case("nothing is accepted").get("/page.html"),
        case("two fields").get_with("/page.html", &["Accept-Encoding: br", ACCEPTS]),
        case("HTTP/1.0").request("GET /page.html HTTP/1.0", &[ACCEPTS], ""),
        case("HTTP/1.0 where it is allowed").request("GET /old/page.html HTTP/1.0", &[ACCEPTS], ""),
        case("HTTP/1.0 that is kept").request(
            "GET /old/page.html HTTP/1.0",
            &[ACCEPTS, "Connection: keep-alive"],
            "",
        ),
    ];
    accepts.into_iter().chain(agents).chain(others).collect()
}

fn kinds() -> Vec<Case> {
    let paths = [
        ("a file", "/page.html"),
        ("a large file", "/large.html"),
        ("the file of a directory", "/"),
        ("a file of another type", "/style.css"),
        ("a file of a type that is listed", "/css/style.css"),
        ("a type that is always there", "/css/page.html"),
        ("any type", "/all/plain.txt"),
        ("an empty file", "/empty.html"),
        ("an empty file where nothing is too short", "/anything/empty.html"),
        ("a file that is too short", "/longer/page.html"),
        ("a file that is long enough", "/longer/large.html"),
        ("the best compression", "/best/large.html"),
        ("a text", "/text"),
        ("a text of nineteen bytes or less", "/short"),
        ("a text of twenty bytes", "/20"),
        ("a page for what is missing", "/nothing.html"),
        ("a text for what is missing", "/missing-text"),
        ("a page for what is denied", "/denied"),
        ("a page for a failure", "/failed"),
        ("a redirect", "/moved"),
        ("turned off", "/off/page.html"),
        ("without Vary", "/silent/page.html"),
    ];
    paths
        .into_iter()
        .map(|(name, path)| case(name).get_with(path, &[ACCEPTS]).get(path))
        .chain([case("HEAD").send("HEAD /page.html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")])
        .collect()
}

fn fields() -> Vec<Case> {
    vec![
        case("a range").get_with("/page.html", &[ACCEPTS, "Range: bytes=0-3"]),
        case("a range beyond what is compressed, with a page for that")
            .get_with("/ranged/page.html", &[ACCEPTS, "Range: bytes=900-"]),
        case("a range of what is not compressed").get_with("/style.css", &[ACCEPTS, "Range: bytes=0-3"]),
        case("not modified").get_with(
            "/page.html",
            &[ACCEPTS, "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "If-None-Match: *"],
        ),
        case("a tag of one's own").get_with("/added/page.html", &[ACCEPTS]),
        case("a coding of one's own").get_with("/added/page.html?coding=br", &[ACCEPTS]).differs(
            "what is said to have a coding is not compressed again, whoever says so",
            &["< Content-Encoding: br\n", "< Content-Length: 76\n"],
        ),
        case("a tag that is none").get_with("/weak/page.html", &[ACCEPTS]),
    ]
}

/// Answers of an origin.
fn origins() -> Vec<Case> {
    let html = || answer(200).field("Content-Type", "text/html");
    let from = |name, path: &str, reply: Reply| case(name).origin(reply).get_with(path, &[ACCEPTS]);
    vec![
        from("a proxied answer", "/origin/a", html().body(LONG)),
        from("a proxied answer that is short", "/origin/b", html().body("short")),
        from("a proxied answer of unknown length", "/origin/c", html().until_close("short")),
        from("a proxied answer in chunks", "/modern/a", html().chunked(&["one ", "two ", "three"])),
        from("a proxied answer as it comes", "/unbuffered/a", html().body(LONG)),
        from("a proxied answer that is empty", "/origin/d", html().body("")),
        from("no type", "/origin/e", answer(200).body(LONG)),
        from(
            "a type with a character set",
            "/origin/f",
            answer(200).field("Content-Type", "Text/HTML; charset=utf-8").body(LONG),
        ),
        from(
            "a type with another parameter",
            "/origin/g",
            answer(200).field("Content-Type", "text/html; version=2").body(LONG),
        ),
        from("a coding of its own", "/origin/h", html().field("Content-Encoding", "br").body(LONG)),
        from("an empty coding", "/origin/i", html().field("Content-Encoding", "").body(LONG)),
        from("a strong tag", "/origin/j", html().field("ETag", "\"a\"").body(LONG)),
        from("a weak tag", "/origin/k", html().field("ETag", "W/\"a\"").body(LONG)),
        from("a tag without quotes", "/origin/l", html().field("ETag", "a").body(LONG)),
        from("ranges that are offered", "/origin/m", html().field("Accept-Ranges", "bytes").body(LONG)),
        from("a Vary of its own", "/origin/n", html().field("Vary", "Cookie").body(LONG)),
        from("a proxied 404", "/origin/o", answer(404).field("Content-Type", "text/html").body(LONG)),
        from("a proxied 500", "/origin/p", answer(500).field("Content-Type", "text/html").body(LONG)),
        from("a proxied 206", "/origin/q", answer(206).field("Content-Type", "text/html").body(LONG)),
        from("a body that breaks off", "/origin/r", html().declared(1000).bytes(LONG).then_close()),
    ]
}

/// Answers that are stored first.
fn stored() -> Vec<Case> {
    let html = || {
        answer(200).field("Content-Type", "text/html").field("ETag", "\"a\"").field("Last-Modified", MODIFIED)
    };
    let once = |name, path: &'static str, reply: Reply| {
        case(name).origin(reply).get(path).until(path, "X-Cache: HIT")
    };
    vec![
        once("a stored answer", "/cached/a", html().body(LONG))
            .get_with("/cached/a", &[ACCEPTS])
            .get("/cached/a"),
        once("a stored answer with a coding", "/cached/b", html().field("Content-Encoding", "br").body(LONG))
            .get_with("/cached/b", &[ACCEPTS]),
        once("a range of a stored answer", "/cached/c", html().field("Accept-Ranges", "bytes").body(LONG))
            .get_with("/cached/c", &[ACCEPTS, "Range: bytes=2-3"])
            .get_with("/cached/c", &["Range: bytes=2-3"]),
        once("a stored answer that the client has", "/cached/d", html().body(LONG))
            .get_with("/cached/d", &[ACCEPTS, "If-None-Match: W/\"a\""])
            .get_with("/cached/d", &[ACCEPTS, "If-None-Match: \"a\""]),
        once("HEAD of a stored answer", "/cached/e", html().body(LONG))
            .send("HEAD /cached/e HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"),
        case("an answer that is being stored")
            .origin(html().body(LONG))
            .get_with("/cached/f", &[ACCEPTS])
            .until("/cached/f", "X-Cache: HIT"),
    ]
}

/// `gzip_proxied`: requests with Via.
pub fn proxied() -> Group {
    let rules = [
        "off",
        "any",
        "expired",
        "no-cache",
        "no-store",
        "private",
        "no_last_modified",
        "no_etag",
        "auth",
        "any off",
        "no-cache private auth",
    ];
    let locations: String = rules
        .iter()
        .map(|rule| {
            let path = rule.replace(' ', "-");
            format!("location /{path}/ {{ gzip_proxied {rule}; proxy_pass http://%ORIGIN%; }}\n")
        })
        .collect();
    let conf = http(&format!(
        "server {{ listen 127.0.0.1:%PORT%; gzip on; location / {{ proxy_pass http://%ORIGIN%; }} {locations} }}"
    ));
    let html = || answer(200).field("Content-Type", "text/html");
    let answers = [
        ("nothing", html()),
        ("Expires in the past", html().field("Expires", MODIFIED)),
        ("Expires that is no date", html().field("Expires", "0")),
        ("Expires in the future", html().field("Expires", "Thu, 01 Jan 2099 00:00:00 GMT")),
        ("no-cache", html().field("Cache-Control", "no-cache")),
        ("no-store and more", html().field("Cache-Control", "max-age=0, No-Store")),
        (
            "private in a second line",
            html().field("Cache-Control", "max-age=1").field("Cache-Control", "private"),
        ),
        ("private with a value", html().field("Cache-Control", "private=\"x\"")),
        ("Last-Modified", html().field("Last-Modified", MODIFIED)),
        ("ETag", html().field("ETag", "\"a\"")),
    ];
    let mut cases = Vec::new();
    let paths = rules.iter().map(|rule| rule.replace(' ', "-"));
    for rule in paths.chain([String::new()]) {
        let path = if rule.is_empty() { "/".to_owned() } else { format!("/{rule}/") };
        for (what, reply) in &answers {
            let name: &'static str = format!("{what} by the rule \"{rule}\"").leak();
            cases.push(case(name).origin(reply.clone().body(LONG)).get_with(&path, &[ACCEPTS, "Via: 1.1 a"]));
        }
        let name: &'static str = format!("credentials by the rule \"{rule}\"").leak();
        let reply = html().field("Expires", "0").body(LONG);
        cases.push(
            case(name).origin(reply).get_with(&path, &[ACCEPTS, "Via: 1.1 a", "Authorization: Basic YTpi"]),
        );
    }
    Group::new("compression for proxies", conf).cases(cases)
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes all that is written");
    encoder.finish().expect("memory takes all that is written")
}

/// `gunzip`.
pub fn undone() -> Group {
    let conf = http(
        r#"proxy_cache_path cache keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT%; gunzip on; gzip_vary on; gzip_proxied off;
            location / { proxy_pass http://%ORIGIN%; }
            location /both/ { gzip on; proxy_pass http://%ORIGIN%; }
            location /ranged/ { error_page 416 =200 /text; alias %DIR%/; }
            location /off/ { gunzip off; proxy_pass http://%ORIGIN%; }
            location /cached/ {
                proxy_cache zone; proxy_cache_key $uri; proxy_cache_valid any 1h; add_header X-Cache $upstream_cache_status;
                proxy_pass http://%ORIGIN%;
            }
        }"#,
    );
    let gzip = || {
        answer(200)
            .field("Content-Type", "text/html")
            .field("Content-Encoding", "gzip")
            .field("ETag", "\"a\"")
    };
    let twice = [packed("one, "), packed("two")].concat();
    let long = LONG.repeat(3000);
    let cases = vec![
        case("undone").origin(gzip().body(packed(LONG))).get("/a"),
        case("accepted").origin(gzip().body(packed(LONG))).get_with("/b", &[ACCEPTS]),
        case("undone for an old client").origin(gzip().body(packed(LONG))).request(
            "GET /c HTTP/1.0",
            &[ACCEPTS],
            "",
        ),
        case("undone for a proxy").origin(gzip().body(packed(LONG))).get_with("/d", &[ACCEPTS, "Via: a"]),
        case("undone and not done again").origin(gzip().body(packed(LONG))).get("/both/a"),
        case("accepted and not done again").origin(gzip().body(packed(LONG))).get_with("/both/b", &[ACCEPTS]),
        case("turned off").origin(gzip().body(packed(LONG))).get("/off/a"),
        case("another coding").origin(answer(200).field("Content-Encoding", "br").body(LONG)).get("/e"),
        case("the coding in capitals")
            .origin(answer(200).field("Content-Encoding", "GZIP").body(packed(LONG)))
            .get("/f"),
        case("two bodies in one").origin(gzip().body(twice)).get("/g"),
        case("a large body").origin(gzip().body(packed(&long))).get("/h"),
        case("an error").origin(answer(500).field("Content-Encoding", "gzip").body(packed(LONG))).get("/i"),
        case("ranges that are offered")
            .origin(gzip().field("Accept-Ranges", "bytes").body(packed(LONG)))
            .get("/j"),
        case("HEAD").origin(gzip().declared(100)).head("/k"),
        case("what is not compressed at all")
            .origin(gzip().body(LONG))
            .get("/l")
            .differs(TORN, &["< (torn)"]),
        case("a body that breaks off")
            .origin(gzip().body(&packed(LONG)[..20]))
            .get("/m")
            .differs(TORN, &["< (torn)"]),
        case("stored and undone")
            .origin(gzip().body(packed(LONG)))
            .get_with("/cached/a", &[ACCEPTS])
            .until("/cached/a", "X-Cache: HIT")
            .get("/cached/a"),
    ];
    Group::new("compression undone", conf).cases(cases)
}
