//! `proxy_store`: which answers become files, where, and what clients get meanwhile.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Conf, Reply, answer, servers};

#[test]
fn answers_kept_as_files() {
    compare(&group());
}

/// Files are below `kept`, which `/kept/` shows; `/seen/` shows them without the time at which they were written.
pub fn group() -> Group {
    Group::new("answers kept as files", conf())
        .cases(kept())
        .cases(dated())
        .cases(not_kept())
        .cases(places())
        .cases(inherited())
        .cases(mirrored())
}

fn conf() -> Conf {
    servers(
        "root %DIR%/kept; proxy_intercept_errors on;
        error_page 418 /teapot;
        location = /teapot { return 200 teapot; }
        location /kept/ { root %DIR%; types { } default_type text/x-kept; }
        location /seen/ {
            proxy_pass http://127.0.0.1:%PORT%/kept/;
            proxy_hide_header Last-Modified; proxy_hide_header ETag;
        }
        location /on/ { proxy_pass http://%ORIGIN%; proxy_store on; proxy_http_version 1.1; }
        location /on/obedient/ {
            proxy_pass http://%ORIGIN%; proxy_store on; proxy_ignore_headers X-Accel-Buffering X-Accel-Redirect;
        }
        location /on/ranges/ { proxy_pass http://%ORIGIN%; proxy_store on; proxy_force_ranges on; }
        location /on/unbuffered/ { proxy_pass http://%ORIGIN%; proxy_store on; proxy_buffering off; }
        location /on/asks/ { proxy_pass http://%ORIGIN%; proxy_store on; proxy_method HEAD; }
        location /alias/ { proxy_pass http://%ORIGIN%; proxy_store on; alias %DIR%/kept/aliased/; }
        location ~ ^/alias-of-all/(.*)$ { proxy_pass http://%ORIGIN%; proxy_store on; alias %DIR%/kept/all/$1; }
        location /path/ { proxy_pass http://%ORIGIN%; proxy_store %DIR%/kept$uri; }
        location /args/ { proxy_pass http://%ORIGIN%; proxy_store %DIR%/kept$uri-$arg_v; }
        location ~ ^/captured/(.*)$ { proxy_pass http://%ORIGIN%; proxy_store %DIR%/kept/of-$1; }
        location /moved/ { proxy_pass http://%ORIGIN%/there/; proxy_store on; }
        location /plain/ { return 200 plain; }
        location /mirror/ { error_page 404 = @fetch; log_not_found off; default_type text/x-kept; }
        location @fetch { proxy_pass http://%ORIGIN%; proxy_store on; }
        location /images/ { error_page 404 = /fetch$uri; log_not_found off; default_type text/x-kept; }
        location /fetch/ { internal; proxy_pass http://%ORIGIN%/; proxy_store on; alias %DIR%/kept/; }
        location /outer/ {
            proxy_store on; proxy_pass http://%ORIGIN%;
            location /outer/inner/ { proxy_pass http://%ORIGIN%; }
            location /outer/off/ { proxy_pass http://%ORIGIN%; proxy_store off; }
            location /outer/cached/ {
                proxy_pass http://%ORIGIN%; proxy_cache zone; proxy_cache_valid 1h;
                add_header X-Cache $upstream_cache_status;
            }
        }
        location /caching/ {
            proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%;
            location /caching/kept/ {
                proxy_pass http://%ORIGIN%; proxy_store on; add_header X-Cache \"[$upstream_cache_status]\";
            }
        }",
    )
    .with_text(|text| text.replace("http {", "http { proxy_cache_path cache keys_zone=zone:1m;"))
}

const CHANGED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// Asks for `path`, then for the file that should have come of it.
fn becomes(name: &'static str, path: &str, file: &'static str, reply: Reply) -> Case {
    case(name).get(path).until(file, "200 OK").origin(reply)
}

/// Asks for `path`, then for the file that must not be there.
fn vanishes(name: &'static str, path: &str, reply: Reply) -> Case {
    case(name).get(path).on("").get(&format!("/seen{path}")).origin(reply)
}

fn kept() -> [Case; 13] {
    let page = || answer(200).body("a page");
    [
        becomes("a page of known length", "/on/length", "/seen/on/length", page()),
        becomes("a page in chunks", "/on/chunks", "/seen/on/chunks", answer(200).chunked(&["a ", "page"])),
        becomes("a page up to the close", "/on/close", "/seen/on/close", answer(200).until_close("a page")),
        becomes("an empty page", "/on/empty", "/seen/on/empty", answer(200).body("")),
        becomes("an empty page in chunks", "/on/no-chunks", "/seen/on/no-chunks", answer(200).chunked(&[])),
        becomes(
            "a page of many buffers",
            "/on/large",
            "/seen/on/large",
            answer(200).body("0123456789".repeat(20_000)),
        ),
        becomes(
            "a compressed page as it came",
            "/on/compressed",
            "/seen/on/compressed",
            answer(200).field("Content-Encoding", "gzip").body("not really"),
        ),
        becomes(
            "more than was announced",
            "/on/more",
            "/seen/on/more",
            answer(200).declared(4).bytes("four and more").then_close(),
        ),
        case("the answer to a POST")
            .request("POST /on/post HTTP/1.1", &["Content-Length: 2"], "hi")
            .until("/seen/on/post", "200 OK")
            .origin(page()),
        case("a page for HTTP/1.0")
            .send("GET /on/old HTTP/1.0\r\nHost: localhost\r\n\r\n")
            .until("/seen/on/old", "200 OK")
            .origin(answer(200).chunked(&["a ", "page"])),
        case("all of a page of which a part was asked for")
            .get_with("/on/ranges/part", &["Range: bytes=2-3"])
            .until("/seen/on/ranges/part", "200 OK")
            .origin(page()),
        case("a newer page replaces an older one")
            .get("/on/twice")
            .until("/seen/on/twice", "a page")
            .get("/on/twice")
            .until("/seen/on/twice", "a newer one")
            .origin(page())
            .origin(answer(200).body("a newer one")),
        becomes(
            "a page that should not be buffered, where that is ignored",
            "/on/obedient/x",
            "/seen/on/obedient/x",
            page().field("X-Accel-Buffering", "no"),
        ),
    ]
}

fn dated() -> [Case; 4] {
    let dated = |date: &str| answer(200).field("Last-Modified", date).body("dated");
    [
        becomes("the time is that of the page", "/on/dated", "/kept/on/dated", dated(CHANGED)),
        becomes(
            "an old form of date",
            "/on/dated-850",
            "/kept/on/dated-850",
            dated("Wednesday, 21-Oct-15 07:28:00 GMT"),
        ),
        becomes("a date that is none", "/on/undated", "/seen/on/undated", dated("yesterday")),
        case("the file answers conditions")
            .get("/on/condition")
            .until("/kept/on/condition", "200 OK")
            .get_with("/kept/on/condition", &[&format!("If-Modified-Since: {CHANGED}")])
            .origin(dated(CHANGED)),
    ]
}

fn not_kept() -> [Case; 16] {
    let page = || answer(200).body("a page");
    [
        vanishes("not found", "/on/absent", answer(404).body("no")),
        vanishes("no content", "/on/nothing", answer(204)),
        vanishes("a part", "/on/partial", answer(206).field("Content-Range", "bytes 0-1/9").body("pa")),
        vanishes("a redirect", "/on/redirect", answer(301).field("Location", "/elsewhere").body("")),
        vanishes("an error", "/on/error", answer(500).body("no")),
        vanishes("an intercepted error", "/on/teapot", answer(418).body("no")),
        vanishes("another 2xx", "/on/created", answer(201).body("new")),
        case("not modified")
            .get_with("/on/unmodified", &[&format!("If-Modified-Since: {CHANGED}")])
            .on("")
            .get("/seen/on/unmodified")
            .origin(answer(304)),
        vanishes("a torn page", "/on/torn", answer(200).declared(10).bytes("torn").then_close()),
        vanishes(
            "torn chunks",
            "/on/torn-chunks",
            answer(200).field("Transfer-Encoding", "chunked").chunk("torn").then_close(),
        ),
        vanishes("a page that is passed on at once", "/on/unbuffered/x", page()),
        vanishes(
            "a page that should not be buffered",
            "/on/no-buffer",
            page().field("X-Accel-Buffering", "no"),
        ),
        vanishes("an internal redirect", "/on/accel", page().field("X-Accel-Redirect", "/plain/")),
        case("the answer to HEAD")
            .head("/on/head")
            .on("")
            .get("/seen/on/head")
            .origin(answer(200).declared(6)),
        case("the answer to HEAD without a length")
            .head("/on/head-alone")
            .on("")
            .get("/seen/on/head-alone")
            .origin(answer(200).field("Transfer-Encoding", "chunked"))
            .differs("nginx keeps an empty file, which is no page", &["HTTP/1.1 404 Not Found"]),
        case("what was asked for with HEAD instead")
            .get("/on/asks/x")
            .until("/seen/on/asks/x", "HTTP/1.1")
            .origin(answer(200).declared(0))
            .may_differ("nginx keeps an empty file, which is no page", &["HTTP/1.1 404 Not Found"]),
    ]
}

fn places() -> [Case; 8] {
    let page = || answer(200).body("a page");
    [
        becomes("by alias", "/alias/a/b", "/seen/aliased/a/b", page()),
        becomes("by an alias that stands for all", "/alias-of-all/a/b", "/seen/all/a/b", page()),
        becomes("by a path with variables", "/path/a/b", "/seen/path/a/b", page()),
        becomes("by a path with an argument", "/args/a?v=7", "/seen/args/a-7", page()),
        becomes("by a path with a group of the location", "/captured/x", "/seen/of-x", page()),
        becomes("under the path that was asked for, not the origin's", "/moved/x", "/seen/moved/x", page()),
        becomes("with the path decoded", "/on/a%20b", "/seen/on/a%20b", page()),
        becomes("without arguments", "/on/query?a=b", "/seen/on/query", page()),
    ]
}

fn inherited() -> [Case; 5] {
    let page = || answer(200).body("a page");
    [
        becomes("from the location around", "/outer/inner/x", "/seen/outer/inner/x", page()),
        vanishes("off inside", "/outer/off/x", page()),
        vanishes("a cache inside ends it", "/outer/cached/x", page()).get("/outer/cached/x"),
        becomes("inside a cache it ends that", "/caching/kept/x", "/seen/caching/kept/x", page()),
        case("and answers are not cached there")
            .get("/caching/kept/y")
            .get("/caching/kept/y")
            .origin(page())
            .origin(page()),
    ]
}

fn mirrored() -> [Case; 3] {
    let page = || answer(200).field("Last-Modified", CHANGED).body("a page");
    [
        case("through a named location")
            .get("/mirror/x")
            .until("/kept/mirror/x", "200 OK")
            .get("/mirror/x")
            .origin(page()),
        case("through another path")
            .get("/images/x")
            .until("/kept/images/x", "200 OK")
            .get("/images/x")
            .origin(page()),
        case("what is missing everywhere is asked for again")
            .get("/mirror/never")
            .get("/mirror/never")
            .origin(answer(404).body("no"))
            .origin(answer(404).body("no")),
    ]
}
