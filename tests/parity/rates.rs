//! Limits of how fast bytes go: what comes out is whole and in order, whatever the limit. How long it takes is
//! arithmetic, which has tables of its own.

use super::{
    case::{Case, Group, case},
    configuration::{Tested, refuse_alike},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn limited_rates() {
    compare(&group());
}

#[test]
fn rates_are_refused_in_the_same_words() {
    let server = |name, text: &str| {
        Tested::inside_http(
            name,
            &format!("server {{ location / {{\nproxy_pass http://127.0.0.1;\n{text}\n}} }}"),
        )
    };
    refuse_alike([
        server("a rate that is none", "limit_rate fast;"),
        server("a negative rate", "limit_rate -1;"),
        server("a rate twice", "limit_rate 1k;\nlimit_rate 1k;"),
        server("two rates at once", "limit_rate 1k 2k;"),
        server("a rate of an unknown variable", "limit_rate $nothing;").placed_better(),
        server("an amount that is none", "limit_rate_after much;"),
        server("an upstream's rate that is none", "proxy_limit_rate fast;"),
        server("an upstream's rate twice", "proxy_limit_rate 1k;\nproxy_limit_rate 1k;"),
    ]);
}

/// Limits that cut an answer into many parts, but take no second.
pub fn group() -> Group {
    let conf = http(
        r#"
        proxy_cache_path cache keys_zone=zone:1m;
        map $arg_r $rate { none 0; bad slow; default 40k; }
        log_format rate '$status $body_bytes_sent $limit_rate';
        limit_rate_after 20k;
        server {
            listen 127.0.0.1:%PORT%; root files; access_log access.log rate;
            location / { limit_rate 60k; }
            location /variable/ { alias files/; limit_rate $rate; limit_rate_after $arg_a; }
            location /set { set $limit_rate 50k; set $before $limit_rate; return 200 "$before $limit_rate"; }
            location /unset { return 200 "$limit_rate"; }
            location /proxied { limit_rate 100k; proxy_pass http://%ORIGIN%; }
            location /upstream { proxy_limit_rate 300k; proxy_pass http://%ORIGIN%; }
            location /unbuffered { proxy_limit_rate 1; proxy_buffering off; proxy_pass http://%ORIGIN%; }
            location /stored { proxy_limit_rate 300k; proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /asked { proxy_pass http://%ORIGIN%; add_header X-Rate $limit_rate; }
            location /ignored { proxy_ignore_headers X-Accel-Limit-Rate; proxy_pass http://%ORIGIN%; add_header X-Rate $limit_rate; }
            location /passed { proxy_pass_header X-Accel-Limit-Rate; proxy_pass http://%ORIGIN%; }
            location /kept { proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; add_header X-Rate $limit_rate; }
        }"#,
    )
    .file("files/page", page());
    Group::new("rates", conf).cases(own()).cases(proxied())
}

/// Text in which each part can be told from the others.
fn page() -> String {
    (0..4000).map(|number| format!("{number:04} and so on\n")).collect()
}

fn own() -> Vec<Case> {
    vec![
        case("a file").get("/page").log(1),
        case("a file, on a connection that goes on").get("/page").get("/page").log(2),
        case("a part of a file").get_with("/page", &["Range: bytes=100-40000"]).log(1),
        case("several parts").get_with("/page", &["Range: bytes=0-9,20000-50000"]).log(1),
        case("no body").head("/page").log(1),
        case("a rate of a variable").get("/variable/page?a=10k").log(1),
        case("no rate of a variable").get("/variable/page?r=none&a=1").log(1),
        case("a rate of a variable that is none").get("/variable/page?r=bad&a=1").log(1),
        case("a rate that was set").get("/set").log(1),
        case("no rate at all").get("/unset").log(1),
    ]
}

fn proxied() -> Vec<Case> {
    let long = || answer(200).body(page());
    let chunked = || answer(200).chunked(&[&page(), "end"]);
    let asking = |rate: &str| long().field("X-Accel-Limit-Rate", rate);
    let one = |name, path: &'static str, reply: Reply| case(name).get(path).origin(reply);
    vec![
        one("an answer of an upstream", "/proxied/1", long()),
        one("an answer in chunks", "/proxied/2", chunked()),
        one("an answer that is read slowly", "/upstream/1", long()),
        one("an answer in chunks that is read slowly", "/upstream/2", chunked()),
        one("no limit without buffers", "/unbuffered", long()),
        one("an answer that is stored slowly", "/stored/1", long()).get("/stored/1"),
        one("an upstream that asks for a rate", "/asked/1", asking("90000")).log(1),
        one("an upstream that asks for none", "/asked/2", asking("0")).log(1),
        one("an upstream that asks for nonsense", "/asked/3", asking("1k")).log(1),
        one("an upstream that is not listened to", "/ignored", asking("1")).log(1),
        one("a field that is passed on", "/passed", asking("90000")),
        one("a stored answer asks too", "/kept/1", asking("90000")).get("/kept/1").log(2),
    ]
}
