//! Signatures, checked with the public key alone.
//!
//! rustls's own functions read the whole certificate first and refuse those of version 1, so the key is taken out of the
//! certificate's frame here. Which algorithms there are is the business of whoever calls.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;

use super::frame::Frame;
use crate::der::{Reader, tag};

/// Checks that the holder of a certificate's key signed a TLS 1.2 handshake.
pub(super) fn tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = spki(certificate)?;
    let key = RawPublicKeyEntity::try_from(&spki).map_err(|_| CertificateError::BadEncoding)?;
    let possible = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, possible) = possible.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    // In TLS 1.2 one scheme stands for several curves, so each of them may be it.
    let valid = possible
        .iter()
        .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
    if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
}

/// Checks that the holder of a certificate's key signed a TLS 1.3 handshake.
pub(super) fn tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature_with_raw_key(message, &spki(certificate)?, signed, algorithms)
}

fn spki<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let frame = Frame::read(certificate).ok_or(CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(frame.spki))
}

/// Whether the key signed these bytes, as certificates and lists of revoked ones are signed.
///
/// `algorithm` and `spki` are the elements as they stand, with the SEQUENCE around them.
pub(crate) fn is_signed(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let spki = SubjectPublicKeyInfoDer::from(spki);
    let Ok(key) = RawPublicKeyEntity::try_from(&spki) else { return false };
    let Some(identifier) = Reader::new(algorithm).expect(tag::SEQUENCE) else { return false };
    let mut fitting =
        webpki::ALL_VERIFICATION_ALGS.iter().filter(|possible: &&&dyn SignatureVerificationAlgorithm| {
            *possible.signature_alg_id() == *identifier.content
        });
    fitting.any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
}
