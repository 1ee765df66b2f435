//! Certificates that variables name, through the real program: each handshake has its own.

use crate::{
    support::{
        Conf, Server, http,
        tls::{Authority, Certified, Tls, openssl},
        wait_until,
    },
    tls::openssl_client,
};

fn with_pair(conf: Conf, name: &str, certified: &Certified) -> Conf {
    conf.file(&format!("{name}.crt"), &certified.chain_pem).file(&format!("{name}.key"), &certified.key_pem)
}

/// Which certificate a client of that name is shown, and what the answer says.
fn shown(server: &Server, port: &str, tls: &Tls) -> (Vec<u8>, String) {
    let address = if port.is_empty() { server.address() } else { server.address_of(port) };
    let mut client = tls.connect(address);
    let text = client.get("/").text();
    let own = client.wire().client().and_then(|client| client.peer_certificates()).expect("there is one");
    (own[0].to_vec(), text)
}

#[test]
fn each_name_has_a_certificate() {
    let root = Authority::new("the root");
    let [a, b, placed] = [["a.test"], ["b.test"], ["placed.test"]].map(|names| root.server(&names));
    let conf = http(
        "map $ssl_server_name $certificate { hostnames; a.test first; .b.test second; default missing; }
        geo $remote_addr $place { 127.0.0.0/8 near; default far; }
        server { listen 127.0.0.1:%PORT% ssl; listen 127.0.0.1:%PORT:kept% ssl; http2 on;
            ssl_certificate $certificate.crt; ssl_certificate_key $certificate.key;
            return 200 '$ssl_server_name $ssl_session_reused $ssl_protocol'; }
        server { listen 127.0.0.1:%PORT:kept% ssl; server_name placed.test;
            ssl_certificate_cache max=2 inactive=1h valid=1h;
            ssl_certificate %DIR%/$server_name-$place-$scheme$https.crt; ssl_certificate_key placed.key;
            return 200 placed; }",
    );
    let conf = with_pair(with_pair(conf, "first", &a), "second", &b)
        .file("placed.test-near-httpson.crt", &placed.chain_pem)
        .file("placed.key", &placed.key_pem);
    let mut server = Server::start(&conf);
    let output = server.run(&["-t"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("[warn]"), "{said}");

    for (name, wanted) in [("a.test", &a), ("b.test", &b), ("a.test", &a)] {
        let tls = Tls::trusting(&root).name(name).remembering();
        assert_eq!(shown(&server, "", &tls), (wanted.der().to_vec(), format!("{name} . TLSv1.3")));
        assert_eq!(shown(&server, "", &tls).1, format!("{name} r TLSv1.3"), "its session is taken up again");
    }
    let tls = Tls::trusting(&root).name("placed.test");
    for _ in 0..2 {
        assert_eq!(shown(&server, "kept", &tls).0, placed.der());
    }

    server.allow_in_log("cannot load certificate");
    let error =
        Tls::trusting(&root).name("c.test").try_connect(server.address()).err().expect("none is there");
    assert!(error.to_string().contains("InternalError"), "{error}");
    let path = server.dir().join("missing.crt");
    server.wait_for_log(&format!(
        "cannot load certificate \"{0}\": BIO_new_file() failed (SSL: error:80000002:system library::No such file \
         or directory:calling fopen({0}, r) error:10000080:BIO routines::no such file) while SSL handshaking, client: ",
        path.display()
    ));
    assert_eq!(shown(&server, "", &Tls::trusting(&root).name("a.test")).0, a.der(), "others are served on");
}

#[test]
fn a_replaced_certificate_is_shown_when_the_old_one_is_no_longer_valid() {
    let root = Authority::new("the root");
    let [old, new] = [(); 2].map(|()| root.server(&["localhost"]));
    let named = "ssl_certificate $ssl_server_name.crt; ssl_certificate_key $ssl_server_name.key;
        return 200 $ssl_session_reused;";
    let conf = http(&format!(
        "server {{ listen 127.0.0.1:%PORT% ssl; {named} }}
        server {{ listen 127.0.0.1:%PORT:brief% ssl; ssl_certificate_cache max=1 valid=1s; {named} }}
        server {{ listen 127.0.0.1:%PORT:long% ssl; ssl_certificate_cache max=1 inactive=1h valid=1h; {named} }}"
    ));
    let server = Server::start(&with_pair(conf, "localhost", &old));
    let tls = Tls::trusting(&root).remembering();
    for port in ["", "brief", "long"] {
        assert_eq!(shown(&server, port, &Tls::trusting(&root)).0, old.der(), "{port}");
    }
    assert_eq!(shown(&server, "", &tls).1, ".");
    assert_eq!(shown(&server, "", &tls).1, "r");
    for (ending, text) in [("key", &new.key_pem), ("crt", &new.chain_pem)] {
        std::fs::write(server.dir().join(format!("localhost.{ending}")), text).unwrap();
    }
    assert_eq!(shown(&server, "", &tls), (new.der().to_vec(), ".".to_owned()), "no session of the old one");
    let shown = |port: &str| shown(&server, port, &Tls::trusting(&root)).0;
    wait_until("the new certificate is shown", || shown("brief") == new.der());
    assert_eq!(shown("long"), old.der());
}

#[test]
fn variables_may_name_several_certificates() {
    let dir = crate::support::server::new_dir();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for (name, option) in [("rsa", "rsa_keygen_bits:2048"), ("ec", "ec_paramgen_curve:prime256v1")] {
        let (key, certificate) = (path(&format!("{name}.key")), path(&format!("{name}.crt")));
        openssl(&[
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            name,
            "-pkeyopt",
            option,
            "-subj",
            "/CN=localhost",
            "-days",
            "2",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]);
    }
    let mut conf = http(
        "map $remote_addr $folder { default %DIR%/; }
        server { listen 127.0.0.1:%PORT% ssl; return 200 fine;
            ssl_certificate ${folder}rsa.crt; ssl_certificate_key rsa.key;
            ssl_certificate ec.crt; ssl_certificate_key ${folder}ec.key; }",
    );
    for name in ["rsa.crt", "rsa.key", "ec.crt", "ec.key"] {
        conf = conf.file(name, std::fs::read(path(name)).unwrap());
    }
    let server = Server::start(&conf);
    let address = server.address().to_string();
    for (schemes, wanted) in [("RSA-PSS+SHA256", "RSA-PSS"), ("ECDSA+SHA256", "ECDSA")] {
        let said = openssl_client(&address, &["-sigalgs", schemes], "GET / HTTP/1.0\r\n\r\n");
        assert!(said.contains(&format!("Peer signature type: {wanted}\n")), "{schemes}: {said}");
        assert!(said.contains("fine"), "{said}");
    }
}
