//! `proxy_cookie_domain`, `proxy_cookie_path` and `proxy_cookie_flags`: what clients get of an origin's cookies.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Conf, answer, http};

#[test]
fn cookies_of_origins() {
    compare(&group());
}

/// One location for each set of rules; `/over/` and `/inner/` show what a level takes from the one around it.
pub fn group() -> Group {
    Group::new("cookies", conf())
        .cases(of_domains())
        .cases(of_paths())
        .cases(of_flags())
        .cases(inherited())
        .cases(stored())
}

const LOCATIONS: &[(&str, &str)] = &[
    ("none", ""),
    ("domain", "proxy_cookie_domain localhost example.org;"),
    ("dotted", "proxy_cookie_domain .localhost .example.org;"),
    ("domain-var", "proxy_cookie_domain www.$http_host $http_host; proxy_cookie_domain $arg_none none;"),
    ("domain-regex", r"proxy_cookie_domain ~\.(?P<second>[-0-9a-z]+\.[a-z]+)$ $second;"),
    ("domain-lists", "proxy_cookie_domain a b; proxy_cookie_domain ~a c; proxy_cookie_domain ~^.(x)$ .$1;"),
    ("domain-empty", "proxy_cookie_domain a \"\"; proxy_cookie_domain b .$arg_none;"),
    ("path", "proxy_cookie_path /two/ /;"),
    ("path-var", "proxy_cookie_path $uri /some$uri;"),
    (
        "path-regex",
        "proxy_cookie_path ~*^/USER/([^/]+) /u/$1; proxy_cookie_path ~^/Group/(?<group>.*)$ /g/$group;",
    ),
    ("path-lists", "proxy_cookie_path /one/ /; proxy_cookie_path / /two/;"),
    ("path-more", "proxy_cookie_path / \"/; HttpOnly; Secure\";"),
    ("put", "proxy_cookie_flags one secure httponly samesite=lax;"),
    ("one-flag", "proxy_cookie_flags one httponly;"),
    ("strict", "proxy_cookie_flags one SameSite=Strict; proxy_cookie_flags two samesite=NONE secure;"),
    ("take", "proxy_cookie_flags one nosecure nohttponly nosamesite;"),
    ("mixed", "proxy_cookie_flags one nosecure samesite=strict;"),
    ("any", "proxy_cookie_flags ~^S secure; proxy_cookie_flags ~ httponly;"),
    (
        "both",
        "proxy_cookie_flags one secure nosecure; proxy_cookie_flags two samesite=lax samesite=strict nosamesite;",
    ),
    ("flag-var", "proxy_cookie_flags $arg_name $arg_flag secure;"),
    ("flag-capture", "proxy_cookie_flags ~^x-(.+)$ $1;"),
    ("first", "proxy_cookie_flags one secure; proxy_cookie_flags one httponly;"),
    ("all", "proxy_cookie_flags one secure; proxy_cookie_domain x y; proxy_cookie_path / /q/;"),
];

fn conf() -> Conf {
    let locations: String = LOCATIONS
        .iter()
        .map(|(name, rules)| format!("location /{name}/ {{ {rules} proxy_pass http://%ORIGIN%; }}\n"))
        .collect();
    http(&format!(
        "proxy_cache_path cache keys_zone=zone:1m;
        server {{
            listen 127.0.0.1:%PORT%;
            {locations}
            location /stored/ {{
                proxy_cache zone; proxy_cache_valid 1h; proxy_ignore_headers Set-Cookie;
                proxy_cookie_path / /$arg_a/; proxy_cookie_flags ~ secure; proxy_pass http://%ORIGIN%;
            }}
        }}
        proxy_cookie_domain outer http; proxy_cookie_path /outer/ /http/; proxy_cookie_flags outer secure;
        server {{
            listen 127.0.0.1:%PORT:levels%;
            proxy_cookie_domain ~^(outer|mid)$ server;
            location / {{ proxy_pass http://%ORIGIN%; }}
            location /off/ {{
                proxy_cookie_domain off; proxy_cookie_path off; proxy_cookie_flags off; proxy_pass http://%ORIGIN%;
            }}
            location /own/ {{
                proxy_cookie_path /own/ /location/; proxy_cookie_flags own httponly; proxy_pass http://%ORIGIN%;
                location /own/inner/ {{ proxy_pass http://%ORIGIN%; }}
            }}
        }}"
    ))
}

/// The cookie is the case's name too.
fn cookies(location: &str, lines: &[&'static str]) -> Vec<Case> {
    let of = |line: &&'static str| {
        case(line)
            .origin(answer(200).field("Set-Cookie", line).body("x"))
            .get(&format!("/{location}/p?{QUERY}"))
    };
    lines.iter().map(of).collect()
}

const QUERY: &str = "name=one&flag=httponly";

fn of_domains() -> Vec<Case> {
    [
        cookies("none", &["a=b;domain=localhost ;  path=/"]),
        cookies(
            "domain",
            &[
                "a=b; domain=localhost",
                "a=b; Domain=.LocalHost; Path=/",
                "a=b;domain=localhost;secure",
                "a=b; domain = localhost ; x",
                "a=b; domain=\"localhost\"",
                "a=b;domain=other;secure",
                "a=b; domain",
                "a=b; domain=",
                "domain=localhost; a=b",
                "a=b;  ; domain=localhost;;x=y=z; ",
                "a; domain=localhost",
                "",
                "=b; domain=localhost",
                "a=b; domain=localhost; domain=localhost",
                "a =b;\tdomain=localhost",
                "a=b; Xdomain=localhost",
                "a=\"b;c\"; domain=localhost",
                "a=b; secure ; domain=localhost",
                "a = b ; domain=localhost",
                "a=b; expires=Wed, 09 Jun 2021 10:18:14 GMT; domain=localhost",
            ],
        ),
        cookies("dotted", &["a=b; domain=localhost", "a=b; domain=.localhost", "a=b; domain=..localhost"]),
        cookies("domain-var", &["a=b; domain=www.localhost", "a=b; domain=.WWW.Localhost", "a=b; domain=;x"]),
        cookies("domain-regex", &["a=b; domain=x.Yy.com", "a=b; domain=.yy.com", "a=b; domain=localhost"]),
        cookies("domain-lists", &["a=b; domain=a", "a=b; domain=xa", "a=b; domain=.x", "a=b; domain=x"]),
        cookies("domain-empty", &["a=b; domain=a; secure", "a=b; domain=b; secure"]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_paths() -> Vec<Case> {
    [
        cookies(
            "path",
            &[
                "a=b; path=/two/x",
                "a=b; PATH=/two",
                "a=b; path=/TWO/x",
                "a=b; Path=/two/;Domain=d",
                "a=b; path",
            ],
        ),
        cookies("path-var", &["a=b; path=/path-var/p/x", "a=b; path=/path-var"]),
        cookies(
            "path-regex",
            &[
                "a=b; path=/user/joe/rest",
                "a=b; path=/Group/x",
                "a=b; path=/group/x",
                "a=b; path=/x/user/joe",
            ],
        ),
        cookies("path-lists", &["a=b; path=/one/x", "a=b; path=/x", "a=b; path=x"]),
        cookies("path-more", &["a=b; path=/; x=y", "a=b; path=/x"]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_flags() -> Vec<Case> {
    [
        cookies(
            "put",
            &[
                "one=1",
                "ONE=1;path=/",
                "two=1",
                "one",
                "onex=1",
                "one=1; secure; Path=/; samesite=None",
                "one=1; httponly=5",
                "one=1; SECURE;HttpOnly;samesite=lax",
                "one=1; SameSite",
            ],
        ),
        cookies("one-flag", &["one=1; HTTPONLY;secure", "one=1 ; path=/", "two=1; one=1"]),
        cookies(
            "strict",
            &["one=1", "two=1", "one=1; SameSite; SAMESITE=none", "two=1; secure; samesite=strict"],
        ),
        cookies(
            "take",
            &[
                "one=1; SameSite=Lax; httponly; secure",
                "one=1;x",
                "one=1; Secure; secure=2; x",
                "two=1; secure",
            ],
        ),
        cookies("mixed", &["one=1; Secure", "one=1; samesite=lax; path=/", "one=1; secure=yes"]),
        cookies("any", &["sess=1", "Sess=1", "other=1", "=1", "none"]),
        cookies("both", &["one=1", "one=1; secure", "two=1"]),
        cookies("both", &["two=1; samesite=x"])
            .into_iter()
            .map(|case| {
                case.differs(
                    "two values of one attribute are one too many",
                    &["Set-Cookie: two=1; SameSite=Strict\n"],
                )
            })
            .collect(),
        cookies("flag-var", &["one=1", "two=1"]),
        cookies("flag-capture", &["x-secure=1", "x-samesite=1", "secure=1"]),
        cookies("first", &["one=1", "one=1; secure;x"]),
        cookies("all", &["one=1; domain=x; path=/", "two=1;path=/", "two=1;domain=z"]),
        vec![
            case("several cookies").get("/all/").origin(
                answer(200)
                    .field("Set-Cookie", "one=1; path=/")
                    .field("X-Between", "yes")
                    .field("set-cookie", "two=2;domain=x")
                    .field("Set-Cookie", "three=3;x")
                    .body(""),
            ),
            case("a field that is no cookie").get("/all/").origin(
                answer(200)
                    .field("Set-Cookie2", "one=1; path=/")
                    .field("X-Set-Cookie", "one=1; path=/")
                    .body(""),
            ),
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn inherited() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, path) in
        [("from outside", "/a"), ("off", "/off/a"), ("of its own", "/own/a"), ("from inside", "/own/inner/a")]
    {
        let reply = [
            "outer=1; domain=outer; path=/outer/",
            "own=1; domain=mid; path=/own/",
            "mid=1; domain=mid; path=/own/outer/",
        ]
        .into_iter()
        .fold(answer(200), |reply, line| reply.field("Set-Cookie", line));
        cases.push(case(name).on("levels").origin(reply.body("x")).get(path));
    }
    cases
}

fn stored() -> Vec<Case> {
    vec![
        case("a stored cookie is changed for each client")
            .origin(answer(200).field("Set-Cookie", "a=1; path=/x").body("x"))
            .get("/stored/1?a=1")
            .get("/stored/1?a=1"),
        case("and a stored answer without one stays as it is")
            .origin(answer(200).field("X", "y").body("x"))
            .get("/stored/2?a=1")
            .get("/stored/2?a=1"),
    ]
}
