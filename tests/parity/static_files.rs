//! Files: types, index, validators, conditions, ranges.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Conf, servers};

const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";
const AFTER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";
/// nginx closes a connection after 412, though it says that it keeps it.
const KEPT: &str = "a connection that is said to be kept is kept after 412 too";
const ETAG: &str = "\"6553f100-1a\"";

#[test]
fn static_files() {
    compare(&group());
}

/// A directory of small files; `letters.txt` holds the alphabet.
pub fn group() -> Group {
    let conf = servers(
        r#"root html; default_type application/octet-stream;
        types { text/html html htm; text/plain txt; text/css css; }
        location / {}
        location /aliased/ { alias html/dir/; }
        location /other-index/ { root html; index missing.htm letters.txt index.html; }
        location /few-ranges/ { alias html/; max_ranges 1; }
        location /no-ranges/ { alias html/; max_ranges 0; }
        location /no-etag/ { alias html/; etag off; }
        location /since-off/ { alias html/; if_modified_since off; }
        location /since-before/ { alias html/; if_modified_since before; }
        location ~ ^/rooted/(.*)$ { alias html/$1; }
        location /plain { types { } default_type text/x-plain; alias html/dir; }"#,
    );
    Group::new("static files", files(conf))
        .cases(found())
        .cases(missing())
        .cases(conditions())
        .cases(ranges())
}

fn files(conf: Conf) -> Conf {
    conf.file("html/index.html", "<p>index</p>\n")
        .file("html/letters.txt", "abcdefghijklmnopqrstuvwxyz")
        .file("html/empty.txt", "")
        .file("html/style.CSS", "a {}")
        .file("html/noext", "no extension")
        .file("html/.hidden.html", "hidden")
        .file("html/a b+c%.txt", "odd name")
        .file("html/dir/index.html", "inner index")
        .file("html/dir/page.html", "page")
        .file("html/bare/file.txt", "no index here")
        .file("html/other-index/letters.txt", "chosen")
        .file("secret.txt", "outside")
}

fn found() -> [Case; 15] {
    [
        case("a text file").get("/letters.txt"),
        case("HEAD of a file").head("/letters.txt"),
        case("an empty file").get("/empty.txt"),
        case("the index of the root").get("/"),
        case("the index of a directory").get("/dir/"),
        case("a later name of the index list").get("/other-index/"),
        case("an extension in upper case").get("/style.CSS"),
        case("no extension").get("/noext"),
        case("a hidden name").get("/.hidden.html"),
        case("an odd name, encoded").get("/a%20b+c%25.txt"),
        case("an alias").get("/aliased/page.html"),
        case("an alias with captures").get("/rooted/letters.txt"),
        case("no types at all").get("/plain/page.html"),
        case("arguments do not matter").get("/letters.txt?a=b"),
        case("two files on one connection").get("/letters.txt").get("/dir/page.html"),
    ]
}

fn missing() -> [Case; 11] {
    [
        case("a missing file").get("/nothing"),
        case("HEAD of a missing file").head("/nothing"),
        case("a directory without a slash").get("/dir"),
        case("a directory without a slash, with arguments").get("/dir?a=b"),
        case("a directory without a slash, encoded").get("/di%72"),
        case("a directory without an index").get("/bare/"),
        case("a file with a slash after it").get("/letters.txt/"),
        case("out of the root").get("/../secret.txt"),
        case("out of the root, encoded").get("/dir/%2e%2e/%2e%2e/secret.txt"),
        case("POST to a file").request("POST /letters.txt HTTP/1.1", &["Content-Length: 0"], ""),
        case("DELETE of a file").request("DELETE /letters.txt HTTP/1.1", &[], ""),
    ]
}

fn conditions() -> Vec<Case> {
    let asked =
        |name, field: &str, value: &str| case(name).get_with("/letters.txt", &[&format!("{field}: {value}")]);
    let etags = format!("\"x\", W/{ETAG}");
    vec![
        asked("not modified since the time itself", "If-Modified-Since", MODIFIED),
        asked("modified since an earlier time", "If-Modified-Since", BEFORE),
        asked("exact comparison: modified since a later time", "If-Modified-Since", AFTER),
        asked("a time in RFC 850's form", "If-Modified-Since", "Tuesday, 14-Nov-23 22:13:20 GMT"),
        asked("a time in asctime's form", "If-Modified-Since", "Tue Nov 14 22:13:20 2023"),
        asked("a time that is none", "If-Modified-Since", "yesterday"),
        asked("unmodified since the time itself", "If-Unmodified-Since", MODIFIED),
        asked("unmodified since an earlier time fails", "If-Unmodified-Since", BEFORE)
            .differs(KEPT, &["connection: kept"]),
        asked("the ETag matches", "If-None-Match", ETAG),
        asked("a weak ETag in a list matches", "If-None-Match", &etags),
        asked("another ETag", "If-None-Match", "\"x\""),
        asked("any ETag", "If-None-Match", "*"),
        asked("If-Match holds", "If-Match", ETAG),
        asked("If-Match of a weak ETag fails", "If-Match", &format!("W/{ETAG}"))
            .differs(KEPT, &["connection: kept"]),
        asked("If-Match fails", "If-Match", "\"x\"").differs(KEPT, &["connection: kept"]),
        asked("If-Match of anything holds", "If-Match", "*"),
        case("the ETag decides before the time")
            .get_with("/letters.txt", &["If-None-Match: \"x\"", &format!("If-Modified-Since: {MODIFIED}")]),
        case("conditions are off")
            .get_with("/since-off/letters.txt", &[&format!("If-Modified-Since: {MODIFIED}")]),
        case("conditions by before")
            .get_with("/since-before/letters.txt", &[&format!("If-Modified-Since: {AFTER}")]),
        case("no ETag").get("/no-etag/letters.txt"),
        case("HEAD with a condition").request(
            "HEAD /letters.txt HTTP/1.1",
            &[&format!("If-Modified-Since: {MODIFIED}")],
            "",
        ),
    ]
}

fn ranges() -> Vec<Case> {
    let asked = |name, range: &str| case(name).get_with("/letters.txt", &[&format!("Range: {range}")]);
    let with = |name, line: String| case(name).get_with("/letters.txt", &["Range: bytes=0-1", &line]);
    vec![
        asked("the first bytes", "bytes=0-4"),
        asked("one byte", "bytes=25-25"),
        asked("from a place to the end", "bytes=20-"),
        asked("the last bytes", "bytes=-3"),
        asked("more last bytes than there are", "bytes=-100"),
        asked("an end beyond the end", "bytes=20-100"),
        asked("a start beyond the end", "bytes=26-30"),
        asked("no last bytes", "bytes=-0"),
        asked("a range backwards", "bytes=5-4"),
        asked("several ranges", "bytes=0-1,5-6, 24-"),
        asked("several ranges, one beyond the end", "bytes=0-1,100-200"),
        asked("several ranges, all beyond the end", "bytes=100-200,300-"),
        asked("overlapping ranges", "bytes=0-5,3-8"),
        asked("ranges that ask for more than the file", "bytes=0-,0-,0-"),
        asked("spaces around ranges", "bytes= 0 - 1 , 3 - 4"),
        asked("an empty range", "bytes="),
        asked("a range that is no number", "bytes=a-b"),
        asked("a trailing comma", "bytes=0-1,"),
        asked("another unit", "lines=0-4"),
        asked("a unit in upper case", "BYTES=0-4"),
        asked("a number beyond 64 bits", "bytes=0-99999999999999999999"),
        with("If-Range with the ETag", format!("If-Range: {ETAG}")),
        with("If-Range with another ETag", "If-Range: \"x\"".to_owned()),
        with("If-Range with the time", format!("If-Range: {MODIFIED}")),
        with("If-Range with another time", format!("If-Range: {AFTER}")),
        case("HEAD with a range").request("HEAD /letters.txt HTTP/1.1", &["Range: bytes=0-1"], ""),
        case("a range of an empty file").get_with("/empty.txt", &["Range: bytes=0-1"]),
        case("at most one range").get_with("/few-ranges/letters.txt", &["Range: bytes=0-1,4-5"]),
        case("no ranges").get_with("/no-ranges/letters.txt", &["Range: bytes=0-1"]),
        case("several ranges from HTTP/1.0").request(
            "GET /letters.txt HTTP/1.0",
            &["Range: bytes=0-1,5-6"],
            "",
        ),
    ]
}
