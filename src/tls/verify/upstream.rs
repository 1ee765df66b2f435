//! Certificates of upstreams during the handshake, as `proxy_ssl_verify` asks for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Role, Tier, judge, names, signature};
use crate::trust::Trust;

/// Which name an upstream's certificate has to be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedName {
    /// The name that the connection is opened with.
    OfConnection,
    /// This name or address, where `proxy_ssl_name` is nothing that a connection can be opened with.
    Given(Box<[u8]>),
}

/// What verifies the certificates of upstreams: against `trust`, or not at all where there is none (`proxy_ssl_verify off`).
///
/// In both cases the upstream has to prove that it has the key of the certificate that it shows.
pub fn upstream_verifier(
    trust: Option<Arc<Trust>>,
    name: ExpectedName,
    provider: &CryptoProvider,
) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Upstream {
        trust,
        name,
        algorithms: provider.signature_verification_algorithms,
        told: AtomicBool::new(false),
    })
}

#[derive(Debug)]
struct Upstream {
    trust: Option<Arc<Trust>>,
    name: ExpectedName,
    algorithms: WebPkiSupportedAlgorithms,
    /// Whether it has been logged that a certificate is trusted by OpenSSL's rules only.
    told: AtomicBool,
}

impl ServerCertVerifier for Upstream {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let mut sent = vec![end_entity.clone()];
        sent.extend_from_slice(intermediates);
        let tier = judge(&sent, trust, Role::Server, now)?;
        let connected;
        let expected = match &self.name {
            ExpectedName::OfConnection => {
                connected = server_name.to_str();
                connected.as_bytes()
            }
            ExpectedName::Given(name) => name,
        };
        names::check(end_entity, expected)?;
        if tier == Tier::OpenSslOnly && !self.told.swap(true, Ordering::Relaxed) {
            let name = String::from_utf8_lossy(expected);
            tracing::info!("upstream SSL certificate of \"{name}\" is verified by OpenSSL's rules only");
        }
        Ok(ServerCertVerified::assertion())
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
