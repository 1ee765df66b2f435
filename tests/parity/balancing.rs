//! Balancing methods: which peer a key, an address or a turn leads to, and who is next when it fails.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{answer, http};

#[test]
fn methods_choose_the_same_peers() {
    compare(&group());
}

/// A group of its own for each case, since turns and failures are remembered.
pub fn group() -> Group {
    let locations: String = GROUPS
        .iter()
        .map(|(name, inside, _)| {
            format!(
                "upstream {name} {{ {inside} }}
                server {{
                    listen 127.0.0.1:%PORT%; server_name {name};
                    proxy_next_upstream error http_503;
                    location / {{ proxy_pass http://{name}; }}
                    location /via/ {{ proxy_pass http://{name}; error_page 502 = @again; }}
                    location @again {{ proxy_pass http://%ORIGIN%; }}
                    location /once {{ proxy_pass http://{name}; proxy_next_upstream_tries 1; }}
                    location /never {{ proxy_pass http://{name}; proxy_next_upstream off; }}
                }}\n"
            )
        })
        .collect();
    let conf = http(&format!(
        "server_names_hash_bucket_size 128;
        add_header X-Peers \"$upstream_addr $upstream_status\" always;\n{locations}"
    ));
    Group::new("balancing", conf).cases(GROUPS.iter().map(|(name, _, paths)| asked(name, paths)))
}

/// Asks a group for these paths, one after the other. The origins always answer.
fn asked(group: &'static str, paths: &[&str]) -> Case {
    let with_origins = (0..12)
        .fold(case(group), |case, _| case.origin(answer(200).body("a")).origin_b(answer(200).body("b")));
    paths
        .iter()
        .fold(with_origins, |case, path| case.send(format!("GET {path} HTTP/1.1\r\nHost: {group}\r\n\r\n")))
}

const KEYS: &[&str] = &["/?k=a", "/?k=b", "/?k=c", "/?k=d", "/?k=e", "/?k=f"];
const WORDS: &[&str] = &["/?k=one", "/?k=two", "/?k=%20", "/?k=three/four", "/?k=1", "/?k=12", "/?k=123"];
const FOUR: &[&str] = &["/1", "/2", "/3", "/4"];
const EIGHT: &[&str] = &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"];

const PAIR: &str = "server %ORIGIN%; server %ORIGIN:b%;";

/// Name, inside of the block, and what is asked.
const GROUPS: &[(&str, &str, &[&str])] = &[
    ("hash-letters", "hash $arg_k; server %ORIGIN%; server %ORIGIN:b%;", KEYS),
    ("hash-words", "hash $arg_k; server %ORIGIN%; server %ORIGIN:b%;", WORDS),
    ("hash-weights", "hash $arg_k; server %ORIGIN% weight=5; server %ORIGIN:b% weight=2;", KEYS),
    ("hash-weighted-words", "hash $arg_k; server %ORIGIN% weight=5; server %ORIGIN:b% weight=2;", WORDS),
    ("hash-empty", "hash $arg_none; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("hash-text", "hash same; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("hash-uri", "hash $uri; server %ORIGIN%; server %ORIGIN:b%;", EIGHT),
    ("hash-uri-args", "hash $uri$is_args$args; server %ORIGIN%; server %ORIGIN:b%;", WORDS),
    ("hash-field", "hash $http_host; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("hash-down", "hash $arg_k; server %ORIGIN% down; server %ORIGIN:b%;", KEYS),
    (
        "hash-down-weights",
        "hash $arg_k; server %ORIGIN% weight=4; server %CLOSED% weight=9 down; server %ORIGIN:b%;",
        KEYS,
    ),
    ("hash-closed", "hash $arg_k; server %ORIGIN%; server %CLOSED% max_fails=0; server %ORIGIN:b%;", KEYS),
    (
        "hash-closed-words",
        "hash $arg_k; server %CLOSED% max_fails=0; server %ORIGIN%; server %ORIGIN:b%;",
        WORDS,
    ),
    ("hash-fails", "hash $arg_k; server %ORIGIN%; server %CLOSED%; server %ORIGIN:b%;", KEYS),
    ("hash-all-closed", "hash $arg_k; server %CLOSED% max_fails=0; server %CLOSED% max_fails=0;", KEYS),
    ("hash-all-down", "hash $arg_k; server %ORIGIN% down; server %ORIGIN:b% down;", FOUR),
    ("hash-only", "hash $arg_k; server %ORIGIN%;", KEYS),
    ("hash-once", "hash $uri; server %CLOSED%; server %ORIGIN%;", &["/once1", "/once2", "/once3", "/once4"]),
    ("hash-late", "server %ORIGIN%; server %ORIGIN:b%; hash $arg_k;", KEYS),
    ("ring-only", "hash $arg_k consistent; server %ORIGIN%;", KEYS),
    ("ring-down", "hash $arg_k consistent; server %ORIGIN%; server %ORIGIN:b% down;", KEYS),
    (
        "ring-closed",
        "hash $arg_k consistent; server %ORIGIN:b% down; server %CLOSED% down; server %ORIGIN%;",
        WORDS,
    ),
    ("ring-empty", "hash $arg_none consistent; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("ring-all-down", "hash $arg_k consistent; server %ORIGIN% down; server %ORIGIN:b% down;", FOUR),
    ("ip", "ip_hash; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("ip-swapped", "ip_hash; server %ORIGIN:b%; server %ORIGIN%;", FOUR),
    ("ip-weights", "ip_hash; server %ORIGIN% weight=2; server %ORIGIN:b% weight=7;", FOUR),
    ("ip-other-weights", "ip_hash; server %ORIGIN% weight=3; server %ORIGIN:b% weight=4;", FOUR),
    ("ip-down", "ip_hash; server %ORIGIN% down; server %ORIGIN:b%;", FOUR),
    ("ip-other-down", "ip_hash; server %ORIGIN%; server %ORIGIN:b% down;", FOUR),
    (
        "ip-closed",
        "ip_hash; server %CLOSED% max_fails=0; server %CLOSED% max_fails=0; server %ORIGIN%;",
        FOUR,
    ),
    ("ip-fails", "ip_hash; server %CLOSED%; server %ORIGIN%; server %ORIGIN:b%;", EIGHT),
    ("ip-late-backup", "server %CLOSED%; server %ORIGIN% backup; ip_hash;", FOUR),
    ("ip-all-down", "ip_hash; server %ORIGIN% down; server %ORIGIN:b% down;", FOUR),
    ("least", "least_conn; server %ORIGIN%; server %ORIGIN:b%;", EIGHT),
    ("least-weights", "least_conn; server %ORIGIN% weight=3; server %ORIGIN:b%;", EIGHT),
    ("least-down", "least_conn; server %ORIGIN% down; server %ORIGIN:b%;", FOUR),
    ("least-closed", "least_conn; server %CLOSED%; server %ORIGIN%; server %ORIGIN:b%;", EIGHT),
    ("least-backup", "least_conn; server %CLOSED%; server %ORIGIN% backup;", FOUR),
    ("least-idle-backup", "least_conn; server %ORIGIN%; server %ORIGIN:b% backup;", FOUR),
    ("least-only", "least_conn; server %ORIGIN%;", FOUR),
    ("random-only", "random; server %ORIGIN%; server %ORIGIN:b% down;", FOUR),
    ("random-two", "random two; server %ORIGIN%; server %ORIGIN:b% down;", FOUR),
    ("random-least", "random two least_conn; server %ORIGIN% down; server %ORIGIN:b%;", FOUR),
    ("random-alone", "random; server %ORIGIN%;", FOUR),
    ("random-dead", "random; server %ORIGIN% down; server %ORIGIN:b% down;", FOUR),
    ("redefined", "ip_hash; least_conn; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("turns", PAIR, EIGHT),
    ("turns-five-one", "server %ORIGIN% weight=5; server %ORIGIN:b%;", EIGHT),
    ("turns-three-two", "server %ORIGIN% weight=3; server %ORIGIN:b% weight=2;", EIGHT),
    ("turns-closed-weight", "server %CLOSED% weight=4; server %ORIGIN% weight=2; server %ORIGIN:b%;", EIGHT),
    ("turns-many-fails", "server %CLOSED% max_fails=3; server %ORIGIN%;", EIGHT),
    ("turns-two-fails", "server %CLOSED% weight=5 max_fails=2; server %ORIGIN%;", EIGHT),
    ("turns-zero-timeout", "server %CLOSED% max_fails=0 fail_timeout=0; server %ORIGIN%;", FOUR),
    ("backups", "server %CLOSED%; server %ORIGIN% backup; server %ORIGIN:b% backup;", EIGHT),
    ("backup-weights", "server %CLOSED%; server %ORIGIN% backup weight=3; server %ORIGIN:b% backup;", EIGHT),
    ("backup-closed", "server %ORIGIN% down; server %CLOSED% backup; server %ORIGIN:b% backup;", FOUR),
    ("backup-down", "server %CLOSED%; server %ORIGIN% backup down; server %ORIGIN:b% backup;", FOUR),
    ("everything-closed", "server %CLOSED%; server %CLOSED% backup;", FOUR),
    ("everything-down", "server %ORIGIN% down; server %ORIGIN:b% down;", FOUR),
    ("redirected", "server %CLOSED%; server %CLOSED%;", &["/via/1", "/via/2"]),
    ("one-try", "server %CLOSED%; server %ORIGIN%;", &["/once", "/once", "/once"]),
    ("no-next", "server %CLOSED%; server %ORIGIN%;", &["/never", "/never", "/never"]),
    ("limited", "server %ORIGIN% max_conns=1; server %ORIGIN:b% max_conns=2;", FOUR),
    ("zoned", "zone zoned 64k; server %ORIGIN%; server %ORIGIN:b%;", FOUR),
    ("zoned-hash", "zone zoned-hash 64k; hash $arg_k; server %ORIGIN%; server %ORIGIN:b%;", KEYS),
    ("zoned-least", "zone zoned-least 64k; least_conn; server %ORIGIN% weight=2; server %ORIGIN:b%;", FOUR),
];
