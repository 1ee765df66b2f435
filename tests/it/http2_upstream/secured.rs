//! HTTP/2 over TLS: origins that agree on it, and those that do not.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::support::{
    Conf, Http2Origin, Origin, Server, answer, http,
    http2_origin::{Act, whole},
    tls::Authority,
};

/// The settings of an origin that knows these protocols.
fn knowing(protocols: &[&str]) -> Arc<ServerConfig> {
    let config = Authority::new("tests").server(&["localhost"]).origin();
    let mut config = ServerConfig::clone(&config);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Passes everything to origins over TLS.
fn secured(servers: &str) -> Conf {
    http(&format!(
        "upstream origin {{ {servers} keepalive 4; }}
        server {{ listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass https://origin; proxy_http_version 2; }} }}"
    ))
}

#[test]
fn an_origin_that_chooses_http2_is_asked_in_it() {
    let origin = Http2Origin::over_tls(knowing(&["h2", "http/1.1"]), |asked| {
        let mut acts = vec![Act::ReadBody];
        acts.extend(whole(200, &asked.uri));
        acts
    });
    let server = Server::start(&secured("server %ORIGIN%;").origin_at(origin.address()));
    for path in ["/a", "/b?c"] {
        assert_eq!(server.get(path).text(), format!("https://origin{path}"));
    }
    let body = "0123456789".repeat(30_000);
    let mut client = server.client();
    client.send(format!("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.response().status(), 200);
    assert_eq!(origin.requests()[2].body, body.as_bytes());
    assert_eq!(origin.connection_count(), 1, "the connection is kept");
}

#[test]
fn an_origin_that_does_not_choose_http2_is_not_asked_in_it() {
    let cases = [
        (&[][..], "upstream does not speak HTTP/2: no protocol was chosen by ALPN"),
        (
            &["http/1.1"],
            "SSL_do_handshake() failed (SSL: error:0A000460:SSL routines::tlsv1 alert no application protocol:SSL \
             alert number 120)",
        ),
    ];
    let good = Http2Origin::over_tls(knowing(&["h2"]), |_| whole(200, "good"));
    for (protocols, told) in cases {
        let old = Origin::over_tls(knowing(protocols), |_| answer(200).body("HTTP/1"));
        let mut server = Server::start(&secured("server %ORIGIN%;").origin(&old));
        server.allow_in_log("while SSL handshaking to upstream");
        assert_eq!(server.get("/a").status(), 502, "{protocols:?}");
        server.wait_for_log(&format!("{told} while SSL handshaking to upstream, client: 127.0.0.1"));
        server.wait_for_log(&format!("upstream: \"https://{}/a\"", old.address()));
        assert_eq!(old.request_count(), 0, "{protocols:?}");

        let both = secured("server %ORIGIN:old%; server %ORIGIN% backup;");
        let mut server = Server::start(&both.origin_named("old", &old).origin_at(good.address()));
        server.allow_in_log("while SSL handshaking to upstream");
        server.allow_in_log("upstream server temporarily disabled");
        assert_eq!(server.get("/b").text(), "good", "it counts as an error: {protocols:?}");
    }
}
