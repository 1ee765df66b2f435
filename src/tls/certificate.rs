//! Certificates in PEM, and what of their inside is needed before they are shown to anybody.
//!
//! Parsing is lenient as OpenSSL's: any version, any extension.

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, x509::SubjectPublicKeyInfo};

use crate::pem::{Blocks, PemError};

/// Why a text gives no certificates, in nginx's and OpenSSL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum CertificateError {
    /// There is none.
    #[error(
        "PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)"
    )]
    None,
    /// The first.
    #[error("PEM_read_bio_X509_AUX() failed (SSL: {0})")]
    First(Flaw),
    /// One of those after the first.
    #[error("PEM_read_bio_X509() failed (SSL: {0})")]
    Later(Flaw),
}

/// What is wrong with one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Flaw {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error(
        "error:0688010A:asn1 encoding routines::nested asn1 error:Type=X509 error:0488000D:PEM routines::ASN1 lib"
    )]
    Inside,
}

/// Reads a certificate and those after it; there is at least one in what comes back.
pub(crate) fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut chain = Vec::new();
    for block in Blocks::of(text) {
        let here = |flaw| {
            if chain.is_empty() { CertificateError::First(flaw) } else { CertificateError::Later(flaw) }
        };
        let block = block.map_err(|error| here(Flaw::Pem(error)))?;
        let is_certificate = match block.label.as_slice() {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => true,
            // OpenSSL's own form, with what it is trusted for after it. As nginx: only in front.
            b"TRUSTED CERTIFICATE" => chain.is_empty(),
            _ => false,
        };
        if is_certificate {
            let length = parse(&block.der).map(|(_, length)| length).map_err(here)?;
            chain.push(CertificateDer::from(block.der[..length].to_vec()));
        }
    }
    if chain.is_empty() { Err(CertificateError::None) } else { Ok(chain) }
}

/// The public key that a certificate is about.
pub(crate) fn public_key<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfo<'a>, CertificateError> {
    let parsed = parse(certificate).map_err(CertificateError::First)?.0;
    Ok(parsed.tbs_certificate.subject_pki)
}

/// Parses a certificate and tells its length.
fn parse(der: &[u8]) -> Result<(X509Certificate<'_>, usize), Flaw> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Flaw::Inside)?;
    Ok((certificate, der.len() - rest.len()))
}
