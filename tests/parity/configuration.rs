//! Configuration tests (`-t`): what is refused, in which words, and where.
//!
//! Larder says more than nginx (the line, a caret, a suggestion), so the first complaint and the closing
//! line are compared.

use std::{fs, process::Command};

use crate::support::{Conf, conf::Ports, http, peers::Program, server::new_dir, servers};

/// A configuration to be tested.
pub struct Tested {
    /// What is wrong with it.
    pub name: &'static str,
    /// The configuration.
    pub conf: Conf,
    /// How exactly the place must be the same.
    pub place: Place,
}

/// How exactly the place of a complaint is that of nginx.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The same file and line.
    Same,
    /// nginx names the end of the block, or no place at all; Larder may name the directive.
    Better,
}

impl Tested {
    /// Tests what stands in `http`.
    pub fn inside_http(name: &'static str, text: &str) -> Self {
        Self { name, conf: http(text), place: Place::Same }
    }

    /// Tests what stands in a location.
    pub fn inside_location(name: &'static str, text: &str) -> Self {
        let conf = servers(&format!("location /x/ {{\n{text}\n}}"));
        Self { name, conf, place: Place::Same }
    }

    /// Tests what stands in a `server`.
    pub fn inside_a_server(name: &'static str, text: &str) -> Self {
        Self { name, conf: servers(text), place: Place::Same }
    }

    /// Says that only Larder names the place, or names it better.
    pub fn placed_better(self) -> Self {
        Self { place: Place::Better, ..self }
    }
}

#[test]
fn configurations_are_refused_in_the_same_words() {
    let groups = [
        whole_files(),
        inside_http(),
        about_balancing(),
        inside_a_server(),
        inside_a_location(),
        about_answers(),
    ];
    refuse_alike(groups.into_iter().flatten());
}

/// nginx stops at the first mistake, which is to be Larder's first too, whatever else is wrong behind it.
#[test]
fn the_first_of_several_mistakes_is_told_first() {
    let without_end = |text: &str| text.trim_end().strip_suffix('}').expect("http ends it").to_owned();
    for more in ["", "server { location / { wrong on; } listen 1 2; }", "wrong on;\n}", "}\nwrong on;"] {
        let groups =
            [inside_http(), about_balancing(), inside_a_server(), inside_a_location(), about_answers()];
        refuse_alike(groups.into_iter().flatten().map(|tested| {
            let conf = tested.conf.with_text(|text| format!("{}\n{more}\n", without_end(text)));
            Tested { conf, ..tested.placed_better() }
        }));
    }
}

/// Gives configurations to both programs and compares what they say.
pub fn refuse_alike(all: impl IntoIterator<Item = Tested>) {
    let Some(nginx) = Program::nginx() else { return };
    let larder = Program::larder();
    let mut complaints = Vec::new();
    for tested in all {
        let mut ports = Ports::default();
        let (expected, got) = (test(&nginx, &tested, &mut ports), test(&larder, &tested, &mut ports));
        if expected != got {
            complaints.push(format!("=== {} ===\nnginx:  {expected}\nlarder: {got}", tested.name));
        }
    }
    assert!(complaints.is_empty(), "{} configurations differ:\n{}", complaints.len(), complaints.join("\n"));
}

/// Runs `-t` and returns the first complaint, the closing line and the exit status.
fn test(program: &Program, tested: &Tested, ports: &mut Ports) -> String {
    let conf = &tested.conf;
    let dir = new_dir();
    let path = dir.path().display().to_string();
    for (name, content) in conf.files() {
        fs::write(dir.path().join(name), content).expect("the directory is ours");
    }
    let file = dir.path().join("nginx.conf");
    fs::write(&file, conf.fill(program, &path, ports)).expect("the directory is ours");
    let prefix = format!("{path}/");
    let output = Command::new(&program.path)
        .args(["-t", "-p", &prefix, "-c"])
        .arg(&file)
        .arg("-e")
        .arg(dir.path().join("error.log"))
        .output()
        .expect("the program can be run");
    let said = String::from_utf8_lossy(&output.stderr).replace(&path, "(dir)");
    let prefix = format!("{}: ", program.name());
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
    let first = lines.iter().find(|line| line.starts_with("[emerg]")).map(|line| match tested.place {
        Place::Same => line,
        Place::Better => line.split(" in (dir)").next().unwrap_or_default(),
    });
    let closing = lines.iter().rfind(|line| line.contains("configuration file (dir)"));
    format!("{:?} {first:?} {closing:?}", output.status.code())
}

fn whole_files() -> Vec<Tested> {
    let whole = |name, text: &str| Tested { name, conf: Conf::whole(text), place: Place::Same };
    vec![
        whole("the smallest", "events {}"),
        whole("no events", "worker_processes 1;"),
        whole("an unknown directive", "events {}\nwrong on;"),
        whole("a directive without its end", "events {}\nworker_processes 1"),
        whole("a block without its end", "events {\n"),
        whole("a brace too many", "events {}\n}\n"),
        whole("a semicolon alone", "events {}\n;\n"),
        whole("a quote without its end", "events {}\npid \"abc;\n"),
        whole("a quote and no space", "events {}\npid \"abc\"def;\n"),
        whole("a block where there is none", "events {}\npid a {}\n"),
        whole("no block where there is one", "events;\n"),
        whole("a block twice", "events {}\nevents {}\n"),
        whole("a directive twice", "events {}\npid a;\npid b;\n"),
        whole("a directive in the wrong block", "events { root x; }\n"),
        whole("too few arguments", "events {}\nworker_processes;\n"),
        whole("too many arguments", "events {}\nworker_processes 1 2;\n"),
        whole("a number that is none", "events { worker_connections many; }\n"),
        whole("a flag that is none", "daemon maybe;\nevents {}\n"),
        whole("a file to include that is missing", "events {}\ninclude missing.conf;\n"),
        whole("nothing to include by a pattern", "events {}\ninclude missing-*.conf;\n"),
        whole("an unknown level of the error log", "error_log x.log loud;\nevents {}\n"),
        Tested {
            name: "an error in an included file",
            conf: Conf::whole("events {}\ninclude part.conf;\n").file("part.conf", "\n\nwrong;\n"),
            place: Place::Same,
        },
    ]
}

fn about_balancing() -> Vec<Tested> {
    let inside = |name, inside: &str| Tested::inside_http(name, &format!("upstream u {{ {inside} }}"));
    vec![
        inside("least_conn of something", "least_conn now; server 127.0.0.1;"),
        inside("ip_hash of something", "ip_hash $remote_addr; server 127.0.0.1;"),
        inside("hash of nothing", "hash; server 127.0.0.1;"),
        inside("hash with an unknown parameter", "hash $uri consistently;\nserver 127.0.0.1;"),
        inside("hash with too much", "hash $uri consistent now; server 127.0.0.1;"),
        inside("random with an unknown number", "random three; server 127.0.0.1;"),
        inside("random with an unknown method", "random two ip_hash; server 127.0.0.1;"),
        inside("random with too much", "random two least_conn now; server 127.0.0.1;"),
        inside(
            "a backup where the method knows none",
            "hash $uri;\nserver 127.0.0.1;\nserver 127.0.0.2 backup;",
        ),
        inside("a backup with ip_hash", "ip_hash;\nserver 127.0.0.1;\nserver 127.0.0.2 backup;"),
        inside("a backup with random", "random;\nserver 127.0.0.1;\nserver 127.0.0.2 backup;"),
        inside("a backup before the method", "server 127.0.0.1; server 127.0.0.2 backup; ip_hash;"),
        inside("a method twice", "least_conn; ip_hash; server 127.0.0.1;"),
        inside("a bad weight", "server 127.0.0.1 weight=many;"),
        inside("a bad max_fails", "server 127.0.0.1 max_fails=-1;"),
        inside("a bad max_conns", "server 127.0.0.1 max_conns=1k;"),
        inside("a bad fail_timeout", "server 127.0.0.1 fail_timeout=soon;"),
        inside("a flag with a value", "server 127.0.0.1 backup=yes;"),
        inside("a socket without a path", "server unix:;"),
        inside("a URL for a server", "server http://127.0.0.1;"),
        inside("a path behind a server", "server 127.0.0.1:80/x;"),
        inside("a question behind a server", "server localhost?x;"),
        inside("a bad parameter of a host that does not exist", "server no-such-host.invalid 127.0.0.1:81;"),
        inside("a keepalive of words", "server 127.0.0.1; keepalive many;"),
        inside("a keepalive twice", "server 127.0.0.1; keepalive 1; keepalive 2;"),
        inside("a bad keepalive_timeout", "server 127.0.0.1; keepalive_timeout soon;"),
        inside("a bad keepalive_requests", "server 127.0.0.1; keepalive_requests many;"),
        inside("a zone with a bad size in an upstream", "zone u 1x; server 127.0.0.1;"),
        inside("a zone that is too small in an upstream", "zone u 1k; server 127.0.0.1;"),
        inside("backups only", "server 127.0.0.1 backup;").placed_better(),
    ]
}

fn inside_http() -> Vec<Tested> {
    let inside = |name, text: &str| Tested { name, conf: http(text), place: Place::Same };
    vec![
        inside("an upstream without servers", "upstream u {}"),
        inside("an upstream twice", "upstream u { server 127.0.0.1; } upstream u { server 127.0.0.1; }"),
        inside("an invalid parameter of a server", "upstream u { server 127.0.0.1 wieght=2; }"),
        inside("an invalid weight", "upstream u { server 127.0.0.1 weight=0; }"),
        inside("an invalid port", "upstream u { server 127.0.0.1:99999; }"),
        inside("keepalive of nothing", "upstream u { server 127.0.0.1; keepalive 0; }"),
        inside("a zone without a size", "proxy_cache_path cache keys_zone=z;"),
        inside("a zone with a bad size", "proxy_cache_path cache keys_zone=z:1x;"),
        inside("a zone too small", "proxy_cache_path cache keys_zone=z:1k;"),
        inside("a path without a zone", "proxy_cache_path cache levels=1:2;"),
        inside("levels that are none", "proxy_cache_path cache levels=1:9 keys_zone=z:1m;"),
        inside("an unknown parameter of a path", "proxy_cache_path cache keys_zone=z:1m size=1;"),
        inside("a bad inactive time", "proxy_cache_path cache keys_zone=z:1m inactive=1q;"),
        inside("a bad size of a path", "proxy_cache_path cache keys_zone=z:1m max_size=many;"),
        inside("a log format twice", "log_format f a; log_format f b;"),
        inside("an unknown log format", "access_log x.log nothing;"),
        inside("an unknown variable in a log format", "log_format f '$no_such_thing';\naccess_log x.log f;")
            .placed_better(),
        inside("a variable without a name", "log_format f '$';"),
        inside("a level of compression that is none", "gzip_comp_level fast;"),
        inside("a level of compression too low", "gzip_comp_level 0;"),
        inside("a level of compression too high", "gzip_comp_level 10;"),
        inside("a level of compression twice", "gzip_comp_level 1; gzip_comp_level 2;"),
        inside("a bad flag of gzip", "gzip perhaps;"),
        inside("a bad length of gzip_min_length", "gzip_min_length 1t;"),
        inside("no type of gzip_types", "gzip_types;"),
        inside("a bad value of gzip_proxied", "gzip_proxied sometimes;"),
        inside("a bad value of gzip_http_version", "gzip_http_version 2.0;"),
        inside("a bad expression of gzip_disable", "gzip_disable msie6 (;"),
        inside("a bad flag of gzip_vary", "gzip_vary yes;"),
        inside("a bad flag of gunzip", "gunzip 1;"),
        inside("a window of compression that is none", "gzip_window 3k;"),
        inside("a window of compression too large", "gzip_window 64k;"),
        inside("a hash of compression that is none", "gzip_hash 100;"),
        inside("buffers of compression without a size", "gzip_buffers 16;"),
        inside("no buffers of compression", "gzip_buffers 0 4k;"),
        inside("no buffers of decompression", "gunzip_buffers 0 4k;"),
        inside("a bad flag of gzip_no_buffer", "gzip_no_buffer maybe;"),
        inside("a bad size of postpone_gzipping", "postpone_gzipping x;"),
        inside("a bad flag of ssi", "ssi yes;"),
        inside("ssi twice", "ssi on; ssi off;"),
        inside("a bad flag of ssi_silent_errors", "ssi_silent_errors 1;"),
        inside("a bad flag of ssi_last_modified", "ssi_last_modified maybe;"),
        inside("a bad flag of ssi_ignore_recycled_buffers", "ssi_ignore_recycled_buffers maybe;"),
        inside("a bad size of ssi_value_length", "ssi_value_length many;"),
        inside("a bad size of ssi_min_file_chunk", "ssi_min_file_chunk many;"),
        inside("no type of ssi_types", "ssi_types;"),
        inside("a bad size of subrequest_output_buffer_size", "subrequest_output_buffer_size 1x;"),
        inside("a bad flag of log_subrequest", "log_subrequest yes;"),
        inside("a location outside of a server", "location / {}"),
        inside("a listen outside of a server", "listen 80;"),
        inside("a resolver without an address", "resolver valid=5s;").placed_better(),
        inside("a resolver with a bad port", "resolver 127.0.0.1:0;"),
        inside("a resolver with a range of ports", "resolver 127.0.0.1:53-55;"),
        inside("a resolver with a bad time", "resolver 127.0.0.1 valid=soon;"),
        inside("a resolver with a time too exact", "resolver 127.0.0.1 valid=1ms;"),
        inside("a resolver with a bad flag", "resolver 127.0.0.1 ipv6=maybe;"),
        inside("a resolver that does not exist", "resolver no-such-host.invalid;"),
        inside("a resolver without a host", "resolver \"\";"),
        inside("a resolver twice", "resolver 127.0.0.1; resolver 127.0.0.2;"),
        inside("a resolver of nothing", "resolver;"),
        inside("a bad resolver_timeout", "resolver_timeout soon;"),
        inside("a host of a group that does not exist", "upstream u { server no-such-host.invalid:80; }"),
    ]
}

fn inside_a_server() -> Vec<Tested> {
    let inside = |name, text: &str| Tested { name, conf: servers(text), place: Place::Same };
    vec![
        inside("a listen that is no address", "listen 127.0.0.1:port;"),
        inside("a port out of range", "listen 127.0.0.1:70000;"),
        inside("a URL to listen on", "listen http://127.0.0.1;"),
        inside("a path to listen on", "listen 127.0.0.1/x;"),
        inside("a named location twice", "location @a {} location @a {}"),
        inside("an unknown parameter of listen", "listen 127.0.0.1:1 fast;"),
        inside("the same address twice", "listen 127.0.0.1:%PORT%;"),
        inside("a location twice", "location /a {} location /a {}"),
        inside("an exact location twice", "location = /a {} location = /a {}"),
        inside("a regular expression that is none", "location ~ ( {}"),
        inside("a modifier that is none", "location % /a {}".replace('%', "%%").as_str()),
        inside("a nested location outside", "location /a/ { location /b/ {} }"),
        inside("a location in an exact one", "location = /a { location /a/b {} }"),
        inside("a location in a named one", "location @a { location /a/b {} }"),
        inside("a named location that is nested", "location /a { location @b {} }"),
        inside("a bad regular expression as server name", "server_name ~(;"),
        inside("proxy_pass outside of a location", "proxy_pass http://127.0.0.1;"),
        inside("a status out of range", "return 1000;"),
        inside("an error page for a client that is gone", "error_page 499 /x;"),
        inside("an access log in no directory", "access_log /nowhere/at/all;"),
        inside("no buffers", "large_client_header_buffers 0 8k;"),
        inside("a size that is none", "client_max_body_size 1t;"),
        inside("a time that is none", "client_body_timeout 5y5s;"),
        inside("times out of order", "client_body_timeout 5s5m;"),
    ]
}

fn inside_a_location() -> Vec<Tested> {
    let inside = Tested::inside_location;
    vec![
        inside("an unknown scheme", "proxy_pass ftp://127.0.0.1;"),
        inside("no scheme", "proxy_pass 127.0.0.1;"),
        inside("a host that does not resolve", "proxy_pass http://no-such-host.invalid;"),
        inside("a bad port", "proxy_pass http://127.0.0.1:99999;"),
        inside("proxy_pass twice", "proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1;"),
        inside("a URI in a regular location", "} location ~ x { proxy_pass http://127.0.0.1/x;"),
        inside("a URI in a named location", "} location @x { proxy_pass http://127.0.0.1/x;"),
        inside("an unknown zone", "proxy_cache nothing; proxy_pass http://127.0.0.1;").placed_better(),
        inside("an unknown variable", "return 200 $nothing;").placed_better(),
        inside("a bad status of proxy_cache_valid", "proxy_cache_valid 2000 1h;"),
        inside("a bad time of proxy_cache_valid", "proxy_cache_valid 200 soon;"),
        inside("a bad value of an enumeration", "proxy_http_version 3;"),
        inside("a bad value of a set", "proxy_next_upstream sometimes;"),
        inside("a bad value of proxy_cache_use_stale", "proxy_cache_use_stale always;"),
        inside("a bad value of proxy_cache_methods", "proxy_cache_methods BREW;"),
        inside("a bad value of proxy_ignore_headers", "proxy_ignore_headers Server;"),
        inside("root and alias", "root a; alias b;"),
        inside("root twice", "root a; root b;"),
        inside("a bad status of error_page", "error_page 200 /x;"),
        inside("a bad answer of error_page", "error_page 404 =9x9 /x;"),
        inside("a bad time of expires", "expires soon;"),
        inside("add_header without a value", "add_header X;"),
        inside("a bad parameter of add_header", "add_header X y sometimes;"),
        inside("busy buffers that are too large", "proxy_busy_buffers_size 1m; proxy_pass http://127.0.0.1;")
            .placed_better(),
    ]
}

/// What an upstream's answer becomes.
fn about_answers() -> Vec<Tested> {
    let mut tested = Vec::new();
    for directive in ["proxy_cookie_domain", "proxy_cookie_path", "proxy_cookie_flags", "proxy_redirect"] {
        for (name, rules) in [
            ("no argument", "X;"),
            ("one argument that is not off", "X on;"),
            ("off twice", "X off; X off;"),
            ("off after a rule", "X a b; X off;"),
            ("a rule after off", "X off; X a b;"),
            ("an expression that is none", "X ~( b;"),
            ("too many arguments", "X a b c d e;"),
            ("off and something", "X off b;"),
            ("an empty text", "X \"\" b;"),
        ] {
            tested.push(of_location(name, &rules.replace('X', directive)));
        }
        for (name, rules) in
            [("an unknown variable", "X $nothing b;"), ("and in the replacement", "X b $nothing;")]
        {
            tested.push(of_location(name, &rules.replace('X', directive)).placed_better());
        }
    }
    tested.extend(
        [
            ("a field with two names", "proxy_hide_header a b;"),
            ("no field", "proxy_pass_header;"),
            ("a flag twice", "proxy_intercept_errors on; proxy_intercept_errors on;"),
            ("a flag that is none", "proxy_force_ranges 1;"),
            ("ignored fields without a name", "proxy_ignore_headers;"),
            ("the same ignored field twice", "proxy_ignore_headers Vary vary;"),
            ("negative tries", "proxy_next_upstream_tries -1;"),
            ("a time of tries that is none", "proxy_next_upstream_timeout soon;"),
            ("off twice in a set", "proxy_next_upstream off off;"),
            ("a case that is none", "proxy_next_upstream http_501;"),
            ("add_trailer without a value", "add_trailer X;"),
            ("a bad parameter of add_trailer", "add_trailer X y sometimes;"),
        ]
        .map(|(name, text)| of_location(name, text)),
    );
    tested
}

fn of_location(name: &'static str, text: &str) -> Tested {
    let conf = servers(&format!("location /x/ {{\n{text}\nproxy_pass http://127.0.0.1:1;\n}}"));
    Tested { name, conf, place: Place::Same }
}
