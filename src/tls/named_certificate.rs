//! A certificate whose name has variables: which one it is comes out with a request or a handshake.
//!
//! What is kept of it (`ssl_certificate_cache`, `proxy_ssl_certificate_cache`) is had at once; all else is read where blocking is
//! allowed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use config::{Template, VariableSource};
use rustls::sign::CertifiedKey;

use crate::{
    identity::{self, IdentityError, Pair},
    identity_cache::IdentityCache,
    passwords::Passwords,
};

/// A certificate whose name has variables.
pub struct NamedCertificate {
    pub(crate) certificate: Template,
    pub(crate) key: Template,
    /// Where relative names start from.
    pub(crate) directory: PathBuf,
    pub(crate) passwords: Option<Arc<Passwords>>,
    pub(crate) cache: Option<Arc<IdentityCache>>,
}

impl NamedCertificate {
    /// Names a certificate and its key as variables have it.
    pub(crate) fn pair(&self, values: &impl VariableSource) -> Pair {
        Pair::of(&self.certificate.expand(values), &self.key.expand(values), &self.directory)
    }

    /// As for upstreams: an empty name is none.
    pub fn pair_if_named(&self, values: &impl VariableSource) -> Option<Pair> {
        (!self.certificate.expand(values).is_empty()).then(|| self.pair(values))
    }

    /// Returns what is kept of a pair; this never blocks for long.
    pub fn kept(&self, pair: &Pair, now: Duration) -> Option<Arc<CertifiedKey>> {
        self.cache.as_ref()?.fresh(pair, now)
    }

    /// Reads a pair. This blocks.
    ///
    /// # Errors
    /// Why it cannot be shown, in nginx's words.
    pub fn load(&self, pair: &Pair, now: Duration) -> Result<Arc<CertifiedKey>, IdentityError> {
        let passwords = self.passwords.as_deref();
        match &self.cache {
            None => identity::load(pair, passwords),
            Some(cache) => cache.load(pair, passwords, now),
        }
    }
}
