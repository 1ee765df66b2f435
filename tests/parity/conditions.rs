//! `if`: its tests, and the configuration that holds behind it.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn conditions() {
    compare(&tests());
}

/// What is asked of the conditions, by name.
const ASKED: [(&str, &str); 35] = [
    ("nothing", "/"),
    ("a value", "/?a=x"),
    ("another value", "/?a=y"),
    ("zero", "/?a=0"),
    ("zeros", "/?a=00"),
    ("no value", "/?a="),
    ("a value that begins so", "/?a=xyz"),
    ("a capital letter", "/?a=X"),
    ("two values alike", "/?a=y&b=y"),
    ("two values joined", "/?a=xy&b=y"),
    ("a value with a space", "/?b=y%20z"),
    ("a condition of the server", "/?server=1"),
    ("return in a condition of the server", "/?stop=1"),
    ("return with text in a condition of the server", "/?stop=2"),
    ("rewrite in a condition of the server", "/?stop=3&server=1"),
    ("rewrite with break in a condition of the server", "/?stop=4"),
    ("break in a condition of the server", "/?stop=5"),
    ("none of the server's conditions but the last", "/?stop=6"),
    ("a file", "/files/a.txt"),
    ("a directory", "/files/sub"),
    ("a directory with a slash", "/files/sub/"),
    ("nothing there", "/files/none"),
    ("nothing below a file", "/files/a.txt/none"),
    ("groups", "/groups/one/two/three"),
    ("groups that are escaped", "/groups/one/t%20wo/three"),
    ("groups of a path that does not match", "/groups"),
    ("groups are forgotten", "/forgotten"),
    ("GET where it is allowed", "/method"),
    ("a break in a condition", "/stop"),
    ("a rewrite in a condition", "/chain?n=1"),
    ("no rewrite in a condition", "/chain?n=2"),
    ("no condition", "/chain"),
    ("a redirect by return", "/redirect?to=x"),
    ("a redirect by rewrite", "/redirect?rewrite=x"),
    ("no redirect", "/redirect"),
];

/// Every test of `if`; the answer says which of them held.
pub fn tests() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%; server_name tests.test; root html;
            set $held "";
            if ($arg_server) { set $held "server,"; }
            if ($arg_stop = 1) { return 403; }
            if ($arg_stop = 2) { return 418 "stopped"; }
            if ($arg_stop = 3) { rewrite ^ /after?; break; }
            if ($arg_stop = 4) { rewrite ^ /after? break; }
            if ($arg_stop = 5) { break; }
            if ($arg_stop) { set $held "${held}stop,"; }
            location /after { return 200 "after [$held]"; }
            location / {
                if ($arg_a) { set $held "${held}true,"; }
                if ($arg_a = x) { set $held "${held}equal,"; }
                if ($arg_a != x) { set $held "${held}unequal,"; }
                if ($arg_a = "") { set $held "${held}empty,"; }
                if ($arg_a = $arg_b) { set $held "${held}same,"; }
                if ($arg_a = "x$arg_b") { set $held "${held}joined,"; }
                if ($arg_a ~ ^x) { set $held "${held}match,"; }
                if ($arg_a !~ ^x) { set $held "${held}no match,"; }
                if ($arg_a ~* ^X) { set $held "${held}caseless,"; }
                if ($arg_a !~* ^X) { set $held "${held}not caseless,"; }
                if ( $arg_b ) { set $held "${held}spaces,"; }
                if ($arg_b ~ "^(y) z$") { set $held "${held}quoted $1,"; }
                return 200 "[$held]";
            }
            location /files/ {
                if (-f $request_filename) { set $held "${held}f,"; }
                if (!-f $request_filename) { set $held "${held}!f,"; }
                if (-d $request_filename) { set $held "${held}d,"; }
                if (!-d $request_filename) { set $held "${held}!d,"; }
                if (-e $request_filename) { set $held "${held}e,"; }
                if (!-e $request_filename) { set $held "${held}!e,"; }
                if (-x $request_filename) { set $held "${held}x,"; }
                if (!-x $request_filename) { set $held "${held}!x,"; }
                if (-f $document_root/files/marker) { set $held "${held}marker,"; }
                return 200 "[$held]";
            }
            location /groups { if ($uri ~ "^/groups/(\w+)/(?<tail>.*)$") { set $held "$2-$1-$tail"; } return 200 "[$held][$1][$tail]"; }
            location /forgotten { if ($uri ~ ^/(\w+)) { } if ($uri ~ ^/none(.*)) { } return 200 "[$1]"; }
            location /method { if ($request_method !~ ^(GET|HEAD)$) { return 405; } return 200 "[$request_method]"; }
            location /agent { if ($http_user_agent ~* (bot|spider)) { return 200 "robot $1"; } return 200 person; }
            location /cookie { if ($http_cookie ~* "id=([^;]+)(?:;|$)") { set $id $1; } return 200 "[$id]"; }
            location /stop { set $a 1; if ($a) { break; } set $a 2; return 403; }
            location /chain { if ($arg_n = 1) { rewrite ^ /after?n=2 last; } if ($arg_n) { return 200 "n=$arg_n"; } return 200 none; }
            location /redirect { if ($arg_to) { return 301 http://other.test/$arg_to; } if ($arg_rewrite) { rewrite ^ /after permanent; } }
        }"#,
    )
    .file("html/files/a.txt", "a text")
    .file("html/files/marker", "here")
    .file("html/files/sub/x", "x");
    let gets = ASKED.map(|(name, path)| case(name).get(path));
    Group::new("conditions", conf).cases(gets).cases([
        case("POST where it is not allowed").request("POST /method HTTP/1.1", &["Content-Length: 0"], ""),
        case("a robot").get_with("/agent", &["User-Agent: A-Bot/1"]),
        case("a person").get_with("/agent", &["User-Agent: Browser/1"]),
        case("a cookie").get_with("/cookie", &["Cookie: a=b; id=123; c=d"]),
        case("no cookie").get("/cookie"),
    ])
}

#[test]
fn what_holds_behind_a_condition() {
    compare(&contents());
}

/// Every location answers in its own way where a condition holds.
pub fn contents() -> Group {
    let conf = http(
        r#"log_format one "one $uri $status"; log_format two "two $uri $status";
        server {
            listen 127.0.0.1:%PORT%; server_name contents.test; root html; access_log off;
            location /passed { if ($arg_b) { proxy_pass http://%ORIGIN:b%; } proxy_pass http://%ORIGIN%; }
            location /inherited { set $on 1; add_header X-Where outside; proxy_set_header X-Set set; if ($on) { } proxy_pass http://%ORIGIN%; }
            location /mapped/ { set $on 1; if ($on) { } proxy_pass http://%ORIGIN%/target/; }
            location /only-if { if ($arg_b) { proxy_pass http://%ORIGIN:b%; } return 200 no; }
            location /only-if-file { if ($arg_b) { proxy_pass http://%ORIGIN:b%; } }
            location /headers {
                add_header X-Outside 1;
                if ($arg_a) { add_header X-A 1; }
                if ($arg_b) { add_header X-B 1; }
                if ($arg_c) { set $c 1; }
                return 200 "hello";
            }
            location /files { if ($arg_other) { root other; } }
            location /expires { if ($arg_e) { expires epoch; } return 200 hello; }
            location /errors { error_page 404 /page-a; if ($arg_b) { error_page 404 /page-b; } if ($arg_c) { } }
            location /errors-return { error_page 404 /page-a; if ($arg_b) { error_page 404 /page-b; return 404; } return 404; }
            location /page-a { return 200 "page a"; }
            location /page-b { return 200 "page b"; }
            location /logged { access_log access.log one; if ($arg_two) { access_log access.log two; } return 200 hello; }
            location /moved { if ($arg_b) { rewrite ^/moved(.*)$ /there$1 break; proxy_pass http://%ORIGIN:b%; } proxy_pass http://%ORIGIN%; }
            location /moved-outside { rewrite ^/moved-outside(.*)$ /there$1; if ($arg_b) { break; } proxy_pass http://%ORIGIN%; }
            location /there { return 200 "[$uri]"; }
            location /redirected { if ($arg_b) { proxy_pass http://%ORIGIN:b%; } proxy_pass http://%ORIGIN%; }
            location /aliased/ { alias html/; if ($arg_a) { add_header X-A 1; } }
            location /sent { sendfile off; if ($arg_a) { sendfile on; } root html; }
            location /inside { internal; if ($arg_a) { return 200 "inside a"; } return 200 inside; }
            location /to-inside { rewrite ^ /inside last; }
        }"#,
    )
    .file("html/files/a.txt", "a text")
    .file("html/sent/a.txt", "a text")
    .file("html/only-if-file", "a file")
    .file("other/files/a.txt", "another text");
    Group::new("behind conditions", conf).cases(answers()).cases(passes())
}

fn answers() -> Vec<Case> {
    let gets = [
        ("fields of the location", "/headers"),
        ("fields of a condition replace those of the location", "/headers?a=1"),
        ("the last of two conditions holds", "/headers?a=1&b=1"),
        ("a condition without fields of its own", "/headers?c=1"),
        ("a condition without fields behind one with fields", "/headers?a=1&c=1"),
        ("the location's root", "/files/a.txt"),
        ("a root of its own", "/files/a.txt?other=1"),
        ("no time to expire", "/expires"),
        ("a time to expire", "/expires?e=1"),
        ("the location's error page", "/errors/none"),
        ("an error page of its own", "/errors/none?b=1"),
        ("an inherited error page", "/errors/none?c=1"),
        ("an error page of its own for return", "/errors-return?b=1"),
        ("the location's error page for return", "/errors-return"),
        ("only where a condition holds", "/only-if"),
        ("a file where no condition holds", "/only-if-file"),
        ("an alias is inherited", "/aliased/files/a.txt?a=1"),
        ("how files are sent", "/sent/a.txt?a=1"),
        ("an internal location with a condition", "/to-inside?a=1"),
    ];
    let logged = |name, path: &str| case(name).get(path).log(1);
    let mut cases: Vec<Case> = gets.into_iter().map(|(name, path)| case(name).get(path)).collect();
    cases.push(logged("the location's log", "/logged"));
    cases.push(logged("a log of its own", "/logged?two=1"));
    cases
}

fn passes() -> Vec<Case> {
    let ok = || answer(200).body("ok");
    let to_a = |name, path: &str| case(name).origin(ok()).get(path);
    let to_b = |name, path: &str| case(name).origin_b(ok()).get(path);
    let moved = || -> Reply { answer(302).field("Location", "http://localhost/x").body("") };
    vec![
        to_a("the location passes on", "/passed"),
        to_b("the condition passes on", "/passed?b=1"),
        to_a("who answers is inherited", "/inherited?x"),
        to_a("what is replaced is inherited", "/mapped/x?y"),
        to_b("only the condition passes on", "/only-if-file?b=1"),
        case("a return behind a condition that passes on").get("/only-if?b=1"),
        to_a("the location passes the path on", "/moved/x"),
        to_b("a condition changes the path", "/moved/x?b=1"),
        to_a("a condition ends the steps", "/moved-outside/x?b=1"),
        case("a condition that does not end the steps").get("/moved-outside/x"),
        case("a redirect behind a condition").origin_b(moved()).get("/redirected?b=1"),
    ]
}
