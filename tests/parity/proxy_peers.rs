//! Upstream groups: which peer is asked, what counts as a failure, and who is asked next.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn peers_of_a_group() {
    compare(&group());
}

#[test]
fn names_of_groups() {
    compare(&names());
}

/// The case of names does not matter.
pub fn names() -> Group {
    let conf = http(
        "upstream Mixed { server %ORIGIN%; }
        upstream small { server %ORIGIN%; }
        server {
            listen 127.0.0.1:%PORT%;
            location /fixed { proxy_pass http://Mixed; }
            location /lower { proxy_pass http://mixed; }
            location /upper { proxy_pass http://SMALL; }
            location /variable { proxy_pass http://$arg_to; }
        }",
    );
    let found = |name, path| case(name).get(path).origin(answer(200).body("found"));
    Group::new("names of groups", conf).cases([
        found("as written", "/fixed"),
        found("in small letters", "/lower"),
        found("in capital letters", "/upper"),
        found("of a variable, as written", "/variable?to=Mixed"),
        found("of a variable, in small letters", "/variable?to=mixed"),
        found("of a variable, in capital letters", "/variable?to=SMALL"),
    ])
}

/// A group of its own for each case, since failures are remembered.
pub fn group() -> Group {
    let locations: String = NAMES
        .iter()
        .map(|(name, servers, directives)| {
            format!(
                "upstream {name} {{ {servers} }}
                server {{
                    listen 127.0.0.1:%PORT%; server_name {name};
                    location / {{ proxy_pass http://{name}; proxy_read_timeout 1500ms; {directives} }}
                }}\n"
            )
        })
        .collect();
    let conf = http(&format!("add_header X-Peers \"$upstream_addr $upstream_status\" always;\n{locations}"));
    Group::new("peers", conf).cases(chosen()).cases(retried()).cases(kept())
}

const NAMES: &[(&str, &str, &str)] = &[
    ("robin", "server %ORIGIN%; server %ORIGIN:b%;", ""),
    ("weighted", "server %ORIGIN% weight=3; server %ORIGIN:b%;", ""),
    ("down", "server %ORIGIN% down; server %ORIGIN:b%;", ""),
    ("backup", "server %ORIGIN% backup; server %CLOSED%;", ""),
    ("refused", "server %CLOSED%; server %ORIGIN:b%;", ""),
    ("all-refused", "server %CLOSED% max_fails=0; server %CLOSED% max_fails=0;", ""),
    ("dead", "server %CLOSED%;", ""),
    ("died", "server %ORIGIN%; server %ORIGIN:b%;", ""),
    ("slow", "server %ORIGIN%; server %ORIGIN:b%;", ""),
    ("broken", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream error invalid_header;"),
    ("broken-default", "server %ORIGIN%; server %ORIGIN:b%;", ""),
    ("failing", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream http_500 http_503;"),
    ("failing-default", "server %ORIGIN%; server %ORIGIN:b%;", ""),
    ("missing", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream http_404;"),
    ("both-failing", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream http_500;"),
    ("off", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream off;"),
    ("post", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream error http_500;"),
    (
        "post-anyway",
        "server %ORIGIN%; server %ORIGIN:b%;",
        "proxy_next_upstream error http_500 non_idempotent;",
    ),
    ("one-try", "server %ORIGIN%; server %ORIGIN:b%;", "proxy_next_upstream_tries 1;"),
    ("forgiving", "server %ORIGIN% max_fails=0; server %ORIGIN:b%;", ""),
    ("pool", "server %ORIGIN%; keepalive 4;", "proxy_http_version 1.1; proxy_set_header Connection \"\";"),
    (
        "pool-limited",
        "server %ORIGIN%; keepalive 4; keepalive_requests 2;",
        "proxy_http_version 1.1; proxy_set_header Connection \"\";",
    ),
    ("poolless", "server %ORIGIN%;", "proxy_http_version 1.1; proxy_set_header Connection \"\";"),
];

fn ask(case: Case, group: &str) -> Case {
    case.send(format!("GET / HTTP/1.1\r\nHost: {group}\r\n\r\n"))
}

fn ask_times(times: usize, case: Case, group: &str) -> Case {
    (0..times).fold(case, |case, _| ask(case, group))
}

fn a(case: Case) -> Case {
    case.origin(answer(200).body("a"))
}

fn b(case: Case) -> Case {
    case.origin_b(answer(200).body("b"))
}

fn chosen() -> Vec<Case> {
    let several = |name, a_times, b_times| {
        let case = (0..a_times).fold(case(name), |case, _| a(case));
        (0..b_times).fold(case, |case, _| b(case))
    };
    vec![
        ask_times(4, several("in turn", 2, 2), "robin"),
        ask_times(8, several("by weight", 6, 2), "weighted"),
        ask_times(2, several("one is down", 0, 2), "down"),
        ask_times(2, several("the backup", 2, 0), "backup"),
        ask_times(3, several("one refuses", 0, 3), "refused"),
        ask(case("all refuse"), "all-refused"),
        ask_times(2, case("the only one refuses"), "dead"),
    ]
}

fn retried() -> Vec<Case> {
    let first = |name, reply: Reply| case(name).origin(reply);
    let post = |case: Case, group: &str| {
        case.send(format!("POST / HTTP/1.1\r\nHost: {group}\r\nContent-Length: 4\r\n\r\nbody"))
    };
    vec![
        ask_times(3, b(b(b(first("one dies without an answer", Reply::nothing())))), "died"),
        ask(b(first("one is silent", Reply::silence())), "slow"),
        ask(b(first("one sends nonsense", answer(200).line("nonsense").body(""))), "broken"),
        ask(
            b(first("nonsense is passed over only where configured", answer(200).line("nonsense").body(""))),
            "broken-default",
        ),
        ask(b(first("one fails with a status", answer(503).body("not now"))), "failing"),
        ask(b(first("a status is an answer by default", answer(503).body("not now"))), "failing-default"),
        ask(b(first("one does not have it", answer(404).body("not here"))), "missing"),
        ask(case("all fail").origin(answer(500).body("a")).origin_b(answer(500).body("b")), "both-failing"),
        ask(first("never again", Reply::nothing()), "off"),
        post(first("POST is not repeated", Reply::nothing()), "post"),
        post(b(first("POST is repeated where configured", Reply::nothing())), "post-anyway"),
        ask(first("one try only", Reply::nothing()), "one-try"),
        ask_times(2, b(b(first("failures that do not count", Reply::nothing()))), "forgiving"),
    ]
}

fn kept() -> Vec<Case> {
    let chunked = || answer(200).chunked(&["one"]);
    let case_of = |name, replies: [Reply; 3]| replies.into_iter().fold(case(name), Case::origin);
    let one = || answer(200).body("one");
    vec![
        ask_times(3, case_of("a connection is used again", [one(), one(), one()]), "pool"),
        ask_times(3, case_of("after chunks too", [chunked(), chunked(), one()]), "pool"),
        ask_times(
            3,
            case_of(
                "not after Connection: close",
                [one(), one().field("Connection", "close").then_close(), one()],
            ),
            "pool",
        ),
        ask_times(3, case_of("at most so many requests", [one(), one(), one()]), "pool-limited"),
        ask_times(3, case_of("not without a pool", [one(), one(), one()]), "poolless"),
        ask_times(2, case_of("an answer to HEAD keeps it", [one(), one(), one()]), "pool")
            .send("HEAD / HTTP/1.1\r\nHost: pool\r\n\r\n"),
    ]
}
