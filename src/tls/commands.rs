//! `ssl_conf_command`: OpenSSL's configuration commands, as far as rustls can do what they ask for.
//!
//! All others are errors: whoever writes a command means it.

use config::{ConfCommand, SslProtocols};

use crate::{
    algorithms::{
        About, AlgorithmError, Draft, NO_MATCH, ServerOrder, TLS13_SUITES, Tickets, Warning, bad_value,
    },
    cipher_names::{Elsewhere, cipher_name, elsewhere},
    signatures,
};

/// Commands that OpenSSL has and rustls has nothing for.
const NOT_SUPPORTED: [&str; 16] = [
    "ChainCAFile",
    "ChainCAPath",
    "ClientCAFile",
    "ClientCAPath",
    "ClientSignatureAlgorithms",
    "DHParameters",
    "ECDHParameters",
    "RecordPadding",
    "RequestCAFile",
    "RequestCAPath",
    "RxCertificateCompression",
    "ServerInfoFile",
    "TxCertificateCompression",
    "VerifyCAFile",
    "VerifyCAPath",
    "VerifyMode",
];

/// Why a command is refused.
enum Refusal {
    /// OpenSSL has no such command.
    Unknown,
    /// OpenSSL does not take the value; its words on why, where it has some.
    BadValue(&'static str),
    /// rustls cannot do it.
    NotSupported,
}

/// Applies commands in order.
pub(crate) fn apply(commands: &[ConfCommand], draft: &mut Draft) -> Result<(), AlgorithmError> {
    for (number, (name, value)) in commands.iter().enumerate() {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let about = About::Command(number);
        command(&name, &value, about, draft).map_err(|refusal| {
            let failed = format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed");
            let message = match refusal {
                Refusal::Unknown => {
                    format!("{failed} (SSL: error:0A000182:SSL routines::unknown cmd name:cmd={name})")
                }
                Refusal::BadValue(words) => bad_value(&name, &value, words),
                Refusal::NotSupported => format!("{failed} (not supported by rustls)"),
            };
            AlgorithmError { about, message }
        })?;
    }
    Ok(())
}

/// Applies one; as OpenSSL, names count in either case.
fn command(name: &str, value: &str, about: About, draft: &mut Draft) -> Result<(), Refusal> {
    match &*name.to_ascii_lowercase() {
        "cipherstring" => draft.ciphers = (about, value.to_owned()),
        "ciphersuites" => return suites(value, about, draft),
        "groups" | "curves" => draft.curves = (about, value.to_owned()),
        "minprotocol" => {
            let least = version(value)?.unwrap_or(0);
            limit(&mut draft.protocols, least..=TLS13);
        }
        "maxprotocol" => {
            let most = version(value)?.unwrap_or(TLS13);
            limit(&mut draft.protocols, 0..=most);
        }
        "protocol" => return each(value, |sign, word| protocol(sign, word, about, draft)),
        "options" => return each(value, |sign, word| option(sign, word, about, draft)),
        "signaturealgorithms" => return schemes(value, about, draft),
        "numtickets" => {
            if value.trim_start().starts_with('-') {
                return Err(Refusal::BadValue(""));
            }
            let digits: String = value.trim_start().chars().take_while(char::is_ascii_digit).collect();
            draft.more.ticket_count = Some(digits.parse().unwrap_or(0));
        }
        "certificate" => draft.more.certificates.push(value.to_owned()),
        "privatekey" => draft.more.private_keys.push(value.to_owned()),
        lower if NOT_SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(lower)) => {
            return Err(Refusal::NotSupported);
        }
        _ => return Err(Refusal::Unknown),
    }
    Ok(())
}

/// Reads names of ciphers of TLS 1.3. As OpenSSL: an empty text is none at all, unknown names are passed over.
fn suites(value: &str, about: About, draft: &mut Draft) -> Result<(), Refusal> {
    let mut selected = Vec::new();
    let mut unavailable = Vec::new();
    for name in value.split(':').filter(|name| !name.is_empty()) {
        match TLS13_SUITES.iter().find(|suite| cipher_name(suite.suite()) == name) {
            Some(suite) if selected.contains(suite) => {}
            Some(suite) => selected.push(*suite),
            None if elsewhere(name) == Elsewhere::Tls13 => unavailable.push(name),
            None => {
                draft.warnings.push(Warning { about, message: format!("unknown cipher \"{name}\" ignored") })
            }
        }
    }
    if selected.is_empty() && !value.is_empty() {
        return Err(if unavailable.is_empty() { Refusal::BadValue(NO_MATCH) } else { Refusal::NotSupported });
    }
    draft.without(about, &unavailable, "ignored");
    draft.tls13_suites = selected;
    Ok(())
}

/// Rank of TLS 1.3 among [`VERSIONS`].
const TLS13: usize = 4;

/// Versions, oldest first.
const VERSIONS: [&str; 5] = ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// Returns the rank of a version; nothing for `None`, which is no limit.
fn version(value: &str) -> Result<Option<usize>, Refusal> {
    match VERSIONS.iter().position(|known| *known == value) {
        None if value == "None" => Ok(None),
        None => Err(Refusal::BadValue("")),
        rank => Ok(rank),
    }
}

fn limit(protocols: &mut SslProtocols, allowed: std::ops::RangeInclusive<usize>) {
    for (rank, is_on) in by_rank(protocols).into_iter().enumerate() {
        *is_on &= allowed.contains(&rank);
    }
}

fn by_rank(protocols: &mut SslProtocols) -> [&mut bool; 5] {
    let SslProtocols { sslv2: _, sslv3, tlsv1, tlsv1_1, tlsv1_2, tlsv1_3 } = protocols;
    [sslv3, tlsv1, tlsv1_1, tlsv1_2, tlsv1_3]
}

/// What stands before a word of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    On,
    Off,
}

/// Reads the words of a list.
fn each(value: &str, mut apply: impl FnMut(Sign, &str) -> Result<(), Refusal>) -> Result<(), Refusal> {
    for word in value.split(',').map(str::trim) {
        match (word.strip_prefix('-'), word.strip_prefix('+')) {
            (Some(word), _) => apply(Sign::Off, word)?,
            (None, word_on) => apply(Sign::On, word_on.unwrap_or(word))?,
        }
    }
    Ok(())
}

fn protocol(sign: Sign, word: &str, about: About, draft: &mut Draft) -> Result<(), Refusal> {
    let lower = word.to_ascii_lowercase();
    if matches!(&*lower, "sslv2" | "dtlsv1" | "dtlsv1.2") {
        return Ok(());
    }
    let rank = VERSIONS.iter().position(|known| known.eq_ignore_ascii_case(word));
    if rank.is_none() && lower != "all" {
        return Err(Refusal::BadValue(""));
    }
    if sign == Sign::On && rank.is_some_and(|rank| rank < 3) {
        draft.without(about, &[word], "ignored");
    }
    for (known, is_on) in by_rank(&mut draft.protocols).into_iter().enumerate() {
        if rank.is_none_or(|rank| rank == known) {
            *is_on = sign == Sign::On;
        }
    }
    Ok(())
}

/// Options that say what holds with rustls anyway, and what that is; both where it makes no difference.
const HOLDS: [(&str, &[Sign]); 15] = [
    ("AllowNoDHEKEX", &[Sign::Off]),
    ("AntiReplay", &[Sign::On]),
    ("Bugs", &[Sign::On, Sign::Off]),
    ("ClientRenegotiation", &[Sign::Off]),
    ("Compression", &[Sign::Off]),
    ("DHSingle", &[Sign::On]),
    ("ECDHSingle", &[Sign::On]),
    ("EmptyFragments", &[Sign::On, Sign::Off]),
    ("EncryptThenMac", &[Sign::On, Sign::Off]),
    ("ExtendedMasterSecret", &[Sign::On]),
    ("MiddleboxCompat", &[Sign::On]),
    ("NoRenegotiation", &[Sign::On]),
    ("NoResumptionOnRenegotiation", &[Sign::On, Sign::Off]),
    ("UnsafeLegacyRenegotiation", &[Sign::Off]),
    ("UnsafeLegacyServerConnect", &[Sign::Off]),
];

/// Options that OpenSSL has and rustls has nothing for.
const OTHER_OPTIONS: [&str; 7] = [
    "CANames",
    "IgnoreUnexpectedEOF",
    "KTLSTxZerocopySendfile",
    "PreferNoDHEKEX",
    "RxCertificateCompression",
    "StrictCertCheck",
    "TxCertificateCompression",
];

fn option(sign: Sign, word: &str, about: About, draft: &mut Draft) -> Result<(), Refusal> {
    use ServerOrder::{Ignored, Obeyed, ObeyedUnlessChaCha};

    draft.server_order = match (&*word.to_ascii_lowercase(), sign, draft.server_order) {
        ("serverpreference", Sign::On, Ignored) => Obeyed,
        ("serverpreference", Sign::Off, _) => Ignored,
        ("serverpreference", Sign::On, order) => order,
        // As OpenSSL: it matters only where the server's order does.
        ("prioritizechacha", Sign::On, Obeyed) => ObeyedUnlessChaCha,
        ("prioritizechacha", Sign::Off, ObeyedUnlessChaCha) => Obeyed,
        ("prioritizechacha", _, order) => order,
        ("sessionticket", _, order) => {
            draft.more.tickets = Some(if sign == Sign::On { Tickets::Given } else { Tickets::Withheld });
            order
        }
        ("ktls", _, order) => {
            if sign == Sign::On {
                let message = "\"KTLS\" has no effect: the kernel is not asked to encrypt".to_owned();
                draft.warnings.push(Warning { about, message });
            }
            order
        }
        (_, _, order) => {
            let known = HOLDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
            let is_other = || OTHER_OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(word));
            match known {
                Some((_, signs)) if signs.contains(&sign) => order,
                None if !is_other() => return Err(Refusal::BadValue("")),
                _ => return Err(Refusal::NotSupported),
            }
        }
    };
    Ok(())
}

fn schemes(value: &str, about: About, draft: &mut Draft) -> Result<(), Refusal> {
    let selected = signatures::select(value).ok_or(Refusal::BadValue(""))?;
    let (available, others): (Vec<_>, Vec<_>) =
        selected.into_iter().partition(|scheme| signatures::is_available(*scheme));
    if available.is_empty() {
        return Err(Refusal::NotSupported);
    }
    let others: Vec<String> = others.into_iter().map(signatures::signature_name).collect();
    draft.without(about, &others, "ignored");
    draft.more.signature_schemes = Some(available);
    Ok(())
}
