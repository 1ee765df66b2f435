//! Handshakes in memory: what the verifiers are worth in a connection.

use std::{
    path::Path,
    sync::{Arc, Once, OnceLock},
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::default_provider,
    server::{ClientHello, NoClientAuth, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
    version::{TLS12, TLS13},
};
use rustls_pki_types::ServerName;

use super::{
    openssl::{CA, ListOrder, Order, Workshop},
    workshop,
};
use crate::{
    trust::{Trust, TrustFiles},
    verify::{Certificate, ExpectedName, VerifyError, client_verifier, upstream_verifier},
};

/// Shows one certificate to whoever asks, without a look at it.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Certificates for these tests, made once.
fn made() -> Option<&'static Workshop> {
    static MADE: Once = Once::new();
    let shop = workshop()?;
    MADE.call_once(|| {
        let orders = [
            Order::new("hs-root", "", CA),
            Order::new("hs-leaf", "hs-root", "subjectAltName=DNS:example.com"),
            Order::new("hs-v1", "", ""),
            Order { subject: "/CN=example.com", ..Order::new("hs-v1-leaf", "hs-root", "") },
            Order::new("hs-ca", "hs-root", "basicConstraints=CA:TRUE\nsubjectAltName=DNS:example.com"),
            Order::new("hs-ip", "hs-root", "subjectAltName=IP:127.0.0.1"),
            Order::new("hs-revoked", "hs-root", "subjectAltName=DNS:example.com"),
            Order { key: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", ..Order::new("hs-rsa", "", "") },
            Order { key: "-algorithm EC -pkeyopt ec_paramgen_curve:P-384", ..Order::new("hs-p384", "", "") },
            Order { key: "-algorithm EC -pkeyopt ec_paramgen_curve:P-521", ..Order::new("hs-p521", "", "") },
            Order { key: "-algorithm ED25519", ..Order::new("hs-ed25519", "", "") },
        ];
        for order in &orders {
            shop.make(order);
        }
        shop.make_list(&ListOrder::new("hs-list", "hs-root", &["hs-revoked"]));
    });
    Some(shop)
}

fn signing_key(shop: &Workshop, name: &str) -> Arc<dyn SigningKey> {
    default_provider().key_provider.load_private_key(shop.key(name)).expect("the key is one")
}

fn shown(shop: &Workshop, certificate: &str, key: &str) -> Arc<Shown> {
    let chain = vec![shop.certificate(certificate)];
    Arc::new(Shown(Arc::new(CertifiedKey::new(chain, signing_key(shop, key)))))
}

fn trust(root: &Path, crl: &Path) -> Arc<Trust> {
    let files = TrustFiles { announced: Some(root), crl: Some(crl), depth: 1, ..TrustFiles::default() };
    Arc::new(Trust::load(&files).expect("the root is one"))
}

/// When the certificates were made, in seconds since 1970.
fn start(shop: &Workshop) -> u64 {
    let last = shop.certificate("hs-ed25519");
    u64::try_from(Certificate::read(&last).expect("it is one").not_before).expect("it is after 1970")
}

fn versions() -> [&'static rustls::SupportedProtocolVersion; 2] {
    [&TLS12, &TLS13]
}

/// Passes messages to and fro until both are content or one complains.
fn shake(client: ClientConnection, server: ServerConnection) -> Result<ServerConnection, Error> {
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    match server {
        Connection::Server(server) => Ok(server),
        Connection::Client(_) => unreachable!("it was made of a server's"),
    }
}

fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("memory takes all");
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("memory has no errors");
        to.process_new_packets()?;
    }
    Ok(())
}

/// Connects a client with this trust and name to a server that shows this certificate.
fn connect(
    server: &Arc<Shown>,
    trust: Option<Arc<Trust>>,
    expected: ExpectedName,
    version: &'static rustls::SupportedProtocolVersion,
) -> Result<(), Error> {
    let provider = Arc::new(default_provider());
    let verifier = upstream_verifier(trust, expected, &provider);
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("the version is known")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("the version is known")
        .with_client_cert_verifier(Arc::new(NoClientAuth))
        .with_cert_resolver(Arc::clone(server) as Arc<dyn ResolvesServerCert>);
    let name = ServerName::try_from("example.com").expect("it is a name");
    let client = ClientConnection::new(Arc::new(client), name).expect("the client is well configured");
    let server = ServerConnection::new(Arc::new(server)).expect("the server is well configured");
    shake(client, server).map(|_| ())
}

#[test]
fn any_chain_is_taken_without_trust_but_only_with_its_key() {
    let Some(shop) = made() else { return };
    for version in versions() {
        for name in ["hs-leaf", "hs-v1", "hs-rsa", "hs-p384", "hs-p521", "hs-ed25519"] {
            let genuine = shown(shop, name, name);
            assert_eq!(
                connect(&genuine, None, ExpectedName::OfConnection, version),
                Ok(()),
                "{name} {version:?}"
            );
            let stolen = shown(shop, name, "hs-root");
            let error = connect(&stolen, None, ExpectedName::OfConnection, version);
            assert!(matches!(error, Err(Error::InvalidCertificate(_))), "{name} {version:?}: {error:?}");
        }
    }
}

#[test]
fn upstreams_are_verified_by_chain_and_name() {
    let Some(shop) = made() else { return };
    let trust = trust(&shop.path("hs-root.pem"), &shop.path("hs-list.pem"));
    let given = |name: &str| ExpectedName::Given(name.as_bytes().into());
    let cases = [
        ("for the name of the connection", "hs-leaf", ExpectedName::OfConnection, None),
        ("for a given name", "hs-leaf", given("EXAMPLE.com"), None),
        ("for another name", "hs-leaf", given("example.org"), Some(VerifyError::Name)),
        ("version 1, with a common name", "hs-v1-leaf", ExpectedName::OfConnection, None),
        ("an authority", "hs-ca", ExpectedName::OfConnection, None),
        ("an address", "hs-ip", given("127.0.0.1"), None),
        ("another address", "hs-ip", given("127.0.0.2"), Some(VerifyError::Address)),
        ("revoked", "hs-revoked", ExpectedName::OfConnection, Some(VerifyError::Revoked)),
        ("revoked and for another name", "hs-revoked", given("example.org"), Some(VerifyError::Revoked)),
        ("unknown", "hs-v1", ExpectedName::OfConnection, Some(VerifyError::NoCrl)),
    ];
    for version in versions() {
        for (what, name, expected, wanted) in &cases {
            let server = shown(shop, name, name);
            let result = connect(&server, Some(Arc::clone(&trust)), expected.clone(), version);
            let reason = result.err().map(|error| VerifyError::of_handshake(&error));
            assert_eq!(reason, wanted.map(Some), "{what} {version:?}");
        }
    }
}

/// Lets a client show a certificate, or none, to a server that asks for one.
fn show(
    certificate: Option<Arc<Shown>>,
    version: &'static rustls::SupportedProtocolVersion,
) -> Result<ServerConnection, Error> {
    static TRUST: OnceLock<Arc<Trust>> = OnceLock::new();
    let shop = made().expect("whoever calls has one");
    let trust = TRUST.get_or_init(|| trust(&shop.path("hs-root.pem"), &shop.path("hs-list.pem")));
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("the version is known")
        .dangerous()
        .with_custom_certificate_verifier(upstream_verifier(None, ExpectedName::OfConnection, &provider));
    let client = match certificate {
        Some(certificate) => builder.with_client_cert_resolver(certificate),
        None => builder.with_no_client_auth(),
    };
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("the version is known")
        .with_client_cert_verifier(client_verifier(trust, &provider))
        .with_cert_resolver(shown(shop, "hs-leaf", "hs-leaf"));
    let name = ServerName::try_from("example.com").expect("it is a name");
    let client = ClientConnection::new(Arc::new(client), name).expect("the client is well configured");
    let server = ServerConnection::new(Arc::new(server)).expect("the server is well configured");
    shake(client, server)
}

#[test]
fn clients_show_what_they_have_and_prove_it() {
    let Some(shop) = made() else { return };
    for version in versions() {
        let server = show(None, version).expect("a client without a certificate is let in");
        assert_eq!(server.peer_certificates(), None);
        let cases = [
            ("hs-leaf", None),
            ("hs-v1-leaf", None),
            ("hs-v1", Some(VerifyError::NoCrl)),
            ("hs-revoked", Some(VerifyError::Revoked)),
        ];
        for (name, wanted) in cases {
            let server = show(Some(shown(shop, name, name)), version).expect("any certificate is taken");
            assert_eq!(server.peer_certificates(), Some(&[shop.certificate(name)][..]), "{name}");
            let chain = server.peer_certificates().expect("the client has shown one");
            let now = UNIX_EPOCH + Duration::from_secs(start(shop) + 60);
            let trust = trust(&shop.path("hs-root.pem"), &shop.path("hs-list.pem"));
            assert_eq!(trust.verify_client(chain, now).err(), wanted, "{name}");
            let stolen = show(Some(shown(shop, name, "hs-root")), version).err();
            let bad = Error::InvalidCertificate(rustls::CertificateError::BadSignature);
            assert_eq!(stolen, Some(bad), "{name} {version:?}");
        }
    }
}
