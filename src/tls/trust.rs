//! Whom to trust: the certificates and lists that `ssl_trusted_certificate`, `ssl_client_certificate`, `ssl_crl` and their
//! `proxy_` siblings name, loaded once.
//!
//! Loading blocks, so it is done where a configuration is put in force. Judging what a peer shows is pure but for `now`.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{
    crl::{Crl, CrlError, Crls},
    pem::Blocks,
    source::fopen_words,
    verify::{self, Certificate, Frame, VerifyError},
};

/// The files that say whom to trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrustFiles<'a> {
    /// `ssl_client_certificate`: trusted, and named to clients so that they can choose a certificate.
    pub announced: Option<&'a Path>,
    /// `ssl_trusted_certificate`, `proxy_ssl_trusted_certificate`: trusted.
    pub trusted: Option<&'a Path>,
    /// `ssl_crl`, `proxy_ssl_crl`: lists of revoked certificates; with them each certificate of a chain needs one.
    pub crl: Option<&'a Path>,
    /// `ssl_verify_depth`, `proxy_ssl_verify_depth`: how many certificates may stand between a peer's and the root.
    pub depth: u64,
}

/// Whom to trust.
#[derive(Debug, Default)]
pub struct Trust {
    /// By subject.
    certificates: HashMap<Box<[u8]>, Vec<CertificateDer<'static>>>,
    announced: Vec<DistinguishedName>,
    crls: Crls,
    depth: u64,
}

/// Why a file of trusted certificates or revoked ones cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// About certificates.
    #[error("cannot load certificate \"{}\": {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is the matter with it.
        #[source]
        reason: Unusable,
    },
    /// About lists of revoked certificates.
    #[error("cannot load CRL \"{}\": {reason}", path.display())]
    Lists {
        /// The file.
        path: PathBuf,
        /// What is the matter with it.
        #[source]
        reason: Unusable,
    },
}

/// What is the matter with a file.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("BIO_new_file() failed (SSL: {words})")]
    Unreadable {
        /// What OpenSSL says of it.
        words: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// There is nothing of what it is to hold.
    #[error("PEM_read_bio() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: {expected})")]
    Empty {
        /// How such a section begins.
        expected: &'static str,
    },
    /// What is in it is not PEM.
    #[error("PEM_read_bio() failed (SSL: {words})")]
    NoPem {
        /// What OpenSSL says of it.
        words: String,
    },
    /// A certificate with OpenSSL's own rules of trust, which are not known here.
    #[error("\"TRUSTED CERTIFICATE\" is not supported")]
    TrustedCertificate,
    /// A certificate that is none.
    #[error("certificate {number} is not valid DER")]
    NoCertificate {
        /// Which one, the first being 1.
        number: usize,
    },
    /// A list that cannot be used.
    #[error("list {number}: {error}")]
    List {
        /// Which one, the first being 1.
        number: usize,
        /// Why.
        #[source]
        error: CrlError,
    },
}

impl Trust {
    /// Reads the files.
    pub fn load(files: &TrustFiles<'_>) -> Result<Self, TrustError> {
        let mut trust = Self { depth: files.depth, ..Self::default() };
        if let Some(path) = files.announced {
            for certificate in certificates(path)? {
                trust.announce(&certificate);
                trust.add(certificate);
            }
        }
        if let Some(path) = files.trusted {
            for certificate in certificates(path)? {
                trust.add(certificate);
            }
        }
        if let Some(path) = files.crl {
            let lists = lists(path).map_err(|reason| TrustError::Lists { path: path.to_owned(), reason })?;
            trust.crls = Crls::Required(lists);
        }
        Ok(trust)
    }

    /// Judges what a client sent, its own certificate first. The error's text is what `$ssl_client_verify` shows.
    pub fn verify_client(&self, sent: &[CertificateDer<'_>], now: SystemTime) -> Result<(), VerifyError> {
        let since = now.duration_since(UNIX_EPOCH).map_err(|_| VerifyError::Unspecified)?;
        verify::judge_client(sent, self, UnixTime::since_unix_epoch(since))
    }

    /// Whom clients are told that they may have their certificates from.
    pub fn announced(&self) -> &[DistinguishedName] {
        &self.announced
    }

    /// The trusted certificates of this subject.
    pub(crate) fn named(&self, subject: &[u8]) -> &[CertificateDer<'static>] {
        self.certificates.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Whether just this certificate is trusted.
    pub(crate) fn holds(&self, certificate: &Certificate<'_>) -> bool {
        self.named(certificate.frame.subject).iter().any(|trusted| **trusted == *certificate.der)
    }

    pub(crate) fn crls(&self) -> &Crls {
        &self.crls
    }

    pub(crate) fn depth(&self) -> u64 {
        self.depth
    }

    fn add(&mut self, certificate: CertificateDer<'static>) {
        let Some(frame) = Frame::read(&certificate) else { return };
        let same_subject = self.certificates.entry(frame.subject.into()).or_default();
        if !same_subject.contains(&certificate) {
            same_subject.push(certificate);
        }
    }

    fn announce(&mut self, certificate: &CertificateDer<'_>) {
        let Some(frame) = Frame::read(certificate) else { return };
        let is_known = self.announced.iter().any(|name| name.as_ref() == frame.subject);
        if !is_known {
            self.announced.push(DistinguishedName::from(frame.subject.to_vec()));
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = || {
        let certificates = sections(path, &["CERTIFICATE", "X509 CERTIFICATE"])?;
        match certificates.iter().position(|certificate| Frame::read(certificate).is_none()) {
            Some(bad) => Err(Unusable::NoCertificate { number: bad + 1 }),
            None => Ok(certificates.into_iter().map(CertificateDer::from).collect()),
        }
    };
    read().map_err(|reason| TrustError::Certificates { path: path.to_owned(), reason })
}

fn lists(path: &Path) -> Result<Vec<Crl>, Unusable> {
    let lists = sections(path, &["X509 CRL"])?;
    let read = |(index, list): (usize, Vec<u8>)| {
        Crl::read(&list).map_err(|error| Unusable::List { number: index + 1, error })
    };
    lists.into_iter().enumerate().map(read).collect()
}

/// The sections with these labels in a PEM file, whatever else it says.
fn sections(path: &Path, labels: &[&'static str]) -> Result<Vec<Vec<u8>>, Unusable> {
    let unreadable = |error| Unusable::Unreadable { words: fopen_words(path, "r", &error), error };
    let text = fs::read(path).map_err(unreadable)?;
    let mut sections = Vec::new();
    for block in Blocks::of(&text) {
        let block = block.map_err(|error| Unusable::NoPem { words: error.to_string() })?;
        if block.label == b"TRUSTED CERTIFICATE" {
            return Err(Unusable::TrustedCertificate);
        }
        if labels.iter().any(|label| block.label == label.as_bytes()) {
            sections.push(block.der);
        }
    }
    if sections.is_empty() { Err(Unusable::Empty { expected: labels[0] }) } else { Ok(sections) }
}
