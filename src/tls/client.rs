//! TLS towards upstreams, as one level's `proxy_ssl_*` say: made once when a configuration is put in force.
//!
//! A [`ClientContext`] is what all levels with the same settings share. A [`ClientWish`] is that and the name of who is asked:
//! what a connection must have been made with to carry a request. Sessions stay with the peer that gave them ([`PeerSessions`]).

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use config::{CertificateCache, ConfCommand, HttpVersion, LocationConf, SslProtocols, Template};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, SignatureScheme,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::ServerName;

use crate::{
    algorithms::{About, AlgorithmError, Algorithms, Commanded, ServerOrder, Wish, algorithms},
    client_sessions::ClientSessions,
    identity::{Identities, IdentityError, Pair},
    identity_cache::IdentityCache,
    key_log::KeyLogFile,
    named_certificate::NamedCertificate,
    offered::offering,
    peer_name::PeerName,
    restricted::restrict,
    server::{HTTP2_NAME, Told},
    trust::{Trust, TrustError, TrustFiles},
    verify::{ExpectedName, upstream_verifier},
};

/// What TLS towards upstreams is like for those who have the same settings.
pub struct ClientContext {
    /// Tells contexts of this process apart.
    id: u64,
    /// What all connections begin with, but for sessions, and for certificates that a request names.
    base: Arc<ClientConfig>,
    trust: Option<Arc<Trust>>,
    /// Schemes for signatures; absent where all will do.
    schemes: Option<Vec<SignatureScheme>>,
    sessions: Sessions,
    named: Option<Arc<NamedCertificate>>,
}

/// Whether sessions are taken up again (`proxy_ssl_session_reuse`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sessions {
    Reused,
    Forgotten,
}

/// What makes the contexts of two locations the same.
#[derive(PartialEq)]
pub(crate) struct Settings<'a> {
    certificate: Option<(&'a Template, &'a Template)>,
    certificate_cache: Option<CertificateCache>,
    password_file: Option<&'a Path>,
    protocols: SslProtocols,
    ciphers: &'a [u8],
    commands: &'a [ConfCommand],
    /// Absent where nobody is verified.
    trust: Option<TrustFiles<'a>>,
    server_name: bool,
    session_reuse: bool,
    key_log: Option<&'a Path>,
    http_version: HttpVersion,
}

impl<'a> Settings<'a> {
    pub(crate) fn of(location: &'a LocationConf) -> Self {
        let conf = &location.proxy_ssl;
        let trust = TrustFiles {
            announced: None,
            trusted: conf.trusted_certificate.as_deref(),
            crl: conf.crl.as_deref(),
            depth: *conf.verify_depth,
        };
        Self {
            certificate: conf.certificate.as_ref().zip(conf.certificate_key.as_ref()),
            certificate_cache: *conf.certificate_cache,
            password_file: conf.password_file.as_deref(),
            protocols: *conf.protocols,
            ciphers: &conf.ciphers,
            commands: &conf.conf_command,
            trust: conf.verify.then_some(trust),
            server_name: *conf.server_name,
            session_reuse: *conf.session_reuse,
            key_log: conf.key_log.as_deref(),
            http_version: *location.proxy.http_version,
        }
    }
}

impl ClientContext {
    /// Reads what settings name; relative names start from `directory`. What is odd about them is added to `warned`.
    pub(crate) fn build(
        settings: &Settings<'_>,
        directory: &Path,
        identities: &mut Identities,
        warned: &mut Vec<Told>,
    ) -> Result<Self, Told> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let algorithms = spoken(settings, warned)?;
        let trust = settings.trust.as_ref().map(trust).transpose()?;
        let mut base = client_config(&algorithms, trust.as_ref());
        base.enable_sni = settings.server_name;
        base.resumption = Resumption::disabled();
        if settings.http_version == HttpVersion::V2 {
            base.alpn_protocols = vec![HTTP2_NAME.to_vec()];
        }
        if let Some(path) = settings.key_log {
            let log = KeyLogFile::open(path).map_err(|error| Told::of("proxy_ssl_key_log", &error))?;
            base.key_log = Arc::new(log);
        }
        let mut named = None;
        match certificate(settings, &algorithms.more, directory, identities)? {
            Certificate::Absent => {}
            Certificate::Fixed(identity) => base.client_auth_cert_resolver = shown(&identity),
            Certificate::Named(certificate) => named = Some(Arc::new(certificate)),
        }
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            base: Arc::new(base),
            trust,
            schemes: algorithms.more.signature_schemes,
            sessions: if settings.session_reuse { Sessions::Reused } else { Sessions::Forgotten },
            named,
        })
    }

    /// Says whether it makes a difference what an upstream is called.
    pub fn wants_name(&self) -> bool {
        self.base.enable_sni || self.trust.is_some()
    }

    /// Returns the certificate that a request has to name; none where the configuration has done so, or wants none.
    pub fn named_certificate(&self) -> Option<&Arc<NamedCertificate>> {
        self.named.as_ref()
    }
}

/// Finds what is offered.
fn spoken(settings: &Settings<'_>, warned: &mut Vec<Told>) -> Result<Algorithms, Told> {
    let wish = Wish {
        protocols: settings.protocols,
        ciphers: settings.ciphers,
        curves: b"auto",
        server_order: ServerOrder::Ignored,
        commands: settings.commands,
    };
    let told = |about, message| {
        let (directive, number) = match about {
            About::Protocols => ("proxy_ssl_protocols", 0),
            About::Ciphers | About::Curves => ("proxy_ssl_ciphers", 0),
            About::Command(number) => ("proxy_ssl_conf_command", number),
        };
        Told { directive, number, message }
    };
    let (algorithms, warnings) =
        algorithms(&wish).map_err(|AlgorithmError { about, message }| told(about, message))?;
    warned.extend(warnings.into_iter().map(|warning| told(warning.about, warning.message)));
    Ok(algorithms)
}

fn trust(files: &TrustFiles<'_>) -> Result<Arc<Trust>, Told> {
    Trust::load(files).map(Arc::new).map_err(|error| match error {
        TrustError::Certificates { .. } => Told::of("proxy_ssl_trusted_certificate", &error),
        TrustError::Lists { .. } => Told::of("proxy_ssl_crl", &error),
    })
}

fn client_config(algorithms: &Algorithms, trust: Option<&Arc<Trust>>) -> ClientConfig {
    let schemes = algorithms.more.signature_schemes.as_deref();
    let verifier = verifier(trust, ExpectedName::OfConnection, schemes, &algorithms.provider);
    ClientConfig::builder_with_provider(Arc::clone(&algorithms.provider))
        .with_protocol_versions(&algorithms.versions)
        .expect("there are ciphers for the versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

fn verifier(
    trust: Option<&Arc<Trust>>,
    name: ExpectedName,
    schemes: Option<&[SignatureScheme]>,
    provider: &CryptoProvider,
) -> Arc<dyn ServerCertVerifier> {
    let verifier = upstream_verifier(trust.cloned(), name, provider);
    match schemes {
        None => verifier,
        Some(schemes) => offering(verifier, schemes),
    }
}

/// What `proxy_ssl_certificate` comes to.
enum Certificate {
    Absent,
    Fixed(Arc<CertifiedKey>),
    Named(NamedCertificate),
}

fn certificate(
    settings: &Settings<'_>,
    more: &Commanded,
    directory: &Path,
    identities: &mut Identities,
) -> Result<Certificate, Told> {
    let passwords = settings.password_file;
    // Whom the schemes are for does not matter: with OpenSSL what is signed here keeps to them too.
    let fixed = |identity| {
        Certificate::Fixed(match &more.signature_schemes {
            None => identity,
            Some(schemes) => restrict(&identity, schemes),
        })
    };
    if let Some((certificate, key)) = more.certificates.iter().zip(&more.private_keys).next_back() {
        // As OpenSSL: what is set last is shown.
        let pair = Pair::of(certificate.as_bytes(), key.as_bytes(), directory);
        let identity = identities.load(&pair, passwords);
        return identity.map(fixed).map_err(|error| Told::of("proxy_ssl_conf_command", &error));
    }
    let Some((certificate, key)) = settings.certificate else { return Ok(Certificate::Absent) };
    let (Some(certificate_text), Some(key_text)) = (certificate.as_text(), key.as_text()) else {
        let passwords = passwords.map(|path| identities.passwords(path)).transpose();
        return Ok(Certificate::Named(NamedCertificate {
            certificate: certificate.clone(),
            key: key.clone(),
            directory: directory.to_owned(),
            passwords: passwords.map_err(|error| Told::of("proxy_ssl_password_file", &error))?,
            cache: settings.certificate_cache.map(|limits| Arc::new(IdentityCache::new(limits))),
        }));
    };
    let pair = Pair::of(certificate_text, key_text, directory);
    identities.load(&pair, passwords).map(fixed).map_err(|error| {
        let directive = match &error {
            IdentityError::Certificate(..) | IdentityError::Unfit(..) => "proxy_ssl_certificate",
            IdentityError::Key(..) | IdentityError::Mismatch(..) => "proxy_ssl_certificate_key",
            IdentityError::Passwords(_) => "proxy_ssl_password_file",
        };
        Told::of(directive, &error)
    })
}

fn shown(identity: &Arc<CertifiedKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(Arc::clone(identity)))
}

/// How a connection to an upstream is to be secured. One that was made with another wish must never be used.
#[derive(Clone)]
pub struct ClientWish {
    context: Arc<ClientContext>,
    name: PeerName,
    /// The certificate that the request named.
    identity: Option<Arc<CertifiedKey>>,
}

impl ClientWish {
    /// Makes a wish of a context's settings and what a request adds to them.
    pub fn new(context: Arc<ClientContext>, name: PeerName, identity: Option<Arc<CertifiedKey>>) -> Self {
        Self { context, name, identity }
    }

    /// Returns the name that the upstream goes by.
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// Returns what a handshake begins with, sessions that the peer has given before included.
    pub fn begin(&self, sessions: &PeerSessions) -> (Arc<ClientConfig>, ServerName<'static>) {
        let config = match (self.context.sessions, self.name.given()) {
            (Sessions::Reused, None) => sessions.config(self),
            // Names that are none all look alike to what keeps sessions.
            (Sessions::Reused, Some(_)) | (Sessions::Forgotten, Some(_)) => {
                Arc::new(self.config(Resumption::disabled()))
            }
            (Sessions::Forgotten, None) if self.identity.is_none() => Arc::clone(&self.context.base),
            (Sessions::Forgotten, None) => Arc::new(self.config(Resumption::disabled())),
        };
        (config, self.name.server_name().clone())
    }

    fn config(&self, resumption: Resumption) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.context.base);
        config.resumption = resumption;
        if let Some(identity) = &self.identity {
            config.client_auth_cert_resolver = match &self.context.schemes {
                None => shown(identity),
                Some(schemes) => shown(&restrict(identity, schemes)),
            };
        }
        if let (Some(given), Some(trust)) = (self.name.given(), &self.context.trust) {
            let name = ExpectedName::Given(given.into());
            let schemes = self.context.schemes.as_deref();
            let verifier = verifier(Some(trust), name, schemes, config.crypto_provider());
            config.dangerous().set_certificate_verifier(verifier);
        }
        config
    }

    fn shows_the_same(&self, identity: Option<&Arc<CertifiedKey>>) -> bool {
        match (&self.identity, identity) {
            (None, None) => true,
            // The same certificate may have been read again; no other key fits it.
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own.cert == other.cert,
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl PartialEq for ClientWish {
    fn eq(&self, other: &Self) -> bool {
        self.context.id == other.context.id
            && self.name == other.name
            && self.shows_the_same(other.identity.as_ref())
    }
}

impl Eq for ClientWish {}

impl fmt::Debug for ClientWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientWish")
            .field("context", &self.context.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Sessions with one peer, kept with all that they belong to: what was agreed on with another certificate, or without
/// verifying the peer, is none of the others' business.
#[derive(Default)]
pub struct PeerSessions(Mutex<Vec<Known>>);

struct Known {
    context: u64,
    identity: Option<Arc<CertifiedKey>>,
    config: Arc<ClientConfig>,
}

/// Settings whose sessions are kept for one peer; the oldest go when there are more.
const KNOWN_MAX: usize = 32;

impl PeerSessions {
    fn config(&self, wish: &ClientWish) -> Arc<ClientConfig> {
        let mut all = self.0.lock();
        let is_it =
            |known: &&Known| known.context == wish.context.id && wish.shows_the_same(known.identity.as_ref());
        if let Some(known) = all.iter().find(is_it) {
            return Arc::clone(&known.config);
        }
        let config = Arc::new(wish.config(Resumption::store(Arc::new(ClientSessions::default()))));
        if all.len() >= KNOWN_MAX {
            all.remove(0);
        }
        let (context, identity) = (wish.context.id, wish.identity.clone());
        all.push(Known { context, identity, config: Arc::clone(&config) });
        config
    }
}

impl fmt::Debug for PeerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSessions")
    }
}
