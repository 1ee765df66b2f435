//! `ssi`: what commands in pages become, what pages include, and what becomes of their heads.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Conf, answer, http};

#[test]
fn pages_with_commands() {
    compare(&pages());
}

#[test]
fn pages_that_include() {
    compare(&included());
}

#[test]
fn answers_with_pages() {
    compare(&answers());
}

/// Pages that ask for nothing else.
const PAGES: &[&str] = &[
    r#"<!--#set var="1" value="V" --><!--#echo var="1" --><!--#if expr="$arg_q = /(a)/" --><!--#echo var="1" --><!--#endif --><!--#set var="1" value="W" --><!--#echo var="1" -->"#,
    r#"<!--#if expr="$arg_q != /a(.)g/" -->x<!--#else --><!--#echo var="1" --><!--#endif -->"#,
    r#"<!--#set var="5" value="five" --><!--#if expr="$arg_q = /(a)/" -->[<!--#echo var="5" -->]<!--#endif -->"#,
    r#"a<!--#echo var="uri" -->b"#,
    r#"a<!--#ECHO var="uri" -->b"#,
    r#"a<!--#echo VAR="uri" -->b"#,
    r#"a<!--#echo var="URI" -->b"#,
    r#"a<!--#echo var="arg_q" -->b<!--# echo var="nothing" -->"#,
    r#"a<!--#echo var="arg_zz" -->b<!--#echo var="arg_zz" default="D<" -->c<!--#echo var="arg_zz" default="" -->d"#,
    r#"<!--#echo var="request_uri" encoding="none" --> <!--#echo var="request_uri" encoding="url" --> <!--#echo var="request_uri" encoding="entity" --> <!--#echo var="arg_z" encoding="x" -->"#,
    r#"<!--#set var="x" value="a&quot;<'\"$uri\$ \\ \q ${args}z" -->[<!--#echo var="x" encoding="none" -->][<!--#echo var="x" -->]"#,
    r#"<!--#set var='x' value='a"b' -->[<!--#echo var='x' -->]"#,
    r"a<!--#",
    r"a<!--#ec",
    r#"a<!--#echo var="u"#,
    r#"a<!--#echo var="uri" -"#,
    r#"a<<!--#echo var="uri"-->b<!<!--#echo var="uri"-->c<!-<!--#echo var="uri"-->d<!--<!--#echo var="uri"-->e"#,
    r#"<!---#echo var="uri"-->"#,
    r"<!-- comment --> <!--- # -->",
    r#"<!--#echo var="uri" --->b"#,
    r#"<!--#echo var="uri" - ->b-->c"#,
    r#"<!--#echo var="uri"x -->b"#,
    r"<!--#echo var=uri -->b",
    r#"<!--#echo var "uri" -->b"#,
    r"<!--#echo var -->b",
    r"<!--#echo -->b",
    r"<!--#-->b",
    r"<!--# -->b",
    r#"<!--#echo var="uri" var="uri" -->b"#,
    r#"<!--#echo foo="uri" -->b"#,
    r#"<!--#nothing a="b" -->c"#,
    r#"<!--#echo var="uri" default -->c"#,
    r#"<!--#echo var = "uri" -->b"#,
    r#"<!--#echo  var="uri"default="x"-->b"#,
    r#"<!--#echo var="a-->b" default="no" -->"#,
    r#"<!--#echo var="uri"error -- > --- -->b"#,
    r#"<!--#averyveryveryverylongcommandnamethatistoolong a="b" -->c"#,
    r#"<!--#echo averyveryveryverylongparameternamethatistoolong="b" -->c"#,
    r#"<!--#echo var="uri" default="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" -->c"#,
    r#"<!--#echo var="uri"
\tdefault="x"
-->c"#,
    r#"<!--#echo
var="uri"-->c"#,
    r#"<!--#echo var="uri"e --->b-->c"#,
    r#"<!--#if expr="$arg_q = arg" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q=arg" -->Y<!--#endif -->|<!--#if expr="$arg_q != arg" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q" -->Y<!--#endif -->|<!--#if expr="$arg_zz" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="0" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="abc" -->Y<!--#endif -->|<!--#if expr="" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q = /A(R)G/" -->Y$1<!--#echo var="1" --><!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q = /a(r)(?<nm>g)/" -->Y<!--#echo var="1" --><!--#echo var="2" --><!--#echo var="0" --><!--#echo var="nm" --><!--#echo var="3" --><!--#else -->N<!--#endif --><!--#echo var="1" -->"#,
    r#"<!--#if expr="$arg_q != /^x/" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="ABC = abc" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="abc = ABC" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$ARG_Q = arg" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q == arg" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q > arg" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q ! arg" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q = /(/" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q = /arg" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="/x = \/x" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$uri = \/d12.html" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="a = b" -->1<!--#elif expr="a = a" -->2<!--#elif expr="a = a" -->3<!--#else -->4<!--#endif -->5"#,
    r#"<!--#if expr="a = a" -->1<!--#elif expr="a = a" -->2<!--#else -->4<!--#endif -->5"#,
    r#"<!--#if expr="a = a" -->1<!--#else -->2<!--#elif expr="a = a" -->3<!--#endif -->5"#,
    r#"<!--#else -->1<!--#endif -->2<!--#elif expr="a" -->3"#,
    r#"<!--#if expr="a = b" -->x<!--#if expr="a" -->y<!--#endif -->z<!--#endif -->w"#,
    r#"<!--#if expr="a = a" -->x<!--#if expr="a" -->y<!--#endif -->z<!--#endif -->w"#,
    r#"<!--#if expr="a = b" --><!--#nonsense --><!--#echo --><!--#echo var="uri" -->hidden<!--#endif -->shown"#,
    r#"<!--#if expr="a = b" --><!--#echo var=x -->hidden<!--#endif -->shown"#,
    r"<!--#if -->x<!--#endif -->y",
    r#"<!--#if expr="a" foo="b" -->x<!--#endif -->y"#,
    r#"<!--#if expr="a" -->unfinished"#,
    r#"<!--#if expr="$arg_q = arg" -->a<!--#else x="y" -->b<!--#endif -->c"#,
    r#"<!--#if expr="'$arg_q' = 'arg'" -->Y<!--#else -->N<!--#endif -->|<!--#if expr='"$arg_q" = "arg"' -->Y<!--#else -->N<!--#endif -->|<!--#if expr="\"$arg_q\" = \"arg\"" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$arg_q = ${arg_q}" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="a.b = a.b" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr=" $arg_q = arg" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$arg_q = arg " -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$nope = arg" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$nope != arg" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$nope = " -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#set var="a" value="$" -->[<!--#echo var="a" -->]"#,
    r#"<!--#set var="a" value="${uri" -->[<!--#echo var="a" -->]"#,
    r#"<!--#set var="a" value="$-x" -->[<!--#echo var="a" -->]"#,
    r#"<!--#set var="a" value="$nope!" -->[<!--#echo var="a" -->]"#,
    r#"<!--#set var="a" value="1" --><!--#set var="a" value="$a$a" -->[<!--#echo var="a" -->]<!--#set var="uri" value="mine" -->[<!--#echo var="uri" -->]<!--#set var="A" value="cap" -->[<!--#echo var="a" -->]"#,
    r#"<!--#set var="a" -->x<!--#set value="a" -->y"#,
    r#"<!--#config timefmt="%Y" -->[<!--#config timefmt="%Y-$arg_q" --><!--#config -->]<!--#config x="y" -->"#,
    r#"<!--#config timefmt="T" --><!--#echo var="date_local" --><!--#config timefmt="$arg_q%%" --><!--#echo var="date_gmt" -->"#,
    r#"<!--#if expr="$arg_q = /^arg$/" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$arg_q = /^a.g/" -->Y<!--#endif -->|<!--#if expr="$uri = /\.html$/" -->Y<!--#else -->N<!--#endif -->"#,
    r#"<!--#if expr="$uri = /\.html/" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$uri = /\\.html/" -->Y<!--#else -->N<!--#endif -->|<!--#if expr="$arg_q = /^${arg_q}/" -->Y<!--#endif -->|<!--#if expr="$arg_q = /$arg_q\$/" -->Y<!--#endif -->|<!--#if expr="$arg_q = /arg\$/" -->Y<!--#endif -->"#,
    r#"<!--#set var="x" value="$0$1" -->[<!--#echo var="x" -->]<!--#if expr="$arg_q = /(.)(.)/" --><!--#set var="x" value="$0-$1-$2-$3-$12" -->[<!--#echo var="x" -->]<!--#endif -->"#,
    r#"<!--#if expr="$1 = a" -->Y<!--#endif --><!--#if expr="$arg_q = /(x)?a/" -->[<!--#echo var="1" -->]<!--#endif -->"#,
    r#"<!--#echo var="" -->|<!--#set var="" value="x" -->|<!--#echo var="" -->"#,
    r#"<!--#echo var="arg_q" default="$uri" --> <!--#echo var="arg_zzz" default="$uri" -->"#,
    r#"<!--#set var="v" value="&amp;<>&\"" --><!--#echo var="v" --><!--#echo var="v" encoding="url" --><!--#echo var="v" encoding="none" --><!--#echo var="v" -->"#,
    r#"<!--#endif a="b" --><!--#endblock a="b" --><!--#else -->"#,
    r#"<!--#block name="x" a="b" -->X<!--#endblock a="b" -->Y<!--#endblock -->Z"#,
    r#"<!--#if expr="a = b" --><!--#block name="x" -->1<!--#else -->2<!--#endblock -->3<!--#endif -->"#,
    r#"<!--#set var="x" value="y" foo="bar" -->[<!--#echo var="x" -->]<!--#set var="$arg_q" value="V" -->[<!--#echo var="arg" -->][<!--#echo var="$arg_q" -->]"#,
    r#"<!--#block -->a<!--#endblock -->b<!--#endblock -->c<!--#block name="u" -->never ended"#,
    r#"<!--#if expr="a = b" --><!--#endblock -->SHOWN?<!--#endif -->y"#,
    r#"<!--#config errmsg="E<" -->x<!--#nope -->y"#,
    r#"<!--#config timefmt="%A %a %B %b %C %D %F %j %e %I %p %y %Y %%" --><!--#echo var="date_gmt" -->"#,
];

/// Pages that include others.
const INCLUDING: &[&str] = &[
    r#"<!--#set var="i" value="/inc.html" --><!--#include virtual="$i" -->|<!--#set var="j" value="inc.html" --><!--#include virtual="$j" -->|<!--#include virtual="/$j" -->|<!--#set var="e" value="" -->[<!--#echo var="e" -->]<!--#include virtual="${e}/inc.html" -->"#,
    r#"<!--#set var="h" value="http://x/inc.html" --><!--#include virtual="$h" -->|"#,
    r#"<!--#include virtual="/inc.html" virtual="/inc.html" -->"#,
    r#"<!--#include virtual="/v200" set="v" wait="yes" -->[<!--#echo var="v" encoding="none" -->]<!--#include file="inc.html" set="f" -->[<!--#echo var="f" -->]"#,
    r#"<!--#include virtual="/inc.html" --><!--#include virtual="/sub.html" wait="yes" --><!--#include virtual="/inc.html" -->"#,
    r#"a<!--#include virtual="/inc.html" -->b<!--#include file="inc.html" -->c<!--#include virtual="inc.html" -->"#,
    r#"<!--#include virtual="/v200?x=1&y=$uri" -->|<!--#include virtual="/v200?$args" -->|<!--#include virtual="/v%32%30%30?a%20b" -->"#,
    r#"<!--#include virtual="/nothing.html" -->|after"#,
    r#"<!--#include virtual="/e404" -->|<!--#include virtual="/e500" -->|after"#,
    r#"<!--#include virtual="/../etc/passwd" -->|<!--#include virtual="/a%00b" -->|<!--#include file="../inc.html" -->"#,
    r#"<!--#include -->|<!--#include virtual="/inc.html" file="inc.html" -->|<!--#include wait="yes" -->"#,
    r#"<!--#include virtual="/inc.html" wait="yes" -->|<!--#include virtual="/inc.html" wait="no" -->|<!--#include virtual="/inc.html" wait="maybe" -->|<!--#include file="inc.html" wait="yes" -->|<!--#include virtual="/inc.html" wait="YES" -->"#,
    r#"<!--#include virtual="/v200" set="v" -->[<!--#echo var="v" encoding="none" -->]<!--#include virtual="/e404" set="w" -->[<!--#echo var="w" -->]<!--#include virtual="/nothing" set="w2" -->[<!--#echo var="w2" -->]"#,
    r#"<!--#include virtual="/inc.html" set="v" -->[<!--#echo var="v" -->]<!--#include virtual="/px/inc.html" set="V2" -->[<!--#echo var="v2" -->]<!--#include virtual="/sub.html?x" set="v3" -->[<!--#echo var="v3" -->]"#,
    r#"<!--#block name="one" -->stub <!--#echo var="uri" --> text<!--#endblock -->x<!--#include virtual="/empty.html" stub="one" -->y<!--#include virtual="/nothing" stub="one" -->z<!--#include virtual="/inc.html" stub="one" -->"#,
    r#"<!--#include virtual="/empty.html" stub="nope" -->|<!--#include virtual="/empty.html" stub="one" set="x" -->|"#,
    r#"<!--#block name="one" --><!--#endblock -->x<!--#include virtual="/empty.html" stub="one" -->y<!--#block name="one" -->second<!--#endblock --><!--#include virtual="/empty.html" stub="one" -->"#,
    r#"<!--#block name="a" -->A<!--#block name="b" -->B<!--#endblock -->C<!--#endblock -->D[<!--#include virtual="/empty.html" stub="a" -->][<!--#include virtual="/empty.html" stub="b" -->]"#,
    r#"<!--#block name="a" --><!--#nonsense x="y" -->A<!--#if expr="a = b" -->h<!--#endif --><!--#echo var='q"' --><!--#endblock -->D[<!--#include virtual="/empty.html" stub="a" -->]"#,
    r#"<!--#include virtual="/sub.html?q=sub" -->|<!--#echo var="fromsub" -->"#,
    r#"<!--#include virtual="/sub.html?q=sub" wait="yes" -->|<!--#echo var="fromsub" -->"#,
    r#"<!--#set var="p" value="parent" --><!--#include virtual="/dir/" -->|<!--#include virtual="dir" -->|<!--#include virtual="/dir" -->"#,
    r#"<!--#include virtual="/plain/sub.html" -->|<!--#include virtual="/px/inc.html" -->|<!--#include virtual="/px/sub.html?a=b" -->"#,
    r#"<!--#if expr="a = b" --><!--#include virtual="/inc.html" --><!--#endif -->x<!--#if expr="a = b" --><!--#block name="q" -->in<!--#endblock --><!--#endif -->y[<!--#include virtual="/empty.html" stub="q" -->]"#,
    r#"<!--#include virtual="/empty" stub="z" --><!--#block name="z" -->late<!--#endblock -->"#,
    r#"<!--#include virtual="@named" -->|<!--#include virtual="/inc.html#frag" -->|<!--#include virtual="/inc.html?" -->"#,
    r#"<!--#include virtual="http://x/inc.html" -->"#,
    r#"<!--#include virtual="/$arg_q.html" -->|<!--#include virtual="/inc\.html" -->"#,
    r#"<!--#include virtual="/recursive.html" -->END"#,
    r#"<!--#include virtual="/dir/self.html" -->|<!--#include virtual="$nothing" -->|<!--#include virtual="?a=b" -->"#,
];

/// A server that looks through all its pages, with the pages `p0.html`, `p1.html` and so on.
fn conf(pages: &[&str]) -> Conf {
    let conf = http(
        r#"log_format status '$uri $status $request_uri $sent_http_content_type';
        server {
            listen 127.0.0.1:%PORT%; root %DIR%; default_type text/html; ssi on;
            location /plain/ { ssi off; alias %DIR%/; }
            location /v200 { return 200 "[$uri|$args|$request_uri|$request_method]"; }
            location /e404 { return 404; }
            location /e500 { return 500 "five"; }
            location /empty { return 200 ""; }
            location /px/ { proxy_pass http://127.0.0.1:%PORT%/; }
        }"#,
    );
    let conf = conf
        .file("inc.html", "INC")
        .file("sub.html", r#"<!--#echo var="uri" --><!--#echo var="request_uri" --><!--#set var="fromsub" value="S" --><!--#echo var="args" -->"#)
        .file("empty.html", "")
        .file("dir/index.html", r#"IDX<!--#include virtual="../inc.html" -->"#)
        .file("dir/self.html", r#"[<!--#include virtual="" -->][<!--#include file="" -->]"#)
        .file("recursive.html", r#"r<!--#include virtual="/recursive.html" -->"#);
    pages.iter().enumerate().fold(conf, |conf, (number, page)| conf.file(&format!("p{number}.html"), page))
}

fn visits(pages: &'static [&'static str]) -> Vec<Case> {
    let visit =
        |(number, page): (usize, &&'static str)| case(page).get(&format!("/p{number}.html?q=arg&z=a%22b"));
    pages.iter().enumerate().map(visit).collect()
}

/// Commands that ask for nothing.
pub fn pages() -> Group {
    const HELD: &[&str] = &["a<", "a<!", "a<!-", "a<!--"];
    let whole = "what only looks like the beginning of a command is shown at the end of a page too";
    let conf = HELD
        .iter()
        .enumerate()
        .fold(conf(PAGES), |conf, (number, page)| conf.file(&format!("h{number}.html"), page));
    let held = HELD.iter().enumerate().map(|(number, page)| {
        let shown: &'static [&'static str] = vec![&*format!("< | {page}\n").leak()].leak();
        case(page).get(&format!("/h{number}.html")).differs(whole, shown)
    });
    Group::new("pages with commands", conf).cases(visits(PAGES)).cases(held)
}

/// Pages that include others.
pub fn included() -> Group {
    Group::new("pages that include", conf(INCLUDING)).cases(visits(INCLUDING))
}

/// Heads of answers with pages, and pages of an origin and of the cache.
pub fn answers() -> Group {
    let conf = http(
        r#"proxy_cache_path cache keys_zone=zone:1m;
        log_format parts '$uri $status $request_uri $args $request_method $upstream_status';
        server {
            listen 127.0.0.1:%PORT%; root %DIR%; ssi on;
            types { text/html html; text/css css; application/x-page page; }
            location / { }
            location /origin/ { proxy_pass http://%ORIGIN%; }
            location /modern/ { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://%ORIGIN%; }
            location /unbuffered/ { proxy_buffering off; proxy_pass http://%ORIGIN%; }
            location /b/ { proxy_pass http://%ORIGIN:b%; }
            location /closed/ { proxy_pass http://%CLOSED%; }
            location /caught/ { error_page 502 =200 /inc.html; proxy_pass http://%CLOSED%; }
            location /intercepted/ { proxy_intercept_errors on; error_page 404 /inc.html; proxy_pass http://%ORIGIN:b%; }
            location /cached/ {
                proxy_cache zone; proxy_cache_key $uri; proxy_cache_valid any 1h; add_header X-Cache $upstream_cache_status;
                proxy_pass http://%ORIGIN%;
            }
            location /ranged/ { error_page 416 =200 /inc.html; alias %DIR%/; }
            location /kept/ { ssi_last_modified on; alias %DIR%/; }
            location /silent/ { ssi_silent_errors on; alias %DIR%/; }
            location /long/ { ssi_value_length 400; alias %DIR%/; }
            location /types/ { ssi_types text/css application/x-page; alias %DIR%/; }
            location /all/ { ssi_types *; alias %DIR%/; }
            location /off/ { ssi off; alias %DIR%/; }
            location /internal/ { internal; alias %DIR%/; }
            location /packed/ { gzip on; gzip_min_length 0; alias %DIR%/; }
            location /logged/ { access_log access.log parts; log_subrequest on; alias %DIR%/; }
            location /unlogged/ { access_log access.log parts; alias %DIR%/; } location = /logged.html { access_log access.log parts; }
            location /ended { return 444; }
            location /set { set $word sub; default_type text/html; return 200 "<!--#echo var='word' -->"; }
            location /word { set $word main; default_type text/html; return 200 "[<!--#echo var='word' --><!--#include virtual='/set' wait='yes' --><!--#echo var='word' -->]"; }
            location /header { default_type text/html; return 200 "<!--#echo var='http_x_a' --> <!--#echo var='cookie_c' --> <!--#echo var='host' --> <!--#echo var='remote_addr' -->"; }
            location /method { default_type text/html; return 200 "<!--#include virtual='/header' --> <!--#echo var='request_method' -->"; }
            location /small/ { subrequest_output_buffer_size 10; alias %DIR%/; }
        }"#,
    );
    let page = |inside: &str| format!("[{inside}]");
    let include = |path: &str| page(&format!("<!--#include virtual=\"{path}\" -->"));
    let value = "v".repeat(300);
    let conf = [
        ("inc.html", "INC".to_owned()),
        ("page.html", include("/inc.html")),
        ("style.css", include("/inc.html")),
        ("a.page", include("/inc.html")),
        ("nothing.html", String::new()),
        ("failing.html", page("<!--#nothing -->")),
        ("long-value.html", page(&format!("<!--#echo var=\"none\" default=\"{value}\" -->"))),
        ("from-origin.html", include("/origin/a")),
        ("from-b.html", include("/b/a?x=$arg_x")),
        ("from-both.html", page("<!--#include virtual=\"/b/one\" --><!--#include virtual=\"/origin/two\" -->")),
        ("from-cache.html", include("/cached/part")),
        ("from-closed.html", include("/closed/a")),
        ("caught.html", include("/caught/a")),
        ("intercepted.html", include("/intercepted/a")),
        ("from-internal.html", include("/internal/inc.html")),
        ("stub-for-closed.html", page("<!--#block name=\"s\" -->STUB<!--#endblock --><!--#include virtual=\"/closed/a\" stub=\"s\" -->")),
        ("stub-for-b.html", page("<!--#block name=\"s\" -->STUB<!--#endblock --><!--#include virtual=\"/b/a\" stub=\"s\" -->")),
        ("set-from-b.html", page("<!--#include virtual=\"/b/a\" set=\"x\" --><!--#echo var=\"x\" -->")),
        ("ended.html", include("/ended")),
        ("large.html", "text\n".repeat(20_000) + "<!--#include virtual=\"/inc.html\" -->" + &"more\n".repeat(20_000)),
        ("includes-large.html", include("/large.html")),
        ("logged.html", page("<!--#include virtual=\"/logged/inc.html\" --><!--#include virtual=\"/unlogged/inc.html\" --><!--#include virtual=\"/logged/none\" -->")),
    ]
    .into_iter()
    .fold(conf, |conf, (path, text)| conf.file(path, text));
    Group::new("answers with pages", conf).cases(heads()).cases(origins()).cases(stored())
}

fn heads() -> Vec<Case> {
    let accepts = "Accept-Encoding: gzip";
    vec![
        case("a page").get("/page.html"),
        case("HEAD of a page").head("/page.html"),
        case("a page for HTTP/1.0").request("GET /page.html HTTP/1.0", &["Connection: keep-alive"], ""),
        case("a range of a page").get_with("/page.html", &["Range: bytes=0-1"]),
        case("a range beyond a page that has a page for that")
            .get_with("/ranged/page.html", &["Range: bytes=900-"]),
        case("a page that the client has").get_with("/page.html", &["If-None-Match: *"]),
        case("an empty page").get("/nothing.html"),
        case("the time of change is kept").get("/kept/page.html"),
        case("turned off").get("/off/page.html"),
        case("another type").get("/style.css"),
        case("a type that is listed").get("/types/style.css").get("/types/a.page"),
        case("a type that is always there").get("/types/page.html"),
        case("any type").get("/all/style.css"),
        case("errors that are not shown").get("/silent/failing.html").get("/failing.html"),
        case("a value that is too long").get("/long-value.html"),
        case("a value that may be long").get("/long/long-value.html"),
        case("a page, compressed").get_with("/packed/page.html", &[accepts]),
        case("a large page").get("/large.html"),
        case("a large page in a page").get("/includes-large.html"),
        case("a large page, compressed").get_with("/packed/includes-large.html", &[accepts]),
        case("variables of the configuration").get("/word"),
        case("fields of the client").get_with("/header", &["X-A: <1>", "Cookie: c=2"]),
        case("a page as the answer to POST").request(
            "POST /method HTTP/1.1",
            &["X-A: 1", "Content-Length: 3"],
            "abc",
        ),
        case("a part from an internal location").get("/from-internal.html").get("/internal/inc.html"),
        case("two pages through a connection").get("/page.html").get("/page.html"),
        case("parts are logged where it says so").get("/logged.html?main").log(3),
        case("a part that ends the connection").get("/ended.html"),
    ]
}

fn origins() -> Vec<Case> {
    let html = || answer(200).field("Content-Type", "text/html");
    let page = "<p><!--#include virtual=\"/inc.html\" --></p>";
    vec![
        case("a page from an origin")
            .origin(html().field("ETag", "\"a\"").field("Accept-Ranges", "bytes").body(page))
            .get("/origin/a"),
        case("a page from an origin, with all its fields")
            .origin(
                html().field("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT").field("X-A", "1").body(page),
            )
            .get("/origin/b"),
        case("a page in chunks that split commands")
            .origin(html().chunked(&["<p><!-", "-#incl", "ude virtual=\"/i", "nc.html\" -", "-></p>"]))
            .get("/modern/a"),
        case("a page as it comes").origin(html().body(page)).get("/unbuffered/a"),
        case("a page with an error")
            .origin(answer(500).field("Content-Type", "text/html").body(page))
            .get("/origin/c"),
        case("a page of another type")
            .origin(answer(200).field("Content-Type", "text/plain").body(page))
            .get("/origin/d"),
        case("a page with a character set")
            .origin(answer(200).field("Content-Type", "text/html; charset=utf-8").body(page))
            .get("/origin/e"),
        case("a page that breaks off")
            .origin(html().declared(1000).bytes(page).then_close())
            .get("/origin/f")
            .differs(
                "the head is on its way when the body turns out to be broken, and the missing end tells of it",
                &["< (torn)"],
            ),
        case("a part from an origin").origin(answer(200).body("PART")).get("/from-origin.html"),
        case("what an origin is asked for a part")
            .origin_b(answer(200).body("PART"))
            .get_with("/from-b.html?x=1%202", &["X-A: 1", "Cookie: a=b", "Accept: x"]),
        case("a part that is a page").origin(html().body(page)).get("/from-origin.html"),
        case("a part that is an error").origin(answer(404).body("GONE")).get("/from-origin.html"),
        case("a part that redirects")
            .origin(answer(302).field("Location", "/inc.html").body("MOVED"))
            .get("/from-origin.html"),
        case("a part that is empty").origin(answer(200).body("")).get("/from-origin.html"),
        case("a part of unknown length").origin(answer(200).until_close("PART")).get("/from-origin.html"),
        case("a large part").origin(answer(200).body("0123456789".repeat(10_000))).get("/from-origin.html"),
        case("parts from two origins")
            .origin(answer(200).body("TWO"))
            .origin_b(answer(200).body("ONE"))
            .get("/from-both.html"),
        case("a part from nowhere").get("/from-closed.html"),
        case("a part with an error page").get("/caught.html"),
        case("a part that is intercepted").origin_b(answer(404).body("GONE")).get("/intercepted.html"),
        case("a stub for a part from nowhere").get("/stub-for-closed.html"),
        case("a stub for a part that is empty").origin_b(answer(200).body("")).get("/stub-for-b.html"),
        case("a stub for a part that is an error").origin_b(answer(404).body("GONE")).get("/stub-for-b.html"),
        case("a stub for a part that is fine").origin_b(answer(200).body("FINE")).get("/stub-for-b.html"),
        case("a part that is a value").origin_b(answer(200).body("<VALUE>")).get("/set-from-b.html"),
        case("a part that is an error and no value")
            .origin_b(answer(404).body("GONE"))
            .get("/set-from-b.html"),
        case("X-Accel-Redirect of a part")
            .origin(answer(200).field("X-Accel-Redirect", "/inc.html").body("NOT"))
            .get("/from-origin.html"),
    ]
}

fn stored() -> Vec<Case> {
    let html = || answer(200).field("Content-Type", "text/html");
    let page = "<p><!--#include virtual=\"/inc.html\" --></p>";
    vec![
        case("a stored page").origin(html().body(page)).get("/cached/a").until("/cached/a", "X-Cache: HIT"),
        case("a stored part")
            .origin(answer(200).body("STORED"))
            .get("/from-cache.html")
            .until("/cached/part", "X-Cache: HIT")
            .get("/from-cache.html"),
    ]
}
