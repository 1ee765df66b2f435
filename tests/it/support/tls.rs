//! TLS for the tests: certificates made on the spot, and what clients and origins speak it with.
//!
//! Certificates are never files of the project. Where the point is what OpenSSL makes of something, tests run the `openssl`
//! program instead.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig,
    ServerConnection, StreamOwned, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};

use super::{client::Client, deadline::PATIENCE};

/// Somebody who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate, and those between it and its authority.
    pub chain_pem: String,
    /// Its key.
    pub key_pem: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    /// Makes a root of that name.
    pub fn new(name: &str) -> Self {
        let key = new_key();
        let params = Self::params(name);
        let certificate = params.self_signed(&key).expect("the parameters are whole");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// Returns its certificate as a file holds it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Makes a certificate for a server of those names, the first of which is its common name too.
    pub fn server(&self, names: &[&str]) -> Certified {
        self.sign(names, names[0], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Makes a certificate for a client of that name.
    pub fn client(&self, name: &str) -> Certified {
        self.sign(&[], name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, names: &[&str], common: &str, usage: ExtendedKeyUsagePurpose) -> Certified {
        let key = new_key();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are names");
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are whole");
        Certified {
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }
}

impl Certified {
    /// Returns the certificate as handshakes show it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).expect("it was written as PKCS#8")
    }

    /// Makes the settings of an origin that answers with it.
    pub fn origin(&self) -> Arc<ServerConfig> {
        self.origin_of(rustls::DEFAULT_VERSIONS)
    }

    /// As [`Self::origin`], with those versions of the protocol only.
    pub fn origin_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_protocol_versions(versions).with_no_client_auth();
        Arc::new(
            config
                .with_single_cert(vec![self.der.clone()], self.key())
                .expect("the key is the certificate's"),
        )
    }

    /// Makes the settings of an origin that answers with it, and only to clients whose certificate an authority signed.
    pub fn origin_for(&self, authority: &Authority) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).expect("it is a certificate");
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("there is an authority");
        let config = ServerConfig::builder().with_client_cert_verifier(verifier);
        Arc::new(
            config
                .with_single_cert(vec![self.der.clone()], self.key())
                .expect("the key is the certificate's"),
        )
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("there are random numbers")
}

/// How a client speaks TLS. Clones share what they remember of sessions.
#[derive(Clone)]
pub struct Tls {
    config: ClientConfig,
    name: String,
}

impl Tls {
    /// A client that trusts an authority and asks for `localhost`.
    pub fn trusting(authority: &Authority) -> Self {
        Self::of(authority, rustls::DEFAULT_VERSIONS, None)
    }

    /// As [`Self::trusting`], with that version only.
    pub fn only(authority: &Authority, version: &'static SupportedProtocolVersion) -> Self {
        Self::of(authority, &[version], None)
    }

    /// As [`Self::trusting`], with a certificate of its own.
    pub fn certified(authority: &Authority, own: &Certified) -> Self {
        Self::of(authority, rustls::DEFAULT_VERSIONS, Some(own))
    }

    fn of(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Certified>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).expect("it is a certificate");
        let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(vec![own.der.clone()], own.key())
                .expect("the key is the certificate's"),
        };
        config.resumption = Resumption::disabled();
        Self { config, name: "localhost".to_owned() }
    }

    /// A client that takes any certificate, and asks for `localhost`.
    pub fn trusting_anybody() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let nobody = Authority::new("nobody");
        Self::trusting(&nobody).with(|config| {
            config.dangerous().set_certificate_verifier(tls::upstream_verifier(
                None,
                tls::ExpectedName::OfConnection,
                &provider,
            ));
        })
    }

    /// Asks for another name.
    pub fn name(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Offers protocols.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Remembers sessions, and goes on with them.
    pub fn remembering(mut self) -> Self {
        self.config.resumption = Resumption::in_memory_sessions(16);
        self
    }

    /// Changes what has no method here.
    pub fn with(mut self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Connects.
    pub fn connect(&self, address: SocketAddr) -> Client {
        self.try_connect(address).unwrap_or_else(|error| panic!("no handshake with {address}: {error}"))
    }

    /// Connects, or says why the handshake came to nothing.
    pub fn try_connect(&self, address: SocketAddr) -> io::Result<Client> {
        let mut wire = self.wire(address);
        if let Wire::Client(stream) = &mut wire {
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
        }
        Ok(Client::over(wire))
    }

    /// Goes on with a session, and sends bytes along with the first message.
    pub fn connect_with_early_data(&self, address: SocketAddr, bytes: &[u8]) -> Client {
        let mut wire = self.wire(address);
        if let Wire::Client(stream) = &mut wire {
            let early = stream.conn.early_data();
            early
                .expect("there is a session that takes early data")
                .write_all(bytes)
                .expect("there is room for a request");
            stream.conn.write_tls(&mut stream.sock).expect("the socket takes a few packets");
        }
        Client::over(wire)
    }

    /// Connects, and leaves the handshake to the first bytes.
    pub fn wire(&self, address: SocketAddr) -> Wire {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts connections");
        socket.set_nodelay(true).expect("TCP sockets have the option");
        socket.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
        let name = ServerName::try_from(self.name.clone()).expect("the name is a name");
        let connection =
            ClientConnection::new(Arc::new(self.config.clone()), name).expect("the settings are whole");
        Wire::Client(Box::new(StreamOwned::new(connection, socket)))
    }
}

/// What an origin learns in a handshake.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The name that it was asked for.
    pub name: Option<String>,
    /// Whether a session was taken up again.
    pub kind: HandshakeKind,
    /// The version of the protocol.
    pub version: ProtocolVersion,
    /// The cipher.
    pub cipher: CipherSuite,
    /// The client's certificate, and those above it.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// A connection of a test, plain or not.
pub enum Wire {
    /// Without TLS.
    Plain(TcpStream),
    /// A client's side.
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// An origin's side.
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// Answers a client with TLS where there are settings for it.
    pub fn accept(socket: TcpStream, config: Option<&Arc<ServerConfig>>) -> Self {
        match config {
            None => Self::Plain(socket),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).expect("the settings are whole");
                Self::Server(Box::new(StreamOwned::new(connection, socket)))
            }
        }
    }

    /// Returns the socket underneath.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }

    /// Says that no more will be sent.
    pub fn end(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Client(stream) => stream.conn.send_close_notify(),
            Self::Server(stream) => stream.conn.send_close_notify(),
        }
        let _ = self.flush();
        let _ = self.socket().shutdown(std::net::Shutdown::Write);
    }

    /// Returns what an origin has learnt of its client.
    pub fn heard(&self) -> Option<Heard> {
        let Self::Server(stream) = self else { return None };
        let connection = &stream.conn;
        Some(Heard {
            name: connection.server_name().map(str::to_owned),
            kind: connection.handshake_kind()?,
            version: connection.protocol_version()?,
            cipher: connection.negotiated_cipher_suite()?.suite(),
            certificates: connection.peer_certificates().unwrap_or_default().to_vec(),
        })
    }

    /// Returns a client's side of the session.
    pub fn client(&self) -> Option<&ClientConnection> {
        match self {
            Self::Client(stream) => Some(&stream.conn),
            Self::Plain(_) | Self::Server(_) => None,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Client(stream) => stream.write(bytes),
            Self::Server(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}

/// Runs the `openssl` program, which has to succeed.
pub fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn clients_and_origins_of_tests_speak_tls() {
    let authority = Authority::new("tests");
    let origin = super::Origin::over_tls(authority.server(&["localhost", "other"]).origin(), |asked| {
        super::answer(200).body(asked.target())
    });
    let own = authority.client("somebody");
    let tls13: &SupportedProtocolVersion = &rustls::version::TLS13;
    let mut reached = Vec::new();
    for tls in [
        Tls::trusting(&authority).alpn(&["http/1.1"]),
        Tls::only(&authority, &rustls::version::TLS12).name("other").remembering(),
        Tls::certified(&authority, &own).with(|config| config.enable_sni = false),
    ] {
        let mut client = tls.connect(origin.address());
        assert_eq!(client.get("/page").text(), "/page");
        reached.push(client.wire().client().and_then(|client| client.protocol_version()));
        client.half_close();
        assert!(client.rest().0.is_empty());
    }
    assert_eq!(reached, [Some(tls13.version), Some(rustls::version::TLS12.version), Some(tls13.version)]);
    let stranger = Authority::new("another");
    assert!(stranger.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(Tls::trusting(&stranger).try_connect(origin.address()).is_err());
    assert!(!own.chain_pem.is_empty() && own.key_pem.contains("PRIVATE KEY"));
    assert!(openssl(&["version"]).starts_with("OpenSSL"));
}
