//! Which fields of an origin's answer reach the client, which are obeyed, and which the configuration adds: hiding and
//! passing, `X-Accel-*`, intercepted errors, trailers, and the `$upstream_*` variables.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn fields_of_answers() {
    compare(&group());
}

/// The first server is for fields, `levels` for inheritance, `errors` for pages in an error's place.
pub fn group() -> Group {
    let cache = "proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%;";
    let conf = http(&[&FIELDS.replace("CACHE", cache), LEVELS, ERRORS].concat());
    Group::new("answer fields", conf)
        .cases(hidden())
        .cases(accelerated())
        .cases(ignored())
        .cases(intercepted())
        .cases(trailers())
        .cases(variables())
}

const FIELDS: &str = r#"
    proxy_cache_path cache keys_zone=zone:1m;
    log_format tries '$upstream_addr|$upstream_status|$upstream_response_length|$upstream_http_x_a|$upstream_cookie_c|$upstream_cache_status';
    log_format trailers '$status "$sent_trailer_x_a" "$sent_trailer_x_b"';
    upstream two { server %CLOSED% max_fails=0; server %ORIGIN% max_fails=0; }
    server {
        listen 127.0.0.1:%PORT%;
        location /moved/ { internal; proxy_pass http://%ORIGIN:b%; }
        location /memory/ { internal; add_header X-Memory "$upstream_status $upstream_http_x_a" always; return 200 memory; }
        location @named { return 200 "named $uri $upstream_status"; }
        location /follow/ { proxy_pass http://%ORIGIN%; }
        location /stay/ { proxy_ignore_headers X-Accel-Redirect X-Accel-Buffering X-Accel-Limit-Rate; proxy_pass http://%ORIGIN%; }
        location /pass-all/ {
            proxy_pass_header X-Accel-Redirect; proxy_pass_header X-Accel-Limit-Rate; proxy_pass_header x-accel-buffering;
            proxy_ignore_headers X-Accel-Redirect; proxy_pass http://%ORIGIN%;
        }
        location /force/ { proxy_force_ranges on; proxy_pass http://%ORIGIN%; }
        location /trailer/ {
            access_log access.log trailers;
            add_trailer X-A "a $status"; add_trailer X-B "$upstream_status" always; add_trailer X-C $arg_none;
            proxy_pass http://%ORIGIN%;
        }
        location /trailer-own/ { add_trailer X-A own; return 200 body; }
        location /tries/ { access_log access.log tries; proxy_pass http://two; }
        location /chain/ {
            access_log access.log tries; proxy_intercept_errors on; error_page 404 /tries/x; error_page 503 @chain;
            proxy_pass http://%ORIGIN:b%;
        }
        location @chain { access_log access.log tries; proxy_pass http://two; }
        location /shown/ {
            add_header X-Shown "$upstream_status|$upstream_http_x_a|$upstream_http_set_cookie|$upstream_cookie_c|$upstream_http_none" always;
            proxy_pass http://%ORIGIN%;
        }
        location /expires/ { proxy_ignore_headers Expires; CACHE }
        location /control/ { proxy_ignore_headers Cache-Control; CACHE }
        location /accel/ { proxy_ignore_headers X-Accel-Expires; CACHE }
        location /vary/ { proxy_ignore_headers Vary; CACHE }
        location /cookie/ { proxy_ignore_headers Set-Cookie; CACHE }
        location /obey/ { CACHE }
        location /all/ { proxy_ignore_headers Expires Cache-Control X-Accel-Expires Vary Set-Cookie; CACHE }
    }
"#;

const LEVELS: &str = "
    server {
        listen 127.0.0.1:%PORT:levels%;
        proxy_hide_header X-A; proxy_pass_header Server; proxy_ignore_headers X-Accel-Redirect;
        location / { proxy_pass http://%ORIGIN%; }
        location /hide/ { proxy_hide_header X-C; proxy_hide_header Content-Type; proxy_pass http://%ORIGIN%; }
        location /pass/ { proxy_pass_header Date; proxy_pass http://%ORIGIN%; }
        location /both/ { proxy_hide_header Server; proxy_pass_header X-B; proxy_pass http://%ORIGIN%; }
        location /follow/ { proxy_ignore_headers Vary; proxy_pass http://%ORIGIN%; }
    }
";

const ERRORS: &str = r#"
    server {
        listen 127.0.0.1:%PORT:errors%;
        proxy_intercept_errors on;
        error_page 404 /404.html; error_page 500 502 =200 /ok; error_page 503 = /own; error_page 403 http://else.test/x;
        error_page 410 @proxied; error_page 301 /moved; error_page 429 =599 /429; error_page 401 /401;
        location / { proxy_pass http://%ORIGIN%; }
        location = /404.html { return 200 "page of $request_uri"; }
        location = /ok { return 200 "instead of $upstream_status"; }
        location = /own { return 503 own; }
        location = /429 { return 200 later; }
        location = /moved { return 200 moved; }
        location = /401 { return 200 login; }
        location @proxied { proxy_pass http://%ORIGIN:b%; }
        location /through/ { proxy_intercept_errors off; proxy_pass http://%ORIGIN%; }
        location /none/ { error_page 418 /404.html; proxy_pass http://%ORIGIN%; }
        location /closed/ { proxy_pass http://%CLOSED%; }
        location /closed-through/ { proxy_intercept_errors off; proxy_pass http://%CLOSED%; }
        location /chain/ { error_page 404 /chain-2/; proxy_pass http://%ORIGIN%; }
        location /chain-2/ { error_page 500 /404.html; proxy_pass http://%ORIGIN:b%; }
        location /recursive/ { recursive_error_pages on; error_page 404 /recursive-2/; proxy_pass http://%ORIGIN%; }
        location /recursive-2/ { recursive_error_pages on; error_page 500 /404.html; proxy_pass http://%ORIGIN:b%; }
    }
"#;

fn from(name: &'static str, path: &str, reply: Reply) -> Case {
    case(name).origin(reply).get(path)
}

fn hidden() -> Vec<Case> {
    let full = || {
        ["X-A", "X-B", "X-C", "Server", "Content-Type"]
            .into_iter()
            .fold(answer(200), |reply, name| reply.field(name, "some"))
            .field("Date", "Tue, 14 Nov 2023 22:13:20 GMT")
            .field("X-Accel-Redirect", "/x")
            .body("x")
    };
    [
        ("lists of the server", "/a"),
        ("a list of its own hides its fields only", "/hide/a"),
        ("a list of its own passes its fields only", "/pass/a"),
        ("hidden and passed at different levels", "/both/a"),
        ("ignored fields from outside", "/stay"),
    ]
    .into_iter()
    .map(|(name, path)| case(name).on("levels").origin(full()).get(path))
    .collect()
}

fn accelerated() -> Vec<Case> {
    let led = |name, to: &str| {
        let reply = answer(201)
            .field("X-A", "1")
            .field("X-Accel-Redirect", to)
            .field("Content-Type", "a/b")
            .field("Set-Cookie", "c=1")
            .field("Cache-Control", "private")
            .field("Content-Disposition", "attachment")
            .field("ETag", "\"gone\"")
            .field("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
            .body("gone");
        from(name, "/follow/a?b", reply)
    };
    let moved = || answer(200).field("X-A", "2").field("Set-Cookie", "d=2").body("moved");
    vec![
        led("to a path that is proxied", "/moved/x?y").origin_b(moved()),
        led("to a path in memory", "/memory/x"),
        led("to a named location", "@named"),
        led("to no location that there is", "@nothing"),
        led("out of what is served", "/../x"),
        led("to an escaped path", "/memory/%20x"),
        case("of a POST")
            .origin(answer(200).field("X-Accel-Redirect", "/moved/x").body(""))
            .origin_b(moved())
            .request("POST /follow/a HTTP/1.1", &["Content-Length: 4"], "body"),
        case("of a HEAD")
            .origin(answer(200).field("X-Accel-Redirect", "/moved/x").body(""))
            .origin_b(answer(200).declared(5))
            .head("/follow/a"),
        from("ignored", "/stay/a", answer(200).field("X-Accel-Redirect", "/moved/x").body("stays")),
        from(
            "passed and ignored",
            "/pass-all/a",
            answer(200)
                .field("X-Accel-Redirect", "/moved/x")
                .field("X-Accel-Limit-Rate", "0")
                .field("X-Accel-Buffering", "no")
                .body("stays"),
        ),
        from("hidden by default", "/stay/b", {
            ["Limit-Rate", "Buffering", "Expires"]
                .into_iter()
                .fold(answer(200), |reply, name| reply.field(&format!("X-Accel-{name}"), "0"))
                .body("x")
        }),
        from("not of our own", "/stay/c", answer(200).field("X-Accel-Other", "0").body("x")),
        case("ranges are forced")
            .origin(answer(200).body("0123456789"))
            .get_with("/force/a", &["Range: bytes=2-4"]),
        case("ranges are forced though the origin has none")
            .origin(answer(200).field("Accept-Ranges", "none").body("0123456789"))
            .get_with("/force/b", &["Range: bytes=-3"]),
        case("ranges are forced upon chunks")
            .origin(answer(200).until_close("0123456789"))
            .get_with("/force/c", &["Range: bytes=2-4"]),
        case("no range of an error")
            .origin(answer(404).body("0123456789"))
            .get_with("/force/d", &["Range: bytes=2-4"]),
    ]
}

/// Whether an answer is stored tells whether a field was obeyed.
fn ignored() -> Vec<Case> {
    let fields = [
        ("Expires: 0", "Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Cache-Control: no-store", "Cache-Control", "no-store"),
        ("X-Accel-Expires: 0", "X-Accel-Expires", "0"),
        ("Vary: *", "Vary", "*"),
        ("Set-Cookie", "Set-Cookie", "c=1"),
    ];
    let mut cases = Vec::new();
    for (name, field, value) in fields {
        for location in ["expires", "control", "accel", "vary", "cookie", "obey", "all"] {
            let reply = |body: &str| answer(200).field(field, value).body(body);
            let path = format!("/{location}/{field}");
            cases.push(case(name).origin(reply("one")).origin(reply("two")).get(&path).get(&path));
        }
    }
    cases
}

fn intercepted() -> Vec<Case> {
    let of = |name, path: &str, status| {
        case(name)
            .on("errors")
            .origin(
                answer(status).field("X-A", "1").field("WWW-Authenticate", "Basic").body("from the origin"),
            )
            .origin_b(answer(500).field("X-A", "2").body("from the second origin"))
            .get(path)
    };
    vec![
        of("a page", "/a", 404),
        of("a page with another status", "/a", 500),
        of("the page's own status", "/a", 503),
        of("a redirect to elsewhere", "/a", 403),
        of("a named location that is proxied", "/a", 410),
        of("a redirect of the origin is a case too", "/a", 301),
        of("an odd status in its place", "/a", 429),
        of("401 keeps what it asks for", "/a", 401),
        of("no page for the status", "/a", 418),
        of("no error", "/a", 200),
        of("not intercepted", "/through/a", 404),
        of("pages of its own only", "/none/a", 404),
        of("an error of our own", "/closed/a", 200),
        of("an error of our own is never the origin's", "/closed-through/a", 200),
        of("the page of a page is not looked for", "/chain/a", 404),
        of("unless recursive", "/recursive/a", 404),
    ]
}

const UNSENT: &str = "a trailer that was not sent has no value";

fn trailers() -> Vec<Case> {
    vec![
        from("added to chunks", "/trailer/a", answer(200).until_close("one")).log(1),
        from("added where a length was known", "/trailer/b", answer(200).body("one")).log(1),
        from("to an error only where always", "/trailer/c", answer(404).body("one")).log(1),
        from("to an empty body", "/trailer/d", answer(200).body("")).log(1),
        case("not to HEAD").origin(answer(200).declared(3)).head("/trailer/e").log(1),
        case("not in HTTP/1.0")
            .origin(answer(200).body("one"))
            .send("GET /trailer/f HTTP/1.0\r\n\r\n")
            .log(1)
            .differs(UNSENT, &["log: 200 \"-\" \"-\""]),
        from("not to 204", "/trailer/g", answer(204).line("X: y"))
            .log(1)
            .differs(UNSENT, &["log: 204 \"-\" \"-\""]),
        from("not to 304", "/trailer/h", answer(304).line("X: y"))
            .log(1)
            .differs(UNSENT, &["log: 304 \"-\" \"-\""]),
        case("to an answer of our own").get("/trailer-own/a"),
        from(
            "trailers of the origin are dropped by default",
            "/follow/t",
            answer(200).field("Transfer-Encoding", "chunked").chunk("one").bytes("0\r\nX-T: 1\r\n\r\n"),
        ),
    ]
}

fn variables() -> Vec<Case> {
    let one = || answer(200).field("X-A", "1").field("Set-Cookie", "c=2; path=/").body("");
    vec![
        case("a list with commas").origin(one()).get("/tries/a").log(1),
        case("a list with a colon").origin_b(answer(404).body("")).origin(one()).get("/chain/a").log(1),
        case("a list with a colon by a named location")
            .origin_b(answer(503).body(""))
            .origin(one())
            .get("/chain/b")
            .log(1),
        from(
            "values are there for fields that are added",
            "/shown/a",
            answer(200)
                .field("X-A", "1")
                .field("X-a", "2")
                .field("Set-Cookie", "b=0")
                .field("Set-Cookie", "c=3;d")
                .body(""),
        )
        .differs("since 1.23 all fields of a name are joined", &["< X-Shown: 200|1, 2|b=0, c=3;d|3|"]),
        from("values that are missing", "/shown/b", answer(404).body("")),
    ]
}
