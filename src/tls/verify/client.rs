//! Certificates of clients during the handshake: whatever they show is taken, if they have its key.
//!
//! Whether it is trusted is found out when there is a request to answer (`Trust::verify_client`), as nginx does: a client that is
//! not trusted gets an answer that says so (495, 496), and `optional_no_ca` passes it on.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::signature;
use crate::trust::Trust;

/// What asks clients for a certificate and takes any, for `ssl_verify_client` with any value but `off`.
pub fn client_verifier(trust: &Trust, provider: &CryptoProvider) -> Arc<dyn ClientCertVerifier> {
    Arc::new(AnyClient {
        announced: trust.announced().to_vec(),
        algorithms: provider.signature_verification_algorithms,
    })
}

#[derive(Debug)]
struct AnyClient {
    announced: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.announced
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::tls12(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::tls13(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
