//! Lists of revoked certificates, of version 1 and 2.
//!
//! As OpenSSL with `X509_V_FLAG_CRL_CHECK_ALL`, which is what `ssl_crl` sets: each certificate of a chain needs a list of its
//! issuer, signed, in time and for certificates of its kind. Lists that only make sense together with others (delta, indirect,
//! for some reasons only) are refused when they are loaded.

use std::{collections::HashSet, sync::OnceLock};

use x509_parser::{
    extensions::{IssuingDistributionPoint, ParsedExtension, X509Extension},
    prelude::FromDer,
    x509::ReasonCode,
};

use crate::{
    der::{self, Reader, tag},
    verify::{Certificate, Complaints, IssuerKey, VerifyError, is_signed, seconds, uris},
};

/// Lists, if certificates need any.
#[derive(Debug, Default)]
pub(crate) enum Crls {
    /// Nobody asks whether certificates are revoked.
    #[default]
    Ignored,
    /// Each certificate needs one of these.
    Required(Vec<Crl>),
}

/// One list.
#[derive(Debug)]
pub(crate) struct Crl {
    issuer: Box<[u8]>,
    issuer_key: Option<OwnedKey>,
    /// Seconds since 1970.
    this_update: i64,
    next_update: Option<i64>,
    /// Numbers of certificates.
    revoked: HashSet<Box<[u8]>>,
    scope: Scope,
    has_unknown_critical: bool,
    signed: Signed,
    /// The key that has been found to have signed it: lists are long, and their issuers few.
    signer: OnceLock<Box<[u8]>>,
}

/// Why a list cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// It cannot be read.
    #[error("not a valid certificate revocation list")]
    Garbled,
    /// It says only what changed since another list.
    #[error("delta CRLs are not supported")]
    Delta,
    /// It is about certificates of other issuers.
    #[error("indirect CRLs are not supported")]
    Indirect,
    /// It is complete for some reasons only.
    #[error("CRLs for some reasons only are not supported")]
    SomeReasons,
}

/// Which of several keys of an issuer signed.
#[derive(Debug)]
struct OwnedKey {
    id: Option<Box<[u8]>>,
    serial: Option<Box<[u8]>>,
    issuer: Option<Box<[u8]>>,
}

/// Which certificates of its issuer a list is about.
#[derive(Debug, Default)]
struct Scope {
    kind: Kind,
    /// Only those that name one of these places for their list.
    at: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    All,
    Peers,
    Authorities,
    /// Of attributes, which TLS does not have.
    Attributes,
}

/// What the issuer signed.
#[derive(Debug)]
struct Signed {
    tbs: Box<[u8]>,
    inner_algorithm: Box<[u8]>,
    algorithm: Box<[u8]>,
    signature: Box<[u8]>,
}

impl Crls {
    /// Looks each certificate of a chain up; each is followed by its issuer, but for the last one.
    pub(crate) fn check(&self, chain: &[Certificate<'_>], now: i64, complaints: &mut Complaints) {
        let Self::Required(lists) = self else { return };
        for (index, certificate) in chain.iter().enumerate() {
            // Without an issuer it is taken for its own: no list is signed by it then.
            let issuer = chain.get(index + 1).unwrap_or(certificate);
            match best(lists, certificate, issuer, now) {
                Some(list) if !certificate.claims.has_lists_by_reason => {
                    list.check(certificate, issuer, now, complaints);
                }
                Some(_) | None => complaints.add(VerifyError::NoCrl),
            }
        }
    }
}

/// The list that tells most of a certificate: as OpenSSL, one that may be used rather than the latest one.
fn best<'a>(
    lists: &'a [Crl],
    certificate: &Certificate<'_>,
    issuer: &Certificate<'_>,
    now: i64,
) -> Option<&'a Crl> {
    // Backwards, since the last of those that are worth the same is taken.
    let fitting = lists.iter().rev().filter(|list| {
        *list.issuer == *certificate.frame.issuer
            && list.issuer_key.as_ref().is_none_or(|key| key.borrowed().fits(issuer))
    });
    let worth = |list: &&Crl| {
        (!list.has_unknown_critical, list.scope.covers(certificate), list.holds_at(now), list.this_update)
    };
    fitting.max_by_key(worth)
}

impl Crl {
    /// Reads a list.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, CrlError> {
        let mut outer = Reader::new(der::only(bytes, tag::SEQUENCE).ok_or(CrlError::Garbled)?.content);
        let frame = || {
            let tbs = outer.expect(tag::SEQUENCE)?;
            let algorithm = outer.expect(tag::SEQUENCE)?.whole;
            let signature = der::whole_bits(outer.expect(tag::BIT_STRING)?)?;
            outer.is_empty().then_some((tbs, algorithm, signature))
        };
        let mut frame = frame;
        let (tbs, algorithm, signature) = frame().ok_or(CrlError::Garbled)?;
        let mut fields = Reader::new(tbs.content);
        let head = Head::read(&mut fields).ok_or(CrlError::Garbled)?;
        let mut list = Self {
            issuer: head.issuer.into(),
            issuer_key: None,
            this_update: head.this_update,
            next_update: head.next_update,
            revoked: HashSet::new(),
            scope: Scope::default(),
            has_unknown_critical: false,
            signed: Signed {
                tbs: tbs.whole.into(),
                inner_algorithm: head.algorithm.into(),
                algorithm: algorithm.into(),
                signature: signature.into(),
            },
            signer: OnceLock::new(),
        };
        if let Some(entries) = fields.optional(tag::SEQUENCE).ok_or(CrlError::Garbled)? {
            list.take_entries(entries.content)?;
        }
        if let Some(explicit) = fields.optional(tag::CONTEXT_0).ok_or(CrlError::Garbled)? {
            let extensions = der::only(explicit.content, tag::SEQUENCE).ok_or(CrlError::Garbled)?;
            list.take_extensions(extensions.content)?;
        }
        if fields.is_empty() { Ok(list) } else { Err(CrlError::Garbled) }
    }

    fn take_entries(&mut self, entries: &[u8]) -> Result<(), CrlError> {
        let mut entries = Reader::new(entries);
        while !entries.is_empty() {
            let entry = entries.expect(tag::SEQUENCE).ok_or(CrlError::Garbled)?;
            let mut fields = Reader::new(entry.content);
            let serial = fields.expect(tag::INTEGER).ok_or(CrlError::Garbled)?.content;
            fields.any().ok_or(CrlError::Garbled)?;
            let extensions = fields.optional(tag::SEQUENCE).ok_or(CrlError::Garbled)?;
            let standing = match extensions {
                Some(extensions) => self.standing(extensions.content)?,
                None => Standing::Revoked,
            };
            if !fields.is_empty() {
                return Err(CrlError::Garbled);
            }
            if standing == Standing::Revoked {
                self.revoked.insert(serial.into());
            }
        }
        Ok(())
    }

    /// What the extensions of an entry make of it.
    fn standing(&mut self, extensions: &[u8]) -> Result<Standing, CrlError> {
        let mut standing = Standing::Revoked;
        for extension in read_extensions(extensions)? {
            match extension.parsed_extension() {
                ParsedExtension::ReasonCode(ReasonCode::RemoveFromCRL) => standing = Standing::Restored,
                ParsedExtension::ReasonCode(_) | ParsedExtension::InvalidityDate(_) => {}
                _ if extension.oid.to_id_string() == CERTIFICATE_ISSUER => return Err(CrlError::Indirect),
                _ => self.has_unknown_critical |= extension.critical,
            }
        }
        Ok(standing)
    }

    fn take_extensions(&mut self, extensions: &[u8]) -> Result<(), CrlError> {
        for extension in read_extensions(extensions)? {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(key) => {
                    self.issuer_key = Some(OwnedKey::from(IssuerKey::from(key)));
                }
                ParsedExtension::IssuingDistributionPoint(point) => self.scope = Scope::read(point)?,
                ParsedExtension::CRLNumber(_) => {}
                _ if extension.oid.to_id_string() == DELTA_INDICATOR => return Err(CrlError::Delta),
                _ => self.has_unknown_critical |= extension.critical,
            }
        }
        Ok(())
    }

    fn holds_at(&self, now: i64) -> bool {
        self.this_update <= now && self.next_update.is_none_or(|next| now < next)
    }

    fn check(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
        now: i64,
        complaints: &mut Complaints,
    ) {
        complaints.add_if(VerifyError::NoCrlSigning, || {
            issuer.claims.key_usage.is_some_and(|usage| !usage.signs_lists)
        });
        complaints.add_if(VerifyError::CrlScope, || !self.scope.covers(certificate));
        complaints.add_if(VerifyError::CrlNotYetValid, || self.this_update > now);
        complaints.add_if(VerifyError::CrlExpired, || self.next_update.is_some_and(|next| next <= now));
        complaints.add_if(VerifyError::CrlSignature, || !self.is_signed_by(issuer.frame.spki));
        complaints.add_if(VerifyError::CriticalCrlExtension, || self.has_unknown_critical);
        complaints.add_if(VerifyError::Revoked, || self.revoked.contains(certificate.frame.serial));
    }

    fn is_signed_by(&self, spki: &[u8]) -> bool {
        if self.signer.get().is_some_and(|signer| **signer == *spki) {
            return true;
        }
        let signed = &self.signed;
        let is_signed = signed.inner_algorithm == signed.algorithm
            && is_signed(spki, &signed.algorithm, &signed.tbs, &signed.signature);
        if is_signed {
            // Another thread may have been first, with this key or with another one of the issuer.
            self.signer.get_or_init(|| spki.into());
        }
        is_signed
    }
}

/// 2.5.29.27.
const DELTA_INDICATOR: &str = "2.5.29.27";
/// 2.5.29.29.
const CERTIFICATE_ISSUER: &str = "2.5.29.29";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Revoked,
    Restored,
}

/// What stands before the entries.
struct Head<'a> {
    algorithm: &'a [u8],
    issuer: &'a [u8],
    this_update: i64,
    next_update: Option<i64>,
}

impl<'a> Head<'a> {
    fn read(fields: &mut Reader<'a>) -> Option<Self> {
        fields.optional(tag::INTEGER)?;
        let algorithm = fields.expect(tag::SEQUENCE)?.whole;
        let issuer = fields.expect(tag::SEQUENCE)?.whole;
        let this_update = seconds(fields.any()?)?;
        let next_update = match fields.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(seconds(fields.any()?)?),
            Some(_) | None => None,
        };
        Some(Self { algorithm, issuer, this_update, next_update })
    }
}

impl Scope {
    fn read(point: &IssuingDistributionPoint<'_>) -> Result<Self, CrlError> {
        if point.indirect_crl {
            return Err(CrlError::Indirect);
        }
        if point.only_some_reasons.is_some() {
            return Err(CrlError::SomeReasons);
        }
        let flags = (
            point.only_contains_user_certs,
            point.only_contains_ca_certs,
            point.only_contains_attribute_certs,
        );
        let kind = match flags {
            (false, false, false) => Kind::All,
            (true, false, false) => Kind::Peers,
            (false, true, false) => Kind::Authorities,
            (false, false, true) => Kind::Attributes,
            _ => return Err(CrlError::Garbled),
        };
        let at = point.distribution_point.as_ref();
        let at = at.map(|point| uris(point).into_iter().map(str::to_owned).collect());
        Ok(Self { kind, at })
    }

    fn covers(&self, certificate: &Certificate<'_>) -> bool {
        let is_authority = certificate.claims.constraints.is_some_and(|constraints| constraints.is_authority);
        let is_kind = match self.kind {
            Kind::All => true,
            Kind::Peers => !is_authority,
            Kind::Authorities => is_authority,
            Kind::Attributes => false,
        };
        let names = |place: &String| certificate.claims.lists_at.contains(&place.as_str());
        is_kind && self.at.as_ref().is_none_or(|places| places.iter().any(names))
    }
}

impl OwnedKey {
    fn borrowed(&self) -> IssuerKey<'_> {
        IssuerKey { id: self.id.as_deref(), serial: self.serial.as_deref(), issuer: self.issuer.as_deref() }
    }
}

impl From<IssuerKey<'_>> for OwnedKey {
    fn from(key: IssuerKey<'_>) -> Self {
        Self {
            id: key.id.map(Into::into),
            serial: key.serial.map(Into::into),
            issuer: key.issuer.map(Into::into),
        }
    }
}

fn read_extensions(bytes: &[u8]) -> Result<Vec<X509Extension<'_>>, CrlError> {
    let mut extensions: Vec<X509Extension<'_>> = Vec::new();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let whole = reader.any().ok_or(CrlError::Garbled)?.whole;
        let (rest, extension) = X509Extension::from_der(whole).map_err(|_| CrlError::Garbled)?;
        let is_second = extensions.iter().any(|other| other.oid == extension.oid);
        let is_broken = matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. });
        if !rest.is_empty() || is_second || is_broken {
            return Err(CrlError::Garbled);
        }
        extensions.push(extension);
    }
    Ok(extensions)
}
