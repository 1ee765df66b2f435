//! A certificate with its chain and its key: read, checked against each other, ready to be shown to a peer.
//!
//! The check is our own, over the public keys: rustls's would parse the certificate as webpki does, which refuses X.509 v1
//! and more that OpenSSL's users have. Messages read as nginx's with OpenSSL 3.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::{prelude::FromDer as _, x509::SubjectPublicKeyInfo};

use crate::{
    certificate,
    key_kind::{self, Fitness, KeyKind},
    passwords::{Passwords, PasswordsError},
    private_key::{self, KeyError},
    source::Source,
};

/// What `ssl_certificate` and the `ssl_certificate_key` beside it name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The certificate and the chain above it.
    pub certificate: Source,
    /// Its key.
    pub key: Source,
}

impl Pair {
    /// Reads the values of the two directives; relative names start from `directory`.
    pub(crate) fn of(certificate: &[u8], key: &[u8], directory: &Path) -> Self {
        Self { certificate: Source::certificate(certificate, directory), key: Source::key(key, directory) }
    }
}

/// Why a pair cannot be used, in nginx's words.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The certificate or its chain cannot be read.
    #[error("cannot load certificate \"{0}\": {1}")]
    Certificate(Source, String),
    /// The certificate is not fit for use.
    #[error("SSL_CTX_use_certificate(\"{0}\") failed ({1})")]
    Unfit(Source, String),
    /// The key cannot be read.
    #[error("cannot load certificate key \"{0}\": {1}")]
    Key(Source, String),
    /// The key belongs to another certificate.
    #[error("SSL_CTX_use_PrivateKey(\"{0}\") failed (SSL: {1})")]
    Mismatch(Source, &'static str),
    /// The file with passphrases cannot be read.
    #[error(transparent)]
    Passwords(#[from] PasswordsError),
}

/// Reads pairs for one configuration: each file once, however many servers name it.
#[derive(Debug, Default)]
pub struct Identities {
    known: HashMap<(Pair, Option<PathBuf>), Arc<CertifiedKey>>,
    passwords: HashMap<PathBuf, Arc<Passwords>>,
}

impl Identities {
    /// Reads a pair, or gives the one that was read before; `passwords` is the file with passphrases.
    pub fn load(
        &mut self,
        pair: &Pair,
        passwords: Option<&Path>,
    ) -> Result<Arc<CertifiedKey>, IdentityError> {
        let name = (pair.clone(), passwords.map(Path::to_path_buf));
        if let Some(known) = self.known.get(&name) {
            return Ok(Arc::clone(known));
        }
        let passwords = passwords.map(|path| self.passwords(path)).transpose()?;
        let loaded = load(pair, passwords.as_deref())?;
        self.known.insert(name, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Reads a file with passphrases, once: it may be a named pipe.
    pub fn passwords(&mut self, path: &Path) -> Result<Arc<Passwords>, PasswordsError> {
        if let Some(known) = self.passwords.get(path) {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(Passwords::read(path)?);
        self.passwords.insert(path.to_path_buf(), Arc::clone(&read));
        Ok(read)
    }
}

/// Reads a pair; this blocks, and uses the processor for as long as a key takes to be checked.
pub fn load(pair: &Pair, passwords: Option<&Passwords>) -> Result<Arc<CertifiedKey>, IdentityError> {
    let not_loaded = |reason: String| IdentityError::Certificate(pair.certificate.clone(), reason);
    let text = pair.certificate.read().map_err(|error| not_loaded(error.to_string()))?;
    let chain = certificate::read_chain(&text).map_err(|error| not_loaded(error.to_string()))?;
    let leaf = certificate::public_key(&chain[0]).map_err(|error| not_loaded(error.to_string()))?;
    let unfit = |reason: String| Err(IdentityError::Unfit(pair.certificate.clone(), reason));
    match key_kind::fitness(&leaf) {
        Fitness::Usable(_) => {}
        Fitness::TooSmall => return unfit("SSL: error:0A00018F:SSL routines::ee key too small".to_owned()),
        Fitness::Unsupported(kind) => {
            return unfit(format!("{kind} keys are not supported: {}", key_kind::SUPPORTED));
        }
    }
    let key = load_key(&pair.key, passwords)?;
    if let Some(words) = mismatch(&leaf, key.as_ref()) {
        return Err(IdentityError::Mismatch(pair.key.clone(), words));
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

fn load_key(source: &Source, passwords: Option<&Passwords>) -> Result<Arc<dyn SigningKey>, IdentityError> {
    let not_loaded = |reason: String| IdentityError::Key(source.clone(), reason);
    let text = source.read().map_err(|error| not_loaded(error.to_string()))?;
    private_key::read(&text, passwords).map_err(|error| {
        not_loaded(match error {
            // What OpenSSL has no words for.
            KeyError::Scheme(_) | KeyError::Kind(_) => error.to_string(),
            _ => format!("PEM_read_bio_PrivateKey() failed (SSL: {error})"),
        })
    })
}

/// Compares a certificate's public key with a key's own; what OpenSSL says where they differ.
fn mismatch(leaf: &SubjectPublicKeyInfo<'_>, key: &dyn SigningKey) -> Option<&'static str> {
    let own = key.public_key();
    let own = own.as_ref().and_then(|own| SubjectPublicKeyInfo::from_der(own.as_ref()).ok());
    match own {
        Some((_, own)) if own.subject_public_key == leaf.subject_public_key => None,
        Some((_, own)) if own.algorithm.algorithm != leaf.algorithm.algorithm => {
            Some("error:05800073:x509 certificate routines::key type mismatch")
        }
        // rustls tells of no key without its public half.
        Some(_) | None => Some("error:05800074:x509 certificate routines::key values mismatch"),
    }
}

/// The kind of an identity's key; `None` for a key that [`load`] does not let through.
pub(crate) fn kind(identity: &CertifiedKey) -> Option<KeyKind> {
    let leaf: &CertificateDer<'_> = identity.cert.first()?;
    match key_kind::fitness(&certificate::public_key(leaf).ok()?) {
        Fitness::Usable(kind) => Some(kind),
        Fitness::TooSmall | Fitness::Unsupported(_) => None,
    }
}

#[cfg(test)]
mod tests;
