//! What is spoken: versions, ciphers and groups, as directives ask for them and as far as rustls has them.
//!
//! Old versions and ciphers that rustls does not have are warned of where going on without them is safe, and are errors
//! where nothing is left. Words of errors are those of nginx and OpenSSL, where these have any.

use std::sync::Arc;

use config::{ConfCommand, SslProtocols};
use rustls::{
    CipherSuite, ProtocolVersion, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite, default_provider},
    },
    version::{TLS12, TLS13},
};

use crate::{
    ciphers::{self, InvalidCommand, SecurityLevel},
    commands,
    curves::{self, InvalidGroup},
};

/// What directives ask for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// `ssl_protocols`.
    pub protocols: SslProtocols,
    /// `ssl_ciphers`.
    pub ciphers: &'a [u8],
    /// `ssl_ecdh_curve`; `auto` where there is none.
    pub curves: &'a [u8],
    /// `ssl_prefer_server_ciphers`.
    pub server_order: ServerOrder,
    /// `ssl_conf_command`.
    pub commands: &'a [ConfCommand],
}

/// What a server's order of ciphers counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerOrder {
    /// Nothing: the client's counts.
    Ignored,
    /// It is obeyed.
    Obeyed,
    /// It is obeyed, unless a client likes ChaCha20 best: [`Algorithms::chacha_first`] is for those.
    ObeyedUnlessChaCha,
}

/// What is spoken.
#[derive(Debug, Clone)]
pub struct Algorithms {
    /// Ciphers and groups, the most wanted first.
    pub provider: Arc<CryptoProvider>,
    /// Versions.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// What the order of ciphers counts for.
    pub server_order: ServerOrder,
    /// What commands ask for beyond that.
    pub more: Commanded,
}

/// What `ssl_conf_command` asks for and no directive does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commanded {
    /// Schemes for signatures; absent where all will do.
    pub signature_schemes: Option<Vec<SignatureScheme>>,
    /// Tickets that a client of TLS 1.3 is sent.
    pub ticket_count: Option<usize>,
    /// Whether there are tickets, whatever `ssl_session_tickets` says.
    pub tickets: Option<Tickets>,
    /// Files with certificates, after those of `ssl_certificate`.
    pub certificates: Vec<String>,
    /// Files with their keys.
    pub private_keys: Vec<String>,
}

/// Whether clients may keep sessions themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tickets {
    /// They may.
    Given,
    /// They may not.
    Withheld,
}

/// Which directive something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// `ssl_protocols`.
    Protocols,
    /// `ssl_ciphers`.
    Ciphers,
    /// `ssl_ecdh_curve`.
    Curves,
    /// The `ssl_conf_command` with this number.
    Command(usize),
}

/// Something that is asked for and not had, which is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Who asks for it.
    pub about: About,
    /// What is not had.
    pub message: String,
}

/// Why nothing can be spoken, in nginx's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AlgorithmError {
    /// Whose wish it is.
    pub about: About,
    /// What is wrong.
    pub message: String,
}

/// OpenSSL's words where no cipher is left.
pub(crate) const NO_MATCH: &str = "error:0A0000B9:SSL routines::no cipher match";
/// OpenSSL's words for what is not in its language of ciphers.
const INVALID_COMMAND: &str = "error:0A000118:SSL routines::invalid command";

/// Ciphers of TLS 1.3, in OpenSSL's order.
pub(crate) static TLS13_SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
];

/// A wish while commands change it.
pub(crate) struct Draft {
    pub protocols: SslProtocols,
    pub ciphers: (About, String),
    pub tls13_suites: Vec<SupportedCipherSuite>,
    pub curves: (About, String),
    pub server_order: ServerOrder,
    pub more: Commanded,
    pub warnings: Vec<Warning>,
}

/// Works out what is spoken, and what is worth a warning.
pub fn algorithms(wish: &Wish<'_>) -> Result<(Algorithms, Vec<Warning>), AlgorithmError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut draft = Draft {
        protocols: wish.protocols,
        ciphers: (About::Ciphers, text(wish.ciphers)),
        tls13_suites: TLS13_SUITES.to_vec(),
        curves: (About::Curves, text(wish.curves)),
        server_order: wish.server_order,
        more: Commanded::default(),
        warnings: Vec::new(),
    };
    draft.without(About::Protocols, &old_protocols(wish.protocols), "ignored");
    commands::apply(wish.commands, &mut draft)?;
    let (tls12_suites, level) = draft.tls12_suites()?;
    if let Some(level) = level {
        draft.tls13_suites.retain(|suite| bits(*suite) >= level.bits());
    }
    let kx_groups = draft.groups(level)?;
    let mut versions = Vec::new();
    if draft.protocols.tlsv1_3 && !draft.tls13_suites.is_empty() {
        versions.push(&TLS13);
    }
    if draft.protocols.tlsv1_2 && !tls12_suites.is_empty() {
        versions.push(&TLS12);
    }
    if versions.is_empty() {
        let message = "no protocol is left: only TLSv1.2 and TLSv1.3 are available with rustls".to_owned();
        return Err(AlgorithmError { about: About::Protocols, message });
    }
    let cipher_suites = [draft.tls13_suites, tls12_suites].concat();
    let provider = Arc::new(CryptoProvider { cipher_suites, kx_groups, ..default_provider() });
    let algorithms = Algorithms { provider, versions, server_order: draft.server_order, more: draft.more };
    Ok((algorithms, draft.warnings))
}

impl Draft {
    /// Notes names that are not available.
    pub fn without(&mut self, about: About, names: &[impl AsRef<str>], outcome: &str) {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.as_ref())).collect();
        let verb = match quoted.len() {
            0 => return,
            1 => "is",
            _ => "are",
        };
        let message = format!("{} {verb} not available with rustls, {outcome}", quoted.join(", "));
        self.warnings.push(Warning { about, message });
    }

    fn tls12_suites(&mut self) -> Result<(Vec<SupportedCipherSuite>, Option<SecurityLevel>), AlgorithmError> {
        let (about, text) = self.ciphers.clone();
        let failed = |words: &str| AlgorithmError {
            about,
            message: match about {
                About::Command(_) => bad_value("CipherString", &text, words),
                _ => format!("SSL_CTX_set_cipher_list(\"{text}\") failed (SSL: {words})"),
            },
        };
        let selected = ciphers::select(&text).map_err(|InvalidCommand| failed(INVALID_COMMAND))?;
        self.without(about, &selected.unavailable, "ignored");
        let warn = |warnings: &mut Vec<Warning>, message| warnings.push(Warning { about, message });
        if !selected.of_tls13.is_empty() {
            let names = selected.of_tls13.join("\", \"");
            let message =
                format!("\"{names}\" ignored: ciphers of TLS 1.3 are set by the command \"Ciphersuites\"");
            warn(&mut self.warnings, message);
        }
        if !selected.unknown.is_empty() {
            let names = selected.unknown.join("\", \"");
            warn(&mut self.warnings, format!("unknown ciphers \"{names}\" ignored"));
        }
        if selected.level.is_some_and(SecurityLevel::is_strict) {
            let message = "\"@SECLEVEL\" holds for ciphers and groups, not for certificates".to_owned();
            warn(&mut self.warnings, message);
        }
        if selected.suites.is_empty() {
            if !self.protocols.tlsv1_3 || self.tls13_suites.is_empty() {
                return Err(failed(NO_MATCH));
            }
            let message = format!("no cipher of TLS 1.2 matches \"{text}\": only TLS 1.3 is spoken");
            warn(&mut self.warnings, message);
        }
        Ok((selected.suites, selected.level))
    }

    fn groups(
        &mut self,
        level: Option<SecurityLevel>,
    ) -> Result<Vec<&'static dyn rustls::crypto::SupportedKxGroup>, AlgorithmError> {
        let (about, text) = self.curves.clone();
        let failed = |words: &str| {
            let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
            let message = match about {
                About::Command(_) => format!("SSL_CONF_cmd(\"Groups\", \"{text}\") failed{words}"),
                _ => format!("SSL_CTX_set1_curves_list(\"{text}\") failed{words}"),
            };
            AlgorithmError { about, message }
        };
        let selected = curves::select(&text).map_err(|InvalidGroup(name)| match name {
            None => failed(""),
            Some(name) => {
                let words = format!(
                    "error:0A080106:SSL routines::passed invalid argument:group '{name}' cannot be set"
                );
                match about {
                    About::Command(_) => {
                        AlgorithmError { about, message: bad_value("Groups", &text, &words) }
                    }
                    _ => failed(&format!("SSL: {words}")),
                }
            }
        })?;
        self.without(about, &selected.unavailable, "ignored");
        let mut groups = selected.groups;
        if let Some(level) = level {
            curves::strong(&mut groups, level);
        }
        if groups.is_empty() { Err(failed("not supported by rustls")) } else { Ok(groups) }
    }
}

/// Says as OpenSSL does that a command has a value that it cannot have; `words` are about why.
pub(crate) fn bad_value(command: &str, value: &str, words: &str) -> String {
    let space = if words.is_empty() { "" } else { " " };
    format!(
        "SSL_CONF_cmd(\"{command}\", \"{value}\") failed (SSL: {words}{space}error:0A000180:SSL routines::bad \
         value:cmd={command}, value={value})"
    )
}

/// Lists versions that rustls does not have.
fn old_protocols(protocols: SslProtocols) -> Vec<&'static str> {
    let all = [
        (protocols.sslv2, "SSLv2"),
        (protocols.sslv3, "SSLv3"),
        (protocols.tlsv1, "TLSv1"),
        (protocols.tlsv1_1, "TLSv1.1"),
    ];
    all.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name).collect()
}

/// Returns how strong a cipher of TLS 1.3 is.
fn bits(suite: SupportedCipherSuite) -> u16 {
    if suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256 { 128 } else { 256 }
}

impl Algorithms {
    /// Makes what is spoken with clients that like ChaCha20 best, where [`ServerOrder::ObeyedUnlessChaCha`] holds.
    pub fn chacha_first(&self) -> Arc<CryptoProvider> {
        let mut provider = CryptoProvider::clone(&self.provider);
        provider.cipher_suites.sort_by_key(|suite| !is_chacha(suite.suite()));
        Arc::new(provider)
    }
}

/// Says whether a client likes ChaCha20 best, as machines do that have no AES in hardware.
pub fn prefers_chacha(offered: &[CipherSuite]) -> bool {
    offered.iter().find(|suite| !is_grease(**suite)).is_some_and(|suite| is_chacha(*suite))
}

/// Says whether a number is one of those that clients only send to be passed over (RFC 8701).
fn is_grease(suite: CipherSuite) -> bool {
    let [high, low] = u16::from(suite).to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn is_chacha(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

/// Returns a version's name, as `$ssl_protocol` shows it.
pub fn protocol_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests;
