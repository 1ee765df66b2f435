//! A verifier that offers peers some schemes for signatures only (`proxy_ssl_conf_command SignatureAlgorithms`).

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

#[derive(Debug)]
struct Offering {
    verifier: Arc<dyn ServerCertVerifier>,
    /// The most wanted first.
    schemes: Vec<SignatureScheme>,
}

/// Has a verifier offer these schemes, as far as it has them.
pub(crate) fn offering(
    verifier: Arc<dyn ServerCertVerifier>,
    schemes: &[SignatureScheme],
) -> Arc<dyn ServerCertVerifier> {
    let known = verifier.supported_verify_schemes();
    let schemes = schemes.iter().copied().filter(|scheme| known.contains(scheme)).collect();
    Arc::new(Offering { verifier, schemes })
}

impl ServerCertVerifier for Offering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
