//! `proxy_redirect`: what clients get of an origin's Location and Refresh.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Conf, answer, http};

#[test]
fn redirects_of_origins() {
    compare(&group());
}

/// One location for each set of rules.
pub fn group() -> Group {
    Group::new("proxy_redirect", conf()).cases(written()).cases(inherited()).cases(fields())
}

const LOCATIONS: &[(&str, &str)] = &[
    ("prefix", "proxy_redirect http://app.test:8000/two/ http://front.test/one/;"),
    ("to-path", "proxy_redirect http://app.test/ /; proxy_redirect https://app.test/ /secure/;"),
    ("to-nothing", "proxy_redirect http://app.test ''; proxy_redirect /from/ /to/;"),
    ("relative", "proxy_redirect http://app.test/ rel/;"),
    ("vars", "proxy_redirect http://app.test:8000/ http://$host:$server_port/;"),
    ("var-from", "proxy_redirect http://$http_x_app/ /found/;"),
    (
        "default-too",
        "proxy_pass http://%ORIGIN%/base/; proxy_redirect default; proxy_redirect http://app.test/ /;",
    ),
    ("regex", r"proxy_redirect ~^(http://[^:]+):\d+(/.+)$ $1$2;"),
    ("regex-any-case", r"proxy_redirect ~*/user/([^/]+)/(.+)$ http://$1.front.test/$2;"),
    ("regex-named", r"proxy_redirect ~^http://(?<sub>[a-z]+)\.app\.test(?<rest>/.*)$ /$sub$rest;"),
    ("regex-part", "proxy_redirect ~app /whole;"),
    (
        "order",
        "proxy_redirect ~^http://a/ /regex/; proxy_redirect http://a/ /prefix/; proxy_redirect http:// /any/;",
    ),
    ("kept-relative", "absolute_redirect off; proxy_redirect http://app.test/ /;"),
    ("no-port", "port_in_redirect off; proxy_redirect http://app.test/ /;"),
    ("named", "server_name_in_redirect on; proxy_redirect http://app.test/ /;"),
    ("off", "proxy_redirect off;"),
];

fn conf() -> Conf {
    let locations: String = LOCATIONS
        .iter()
        .map(|(name, rules)| {
            let pass = if rules.contains("proxy_pass") { "" } else { "proxy_pass http://%ORIGIN%/base/;" };
            format!("location /{name}/ {{ {pass} {rules} }}\n")
        })
        .collect();
    http(&format!(
        "server {{
            listen 127.0.0.1:%PORT%; server_name front.test;
            {locations}
            location ~ ^/by-regex/ {{ proxy_pass http://%ORIGIN%; }}
            location /variable/ {{ set $origin %ORIGIN%; proxy_pass http://$origin; }}
            location = /exact {{ proxy_pass http://%ORIGIN%/other; }}
        }}
        server {{
            listen 127.0.0.1:%PORT:levels%; absolute_redirect off;
            proxy_redirect http://outer.test/ /outer/;
            location / {{ proxy_pass http://%ORIGIN%; }}
            location /default/ {{ proxy_pass http://%ORIGIN%/base/; proxy_redirect default; }}
            location /own/ {{
                proxy_pass http://%ORIGIN%; proxy_redirect http://own.test/ /own/;
                location /own/inner/ {{ proxy_pass http://%ORIGIN%; }}
            }}
            location /off/ {{ proxy_redirect off; proxy_pass http://%ORIGIN%; }}
        }}"
    ))
}

/// The location that the origin gives is the case's name.
fn to(path: &str, locations: &[&'static str]) -> Vec<Case> {
    let of = |to: &&'static str| {
        case(to)
            .origin(answer(302).field("Location", to).body(""))
            .get_with(path, &["X-App: found.test", "Connection: keep-alive"])
    };
    locations.iter().map(of).collect()
}

fn written() -> Vec<Case> {
    [
        to(
            "/prefix/a",
            &["http://app.test:8000/two/x?y#z", "http://app.test:8000/two", "HTTP://app.test:8000/two/x"],
        ),
        to(
            "/to-path/a",
            &["http://app.test/x", "https://app.test/x", "http://app.test", "//app.test/x", "/x"],
        ),
        to("/to-nothing/a", &["http://app.test/x", "http://app.test", "/from/x", "/x"]),
        to("/relative/a", &["http://app.test/x"]),
        to("/vars/a", &["http://app.test:8000/x"]),
        to("/var-from/a", &["http://found.test/x", "http://lost.test/x"]),
        to("/default-too/a", &["http://%ORIGIN%/base/x", "http://app.test/x", "http://%ORIGIN%/x"]),
        to("/regex/a", &["http://app.test:8000/x", "http://app.test/x", "http://app.test:8000/"]),
        to("/regex-any-case/a", &["http://app.test/USER/joe/x/y", "http://app.test/x"]),
        to("/regex-named/a", &["http://www.app.test/x?y", "http://www2.app.test/x"]),
        to("/regex-part/a", &["http://app.test/x"]),
        to("/order/a", &["http://a/x", "http://b/x", "https://b/x"]),
        to("/kept-relative/a", &["http://app.test/x"]),
        to("/no-port/a", &["http://app.test/x"]),
        to("/named/a", &["http://app.test/x"]),
        to("/off/a", &["http://%ORIGIN%/base/x"]),
        to("/by-regex/a", &["http://%ORIGIN%/x", "http://%ORIGIN%"]),
        to("/variable/a", &["http://%ORIGIN%/x"]),
        to("/exact", &["http://%ORIGIN%/other/x", "http://%ORIGIN%/x"]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn inherited() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, path) in [
        ("from outside", "/a"),
        ("the default instead", "/default/a"),
        ("of its own", "/own/a"),
        ("from the location around", "/own/inner/a"),
        ("off", "/off/a"),
    ] {
        for to in ["http://outer.test/x", "http://own.test/x", "http://%ORIGIN%/base/x"] {
            let reply = answer(301).field("Location", to).body("");
            cases.push(case(name).on("levels").origin(reply).get(path));
        }
    }
    cases
}

fn fields() -> Vec<Case> {
    let of = |name, status, field: &str, value: &str| {
        case(name).origin(answer(status).field(field, value).body("x")).get("/to-path/a")
    };
    vec![
        of("Refresh", 200, "Refresh", "5; url=http://app.test/x"),
        of("Refresh in capitals", 200, "REFRESH", "5;URL=http://app.test/x"),
        of("Refresh without a time", 200, "Refresh", "url=http://app.test/x"),
        of("Refresh in quotes", 200, "Refresh", "5; url='http://app.test/x'"),
        of("Refresh of a time alone", 200, "Refresh", "5"),
        of("Refresh to elsewhere", 200, "Refresh", "5; url=http://elsewhere.test/x"),
        of("an empty location", 302, "Location", ""),
        of("a location of a 200", 200, "Location", "http://app.test/x"),
        of("a location of a 201", 201, "Location", "http://app.test/x"),
        of("a location of a 404", 404, "Location", "http://app.test/x"),
        of("Content-Location", 200, "Content-Location", "http://app.test/x"),
        case("of HEAD")
            .origin(answer(302).field("Location", "http://app.test/x").body(""))
            .head("/to-path/a"),
        case("in HTTP/1.0 without a host")
            .origin(answer(302).field("Location", "http://app.test/x").body(""))
            .send("GET /to-path/a HTTP/1.0\r\n\r\n"),
        case("where other fields stand before")
            .origin(
                answer(302)
                    .field("X-A", "1")
                    .field("Location", "http://app.test/x")
                    .field("X-B", "2")
                    .body("x"),
            )
            .get("/to-path/a"),
    ]
}
