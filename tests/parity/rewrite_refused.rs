//! Directives of rewriting that are wrong: the words and the place.

use super::configuration::{Tested, refuse_alike};

#[test]
fn rewriting_is_refused_in_the_same_words() {
    refuse_alike(steps().into_iter().chain(conditions()).chain(redirects()));
}

/// `rewrite`, `set` and what is told of them.
fn steps() -> Vec<Tested> {
    let inside = Tested::inside_a_server;
    vec![
        inside("a rewrite of nothing", "rewrite ^ \"\";"),
        inside("a rewrite with an unknown flag", "rewrite ^ /x final;"),
        inside("a rewrite with a bad expression", "rewrite ( /x;"),
        inside("a rewrite without a replacement", "rewrite ^/x;"),
        inside("a rewrite with an unknown variable", "rewrite ^ /$nothing;").placed_better(),
        inside("a rewrite at the wrong level", "} rewrite ^ /x; server {"),
        inside("set without a sign", "set name value;"),
        inside("set of a sign", "set $ value;"),
        inside("set of a built-in variable", "set $uri /x;"),
        inside("set of a built-in variable by its other name", "set $query_string x;"),
        inside("set without a value", "set $name;"),
        inside("set with an unknown variable", "set $name $nothing;").placed_better(),
        inside("a group that is a built-in variable", "location ~ ^/(?<uri>x) {}"),
        inside("a break with an argument", "break now;"),
        inside("a flag of rewrite_log", "rewrite_log loudly;"),
        inside("rewrite_log twice", "rewrite_log on; rewrite_log on;"),
        inside("a flag of uninitialized_variable_warn", "uninitialized_variable_warn maybe;"),
    ]
}

/// `if`, and what stands in it.
fn conditions() -> Vec<Tested> {
    let inside = Tested::inside_a_server;
    vec![
        inside("if without brackets", "if $host { break; }"),
        inside("if without its last bracket", "if ($host { break; }"),
        inside("if of nothing", "if () { break; }"),
        inside("if of a text", "if (host) { break; }"),
        inside("if of a sign", "if ($) { break; }"),
        inside("if of an unknown variable", "if ($nothing) { break; }").placed_better(),
        inside("if with a text first", "if (a = $host) { break; }"),
        inside("if with an unknown operator", "if ($host == a) { break; }"),
        inside("if with a bad expression", "if ($host ~ ( ) { break; }"),
        inside("if with two words", "if ($host a) { break; }"),
        inside("if with four words", "if ($host = a b) { break; }"),
        inside("if with an unknown test", "if (-z file) { break; }"),
        inside("if with a negated unknown test", "if (!-z file) { break; }"),
        inside("if with a test of nothing", "if (-f) { break; }"),
        inside("if with a test of two files", "if (-f a b) { break; }"),
        inside("if without a block", "if ($host);"),
        inside("if in if", "if ($host) { if ($host) { } }"),
        inside("location in if", "if ($host) { location / { } }"),
        inside("a field in a server's if", "if ($host) { add_header a b; }"),
        inside("proxy_pass in a server's if", "if ($host) { proxy_pass http://127.0.0.1; }"),
        inside("a URI in if", "location / { if ($host) { proxy_pass http://127.0.0.1/x; } }"),
        inside(
            "proxy_pass twice in if",
            "location / { if ($host) { proxy_pass http://a; proxy_pass http://a; } }",
        )
        .placed_better(),
        inside("a field of the proxy in if", "location / { if ($host) { proxy_set_header a b; } }"),
        inside("a bad value in if", "location / { if ($host) { expires soon; } }"),
        inside("a bad status in if", "location / { if ($host) { return x; } }"),
        inside("internal in if", "location / { if ($host) { internal; } }"),
    ]
}

/// Redirects, inside and of the client.
fn redirects() -> Vec<Tested> {
    let inside = Tested::inside_a_server;
    vec![
        inside("internal with an argument", "location / { internal yes; }"),
        inside("internal twice", "location / { internal; internal; }"),
        inside("a flag of recursive_error_pages", "recursive_error_pages yes;"),
        inside("a flag of absolute_redirect", "absolute_redirect yes;"),
        inside("a flag of port_in_redirect", "port_in_redirect yes;"),
        inside("a flag of server_name_in_redirect", "server_name_in_redirect yes;"),
    ]
}
