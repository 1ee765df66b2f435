//! `set`, `break`, `return` and what the variables are then.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn variables_of_the_configuration() {
    compare(&variables());
}

/// Each location sets something and says what came of it.
pub fn variables() -> Group {
    let conf = http(
        r#"log_format values '$early|$never|$lang|$http_late|$late';
        server {
            listen 127.0.0.1:%PORT%; server_name ~^(?<sub>[a-z]+)\.vars\.test$ localhost;
            root html; set $early early; set $both server; access_log off; uninitialized_variable_warn off;
            location / { return 200 "[$early][$both][$sub][$late]"; }
            location /own { set $both location; return 200 "[$both]"; }
            location /twice { set $a 1; set $a "$a$a"; set $a "$a$a"; return 200 "[$a]"; }
            location /never { access_log access.log values; return 200 "[$never]"; set $never 1; }
            location /break { access_log access.log values; set $a one; break; set $a two; return 403; }
            location /late { access_log access.log values; set $late yes; return 200 "[$late]"; }
            location /header { access_log access.log values; set $http_late set; return 200 "[$http_late]"; }
            location /header-unset { access_log access.log values; return 200 "[$http_late]"; }
            location /arg { set $arg_x set; return 200 "[$arg_x]"; }
            location /arg-unset { return 200 "[$arg_x]"; }
            location /args { set $args "$args&more=1"; return 200 "[$args][$query_string][$arg_more][$is_args][$request_uri][$uri]"; }
            location /no-args { set $args ""; return 200 "[$args][$is_args][$request_uri]"; }
            location /args-passed { set $args "x=y"; proxy_pass http://%ORIGIN%; }
            location /args-mapped/ { set $args "x=y"; proxy_pass http://%ORIGIN%/there/; }
            location /kept { set $kept $uri; error_page 404 = /kept-page; return 404; }
            location /kept-page { return 200 "[$kept][$uri]"; }
            location ~ ^/lang/(?<lang>[a-z]+)(?<rest>/.*)?$ { return 200 "[$lang][$rest]"; }
            location ~ ^/over/(?<lang>[a-z]+)$ { set $lang "$lang-set"; return 200 "[$lang][$1]"; }
            location ~ ^/first/(?<lang>[a-z]+) { error_page 404 = /second/xy; return 404; }
            location ~ ^/second/(.*)$ { access_log access.log values; return 200 "[$lang][$1]"; }
            location /no-lang { access_log access.log values; return 200 "[$lang]"; }
            location /passed { set $host_set "a.test"; proxy_set_header X-Set $host_set; proxy_set_header X-None $never; proxy_pass http://%ORIGIN%; }
            location /quoted { set $q 'a "b" {c}'; set $e ""; return 200 "[$q][$e]${q}"; }
        }"#,
    );
    Group::new("variables of the configuration", conf).cases(values()).cases(passed())
}

fn values() -> Vec<Case> {
    vec![
        case("set by the server").get("/"),
        case("caught by the server's name").send("GET / HTTP/1.1\r\nHost: abc.vars.test\r\n\r\n"),
        case("set by the location too").get("/own"),
        case("set with itself").get("/twice"),
        case("never set").get("/never").log(1),
        case("nothing behind a break").get("/break").log(1),
        case("set by another location").get("/late").get("/").log(1),
        case("a field is overruled").get_with("/header", &["Late: sent"]).log(1),
        case("a field that is not overruled").get_with("/header-unset", &["Late: sent"]).log(1),
        case("an argument is overruled").get("/arg?x=sent"),
        case("an argument that is not overruled").get("/arg-unset?x=sent"),
        case("arguments are changed").get("/args?a=b"),
        case("arguments are added where there are none").get("/args"),
        case("arguments are taken away").get("/no-args?a=b"),
        case("a variable outlives an internal redirect").get("/kept"),
        case("a group with a name").get("/lang/en/a"),
        case("a group that caught nothing").get("/lang/en"),
        case("a group is set").get("/over/en"),
        case("a group outlives an internal redirect").get("/first/en").log(1),
        case("a group of another location").get("/no-lang").log(1),
        case("quotes and braces").get("/quoted"),
    ]
}

fn passed() -> Vec<Case> {
    let ok = || answer(200).body("ok");
    vec![
        case("changed arguments are passed on").origin(ok()).get("/args-passed?a=b"),
        case("changed arguments are passed on with the path escaped")
            .origin(ok())
            .get("/args-passed/%7ea%20b?a=b"),
        case("changed arguments and another path").origin(ok()).get("/args-mapped/z%20z?a=b"),
        case("a variable in a field").origin(ok()).get("/passed"),
    ]
}
