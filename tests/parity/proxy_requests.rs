//! What an origin is asked: the URI rules of `proxy_pass`, and the header fields.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, http, servers};

#[test]
fn uris_that_origins_are_asked_for() {
    compare(&uris());
}

#[test]
fn fields_that_origins_are_sent() {
    compare(&fields());
}

/// Locations of every kind, `proxy_pass` with and without a URI.
const URI_SERVERS: &str = r#"upstream backend { server %ORIGIN%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%ORIGIN%; }
            location /api/ { proxy_pass http://backend; }
            location /cut/ { proxy_pass http://backend/; }
            location /blog { proxy_pass http://%ORIGIN%/wordpress/; }
            location /app { proxy_pass http://%ORIGIN%/base; }
            location /glued/ { proxy_pass http://%ORIGIN%/base; }
            location /args/ { proxy_pass http://%ORIGIN%/base?own=1; }
            location = /exact { proxy_pass http://%ORIGIN%/target; }
            location ~ ^/regex/ { proxy_pass http://%ORIGIN%; }
            location ~ ^/capture/(.*)$ { proxy_pass http://%ORIGIN%/found/$1; }
            location ~ ^/capture-args/(.*)$ { proxy_pass http://%ORIGIN%/found/$1$is_args$args; }
            location /whole/ { proxy_pass http://%ORIGIN%$request_uri; }
            location /decoded/ { proxy_pass http://%ORIGIN%$uri; }
            location /group/ { proxy_pass http://$arg_to; }
            location /group-uri/ { proxy_pass http://$arg_to/fixed; }
            location /outer/ {
                proxy_pass http://%ORIGIN%/outside/;
                location /outer/inner/ { proxy_pass http://%ORIGIN%/inside/; }
            }
            location /from-error/ { error_page 404 = /cut/replaced?x=y; return 404; }
            location /from-named/ { error_page 404 = @named; return 404; }
            location @named { proxy_pass http://%ORIGIN%; }
        }"#;

/// Asks each of [`URI_SERVERS`].
pub fn uris() -> Group {
    let conf = http(URI_SERVERS);
    let asked = |name, path| case(name).origin(answer(200).body("seen")).get(path);
    Group::new("proxied URIs", conf).cases([
        asked("everything", "/a/b?c=d"),
        asked("the root", "/"),
        asked("a group, the whole URI is passed", "/api/users?id=10"),
        asked("a group with a slash, the prefix is cut", "/cut/users?id=10"),
        asked("nothing after the prefix", "/cut/"),
        asked("a prefix without a slash", "/blog/my-post"),
        asked("a prefix without a slash, alone", "/blog"),
        asked("a longer name than the prefix", "/blogger"),
        asked("neither has a slash", "/app/x"),
        asked("only the location has a slash", "/glued/x"),
        asked("arguments of the directive", "/args/x"),
        asked("arguments of both", "/args/x?y"),
        asked("an exact location", "/exact?a"),
        asked("a regular expression", "/regex/a?b"),
        asked("a capture", "/capture/a/b"),
        asked("a capture drops the arguments", "/capture/a?b=c"),
        asked("a capture with the arguments", "/capture-args/a?b=c"),
        asked("$request_uri", "/whole/%61/../b?c"),
        asked("$uri", "/decoded/a%20b?c"),
        asked("a group by variable", "/group/x?to=backend"),
        asked("a group by variable, with a URI", "/group-uri/x?to=backend"),
        case("a group that is none").get("/group/x?to=unknown"),
        asked("the outer location", "/outer/x"),
        asked("the inner location", "/outer/inner/x"),
        asked("after an internal redirect", "/from-error/x"),
        asked("in a named location", "/from-named/x%20y?z"),
        asked("encoding stays without a URI", "/a%20b%2Fc%C3%A9%3F"),
        asked("encoding is made anew with a URI", "/cut/a%20b%2Fc%C3%A9%3F%25%23"),
        asked("odd bytes are escaped with a URI", "/cut/<a>\"b\\^`{|}"),
        asked("dots are resolved with a URI", "/cut/a/../b/./c"),
        asked("dots stay without a URI", "/api/a/../b/./c"),
        asked("slashes are merged with a URI", "/cut//a///b"),
        asked("slashes stay without a URI", "//api//a"),
        asked("a fragment is not passed", "/api/a#b"),
        asked("a fragment is not passed with a URI", "/cut/a?c#b"),
        asked("an empty argument list", "/api/a?"),
        asked("an empty argument list with a URI", "/cut/a?"),
        case("an absolute target")
            .origin(answer(200).body("seen"))
            .send("GET http://example.test/api/a%20b?c HTTP/1.1\r\nHost: other\r\n\r\n"),
        case("an absolute target with a URI")
            .origin(answer(200).body("seen"))
            .send("GET http://example.test/cut/a%20b?c HTTP/1.1\r\nHost: other\r\n\r\n"),
    ])
}

/// Every location sends other fields.
const FIELD_LOCATIONS: &str = r#"proxy_set_header X-Outer outer;
        server_name named.test;
        location / { proxy_pass http://%ORIGIN%; }
        location /standard/ {
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_pass http://%ORIGIN%;
        }
        location /host/http { proxy_set_header Host $http_host; proxy_pass http://%ORIGIN%; }
        location /host/proxy { proxy_set_header Host $proxy_host:$proxy_port; proxy_pass http://%ORIGIN%; }
        location /empty/ { proxy_set_header Accept-Encoding ""; proxy_set_header X-A ""; proxy_pass http://%ORIGIN%; }
        location /replace/ { proxy_set_header x-a new; proxy_set_header X-B $http_x_b-$http_x_b; proxy_pass http://%ORIGIN%; }
        location /modern/ { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://%ORIGIN%; }
        location /upgrade/ {
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
            proxy_pass http://%ORIGIN%;
        }
        location /none/ { proxy_pass_request_headers off; proxy_pass http://%ORIGIN%; }
        location /vars/ {
            proxy_set_header X-Vars "$request_method $request_uri $document_uri $query_string $arg_a $cookie_c $content_type
 $content_length $https $server_name $server_addr $server_protocol $is_args $http_user_agent $remote_user";
            proxy_pass http://%ORIGIN%;
        }"#;

/// Asks each of [`FIELD_LOCATIONS`].
pub fn fields() -> Group {
    let conf = servers(FIELD_LOCATIONS);
    let asked = |name, path, lines: &[&str]| -> Case {
        case(name).origin(answer(200).body("seen")).get_with(path, lines)
    };
    Group::new("proxied fields", conf).cases([
        asked("inherited fields", "/", &["X-A: 1"]),
        asked("an inner level replaces the list", "/standard/", &[]),
        asked("X-Forwarded-For is appended to", "/standard/", &["X-Forwarded-For: 10.0.0.1"]),
        asked(
            "two X-Forwarded-For",
            "/standard/",
            &["X-Forwarded-For: 10.0.0.1", "X-A: 1", "X-Forwarded-For: 10.0.0.2"],
        ),
        case("the host without its port")
            .origin(answer(200).body("seen"))
            .send("GET /standard/ HTTP/1.1\r\nHost: Example.TEST:81\r\n\r\n"),
        case("no host at all").origin(answer(200).body("seen")).send("GET /standard/ HTTP/1.0\r\n\r\n"),
        case("the host as sent")
            .origin(answer(200).body("seen"))
            .send("GET /host/http HTTP/1.1\r\nHost: Example.TEST:81\r\n\r\n"),
        asked("the host of the origin", "/host/proxy", &[]),
        asked(
            "empty values remove fields",
            "/empty/",
            &["Accept-Encoding: gzip", "X-A: 1", "x-a: 2", "X-B: 3"],
        ),
        asked("values replace fields", "/replace/", &["X-A: old", "X-B: b", "X-C: c"]),
        asked("HTTP/1.1 with an empty Connection", "/modern/", &["Connection: keep-alive"]),
        asked(
            "Upgrade is passed where configured",
            "/upgrade/",
            &["Upgrade: websocket", "Connection: Upgrade"],
        ),
        asked("no Upgrade, though configured", "/upgrade/", &[]),
        asked("no fields of the client", "/none/", &["X-A: 1", "Cookie: a=b"]),
        asked(
            "variables",
            "/vars/x?a=1&b=2",
            &["Cookie: b=2; c=3", "Content-Type: text/x", "User-Agent: test", "Authorization: Basic YTpi"],
        ),
        asked(
            "conditions and ranges are passed",
            "/",
            &["If-None-Match: \"x\"", "Range: bytes=0-1", "If-Range: \"y\""],
        ),
        asked("Expect is not passed", "/", &["Expect: something"]),
    ])
}
