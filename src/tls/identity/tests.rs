//! Files as the `openssl` command writes them, read and refused.

use std::fs;

use rustls::sign::SingleCertAndKey;

use super::*;
use crate::rehearsal::{self, Version, Workshop};

fn pair(shop: &Workshop, certificate: &str, key: &str) -> Pair {
    Pair {
        certificate: Source::certificate(certificate.as_bytes(), shop.path()),
        key: Source::key(key.as_bytes(), shop.path()),
    }
}

fn told(shop: &Workshop, certificate: &str, key: &str, passwords: Option<&str>) -> String {
    let passwords = passwords.map(|name| shop.file(name));
    match Identities::default().load(&pair(shop, certificate, key), passwords.as_deref()) {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.to_string().replace(&format!("{}/", shop.path().display()), ""),
    }
}

/// Shows an identity in handshakes.
fn show(identity: &Arc<CertifiedKey>, name: &str) {
    for version in Version::ALL {
        let server = rehearsal::server(Arc::new(SingleCertAndKey::from(Arc::clone(identity))));
        let ends = rehearsal::meet(&Arc::new(rehearsal::client(version)), &Arc::new(server));
        let ends = ends.unwrap_or_else(|error| panic!("{name}, {version:?}: {error}"));
        assert_eq!(ends.client.peer_certificates(), Some(identity.cert.as_slice()), "{name}, {version:?}");
        assert_eq!(ends.server.handshake_kind(), Some(rustls::HandshakeKind::Full), "{name}, {version:?}");
    }
}

#[test]
fn every_form_of_a_key_that_openssl_writes_is_read() {
    let Some(shop) = Workshop::open() else { return };
    shop.certificate("rsa", "rsa:2048");
    shop.certificate("ec", "ec -pkeyopt ec_paramgen_curve:P-256");
    shop.certificate("ec521", "ec -pkeyopt ec_paramgen_curve:P-521");
    shop.certificate("ed", "ed25519");
    fs::write(shop.file("passwords"), "wrong\n\nsecret\n").unwrap();
    shop.openssl("rsa -in rsa.key -traditional -out pkcs1.key");
    shop.openssl("ec -in ec.key -out sec1.key");
    shop.openssl("ec -in ec.key -no_public -out bare.key");
    shop.openssl("ec -in ec.key -param_out -out parameters");
    let both =
        [fs::read(shop.file("parameters")).unwrap(), fs::read(shop.file("sec1.key")).unwrap()].concat();
    fs::write(shop.file("parameters.key"), both).unwrap();
    let both = [fs::read(shop.file("rsa.key")).unwrap(), fs::read(shop.file("rsa.crt")).unwrap()].concat();
    fs::write(shop.file("both.pem"), both).unwrap();
    for cipher in ["aes128", "aes192", "aes256", "des3"] {
        shop.openssl(&format!(
            "rsa -in rsa.key -traditional -{cipher} -passout pass:secret -out rsa-{cipher}.key"
        ));
        shop.openssl(&format!("ec -in ec.key -{cipher} -passout pass:secret -out ec-{cipher}.key"));
    }
    let pkcs8 = "pkcs8 -topk8 -passout pass:secret -in";
    for cipher in ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3"] {
        shop.openssl(&format!("{pkcs8} rsa.key -v2 {cipher} -out pbes2-{cipher}.key"));
    }
    shop.openssl(&format!("{pkcs8} ec.key -v2 aes-256-cbc -v2prf hmacWithSHA1 -out sha1.key"));
    shop.openssl(&format!("{pkcs8} ec.key -v2 aes-256-cbc -v2prf hmacWithSHA512 -out sha512.key"));
    shop.openssl(&format!("{pkcs8} ed.key -scrypt -out scrypt.key"));
    let table = [
        ("rsa.crt", "rsa.key"),
        ("rsa.crt", "pkcs1.key"),
        ("both.pem", "both.pem"),
        ("ec.crt", "ec.key"),
        ("ec.crt", "sec1.key"),
        ("ec.crt", "bare.key"),
        ("ec.crt", "parameters.key"),
        ("ec521.crt", "ec521.key"),
        ("ed.crt", "ed.key"),
        ("rsa.crt", "rsa-aes128.key"),
        ("rsa.crt", "rsa-aes192.key"),
        ("rsa.crt", "rsa-aes256.key"),
        ("rsa.crt", "rsa-des3.key"),
        ("ec.crt", "ec-aes128.key"),
        ("ec.crt", "ec-aes192.key"),
        ("ec.crt", "ec-aes256.key"),
        ("ec.crt", "ec-des3.key"),
        ("rsa.crt", "pbes2-aes-128-cbc.key"),
        ("rsa.crt", "pbes2-aes-192-cbc.key"),
        ("rsa.crt", "pbes2-aes-256-cbc.key"),
        ("rsa.crt", "pbes2-des3.key"),
        ("ec.crt", "sha1.key"),
        ("ec.crt", "sha512.key"),
        ("ed.crt", "scrypt.key"),
    ];
    let mut identities = Identities::default();
    for (certificate, key) in table {
        let loaded = identities.load(&pair(&shop, certificate, key), Some(&shop.file("passwords")));
        show(&loaded.unwrap_or_else(|error| panic!("{key}: {error}")), key);
    }
}

#[test]
fn chains_old_versions_and_texts_within_the_configuration_are_read() {
    let Some(shop) = Workshop::open() else { return };
    shop.certificate("ca", "rsa:2048");
    // Without extensions, `openssl x509 -req` makes X.509 v1.
    shop.openssl("req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf");
    shop.openssl("x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out leaf.crt");
    shop.openssl("x509 -in leaf.crt -trustout -addtrust serverAuth -out trusted.crt");
    let read = |name: &str| fs::read(shop.file(name)).unwrap();
    fs::write(shop.file("chain.crt"), [&read("leaf.crt"), b"\ntext\n".as_slice(), &read("ca.crt")].concat())
        .unwrap();
    let (certificate, key) =
        (["data:".as_bytes(), &read("leaf.crt")].concat(), ["data:".as_bytes(), &read("leaf.key")].concat());
    let inline = Pair {
        certificate: Source::certificate(&certificate, shop.path()),
        key: Source::key(&key, shop.path()),
    };
    let table = [
        ("v1", pair(&shop, "leaf.crt", "leaf.key"), 1),
        ("a chain", pair(&shop, "chain.crt", "store:file:leaf.key"), 2),
        ("trusted", pair(&shop, "trusted.crt", "leaf.key"), 1),
        ("inline", inline, 1),
    ];
    for (name, pair, length) in table {
        let loaded = load(&pair, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(loaded.cert.len(), length, "{name}");
        assert_eq!(loaded.cert[0], load(&table_leaf(&shop), None).unwrap().cert[0], "{name}");
        show(&loaded, name);
    }
}

fn table_leaf(shop: &Workshop) -> Pair {
    pair(shop, "leaf.crt", "leaf.key")
}

/// What is said of certificates that cannot be used.
const START: &str = "PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)";
const KINDS: &str = "RSA of 2048 to 8192 bits, EC on P-256, P-384 and P-521, and Ed25519 are";

#[test]
fn errors_of_certificates_read_as_nginxs_with_openssl() {
    let Some(shop) = Workshop::open() else { return };
    for (name, key) in [
        ("rsa", "rsa:2048"),
        ("small", "rsa:1024"),
        ("koblitz", "ec -pkeyopt ec_paramgen_curve:secp256k1"),
        ("ed448", "ed448"),
    ] {
        shop.certificate(name, key);
    }
    shop.openssl("x509 -in rsa.crt -outform der -out rsa.der");
    let text = |name: &str| fs::read_to_string(shop.file(name)).unwrap();
    let write = |name: &str, text: &str| fs::write(shop.file(name), text).unwrap();
    write("empty", "");
    write("half.crt", text("rsa.crt").split_at(200).0);
    write("garbled.crt", &text("rsa.crt").replacen("MII", "M*I", 1));
    write("chain.crt", &format!("{}{}", text("rsa.crt"), text("half.crt")));
    write("zero.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let end = "failed (SSL: error:04800066:PEM routines::bad end line)";
    let asn1 = "error:0688010A:asn1 encoding routines::nested asn1 error:Type=X509 error:0488000D:PEM routines::ASN1 lib";
    let not_loaded = |file: &str, rest: &str| format!("cannot load certificate \"{file}\": {rest}");
    let unfit = |file: &str, rest: &str| format!("SSL_CTX_use_certificate(\"{file}\") failed ({rest})");
    let table: &[(&str, String)] = &[
        ("rsa.crt", "fine".to_owned()),
        ("empty", not_loaded("empty", START)),
        (".", not_loaded(".", START)),
        ("rsa.der", not_loaded("rsa.der", START)),
        ("rsa.key", not_loaded("rsa.key", START)),
        ("data:a", not_loaded("data:...", START)),
        ("half.crt", not_loaded("half.crt", &format!("PEM_read_bio_X509_AUX() {end}"))),
        ("chain.crt", not_loaded("chain.crt", &format!("PEM_read_bio_X509() {end}"))),
        (
            "garbled.crt",
            not_loaded(
                "garbled.crt",
                "PEM_read_bio_X509_AUX() failed (SSL: error:04800064:PEM routines::bad base64 decode)",
            ),
        ),
        ("zero.crt", not_loaded("zero.crt", &format!("PEM_read_bio_X509_AUX() failed (SSL: {asn1})"))),
        ("small.crt", unfit("small.crt", "SSL: error:0A00018F:SSL routines::ee key too small")),
        ("ed448.crt", unfit("ed448.crt", &format!("Ed448 keys are not supported: {KINDS}"))),
        ("koblitz.crt", unfit("koblitz.crt", &format!("EC secp256k1 keys are not supported: {KINDS}"))),
    ];
    for (certificate, wanted) in table {
        assert_eq!(told(&shop, certificate, "rsa.key", None), *wanted, "{certificate}");
    }
}

#[test]
fn errors_of_keys_read_as_nginxs_with_openssl() {
    let Some(shop) = Workshop::open() else { return };
    for (name, key) in [
        ("rsa", "rsa:2048"),
        ("other", "rsa:2048"),
        ("ec", "ec -pkeyopt ec_paramgen_curve:P-256"),
        ("ed448", "ed448"),
    ] {
        shop.certificate(name, key);
    }
    shop.openssl("rsa -in rsa.key -traditional -aes256 -passout pass:secret -out old.key");
    shop.openssl("pkcs8 -topk8 -in rsa.key -passout pass:secret -out new.key");
    shop.openssl("pkcs8 -topk8 -v1 PBE-SHA1-3DES -in rsa.key -passout pass:secret -out pbe.key");
    let text = |name: &str| fs::read_to_string(shop.file(name)).unwrap();
    let write = |name: &str, text: &str| fs::write(shop.file(name), text).unwrap();
    write("empty", "");
    write("wrong", "wrong\n");
    write("half.key", text("rsa.key").split_at(200).0);
    write("unknown.key", &text("old.key").replace("AES-256-CBC", "IDEA-CBC"));
    write("nothing.key", &text("old.key").replace("DEK-Info", "X"));
    let not_read = |file: &str, rest: &str| {
        format!(
            "cannot load certificate key \"{file}\": PEM_read_bio_PrivateKey() failed (SSL: error:{rest})"
        )
    };
    let refused = |file: &str, rest: &str| format!("cannot load certificate key \"{file}\": {rest}");
    let mismatch = |file: &str, rest: &str| {
        format!("SSL_CTX_use_PrivateKey(\"{file}\") failed (SSL: error:058000{rest})")
    };
    let decoder = "1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM";
    let old = "1C800064:Provider routines::bad decrypt error:04800065:PEM routines::bad decrypt";
    let new = "1C800064:Provider routines::bad decrypt error:11800074:PKCS12 routines::pkcs12 cipherfinal error:maybe wrong password";
    let pbe = "encrypted by a PBE of PKCS#12, which is not supported: convert the key by \"openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW\"";
    let table: &[(&str, Option<&str>, String)] = &[
        ("rsa.key", None, "fine".to_owned()),
        ("empty", None, not_read("empty", decoder)),
        ("half.key", None, not_read("half.key", decoder)),
        ("rsa.crt", None, not_read("rsa.crt", decoder)),
        ("ed448.key", None, refused("ed448.key", &format!("Ed448 keys are not supported ({KINDS})"))),
        ("other.key", None, mismatch("other.key", "74:x509 certificate routines::key values mismatch")),
        ("ec.key", None, mismatch("ec.key", "73:x509 certificate routines::key type mismatch")),
        ("old.key", Some("missing"), "open() \"missing\" failed (2: No such file or directory)".to_owned()),
        ("old.key", None, not_read("old.key", "04800068:PEM routines::bad password read")),
        ("old.key", Some("empty"), not_read("old.key", old)),
        ("old.key", Some("wrong"), not_read("old.key", old)),
        ("new.key", Some("wrong"), not_read("new.key", new)),
        (
            "unknown.key",
            Some("wrong"),
            not_read("unknown.key", "04800072:PEM routines::unsupported encryption"),
        ),
        ("nothing.key", Some("wrong"), not_read("nothing.key", "04800069:PEM routines::not dek info")),
        ("pbe.key", Some("wrong"), refused("pbe.key", pbe)),
        ("engine:a:b", None, refused("engine:a:b", "OpenSSL engines do not exist in this build")),
        ("store:a:b", None, refused("store:a:b", "of the schemes of \"store:\" only \"file\" is supported")),
    ];
    for (key, passwords, wanted) in table {
        assert_eq!(told(&shop, "rsa.crt", key, *passwords), *wanted, "{key} {passwords:?}");
    }
}

#[test]
fn broken_files_are_refused_and_never_more() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let text = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
    let inline = |text: &[u8]| {
        let source = Source::Inline(text.to_vec());
        load(&Pair { certificate: source.clone(), key: source }, None)
    };
    assert!(inline(text.as_bytes()).is_ok());
    let bytes = text.trim_end().as_bytes();
    for length in 0..bytes.len() {
        assert!(inline(&bytes[..length]).is_err(), "cut after {length}");
    }
    for place in 0..bytes.len() {
        for with in *b"A:\xff" {
            let mut garbled = bytes.to_vec();
            garbled[place] = with;
            // A letter of the certificate's name or signature may be any: nothing is to be told of the outcome.
            let _ = inline(&garbled);
        }
    }
}

#[test]
fn broken_encrypted_keys_are_refused_and_never_more() {
    let Some(shop) = Workshop::open() else { return };
    shop.certificate("ec", "ec -pkeyopt ec_paramgen_curve:P-256");
    shop.openssl("ec -in ec.key -aes256 -passout pass:secret -out old.key");
    shop.openssl("pkcs8 -topk8 -in ec.key -passout pass:secret -out new.key");
    fs::write(shop.file("passwords"), "secret\n").unwrap();
    let passwords = Passwords::read(&shop.file("passwords")).unwrap();
    let certificate = Source::File(shop.file("ec.crt"));
    let read = |text: &[u8]| {
        let pair = Pair { certificate: certificate.clone(), key: Source::Inline(text.to_vec()) };
        load(&pair, Some(&passwords)).map(|_| ())
    };
    let old = fs::read(shop.file("old.key")).unwrap();
    let new = fs::read(shop.file("new.key")).unwrap();
    for text in [&old, &new] {
        let text = text.trim_ascii_end();
        assert!(read(text).is_ok());
        for length in 0..text.len() {
            assert!(read(&text[..length]).is_err(), "cut after {length}");
        }
    }
    for place in 0..old.len() {
        for with in *b"A:,\xff" {
            let mut garbled = old.clone();
            garbled[place] = with;
            // It may be a key all the same: its public half is optional.
            let _ = read(&garbled);
        }
    }
}

#[test]
fn a_file_is_read_once_for_one_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let path = folder.path().join("both.pem");
    fs::write(&path, format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem())).unwrap();
    let pair = Pair { certificate: Source::File(path.clone()), key: Source::File(path.clone()) };
    let mut identities = Identities::default();
    let first = identities.load(&pair, None).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(Arc::ptr_eq(&first, &identities.load(&pair, None).unwrap()));
    assert!(Identities::default().load(&pair, None).is_err());
}
