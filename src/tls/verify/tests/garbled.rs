//! Certificates and lists that are broken: refused, and no panic.

use std::{
    sync::Once,
    time::{Duration, UNIX_EPOCH},
};

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject};

use super::{
    openssl::{CA, ListOrder, Order, Workshop},
    workshop,
};
use crate::{
    crl::{Crl, CrlError},
    trust::{Trust, TrustError, TrustFiles, Unusable},
    verify::{Certificate, VerifyError, names},
};

/// An extension of every kind that is read.
const MANY: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=DNS:example.com,IP:127.0.0.1,email:a@example.com\n\
    nsCertType=client,server\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer:always\n\
    crlDistributionPoints=URI:http://example.com/list\n";

/// What these tests need, made once.
fn made() -> Option<&'static Workshop> {
    static MADE: Once = Once::new();
    let shop = workshop()?;
    MADE.call_once(|| make(shop));
    Some(shop)
}

fn make(shop: &Workshop) {
    shop.make(&Order::new("gb-root", "", CA));
    shop.make(&Order::new("gb-leaf", "gb-root", MANY));
    shop.make_list(&ListOrder {
        extensions: "authorityKeyIdentifier=keyid,issuer:always\nissuingDistributionPoint=critical,@at\n[at]\nonlyuser=TRUE",
        ..ListOrder::new("gb-list", "gb-root", &["gb-leaf"])
    });
}

/// The bytes cut at every place, and with every one changed in some ways.
fn broken(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
    let changes = [0x00, 0x01, 0x02, 0x1f, 0x30, 0x7f, 0x80, 0x84, 0xa0, 0xff];
    let changed = (0..whole.len()).flat_map(move |place| {
        changes.into_iter().filter(move |byte| *byte != whole[place]).map(move |byte| {
            let mut bytes = whole.to_vec();
            bytes[place] = byte;
            bytes
        })
    });
    let longer = [[whole, &[0]].concat(), [whole, whole].concat()];
    cut.chain(changed).chain(longer)
}

#[test]
fn broken_certificates_are_never_trusted() {
    let Some(shop) = made() else { return };
    let root = shop.path("gb-root.pem");
    let list = shop.path("gb-list.pem");
    let leaf = shop.certificate("gb-leaf");
    let start = Certificate::read(&leaf).expect("it is one").not_before;
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(start).expect("it is after 1970") + 60);
    let plain = TrustFiles { trusted: Some(&root), depth: 1, ..TrustFiles::default() };
    let listed = TrustFiles { crl: Some(&list), ..plain };
    let (plain, listed) = (Trust::load(&plain).expect("it loads"), Trust::load(&listed).expect("it loads"));
    assert_eq!(plain.verify_client(std::slice::from_ref(&leaf), now), Ok(()));
    for bytes in broken(&leaf) {
        let sent = [CertificateDer::from(bytes)];
        assert_ne!(plain.verify_client(&sent, now), Ok(()), "{sent:?}");
        assert_ne!(listed.verify_client(&sent, now), Ok(()), "{sent:?}");
        let _ = names::check(&sent[0], b"example.com");
        let _ = names::check(&sent[0], b"127.0.0.1");
    }
    // A certificate after the peer's is no part of the chain if it is broken.
    let root = shop.certificate("gb-root");
    for bytes in broken(&root).step_by(7) {
        let sent = [leaf.clone(), CertificateDer::from(bytes)];
        assert_eq!(plain.verify_client(&sent, now), Ok(()));
    }
    assert_eq!(plain.verify_client(&[], now), Err(VerifyError::Unspecified));
}

#[test]
fn broken_lists_are_read_without_panic() {
    let Some(shop) = made() else { return };
    let list = CertificateRevocationListDer::from_pem_file(shop.path("gb-list.pem")).expect("it is one");
    assert!(Crl::read(&list).is_ok());
    for length in 0..list.len() {
        assert_eq!(Crl::read(&list[..length]).err(), Some(CrlError::Garbled), "{length} bytes");
    }
    for bytes in broken(&list) {
        let _ = Crl::read(&bytes);
    }
}

#[test]
fn lists_that_need_others_are_refused() {
    let Some(shop) = made() else { return };
    let cases = [
        ("gb-delta", "2.5.29.27=critical,ASN1:INTEGER:1", CrlError::Delta),
        ("gb-indirect", "issuingDistributionPoint=critical,@at\n[at]\nindirectCRL=TRUE", CrlError::Indirect),
        (
            "gb-reasons",
            "issuingDistributionPoint=critical,@at\n[at]\nonlysomereasons=keyCompromise",
            CrlError::SomeReasons,
        ),
    ];
    for (name, extensions, wanted) in cases {
        shop.make_list(&ListOrder { extensions, ..ListOrder::new(name, "gb-root", &[]) });
        let path = shop.path(&format!("{name}.pem"));
        let files = TrustFiles { crl: Some(&path), ..TrustFiles::default() };
        match Trust::load(&files) {
            Err(TrustError::Lists { reason: Unusable::List { number: 1, error }, .. }) => {
                assert_eq!(error, wanted, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let Some(shop) = made() else { return };
    shop.write("gb-empty.pem", "nothing here\n");
    shop.write("gb-cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    shop.write("gb-garbled.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    shop.write(
        "gb-rules.pem",
        "-----BEGIN TRUSTED CERTIFICATE-----\nMIIB\n-----END TRUSTED CERTIFICATE-----\n",
    );
    let absent = shop.path("gb-absent.pem");
    let absent = format!(
        "BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen({}, r) \
         error:10000080:BIO routines::no such file)",
        absent.display()
    );
    let empty =
        "PEM_read_bio() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: CERTIFICATE)";
    let cases = [
        ("gb-absent.pem", absent.as_str()),
        ("gb-empty.pem", empty),
        ("gb-cut.pem", "PEM_read_bio() failed (SSL: error:04800066:PEM routines::bad end line)"),
        ("gb-garbled.pem", "certificate 1 is not valid DER"),
        ("gb-rules.pem", "\"TRUSTED CERTIFICATE\" is not supported"),
        ("gb-list.pem", empty),
    ];
    for (name, reason) in cases {
        let path = shop.path(name);
        let files = TrustFiles { announced: Some(&path), ..TrustFiles::default() };
        let error = Trust::load(&files).expect_err(name).to_string();
        assert_eq!(error, format!("cannot load certificate \"{}\": {reason}", path.display()));
    }
    let path = shop.path("gb-leaf.pem");
    let files = TrustFiles { crl: Some(&path), ..TrustFiles::default() };
    let error = Trust::load(&files).expect_err("it has no list").to_string();
    assert_eq!(
        error,
        format!("cannot load CRL \"{}\": {}", path.display(), empty.replace("CERTIFICATE", "X509 CRL"))
    );
}

#[test]
fn clients_are_told_the_names_of_one_file_only() {
    let Some(shop) = made() else { return };
    let announced = shop.bundle("gb-announced.pem", &["gb-root", "gb-leaf", "gb-root"]);
    let trusted = shop.bundle("gb-trusted.pem", &["gb-leaf"]);
    let files = TrustFiles { announced: Some(&announced), trusted: Some(&trusted), ..TrustFiles::default() };
    let trust = Trust::load(&files).expect("it loads");
    assert_eq!(trust.announced().len(), 2);
    let files = TrustFiles { trusted: Some(&announced), ..TrustFiles::default() };
    assert!(Trust::load(&files).expect("it loads").announced().is_empty());
}
