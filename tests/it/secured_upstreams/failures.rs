//! Handshakes with upstreams that come to nothing: who is asked next, what the client gets, what the log says.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    thread,
};

use super::*;
use crate::support::{deadline::PATIENCE, location};

/// Somebody who listens, and then does this with each connection; `None` keeps it open in silence.
pub fn peer(answer: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let Some(answer) = answer else {
                kept.push(stream);
                continue;
            };
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut scrap = [0; 4096];
            let _ = stream.read(&mut scrap);
            let _ = std::io::Write::write_all(&mut stream, answer);
        }
    });
    address
}

/// An alert of the given number that ends the connection.
pub const REFUSAL: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

#[test]
fn each_failure_is_told_and_counts_as_an_error_of_the_peer() {
    let cases = [
        (peer(Some(b"")), 502, "peer closed connection in SSL handshake"),
        (
            peer(Some(REFUSAL)),
            502,
            "SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert \
             number 40)",
        ),
        (
            peer(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            502,
            "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)",
        ),
        (peer(None), 504, "upstream timed out (110: Connection timed out)"),
    ];
    let good = origin(localhost().origin());
    for (address, status, told) in cases {
        let conf = http(&format!(
            "upstream app {{ server {address}; server %ORIGIN% backup; }}
            server {{
                listen 127.0.0.1:%PORT%;
                proxy_connect_timeout 3s;
                location /alone {{ proxy_pass https://{address}/; }}
                location / {{ proxy_pass https://app; }}
            }}"
        ));
        let mut server = Server::start(&conf.origin(&good));
        server.allow_in_log("SSL handshaking to upstream");
        assert_eq!(server.get("/alone").status(), status, "{told}");
        server.wait_for_log(&format!("{told} while SSL handshaking to upstream, client: 127.0.0.1"));
        server.wait_for_log(&format!("upstream: \"https://{address}/\""));
        assert_eq!(server.get("/next").text(), "/next - full 0", "the next one is asked: {told}");
    }
}

#[test]
fn what_cannot_be_read_stops_the_start_with_its_place() {
    let authority = Authority::new("tests");
    let (own, other) = (authority.client("own"), authority.client("other"));
    let origin = origin(localhost().origin());
    let mut server = Server::start(
        &location("", &origin)
            .file("own.pem", &own.chain_pem)
            .file("own.key", &own.key_pem)
            .file("other.key", &other.key_pem)
            .file("empty.pem", ""),
    );
    let cases = [
        (
            "proxy_ssl_certificate none.pem; proxy_ssl_certificate_key own.key;",
            "cannot load certificate \"%none.pem\": ",
        ),
        (
            "proxy_ssl_certificate_key none.key; proxy_ssl_certificate own.pem;",
            "cannot load certificate key \"%none.key\": ",
        ),
        ("proxy_ssl_certificate_key other.key; proxy_ssl_certificate own.pem;", "key values mismatch"),
        ("proxy_ssl_trusted_certificate none.pem; proxy_ssl_verify on;", "%none.pem"),
        ("proxy_ssl_trusted_certificate empty.pem; proxy_ssl_verify on;", "%empty.pem"),
        ("proxy_ssl_crl none.crl; proxy_ssl_verify on; proxy_ssl_trusted_certificate own.pem;", "%none.crl"),
        ("proxy_ssl_key_log none/keys.log;", "none/keys.log"),
        ("proxy_ssl_verify on;", "no proxy_ssl_trusted_certificate for proxy_ssl_verify"),
    ];
    server.allow_in_log("nginx.conf:9");
    let dir = format!("{}/", server.dir().display());
    for (directives, wanted) in cases {
        let conf = servers(&format!("location / {{ proxy_pass https://127.0.0.1;\n{directives} }}"));
        server.write_conf(&conf);
        let tested = server.run(&["-t"]);
        let told = String::from_utf8_lossy(&tested.stderr).into_owned();
        assert!(!tested.status.success(), "{directives}");
        assert!(told.contains(&wanted.replace('%', &dir)), "{directives}: {told}");
        assert!(told.contains(&format!("in {dir}nginx.conf:9")), "{directives}: {told}");
        let unused = servers(&format!("location / {{ proxy_pass http://127.0.0.1;\n{directives} }}"));
        server.write_conf(&unused);
        assert!(server.run(&["-t"]).status.success(), "nobody reads it where it is not needed: {directives}");
    }
}
