//! Certificates that are shown to upstreams: fixed ones, and those that a request names.

use super::*;
use crate::support::tls::openssl;

/// An origin that serves clients of an authority only.
fn strict_origin(authority: &Authority) -> Origin {
    origin(authority.server(&["localhost"]).origin_for(authority))
}

#[test]
fn a_certificate_is_shown_to_whoever_asks_for_one() {
    let authority = Authority::new("tests");
    let own = authority.client("own");
    let origin = strict_origin(&authority);
    let conf = "location /shown { proxy_pass https://%ORIGIN%; proxy_ssl_certificate own.pem;
            proxy_ssl_certificate_key own.key; }
        location /none { proxy_pass https://%ORIGIN%; }";
    let conf = servers(conf).origin(&origin).file("own.pem", &own.chain_pem).file("own.key", &own.key_pem);
    let mut server = Server::start(&conf);
    server.allow_in_log("alert certificate required");
    assert_eq!(server.get("/shown").text(), "/shown - full 1");
    // With TLS 1.3 the origin's refusal comes after the handshake.
    assert_eq!(server.get("/none").status(), 502);
}

#[test]
fn a_key_may_need_a_passphrase() {
    let authority = Authority::new("tests");
    let own = authority.client("own");
    let origin = strict_origin(&authority);
    let dir = crate::support::server::new_dir();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("plain.key"), &own.key_pem).unwrap();
    openssl(&[
        "pkcs8",
        "-topk8",
        "-v2",
        "aes-256-cbc",
        "-in",
        &path("plain.key"),
        "-out",
        &path("own.key"),
        "-passout",
        "pass:second",
    ]);
    let conf = "location / { proxy_pass https://%ORIGIN%; proxy_ssl_certificate own.pem;
        proxy_ssl_certificate_key own.key; proxy_ssl_password_file words; }";
    let conf = servers(conf)
        .origin(&origin)
        .file("own.pem", &own.chain_pem)
        .file("own.key", std::fs::read(path("own.key")).unwrap())
        .file("words", "first\nsecond\n");
    assert_eq!(Server::start(&conf).get("/").text(), "/ - full 1");
}

#[test]
fn a_request_may_name_the_certificate() {
    let authority = Authority::new("tests");
    let origin = strict_origin(&authority);
    let conf = group(
        "location / { proxy_pass https://app; proxy_ssl_certificate $http_x_name.pem;
            proxy_ssl_certificate_key $http_x_name.key; }
        location /empty { proxy_pass https://app; proxy_ssl_certificate $http_x_none;
            proxy_ssl_certificate_key $http_x_none; }",
        &origin,
    );
    let conf = ["a", "b"].into_iter().fold(conf, |conf, name| {
        let own = authority.client(name);
        conf.file(&format!("{name}.pem"), &own.chain_pem).file(&format!("{name}.key"), &own.key_pem)
    });
    let mut server = Server::start(&conf);
    server.allow_in_log("alert certificate required");
    server.allow_in_log("cannot load certificate");
    let asked = |path: &str, name: &str| {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Name: {name}\r\n\r\n"));
        client.response().status()
    };
    let shown = || {
        let asked = origin.requests().pop().expect("it was asked");
        (asked.connection, asked.tls.expect("it came over TLS").certificates)
    };
    assert_eq!(asked("/", "a"), 200);
    let first = shown();
    assert_eq!(asked("/", "b"), 200);
    let second = shown();
    assert!(first.0 != second.0 && first.1 != second.1, "each has its own connection and certificate");
    assert_eq!(asked("/", "a"), 200);
    assert_eq!(shown(), first, "the connection with the same certificate is used again");
    assert_eq!(asked("/", "nobody"), 500);
    server.wait_for_log(&format!("cannot load certificate \"{}/nobody.pem\": ", server.dir().display()));
    assert_eq!(asked("/empty", "a"), 502, "an empty name is no certificate");
}

#[test]
fn a_certificate_that_is_kept_is_not_read_again() {
    let authority = Authority::new("tests");
    let origin = strict_origin(&authority);
    let conf = "proxy_ssl_certificate $http_x_name.pem; proxy_ssl_certificate_key $http_x_name.key;
        proxy_ssl_session_reuse off;
        location /kept { proxy_pass https://%ORIGIN%; proxy_ssl_certificate_cache max=4 inactive=1h valid=1h; }
        location /fresh { proxy_pass https://%ORIGIN%; }";
    let (first, second) = (authority.client("first"), authority.client("second"));
    let conf = servers(conf).origin(&origin).file("a.pem", &first.chain_pem).file("a.key", &first.key_pem);
    let server = Server::start(&conf);
    let shown = |path: &str| {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Name: a\r\n\r\n"));
        assert_eq!(client.response().status(), 200, "{path}");
        origin.requests().pop().expect("it was asked").tls.expect("it came over TLS").certificates
    };
    let before = shown("/kept");
    assert_eq!(shown("/fresh"), before);
    for (name, text) in [("a.key", &second.key_pem), ("a.pem", &second.chain_pem)] {
        std::fs::write(server.dir().join(name), text).unwrap();
    }
    assert_eq!(shown("/kept"), before);
    assert_ne!(shown("/fresh"), before);
}

#[test]
fn commands_say_what_is_shown_and_which_signatures_will_do() {
    let authority = Authority::new("tests");
    let own = authority.client("own");
    let (origin, strict) = (origin(localhost().origin()), strict_origin(&authority));
    let commands =
        |list: &[&str]| list.iter().map(|line| format!("proxy_ssl_conf_command {line};")).collect::<String>();
    let pair = ["Certificate own.pem", "PrivateKey own.key"];
    let fixed = "proxy_ssl_certificate own.pem; proxy_ssl_certificate_key own.key;";
    let named = "proxy_ssl_certificate ${arg_own}.pem; proxy_ssl_certificate_key ${arg_own}.key;";
    let (fitting, unfit) = ("SignatureAlgorithms ecdsa_secp256r1_sha256", "SignatureAlgorithms ed25519");
    let conf = servers(&format!(
        "proxy_ssl_protocols TLSv1.3;
        location /shown {{ proxy_pass https://%ORIGIN:strict%; {} }}
        location /signed {{ proxy_pass https://%ORIGIN:strict%; {} }}
        location /signed-fixed {{ proxy_pass https://%ORIGIN:strict%; {fixed} {} }}
        location /signed-named {{ proxy_pass https://%ORIGIN:strict%; {named} {} }}
        location /fitting {{ proxy_pass https://%ORIGIN%; {} }}
        location /unfit {{ proxy_pass https://%ORIGIN%; {} }}",
        commands(&pair),
        commands(&[pair[0], pair[1], fitting]),
        commands(&[fitting]),
        commands(&[fitting]),
        commands(&["SignatureAlgorithms ECDSA+SHA256:RSA+SHA256"]),
        commands(&[unfit]),
    ));
    let conf = conf.origin(&origin).origin_named("strict", &strict);
    let conf = conf.file("own.pem", &own.chain_pem).file("own.key", &own.key_pem);
    let mut server = Server::start(&conf);
    server.allow_in_log("while SSL handshaking to upstream");
    for path in ["/shown", "/signed", "/signed-fixed", "/signed-named?own=own"] {
        assert_eq!(server.get(path).text(), format!("{path} - full 1"));
        let heard = strict.requests().pop().expect("it was asked").tls.expect("it came over TLS");
        assert_eq!(heard.certificates[0].to_vec(), own.der(), "{path}");
    }
    assert_eq!(server.get("/fitting").text(), "/fitting - full 0");
    assert_eq!(server.get("/unfit").status(), 502, "the origin cannot sign so");
    server.wait_for_log("SSL alert number 40) while SSL handshaking to upstream");
}
