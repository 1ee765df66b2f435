//! Expressions that need more steps than they are given: what holds then.

use super::{
    case::{Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn expressions_that_give_up() {
    compare(&group());
}

/// More than `^((a+)+)$` can make anything of.
const HOPELESS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";

/// Why a cookie is not there.
const UNFLAGGED: &str = "a cookie whose flags nobody knows goes to nobody";

/// Rules whose first expression gives up, with others behind it that would match.
pub fn group() -> Group {
    let conf = http(
        r##"map $arg_a $mapped { default "the default"; ~^((a+)+)$ first; ~^a second; }
        server { listen 127.0.0.1:%PORT% default_server; return 200 "no name"; }
        server { listen 127.0.0.1:%PORT%; server_name ~^((a+)+)$; return 200 "a name"; }
        server { listen 127.0.0.1:%PORT%; server_name ~^aaa; return 200 "another name"; }
        server {
            listen 127.0.0.1:%PORT%; server_name localhost; default_type text/html; access_log access.log;
            location /map { return 200 "[$mapped]"; }
            location /redirect { proxy_redirect ~^((a+)+)$ /first; proxy_redirect ~^a /second; proxy_pass http://%ORIGIN%; }
            location /domain { proxy_cookie_domain ~^((a+)+)$ first; proxy_cookie_domain ~^a second; proxy_pass http://%ORIGIN%; }
            location /path { proxy_cookie_path ~^((a+)+)$ first; proxy_cookie_path ~^a second; proxy_pass http://%ORIGIN%; }
            location /flags { proxy_cookie_flags ~^((a+)+)$ secure; proxy_cookie_flags ~^a httponly; proxy_pass http://%ORIGIN%; }
            location /flags/page { error_page 500 =200 /page; proxy_cookie_flags ~^((a+)+)$ secure; proxy_pass http://%ORIGIN%; }
            location /page { return 200 page; }
            location /text { gzip on; gzip_min_length 0; gzip_types *; gzip_disable ^((a+)+)$; return 200 "a text"; }
            location /pages/ { ssi on; }
        }"##,
    )
    .file("html/pages/a.html", r#"<!--#if expr="$arg_a = /^((a+)+)\$/" -->yes<!--#else -->no<!--#endif -->"#);
    let cookie = |text: String| -> Reply { answer(200).field("Set-Cookie", &text).body("ok") };
    let moved = answer(302).field("Location", HOPELESS).body("");
    let asked = |path: &str| format!("{path}?a={HOPELESS}");
    Group::new("expressions that give up", conf).cases([
        case("of a map").get(&asked("/map")),
        case("of a server's name").send(format!("GET / HTTP/1.1\r\nHost: {}.b\r\n\r\n", "a".repeat(40))),
        case("of proxy_redirect").origin(moved).get("/redirect"),
        case("of proxy_cookie_domain").origin(cookie(format!("q=1; domain={HOPELESS}"))).get("/domain"),
        case("of proxy_cookie_path").origin(cookie(format!("q=1; path={HOPELESS}"))).get("/path"),
        case("of proxy_cookie_flags")
            .origin(cookie(format!("{HOPELESS}=1; path=/")))
            .get("/flags")
            .differs(UNFLAGGED, &["< HTTP/1.1 500 Internal Server Error"]),
        case("of proxy_cookie_flags, with a page")
            .origin(cookie(format!("{HOPELESS}=1")))
            .get("/flags/page")
            .differs(UNFLAGGED, &["< | page"]),
        case("of gzip_disable")
            .get_with("/text", &["Accept-Encoding: gzip", &format!("User-Agent: {HOPELESS}")]),
        case("of a page").get(&asked("/pages/a.html")),
    ])
}
