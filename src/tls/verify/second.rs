//! The second opinion on a chain: webpki's, on exactly the certificates that OpenSSL's rules allow.

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use super::{Tier, chain::Chain, error::VerifyError, rules::Role};

/// Asks webpki for a chain that ends at a trusted root, and decides about those it does not take.
pub(super) fn opinion(chain: &Chain<'_>, role: Role, now: UnixTime) -> Result<Tier, VerifyError> {
    let restricts_names =
        chain.certificates.iter().any(|certificate| certificate.claims.has_name_constraints);
    match ask(chain, role, now) {
        Ok(()) => Ok(Tier::Both),
        // Not that something is wrong: it does not look at certificates of these kinds. With the restrictions of an issuer
        // unheeded they are refused, since nobody else here knows them.
        Err(Error::UnsupportedCertVersion | Error::CaUsedAsEndEntity) if !restricts_names => {
            Ok(Tier::OpenSslOnly)
        }
        Err(error) => Err(in_other_words(&error)),
    }
}

fn ask(chain: &Chain<'_>, role: Role, now: UnixTime) -> Result<(), Error> {
    let ders: Vec<_> =
        chain.certificates.iter().map(|certificate| CertificateDer::from(certificate.der)).collect();
    let (leaf, issuers) = ders.split_first().ok_or(Error::UnknownIssuer)?;
    // A peer that is trusted by itself is its own root.
    let (root, between) = issuers.split_last().unwrap_or((leaf, &[]));
    let leaf = EndEntityCert::try_from(leaf)?;
    let anchors = [anchor_from_trusted_cert(root)?];
    let usage = match role {
        Role::Client => KeyUsage::client_auth(),
        Role::Server => KeyUsage::server_auth(),
    };
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, between, now, usage, None, None)?;
    Ok(())
}

/// What OpenSSL would call it, had it noticed.
fn in_other_words(error: &Error) -> VerifyError {
    match error {
        Error::NameConstraintViolation | Error::CaUsedAsEndEntity | Error::UnsupportedCertVersion => {
            VerifyError::NameConstraints
        }
        Error::MaximumPathDepthExceeded => VerifyError::ChainTooLong,
        Error::PathLenConstraintViolated => VerifyError::PathLength,
        Error::UnsupportedCriticalExtension => VerifyError::CriticalExtension,
        Error::InvalidSignatureForPublicKey | Error::SignatureAlgorithmMismatch => VerifyError::Signature,
        Error::EndEntityUsedAsCa => VerifyError::NoCa,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => VerifyError::Purpose,
        _ => VerifyError::Unspecified,
    }
}
