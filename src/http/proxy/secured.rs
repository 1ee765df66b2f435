//! How an upstream is asked over TLS: by the location's settings, and the names that a request makes of them.

use std::sync::Arc;

use config::{ProxyPass, ProxySslConf, ProxyTarget, Scheme, VariableSource};
use rustls::sign::CertifiedKey;
use tls::{ClientContext, ClientWish, IdentityError, NamedCertificate, PeerName};

use super::request::{proxy_host, proxy_scheme};
use crate::{
    clock::{self, Moment},
    http::{
        Exchange, Fault,
        fault::{Kind, Side},
    },
};

/// What a location that asks over TLS keeps for it.
pub struct Securing {
    context: Arc<ClientContext>,
    /// The wish of all its requests, where they have but one.
    only: Option<Arc<ClientWish>>,
}

impl Securing {
    /// Works out what can be known before there is a request.
    pub fn new(context: &Arc<ClientContext>, conf: &ProxySslConf, pass: &ProxyPass) -> Self {
        let name = match (&*conf.name, &pass.target) {
            _ if !context.wants_name() => Some(PeerName::nobody()),
            (Some(name), _) => name.as_text().map(PeerName::parse),
            (None, ProxyTarget::Group(_)) => Some(PeerName::parse(pass.host.as_bytes())),
            (None, ProxyTarget::Variable(_)) => None,
        };
        let name = name.filter(|_| context.named_certificate().is_none());
        let only = name.map(|name| Arc::new(ClientWish::new(Arc::clone(context), name, None)));
        Self { context: Arc::clone(context), only }
    }

    /// Returns what a connection must have been made with; `host` is `$proxy_host`.
    ///
    /// # Errors
    /// The certificate that the variables name cannot be had.
    pub async fn wish(
        &self,
        conf: &ProxySslConf,
        host: &str,
        values: &impl VariableSource,
    ) -> Result<Arc<ClientWish>, IdentityError> {
        if let Some(only) = &self.only {
            return Ok(Arc::clone(only));
        }
        let name = match &*conf.name {
            _ if !self.context.wants_name() => PeerName::nobody(),
            Some(name) => PeerName::parse(&name.expand(values)),
            None => PeerName::parse(host.as_bytes()),
        };
        let identity = match self.context.named_certificate() {
            None => None,
            Some(named) => shown(named, values).await?,
        };
        Ok(Arc::new(ClientWish::new(Arc::clone(&self.context), name, identity)))
    }
}

/// Returns the certificate that variables name; none where they name none.
async fn shown(
    named: &Arc<NamedCertificate>,
    values: &impl VariableSource,
) -> Result<Option<Arc<CertifiedKey>>, IdentityError> {
    let Some(pair) = named.pair_if_named(values) else { return Ok(None) };
    let now = clock::moment().since(Moment::default());
    if let Some(kept) = named.kept(&pair, now) {
        return Ok(Some(kept));
    }
    let named = Arc::clone(named);
    match tokio::task::spawn_blocking(move || named.load(&pair, now)).await {
        Ok(loaded) => loaded.map(Some),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Returns what a request's connection must have been made with; none where it is asked in clear text.
pub async fn wish(exchange: &Exchange, pass: &ProxyPass) -> Result<Option<Arc<ClientWish>>, Fault> {
    if proxy_scheme(exchange, pass) == Scheme::Http {
        return Ok(None);
    }
    let securing = exchange.location_state().securing.as_ref();
    let securing = securing.expect("the site keeps one for each proxy_pass that may ask over TLS");
    let conf = &exchange.location.proxy_ssl;
    let made = securing.wish(conf, proxy_host(exchange, pass), exchange).await;
    // As nginx: no other peer would change that.
    made.map(Some).map_err(|error| Fault {
        during: "connecting to upstream",
        ..Fault::new(Side::Server, Kind::Status(500), error.to_string())
    })
}
