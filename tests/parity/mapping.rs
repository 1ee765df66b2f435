//! Variables made of others: `map`, `geo`, `split_clients`.

use super::{
    case::{Case, Group, case},
    configuration::{Tested, refuse_alike},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn maps() {
    compare(&map_group());
}

#[test]
fn maps_of_hosts() {
    compare(&host_group());
}

#[test]
fn maps_of_answers() {
    compare(&answer_group());
}

#[test]
fn addresses() {
    compare(&geo_group());
}

#[test]
fn parts_of_keys() {
    compare(&split_group());
}

#[test]
fn blocks_are_refused_in_the_same_words() {
    refuse_alike(refused_maps().into_iter().chain(refused_geo()).chain(refused_splits()));
}

/// Asks for a path that holds the value to look up: `/NAME?k=VALUE`.
fn asks(path: &'static str, values: &[&'static str]) -> Vec<Case> {
    let one = |value: &&'static str| case(value).get(&format!("{path}?k={value}"));
    values.iter().map(one).collect()
}

/// Maps, and locations that show what they make.
const MAPS: &str = r#"
        map $arg_k $plain { default else; "" empty; one 1; TWO 2; "a b" spaced; \default escaped; x/y slash; ~^re(.)$ "re"; }
        map $arg_k $bare { one 1; }
        map $arg_k $caught {
            ~^(?<word>[a-z]+)-(\d+)$ "$word/$2"; ~^n(\d)(\d)$ "$2$1"; ~*^CASE(.*)$ "caseless $1"; ~^case "never"; default none;
        }
        map $arg_k $first { ~^a "starts"; ~a$ "ends"; ab "text first"; default none; }
        map "$request_method:$arg_k" $several { GET:x "get x"; HEAD:x "head x"; ~^GET: "some get"; }
        map $arg_k $valued { default "<$uri>"; one $host; two "${arg_v}-$plain"; three $bare; }
        map $arg_k $early { ~^l(.*)$ $late; default "early $late"; }
        map $arg_k $late { ~^l(.)(.*)$ "late $2"; default "late else"; }
        map $uri $kept { ~^/inner 2; default 1; }
        map $uri $fresh { volatile; ~^/inner 2; default 1; }
        map $arg_k $included { include values.map; default outside; }
        map $arg_k $twice { one first; } map $arg_k $twice { one second; default last; }
        map $arg_k $set_later { one mapped; default else; }
        map constant $fixed { constant yes; default no; }
        map $arg_k $wild { *.a star; a.* tail; .a dotted; default else; }
        map $arg_k $http_mapped { one mapped; default else; }
        map $status $quiet { ~^[23] 0; default 1; }
        map $arg_k $target { one %ORIGIN%; default %ORIGIN:b%; }
        map $http_upgrade $kept_open { default upgrade; "" close; }
        map $arg_k $cyclic { one "<$cyclic>"; default plain; }
        log_format value '$plain|$bare|$caught|$fixed';
        server {
            listen 127.0.0.1:%PORT%;
            location /plain { return 200 "$plain"; }
            location /bare { return 200 "[$bare]"; }
            location /caught { return 200 "$caught"; }
            location /after { return 200 "$caught $word $1,$2,$3"; }
            location ~ ^/before/(.*)$ { return 200 "$1 $plain"; }
            location /first { return 200 "$first"; }
            location /several { return 200 "[$several]"; }
            location /valued { return 200 "$valued"; }
            location /early { return 200 "$early"; }
            location /outer { error_page 418 = /inner; set $before "$kept$fresh"; return 418; }
            location /inner { return 200 "$before $kept$fresh"; }
            location /included { return 200 "$included"; }
            location /twice { return 200 "$twice"; }
            location /set { set $set_later over; return 200 "$set_later"; }
            location /unset { return 200 "$set_later"; }
            location /fixed { return 200 "$fixed"; }
            location /wild { return 200 "$wild"; }
            location /http { return 200 "$http_mapped"; }
            location /log { access_log access.log value if=$arg_k; return 200 hello; }
            location /quiet { access_log access.log value if=$quiet; return 404; }
            location /quiet/fine { access_log access.log value if=$quiet; return 204; }
            location /redirect { return 302 /to/$plain; }
            location /target { proxy_pass http://$target; }
            location /fields { proxy_pass http://%ORIGIN%; proxy_set_header X-Mapped $plain; proxy_set_header Connection $kept_open; proxy_http_version 1.1; }
            location /cyclic { return 200 "$cyclic"; }
        }"#;

/// Maps of any text, each with a location that shows what it makes.
pub fn map_group() -> Group {
    let conf = http(MAPS).file("values.map", "one 1;\n~^two(.)$ \"two $1\";\nthree \"a;b\";\n");
    let texts = ["", "one", "ONE", "two", "TWO", "Two", "x/y", "default", "reX", "re", "other"];
    let caught = ["ab-12", "AB-12", "n12", "caseXYZ", "CaSe", "none"];
    Group::new("map", conf)
        .cases(asks("/plain", &texts))
        .cases([case("without the argument").get("/plain"), case("a space").get("/plain?k=a%20b")])
        .cases(asks("/bare", &["one", "two"]))
        .cases(asks("/caught", &caught))
        .cases(asks("/after", &["ab-12", "n12", "none"]))
        .cases([
            case("captures of the location stay where texts match").get("/before/x?k=one"),
            case("a capture before an expression without groups").get("/before/x?k=other"),
        ])
        .cases(asks("/first", &["a", "ba", "ab", "aa", "b"]))
        .cases(asks("/several", &["x", "y"]))
        .cases([case("several variables, another method").head("/several?k=x")])
        .cases(asks("/valued", &["one", "three", "other"]))
        .cases([case("a value of two variables").get("/valued?k=two&v=1")])
        .cases(asks("/early", &["lab", "other"]))
        .cases([
            case("values outlive redirects but for volatile ones").get("/outer"),
            case("a variable that is set loses its map").get("/set?k=one"),
            case("and keeps it elsewhere").get("/unset?k=one"),
            case("a constant").get("/fixed"),
        ])
        .cases(asks("/included", &["one", "two3", "three", "four"]))
        .cases(asks("/twice", &["one", "other"]))
        .cases(asks("/wild", &["*.a", "x.a", "a.*", "a.b", ".a"]))
        .cases(asks("/http", &["one", "other"]))
        .cases(mapped_elsewhere())
}

/// Where values of maps go.
fn mapped_elsewhere() -> Vec<Case> {
    vec![
        case("in the access log").get("/log?k=one").log(1),
        case("in the access log, where nothing fits").get("/log?k=n12").log(1),
        case("as a condition of the access log").get("/quiet/fine").get("/quiet").log(1),
        case("in a redirect").get("/redirect?k=one"),
        case("as the target of proxy_pass").get("/target?k=one").origin(answer(200).body("first")),
        case("as another target of proxy_pass").get("/target?k=two").origin_b(answer(200).body("second")),
        case("in fields for the origin").get("/fields?k=one").origin(answer(200).body("x")),
        case("in fields for the origin, with an upgrade")
            .get_with("/fields?k=two", &["Upgrade: thing"])
            .origin(answer(200).body("x")),
        case("a variable made of itself")
            .get("/cyclic?k=one")
            .differs("nginx counts its own variables among the hundred levels", &["< HTTP/1.1 200 OK"]),
        case("a variable that would be made of itself for others").get("/cyclic?k=two"),
    ]
}

/// `hostnames`.
pub fn host_group() -> Group {
    let conf = http(
        r#"
        map $arg_k $site {
            hostnames; default else;
            exact.test exact; *.exact.test below; .both.test both; www.* www; *.a.b.test deep; *.b.test less-deep;
            ~^re\d+\.test$ expression; UPPER.test upper; www.both.test closer; "" empty; one.two.* twofold;
        }
        map $arg_k $late { *.x.test text; hostnames; *.y.test wildcard; }
        map $host $by_host { hostnames; *.host.test inside; default outside; }
        server {
            listen 127.0.0.1:%PORT%;
            location /site { return 200 "$site"; }
            location /late { return 200 "[$late]"; }
            location /host { return 200 "$by_host"; }
        }"#,
    );
    let hosts = [
        "exact.test",
        "exact.test.",
        "exact.test..",
        "EXACT.Test",
        "x.exact.test",
        "x.y.exact.test",
        "both.test",
        "x.both.test",
        "www.both.test",
        "www.else",
        "www.",
        "www",
        "x.a.b.test",
        "a.b.test",
        "re12.test",
        "re.test",
        "upper.TEST",
        "one.two.three",
        "one.two",
        "",
        ".",
        "unknown",
    ];
    Group::new("map with hostnames", conf)
        .cases(asks("/site", &hosts))
        .cases(asks("/late", &["*.x.test", "a.x.test", "a.y.test"]))
        .cases([
            case("the host of a request").send("GET /host HTTP/1.1\r\nHost: a.host.test\r\n\r\n"),
            case("another host").send("GET /host HTTP/1.1\r\nHost: host.test\r\n\r\n"),
        ])
}

/// Maps of what an answer says.
pub fn answer_group() -> Group {
    let conf = http(
        r#"
        map $sent_http_content_type $lifetime { text/html epoch; ~^image/ max; default off; }
        map $upstream_http_x_kind $kind { public "kind public"; default "kind unknown"; }
        map $upstream_status $ok { ~^2 good; default bad; }
        map $status $told { 200 fine; ~^4 yours; ~^5 ours; }
        server {
            listen 127.0.0.1:%PORT%;
            expires $lifetime;
            add_header X-Kind $kind always; add_header X-Ok $ok always; add_header X-Told $told always;
            location / { proxy_pass http://%ORIGIN%; }
            location /own { default_type image/png; return 404 x; }
        }"#,
    );
    let typed = |kind: &str| answer(200).field("Content-Type", kind).body("x");
    let page: Reply = typed("text/html").field("X-Kind", "public");
    Group::new("map of answers", conf).cases([
        case("a page").get("/a").origin(page),
        case("an image").get("/b").origin(typed("image/gif")),
        case("something else").get("/c").origin(typed("text/css")),
        case("an error").get("/d").origin(answer(503).body("x")),
        case("an answer of our own").get("/own"),
    ])
}

/// Tables of addresses, and locations that show what they make.
const NETWORKS: &str = r#"
        geo $client { default else; 127.0.0.1 self; }
        geo $arg_a $net {
            default else; 10.0.0.0/8 ten; 10.1.0.0/16 ten-one; 10.1.2.3 one; 192.168.0.0/16 gone; delete 192.168.0.0/16;
            2001:db8::/32 six; 2001:db8::1 six-one; 172.16.0.1/12 low-bits; 10.1.0.0/16 again; include nets.geo;
        }
        geo $arg_a $bare { 10.0.0.0/8 ten; ::/0 any-six; }
        geo $arg_a $lowest { 255.255.255.255 last; default else; }
        geo $arg_a $range {
            ranges; default else; 10.0.0.10-10.0.0.90 a; 10.0.0.20-10.0.0.30 b; 10.0.0.10-10.0.0.12 c;
            10.0.0.80-10.0.0.90 d; 10.0.255.0-10.2.0.255 g; 10.1.0.0-10.1.0.0 h; 11.0.0.0-11.0.0.9 gone; delete 11.0.0.0-11.0.0.9;
        }
        geo $arg_a $range_bare { ranges; 10.0.0.0-10.255.255.255 ten; }
        geo $last { proxy 127.0.0.0/8; proxy 10.0.0.0/8; default else; 1.1.1.1 one; 2.2.2.2 two; 10.0.0.2 proxy; 127.0.0.1 self; }
        geo $deep { proxy 127.0.0.0/8; proxy 10.0.0.0/8; proxy_recursive; default else; 1.1.1.1 one; 2.2.2.2 two; 10.0.0.0/8 proxy; 127.0.0.1 self; ::1 six; }
        geo $far { proxy 10.0.0.0/8; default else; 1.1.1.1 one; 127.0.0.1 self; }
        geo $literal { default $uri; }
        geo $arg_nothing $missing { default else; 255.255.255.255 none; }
        map $client $of_geo { self mapped; default no; }
        server {
            listen 127.0.0.1:%PORT%;
            location /client { return 200 "$client $of_geo $literal $missing"; }
            location /net { return 200 "$net [$bare] $lowest"; }
            location /range { return 200 "$range [$range_bare]"; }
            location /forwarded { return 200 "$last $deep $far"; }
        }"#;

/// `geo` of an argument, so that any address can be tried, and of the client.
pub fn geo_group() -> Group {
    let conf = http(NETWORKS).file("nets.geo", "100.64.0.0/10 shared;\n");
    let nets = [
        "10.1.2.3",
        "10.1.2.4",
        "10.9.9.9",
        "11.0.0.1",
        "192.168.1.1",
        "172.31.0.1",
        "172.32.0.1",
        "2001:db8::1",
        "2001:db8::2",
        "2001:db9::1",
        "::1",
        "::ffff:10.1.2.3",
        "100.100.0.1",
        "255.255.255.255",
        "nonsense",
        "",
        "10.1.2.3:80",
        "10.1.2",
    ];
    let ranges = [
        "10.0.0.9",
        "10.0.0.10",
        "10.0.0.12",
        "10.0.0.13",
        "10.0.0.25",
        "10.0.0.31",
        "10.0.0.80",
        "10.0.0.90",
        "10.0.0.91",
        "10.0.255.0",
        "10.1.0.0",
        "10.1.0.1",
        "10.2.0.255",
        "10.2.1.0",
        "11.0.0.5",
        "2001:db8::1",
        "::ffff:10.0.0.25",
        "255.255.255.255",
        "nonsense",
    ];
    let ask = |path: &str, address: &&'static str| case(address).get(&format!("{path}?a={address}"));
    Group::new("geo", conf)
        .cases([case("the client's own address").get("/client")])
        .cases(nets.iter().map(|address| ask("/net", address)))
        .cases(ranges.iter().map(|address| ask("/range", address)))
        .cases(forwarded())
}

/// Addresses that proxies have forwarded.
fn forwarded() -> Vec<Case> {
    let lists: [(&'static str, &[&str]); 10] = [
        ("no list", &[]),
        ("one address", &["X-Forwarded-For: 1.1.1.1"]),
        ("two addresses", &["X-Forwarded-For: 1.1.1.1, 2.2.2.2"]),
        ("a proxy last", &["X-Forwarded-For: 1.1.1.1, 10.0.0.2"]),
        ("spaces and commas", &["X-Forwarded-For: 1.1.1.1,2.2.2.2 , 10.0.0.2 ,"]),
        ("proxies only", &["X-Forwarded-For: 10.0.0.3, 10.0.0.2"]),
        ("several fields", &["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 10.0.0.2"]),
        ("nonsense", &["X-Forwarded-For: 1.1.1.1, nonsense, 10.0.0.2"]),
        ("a port", &["X-Forwarded-For: 1.1.1.1:8080"]),
        ("an address of IPv6", &["X-Forwarded-For: [::1]:80"]),
    ];
    lists.into_iter().map(|(name, lines)| case(name).get_with("/forwarded", lines)).collect()
}

/// `split_clients`: every key falls into nginx's part.
pub fn split_group() -> Group {
    let conf = http(
        r#"
        split_clients $arg_k $part { 10%% a; 20%% b; 0.5%% c; 33.33%% d; * e; }
        split_clients "$arg_k$uri" $open { 50%% half; }
        split_clients $arg_k $fine { 0.01%% tiny; 99.98%% most; * rest; }
        split_clients $arg_k $literal { * $uri; }
        split_clients $arg_k $whole { 100%% all; * never; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { return 200 "$part [$open] $fine $literal $whole"; }
        }"#,
    );
    const KEYS: [&str; 32] = [
        "",
        "a",
        "b",
        "c",
        "ab",
        "abc",
        "abcd",
        "abcde",
        "abcdef",
        "abcdefg",
        "abcdefgh",
        "1",
        "12",
        "123",
        "1234",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "user-1",
        "user-2",
        "user-3",
        "user-4",
        "user-5",
        "user-6",
        "user-7",
        "user-8",
        "user-9",
        "user-10",
        "%E2%82%AC",
        "a-long-key-with-many-words-in-it",
        "Z",
        "zz",
    ];
    Group::new("split_clients", conf).cases(asks("/", &KEYS))
}

fn refused_maps() -> Vec<Tested> {
    let map = |name, text: &str| Tested::inside_http(name, &format!("map $uri $x {{\n{text}\n}}"));
    let whole = Tested::inside_http;
    vec![
        whole("a map to what is no variable", "map $uri x {}"),
        whole("a map to a variable without a name", "map $uri $ {}"),
        whole("a map of an unknown variable", "map $nope $x {}").placed_better(),
        whole("a map to a built-in variable", "map $uri $host { a b; }"),
        whole("a map to a variable of another module", "map $uri $upstream_addr { a b; }"),
        whole("a map without a variable", "map $uri {}"),
        whole("a map without a block", "map $uri $x;"),
        whole("a map outside of http", "server { map $uri $x {} }"),
        whole("a size of the map that is none", "map_hash_max_size many;"),
        whole("a size of the map twice", "map_hash_bucket_size 64; map_hash_bucket_size 64;"),
        map("too few words", "a;"),
        map("too many words", "a b c;"),
        map("a default twice", "default a;\ndefault b;"),
        map("a text twice", "a 1;\na 2;"),
        map("a text in both cases", "a 1;\nA 2;"),
        map("a wildcard twice", "hostnames;\n*.a 1;\n.a 2;"),
        map("a wildcard in the middle", "hostnames;\na*b 1;"),
        map("two wildcards", "hostnames;\n*.a.*.b 1;"),
        map("a wildcard alone", "hostnames;\n* 1;"),
        map("two dots", "hostnames;\na..b 1;"),
        map("an expression that is none", "~( 1;"),
        map("a value of an unknown variable", "a $nope;").placed_better(),
        map("a value without a name", "a $;"),
        map("a value without its bracket", "a ${uri;").placed_better(),
        map("a block inside", "a { b c; }"),
        map("a file that is missing", "include nope.map;"),
    ]
}

fn refused_geo() -> Vec<Tested> {
    let geo = |name, text: &str| Tested::inside_http(name, &format!("geo $x {{\n{text}\n}}"));
    let whole = Tested::inside_http;
    vec![
        whole("a geo to what is no variable", "geo x {}"),
        whole("a geo of two variables, one unknown", "geo $nope $x { default 1; }").placed_better(),
        whole("a geo to a built-in variable", "geo $host {}"),
        geo("a network that is none", "somewhere a;"),
        geo("a mask that is too long", "10.0.0.0/33 a;"),
        geo("a mask in the old form", "10.0.0.0/255.0.0.0 a;"),
        geo("an address that is too short", "10.0.0 a;"),
        geo("nothing to delete", "delete default;"),
        geo("a proxy that is none", "proxy somewhere;"),
        geo("one word", "somewhere;"),
        geo("three words", "a b c;"),
        geo("a block inside", "10.0.0.0/8 { a b; }"),
        geo("ranges too late", "default 1;\nranges;"),
        geo("ranges behind a network", "10.0.0.0/8 1;\nranges;"),
        geo("a network among ranges", "ranges;\n10.0.0.0/8 a;"),
        geo("a range backwards", "ranges;\n10.0.0.2-10.0.0.1 a;"),
        geo("a range of IPv6", "ranges;\n::1-::2 a;"),
        geo("a range that reaches out", "ranges;\n10.0.0.4-10.0.0.8 a;\n10.0.0.6-10.0.0.9 b;"),
        geo("a range around another", "ranges;\n10.0.0.5-10.0.0.6 a;\n10.0.0.4-10.0.0.8 b;"),
        geo("a range to delete that is none", "ranges;\ndelete default;"),
    ]
}

fn refused_splits() -> Vec<Tested> {
    let split =
        |name, text: &str| Tested::inside_http(name, &format!("split_clients $uri $x {{\n{text}\n}}"));
    vec![
        Tested::inside_http("a split to what is no variable", "split_clients $uri x {}"),
        Tested::inside_http("a split of an unknown variable", "split_clients $nope $x {}").placed_better(),
        Tested::inside_http("a split without a key", "split_clients $x {}"),
        split("no percent", "10 a;"),
        split("a share that is none", "x%% a;"),
        split("nothing of it", "0%% a;"),
        split("too exact a share", "0.001%% a;"),
        split("less than nothing", "-1%% a;"),
        split("more than all", "60%% a;\n40.01%% b;").placed_better(),
        split("a share behind the rest", "* a;\n10%% b;").placed_better(),
        split("a block inside", "10%% { a b; }"),
    ]
}
