//! A key that signs with some of its schemes only (`ssl_conf_command SignatureAlgorithms`).

use std::sync::Arc;

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    sign::{CertifiedKey, Signer, SigningKey},
};
use rustls_pki_types::SubjectPublicKeyInfoDer;

#[derive(Debug)]
struct Restricted {
    key: Arc<dyn SigningKey>,
    /// The most wanted first.
    schemes: Vec<SignatureScheme>,
}

/// Makes a certificate that is shown only to clients that take one of these schemes.
pub(crate) fn restrict(identity: &CertifiedKey, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
    let key = Arc::new(Restricted { key: Arc::clone(&identity.key), schemes: schemes.to_vec() });
    Arc::new(CertifiedKey { key, ..identity.clone() })
}

impl SigningKey for Restricted {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let mut wanted = self.schemes.iter().filter(|scheme| offered.contains(scheme));
        wanted.find_map(|scheme| self.key.choose_scheme(&[*scheme]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;

    use super::*;

    #[test]
    fn keys_sign_with_what_is_left() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_der();
        let key = any_ecdsa_type(&rustls_pki_types::PrivateKeyDer::Pkcs8(key.into())).unwrap();
        let identity = CertifiedKey::new(Vec::new(), key);
        let p256 = SignatureScheme::ECDSA_NISTP256_SHA256;
        let table = [(&[p256][..], true), (&[SignatureScheme::RSA_PSS_SHA256], false), (&[], false)];
        for (schemes, signs) in table {
            let restricted = restrict(&identity, schemes);
            assert_eq!(restricted.key.choose_scheme(&[p256]).is_some(), signs, "{schemes:?}");
            assert!(restricted.key.choose_scheme(&[SignatureScheme::ED25519]).is_none());
        }
    }
}
