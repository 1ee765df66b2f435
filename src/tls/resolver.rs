//! Which of a server's certificates a client is shown.

use std::sync::Arc;

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{identity, key_kind::KeyKind};

/// The certificates of one server, or the one that an upstream is shown.
#[derive(Debug)]
pub struct Resolver {
    certificates: Vec<Shown>,
}

#[derive(Debug)]
struct Shown {
    kind: Option<KeyKind>,
    /// What its key can sign with.
    schemes: Vec<SignatureScheme>,
    identity: Arc<CertifiedKey>,
}

/// All that a supported key may sign with.
const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

impl Resolver {
    /// Takes certificates in the order of the configuration. As OpenSSL: of several with keys of one kind the last one counts.
    pub fn new(identities: impl IntoIterator<Item = Arc<CertifiedKey>>) -> Self {
        let mut certificates: Vec<Shown> = Vec::new();
        for identity in identities {
            let kind = identity::kind(&identity);
            let can_sign = |scheme: &SignatureScheme| identity.key.choose_scheme(&[*scheme]).is_some();
            let schemes = SCHEMES.into_iter().filter(can_sign).collect();
            let shown = Shown { kind, schemes, identity };
            match certificates.iter_mut().find(|before| before.kind == kind) {
                Some(before) => *before = shown,
                None => certificates.push(shown),
            }
        }
        Self { certificates }
    }

    /// The certificate whose key can sign with what the client likes best. Where none can, it is the first: the handshake then
    /// fails as OpenSSL's does (`handshake_failure`).
    fn choose(&self, offered: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        if let [only] = self.certificates.as_slice() {
            return Some(&only.identity);
        }
        let fits =
            |scheme: &SignatureScheme| self.certificates.iter().find(|shown| shown.schemes.contains(scheme));
        offered.iter().find_map(fits).or(self.certificates.first()).map(|shown| &shown.identity)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(client_hello.signature_schemes()).cloned()
    }
}

impl ResolvesClientCert for Resolver {
    /// As OpenSSL, whatever authorities the server names.
    fn resolve(&self, _: &[&[u8]], offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(offered).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.certificates.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        PKCS_RSA_SHA256,
    };
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    use super::*;
    use crate::{
        identity::{Pair, load},
        rehearsal::{self, Version},
        source::Source,
    };

    fn made(algorithm: &'static rcgen::SignatureAlgorithm) -> Arc<CertifiedKey> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate =
            CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let inline = |text: String| Source::Inline(text.into_bytes());
        load(&Pair { certificate: inline(certificate.pem()), key: inline(key.serialize_pem()) }, None)
            .unwrap()
    }

    #[test]
    fn the_last_certificate_of_a_kind_counts_and_the_clients_wish_decides() {
        use SignatureScheme as Scheme;
        let [rsa, old, ec, ed] =
            [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519].map(made);
        let resolver = Resolver::new([&rsa, &old, &ec, &ed].map(Arc::clone));
        let table: &[(&str, &[Scheme], &Arc<CertifiedKey>)] = &[
            ("none fits", &[], &rsa),
            ("RSA", &[Scheme::RSA_PKCS1_SHA256], &rsa),
            ("EC first", &[Scheme::ECDSA_NISTP384_SHA384, Scheme::RSA_PSS_SHA256], &ec),
            ("RSA first", &[Scheme::RSA_PSS_SHA256, Scheme::ECDSA_NISTP384_SHA384], &rsa),
            ("what was replaced", &[Scheme::ECDSA_NISTP256_SHA256, Scheme::ED25519], &ed),
        ];
        for (name, offered, wanted) in table {
            assert!(Arc::ptr_eq(resolver.choose(offered).unwrap(), wanted), "{name}");
        }
        let alone = Resolver::new([Arc::clone(&rsa)]);
        assert!(Arc::ptr_eq(alone.choose(&[Scheme::ED25519]).unwrap(), &rsa));
        assert!(Resolver::new([]).choose(&[Scheme::ED25519]).is_none());
    }

    #[test]
    fn a_client_of_tls_1_2_gets_the_certificate_that_its_suites_can_use() {
        let [rsa, ec] = [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256].map(made);
        let server =
            Arc::new(rehearsal::server(Arc::new(Resolver::new([Arc::clone(&rsa), Arc::clone(&ec)]))));
        for (name, wanted) in [("_RSA_", &rsa), ("_ECDSA_", &ec)] {
            let all = aws_lc_rs::default_provider();
            let fits = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).contains(name);
            let suites = all.cipher_suites.iter().copied().filter(fits).collect();
            let client =
                rehearsal::client_with(Version::Tls12, CryptoProvider { cipher_suites: suites, ..all });
            let ends = rehearsal::meet(&Arc::new(client), &server).unwrap();
            assert_eq!(ends.client.peer_certificates(), Some(wanted.cert.as_slice()), "{name}");
        }
    }

    #[test]
    fn where_no_certificate_fits_the_handshake_fails_as_openssls() {
        let rsa = made(&PKCS_RSA_SHA256);
        let server = Arc::new(rehearsal::server(Arc::new(Resolver::new([rsa]))));
        let all = aws_lc_rs::default_provider();
        let fits = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).contains("_ECDSA_");
        let suites = all.cipher_suites.iter().copied().filter(fits).collect();
        let client = rehearsal::client_with(Version::Tls12, CryptoProvider { cipher_suites: suites, ..all });
        let Err(error) = rehearsal::meet(&Arc::new(client), &server) else { panic!("they agreed") };
        assert_eq!(error, rustls::Error::from(rustls::PeerIncompatible::NoCipherSuitesInCommon));
    }
}
