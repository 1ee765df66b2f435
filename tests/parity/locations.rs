//! Which location answers, and which server.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::http;

#[test]
fn locations() {
    compare(&group());
}

#[test]
fn server_names() {
    compare(&names());
}

/// Every location answers with its own name.
pub fn group() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%;
            location / { return 200 root; }
            location = / { return 200 exact-root; }
            location = /exact { return 200 exact; }
            location /prefix { return 200 prefix; }
            location /prefix/longer { return 200 longer; }
            location ^~ /images/ { return 200 images; }
            location ~ \.(gif|png)$ { return 200 "regex $1"; }
            location ~* \.JPG$ { return 200 caseless; }
            location ~ ^/first { return 200 first-regex; }
            location ~ ^/first/second { return 200 never; }
            location ~ ^/named/(?<word>[a-z]+) { return 200 "word=$word"; }
            location /outer/ {
                location /outer/inner/ { return 200 inner; }
                location ~ \.txt$ { return 200 nested-regex; }
                location = /outer/exact { return 200 nested-exact; }
                return 200 outer;
            }
            location "/quoted place/" { return 200 quoted; }
            location /enc%C3%A9/ { return 200 never-decoded; }
            location /CaSe { return 200 case; }
            location /to-slash/ { proxy_pass http://%ORIGIN%; }
            location /internal { internal; return 200 internal; }
            location /via-error { error_page 404 = /internal; return 404; }
            location /via-named { error_page 404 = @fallback; return 404; }
            location @fallback { return 200 "fallback for $uri"; }
            location @fallback { return 200 "the second of that name"; }
        }"#
        .replace("%C3%A9", "%%C3%%A9")
        .as_str(),
    );
    Group::new("locations", conf).cases(matched()).cases(special())
}

fn matched() -> [Case; 18] {
    [
        case("the root exactly").get("/"),
        case("anything else").get("/anything"),
        case("an exact match").get("/exact"),
        case("no exact match with a slash").get("/exact/"),
        case("an exact match with arguments").get("/exact?a"),
        case("a prefix").get("/prefix-and-more"),
        case("the longest prefix").get("/prefix/longer/x"),
        case("a regular expression before a prefix").get("/prefix/a.gif"),
        case("a prefix that forbids regular expressions").get("/images/a.gif"),
        case("a capture").get("/x.png"),
        case("case is ignored where asked").get("/x.jpG"),
        case("case is not ignored otherwise").get("/x.GIF"),
        case("the first regular expression").get("/first/second"),
        case("a named capture").get("/named/abc"),
        case("a nested prefix").get("/outer/inner/x"),
        case("a nested regular expression").get("/outer/x.txt"),
        case("a nested exact match").get("/outer/exact"),
        case("a block with nested ones").get("/outer/else"),
    ]
}

fn special() -> [Case; 10] {
    [
        case("the decoded path is matched").get("/%65xact"),
        case("the merged path is matched").get("//prefix//longer"),
        case("a name with a space").get("/quoted%20place/x"),
        case("a prefix is matched with its case").get("/case"),
        case("a slash is added before a proxy").get("/to-slash"),
        case("a slash is added before a proxy, with arguments").get("/to-slash?a=b&c"),
        case("a POST is redirected the same way").request(
            "POST /to-slash HTTP/1.1",
            &["Content-Length: 0"],
            "",
        ),
        case("an internal location from outside").get("/internal"),
        case("an internal location from inside").get("/via-error"),
        case("a named location").get("/via-named"),
    ]
}

/// Every server answers with its own name.
pub fn names() -> Group {
    let conf = http(
        r#"server { listen 127.0.0.1:%PORT%; server_name first.test; location / { return 200 "first $server_name $host"; } }
        server {
            listen 127.0.0.1:%PORT% default_server; server_name _;
            location / { return 200 "default $server_name $host"; }
        }
        server { listen 127.0.0.1:%PORT%; server_name exact.test www.exact.test; location / { return 200 "exact $server_name"; } }
        server { listen 127.0.0.1:%PORT%; server_name *.wild.test; location / { return 200 "leading $host"; } }
        server { listen 127.0.0.1:%PORT%; server_name .dotted.test; location / { return 200 "dotted $host"; } }
        server { listen 127.0.0.1:%PORT%; server_name mail.*; location / { return 200 "trailing $host"; } }
        server {
            listen 127.0.0.1:%PORT%; server_name ~^(?<user>[a-z]+)\.users\.test$;
            location / { return 200 "regex $user $1"; }
        }
        server { listen 127.0.0.1:%PORT%; server_name ""; location / { return 200 "nameless"; } }
        server { listen 127.0.0.1:%PORT:a%; server_name other.test; location / { return 200 "other port"; } }"#,
    );
    Group::new("server names", conf).cases([
        host("an exact name", "exact.test"),
        host("the second exact name", "www.exact.test"),
        host("a name in upper case", "EXACT.test"),
        host("a name with a port", "exact.test:1234"),
        host("a name with a trailing dot", "exact.test."),
        host("a leading wildcard", "a.b.wild.test"),
        host("a leading wildcard needs a label", "wild.test"),
        host("a dotted name with a label", "x.dotted.test"),
        host("a dotted name by itself", "dotted.test"),
        host("a trailing wildcard", "mail.anywhere.test"),
        host("a regular expression", "alice.users.test"),
        host("a regular expression that does not match", "alice1.users.test"),
        host("an unknown name goes to the default server", "unknown.test"),
        case("no name").send("GET / HTTP/1.0\r\n\r\n"),
        case("the name of the request line wins")
            .send("GET http://exact.test/ HTTP/1.1\r\nHost: first.test\r\n\r\n"),
        case("a port with one server only").on("a").send("GET / HTTP/1.1\r\nHost: exact.test\r\n\r\n"),
    ])
}

fn host(name: &'static str, host: &str) -> Case {
    case(name).send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}
