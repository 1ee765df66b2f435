//! What a server block names its certificates with: files and texts that are read with the configuration, or variables.
//!
//! As nginx: where one name has a variable, all of the block's are looked up in each handshake.

use std::{path::Path, sync::Arc};

use config::{SslConf, Template};
use rustls::{SignatureScheme, sign::CertifiedKey};

use crate::{
    algorithms::Commanded,
    identity::{Identities, IdentityError, Pair},
    identity_cache::IdentityCache,
    named_certificate::NamedCertificate,
    restricted::restrict,
    server::Told,
    stapling::{read_stapling, staple},
};

/// The certificates of a server block.
pub(crate) struct Certificates {
    /// Those that are read, ready to be shown; beside those that variables name, only what `ssl_conf_command` adds.
    pub(crate) fixed: Vec<Arc<CertifiedKey>>,
    /// Those that variables name.
    pub(crate) named: Vec<NamedCertificate>,
    /// What keys sign with; absent where all will do.
    schemes: Option<Vec<SignatureScheme>>,
}

impl Certificates {
    /// Reads what is not named by variables.
    pub(crate) fn of(
        conf: &SslConf,
        more: &Commanded,
        directory: &Path,
        identities: &mut Identities,
        warned: &mut Vec<Told>,
    ) -> Result<Self, Told> {
        let is_named = pairs(conf).any(|(certificate, key)| {
            let texts = (certificate.as_text(), key.as_text());
            texts.0.is_none() || texts.1.is_none()
        });
        let (mut fixed, named) = match is_named {
            true => (Vec::new(), named(conf, directory, identities, warned)?),
            false => (read(conf, directory, identities)?, Vec::new()),
        };
        for (certificate, key) in more.certificates.iter().zip(&more.private_keys) {
            let pair = Pair::of(certificate.as_bytes(), key.as_bytes(), directory);
            let identity = identities.load(&pair, conf.password_file.as_deref());
            fixed.push(identity.map_err(|error| Told::of("ssl_conf_command", &error))?);
        }
        let mut certificates = Self { fixed: Vec::new(), named, schemes: more.signature_schemes.clone() };
        certificates.fixed = fixed.into_iter().map(|identity| certificates.restricted(identity)).collect();
        Ok(certificates)
    }

    /// Says whether there is nothing to be shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.named.is_empty()
    }

    /// Has a certificate's key sign as it may.
    pub(crate) fn restricted(&self, identity: Arc<CertifiedKey>) -> Arc<CertifiedKey> {
        match &self.schemes {
            None => identity,
            Some(schemes) => restrict(&identity, schemes),
        }
    }
}

fn pairs(conf: &SslConf) -> impl Iterator<Item = (&Template, &Template)> {
    conf.certificate.iter().zip(&*conf.certificate_key)
}

fn named(
    conf: &SslConf,
    directory: &Path,
    identities: &mut Identities,
    warned: &mut Vec<Told>,
) -> Result<Vec<NamedCertificate>, Told> {
    if conf.stapling_file.is_some() {
        let message = "\"ssl_stapling_file\" ignored, certificates are named by variables".to_owned();
        warned.push(Told { directive: "ssl_stapling_file", number: 0, message });
    }
    let passwords = conf.password_file.as_deref().map(|path| identities.passwords(path)).transpose();
    let passwords = passwords.map_err(|error| Told::of("ssl_password_file", &error))?;
    let cache = conf.certificate_cache.map(|limits| Arc::new(IdentityCache::new(limits)));
    let named = |(certificate, key): (&Template, &Template)| NamedCertificate {
        certificate: certificate.clone(),
        key: key.clone(),
        directory: directory.to_owned(),
        passwords: passwords.clone(),
        cache: cache.clone(),
    };
    Ok(pairs(conf).map(named).collect())
}

fn read(
    conf: &SslConf,
    directory: &Path,
    identities: &mut Identities,
) -> Result<Vec<Arc<CertifiedKey>>, Told> {
    let passwords = conf.password_file.as_deref();
    let proof = conf.stapling_file.as_deref().map(read_stapling).transpose();
    let proof = proof.map_err(|error| Told::of("ssl_stapling_file", &error))?;
    let mut all = Vec::new();
    for (number, (certificate, key)) in pairs(conf).enumerate() {
        let texts = certificate.as_text().zip(key.as_text());
        let (certificate, key) = texts.expect("names with variables are not read");
        let identity =
            identities.load(&Pair::of(certificate, key, directory), passwords).map_err(|error| {
                let directive = match &error {
                    IdentityError::Certificate(..) | IdentityError::Unfit(..) => "ssl_certificate",
                    IdentityError::Key(..) | IdentityError::Mismatch(..) => "ssl_certificate_key",
                    IdentityError::Passwords(_) => "ssl_password_file",
                };
                Told { directive, number, message: error.to_string() }
            })?;
        all.push(match &proof {
            None => identity,
            Some(proof) => staple(&identity, proof.clone()),
        });
    }
    Ok(all)
}
