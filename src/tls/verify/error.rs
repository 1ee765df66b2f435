//! Why a certificate is not trusted, in OpenSSL's words: they are what `$ssl_client_verify` and the log show.

/// Why a chain of certificates is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// What nobody has a better name for, such as a certificate that cannot be read.
    #[error("unspecified certificate verification error")]
    Unspecified,
    /// The issuer of a trusted certificate is not trusted itself.
    #[error("unable to get issuer certificate")]
    NoIssuer,
    /// No list tells whether a certificate is revoked.
    #[error("unable to get certificate CRL")]
    NoCrl,
    /// A certificate is not signed by its issuer, or in a way that is not known here.
    #[error("certificate signature failure")]
    Signature,
    /// A list is not signed by its issuer.
    #[error("CRL signature failure")]
    CrlSignature,
    /// A certificate begins to hold later.
    #[error("certificate is not yet valid")]
    NotYetValid,
    /// A certificate does not hold any more.
    #[error("certificate has expired")]
    Expired,
    /// A list begins to hold later.
    #[error("CRL is not yet valid")]
    CrlNotYetValid,
    /// There should be a newer list.
    #[error("CRL has expired")]
    CrlExpired,
    /// The peer's certificate is signed by itself, and not trusted.
    #[error("self-signed certificate")]
    SelfSigned,
    /// The chain ends at a certificate that is signed by itself, and not trusted.
    #[error("self-signed certificate in certificate chain")]
    SelfSignedInChain,
    /// Nobody knows the issuer of the chain's last certificate.
    #[error("unable to get local issuer certificate")]
    NoLocalIssuer,
    /// The peer sent just one certificate, and nobody knows its issuer.
    #[error("unable to verify the first certificate")]
    UnverifiedLeaf,
    /// There are more certificates between peer and root than `verify_depth` allows.
    #[error("certificate chain too long")]
    ChainTooLong,
    /// The issuer took the certificate back.
    #[error("certificate revoked")]
    Revoked,
    /// An issuer allows fewer certificates below itself.
    #[error("path length constraint exceeded")]
    PathLength,
    /// A certificate is for something else than TLS, or for the other side of it.
    #[error("unsuitable certificate purpose")]
    Purpose,
    /// A certificate says that it may not be relied upon without knowing what it says.
    #[error("unhandled critical extension")]
    CriticalExtension,
    /// An issuer may not sign certificates.
    #[error("key usage does not include certificate signing")]
    NoCertificateSigning,
    /// The issuer of a list may not sign lists.
    #[error("key usage does not include CRL signing")]
    NoCrlSigning,
    /// A list says that it may not be relied upon without knowing what it says.
    #[error("unhandled critical CRL extension")]
    CriticalCrlExtension,
    /// The list is for other certificates of the same issuer.
    #[error("different CRL scope")]
    CrlScope,
    /// A certificate has a name that one of its issuers may not vouch for.
    #[error("permitted subtree violation")]
    NameConstraints,
    /// The certificate is for other names.
    #[error("hostname mismatch")]
    Name,
    /// The certificate is for other addresses.
    #[error("IP address mismatch")]
    Address,
    /// The peer's key is too short to rely on.
    #[error("EE certificate key too weak")]
    WeakKey,
    /// The key of an issuer is too short to rely on.
    #[error("CA certificate key too weak")]
    WeakCaKey,
    /// A signature is made with a digest that can be forged.
    #[error("CA signature digest algorithm too weak")]
    WeakDigest,
    /// An issuer is no authority.
    #[error("invalid CA certificate")]
    NoCa,
}

impl VerifyError {
    /// OpenSSL's number, as nginx's log shows it before the words.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 1,
            Self::NoIssuer => 2,
            Self::NoCrl => 3,
            Self::Signature => 7,
            Self::CrlSignature => 8,
            Self::NotYetValid => 9,
            Self::Expired => 10,
            Self::CrlNotYetValid => 11,
            Self::CrlExpired => 12,
            Self::SelfSigned => 18,
            Self::SelfSignedInChain => 19,
            Self::NoLocalIssuer => 20,
            Self::UnverifiedLeaf => 21,
            Self::ChainTooLong => 22,
            Self::Revoked => 23,
            Self::PathLength => 25,
            Self::Purpose => 26,
            Self::NoCertificateSigning => 32,
            Self::CriticalExtension => 34,
            Self::NoCrlSigning => 35,
            Self::CriticalCrlExtension => 36,
            Self::CrlScope => 44,
            Self::NameConstraints => 47,
            Self::Name => 62,
            Self::Address => 64,
            Self::WeakKey => 66,
            Self::WeakCaKey => 67,
            Self::WeakDigest => 68,
            Self::NoCa => 79,
        }
    }

    /// Whether `ssl_verify_client optional_no_ca` passes over it: only who signed the certificate is not known.
    pub fn is_only_unknown_authority(self) -> bool {
        // As nginx: these four, and nothing else that is wrong with a certificate.
        matches!(
            self,
            Self::SelfSigned | Self::SelfSignedInChain | Self::NoLocalIssuer | Self::UnverifiedLeaf
        )
    }

    /// Finds the reason in what a handshake failed with, if it failed because of the peer's certificate.
    pub fn of_handshake(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
                other.0.downcast_ref::<Self>().copied()
            }
            _ => None,
        }
    }
}

impl From<VerifyError> for rustls::Error {
    fn from(error: VerifyError) -> Self {
        let other = rustls::OtherError(std::sync::Arc::new(error));
        Self::InvalidCertificate(rustls::CertificateError::Other(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unknown_authorities_are_passed_over() {
        // nginx, ngx_ssl_verify_error_optional: these numbers.
        let tolerated = [18, 19, 20, 21];
        let errors = [
            VerifyError::Unspecified,
            VerifyError::NoIssuer,
            VerifyError::NoCrl,
            VerifyError::Signature,
            VerifyError::NotYetValid,
            VerifyError::Expired,
            VerifyError::SelfSigned,
            VerifyError::SelfSignedInChain,
            VerifyError::NoLocalIssuer,
            VerifyError::UnverifiedLeaf,
            VerifyError::ChainTooLong,
            VerifyError::Revoked,
            VerifyError::Purpose,
            VerifyError::NoCa,
        ];
        for error in errors {
            assert_eq!(error.is_only_unknown_authority(), tolerated.contains(&error.code()), "{error}");
        }
    }

    #[test]
    fn the_reason_is_found_in_what_a_handshake_failed_with() {
        let error = rustls::Error::from(VerifyError::Expired);
        assert_eq!(VerifyError::of_handshake(&error), Some(VerifyError::Expired));
        let other = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
        assert_eq!(VerifyError::of_handshake(&other), None);
        assert_eq!(VerifyError::of_handshake(&rustls::Error::HandshakeNotComplete), None);
    }
}
