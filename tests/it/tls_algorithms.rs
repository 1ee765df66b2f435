//! Versions, ciphers and groups of TLS, through the real program: what is spoken, and what is told of the rest.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use rustls::version::{TLS12, TLS13};

use crate::support::{
    Conf, Server, http,
    tls::{Authority, Tls},
};

#[test]
fn what_rustls_does_not_have_is_told_once_with_its_place() {
    let root = Authority::new("the root");
    let own = root.server(&["localhost"]);
    let text = "\nssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
        ssl_ciphers HIGH:AES128-SHA:DHE-RSA-AES128-SHA:!RC4;
        ssl_ecdh_curve secp521r1:X25519;
        ssl_conf_command Options KTLS;
        ssl_dhparam dhparam.pem;
        ssl_certificate own.crt; ssl_certificate_key own.key;
        server { listen 127.0.0.1:%PORT% ssl; server_name localhost; return 200 $ssl_protocol; }
        server { listen 127.0.0.1:%PORT% ssl; server_name other; }";
    let server = Server::start(&http(text).file("own.crt", &own.chain_pem).file("own.key", &own.key_pem));
    let output = server.run(&["-t"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut told: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("larder: [warn] ")?.split_once(" in /"))
        .map(|(message, _)| message)
        .collect();
    told.sort_unstable();
    let wanted = [
        "\"AES128-SHA\", \"DHE-RSA-AES128-SHA\" are not available with rustls, ignored",
        "\"KTLS\" has no effect: the kernel is not asked to encrypt",
        "\"TLSv1\", \"TLSv1.1\" are not available with rustls, ignored",
        "\"secp521r1\" is not available with rustls, ignored",
        "\"ssl_dhparam\" directive has no effect here: rustls has no key exchange over finite fields",
    ];
    assert_eq!(told, wanted, "{said}");
    let lines = std::fs::read_to_string(server.dir().join("nginx.conf")).expect("it is there");
    let line = lines.lines().position(|line| line.contains("ssl_ecdh_curve")).expect("it is in there") + 1;
    assert!(
        said.contains(&format!(
            "\"secp521r1\" is not available with rustls, ignored in {}:{line}\n",
            server.dir().join("nginx.conf").display()
        )),
        "{said}"
    );
    assert_eq!(Tls::trusting(&root).connect(server.address()).get("/").text(), "TLSv1.3");
}

/// A server that says what a client and it have agreed on.
fn telling(authority: &Authority, directives: &str) -> Conf {
    let own = authority.server(&["localhost"]);
    let tells = "return 200 '$ssl_protocol $ssl_cipher $ssl_curve';";
    http(&format!(
        "ssl_certificate own.crt; ssl_certificate_key own.key; {directives}
        server {{ listen 127.0.0.1:%PORT% ssl; server_name localhost; {tells} }}"
    ))
    .file("own.crt", own.chain_pem)
    .file("own.key", own.key_pem)
}

#[test]
fn what_directives_choose_is_spoken() {
    let root = Authority::new("the root");
    let chacha = "ECDHE-ECDSA-CHACHA20-POLY1305";
    let cases = [
        ("ssl_protocols TLSv1.2;", "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 X25519"),
        ("ssl_protocols TLSv1.3;", "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768"),
        (
            "ssl_protocols TLSv1.2; ssl_ciphers ECDHE+CHACHA20; ssl_ecdh_curve secp384r1;",
            &format!("TLSv1.2 {chacha} secp384r1"),
        ),
        (
            "ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on; ssl_ciphers ECDHE+CHACHA20:ECDHE+AESGCM;",
            &format!("TLSv1.2 {chacha} X25519"),
        ),
        (
            "ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; ssl_ecdh_curve P-256;",
            "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 prime256v1",
        ),
        (
            "ssl_conf_command MaxProtocol TLSv1.2; ssl_ecdh_curve X25519;",
            "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 X25519",
        ),
        ("ssl_ciphers AES128-SHA;", "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768"),
    ];
    for (directives, wanted) in cases {
        let server = Server::start(&telling(&root, directives));
        let got = Tls::trusting(&root).connect(server.address()).get("/").text();
        assert_eq!(got, wanted, "{directives}");
    }
}

#[test]
fn what_directives_leave_out_is_not_spoken() {
    let root = Authority::new("the root");
    let cases = [
        ("ssl_protocols TLSv1.3;", &TLS12),
        ("ssl_protocols TLSv1.2;", &TLS13),
        ("ssl_ciphers AES128-SHA;", &TLS12),
        ("ssl_ciphers ALL:!ECDSA;", &TLS12),
        ("ssl_conf_command Ciphersuites '';", &TLS13),
    ];
    for (directives, version) in cases {
        let server = Server::start(&telling(&root, directives));
        let refused = Tls::only(&root, version).try_connect(server.address()).is_err();
        assert!(refused, "{directives}");
    }
}

#[test]
fn clients_that_like_chacha_best_get_it_first() {
    let root = Authority::new("the root");
    let directives = "ssl_prefer_server_ciphers on; ssl_conf_command Options PrioritizeChaCha;";
    let server = Server::start(&telling(&root, directives));
    let chosen = |ciphers: &str| {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-servername", "localhost", "-connect"])
            .arg(server.address().to_string())
            .args(["-ciphersuites", ciphers])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut request = client.stdin.take().expect("it is piped");
        request.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
        let output = client.wait_with_output().expect("it ends with the connection");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().find(|word| word.starts_with("TLS_")).unwrap_or_default().to_owned()
    };
    let (aes, chacha) = ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256");
    assert_eq!(chosen(&format!("{chacha}:{aes}")), chacha);
    assert_eq!(chosen(&format!("{aes}:{chacha}:TLS_AES_256_GCM_SHA384")), "TLS_AES_256_GCM_SHA384");
}
