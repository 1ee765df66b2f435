//! Which certificates of upstreams are trusted: those that OpenSSL's users have, made by the `openssl` command.

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tempfile::TempDir;

use super::*;
use crate::support::{server::new_dir, tls::openssl};

/// A directory where certificates are made.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        let dir = new_dir();
        std::fs::write(
            dir.path().join("conf"),
            "[req]\ndistinguished_name = none\nprompt = no\n[none]\n\
             [ca]\ndefault_ca = own\n\
             [own]\ndatabase = index\nserial = serial\ndefault_md = sha256\ndefault_crl_days = 30\n\
             default_days = 30\npolicy = any\nnew_certs_dir = .\ncrlnumber = crlnumber\n\
             [any]\ncommonName = supplied\n\
             [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = keyCertSign,cRLSign\n\
             [named]\nsubjectAltName = DNS:localhost,DNS:*.wild.test,IP:127.0.0.1\n\
             [plain]\nbasicConstraints = CA:FALSE\n\
             [pinned]\nbasicConstraints = CA:TRUE\n",
        )
        .unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs `openssl` in the directory.
    fn run(&self, line: &str) {
        let files = [
            "-keyout", "-key", "-out", "-in", "-CA", "-CAkey", "-extfile", "-config", "-cert", "-keyfile",
            "-revoke",
        ];
        let mut arguments: Vec<String> = Vec::new();
        for word in line.split_whitespace() {
            let is_file = arguments.last().is_some_and(|last| files.contains(&last.as_str()));
            arguments.push(if is_file { self.path(word) } else { word.to_owned() });
        }
        openssl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Makes an authority, `NAME.pem` with `NAME.key`.
    fn authority(&self, name: &str) {
        self.key(name);
        self.run(&format!(
            "req -x509 -new -key {name}.key -subj /CN={name} -days 30 -config conf -extensions authority -out {name}.pem"
        ));
    }

    fn key(&self, name: &str) {
        self.run(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    }

    /// Makes a certificate that an authority signs, with these extensions; without, it is one of version 1.
    fn sign(&self, authority: &str, name: &str, subject: &str, extensions: Option<&str>) {
        self.key(name);
        self.run(&format!("req -new -key {name}.key -subj /CN={subject} -config conf -out {name}.csr"));
        let extensions =
            extensions.map_or_else(String::new, |set| format!("-extfile conf -extensions {set}"));
        self.run(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 30 {extensions} \
             -out {name}.pem"
        ));
    }

    /// Starts an origin that shows these certificates, the first of which is its own.
    fn origin(&self, names: &[&str]) -> Origin {
        let read = |name: &&str| CertificateDer::from_pem_slice(&self.read(&format!("{name}.pem"))).unwrap();
        let chain = names.iter().map(read).collect();
        let key = PrivateKeyDer::from_pem_slice(&self.read(&format!("{}.key", names[0]))).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        origin(Arc::new(
            config.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))),
        ))
    }

    /// Starts a server that verifies an origin: each location with a name to have and settings of its own.
    fn verifying(
        &self,
        origin: &Origin,
        trusted: &[&str],
        files: &[&str],
        locations: &[(&str, &str, &str)],
    ) -> Server {
        let locations: String = locations
            .iter()
            .map(|(path, name, settings)| {
                format!("location {path} {{ proxy_pass https://%ORIGIN%; proxy_ssl_name \"{name}\"; {settings} }}\n")
            })
            .collect();
        let conf = format!("proxy_ssl_verify on; proxy_ssl_trusted_certificate trusted.pem;\n{locations}");
        let trusted: Vec<u8> = trusted.iter().flat_map(|name| self.read(&format!("{name}.pem"))).collect();
        let conf = servers(&conf).origin(origin).file("trusted.pem", trusted);
        let conf = files.iter().fold(conf, |conf, name| conf.file(name, self.read(name)));
        let mut server = Server::start(&conf);
        server.allow_in_log("upstream SSL certificate ");
        server
    }
}

/// Asks each location, and compares what comes of it: 200, or what the log says.
fn check(server: &Server, cases: &[(&str, Result<(), &str>)]) {
    for (path, wanted) in cases {
        let status = server.get(path).status();
        assert_eq!(status, if wanted.is_ok() { 200 } else { 502 }, "{path}: {}", server.read("error.log"));
        if let Err(words) = wanted {
            server
                .wait_for_log(&format!("upstream SSL certificate {words} while SSL handshaking to upstream"));
        }
    }
}

#[test]
fn a_certificate_must_be_trusted_and_have_the_name() {
    let shop = Workshop::new();
    shop.authority("root");
    shop.authority("other");
    shop.sign("root", "leaf", "leaf", Some("named"));
    let origin = shop.origin(&["leaf"]);
    let names = [
        ("/named", "localhost", ""),
        ("/port", "localhost:8443", ""),
        ("/case", "LocalHost", ""),
        ("/wild", "a.wild.test", ""),
        ("/deeper", "a.b.wild.test", ""),
        ("/bare", "wild.test", ""),
        ("/subject", "leaf", ""),
        ("/address", "127.0.0.1", ""),
        ("/odd", "a b", ""),
        ("/off", "nobody", "proxy_ssl_verify off;"),
    ];
    let server = shop.verifying(&origin, &["root"], &[], &names);
    let cases = [
        ("/named", Ok(())),
        ("/port", Ok(())),
        ("/case", Ok(())),
        ("/wild", Ok(())),
        ("/deeper", Err("does not match \"a.b.wild.test\"")),
        ("/bare", Err("does not match \"wild.test\"")),
        ("/subject", Err("does not match \"leaf\"")),
        ("/address", Ok(())),
        ("/odd", Err("does not match \"a b\"")),
        ("/off", Ok(())),
    ];
    check(&server, &cases);
    let server = shop.verifying(&origin, &["other"], &[], &[("/", "localhost", "")]);
    check(&server, &[("/", Err("verify error: (21:unable to verify the first certificate)"))]);
}

#[test]
fn certificates_that_only_openssl_takes_are_taken() {
    let shop = Workshop::new();
    shop.authority("root");
    // Version 1, as `openssl x509 -req` makes it without extensions.
    shop.sign("root", "old", "localhost", None);
    shop.sign("root", "subject", "localhost", Some("plain"));
    // An authority's certificate in the place of a server's own, trusted as it is.
    shop.key("pinned");
    shop.run("req -x509 -new -key pinned.key -subj /CN=localhost -days 30 -config conf -extensions pinned -out pinned.pem");
    for (shown, trusted) in [("old", "root"), ("subject", "root"), ("pinned", "pinned")] {
        let origin = shop.origin(&[shown]);
        let names = [("/good", "localhost", ""), ("/bad", "other", "")];
        let server = shop.verifying(&origin, &[trusted], &[], &names);
        check(&server, &[("/good", Ok(())), ("/bad", Err("does not match \"other\""))]);
    }
    let origin = shop.origin(&["pinned"]);
    let server = shop.verifying(&origin, &["root"], &[], &[("/", "localhost", "")]);
    check(&server, &[("/", Err("verify error: (18:self-signed certificate)"))]);
}

#[test]
fn a_chain_may_be_as_long_as_the_depth_says() {
    let shop = Workshop::new();
    shop.authority("root");
    shop.sign("root", "middle", "middle", Some("authority"));
    shop.sign("middle", "lower", "lower", Some("authority"));
    shop.sign("lower", "leaf", "leaf", Some("named"));
    let origin = shop.origin(&["leaf", "lower", "middle"]);
    let settings = [
        ("/default", "localhost", ""),
        ("/two", "localhost", "proxy_ssl_verify_depth 2;"),
        ("/none", "localhost", "proxy_ssl_verify_depth 0;"),
    ];
    let server = shop.verifying(&origin, &["root"], &[], &settings);
    let statuses = ["/default", "/two", "/none"].map(|path| server.get(path).status());
    assert_eq!(statuses, [502, 200, 502]);
    server.wait_for_log("upstream SSL certificate verify error: (2");
}

#[test]
fn revoked_certificates_are_refused_with_lists_of_either_version() {
    let shop = Workshop::new();
    shop.authority("root");
    shop.sign("root", "good", "good", Some("named"));
    shop.sign("root", "bad", "bad", Some("named"));
    std::fs::write(shop.path("index"), "").unwrap();
    std::fs::write(shop.path("crlnumber"), "01\n").unwrap();
    let conf = String::from_utf8(shop.read("conf"))
        .unwrap()
        .replace("= index", &format!("= {}", shop.path("index")));
    let conf = conf.replace("= crlnumber", &format!("= {}", shop.path("crlnumber")));
    std::fs::write(shop.path("conf"), &conf).unwrap();
    shop.run("ca -config conf -cert root.pem -keyfile root.key -revoke bad.pem");
    // Without a number of its own, a list is one of version 1.
    shop.run("ca -config conf -cert root.pem -keyfile root.key -gencrl -out second.crl");
    std::fs::write(shop.path("conf"), conf.replace("crlnumber", "# crlnumber")).unwrap();
    shop.run("ca -config conf -cert root.pem -keyfile root.key -gencrl -out first.crl");
    let settings = [
        ("/first", "localhost", "proxy_ssl_crl first.crl;"),
        ("/second", "localhost", "proxy_ssl_crl second.crl;"),
        ("/none", "localhost", ""),
    ];
    let files = ["first.crl", "second.crl"];
    let (good, bad) = (shop.origin(&["good"]), shop.origin(&["bad"]));
    let server = shop.verifying(&good, &["root"], &files, &settings);
    check(&server, &[("/first", Ok(())), ("/second", Ok(())), ("/none", Ok(()))]);
    let server = shop.verifying(&bad, &["root"], &files, &settings);
    let revoked = Err("verify error: (23:certificate revoked)");
    check(&server, &[("/first", revoked), ("/second", revoked), ("/none", Ok(()))]);
}
