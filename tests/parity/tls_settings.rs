//! Configuration tests (`-t`) of the directives about TLS and HTTP/2 towards clients: what is refused, and in which words.

use super::configuration::{Place, Tested, refuse_alike};
use crate::support::{http, tls::Authority};

#[test]
fn values_of_tls_directives_are_read_as_nginx_reads_them() {
    refuse_alike(certificates().into_iter().chain(sessions()).chain(clients()).chain(choices()));
}

#[test]
fn what_is_lacking_for_tls_is_told_as_nginx_tells_it() {
    refuse_alike(lacking());
}

#[test]
fn values_of_http2_directives_are_read_as_nginx_reads_them() {
    refuse_alike(rows(&[
        "http2_body_preread_size;",
        "http2_body_preread_size 1g;",
        "http2_body_preread_size 2048m;",
        "http2_body_preread_size 0;",
        "http2_body_preread_size 1k; http2_body_preread_size 1k;",
        "http2_chunk_size 0;",
        "http2_chunk_size 1g;",
        "http2_chunk_size 100m;",
        "http2_chunk_size 1k; http2_chunk_size 1k;",
        "http2_max_concurrent_streams many;",
        "http2_max_concurrent_streams 0;",
        "http2_max_concurrent_streams 1 2;",
        "http2_max_requests 5; http2_max_requests 5;",
        "http2_max_field_size;",
        "http2_recv_buffer_size 256k;",
    ]));
    let inside_http =
        ["http2_recv_buffer_size 32;", "http2_recv_buffer_size 1x;", "http2_recv_buffer_size 33;"];
    refuse_alike(inside_http.iter().map(|text| Tested::inside_http(text, &format!("\n{text}"))));
}

/// What OpenSSL refuses is refused in its words; nginx names no place, Larder does.
#[test]
fn algorithms_are_refused_in_openssls_words() {
    let certified = Authority::new("the root").server(&["localhost"]);
    let texts = [
        "ssl_ciphers FOO;",
        "ssl_ciphers @FOO;",
        "ssl_ciphers \"HIGH:@FOO\";",
        "ssl_ciphers \"HIGH:@SECLEVEL=9\";",
        "ssl_ciphers \"HIGH:*\";",
        "ssl_ciphers \"\";",
        "ssl_ciphers \"!\";",
        "ssl_ciphers HIGH::!MD5;",
        "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:!aNULL;",
        "ssl_ecdh_curve foo;",
        "ssl_ecdh_curve X25519:foo;",
        "ssl_ecdh_curve \"\";",
        "ssl_ecdh_curve X25519:P-256;",
        "ssl_conf_command a b;",
        "ssl_conf_command \"\" b;",
        "ssl_conf_command -cipher b;",
        "ssl_conf_command Ciphersuites FOO;",
        "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:FOO;",
        "ssl_conf_command ciphersuites \"\";",
        "ssl_conf_command CipherString FOO;",
        "ssl_conf_command MinProtocol FOO;",
        "ssl_conf_command MinProtocol tlsv1.3;",
        "ssl_conf_command MinProtocol None;",
        "ssl_conf_command MaxProtocol TLSv1.2;",
        "ssl_conf_command Protocol FOO;",
        "ssl_conf_command Protocol \"all, -tlsv1\";",
        "ssl_conf_command Groups FOO;",
        "ssl_conf_command Groups P-256:X25519;",
        "ssl_conf_command Options FOO;",
        "ssl_conf_command Options \"\";",
        "ssl_conf_command Options \"ServerPreference,-SessionTicket, +KTLS\";",
        "ssl_conf_command NumTickets x;",
        "ssl_conf_command NumTickets -1;",
        "ssl_conf_command SignatureAlgorithms FOO;",
        "ssl_conf_command SignatureAlgorithms RSA+SHA256:RSA+SHA256;",
        "ssl_conf_command SignatureAlgorithms ECDSA+SHA256;",
    ];
    refuse_alike(texts.iter().map(|&text| {
        // With TLS 1.3 Larder goes on without ciphers of TLS 1.2.
        let protocols = if text.contains("ssl_ciphers") || text.contains("CipherString") {
            "ssl_protocols TLSv1.2;"
        } else {
            ""
        };
        let inside = format!(
            "listen 127.0.0.1:%PORT:tls% ssl; ssl_certificate a.crt; ssl_certificate_key a.key; {protocols}"
        );
        let conf = http(&format!("server {{ {inside}\n{text}\n}}"))
            .file("a.crt", &certified.chain_pem)
            .file("a.key", &certified.key_pem);
        Tested { name: text, conf, place: Place::Better }
    }));
}

/// Tests directives in a server, each with what it is called by its text.
fn rows(texts: &[&'static str]) -> Vec<Tested> {
    texts.iter().map(|text| Tested::inside_a_server(text, &format!("\n\n{text}"))).collect()
}

fn certificates() -> Vec<Tested> {
    rows(&[
        "ssl_certificate;",
        "ssl_certificate a b;",
        "ssl_certificate_key a b;",
        "ssl_certificate_key a; ssl_certificate_key a;",
        "ssl_password_file /no/such/file;",
        "ssl_password_file no-such-file;",
        "ssl_password_file /dev/null;",
        "ssl_password_file /dev/null; ssl_password_file /dev/null;",
        "ssl_stapling maybe;",
        "ssl_stapling_file a; ssl_stapling_file b;",
        "ssl_stapling_responder a b;",
        "ssl_stapling_verify yes;",
        "ssl_dhparam a b;",
        "ssl_dhparam a; ssl_dhparam a;",
        "ssl_reject_handshake maybe;",
        "ssl_reject_handshake on; ssl_reject_handshake on;",
        "ssl_wrong on;",
    ])
}

fn sessions() -> Vec<Tested> {
    rows(&[
        "ssl_session_cache;",
        "ssl_session_cache off none builtin;",
        "ssl_session_cache maybe;",
        "ssl_session_cache OFF;",
        "ssl_session_cache off;",
        "ssl_session_cache none off;",
        "ssl_session_cache builtin;",
        "ssl_session_cache builtin:;",
        "ssl_session_cache builtin:x;",
        "ssl_session_cache builtin:1000;",
        "ssl_session_cache builtin:1000 shared:a:1m;",
        "ssl_session_cache shared;",
        "ssl_session_cache shared:;",
        "ssl_session_cache shared:a;",
        "ssl_session_cache shared::1m;",
        "ssl_session_cache shared:a:1m; ssl_session_cache shared:a:1m;",
        "ssl_session_cache shared:a:1m shared:a:2m;",
        "ssl_session_tickets maybe;",
        "ssl_session_tickets on; ssl_session_tickets on;",
        "ssl_session_ticket_key;",
        "ssl_session_ticket_key a; ssl_session_ticket_key b;",
        "ssl_session_timeout 5ms;",
        "ssl_session_timeout 1M;",
        "ssl_session_timeout 1h; ssl_session_timeout 1h;",
        "ssl_early_data maybe;",
        "ssl_buffer_size 1g;",
        "ssl_buffer_size 4k; ssl_buffer_size 4k;",
    ])
}

fn clients() -> Vec<Tested> {
    rows(&[
        "ssl_client_certificate;",
        "ssl_client_certificate a; ssl_client_certificate a;",
        "ssl_trusted_certificate a; ssl_trusted_certificate a;",
        "ssl_crl a b;",
        "ssl_crl a; ssl_crl a;",
        "ssl_verify_client;",
        "ssl_verify_client maybe;",
        "ssl_verify_client ON;",
        "ssl_verify_client optional_no_ca; ssl_verify_client on;",
        "ssl_verify_depth deep;",
        "ssl_verify_depth 2; ssl_verify_depth 2;",
        "ssl_ocsp maybe;",
        "ssl_ocsp off; ssl_ocsp off;",
        "ssl_ocsp_cache maybe;",
        "ssl_ocsp_cache shared:a;",
        "ssl_ocsp_cache off; ssl_ocsp_cache off;",
        "ssl_ocsp_responder a; ssl_ocsp_responder a;",
    ])
}

fn choices() -> Vec<Tested> {
    rows(&[
        "ssl_protocols;",
        "ssl_protocols TLSv1.4;",
        "ssl_protocols TLSv1.2; ssl_protocols TLSv1.3;",
        "ssl_protocols SSLv2 SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;",
        "ssl_ciphers;",
        "ssl_ciphers a b;",
        "ssl_ciphers a; ssl_ciphers a;",
        "ssl_prefer_server_ciphers maybe;",
        "ssl_ecdh_curve a; ssl_ecdh_curve a;",
        "ssl_conf_command a;",
        "ssl_conf_command a b c;",
        "ssl_conf_command a b; ssl_conf_command a c;",
    ])
}

fn lacking() -> Vec<Tested> {
    let server = "listen 127.0.0.1:%PORT:tls% ssl;";
    let one = |name, text: &str| Tested::inside_http(name, &format!("\nserver {{\n{server}\n{text}\n}}"));
    vec![
        one("no certificate", ""),
        one("a key alone", "ssl_certificate_key a;"),
        one("a certificate alone", "ssl_certificate a;").placed_better(),
        one("a certificate too many", "ssl_certificate a; ssl_certificate_key a; ssl_certificate b;")
            .placed_better(),
        one("no certificate, verification", "ssl_verify_client on;"),
        Tested::inside_a_server("a certificate alone, without TLS", "ssl_certificate a;").placed_better(),
        Tested::inside_http(
            "who rejects beside who has nothing",
            &format!(
                "server {{ {server} ssl_reject_handshake on; }}\nserver {{\nlisten 127.0.0.1:%PORT:tls%;\nserver_name a;\n}}"
            ),
        ),
        Tested::inside_http(
            "the default server has nothing",
            &format!(
                "server {{\n{server} server_name a;\n}}\nserver {{ {server} ssl_reject_handshake on; }}"
            ),
        ),
        Tested::inside_http(
            "caches of two sizes",
            "ssl_session_cache shared:a:1m;\nserver {\nssl_session_cache shared:a:2m; }",
        ),
        Tested::inside_http(
            "a cache with the name of another",
            "proxy_cache_path cache keys_zone=a:1m;\nssl_session_cache shared:a:1m;",
        ),
    ]
}
