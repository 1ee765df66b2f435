//! For tests: what the `openssl` command makes, and handshakes in memory.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    server::ResolvesServerCert,
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;

use crate::{
    identity::{Pair, load},
    resolver::Resolver,
    source::Source,
};

/// A folder that the `openssl` command works in.
pub(crate) struct Workshop(TempDir);

impl Workshop {
    /// Opens one; `None`, told aloud, where there is no `openssl` and `LARDER_REQUIRE_PEERS` does not ask for it.
    pub(crate) fn open() -> Option<Self> {
        let found =
            Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
        if !found {
            assert!(env::var_os("LARDER_REQUIRE_PEERS").is_none(), "there is no openssl command");
            println!("skipped: there is no openssl command");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Runs `openssl` with these words; words with spaces cannot be had.
    pub(crate) fn openssl(&self, words: &str) {
        let output =
            Command::new("openssl").args(words.split(' ')).current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes a key and a certificate that it signs itself: `NAME.key`, `NAME.crt`.
    pub(crate) fn certificate(&self, name: &str, key: &str) {
        let files = format!("-keyout {name}.key -out {name}.crt");
        self.openssl(&format!("req -x509 -newkey {key} -nodes {files} -subj /CN={name} -days 10"));
    }
}

/// Believes every server that has the key of the certificate that it shows, whatever that certificate is.
#[derive(Debug)]
struct Credulous;

impl Credulous {
    fn check(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = crate::certificate::public_key(certificate).unwrap();
        let key = rustls_pki_types::SubjectPublicKeyInfoDer::from(key.raw);
        let supported = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, &supported)
    }
}

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    fn list(self) -> [&'static rustls::SupportedProtocolVersion; 1] {
        match self {
            Self::Tls12 => [&rustls::version::TLS12],
            Self::Tls13 => [&rustls::version::TLS13],
        }
    }
}

/// A client that believes everybody.
pub(crate) fn client(version: Version) -> ClientConfig {
    client_with(version, aws_lc_rs::default_provider())
}

/// A client with algorithms of its own.
pub(crate) fn client_with(version: Version, provider: CryptoProvider) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&version.list())
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth()
}

/// A server that asks for no certificate.
pub(crate) fn server(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver)
}

/// Both ends after a handshake, tickets delivered.
pub(crate) struct Ends {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

/// Lets a client meet a server; the server's error where it has one, else the client's.
pub(crate) fn meet(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<Ends, Error> {
    meet_as("a.example", client, server)
}

/// Lets a client that asks for a name meet a server.
pub(crate) fn meet_as(
    name: &'static str,
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<Ends, Error> {
    let mut client = ClientConnection::new(Arc::clone(client), name.try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut error = None;
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let sent = bytes.len();
        deliver(&bytes, |part| server.read_tls(part).map(|_| ()));
        if let Err(problem) = server.process_new_packets() {
            error.get_or_insert(problem);
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let answered = bytes.len();
        deliver(&bytes, |part| client.read_tls(part).map(|_| ()));
        if let Err(problem) = client.process_new_packets() {
            error.get_or_insert(problem);
        }
        if sent + answered == 0 || error.is_some() {
            return error.map_or(Ok(Ends { client, server }), Err);
        }
    }
}

fn deliver(mut bytes: &[u8], mut take: impl FnMut(&mut &[u8]) -> std::io::Result<()>) {
    while !bytes.is_empty() {
        take(&mut bytes).unwrap();
    }
}

/// A clock that stands until it is set.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seconds)))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl TimeProvider for TestClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// Shows a certificate that nobody knows.
pub(crate) fn resolver() -> Resolver {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let inline = |text: String| Source::Inline(text.into_bytes());
    let pair = Pair { certificate: inline(made.cert.pem()), key: inline(made.signing_key.serialize_pem()) };
    Resolver::new([load(&pair, None).unwrap()])
}
