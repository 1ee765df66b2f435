//! `try_files`, and where errors lead one after another.

use super::{
    case::{Case, Group, case},
    configuration::{Tested, refuse_alike},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn files_are_tried() {
    compare(&files());
}

/// Each location looks for files in its own way.
pub fn files() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%; server_name files.test; root html; index index.html;
            try_files /never /fallback;
            location /plain/ { try_files $uri $uri/ =404; }
            location /status { try_files /none =410; }
            location /status-page { error_page 410 /fallback; try_files /none =410; }
            location /no-content { try_files /none =204; }
            location /to-path { try_files $uri /fallback; }
            location /to-args { try_files $uri /fallback?tried=$uri&$args; }
            location /to-file { try_files $uri /other/b.txt; }
            location /to-name { try_files $uri @named; }
            location /to-nobody { try_files $uri @nobody; }
            location /to-proxy { try_files $uri @proxied; }
            location /twice { try_files /none /twice-more; }
            location /twice-more { try_files /none-either /fallback; }
            location /cycle { try_files /none /cycle; }
            location /fixed { try_files /none /plain/a.txt /fallback; }
            location /fixed-dir { try_files /plain/sub/ /fallback; }
            location /dir-as-file { try_files /plain/sub /fallback; }
            location /file-as-dir { try_files /plain/a.txt/ /fallback; }
            location /names { try_files /plain/$arg_name.txt /plain/${arg_name}s.txt /fallback; }
            location /passes { try_files $uri $uri/ /fallback; proxy_pass http://%ORIGIN%; }
            location /maps/ { try_files /plain/a.txt /fallback; proxy_pass http://%ORIGIN%/target/; }
            location /returns { try_files $uri /fallback; return 200 returned; }
            location /rewrites { rewrite ^ /plain/a.txt break; try_files $uri /fallback; }
            location /condition { if ($arg_a) { set $a 1; } try_files /plain/a.txt /fallback; }
            location /outer { try_files /plain/a.txt /fallback; location /outer/inner { } }
            location ~ ^/regex/(.*)$ { try_files /plain/$1 /plain/$1.txt /fallback; }
            location ~ ^/typed/(?<file>.*)$ { default_type text/x-typed; try_files /plain/$file =404; }
            location /own-root { root html/plain; try_files $uri /a.txt; }
            location = /a.txt { return 200 "not the file"; }
            location /aliased/ { alias html/plain/; try_files $uri $uri/ /aliased/a.txt; }
            location /aliased-fixed/ { alias html/plain/; try_files a.txt /fallback; }
            location /aliased-other/ { alias html/plain/; try_files $uri /fallback; }
            location ~ ^/alias-regex/(.*)$ { alias html/plain/; try_files $1 $1.txt /fallback; }
            location ~ ^/alias-dir/(.*)$ { alias html/plain/$1; try_files "" / /fallback; }
            location /other/ { }
            location @named { return 200 "named [$uri][$args]"; }
            location @proxied { proxy_pass http://%ORIGIN%; }
            location /fallback { return 200 "fallback [$uri][$args][$request_uri]"; }
        }"#,
    )
    .file("html/plain/a.txt", "a text")
    .file("html/plain/bs.txt", "several b")
    .file("html/plain/sub/index.html", "an index")
    .file("html/plain/bare/x", "x")
    .file("html/other/b.txt", "b text")
    .file("html/to-path/x", "x")
    .file("html/passes/a", "a file")
    .file("html/outer/inner", "inner");
    Group::new("try_files", conf).cases(TRIED.map(|(name, path)| case(name).get(path))).cases(proxied())
}

/// What is asked for, by name.
const TRIED: [(&str, &str); 48] = [
    ("outside of all locations", "/elsewhere"),
    ("a file", "/plain/a.txt"),
    ("a directory with an index", "/plain/sub/"),
    ("a directory without its slash", "/plain/sub"),
    ("a directory without an index", "/plain/bare/"),
    ("nothing", "/plain/none"),
    ("a decoded path", "/plain/a%2Etxt"),
    ("a status", "/status"),
    ("a status with a page", "/status-page"),
    ("a status without a body", "/no-content"),
    ("a path", "/to-path/none"),
    ("a path with the arguments dropped", "/to-path/none?a=b"),
    ("a path with arguments", "/to-args/none?a=b"),
    ("a path for an escaped one", "/to-args/a%20b"),
    ("a directory that is no file", "/to-path/"),
    ("a file of another location", "/to-file"),
    ("a named location", "/to-name/x?a=b"),
    ("a named location that is missing", "/to-nobody"),
    ("one after another", "/twice"),
    ("a cycle", "/cycle"),
    ("a fixed file", "/fixed"),
    ("a fixed directory", "/fixed-dir"),
    ("a directory as file", "/dir-as-file"),
    ("a file as directory", "/file-as-dir"),
    ("the first of two names", "/names?name=a"),
    ("the second of two names", "/names?name=b"),
    ("none of two names", "/names?name=c"),
    ("return comes first", "/returns"),
    ("rewrite comes first", "/rewrites?x"),
    ("a condition that does not hold", "/condition"),
    ("a condition that holds", "/condition?a=1"),
    ("a location within", "/outer/inner"),
    ("a group", "/regex/a.txt"),
    ("a group and more", "/regex/a"),
    ("a group that is nothing", "/regex/zz"),
    ("a named group and a type", "/typed/a.txt"),
    ("a root of its own, with another location behind", "/own-root/x"),
    ("an alias", "/aliased/a.txt"),
    ("an alias and a directory", "/aliased/sub/"),
    ("an alias and a directory without its slash", "/aliased/sub"),
    ("an alias and nothing", "/aliased/none"),
    ("an alias and a fixed file", "/aliased-fixed/x"),
    ("an alias and a fallback elsewhere", "/aliased-other/none"),
    ("an alias by expression", "/alias-regex/a.txt"),
    ("an alias by expression and more", "/alias-regex/a"),
    ("an alias by expression and nothing", "/alias-regex/zz"),
    ("an alias that is all of the path", "/alias-dir/a.txt"),
    ("an alias that is a directory", "/alias-dir/sub"),
];

fn proxied() -> Vec<Case> {
    let ok = || answer(200).body("ok");
    vec![
        case("a named location passes on").origin(ok()).get("/to-proxy/a%20b?c=d"),
        case("a file that is there is passed on").origin(ok()).get("/passes/a?b"),
        case("a file that is not there is not").get("/passes/none"),
        case("a file that is there replaces the path").origin(ok()).get("/maps/some-long-name"),
        case("POST to a file").request("POST /plain/a.txt HTTP/1.1", &["Content-Length: 0"], ""),
        case("HEAD of a fallback").head("/to-path/none"),
    ]
}

#[test]
fn errors_lead_on() {
    compare(&errors());
}

/// Errors of error pages, inside and out.
pub fn errors() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%; server_name errors.test; root html;
            location /once { error_page 404 /missing-page; error_page 403 /forbidden-page; }
            location /chain { recursive_error_pages on; error_page 404 /chain-two; return 404; }
            location /chain-two { recursive_error_pages on; error_page 403 = /chain-three; return 403; }
            location /chain-three { return 200 "[$uri][$status]"; }
            location /chain-ends { recursive_error_pages on; error_page 404 /ends-two; return 404; }
            location /ends-two { error_page 403 /chain-three; return 403; }
            location /first-off { error_page 404 /second-on; return 404; }
            location /second-on { recursive_error_pages on; error_page 403 /chain-three; return 403; }
            location /cycle { recursive_error_pages on; error_page 404 /cycle; return 404; }
            location /by-name { recursive_error_pages on; error_page 404 = @one; return 404; }
            location @one { recursive_error_pages on; error_page 502 = @two; return 502; }
            location @two { return 200 "two [$uri]"; }
            location /by-proxy { recursive_error_pages on; error_page 404 = @upstream; return 404; }
            location @upstream { proxy_intercept_errors on; recursive_error_pages on; error_page 500 = @two; proxy_pass http://%ORIGIN%; }
            location /only-once { proxy_intercept_errors on; error_page 500 = /again; proxy_pass http://%ORIGIN%; }
            location /again { proxy_intercept_errors on; error_page 500 = @two; proxy_pass http://%ORIGIN%; }
            location /to-internal { error_page 404 /only-inside; return 404; }
            location /only-inside { internal; return 200 inside; }
            location /named-inside { error_page 404 @inside; return 404; }
            location @inside { return 201 "[$uri]"; }
            location /prefix-inside/ { internal; }
            location /nested { location /nested/inside { internal; return 200 no; } return 200 nested; }
            location /changed { error_page 404 =200 /only-inside; return 404; }
            location /taken { error_page 404 = /only-inside; return 404; }
            location /to-redirect { error_page 404 =301 http://other.test/x; return 404; }
            location /variable { error_page 404 /page-$arg_n; return 404; }
            location /page-1 { return 200 one; }
            location /page-2 { return 402; }
        }"#,
    );
    let gets = [
        ("an error page that is missing", "/once"),
        ("pages in a row", "/chain"),
        ("a row that ends", "/chain-ends"),
        ("one page only", "/first-off"),
        ("a cycle of pages", "/cycle"),
        ("names in a row", "/by-name"),
        ("an internal page", "/to-internal"),
        ("an internal page from outside", "/only-inside"),
        ("a named page", "/named-inside"),
        ("an internal prefix", "/prefix-inside/x"),
        ("an internal location within another", "/nested/inside"),
        ("the location around an internal one", "/nested/else"),
        ("a page with another status", "/changed"),
        ("a page with its own status", "/taken"),
        ("a redirect", "/to-redirect"),
        ("a page by variable", "/variable?n=1"),
        ("a page by variable that is an error", "/variable?n=2"),
        ("a page by variable that is missing", "/variable"),
    ];
    let failing = || answer(500).body("failed");
    Group::new("error pages in a row", conf).cases(gets.map(|(name, path)| case(name).get(path))).cases([
        case("an upstream in the row").origin(failing()).get("/by-proxy"),
        case("an upstream that fails twice").origin(failing()).origin(failing()).get("/only-once"),
    ])
}

#[test]
fn try_files_is_refused_in_the_same_words() {
    let inside = Tested::inside_a_server;
    refuse_alike([
        inside("nothing to fall back to", "try_files a;"),
        inside("nothing", "try_files;"),
        inside("twice", "try_files a b; try_files a b;"),
        inside("a code too large", "try_files a =1000;"),
        inside("a code that is none", "try_files a =x;"),
        inside("an unknown variable", "try_files $nothing =404;").placed_better(),
        inside("an unknown variable in the fallback", "try_files a /$nothing;").placed_better(),
        inside("in a condition", "location / { if ($host) { try_files a b; } }"),
        inside("at the wrong level", "} try_files a b; server {"),
        inside("with a block", "try_files a b { }"),
    ]);
}
