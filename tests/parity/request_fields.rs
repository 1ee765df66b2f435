//! `proxy_set_header`: fields with a meaning of their own, lists by level, and what a client's fields become.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn fields_that_are_set_for_origins() {
    compare(&group());
}

const SERVERS: &str = r#"proxy_set_header X-From http; proxy_headers_hash_max_size 1024; proxy_headers_hash_bucket_size 128;
        server {
            listen 127.0.0.1:%PORT%; server_name inherits.test;
            location / { proxy_pass http://%ORIGIN%; }
            location /none/ { proxy_set_header X-Own location; proxy_pass http://%ORIGIN%; }
            location /outer/ {
                proxy_set_header X-Outer outer;
                location /outer/same/ { proxy_pass http://%ORIGIN%; }
                location /outer/other/ { proxy_set_header X-Inner inner; proxy_pass http://%ORIGIN%; }
            }
        }
        server {
            listen 127.0.0.1:%PORT%; server_name replaces.test;
            proxy_set_header X-From server; proxy_set_header X-Second second;
            location / { proxy_pass http://%ORIGIN%; }
            location /empty/ { proxy_set_header X-From ""; proxy_pass http://%ORIGIN%; }
        }
        server {
            listen 127.0.0.1:%PORT%; server_name special.test;
            location /host-empty/ { proxy_set_header Host ""; proxy_pass http://%ORIGIN%; }
            location /host-twice/ { proxy_set_header Host a; proxy_set_header host b; proxy_pass http://%ORIGIN%; }
            location /host-text/ { proxy_set_header Host "app.test:$proxy_port"; proxy_pass http://%ORIGIN%; }
            location /host-args/ { proxy_set_header Host $arg_host; proxy_pass http://%ORIGIN%; }
            location /connection-empty/ { proxy_set_header Connection ""; proxy_pass http://%ORIGIN%; }
            location /connection-own/ { proxy_set_header Connection $http_connection; proxy_pass http://%ORIGIN%; }
            location /connection-modern/ { proxy_http_version 1.1; proxy_pass http://%ORIGIN%; }
            location /length-own/ { proxy_set_header Content-Length $content_length; proxy_pass http://%ORIGIN%; }
            location /type/ { proxy_set_header Content-Type text/own; proxy_pass http://%ORIGIN%; }
            location /te/ { proxy_http_version 1.1; proxy_set_header TE $http_te; proxy_set_header Connection te; proxy_pass http://%ORIGIN%; }
            location /expect/ { proxy_set_header Expect $http_expect; proxy_pass http://%ORIGIN%; }
            location /keep-alive/ { proxy_set_header Keep-Alive $http_keep_alive; proxy_pass http://%ORIGIN%; }
            location /upgrade/ { proxy_set_header Upgrade $http_upgrade; proxy_pass http://%ORIGIN%; }
            location /twice/ { proxy_set_header X-A one; proxy_set_header X-A two; proxy_pass http://%ORIGIN%; }
            location /twice-empty/ { proxy_set_header X-A ""; proxy_set_header X-A two; proxy_pass http://%ORIGIN%; }
            location /no-variable/ { proxy_set_header X-A $arg_none; proxy_pass http://%ORIGIN%; }
            location /spaces/ { proxy_set_header X-A "  inside  "; proxy_pass http://%ORIGIN%; }
            location /quotes/ { proxy_set_header X-A '"quoted" \'single\' back\\slash'; proxy_pass http://%ORIGIN%; }
            location /names/ { proxy_set_header x-UPPER-lower kept; proxy_pass http://%ORIGIN%; }
            location /cookie/ { proxy_set_header Cookie "own=$cookie_a"; proxy_pass http://%ORIGIN%; }
            location /authorization/ { proxy_set_header Authorization ""; proxy_pass http://%ORIGIN%; }
            location /conditions/ { proxy_set_header If-Modified-Since ""; proxy_set_header Range ""; proxy_pass http://%ORIGIN%; }
            location /forwarded/ { proxy_set_header X-Forwarded-For "$remote_addr, $http_x_forwarded_for"; proxy_pass http://%ORIGIN%; }
            location /no-fields/ { proxy_pass_request_headers off; proxy_set_header X-A $http_x_a; proxy_pass http://%ORIGIN%; }
            location /everything/ { proxy_pass http://%ORIGIN%; }
        }"#;

/// Asks a server by its name.
fn asked(name: &'static str, host: &str, path: &str, lines: &[&str]) -> Case {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    case(name)
        .origin(answer(200).body("seen"))
        .send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"))
}

fn special(name: &'static str, path: &str, lines: &[&str]) -> Case {
    asked(name, "special.test", path, lines)
}

/// Asks for each location.
pub fn group() -> Group {
    Group::new("fields for origins", http(SERVERS)).cases(lists()).cases(connection()).cases(others())
}

fn lists() -> [Case; 7] {
    [
        asked("the list of http", "inherits.test", "/", &["X-From: client"]),
        asked("a location's list replaces that of http", "inherits.test", "/none/", &["X-From: client"]),
        asked("an inner location takes the outer one's list", "inherits.test", "/outer/same/", &[]),
        asked("an inner location replaces it", "inherits.test", "/outer/other/", &["X-Outer: client"]),
        asked("a server's list replaces that of http", "replaces.test", "/", &["X-From: client"]),
        asked("an empty value replaces the list too", "replaces.test", "/empty/", &["X-From: client"]),
        asked(
            "and what it replaced comes from the client again",
            "replaces.test",
            "/empty/",
            &["X-Second: c"],
        ),
    ]
}

fn connection() -> [Case; 14] {
    [
        special("an empty host is not sent", "/host-empty/", &[]),
        special("two hosts are sent", "/host-twice/", &[]),
        special("a host of text and variables", "/host-text/", &[]),
        special("a host by argument", "/host-args/?host=arg.test", &[]),
        special("a host by argument that is not there", "/host-args/", &[]),
        special("no Connection", "/connection-empty/", &["Connection: keep-alive"]),
        special("the client's Connection", "/connection-own/", &["Connection: keep-alive"]),
        special("the client's Connection that is not there", "/connection-own/", &[]),
        special("Connection in HTTP/1.1", "/connection-modern/", &["Connection: keep-alive"]),
        special("TE is sent where told", "/te/", &["TE: trailers"]),
        special("Expect is sent where told", "/expect/", &["Expect: gold"]),
        special("Keep-Alive is sent where told", "/keep-alive/", &["Keep-Alive: 300"]),
        special("Upgrade is sent where told", "/upgrade/", &["Upgrade: h2c"]),
        special(
            "what concerns the client's connection is left out",
            "/everything/",
            &["Keep-Alive: 300", "TE: trailers", "Upgrade: h2c", "Proxy-Connection: close", "Trailer: X"],
        ),
    ]
}

fn others() -> [Case; 19] {
    let posted = |name, path: &str| {
        case(name).origin(answer(200).body("seen")).send(format!(
            "POST {path} HTTP/1.1\r\nHost: special.test\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello"
        ))
    };
    [
        posted("a length that is set", "/length-own/"),
        posted("a type that is set", "/type/"),
        special("a type that is set without a body", "/type/", &[]),
        special("a length that is set without a body", "/length-own/", &[]),
        special("a field set twice", "/twice/", &["X-A: client"]),
        special("a field set empty and then not", "/twice-empty/", &["X-A: client"]),
        special("a variable without a value", "/no-variable/", &["X-A: client"]),
        special("spaces in a value", "/spaces/", &[]),
        special("quotes in a value", "/quotes/", &[]),
        special("names keep their case", "/names/", &["X-Upper-Lower: client"]),
        special("a cookie of its own", "/cookie/", &["Cookie: a=1; b=2", "Cookie: c=3"]),
        special("a password is kept back", "/authorization/", &["Authorization: Basic YTpi"]),
        special("conditions are kept back", "/conditions/", &["Range: bytes=0-1", "If-Modified-Since: x"]),
        special("a list of forwarders", "/forwarded/", &["X-Forwarded-For: 10.0.0.1"]),
        special("values of fields that are not passed", "/no-fields/", &["X-A: 1", "X-B: 2"]),
        special("fields keep order, case and number", "/everything/", &["b: 1", "A: 2", "B: 3", "a:4"]),
        special("an empty field of the client", "/everything/", &["X-A:", "X-B: "]),
        special("names with an underscore are dropped", "/everything/", &["X_A: 1", "X-B: 2"]),
        special(
            "fields of a cache are passed",
            "/everything/",
            &["Cache-Control: no-cache", "Pragma: no-cache"],
        ),
    ]
}
