//! The kinds of keys there are, as people call them, and which of them the TLS library has.

use x509_parser::x509::SubjectPublicKeyInfo;

/// What is supported, for messages.
pub(crate) const SUPPORTED: &str = "RSA of 2048 to 8192 bits, EC on P-256, P-384 and P-521, and Ed25519 are";

const EC: &str = "1.2.840.10045.2.1";
const RSA: &str = "1.2.840.113549.1.1.1";

/// Algorithms and curves by their object identifiers.
const NAMES: [(&str, &str); 21] = [
    (RSA, "RSA"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.10040.4.1", "DSA"),
    (EC, "EC"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.156.10197.1.301", "SM2"),
    ("1.2.643.7.1.1.1.1", "GOST"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];

/// What OpenSSL keeps one certificate of, at most: the later one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum KeyKind {
    Rsa,
    Ec,
    Ed25519,
}

/// Whether the key of a certificate can be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    Usable(KeyKind),
    /// RSA with less bits than OpenSSL's security level 2, which is Debian's, asks for.
    TooSmall,
    Unsupported(String),
}

/// Judges a certificate's key.
pub(crate) fn fitness(key: &SubjectPublicKeyInfo<'_>) -> Fitness {
    let algorithm = key.algorithm.algorithm.to_id_string();
    let parameters = key.algorithm.parameters.as_ref();
    let curve = parameters.and_then(|any| any.as_oid().ok()).map(|curve| curve.to_id_string());
    match (name_of(&algorithm), curve.as_deref().and_then(name_of)) {
        (Some("RSA"), _) => match key.parsed().map(|parsed| parsed.key_size()) {
            Ok(2048..=8192) => Fitness::Usable(KeyKind::Rsa),
            Ok(8193..) => Fitness::Unsupported("RSA of more than 8192 bits".to_owned()),
            Ok(_) | Err(_) => Fitness::TooSmall,
        },
        (Some("EC"), Some("P-256" | "P-384" | "P-521")) => Fitness::Usable(KeyKind::Ec),
        (Some("Ed25519"), _) => Fitness::Usable(KeyKind::Ed25519),
        _ => Fitness::Unsupported(name(&algorithm, curve.as_deref())),
    }
}

/// Names a kind of key by the identifiers of its algorithm and of its curve.
pub(crate) fn name(algorithm: &str, curve: Option<&str>) -> String {
    let known = |id: &str| name_of(id).map_or_else(|| id.to_owned(), str::to_owned);
    match (algorithm, curve) {
        (EC, Some(curve)) => format!("EC {}", known(curve)),
        (EC, None) => "EC with a curve of its own".to_owned(),
        (RSA, _) => "such RSA".to_owned(),
        (other, _) => known(other),
    }
}

fn name_of(id: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}
