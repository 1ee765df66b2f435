//! TLS with clients where variables name the certificates: all is ready but these, which come with each handshake.
//!
//! Sessions are bound to the certificates that they saw, so that none is taken up with others.

use std::{sync::Arc, time::Duration};

use config::VariableSource;
use rustls::{CipherSuite, ServerConfig, sign::CertifiedKey};

use crate::{
    identity::{IdentityError, Pair},
    resolver::Resolver,
    resumption::SessionKeeper,
    server::{Configs, Offer, SessionBinding},
    server_certificates::Certificates,
};

/// What TLS with clients is like for a server block whose certificates have variables in their names.
pub struct NamedServer {
    pub(crate) certificates: Certificates,
    /// With no certificate that counts.
    pub(crate) configs: Configs,
    pub(crate) keeper: SessionKeeper,
    pub(crate) binding: SessionBinding,
}

impl NamedServer {
    /// Names the certificates and their keys as a handshake's variables have it.
    pub fn pairs(&self, values: &impl VariableSource) -> Vec<Pair> {
        self.certificates.named.iter().map(|named| named.pair(values)).collect()
    }

    /// Returns what is kept of all of them (`ssl_certificate_cache`); this never blocks for long.
    pub fn kept(&self, pairs: &[Pair], now: Duration) -> Option<Vec<Arc<CertifiedKey>>> {
        self.certificates.named.iter().zip(pairs).map(|(named, pair)| named.kept(pair, now)).collect()
    }

    /// Reads them. This blocks.
    ///
    /// # Errors
    /// Why one cannot be shown, in nginx's words.
    pub fn load(&self, pairs: &[Pair], now: Duration) -> Result<Vec<Arc<CertifiedKey>>, IdentityError> {
        self.certificates.named.iter().zip(pairs).map(|(named, pair)| named.load(pair, now)).collect()
    }

    /// Makes what a handshake is answered with for a client that offers these ciphers.
    pub fn config(
        &self,
        identities: Vec<Arc<CertifiedKey>>,
        offer: Offer,
        ciphers: &[CipherSuite],
    ) -> Arc<ServerConfig> {
        let named = identities.into_iter().map(|identity| self.certificates.restricted(identity));
        let shown: Vec<_> = named.chain(self.certificates.fixed.iter().cloned()).collect();
        let mut config = ServerConfig::clone(self.configs.choose(offer, ciphers));
        self.keeper.apply(&mut config, self.binding.context(&shown));
        config.cert_resolver = Arc::new(Resolver::new(shown));
        Arc::new(config)
    }
}
