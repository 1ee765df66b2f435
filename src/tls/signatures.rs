//! Names of signature schemes: those that `$ssl_sigalg` shows, and those that `SignatureAlgorithms` asks for.

use rustls::SignatureScheme;

/// Schemes by the names of TLS 1.3.
const NAMES: [(&str, SignatureScheme); 16] = [
    ("ecdsa_secp256r1_sha256", SignatureScheme::ECDSA_NISTP256_SHA256),
    ("ecdsa_secp384r1_sha384", SignatureScheme::ECDSA_NISTP384_SHA384),
    ("ecdsa_secp521r1_sha512", SignatureScheme::ECDSA_NISTP521_SHA512),
    ("ed25519", SignatureScheme::ED25519),
    ("ed448", SignatureScheme::ED448),
    ("ecdsa_sha1", SignatureScheme::ECDSA_SHA1_Legacy),
    ("rsa_pss_rsae_sha256", SignatureScheme::RSA_PSS_SHA256),
    ("rsa_pss_rsae_sha384", SignatureScheme::RSA_PSS_SHA384),
    ("rsa_pss_rsae_sha512", SignatureScheme::RSA_PSS_SHA512),
    ("rsa_pss_pss_sha256", SignatureScheme::Unknown(0x0809)),
    ("rsa_pss_pss_sha384", SignatureScheme::Unknown(0x080a)),
    ("rsa_pss_pss_sha512", SignatureScheme::Unknown(0x080b)),
    ("rsa_pkcs1_sha256", SignatureScheme::RSA_PKCS1_SHA256),
    ("rsa_pkcs1_sha384", SignatureScheme::RSA_PKCS1_SHA384),
    ("rsa_pkcs1_sha512", SignatureScheme::RSA_PKCS1_SHA512),
    ("rsa_pkcs1_sha1", SignatureScheme::RSA_PKCS1_SHA1),
];

/// Schemes by OpenSSL's older names.
const PAIRS: [(&str, &str); 12] = [
    ("ECDSA+SHA256", "ecdsa_secp256r1_sha256"),
    ("ECDSA+SHA384", "ecdsa_secp384r1_sha384"),
    ("ECDSA+SHA512", "ecdsa_secp521r1_sha512"),
    ("ECDSA+SHA1", "ecdsa_sha1"),
    ("PSS+SHA256", "rsa_pss_rsae_sha256"),
    ("PSS+SHA384", "rsa_pss_rsae_sha384"),
    ("PSS+SHA512", "rsa_pss_rsae_sha512"),
    ("RSA+SHA256", "rsa_pkcs1_sha256"),
    ("RSA+SHA384", "rsa_pkcs1_sha384"),
    ("RSA+SHA512", "rsa_pkcs1_sha512"),
    ("RSA+SHA1", "rsa_pkcs1_sha1"),
    ("ED25519", "ed25519"),
];

/// Returns the name of a scheme; its number where it has none.
pub fn signature_name(scheme: SignatureScheme) -> String {
    let known = NAMES.iter().find(|(_, known)| u16::from(*known) == u16::from(scheme));
    known.map_or_else(|| format!("0x{:04x}", u16::from(scheme)), |(name, _)| (*name).to_owned())
}

/// Says whether rustls signs so.
pub(crate) fn is_available(scheme: SignatureScheme) -> bool {
    let is_missing = matches!(
        scheme,
        SignatureScheme::ED448
            | SignatureScheme::ECDSA_SHA1_Legacy
            | SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::Unknown(_)
    );
    !is_missing
}

/// Reads a list of schemes; nothing where one is unknown or there twice, as in OpenSSL.
pub(crate) fn select(text: &str) -> Option<Vec<SignatureScheme>> {
    let mut selected = Vec::new();
    for word in text.split(':') {
        let modern = word.strip_prefix("RSA-PSS+").map(|hash| format!("PSS+{hash}"));
        let word = modern.as_deref().unwrap_or(word);
        let name =
            PAIRS.iter().find(|(pair, _)| pair.eq_ignore_ascii_case(word)).map_or(word, |(_, name)| *name);
        let (_, scheme) = NAMES.iter().find(|(known, _)| *known == name)?;
        if selected.contains(scheme) {
            return None;
        }
        selected.push(*scheme);
    }
    Some(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_have_old_names_and_new_ones() {
        let cases = [
            ("RSA+SHA256", Some("rsa_pkcs1_sha256")),
            ("RSA-PSS+SHA256:ed25519", Some("rsa_pss_rsae_sha256:ed25519")),
            ("ECDSA+SHA384:rsa_pss_pss_sha256", Some("ecdsa_secp384r1_sha384:rsa_pss_pss_sha256")),
            ("PSS+SHA256:rsa_pss_rsae_sha256", None),
            ("RSA+SHA256:FOO", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            let names = select(text).map(|schemes| {
                schemes.iter().map(|scheme| signature_name(*scheme)).collect::<Vec<_>>().join(":")
            });
            assert_eq!(names.as_deref(), wanted, "{text}");
        }
    }
}
