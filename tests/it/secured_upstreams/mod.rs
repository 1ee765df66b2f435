//! Upstreams that are asked over TLS: what they are told, what they may see again, and what comes of it when it fails.

mod certificates;
mod failures;
mod verification;

use std::sync::Arc;

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig};

pub use self::failures::{REFUSAL, peer};
use crate::support::{
    Conf, Origin, Server, answer,
    client::Client,
    http,
    origin::Asked,
    reply::Part,
    servers,
    tls::{Authority, Certified},
    wait_until,
};

/// An origin that tells what it was asked and what it heard in the handshake.
fn origin(config: Arc<ServerConfig>) -> Origin {
    Origin::over_tls(config, |asked| answer(200).body(told(asked)))
}

fn told(asked: &Asked) -> String {
    let heard = asked.tls.as_ref().expect("it came over TLS");
    let name = heard.name.as_deref().unwrap_or("-");
    let kind = if heard.kind == HandshakeKind::Resumed { "resumed" } else { "full" };
    format!("{} {name} {kind} {}", asked.target(), heard.certificates.len())
}

fn localhost() -> Certified {
    Authority::new("tests").server(&["localhost"])
}

/// A group with kept connections, and locations that ask it.
fn group(locations: &str, origin: &Origin) -> Conf {
    http(&format!(
        "upstream app {{ server %ORIGIN%; keepalive 8; }}
        server {{
            listen 127.0.0.1:%PORT%;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            {locations}
        }}"
    ))
    .origin(origin)
}

#[test]
fn requests_and_answers_of_all_sizes_go_over_tls() {
    let origin = Origin::over_tls(localhost().origin(), |asked| answer(200).body(&asked.body));
    let conf = "location / { proxy_pass https://%ORIGIN%; }
        location /at-once/ { proxy_pass https://%ORIGIN%; proxy_request_buffering off; proxy_buffering off;
            proxy_http_version 1.1; }
        location /named/ { proxy_pass https://$http_x_origin; }";
    let server = Server::start(&servers(conf).origin(&origin));
    for path in ["/", "/at-once/", "/named/"] {
        for length in [0, 1, 100, 16_384, 1_000_000] {
            let body: String = "0123456789".chars().cycle().take(length).collect();
            let mut client = server.client();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nX-Origin: {}\r\nContent-Length: {length}\r\n\r\n{body}",
                origin.address()
            ));
            let answer = client.response();
            assert_eq!((answer.status(), answer.text() == body), (200, true), "{length} bytes to {path}");
        }
    }
}

#[test]
fn variables_and_keys_of_the_cache_tell_how_an_upstream_is_asked() {
    let origin = origin(localhost().origin());
    let conf = http(
        "proxy_cache_path cache keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT%;
            add_header X-Host $proxy_host:$proxy_port always;
            add_header X-Name $proxy_ssl_server_name always;
            location / { proxy_pass https://%ORIGIN%; }
            location /stored { proxy_pass https://%ORIGIN%; proxy_cache zone; proxy_cache_valid 1h; }
            location /named { proxy_pass https://%ORIGIN%; proxy_ssl_name $arg_name.test:8443; }
            location /none { proxy_pass https://127.0.0.1; proxy_connect_timeout 1s; }
        }",
    );
    let mut server = Server::start(&conf.origin(&origin));
    server.allow_in_log("connect() failed");
    let address = origin.address();
    let shown = format!("{address}:{}", address.port());
    assert_eq!(server.get("/").field("X-Host"), Some(&*shown));
    assert_eq!(server.get("/").field("X-Name"), Some(&*address.ip().to_string()));
    assert_eq!(server.get("/named?name=a").field("X-Name"), Some("a.test"));
    assert_eq!(origin.requests()[0].field("Host"), Some(&*address.to_string()));
    assert_eq!(server.get("/none").field("X-Host"), Some("127.0.0.1:443"));
    server.wait_for_log("upstream: \"https://127.0.0.1:443/none\"");
    server.get("/stored");
    let key = format!("KEY: https://{address}/stored");
    wait_until("it is stored", || stored_text(&server).contains(&key));
}

/// Everything that the cache holds.
fn stored_text(server: &Server) -> String {
    let Ok(files) = std::fs::read_dir(server.dir().join("cache")) else { return String::new() };
    let files = files.flatten().filter_map(|file| std::fs::read(file.path()).ok());
    files.map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
}

#[test]
fn a_name_is_told_only_where_it_is_wanted_and_can_be() {
    let origin = origin(localhost().origin());
    let conf = "proxy_ssl_session_reuse off;
        location /off { proxy_pass https://%ORIGIN%; proxy_ssl_name localhost; }
        location /on { proxy_pass https://%ORIGIN%; proxy_ssl_server_name on; proxy_ssl_name $http_x_name; }
        location /of-url { proxy_pass https://localhost:$http_x_port; proxy_ssl_server_name on; }
        location /address { proxy_pass https://%ORIGIN%; proxy_ssl_server_name on; }";
    let conf = conf
        .replace("https://localhost:$http_x_port", &format!("https://localhost:{}", origin.address().port()));
    let server = Server::start(&servers(&conf).origin(&origin));
    assert_eq!(server.get("/off").text(), "/off - full 0");
    assert_eq!(server.get("/of-url").text(), "/of-url localhost full 0");
    assert_eq!(server.get("/address").text(), "/address - full 0");
    for (name, wanted) in [
        ("example.com", "example.com"),
        ("example.com:8443", "example.com"),
        ("back_end", "back_end"),
        ("127.0.0.1", "-"),
        ("[::1]:443", "-"),
        ("", "-"),
    ] {
        let mut client = server.client();
        client.send(format!("GET /on HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n"));
        assert_eq!(client.response().text(), format!("/on {wanted} full 0"), "{name}");
    }
}

#[test]
fn kept_connections_are_for_requests_with_the_same_settings_only() {
    let authority = Authority::new("tests");
    let origin = origin(authority.server(&["localhost", "other"]).origin());
    let secured = "proxy_pass https://app; proxy_ssl_name localhost;";
    let verified = "proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem;";
    let conf = group(
        &format!(
            "location /a {{ {secured} }}
            location /same {{ {secured} }}
            location /irrelevant {{ proxy_pass https://app; proxy_ssl_name other; }}
            location /told {{ {secured} proxy_ssl_server_name on; }}
            location /told-other {{ proxy_pass https://app; proxy_ssl_name $http_x_name; proxy_ssl_server_name on; }}
            location /verified {{ {secured} {verified} }}
            location /verified-too {{ {secured} {verified} }}
            location /by-another-name {{ proxy_pass https://app; proxy_ssl_name other; {verified} }}
            location /forgetful {{ {secured} proxy_ssl_session_reuse off; }}"
        ),
        &origin,
    );
    let server = Server::start(&conf.file("ca.pem", authority.pem()));
    let asked = |path: &str, name: &str| {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n"));
        assert_eq!(client.response().status(), 200, "{path}");
        origin.requests().last().expect("it was asked").connection
    };
    let mut seen = Vec::new();
    for (path, name) in [
        ("/a", ""),
        ("/told", ""),
        ("/told-other", "x.test"),
        ("/told-other", "y.test"),
        ("/verified", ""),
        ("/by-another-name", ""),
        ("/forgetful", ""),
    ] {
        let connection = asked(path, name);
        assert!(!seen.contains(&connection), "{path} must not go over a connection of others");
        seen.push(connection);
    }
    for (path, name, first) in [
        ("/same", "", 0),
        ("/irrelevant", "", 0),
        ("/a", "", 0),
        ("/told-other", "y.test:443", 3),
        ("/told-other", "x.test", 2),
        ("/verified-too", "", 4),
        ("/forgetful", "", 6),
    ] {
        assert_eq!(asked(path, name), seen[first], "{path} {name}");
    }
    assert_eq!(origin.connection_count(), seen.len());
}

#[test]
fn sessions_are_taken_up_again_with_the_same_settings_only() {
    for versions in [rustls::DEFAULT_VERSIONS, &[&rustls::version::TLS12]] {
        let authority = Authority::new("tests");
        let certified = authority.server(&["localhost", "other"]);
        let origin = origin(certified.origin_of(versions));
        let conf = "proxy_ssl_name localhost;
            location /a { proxy_pass https://app; }
            location /same { proxy_pass https://app; }
            location /verified { proxy_pass https://app; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; }
            location /off { proxy_pass https://app; proxy_ssl_session_reuse off; }";
        let conf = http(&format!(
            "upstream app {{ server %ORIGIN%; }} server {{ listen 127.0.0.1:%PORT%; {conf} }}"
        ));
        let server = Server::start(&conf.origin(&origin).file("ca.pem", authority.pem()));
        for (path, kind) in [
            ("/a", "full"),
            ("/a", "resumed"),
            ("/same", "resumed"),
            ("/verified", "full"),
            ("/verified", "resumed"),
            ("/off", "full"),
            ("/off", "full"),
            ("/a", "resumed"),
        ] {
            assert_eq!(server.get(path).text(), format!("{path} - {kind} 0"), "{versions:?}");
        }
    }
}

#[test]
fn versions_and_ciphers_are_offered_as_told() {
    let origin = origin(localhost().origin());
    let conf = "location /any { proxy_pass https://%ORIGIN%; }
        location /old { proxy_pass https://%ORIGIN%; proxy_ssl_protocols TLSv1.2;
            proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; }
        location /commanded { proxy_pass https://%ORIGIN%;
            proxy_ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; }";
    let server = Server::start(&servers(conf).origin(&origin));
    let agreed = |path: &str| {
        assert_eq!(server.get(path).status(), 200, "{path}");
        let heard = origin.requests().pop().expect("it was asked").tls.expect("it came over TLS");
        (heard.version, heard.cipher)
    };
    assert_eq!(agreed("/any").0, ProtocolVersion::TLSv1_3);
    let old = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    assert_eq!(agreed("/old"), (ProtocolVersion::TLSv1_2, old));
    assert_eq!(agreed("/commanded").1, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

#[test]
fn keys_of_connections_are_written_for_those_who_may_look() {
    let origin = origin(localhost().origin());
    let conf = "location /a { proxy_pass https://%ORIGIN%; proxy_ssl_key_log keys.log; }
        location /b { proxy_pass https://%ORIGIN%; }";
    let server = Server::start(&servers(conf).origin(&origin));
    server.get("/b");
    assert_eq!(server.read("keys.log"), "");
    server.get("/a");
    server.wait_for_text("keys.log", "CLIENT_TRAFFIC_SECRET_0 ");
    let labels: Vec<String> = server
        .read("keys.log")
        .lines()
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect();
    assert!(labels.iter().any(|label| label == "SERVER_HANDSHAKE_TRAFFIC_SECRET"), "{labels:?}");
}

#[test]
fn a_tunnel_goes_over_tls() {
    let switching = || answer(101).field("Upgrade", "echo").field("Connection", "Upgrade").then(Part::Echo);
    let origin = Origin::over_tls(localhost().origin(), move |_| switching());
    let conf = "location / { proxy_pass https://%ORIGIN%; proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }";
    let server = Server::start(&servers(conf).origin(&origin));
    let mut client: Client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(client.response().status(), 101);
    for length in [1, 1000, 100_000] {
        let text = vec![b'x'; length];
        client.send(&text);
        assert_eq!(client.bytes(length), text);
    }
}

#[test]
fn checks_of_peers_go_over_tls_too() {
    let authority = Authority::new("tests");
    let (good, stranger) = (authority.server(&["localhost"]), localhost());
    let (good, stranger) = (origin(good.origin()), origin(stranger.origin()));
    let conf = http(
        "upstream app { zone app 64k; server %ORIGIN:stranger%; server %ORIGIN:good%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / {
                proxy_pass https://app;
                proxy_ssl_name localhost;
                proxy_ssl_server_name on;
                proxy_ssl_verify on;
                proxy_ssl_trusted_certificate ca.pem;
                health_check interval=50ms mandatory uri=/health;
            }
        }",
    );
    let conf = conf.origin_named("good", &good).origin_named("stranger", &stranger);
    let mut server = Server::start(&conf.file("ca.pem", authority.pem()));
    server.allow_in_log("upstream SSL certificate verify error");
    for _ in 0..4 {
        assert!(server.get("/").text().starts_with("/ localhost "));
    }
    assert!(good.requests().iter().any(|asked| asked.target() == "/health"));
    assert_eq!(stranger.request_count(), 0, "whoever is not trusted is asked nothing");
}
