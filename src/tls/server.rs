//! TLS towards clients, as one server block's `ssl_*` say: made once when a configuration is put in force.

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use config::{ServerConf, SslConf, VerifyClient};
use rustls::{
    CipherSuite, ServerConfig,
    crypto::CryptoProvider,
    sign::CertifiedKey,
    time_provider::{DefaultTimeProvider, TimeProvider},
};

use crate::{
    algorithms::{
        About, AlgorithmError, Algorithms, Commanded, ServerOrder, Tickets, Wish, algorithms, prefers_chacha,
    },
    identity::Identities,
    key_log::KeyLogFile,
    named_server::NamedServer,
    resolver::Resolver,
    resumption::{ResumptionWish, SessionKeeper, ZeroRtt},
    server_certificates::Certificates,
    sessions::{SessionContext, SessionZones},
    tickets::TicketKeys,
    trust::{Trust, TrustError, TrustFiles},
    verify::client_verifier,
};

/// What TLS with clients is like for one server block.
pub struct ServerContext {
    answer: Answer,
    trust: Option<Arc<Trust>>,
}

/// How a handshake is answered.
enum Answer {
    /// With an alert: no certificate is shown.
    Reject,
    /// With a certificate that the configuration names.
    Show(Configs),
    /// With one that variables name.
    Named(Arc<NamedServer>),
}

/// What a handshake is answered with, as far as the client makes a difference.
pub enum Shown<'a> {
    /// An alert (`ssl_reject_handshake`).
    Nothing,
    /// This.
    Fixed(&'a Arc<ServerConfig>),
    /// What the variables of the handshake name.
    Named(&'a Arc<NamedServer>),
}

/// A configuration, and the same in another order of ciphers for clients that like ChaCha20 best.
pub(crate) struct Configs {
    usual: Offered,
    chacha: Option<Offered>,
}

/// A configuration with either offer.
struct Offered {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

/// All that a session may not outlive beside the certificates that it saw: what was asked of the client.
pub(crate) struct SessionBinding {
    asked: String,
    id: Vec<u8>,
    authorities: Vec<Vec<u8>>,
}

/// What clients may speak over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.
    Http1,
    /// HTTP/2 and HTTP/1.
    Http2,
}

/// What HTTP/1 is called in handshakes. As nginx: its oldest versions too.
const HTTP1_NAMES: [&[u8]; 3] = [b"http/1.1", b"http/1.0", b"http/0.9"];
/// What HTTP/2 is called in handshakes.
pub const HTTP2_NAME: &[u8] = b"h2";

/// Bytes of a record beside those that it carries, as `rustls` counts them.
const RECORD_OVERHEAD: u64 = 5;
/// The smallest and the largest record that `rustls` takes for a limit.
const RECORD_LIMITS: (u64, u64) = (32, 16389);

/// Something to say about a directive.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) directive: &'static str,
    /// Which of those with this name.
    pub(crate) number: usize,
    pub(crate) message: String,
}

impl Told {
    pub(crate) fn of(directive: &'static str, error: &dyn fmt::Display) -> Self {
        Self { directive, number: 0, message: error.to_string() }
    }
}

/// What servers share by the names of `ssl_session_cache shared:`.
#[derive(Default)]
pub(crate) struct SharedSessions {
    zones: SessionZones,
    keys: HashMap<String, Arc<TicketKeys>>,
}

impl SharedSessions {
    /// What stays for the next configuration: keys of tickets. Sessions themselves stay with the worker that has them.
    pub(crate) fn renewed(&self) -> Self {
        Self { zones: SessionZones::default(), keys: self.keys.clone() }
    }
}

impl ServerContext {
    /// Reads what a server's settings name; relative names of files start from `directory`.
    pub(crate) fn build(
        server: &ServerConf,
        directory: &Path,
        identities: &mut Identities,
        shared: &mut SharedSessions,
        warned: &mut Vec<Told>,
    ) -> Result<Self, Told> {
        let conf = &server.ssl;
        let algorithms = spoken(conf, warned)?;
        let certificates = Certificates::of(conf, &algorithms.more, directory, identities, warned)?;
        let trust = (*conf.verify_client != VerifyClient::Off).then(|| trust(conf)).transpose()?;
        if certificates.is_empty() || *conf.reject_handshake {
            return Ok(Self { answer: Answer::Reject, trust });
        }
        let resolver = Arc::new(Resolver::new(certificates.fixed.iter().cloned()));
        let make = |provider| server_config(conf, &algorithms, provider, &resolver, trust.as_deref());
        let keeper = session_keeper(conf, &algorithms.more, shared)?;
        let binding = SessionBinding::of(server, trust.as_deref());
        let mut config = make(Arc::clone(&algorithms.provider));
        keeper.apply(&mut config, binding.context(&certificates.fixed));
        config.send_half_rtt_data = *conf.early_data;
        if let Some(count) = algorithms.more.ticket_count {
            config.send_tls13_tickets = count;
        }
        if let Some(path) = &*conf.key_log {
            let log = KeyLogFile::open(path).map_err(|error| Told::of("ssl_key_log", &error))?;
            config.key_log = Arc::new(log);
        }
        let chacha = (algorithms.server_order == ServerOrder::ObeyedUnlessChaCha)
            .then(|| Offered::of(with_sessions_of(&config, make(algorithms.chacha_first()))));
        let configs = Configs { usual: Offered::of(config), chacha };
        let answer = match certificates.named.is_empty() {
            true => Answer::Show(configs),
            false => Answer::Named(Arc::new(NamedServer { certificates, configs, keeper, binding })),
        };
        Ok(Self { answer, trust })
    }

    /// Returns what handshakes are answered with for a client that offers these ciphers.
    pub fn answer(&self, offer: Offer, ciphers: &[CipherSuite]) -> Shown<'_> {
        match &self.answer {
            Answer::Reject => Shown::Nothing,
            Answer::Show(configs) => Shown::Fixed(configs.choose(offer, ciphers)),
            Answer::Named(named) => Shown::Named(named),
        }
    }

    /// Returns whose certificates clients may have; none where they are not asked for any.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_deref()
    }
}

impl Configs {
    /// Returns the one for a client that offers these ciphers.
    pub(crate) fn choose(&self, offer: Offer, ciphers: &[CipherSuite]) -> &Arc<ServerConfig> {
        let offered = match &self.chacha {
            Some(chacha) if prefers_chacha(ciphers) => chacha,
            Some(_) | None => &self.usual,
        };
        match offer {
            Offer::Http1 => &offered.http1,
            Offer::Http2 => &offered.http2,
        }
    }
}

impl Offered {
    fn of(mut config: ServerConfig) -> Self {
        config.alpn_protocols = HTTP1_NAMES.iter().map(|name| name.to_vec()).collect();
        let mut http2 = config.clone();
        http2.alpn_protocols.insert(0, HTTP2_NAME.to_vec());
        Self { http1: Arc::new(config), http2: Arc::new(http2) }
    }
}

/// Finds what is spoken.
fn spoken(conf: &SslConf, warned: &mut Vec<Told>) -> Result<Algorithms, Told> {
    let wish = Wish {
        protocols: *conf.protocols,
        ciphers: &conf.ciphers,
        curves: &conf.ecdh_curve,
        server_order: match *conf.prefer_server_ciphers {
            true => ServerOrder::Obeyed,
            false => ServerOrder::Ignored,
        },
        commands: &conf.conf_command,
    };
    let told = |about, message| {
        let (directive, number) = match about {
            About::Protocols => ("ssl_protocols", 0),
            About::Ciphers => ("ssl_ciphers", 0),
            About::Curves => ("ssl_ecdh_curve", 0),
            About::Command(number) => ("ssl_conf_command", number),
        };
        Told { directive, number, message }
    };
    let (algorithms, warnings) =
        algorithms(&wish).map_err(|AlgorithmError { about, message }| told(about, message))?;
    warned.extend(warnings.into_iter().map(|warning| told(warning.about, warning.message)));
    Ok(algorithms)
}

fn trust(conf: &SslConf) -> Result<Arc<Trust>, Told> {
    let files = TrustFiles {
        announced: conf.client_certificate.as_deref(),
        trusted: conf.trusted_certificate.as_deref(),
        crl: conf.crl.as_deref(),
        depth: *conf.verify_depth,
    };
    Trust::load(&files).map(Arc::new).map_err(|error| match &error {
        TrustError::Certificates { path, .. } if Some(&**path) == files.announced => {
            Told::of("ssl_client_certificate", &error)
        }
        TrustError::Certificates { .. } => Told::of("ssl_trusted_certificate", &error),
        TrustError::Lists { .. } => Told::of("ssl_crl", &error),
    })
}

fn server_config(
    conf: &SslConf,
    algorithms: &Algorithms,
    provider: Arc<CryptoProvider>,
    resolver: &Arc<Resolver>,
    trust: Option<&Trust>,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&algorithms.versions)
        .expect("there are ciphers for the versions");
    let builder = match trust {
        None => builder.with_no_client_auth(),
        Some(trust) => builder.with_client_cert_verifier(client_verifier(trust, &algorithms.provider)),
    };
    let mut config = builder.with_cert_resolver(Arc::<Resolver>::clone(resolver));
    config.ignore_client_order = algorithms.server_order != ServerOrder::Ignored;
    let (least, most) = RECORD_LIMITS;
    let record = conf.buffer_size.saturating_add(RECORD_OVERHEAD).clamp(least, most);
    config.max_fragment_size = usize::try_from(record).ok();
    if !*conf.certificate_compression {
        config.cert_compressors = Vec::new();
    }
    config
}

/// Gives a configuration the sessions of another, and where its keys are written.
fn with_sessions_of(other: &ServerConfig, mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::clone(&other.session_storage);
    config.ticketer = Arc::clone(&other.ticketer);
    config.send_tls13_tickets = other.send_tls13_tickets;
    config.max_early_data_size = other.max_early_data_size;
    config.send_half_rtt_data = other.send_half_rtt_data;
    config.key_log = Arc::clone(&other.key_log);
    config
}

impl SessionBinding {
    fn of(server: &ServerConf, trust: Option<&Trust>) -> Self {
        // What a client has shown to one server says nothing to another.
        let id = match trust {
            None => Vec::new(),
            Some(_) => server.defaults.id.to_be_bytes().to_vec(),
        };
        let names = trust.map(Trust::announced).unwrap_or_default();
        Self {
            asked: format!("{:?}", *server.ssl.verify_client),
            id,
            authorities: names.iter().map(|name| name.as_ref().to_vec()).collect(),
        }
    }

    /// Adds the certificates that are shown.
    pub(crate) fn context(&self, certificates: &[Arc<CertifiedKey>]) -> SessionContext {
        let chains =
            certificates.iter().flat_map(|identity| &identity.cert).map(|certificate| certificate.as_ref());
        let names = self.authorities.iter().map(Vec::as_slice);
        SessionContext::of([self.asked.as_bytes(), &self.id].into_iter().chain(chains).chain(names))
    }
}

/// Finds who keeps sessions: clients as tickets, or a cache.
fn session_keeper(
    conf: &SslConf,
    more: &Commanded,
    shared: &mut SharedSessions,
) -> Result<SessionKeeper, Told> {
    let clock: Arc<dyn TimeProvider> = Arc::new(DefaultTimeProvider);
    let has_tickets = match more.tickets {
        Some(Tickets::Given) => true,
        Some(Tickets::Withheld) => false,
        None => *conf.session_tickets,
    };
    let wish = ResumptionWish {
        cache: &conf.session_cache,
        shared: conf.session_cache.shared.as_ref().map(|cache| shared.zones.zone(cache)),
        tickets: has_tickets.then(|| ticket_keys(conf, shared, &*clock)).transpose()?,
        timeout: *conf.session_timeout,
        early_data: if *conf.early_data { ZeroRtt::Taken } else { ZeroRtt::Refused },
    };
    Ok(wish.keeper(clock))
}

fn ticket_keys(
    conf: &SslConf,
    shared: &mut SharedSessions,
    clock: &dyn TimeProvider,
) -> Result<Arc<TicketKeys>, Told> {
    let files = &*conf.session_ticket_key;
    if !files.is_empty() {
        return TicketKeys::read(files).map_err(|error| Told::of("ssl_session_ticket_key", &error));
    }
    let make = || {
        let now = clock.current_time().ok_or("the clock cannot be read")?;
        TicketKeys::changing(*conf.session_timeout, now).map_err(|_| "the system has no random numbers")
    };
    let failed = |reason| Told::of("ssl_session_tickets", &reason);
    let Some(named) = &conf.session_cache.shared else { return make().map_err(failed) };
    if let Some(known) = shared.keys.get(&named.name) {
        return Ok(Arc::clone(known));
    }
    let keys = make().map_err(failed)?;
    shared.keys.insert(named.name.clone(), Arc::clone(&keys));
    Ok(keys)
}
