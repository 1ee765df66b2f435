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

#[test]
fn rewriting() {
    compare(&rules());
}

/// `rewrite` in all its forms; what comes of it is shown by the answer, or by the origin.
pub fn rules() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%; server_name rules.test; root html;
            rewrite ^/server/kept/(.*)$ /shown/kept/$1;
            rewrite ^/shown/kept/twice$ /shown/twice;
            rewrite ^/server/last/(.*)$ /shown/last/$1 last;
            rewrite ^/shown/last/ /shown/never;
            rewrite ^/server/break/(.*)$ /mapped/$1 break;
            rewrite ^/mapped/never /shown/never;
            rewrite ^/server/gone$ /new permanent;
            location /shown { return 200 "[$uri][$args][$request_uri]"; }
            location /kept/ { rewrite ^/kept/(.*)$ /shown/$1; rewrite ^/shown/two$ /shown/2; }
            location /last/ { rewrite ^/last/(.*)$ /shown/$1 last; return 403; }
            location /break/ { rewrite ^/break/(.*)$ /files/$1 break; return 403; }
            location /then-return { rewrite ^ /shown/never; return 200 "[$uri][$args]"; }
            location /then-break { rewrite ^ /files/a.txt; break; return 403; }
            location /no-match { rewrite ^/other /shown; return 200 "[$uri][$1]"; }
            location /forgets { rewrite ^/(forgets) /forgets/a; rewrite ^/none(.*) /x; return 200 "[$1]"; }
            location /args { rewrite ^/args/(\w+)$ /shown?own=$1 last; }
            location /args-dropped { rewrite ^/args-dropped/(\w+)$ /shown?own=$1? last; }
            location /all-dropped { rewrite ^ /shown? last; }
            location /marks { rewrite ^ /shown?a?b?c last; }
            location /two-marks { rewrite ^ /shown?? last; }
            location /arg-escaped { rewrite ^/arg-escaped/(.*)$ /shown/$1?own=$1 last; }
            location /variables { rewrite ^ /shown/$host$uri?q=$arg_q? last; }
            location ~ ^/named/(?<what>[a-z]+)$ { rewrite ^/named/(?<other>.)(.*)$ /shown/$what/$other/$2 last; }
            location /chain/1 { rewrite ^ /chain/2 last; } location /chain/2 { rewrite ^ /chain/3 last; }
            location /chain/3 { rewrite ^/(.*)$ /shown/$1 last; }
            location /only-inside { internal; return 200 inside; }
            location /to-inside { rewrite ^ /only-inside last; }
            location /cycle { rewrite ^ /cycle last; error_page 500 /shown; }
            location ~ ^/countdown/(x*)x$ { rewrite ^ /countdown/$1? last; }
            location = /countdown/ { return 200 "counted"; }
            location /empty { rewrite ^/empty(.*)$ $1 last; }
            location /no-slash { rewrite ^/no-slash(.*)$ files/a$1 last; }
            location /caseful { rewrite ^/CASEFUL /shown last; return 200 caseful; }
            location /caseless { rewrite (?i)^/CASELESS /shown last; return 200 no; }
            location /quoted { rewrite "^/quoted/(\w{3})$" "/shown/a b/$1" last; }
            location /nothing-found { rewrite ^ /nowhere last; }
            location /error-page { error_page 404 /rewritten-page; return 404; }
            location /rewritten-page { rewrite ^ /shown/page last; }
            location /by-name { error_page 404 = @named; return 404; }
            location @named { rewrite ^/by-name(.*)$ /shown/named$1 last; }
            location @in-place { rewrite ^(.*)$ /name$1 break; proxy_pass http://%ORIGIN%; }
            location /by-name-in-place { error_page 404 = @in-place; return 404; }
            location /file { rewrite ^/file/(.*)$ /files/$1 break; }
            location /index { rewrite ^/index(.*)$ /files$1 break; }
            location /mapped { proxy_pass http://%ORIGIN%/target; }
            location /passed/ { rewrite ^/passed/(.*)$ /moved/$1 break; proxy_pass http://%ORIGIN%; }
            location /replaced/ { rewrite ^/replaced/(.*)$ /moved/$1 break; proxy_pass http://%ORIGIN%/target/; }
            location /replaced-late/ { rewrite ^/replaced-late/(.*)$ /moved/$1; break; proxy_pass http://%ORIGIN%/target/; }
            location /untouched/ { rewrite ^/none /moved break; proxy_pass http://%ORIGIN%/target/; }
            location /name/ { rewrite /name/([^/]+) /users?name=$1 break; proxy_pass http://%ORIGIN%; }
            location /by-variable/ { set $up %ORIGIN%; rewrite ^/by-variable/(.*)$ /moved/$1 break; proxy_pass http://$up; }
            location /by-variable-uri/ { set $up %ORIGIN%; rewrite ^/by-variable-uri/(.*)$ /moved/$1 break; proxy_pass http://$up/fixed?u=$uri; }
            location /sized/ { rewrite ^ /sized-small last; } location /sized-small { client_max_body_size 4; return 200 small; }
            location /sized-page { client_max_body_size 4; error_page 413 = /sized-small; return 200 page; }
            location /sized-error { error_page 404 = /sized-small; return 404; }
            location /then-last/ { rewrite ^/then-last/(.*)$ /mapped/$1 last; }
        }"#,
    )
    .file("html/files/a.txt", "a text")
    .file("html/files/index.html", "an index");
    Group::new("rewrite", conf)
        .cases(paths())
        .cases(arguments())
        .cases(elsewhere())
        .cases(rewritten_and_passed())
}

fn paths() -> Vec<Case> {
    vec![
        case("the server's rules go on without a flag").get("/server/kept/twice"),
        case("the server's rules end with last").get("/server/last/x"),
        case("the server's rules end with break").origin(ok()).get("/server/break/never"),
        case("the server redirects").get("/server/gone"),
        case("two rules of a location").get("/kept/two"),
        case("one of two rules").get("/kept/three"),
        case("last looks for a location").get("/last/x"),
        case("break stays in the location").get("/break/a.txt"),
        case("steps go on behind a rule").get("/then-return?a=b"),
        case("break behind a rule").get("/then-break"),
        case("a rule that does not match").get("/no-match"),
        case("groups are forgotten").get("/forgets"),
        case("groups with names").get("/named/abc"),
        case("three rewrites in a row").get("/chain/1"),
        case("an internal location").get("/to-inside"),
        case("an internal location from outside").get("/only-inside"),
        case("a cycle").get("/cycle"),
        case("ten changes are not too many").get("/countdown/xxxxxxxxxx"),
        case("eleven changes are too many").get("/countdown/xxxxxxxxxxx"),
        case("a path of no length").get("/empty"),
        case("a path without its slash").get("/no-slash"),
        case("letters count").get("/caseful"),
        case("letters do not count").get("/caseless"),
        case("quotes").get("/quoted/abc"),
        case("a location that has nothing").get("/nothing-found"),
        case("an error page is rewritten").get("/error-page"),
        case("a named location rewrites").get("/by-name/x"),
        case("a file in its place").get("/file/a.txt"),
        case("a directory in its place").get("/index/"),
        case("HEAD").head("/last/x"),
        case("POST").request("POST /last/x HTTP/1.1", &["Content-Length: 2"], "ab"),
    ]
}

fn arguments() -> Vec<Case> {
    vec![
        case("arguments stay").get("/last/x?a=b"),
        case("arguments are added").get("/args/x?a=b"),
        case("arguments of the rule alone").get("/args/x"),
        case("arguments are dropped").get("/args-dropped/x?a=b"),
        case("a mark drops all arguments").get("/all-dropped?a=b"),
        case("more than one mark").get("/marks?z"),
        case("two marks at the end").get("/two-marks?z"),
        case("a group in the arguments is escaped").get("/arg-escaped/a%20b%26c"),
        case("a group in the arguments of a plain path").get("/arg-escaped/a&b=c"),
        case("a plus sign has groups escaped").get("/arg-escaped/a+b"),
        case("variables").get("/variables/a%20b?q=x%20y"),
    ]
}

fn elsewhere() -> Vec<Case> {
    vec![
        case("the decoded path is matched").get("/last/a%20b"),
        case("the merged path is matched").get("/last//x"),
        case("the request line stays").get("/last/x/../y?a"),
        long("a body too long for where it is rewritten to", "/sized/"),
        long("a body too long for a location and for its error page", "/sized-page"),
        long("a body too long for an error page", "/sized-error"),
    ]
}

fn long(name: &'static str, path: &str) -> Case {
    case(name).request(&format!("POST {path} HTTP/1.1"), &["Content-Length: 5"], "12345")
}

fn rewritten_and_passed() -> Vec<Case> {
    let passed = |name, path: &str| case(name).origin(ok()).get(path);
    vec![
        passed("a changed path is passed on", "/passed/x?a=b"),
        passed("a changed path is escaped", "/passed/a%20b%3Fc"),
        passed("a path that needs no escape", "/passed/%7Ex"),
        passed("proxy_pass has nothing to replace", "/replaced/x"),
        passed("proxy_pass has nothing to replace behind break", "/replaced-late/x"),
        passed("proxy_pass replaces where nothing changed", "/untouched/x"),
        passed("proxy_pass replaces behind last", "/then-last/x"),
        passed("a name becomes an argument", "/name/Alice"),
        passed("a name that needs an escape", "/name/Al%20ice?x=1"),
        passed("a rest behind what matched", "/name/Alice/more"),
        passed("a target with variables", "/by-variable/x?a"),
        passed("a target with variables and a path", "/by-variable-uri/x?a"),
        passed("a named location passes on", "/by-name-in-place/x"),
    ]
}

#[test]
fn redirects_by_rewrite() {
    compare(&redirects());
}

/// `rewrite` and `return` that send the client elsewhere.
pub fn redirects() -> Group {
    let conf = http(
        r#"server {
            listen 127.0.0.1:%PORT%; server_name first.test second.test; root html;
            location /redirect/ { rewrite ^/redirect(.*)$ /new$1 redirect; }
            location /permanent/ { rewrite ^/permanent(.*)$ /new$1 permanent; }
            location /url/ { rewrite ^/url(.*)$ http://other.test$1; return 403; }
            location /url-last/ { rewrite ^/url-last(.*)$ https://other.test$1 last; }
            location /url-permanent/ { rewrite ^/url-permanent(.*)$ https://other.test$1 permanent; }
            location /scheme/ { rewrite ^/scheme(.*)$ $scheme://other.test$1; }
            location /by-variable/ { set $to http://other.test; rewrite ^/by-variable(.*)$ $to$1 redirect; }
            location /own-args/ { rewrite ^/own-args(.*)$ /new?own=$1 redirect; }
            location /no-args/ { rewrite ^/no-args(.*)$ /new$1? redirect; }
            location /own-only/ { rewrite ^/own-only(.*)$ http://other.test/?own=1? ; }
            location /page/ { error_page 302 = /shown; rewrite ^ /new redirect; }
            location /relative/ { absolute_redirect off; rewrite ^/relative(.*)$ /new$1 redirect; }
            location /no-port/ { port_in_redirect off; rewrite ^/no-port(.*)$ /new$1 redirect; }
            location /named/ { server_name_in_redirect on; rewrite ^/named(.*)$ /new$1 redirect; }
            location /named-no-port/ { server_name_in_redirect on; port_in_redirect off; rewrite ^ /new? redirect; }
            location /without-slash { rewrite ^ new? redirect; }
            location /return { return 301 /new$uri; }
            location /return-relative { absolute_redirect off; return 302 /new; }
            location /return-no-port { port_in_redirect off; return 303 /new; }
            location /return-named { server_name_in_redirect on; return 307 /new; }
            location /return-without-slash { return 308 new; }
            location /return-url { return https://other.test$request_uri; }
            location /slash-relative { absolute_redirect off; }
            location /slash-no-port { port_in_redirect off; }
            location /slash-named { server_name_in_redirect on; }
            location /slash { }
            location /shown { return 200 "[$uri]"; }
        }"#,
    )
    .file("html/slash/x", "x")
    .file("html/slash-relative/x", "x")
    .file("html/slash-no-port/x", "x")
    .file("html/slash-named/x", "x");
    Group::new("redirects by rewrite and return", conf).cases(redirected())
}

fn redirected() -> Vec<Case> {
    let named =
        |name, path: &str| case(name).send(format!("GET {path} HTTP/1.1\r\nHost: second.test\r\n\r\n"));
    vec![
        case("redirect").get("/redirect/x"),
        case("redirect with arguments").get("/redirect/x?a=b"),
        case("redirect with escapes").get("/redirect/a%20b%2Fc%3Fd?e=%2F"),
        case("permanent").get("/permanent/x"),
        case("a URL").get("/url/x"),
        case("a URL with last").get("/url-last/x"),
        case("a URL with permanent").get("/url-permanent/x?y"),
        case("a URL by its scheme").get("/scheme/a%26b"),
        case("a URL in a variable").get("/by-variable/x"),
        case("arguments of its own").get("/own-args/a%20b?c=d"),
        case("no arguments").get("/no-args/x?a=b"),
        case("its own arguments alone").get("/own-only/x?a=b"),
        case("an error page for a redirect").get("/page/x"),
        case("a relative redirect").get("/relative/x"),
        case("no port").get("/no-port/x"),
        named("the server's name", "/named/x"),
        named("the server's name without port", "/named-no-port/x"),
        case("without a slash").get("/without-slash"),
        case("HTTP/1.0 without a host").send("GET /redirect/x HTTP/1.0\r\n\r\n"),
        case("HTTP/1.0 by name without a host").send("GET /named/x HTTP/1.0\r\n\r\n"),
        case("return").get("/return"),
        case("return with escapes").get("/return/a%20b"),
        case("return, relative").get("/return-relative"),
        case("return without port").get("/return-no-port"),
        named("return with the server's name", "/return-named"),
        case("return without a slash").get("/return-without-slash"),
        case("return of a URL").get("/return-url?a"),
        case("a slash is added").get("/slash?a"),
        case("a slash is added, relative").get("/slash-relative"),
        case("a slash is added without port").get("/slash-no-port"),
        named("a slash is added with the server's name", "/slash-named"),
    ]
}

fn ok() -> crate::support::Reply {
    answer(200).body("ok")
}
