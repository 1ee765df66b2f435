//! Values of the proxy module's directives about requests: which are refused, in which words and where.

use super::configuration::{Place, Tested, refuse_alike};
use crate::support::Conf;

#[test]
fn values_of_request_directives_are_read_as_nginx_reads_them() {
    refuse_alike(sockets().into_iter().chain(requests()).chain(bodies()).chain(tls()).chain(users()));
}

/// Makes a row of each text, the text being its name too.
fn rows(texts: &[&'static str]) -> Vec<Tested> {
    texts.iter().map(|text| Tested::inside_location(text, text)).collect()
}

fn sockets() -> Vec<Tested> {
    let mut all = rows(&[
        "proxy_bind;",
        "proxy_bind 127.0.0.1 transparent now;",
        "proxy_bind off;",
        "proxy_bind off transparent;",
        "proxy_bind localhost;",
        "proxy_bind 127.0.0.1;",
        "proxy_bind 127.0.0.1:0;",
        "proxy_bind 127.0.0.1:65536;",
        "proxy_bind 127.0.0.1:many;",
        "proxy_bind 127.0.0.1:;",
        "proxy_bind ::1;",
        "proxy_bind [::1];",
        "proxy_bind [::1]:80;",
        "proxy_bind unix:/socket;",
        "proxy_bind \"\";",
        "proxy_bind 127.0.0.1 opaque;",
        "proxy_bind $remote_addr transparent;",
        "proxy_bind 127.0.0.1; proxy_bind off;",
        "proxy_socket_keepalive 1;",
        "proxy_socket_keepalive on; proxy_socket_keepalive on;",
        "proxy_send_lowat much;",
        "proxy_send_lowat 10 20;",
        "proxy_send_lowat 12k; proxy_send_lowat 0;",
        "proxy_connect_timeout never;",
        "proxy_connect_timeout 1y;",
        "proxy_send_timeout 5s 5s;",
        "proxy_send_timeout 1s1m;",
        "proxy_read_timeout -1;",
        "proxy_read_timeout 1s; proxy_read_timeout 1s;",
        "proxy_next_upstream_tries -1;",
        "proxy_next_upstream_tries 1k;",
        "proxy_next_upstream_timeout 1q;",
        "proxy_next_upstream error errors;",
        "proxy_next_upstream off error;",
        "proxy_ignore_client_abort maybe;",
    ]);
    all.push(Tested::inside_location("an unknown variable", "proxy_bind $no_such_thing;").placed_better());
    all
}

fn requests() -> Vec<Tested> {
    let mut all = rows(&[
        "proxy_method;",
        "proxy_method GET POST;",
        "proxy_method GET; proxy_method GET;",
        "proxy_set_body;",
        "proxy_set_body a b;",
        "proxy_set_body a; proxy_set_body b;",
        "proxy_set_header X;",
        "proxy_set_header X a b;",
        "proxy_set_header X a; proxy_set_header x b;",
        "proxy_set_header X \"\";",
        "proxy_http_version 1;",
        "proxy_http_version 1.1 1.0;",
        "proxy_http_version 1.1; proxy_http_version 1.1;",
        "proxy_pass_request_headers 0;",
        "proxy_pass_request_headers on; proxy_pass_request_headers off;",
        "proxy_pass_request_body none;",
        "proxy_request_buffering 16k;",
        "proxy_request_buffering off; proxy_request_buffering on;",
        "proxy_headers_hash_max_size 1k;",
        "proxy_headers_hash_max_size 512;",
        "proxy_headers_hash_bucket_size big;",
        "proxy_headers_hash_bucket_size 64; proxy_headers_hash_bucket_size 64;",
    ]);
    for (name, text) in [
        ("an unknown variable in a method", "proxy_method $no_such_thing;"),
        ("an unknown variable in a body", "proxy_set_body $no_such_thing;"),
        ("an unknown variable in a field", "proxy_set_header X $no_such_thing; proxy_pass http://127.0.0.1;"),
    ] {
        all.push(Tested::inside_location(name, text).placed_better());
    }
    all
}

fn bodies() -> Vec<Tested> {
    rows(&[
        "client_body_buffer_size 1x;",
        "client_body_buffer_size 1g;",
        "client_body_buffer_size 1k; client_body_buffer_size 1k;",
        "client_body_in_file_only maybe;",
        "client_body_in_file_only on; client_body_in_file_only on;",
        "client_body_in_file_only on;",
        "client_body_in_file_only clean;",
        "client_body_in_single_buffer 1;",
        "client_body_temp_path;",
        "client_body_temp_path a 1 2 3 4;",
        "client_body_temp_path a 0;",
        "client_body_temp_path a x;",
        "client_body_temp_path a 1; client_body_temp_path a 1;",
        "client_body_timeout 1y;",
        "client_max_body_size -1;",
    ])
}

fn tls() -> Vec<Tested> {
    let mut all = rows(&[
        "proxy_ssl_certificate;",
        "proxy_ssl_certificate a b;",
        "proxy_ssl_certificate a; proxy_ssl_certificate a;",
        "proxy_ssl_certificate nowhere.crt;",
        "proxy_ssl_certificate_key a; proxy_ssl_certificate_key a;",
        "proxy_ssl_certificate_key nowhere.key;",
        "proxy_ssl_ciphers;",
        "proxy_ssl_ciphers a; proxy_ssl_ciphers b;",
        "proxy_ssl_conf_command a;",
        "proxy_ssl_conf_command a b; proxy_ssl_conf_command a c;",
        "proxy_ssl_crl a b;",
        "proxy_ssl_name;",
        "proxy_ssl_name $host; proxy_ssl_name a;",
        "proxy_ssl_password_file /no/such/file;",
        "proxy_ssl_password_file /dev/null;",
        "proxy_ssl_password_file /dev/null; proxy_ssl_password_file /dev/null;",
        "proxy_ssl_protocols;",
        "proxy_ssl_protocols TLSv1.4;",
        "proxy_ssl_protocols SSLv2 SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;",
        "proxy_ssl_server_name yes;",
        "proxy_ssl_session_reuse yes;",
        "proxy_ssl_trusted_certificate a; proxy_ssl_trusted_certificate a;",
        "proxy_ssl_verify 1;",
        "proxy_ssl_verify on;",
        "proxy_ssl_verify_depth deep;",
        "proxy_ssl_verify_depth 2; proxy_ssl_verify_depth 2;",
    ]);
    all.push(
        Tested::inside_location("an unknown variable", "proxy_ssl_name $no_such_thing;").placed_better(),
    );
    all
}

fn users() -> Vec<Tested> {
    let whole = |name, text: &str| Tested { name, conf: Conf::whole(text), place: Place::Same };
    vec![
        whole("a user that there is not", "\n\nuser no-such-user;\nevents {}\n"),
        whole("a group that there is not", "user root no-such-group;\nevents {}\n"),
        whole("neither user nor group", "user no-such-user no-such-group;\nevents {}\n"),
        whole("a user twice", "user root;\nuser root;\nevents {}\n"),
        whole("a user with too much", "user root root root;\nevents {}\n"),
    ]
}
