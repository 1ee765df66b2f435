//! Answers of the program's own: `return`, `error_page`, `add_header`, `expires`.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::servers;

#[test]
fn answers_of_its_own() {
    compare(&group());
}

/// One location for each form.
const LOCATIONS: &str = r#"root html; server_name named.test;
        location /code/200 { return 200; }
        location /code/201 { return 201 created; }
        location /code/204 { return 204 ignored; }
        location /code/304 { return 304; }
        location /code/400 { return 400; }
        location /code/403 { return 403; }
        location /code/404-text { return 404 "none of that"; }
        location /code/405 { return 405; }
        location /code/410 { return 410; }
        location /code/418 { return 418; }
        location /code/429 { return 429; }
        location /code/494 { return 494; }
        location /code/495 { return 495; }
        location /code/497 { return 497; }
        location /code/499 { return 499; }
        location /code/500 { return 500; }
        location /code/503 { return 503; }
        location /code/507 { return 507; }
        location /code/599 { return 599; }
        location /to/301 { return 301 /there; }
        location /to/302 { return 302 http://elsewhere.test/$uri?$args; }
        location /to/303 { return 303 /there; }
        location /to/307 { return 307 /there; }
        location /to/308 { return 308 /there; }
        location /to/url { return http://elsewhere.test/; }
        location /to/relative { absolute_redirect off; return 301 /there; }
        location /to/named { server_name_in_redirect on; return 301 /there; }
        location /to/portless { port_in_redirect off; return 301 /there; }
        location /type { default_type application/json; return 200 "{}"; }
        location /quiet { server_tokens off; return 404; }

        location /page/uri { error_page 404 /error.html; return 404; }
        location /page/changed { error_page 404 =200 /error.html; return 404; }
        location /page/own { error_page 404 = /made; return 404; }
        location /page/away { error_page 404 http://elsewhere.test/sorry; return 404; }
        location /page/away301 { error_page 404 =301 http://elsewhere.test/sorry; return 404; }
        location /page/several { error_page 403 404 410 =402 /error.html; return 410; }
        location /page/missing { error_page 404 /not-there.html; return 404; }
        location /page/named { error_page 500 @named; return 500; }
        location /page/file { error_page 404 /error.html; }
        location /page/redirect { error_page 301 =200 /made; return 301 /there; }
        location /page/variable { error_page 404 /error$arg_x.html; return 404; }
        location /made { return 203 "made for $uri"; }
        location @named { return 200 "named for $uri"; }

        location /added/ {
            add_header X-A 1; add_header X-B "uri=$uri"; add_header X-Empty ""; add_header X-A 2;
            add_header X-Always yes always;
            return 200 added;
            location /added/404 { return 404; }
            location /added/inner { add_header X-C 3; return 200 inner; }
            location /added/206 { return 206 part; }
            location /added/202 { return 202 accepted; }
            location /added/302 { return 302 /; }
        }
        location /added-own { add_header Content-Language en; add_header Cache-Control no-transform; return 200 own; }
        location /added-validators { add_header Last-Modified "Tue, 14 Nov 2023 22:13:20 GMT"; return 200 own; }
        location /expires/time { expires 1h; return 200 x; }
        location /expires/days { expires 30d; return 200 x; }
        location /expires/negative { expires -1; return 200 x; }
        location /expires/epoch { expires epoch; return 200 x; }
        location /expires/max { expires max; return 200 x; }
        location /expires/zero { expires 0; return 200 x; }
        location /expires/404 { expires 1h; return 404; }
        location /expires/modified { alias html/error.html; expires modified +1h; }
        location /expires/added { expires 1h; add_header Cache-Control public; return 200 x; }"#;

/// Asks each of [`LOCATIONS`].
pub fn group() -> Group {
    let conf = servers(LOCATIONS)
        .file("html/error.html", "<p>an error</p>")
        .file("html/errorx.html", "<p>error x</p>");
    Group::new("answers", conf).cases(codes()).cases(redirects()).cases(pages()).cases(fields())
}

fn codes() -> Vec<Case> {
    vec![
        case("200 without text").get("/code/200"),
        case("201 with text").get("/code/201"),
        case("204 has no body").get("/code/204").get("/code/200"),
        case("304 has no body").get("/code/304").get("/code/200"),
        case("400 closes the connection").get("/code/400"),
        case("403").get("/code/403"),
        case("404 with text").get("/code/404-text"),
        case("405").get("/code/405"),
        case("410").get("/code/410"),
        case("418 has no phrase").get("/code/418"),
        case("429").get("/code/429"),
        case("494").get("/code/494"),
        case("495").get("/code/495"),
        case("497").get("/code/497"),
        case("499").get("/code/499"),
        case("500 closes the connection").get("/code/500"),
        case("503").get("/code/503"),
        case("507").get("/code/507"),
        case("599 has no phrase").get("/code/599"),
        case("HEAD of an error").head("/code/404-text"),
        case("HEAD of an error page of the program").head("/code/403"),
        case("the type is the default type").get("/type"),
        case("no version in error pages").get("/quiet"),
    ]
}

fn redirects() -> Vec<Case> {
    vec![
        case("301 to a path").get("/to/301"),
        case("301 with the client's host").send("GET /to/301 HTTP/1.1\r\nHost: example.test\r\n\r\n"),
        case("301 with the client's host and port")
            .send("GET /to/301 HTTP/1.1\r\nHost: example.test:99\r\n\r\n"),
        case("301 without a host").send("GET /to/301 HTTP/1.0\r\n\r\n"),
        case("302 to a URL with variables").get("/to/302?a=b"),
        case("303").get("/to/303"),
        case("307").get("/to/307"),
        case("308").get("/to/308"),
        case("a URL alone is 302").get("/to/url"),
        case("a relative redirect").get("/to/relative"),
        case("a redirect to the server's name").get("/to/named"),
        case("a redirect without the port").get("/to/portless"),
        case("HEAD of a redirect").head("/to/301"),
    ]
}

fn pages() -> Vec<Case> {
    vec![
        case("an error page by path").get("/page/uri"),
        case("HEAD of an error page by path").head("/page/uri"),
        case("POST gets the error page").request("POST /page/uri HTTP/1.1", &["Content-Length: 1"], "x"),
        case("another status").get("/page/changed"),
        case("the status of the page itself").get("/page/own"),
        case("a URL is a redirect").get("/page/away"),
        case("a URL with a status").get("/page/away301"),
        case("one page for several errors").get("/page/several"),
        case("an error page that is missing").get("/page/missing"),
        case("a named location").get("/page/named"),
        case("a page for a missing file").get("/page/file"),
        case("a page for a redirect").get("/page/redirect"),
        case("a page with a variable").get("/page/variable?x=x"),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        case("added fields").get("/added/"),
        case("added to an error only where always").get("/added/404"),
        case("an inner level replaces all").get("/added/inner"),
        case("added to 206").get("/added/206"),
        case("not added to 202").get("/added/202"),
        case("added to a redirect").get("/added/302"),
        case("added Cache-Control").get("/added-own"),
        case("added Last-Modified")
            .get_with("/added-validators", &["If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"]),
        case("expires in an hour").get("/expires/time"),
        case("expires in thirty days").get("/expires/days"),
        case("expired").get("/expires/negative"),
        case("expires at the epoch").get("/expires/epoch"),
        case("expires never").get("/expires/max"),
        case("expires at once").get("/expires/zero"),
        case("errors do not expire").get("/expires/404"),
        case("expires after the change").get("/expires/modified"),
        case("expires with more Cache-Control").get("/expires/added"),
    ]
}
