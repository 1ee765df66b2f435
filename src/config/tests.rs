//! The whole package: text in, tree or messages out.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use super::*;

/// Knows `localhost` and `two.test`, nothing else.
pub(crate) struct Hosts;

impl HostLookup for Hosts {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let at = |last| SocketAddr::from(([127, 0, 0, last], port));
        match host {
            "localhost" => Ok(vec![at(1)]),
            "two.test" => Ok(vec![at(1), at(2)]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn hostname(&self) -> String {
        "Machine".to_owned()
    }
}

fn source(text: &str) -> Source {
    Source {
        prefix: PathBuf::from("/prefix"),
        main: MainText::Embedded { name: PathBuf::from("larder.conf"), text: text.to_owned() },
        globals: None,
        error_log: None,
    }
}

fn loaded(text: &str) -> Loaded {
    load(&source(text), &Hosts)
        .unwrap_or_else(|problems| panic!("{text}\n{}", first_lines(&problems).join("\n")))
}

pub(crate) fn http(inside: &str) -> HttpConf {
    loaded(&format!("events {{}} http {{ {inside} }}")).config.http.expect("there is an http block")
}

/// Loads one server and returns its location for a path.
fn location_of(server: &str, path: &str) -> String {
    let http = http(&format!("server {{ {server} }}"));
    match http.servers[0].locations.find(path.as_bytes()) {
        None => "none".to_owned(),
        Some(Found::WantsSlash { location }) => format!("{} wants a slash", location.name),
        Some(Found::Unknown(gave_up)) => gave_up.to_string(),
        Some(Found::Location { location, captures }) => match captures.group(1) {
            Some(caught) => format!("{} caught {}", location.name, String::from_utf8_lossy(caught)),
            None => location.name.to_string(),
        },
    }
}

fn first_lines(problems: &[Diagnostic]) -> Vec<String> {
    let first = |problem: &Diagnostic| problem.to_string().lines().next().unwrap_or_default().to_owned();
    problems.iter().map(first).collect()
}

/// Loads a text that is wrong and returns what is said, without the file's name.
pub(crate) fn complaints(text: &str) -> Vec<String> {
    let problems = load(&source(text), &Hosts).expect_err(text);
    first_lines(&problems).into_iter().map(|line| line.replace("in larder.conf:", "in :")).collect()
}

/// Returns the first complaint about the inside of an `http` block, without its level; empty where there is none.
pub(crate) fn complaint(http: &str) -> String {
    let told = match load(&source(&format!("events {{}} http {{ {http} }}")), &Hosts) {
        Ok(loaded) => loaded.warnings,
        Err(told) => told,
    };
    let first = first_lines(&told).into_iter().next().unwrap_or_default();
    first.split_once("] ").map_or("", |(_, words)| words).replace("in larder.conf:", "in :")
}

/// Compares the errors of texts, all on their second line, with what nginx says.
fn compare_errors(cases: &[(String, &str)]) {
    for (text, wanted) in cases {
        let wanted = format!("[emerg] {wanted} in :2");
        let errors: Vec<_> =
            complaints(text).into_iter().filter(|line| line.starts_with("[emerg]")).collect();
        assert_eq!(errors, [wanted], "{text}");
    }
}

#[test]
fn errors_of_balancing_name_the_word() {
    let group = |text: &str| format!("events {{}}\nhttp {{ upstream u {{ {text} server 127.0.0.1; }} }}");
    let cases = [
        (group("hash $uri twice;"), "invalid parameter \"twice\""),
        (group("hash $nothing;"), "unknown \"nothing\" variable"),
        (group("random two quick;"), "invalid parameter \"quick\""),
        (group("least_time soon;"), "invalid parameter \"soon\""),
        (group("least_time header now;"), "invalid parameter \"now\""),
        (group("least_time;"), "invalid number of arguments in \"least_time\" directive"),
        (group("queue 0;"), "invalid value \"0\" in \"queue\" directive"),
        (group("queue 10 time=1s;"), "invalid parameter \"time=1s\""),
        (group("queue 10 timeout=soon;"), "invalid parameter \"timeout=soon\""),
        (group("keepalive 10 global;"), "invalid parameter \"global\""),
        (group("server 127.0.0.1 slow_start=soon;"), "invalid parameter \"slow_start=soon\""),
        (group("server 127.0.0.1 route=;"), "invalid parameter \"route=\""),
        (group("server 127.0.0.1 drain=on;"), "invalid parameter \"drain=on\""),
        (
            group("random; server 127.0.0.1 slow_start=30s;"),
            "balancing method does not support parameter \"slow_start=30s\"",
        ),
        (group("sticky glue;"), "invalid parameter \"glue\""),
        (group("sticky cookie;"), "\"sticky\" directive has too few arguments"),
        (group("sticky route;"), "\"sticky\" directive has too few arguments"),
        (group("sticky cookie a; sticky cookie b;"), "\"sticky\" directive is duplicate"),
        (group("sticky cookie a expires=soon;"), "invalid parameter \"expires=soon\""),
        (group("sticky cookie a samesite=some;"), "invalid parameter \"samesite=some\""),
        (group("sticky cookie a secure=on;"), "invalid parameter \"secure=on\""),
        (group("sticky route $nothing;"), "unknown \"nothing\" variable"),
        (
            group("sticky learn lookup=$uri zone=z:1m;"),
            "\"sticky\" directive must have the \"create\" parameter",
        ),
        (
            group("sticky learn create=$uri zone=z:1m;"),
            "\"sticky\" directive must have the \"lookup\" parameter",
        ),
        (
            group("sticky learn create=$uri lookup=$uri;"),
            "\"sticky\" directive must have the \"zone\" parameter",
        ),
        (group("sticky learn create=$uri lookup=$uri zone=z;"), "invalid zone size \"z\""),
        (group("sticky learn create=$uri lookup=$uri zone=z:1k;"), "zone \"z\" is too small"),
        (
            group("sticky learn create=$uri lookup=$uri zone=z:1m timeout=x;"),
            "invalid parameter \"timeout=x\"",
        ),
        (
            group("sticky learn create=$uri lookup=$uri zone=z:1m sync;"),
            "the \"sync\" parameter of the \"sticky\" directive is not supported yet",
        ),
    ];
    compare_errors(&cases);
}

#[test]
fn errors_of_purging_say_what_is_wrong() {
    let http = |text: &str| format!("events {{}}\nhttp {{ {text} }}");
    let cases = [
        (
            http("proxy_cache_path c keys_zone=z:1m purger=yes;"),
            "invalid purger value \"purger=yes\", it must be \"on\" or \"off\"",
        ),
        (
            http("proxy_cache_path c keys_zone=z:1m purger_files=x;"),
            "invalid purger_files value \"purger_files=x\"",
        ),
        (
            http("proxy_cache_path c keys_zone=z:1m purger_sleep=;"),
            "invalid purger_sleep value \"purger_sleep=\"",
        ),
        (http("proxy_cache_purge;"), "invalid number of arguments in \"proxy_cache_purge\" directive"),
        (http("proxy_cache_tags a off;"), "invalid field name \"off\""),
        (http("proxy_cache_tags Surrogate-Key, xkey;"), "invalid field name \"Surrogate-Key,\""),
        (http("proxy_cache_tags;"), "invalid number of arguments in \"proxy_cache_tags\" directive"),
    ];
    compare_errors(&cases);
}

#[test]
fn errors_of_blocks_and_servers_read_as_nginxs() {
    let main = |text: &str| format!("events {{}}\n{text}");
    let http = |text: &str| format!("events {{}}\nhttp {{ {text} }}");
    let cases = [
        (main("http {"), "unexpected end of file, expecting \"}\""),
        (main("}"), "unexpected \"}\""),
        (main(";"), "unexpected \";\""),
        (main("daemon"), "unexpected end of file, expecting \";\" or \"}\""),
        (main("foo;"), "unknown directive \"foo\""),
        (
            main("daemon maybe;"),
            "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\"",
        ),
        (main("daemon;"), "invalid number of arguments in \"daemon\" directive"),
        (main("daemon on; daemon on;"), "\"daemon\" directive is duplicate"),
        (main("daemon {}"), "directive \"daemon\" is not terminated by \";\""),
        (main("http;"), "directive \"http\" has no opening \"{\""),
        (main("listen 80;"), "\"listen\" directive is not allowed here"),
        (main("stream {}"), "\"stream\" directive is not supported yet"),
        (main("include /nowhere;"), "open() \"/nowhere\" failed (2: No such file or directory)"),
        (http("auth_basic off;"), "\"auth_basic\" directive is not supported yet"),
        (
            http("server { listen 80 quic; }"),
            "the \"quic\" parameter of the \"listen\" directive is not supported yet",
        ),
        (http("server { listen 0; }"), "invalid port in \"0\" of the \"listen\" directive"),
        (
            http("server { listen nowhere:80; }"),
            "host not found in \"nowhere:80\" of the \"listen\" directive",
        ),
        (http("server { listen 80; listen 80; }"), "a duplicate listen 0.0.0.0:80"),
        (
            http("server { listen 80 default_server; } server { listen 80 default_server; }"),
            "a duplicate default server for 0.0.0.0:80",
        ),
        (
            http("server { listen 80 backlog=5; } server { listen 80 backlog=5; }"),
            "duplicate listen options for 0.0.0.0:80",
        ),
        (http("server { server_name ~(; }"), "pcre2_compile() failed: missing closing parenthesis in \"(\""),
        (http("server { location / {} location / {} }"), "duplicate location \"/\""),
        (http("server { location ! / {} }"), "invalid location modifier \"!\""),
        (http("server { location /a { location /b {} } }"), "location \"/b\" is outside location \"/a\""),
        (
            http("server { location = /a { location /a/b {} } }"),
            "location \"/a/b\" cannot be inside the exact location \"/a\"",
        ),
        (
            http("server { location /a { location @b {} } }"),
            "named location \"@b\" can be on the server level only",
        ),
    ];
    compare_errors(&cases);
    assert_eq!(complaints("http {}"), ["[emerg] no \"events\" section in configuration"]);
}

#[test]
fn errors_of_locations_and_groups_read_as_nginxs() {
    let http = |text: &str| format!("events {{}}\nhttp {{ {text} }}");
    let location = |text: &str| format!("events {{}}\nhttp {{ server {{ location / {{ {text} }} }} }}");
    let cases = [
        (location("return foo;"), "invalid return code \"foo\""),
        (location("return 200 $nothing;"), "unknown \"nothing\" variable"),
        (location("return 200 $http3;"), "variable \"http3\" is not supported yet"),
        (
            location("return 200 $upstream_last_server_name;"),
            "variable \"upstream_last_server_name\" is not supported yet",
        ),
        (
            location("alias a; root b;"),
            "\"root\" directive is duplicate, \"alias\" directive was specified earlier",
        ),
        (location("error_page 499 /a;"), "invalid value \"499\""),
        (location("error_page 200 /a;"), "value \"200\" must be between 300 and 599"),
        (location("access_log a nothing;"), "unknown log format \"nothing\""),
        (location("proxy_pass localhost;"), "invalid URL prefix"),
        (location("proxy_pass http://nowhere;"), "host not found in upstream \"nowhere\""),
        (location("proxy_pass http://localhost:0;"), "invalid port in upstream \"localhost:0\""),
        (location("proxy_cache nothing;"), "\"proxy_cache\" zone \"nothing\" is unknown"),
        (location("proxy_cache_valid foo 1m;"), "invalid status \"foo\""),
        (location("proxy_buffers 1 4k;"), "there must be at least 2 \"proxy_buffers\""),
        (location("proxy_redirect off; proxy_redirect a b;"), "\"proxy_redirect\" directive is duplicate"),
        (
            location("proxy_add_via maybe;"),
            "invalid value \"maybe\" in \"proxy_add_via\" directive, it must be \"on\" or \"off\"",
        ),
        (location("early_hints;"), "invalid number of arguments in \"early_hints\" directive"),
        (location("early_hints $nothing;"), "unknown \"nothing\" variable"),
        (location("proxy_redirect a;"), "invalid parameter \"a\""),
        (
            location("proxy_cookie_domain a b; proxy_cookie_domain off;"),
            "\"proxy_cookie_domain\" directive is duplicate",
        ),
        (
            location("proxy_cookie_path off; proxy_cookie_path a b;"),
            "\"proxy_cookie_path\" directive is duplicate",
        ),
        (location("proxy_cookie_path $nothing a;"), "unknown \"nothing\" variable"),
        (location("proxy_cookie_flags on;"), "invalid parameter \"on\""),
        (
            location("proxy_cookie_flags a b c d e;"),
            "invalid number of arguments in \"proxy_cookie_flags\" directive",
        ),
        (http("upstream a {}"), "no servers are inside upstream"),
        (http("upstream a { server localhost weight=0; }"), "invalid parameter \"weight=0\""),
        (http("proxy_cache_path /c keys_zone=a:1;"), "keys zone \"keys_zone=a:1\" is too small"),
        (http("proxy_cache_path /c keys_zone=a:1m levels=3;"), "invalid \"levels\" \"levels=3\""),
        (http("proxy_cache_path /c keys_zone=a:1m fsync=on;"), "invalid fsync value \"fsync=on\""),
        (http("proxy_cache_path /c keys_zone=a:1m verify=off;"), "invalid verify value \"verify=off\""),
        (http("proxy_cache_path /c keys_zone=a:1m scrub=0;"), "invalid scrub value \"scrub=0\""),
        (http("proxy_cache_path /c keys_zone=a:1m scrub=fast;"), "invalid scrub value \"scrub=fast\""),
        (
            http("proxy_cache_path /c keys_zone=a:1m eviction=fifo;"),
            "invalid eviction value \"eviction=fifo\"",
        ),
        (http("proxy_cache_path /c keys_zone=a:1m ram=on;"), "invalid ram value \"ram=on\""),
        (http("proxy_cache_path /c keys_zone=a:1m ram=1000k;"), "invalid ram value \"ram=1000k\""),
    ];
    compare_errors(&cases);
}

#[test]
fn errors_of_the_caches_own_directives_read_as_others() {
    let location = |text: &str| format!("events {{}}\nhttp {{ server {{ location / {{ {text} }} }} }}");
    let cases = [
        (location("proxy_cache_fill_abandoned often;"), "invalid value \"often\""),
        (location("proxy_cache_fill_abandoned 0%;"), "invalid value \"0%\""),
        (location("proxy_cache_fill_abandoned 101%;"), "invalid value \"101%\""),
        (
            location("proxy_cache_fill_abandoned half half;"),
            "invalid number of arguments in \"proxy_cache_fill_abandoned\" directive",
        ),
        (
            location("proxy_cache_fill_abandoned half; proxy_cache_fill_abandoned never;"),
            "\"proxy_cache_fill_abandoned\" directive is duplicate",
        ),
        (location("proxy_cache_stale_retry soon;"), "\"proxy_cache_stale_retry\" directive invalid value"),
        (location("proxy_cache_uncacheable often;"), "\"proxy_cache_uncacheable\" directive invalid value"),
        (
            location("proxy_cache_status \"a\tb\";"),
            "invalid name \"a\tb\" in \"proxy_cache_status\" directive",
        ),
        (
            location("proxy_cache_status a; proxy_cache_status b;"),
            "\"proxy_cache_status\" directive is duplicate",
        ),
        (
            location("proxy_cache_age 5;"),
            "invalid value \"5\" in \"proxy_cache_age\" directive, it must be \"on\" or \"off\"",
        ),
        (
            location("proxy_cache_rfc yes;"),
            "invalid value \"yes\" in \"proxy_cache_rfc\" directive, it must be \"on\" or \"off\"",
        ),
        (location("proxy_cache_rfc on; proxy_cache_rfc on;"), "\"proxy_cache_rfc\" directive is duplicate"),
        (location("proxy_cache_set_cookie keep;"), "invalid value \"keep\""),
        (
            location("proxy_cache_targeted_fields;"),
            "invalid number of arguments in \"proxy_cache_targeted_fields\" directive",
        ),
        (location("proxy_cache_targeted_fields A \"b c\";"), "invalid field \"b c\""),
        (
            location("proxy_cache_heuristic_max soon;"),
            "\"proxy_cache_heuristic_max\" directive invalid value",
        ),
    ];
    compare_errors(&cases);
}

#[test]
fn all_errors_of_a_run_are_told() {
    let text = "events {}\nhttp {\n  server {\n    lisen 80;\n    root a b;\n    location / {\n      \
                proxy_cache_vaild 1m;\n    }\n    return \"a\"b;\n  }\n  bogus { x y; }\n}\n";
    let wanted = [
        "[emerg] unknown directive \"lisen\" in :4",
        "[emerg] invalid number of arguments in \"root\" directive in :5",
        "[emerg] unknown directive \"proxy_cache_vaild\" in :7",
        "[emerg] unexpected \"b\" in :9",
        "[emerg] unknown directive \"bogus\" in :11",
    ];
    assert_eq!(complaints(text), wanted);
}

#[test]
fn thousands_of_errors_are_told_of_at_once() {
    let text: String = (0..20_000).map(|number| format!("proxy_pas_{number} on;\n")).collect();
    let told = complaints(&format!("events {{}}\n{text}"));
    assert_eq!(told[0], "[emerg] unknown directive \"proxy_pas_0\" in :2");
    assert_eq!(told.len(), SHOWN_MAX + 1);
    assert_eq!(told[SHOWN_MAX], "[emerg] 19950 more errors are not shown");
}

#[test]
fn who_workers_run_as_is_checked_where_it_is_written() {
    struct Strangers(InvalidUser);
    impl HostLookup for Strangers {
        fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Hosts.lookup(host, port)
        }

        fn hostname(&self) -> String {
            Hosts.hostname()
        }

        fn check_user(&self, _: &UserSpec) -> Result<(), InvalidUser> {
            Err(self.0)
        }
    }
    let cases = [
        (InvalidUser::NoUser, "user a b;", "[emerg] getpwnam(\"a\") failed in larder.conf:2"),
        (InvalidUser::NoGroup, "user a b;", "[emerg] getgrnam(\"b\") failed in larder.conf:2"),
        (InvalidUser::NoGroup, "user a;", "[emerg] getgrnam(\"a\") failed in larder.conf:2"),
    ];
    for (invalid, text, wanted) in cases {
        let told = load(&source(&format!("events {{}}\n{text}")), &Strangers(invalid)).expect_err(text);
        assert_eq!(first_lines(&told), [wanted]);
    }
    let loaded =
        load(&source("events {} user a;"), &Strangers(InvalidUser::NotRoot)).expect("a warning only");
    let warnings = first_lines(&loaded.warnings);
    assert!(warnings[0].starts_with("[warn] the \"user\" directive makes sense only if"), "{warnings:?}");
}

#[test]
fn help_says_what_to_do() {
    let cases = [
        ("http { server { lisen 80; } }", "did you mean \"listen\"?"),
        ("http { proxy_cache_vaild 1m; }", "did you mean \"proxy_cache_valid\"?"),
        ("http { server { location / { proxy_next_upstream tiemout; } } }", "did you mean \"timeout\"?"),
        ("http { listen 80; }", "it may stand in: server"),
        ("http { server { listen 80\nserver_name a; } }", "perhaps a \";\" is missing after \"80\""),
        ("http { sendfile no; }", "did you mean \"on\"?"),
        ("http { server { location / { return 200 $remote_adr; } } }", "did you mean \"remote_addr\"?"),
        ("http { server { root }", "a \";\" is missing after \"root\""),
        ("http { client_body_timeout 1x; }", "a time is seconds, or numbers with ms, s, m, h, d, w: 1m30s"),
    ];
    for (text, wanted) in cases {
        let problems = load(&source(&format!("events {{}} {text}")), &Hosts).expect_err(text);
        assert_eq!(problems[0].help.as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn locations_are_found_as_nginx_finds_them() {
    let cases = [
        ("exact beats all", "location = /a {} location /a {} location ~ a {}", "/a", "/a"),
        ("the longest prefix", "location / {} location /a/ {} location /a/b {}", "/a/bc", "/a/b"),
        (
            "a shorter prefix behind a longer one that fails",
            "location /a {} location /ab/c {}",
            "/ab/d",
            "/a",
        ),
        (
            "expressions beat prefixes",
            "location /a {} location ~ \\.(php)$ {}",
            "/a.php",
            "\\.(php)$ caught php",
        ),
        ("the first expression", "location ~ /(a) {} location ~ /(ab) {}", "/ab", "/(a) caught a"),
        ("in any case", "location ~* ^/(A)$ {}", "/a", "^/(A)$ caught a"),
        ("^~ asks no expression", "location ^~ /a {} location ~ a {}", "/ab", "/a"),
        ("nested", "location /a { location /a/b {} }", "/a/b/c", "/a/b"),
        ("nested does not match", "location /a { location /a/b {} }", "/a/c", "/a"),
        (
            "nested expression",
            "location /a { location ~ (z)$ {} } location ~ (y) {}",
            "/a/yz",
            "(z)$ caught z",
        ),
        (
            "outer expression beats nested prefix",
            "location /a { location /a/b {} } location ~ (b) {}",
            "/a/b",
            "(b) caught b",
        ),
        ("prefix in an expression", "location ~ ^/(x) { location ~ (y) {} }", "/xy", "(y) caught y"),
        (
            "slash for who passes on",
            "location /a/ { proxy_pass http://localhost; }",
            "/a",
            "/a/ wants a slash",
        ),
        ("no slash for files", "location /a/ { root x; }", "/a", "none"),
        (
            "no slash for an exact match",
            "location = /a {} location /a/ { proxy_pass http://localhost; }",
            "/a",
            "/a",
        ),
        (
            "no slash for the very prefix",
            "location /a {} location /a/ { proxy_pass http://localhost; }",
            "/a",
            "/a",
        ),
        ("named ones are not found by path", "location @a {}", "/a", "none"),
        ("modifier at its text", "location =/a {} location ~b {}", "/a", "/a"),
    ];
    for (name, server, path, wanted) in cases {
        assert_eq!(location_of(server, path), wanted, "{name}");
    }
}

#[test]
fn servers_are_found_by_name() {
    let http = http(
        "server { listen 80; server_name a.test; } server { listen 80; server_name *.test; }
         server { listen 80 default_server; server_name *.b.test; } server { listen 80; server_name www.*; }
         server { listen 80; server_name .dot.test; } server { listen 80; server_name ~^(?<who>x+)\\.example$; }",
    );
    let found = |host: &str| {
        let found = http.listeners[0].names.find(host.as_bytes()).expect("none gives up");
        found.map_or_else(|| "none".to_owned(), |found| found.server.first_name.clone())
    };
    let cases = [
        ("a.test", "a.test"),
        ("c.test", "*.test"),
        ("c.b.test", "*.b.test"),
        ("b.test", "*.test"),
        ("www.x", "www.*"),
        ("www.x.y", "www.*"),
        ("dot.test", "dot.test"),
        ("a.dot.test", "dot.test"),
        ("xx.example", "~^(?<who>x+)\\.example$"),
        ("test", "none"),
        ("", "none"),
    ];
    for (host, wanted) in cases {
        assert_eq!(found(host), wanted, "{host}");
    }
    assert_eq!(http.listeners[0].default_server.first_name, "*.b.test");
    let captures = http.listeners[0].names.find(b"xxx.example").expect("it does not give up");
    let captures = captures.expect("it matches").captures;
    assert_eq!(captures.group(1), Some(&b"xxx"[..]));
}

#[test]
fn inner_levels_inherit_what_they_do_not_write() {
    let http = http(
        "send_timeout 10s; add_header A 1; add_header B 2; proxy_hide_header X; root /srv;
         server { send_timeout 20s; location /a { add_header C 3; location /a/b { send_timeout 30s; } } location /c {} }
         client_body_timeout 7s;",
    );
    let at = |path: &str| match http.servers[0].locations.find(path.as_bytes()) {
        Some(Found::Location { location, .. }) => location.clone(),
        _ => panic!("{path} has a location"),
    };
    let seconds = |path: &str| at(path).core.send_timeout.as_secs();
    assert_eq!((seconds("/a"), seconds("/a/b"), seconds("/c")), (20, 30, 20));
    let names =
        |path: &str| at(path).headers.add_header.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    assert_eq!(names("/a"), [b"C"]);
    assert_eq!(names("/a/b"), [b"C"]);
    assert_eq!(names("/c"), [b"A", b"B"]);
    assert!(!at("/c").core.send_timeout.is_written());
    assert_eq!(*at("/c").core.client_body_timeout, Duration::from_secs(7));
    assert_eq!(*at("/c").core.document_root, Root::Root(Template::text("/srv")));
}

#[test]
fn lists_are_inherited_as_they_are_told() {
    // What stands at http, server, location and nested location, and the fields that hold in the last.
    let cases = [
        ("one's own list replaces", ["add_header A 1;", "", "add_header B 2;", ""], "B"),
        ("as if told so", ["add_header_inherit on; add_header A 1;", "", "add_header B 2;", ""], "B"),
        ("off", ["add_header A 1;", "", "add_header_inherit off;", ""], ""),
        ("off with one's own", ["add_header A 1;", "add_header_inherit off;", "add_header B 2;", ""], ""),
        (
            "off and on again",
            ["add_header A 1; add_header_inherit off;", "add_header_inherit on;", "", ""],
            "A",
        ),
        ("off lets out what is here", ["", "", "", "add_header_inherit off; add_header A 1;"], "A"),
        ("merge", ["add_header A 1;", "", "add_header_inherit merge; add_header B 2;", ""], "BA"),
        (
            "merge for all that follow",
            ["add_header_inherit merge; add_header A 1;", "add_header B 2;", "add_header C 3;", ""],
            "CBA",
        ),
        ("merge without any here", ["add_header A 1;", "", "", "add_header_inherit merge;"], "A"),
        (
            "merge what is not replaced",
            ["add_header A 1;", "add_header B 2;", "add_header_inherit merge; add_header C 3;", ""],
            "CB",
        ),
    ];
    for (name, [outermost, server, location, nested], wanted) in cases {
        let text = format!(
            "{outermost} server {{ {server} location /a {{ {location} location /a/b {{ {nested} }} }} }}"
        );
        let names = |text: &str, list: fn(&LocationConf) -> &Vec<AddHeader>| match http(text).servers[0]
            .locations
            .find(b"/a/b")
        {
            Some(Found::Location { location, .. }) => list(location)
                .iter()
                .map(|field| String::from_utf8_lossy(&field.name).into_owned())
                .collect::<String>(),
            _ => panic!("there is one"),
        };
        assert_eq!(names(&text, |location| &location.headers.add_header), wanted, "{name}");
        let trailers = text.replace("add_header", "add_trailer");
        assert_eq!(names(&trailers, |location| &location.headers.add_trailer), wanted, "{name}, of trailers");
    }
    for (directives, wanted) in [
        ("\nadd_header_inherit yes;", "invalid value \"yes\" in :2"),
        (
            "add_header_inherit on;\nadd_header_inherit off;",
            "\"add_header_inherit\" directive is duplicate in :2",
        ),
        ("add_trailer_inherit;", "invalid number of arguments in \"add_trailer_inherit\" directive in :1"),
        (
            "server { location / { if ($uri) {\nadd_trailer_inherit merge; } } }",
            "\"add_trailer_inherit\" directive is not allowed here in :2",
        ),
    ] {
        assert_eq!(complaint(directives), wanted, "{directives}");
    }
}

#[test]
fn proxy_pass_is_resolved() {
    let pass = |location: &str, url: &str| {
        let http = http(&format!(
            "upstream group {{ server localhost:81; server two.test weight=2 backup; }}
             server {{ location {location} {{ proxy_pass {url}; }} }}"
        ));
        let location = http.servers[0].locations.iter().next().expect("there is one").clone();
        match &location.content {
            Content::Proxy(pass) => pass.clone(),
            Content::Static => panic!("it passes on"),
        }
    };
    let group = |pass: &ProxyPass| match &pass.target {
        ProxyTarget::Group(group) => group.clone(),
        ProxyTarget::Variable(_) => panic!("it is a group"),
    };
    let named = pass("/a/", "http://group/b/?c");
    assert_eq!((&*named.host, &*named.port, named.uri.as_deref()), ("group", "80", Some(&b"/b/?c"[..])));
    assert_eq!(named.location_len, 3);
    assert_eq!(group(&named).servers[1].addresses.len(), 2);
    assert!(!group(&named).implicit);
    let plain = pass("/", "http://two.test:8080");
    assert_eq!((&*plain.host, &*plain.port, plain.uri.as_deref()), ("two.test:8080", "8080", None));
    assert!(group(&plain).implicit);
    let unix = pass("/", "http://unix:/run/x.sock:/uri");
    assert_eq!((&*unix.host, unix.uri.as_deref()), ("localhost", Some(&b"/uri"[..])));
    assert_eq!(group(&unix).servers[0].addresses, [PeerAddress::Unix("/run/x.sock".into())]);
    let six = pass("/", "http://[::1]:90/");
    assert_eq!((&*six.host, &*six.port), ("[::1]:90", "90"));
    assert!(matches!(pass("/", "http://$host/x").target, ProxyTarget::Variable(_)));
    for (url, host, port, name) in [
        ("https://two.test", "two.test", "443", "two.test:443"),
        ("HTTPS://two.test:443/", "two.test", "443", "two.test:443"),
        ("https://two.test:80", "two.test:80", "80", "two.test:80"),
        ("https://[::1]", "[::1]", "443", "[::1]:443"),
        ("https://unix:/run/x.sock", "localhost", "", "unix:/run/x.sock"),
        ("https://group", "group", "443", "group"),
    ] {
        let secured = pass("/", url);
        assert_eq!((secured.scheme, &*secured.host, &*secured.port), (Scheme::Https, host, port), "{url}");
        assert_eq!(group(&secured).name, name, "{url}");
    }
    let address = group(&pass("/", "https://[::1]")).servers[0].addresses[0].clone();
    assert_eq!(address, PeerAddress::Inet("[::1]:443".parse().expect("an address")));
}

#[test]
fn proxy_redirect_default_is_worked_out() {
    let rules = |inside: &str| {
        let http = http(&format!("server {{ location /one/ {{ {inside} }} }}"));
        let location = http.servers[0].locations.iter().next().expect("there is one").clone();
        let Content::Proxy(pass) = &location.content else { panic!("it passes on") };
        let shown = |rule: &ValueRule| match &rule.from {
            ValuePattern::Prefix(from) | ValuePattern::Domain(from) => [from, &rule.to]
                .map(|template| String::from_utf8_lossy(template.as_text().unwrap_or(b"$")).into_owned())
                .join(" -> "),
            ValuePattern::Regex(regex) => format!("~{}", regex.as_str()),
        };
        pass.redirect.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(rules("proxy_pass http://localhost/two/;"), ["http://localhost/two/ -> /one/"]);
    assert_eq!(rules("proxy_pass http://localhost;"), ["http://localhost/ -> /"]);
    assert_eq!(rules("proxy_pass http://localhost; proxy_redirect off;"), [""; 0]);
    assert_eq!(
        rules("proxy_pass http://localhost; proxy_redirect ~a b; proxy_redirect c d;"),
        ["~a", "c -> d"]
    );
    assert_eq!(rules("proxy_pass http://$host;"), [""; 0]);
}

#[test]
fn the_command_line_comes_first_and_paths_start_from_the_prefix() {
    let with_globals =
        Source { globals: Some("daemon off;".to_owned()), ..source("events {} pid run/x.pid;") };
    let main = load(&with_globals, &Hosts).expect("it loads").config.main;
    assert!(!*main.daemon);
    assert_eq!(*main.pid, PathBuf::from("/prefix/run/x.pid"));
    let cut_off = Source { globals: Some("daemon off".to_owned()), ..source("events {}") };
    let problems = load(&cut_off, &Hosts).expect_err("a semicolon is missing");
    assert_eq!(
        first_lines(&problems),
        ["[emerg] unexpected end of parameter, expecting \";\" in command line"]
    );
}

#[test]
fn included_files_are_read_in_order_and_kept_for_display() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("a file can be written");
    };
    write(
        "nginx.conf",
        "events {}\nhttp { include part?.conf; include none*.conf; server { include one; } }\n",
    );
    write("part2.conf", "send_timeout 2s;");
    write("part1.conf", "client_body_timeout 1s;");
    write("one", "return 204;");
    let source = Source { main: MainText::File(directory.path().join("nginx.conf")), ..source("") };
    let loaded = load(&source, &Hosts).expect("it loads");
    let names: Vec<_> = loaded.files.iter().filter_map(|file| file.path.file_name()).collect();
    assert_eq!(names, ["nginx.conf", "part1.conf", "part2.conf", "one"]);
    write("one", "include one;");
    let problems = load(&source, &Hosts).expect_err("it includes itself");
    assert!(problems[0].message.contains("too deep"), "{}", problems[0]);
}

#[test]
fn errors_are_told_in_the_order_of_reading() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let load = |main: &str, part: &str| {
        for (name, text) in [("nginx.conf", main), ("part", part)] {
            std::fs::write(directory.path().join(name), text).expect("a file can be written");
        }
        let main = MainText::File(directory.path().join("nginx.conf"));
        let problems = load(&Source { main, globals: Some("wrong;".to_owned()), ..source("") }, &Hosts);
        problems.expect_err("it is wrong").into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    let first = "http { log_format f '$nothing'; access_log x f; upstream u { first; } include part;\n";
    let told = load(&format!("{first} fourth 'a'b; server {{ fifth;"), "second; third");
    let wanted = [
        "unknown directive \"wrong\"",
        "unknown directive \"first\"",
        "no servers are inside upstream",
        "unknown directive \"second\"",
        "unexpected end of file, expecting \";\" or \"}\"",
        "unexpected \"b\"",
        "unknown directive \"fifth\"",
        "unexpected end of file, expecting \"}\"",
        "unknown \"nothing\" variable",
        "no \"events\" section in configuration",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn mime_types_of_the_embedded_text_are_ours() {
    let http = http("include mime.types; server {}");
    assert_eq!(http.defaults.core.types.get(b"CSS"), Some(&b"text/css"[..]));
    assert_eq!(http.defaults.core.types.get(b"html"), Some(&b"text/html"[..]));
    assert_eq!(http.defaults.core.types.get(b"nothing"), None);
}

#[test]
fn what_has_no_effect_is_told() {
    let warnings =
        loaded("events { use poll; } http { open_file_cache max=10; server_names_hash_max_size 12; }")
            .warnings;
    let lines = first_lines(&warnings);
    assert!(lines[0].starts_with("[warn] \"use\" directive has no effect here"), "{lines:?}");
    assert!(lines[1].starts_with("[warn] \"open_file_cache\" directive has no effect here"), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_depth_that_nobody_looks_into_is_told() {
    for (depth, wanted) in
        [("6", None), ("7", Some("[warn] \"ssl_verify_depth\" above 6 is the same as that"))]
    {
        let warnings = loaded(&format!("events {{}} http {{ ssl_verify_depth {depth}; }}")).warnings;
        let lines = first_lines(&warnings);
        assert_eq!(lines.len(), usize::from(wanted.is_some()), "{lines:?}");
        assert!(wanted.is_none_or(|wanted| lines[0].starts_with(wanted)), "{lines:?}");
    }
}

#[test]
fn a_wish_that_is_met_is_no_reason_to_warn() {
    for (text, wanted) in [
        ("events { multi_accept on; } http { tcp_nopush on; log_subrequest off; }", 0),
        ("events { multi_accept off; } http { directio 4m; }", 2),
    ] {
        assert_eq!(first_lines(&loaded(text).warnings).len(), wanted, "{text}");
    }
}

/// Loads a text with each row's default written out, and without it: the tree must be the same.
#[test]
fn defaults_are_as_documented() {
    let mut compared = 0;
    for row in rows().filter(|row| !row.default.is_empty() && !row.default.contains(['/', '{', ';'])) {
        let level = row.levels.names().last().expect("a row has a level");
        let text = |inside: &str| match level {
            "main" => format!("{inside} events {{}}"),
            "events" => format!("events {{ {inside} }}"),
            "http" => format!("events {{}} http {{ {inside} server {{}} }}"),
            "server" => format!("events {{}} http {{ server {{ {inside} }} }}"),
            "upstream" => format!("events {{}} http {{ upstream u {{ server localhost; {inside} }} }}"),
            _ => format!("events {{}} http {{ server {{ location / {{ {inside} }} }} }}"),
        };
        // What is written differs in being written, and in nothing else.
        let shown = |inside: &str| {
            format!("{:?}", loaded(&text(inside)).config).replace("origin: Written", "origin: Default")
        };
        if matches!(
            row.name,
            "user"
                | "env"
                | "open_file_cache"
                | "client_body_temp_path"
                | "proxy_temp_path"
                | "proxy_cache_key"
                | "proxy_ssl_name"
        ) {
            continue;
        }
        assert!(
            shown(&format!("{} {};", row.name, row.default)) == shown(""),
            "{} {}",
            row.name,
            row.default
        );
        compared += 1;
    }
    assert!(compared > 80, "only {compared} rows have a default to compare");
}

/// Feeds pieces of the language in random order: whatever comes, it must not panic.
#[test]
fn random_text_never_panics() {
    const PIECES: [&str; 32] = [
        "http",
        "server",
        "location",
        "{",
        "}",
        ";",
        " ",
        "\n",
        "\"",
        "'",
        "\\",
        "$",
        "${",
        "#",
        "/",
        "~",
        "=",
        "listen 80",
        "events {}",
        "root",
        "return 200",
        "proxy_pass http://localhost",
        "upstream u",
        "include",
        "types",
        "\u{e4}",
        "\0",
        "1m",
        "error_page 404 =",
        "(?<a>",
        "server_name *.",
        "log_format a",
    ];
    for seed in 1..1000_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut text = String::new();
        for _ in 0..(seed % 40) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(PIECES[(state % 32) as usize]);
            if state & 64 != 0 {
                text.push(' ');
            }
        }
        let outcome = std::panic::catch_unwind(|| match load(&source(&text), &Hosts) {
            Ok(loaded) => first_lines(&loaded.warnings),
            Err(problems) => first_lines(&problems),
        });
        assert!(outcome.is_ok(), "seed {seed} panics: {text:?}");
    }
}

#[test]
fn levels_and_stores_that_cannot_be_are_refused() {
    let location = |inside: &str| format!("events {{}}\nhttp {{ server {{ location / {{ {inside} }} }} }}");
    compare_errors(&[
        (location("proxy_store \"\";"), "empty path"),
        (location("proxy_temp_path a 5 6;"), "\"proxy_temp_path\" directive invalid value"),
        (location("proxy_temp_path a 0;"), "\"proxy_temp_path\" directive invalid value"),
        (location("proxy_store_access user:x;"), "invalid value \"user:x\""),
    ]);
    assert!(loaded(&location("proxy_temp_path a 4 6;")).warnings.is_empty());
}
