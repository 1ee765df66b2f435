//! `ssl_ciphers`: OpenSSL's language for ciphers, over the six of TLS 1.2 that rustls has.
//!
//! A list is made by rules, one after another: a name or kind adds ciphers, `-` takes them out, `!` for ever, `+` puts
//! them last, `@STRENGTH` sorts. Kinds joined by `+` mean what is all of them. As OpenSSL: words that nobody knows are
//! passed over, and only a rule that is none is an error.

use rustls::{SupportedCipherSuite, crypto::aws_lc_rs::cipher_suite};

use crate::cipher_names::{Elsewhere, elsewhere};

/// Which ciphers a text selects.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Selected {
    /// Ciphers of TLS 1.2, the most wanted first.
    pub suites: Vec<SupportedCipherSuite>,
    /// Names that were asked for and are not available.
    pub unavailable: Vec<String>,
    /// Names of ciphers of TLS 1.3, which are not chosen here.
    pub of_tls13: Vec<String>,
    /// Words that mean nothing.
    pub unknown: Vec<String>,
    /// `@SECLEVEL`: OpenSSL's measure of what is strong enough.
    pub level: Option<SecurityLevel>,
}

/// A text that is not in the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidCommand;

/// OpenSSL's security level, 0 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SecurityLevel(u8);

impl SecurityLevel {
    /// Bits of security that are asked for.
    pub fn bits(self) -> u16 {
        [0, 80, 112, 128, 192, 256][usize::from(self.0)]
    }

    /// Whether it asks for more than rustls does anyway.
    pub fn is_strict(self) -> bool {
        self.0 > 2
    }
}

/// One of the six, and what rules go by. Their key exchange is ECDHE, all of them.
#[derive(Clone, Copy)]
struct Known {
    suite: SupportedCipherSuite,
    name: &'static str,
    signed: Signed,
    encryption: Encryption,
}

/// Whose key signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Ecdsa,
    Rsa,
}

/// What encrypts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Aes128,
    Aes256,
    ChaCha20,
}

const fn known(
    suite: SupportedCipherSuite,
    name: &'static str,
    signed: Signed,
    encryption: Encryption,
) -> Known {
    Known { suite, name, signed, encryption }
}

/// The ciphers in OpenSSL's order: by strength, AES before ChaCha20, ECDSA before RSA.
static KNOWN: [Known; 6] = [
    known(
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        Signed::Ecdsa,
        Encryption::Aes256,
    ),
    known(
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        Signed::Rsa,
        Encryption::Aes256,
    ),
    known(
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        Signed::Ecdsa,
        Encryption::ChaCha20,
    ),
    known(
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        Signed::Rsa,
        Encryption::ChaCha20,
    ),
    known(
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        Signed::Ecdsa,
        Encryption::Aes128,
    ),
    known(
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        Signed::Rsa,
        Encryption::Aes128,
    ),
];

impl Known {
    fn strength_bits(&self) -> u16 {
        match self.encryption {
            Encryption::Aes128 => 128,
            Encryption::Aes256 | Encryption::ChaCha20 => 256,
        }
    }

    /// Says whether it is what a word means; nothing where the word means nothing.
    fn is(&self, word: &str) -> Option<bool> {
        let is_aes = self.encryption != Encryption::ChaCha20;
        Some(match word {
            "ALL" | "HIGH" | "TLSv1.2" | "kECDHE" | "kEECDH" | "ECDH" | "EECDH" | "ECDHE" => true,
            "aRSA" => self.signed == Signed::Rsa,
            "aECDSA" | "ECDSA" => self.signed == Signed::Ecdsa,
            "AES" | "AESGCM" | "FIPS" => is_aes,
            "AES128" => self.encryption == Encryption::Aes128,
            "AES256" => self.encryption == Encryption::Aes256,
            "CHACHA20" => self.encryption == Encryption::ChaCha20,
            _ if NONE_OF_THEM.contains(&word) => false,
            _ if KNOWN.iter().any(|known| known.name == word) => self.name == word,
            _ => return None,
        })
    }
}

/// Kinds that OpenSSL knows and none of the six is of.
const NONE_OF_THEM: [&str; 77] = [
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "GOST12",
    "GOST89",
    "GOST89MAC",
    "GOST94",
    "IDEA",
    "KRB5",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "aDH",
    "aDSS",
    "aECDH",
    "aGOST",
    "aGOST01",
    "aGOST12",
    "aKRB5",
    "aNULL",
    "aPSK",
    "aSRP",
    "eNULL",
    "kDH",
    "kDHE",
    "kDHEPSK",
    "kDHd",
    "kDHr",
    "kECDH",
    "kECDHEPSK",
    "kECDHe",
    "kECDHr",
    "kEDH",
    "kGOST",
    "kGOST18",
    "kKRB5",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
    "FZA",
];

/// What a rule does with the ciphers that it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Add,
    Remove,
    Kill,
    PutLast,
}

/// The ciphers while rules are applied: those that are in, and those that may come in, in the order they would.
struct List {
    active: Vec<Known>,
    inactive: Vec<Known>,
}

impl List {
    fn apply(&mut self, act: Act, is_meant: impl Fn(&Known) -> bool) {
        let split = |list: &mut Vec<Known>| -> Vec<Known> {
            let (meant, others) = list.drain(..).partition(|known| is_meant(known));
            *list = others;
            meant
        };
        match act {
            Act::Add => {
                let meant = split(&mut self.inactive);
                self.active.extend(meant);
            }
            Act::PutLast => {
                let meant = split(&mut self.active);
                self.active.extend(meant);
            }
            // As OpenSSL: what was taken out last comes in first again.
            Act::Remove => {
                let mut meant = split(&mut self.active);
                meant.append(&mut self.inactive);
                self.inactive = meant;
            }
            Act::Kill => {
                split(&mut self.active);
                split(&mut self.inactive);
            }
        }
    }

    fn sort_by_strength(&mut self) {
        self.active.sort_by_key(|known| std::cmp::Reverse(known.strength_bits()));
    }
}

/// Texts that stand for a profile of RFC 6460, and what they select.
const SUITE_B: [(&str, &str); 4] = [
    ("SUITEB128ONLY", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("SUITEB128C2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("SUITEB128", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("SUITEB192", "ECDHE-ECDSA-AES256-GCM-SHA384"),
];

/// What may stand between rules.
const SEPARATORS: [char; 4] = [':', ' ', ';', ','];

/// Reads a text and returns what it selects.
pub(crate) fn select(text: &str) -> Result<Selected, InvalidCommand> {
    let suite_b = SUITE_B.iter().find(|(name, _)| text.starts_with(name)).map(|(_, meant)| *meant);
    let text = suite_b.unwrap_or(text);
    let mut list = List { active: Vec::new(), inactive: KNOWN.to_vec() };
    let mut selected = Selected::default();
    // As OpenSSL: it is a word of its own only at the beginning.
    let rules = match text.strip_prefix("DEFAULT") {
        Some(rest) => {
            list.apply(Act::Add, |_| true);
            rest
        }
        None => text,
    };
    let mut rest = rules.trim_start_matches(SEPARATORS);
    while !rest.is_empty() {
        rest = apply(rest, &mut list, &mut selected)?.trim_start_matches(SEPARATORS);
    }
    let bits = selected.level.map_or(0, SecurityLevel::bits);
    let strong = list.active.iter().filter(|known| known.strength_bits() >= bits);
    selected.suites = strong.map(|known| known.suite).collect();
    Ok(selected)
}

/// Applies the rule that a text begins with and returns what is behind it. As OpenSSL: no separator is needed where the
/// next rule begins with its sign.
fn apply<'t>(text: &'t str, list: &mut List, selected: &mut Selected) -> Result<&'t str, InvalidCommand> {
    let to_separator = |text: &'t str| &text[text.find(SEPARATORS).unwrap_or(text.len())..];
    let (act, mut rest) = match text.as_bytes()[0] {
        b'@' => {
            special(name_of(&text[1..]), list, selected)?;
            return Ok(to_separator(text));
        }
        b'-' => (Act::Remove, &text[1..]),
        b'+' => (Act::PutLast, &text[1..]),
        b'!' => (Act::Kill, &text[1..]),
        _ => (Act::Add, text),
    };
    let mut meant = Vec::new();
    loop {
        let name = name_of(rest);
        if name.is_empty() {
            return Err(InvalidCommand);
        }
        rest = &rest[name.len()..];
        if KNOWN[0].is(name).is_none() {
            if act == Act::Add {
                selected.note(name);
            }
            return Ok(to_separator(rest));
        }
        meant.push(name);
        match rest.strip_prefix('+') {
            Some(more) => rest = more,
            None => break,
        }
    }
    list.apply(act, |known| meant.iter().all(|word| known.is(word) == Some(true)));
    Ok(rest)
}

/// Returns the name that a text begins with.
fn name_of(text: &str) -> &str {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    &text[..text.find(|c| !is_of_name(c)).unwrap_or(text.len())]
}

fn special(word: &str, list: &mut List, selected: &mut Selected) -> Result<(), InvalidCommand> {
    match (word, word.strip_prefix("SECLEVEL=").map(str::as_bytes)) {
        ("STRENGTH", _) => list.sort_by_strength(),
        (_, Some([digit @ b'0'..=b'5'])) => selected.level = Some(SecurityLevel(digit - b'0')),
        _ => return Err(InvalidCommand),
    }
    Ok(())
}

impl Selected {
    /// Notes a name that selects nothing.
    fn note(&mut self, name: &str) {
        let names = match elsewhere(name) {
            Elsewhere::Unavailable => &mut self.unavailable,
            Elsewhere::Tls13 => &mut self.of_tls13,
            Elsewhere::Unknown => &mut self.unknown,
        };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
