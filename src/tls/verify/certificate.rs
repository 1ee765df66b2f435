//! What a certificate claims: the facts that the rules ask for, read once.
//!
//! Nothing is judged here. A certificate with an extension that cannot be read, or that stands there twice, is none.

use x509_parser::{
    extensions::{
        AuthorityKeyIdentifier, DistributionPointName, GeneralName, NSCertType, ParsedExtension,
        X509Extension,
    },
    prelude::FromDer,
    time::ASN1Time,
};

use super::{frame::Frame, key};
use crate::der::{Element, Reader};

/// What the rules ask for, below 2.5.29: of these, one that cannot be read makes the certificate unreadable.
const DECISIVE: [&[u64]; 8] = [
    &[2, 5, 29, 14],
    &[2, 5, 29, 15],
    &[2, 5, 29, 17],
    &[2, 5, 29, 19],
    &[2, 5, 29, 30],
    &[2, 5, 29, 31],
    &[2, 5, 29, 35],
    &[2, 5, 29, 37],
];

/// A certificate and what it claims.
#[derive(Clone, Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) der: &'a [u8],
    pub(crate) frame: Frame<'a>,
    /// Seconds since 1970.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) claims: Claims<'a>,
}

/// What the extensions say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims<'a> {
    pub(crate) constraints: Option<Constraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) purposes: Option<Purposes>,
    pub(crate) netscape: Option<NetscapeType>,
    pub(crate) own_key: Option<&'a [u8]>,
    pub(crate) issuer_key: Option<IssuerKey<'a>>,
    pub(crate) alternative_names: Option<&'a [u8]>,
    /// URIs of lists of revoked certificates.
    pub(crate) lists_at: Vec<&'a str>,
    /// Whether there is a list for each of several reasons.
    pub(crate) has_lists_by_reason: bool,
    pub(crate) has_name_constraints: bool,
    pub(crate) has_unknown_critical: bool,
}

/// `basicConstraints`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constraints {
    pub(crate) is_authority: bool,
    pub(crate) path_length: Option<u32>,
}

/// `keyUsage`, as far as it matters to TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyUsage {
    pub(crate) signs: bool,
    pub(crate) enciphers: bool,
    pub(crate) agrees: bool,
    pub(crate) signs_certificates: bool,
    pub(crate) signs_lists: bool,
}

/// `extendedKeyUsage`, as far as it matters to TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purposes {
    pub(crate) client: bool,
    pub(crate) server: bool,
}

/// `nsCertType`, which old certificates have in place of [`Purposes`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetscapeType {
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) authority: bool,
}

/// `authorityKeyIdentifier`: which of several keys of an issuer signed.
#[derive(Clone, Debug)]
pub(crate) struct IssuerKey<'a> {
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) serial: Option<&'a [u8]>,
    /// The name of the issuer's issuer.
    pub(crate) issuer: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is none, or its extensions are not to be understood.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let frame = Frame::read(der)?;
        let (not_before, not_after) = (seconds(frame.not_before)?, seconds(frame.not_after)?);
        let claims = Claims::read(frame.extensions)?;
        Some(Self { der, frame, not_before, not_after, claims })
    }

    /// Whether issuer and subject have the same name.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.frame.subject == self.frame.issuer
    }

    /// Whether it seems to be signed by its own key. As OpenSSL, without a look at the signature.
    pub(crate) fn is_self_signed(&self) -> bool {
        self.may_have_issued(self)
    }

    /// Whether `other` names this one as its issuer. As OpenSSL, without a look at the signature.
    pub(crate) fn may_have_issued(&self, other: &Self) -> bool {
        self.frame.subject == other.frame.issuer
            && other.claims.issuer_key.as_ref().is_none_or(|key| key.fits(self))
            && key::may_make(self.frame.spki, other.frame.algorithm)
    }

    /// Whether the time is within the certificate's; as OpenSSL, the last second is none of it.
    pub(crate) fn holds_at(&self, now: i64) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }
}

impl IssuerKey<'_> {
    /// Whether this is the key, or the certificate, that is meant.
    pub(crate) fn fits(&self, issuer: &Certificate<'_>) -> bool {
        let same_key = match (self.id, issuer.claims.own_key) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        same_key
            && self.serial.is_none_or(|serial| serial == issuer.frame.serial)
            && self.issuer.is_none_or(|name| name == issuer.frame.issuer)
    }
}

impl<'a> Claims<'a> {
    fn read(extensions: &'a [u8]) -> Option<Self> {
        // More than any certificate has, and few enough to compare each with each.
        const EXTENSIONS_MAX: usize = 64;
        let mut claims = Self::default();
        let mut seen = Vec::new();
        let mut reader = Reader::new(extensions);
        while !reader.is_empty() {
            let (rest, extension) = X509Extension::from_der(reader.any()?.whole).ok()?;
            if !rest.is_empty() || seen.len() == EXTENSIONS_MAX || seen.contains(&extension.oid) {
                return None;
            }
            claims.take(&extension)?;
            seen.push(extension.oid);
        }
        Some(claims)
    }

    /// Takes one extension up; `None` if it cannot be read.
    fn take(&mut self, extension: &X509Extension<'a>) -> Option<()> {
        let is_decisive = extension.oid.iter().is_some_and(|oid| {
            let oid: Vec<u64> = oid.collect();
            DECISIVE.contains(&oid.as_slice())
        });
        let mut is_known = is_decisive;
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(basic) => {
                self.constraints =
                    Some(Constraints { is_authority: basic.ca, path_length: basic.path_len_constraint });
            }
            ParsedExtension::KeyUsage(usage) => self.key_usage = Some(KeyUsage::from(usage)),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.purposes = Some(Purposes { client: usage.client_auth, server: usage.server_auth });
            }
            ParsedExtension::SubjectAlternativeName(_) => self.alternative_names = Some(extension.value),
            ParsedExtension::NameConstraints(_) => self.has_name_constraints = true,
            ParsedExtension::CRLDistributionPoints(points) => {
                self.has_lists_by_reason = points.iter().any(|point| point.reasons.is_some());
                let names = points.iter().filter_map(|point| point.distribution_point.as_ref());
                self.lists_at = names.flat_map(uris).collect();
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.own_key = Some(id.0),
            ParsedExtension::AuthorityKeyIdentifier(key) => self.issuer_key = Some(IssuerKey::from(key)),
            ParsedExtension::NSCertType(kind) => self.netscape = Some(NetscapeType::from(kind)),
            _ if is_decisive => return None,
            _ => is_known = false,
        }
        self.has_unknown_critical |= extension.critical && !is_known;
        Some(())
    }
}

impl From<&x509_parser::extensions::KeyUsage> for KeyUsage {
    fn from(usage: &x509_parser::extensions::KeyUsage) -> Self {
        Self {
            signs: usage.digital_signature(),
            enciphers: usage.key_encipherment(),
            agrees: usage.key_agreement(),
            signs_certificates: usage.key_cert_sign(),
            signs_lists: usage.crl_sign(),
        }
    }
}

impl From<&NSCertType> for NetscapeType {
    fn from(kind: &NSCertType) -> Self {
        Self { client: kind.ssl_client(), server: kind.ssl_server(), authority: kind.ssl_ca() }
    }
}

impl<'a> From<&AuthorityKeyIdentifier<'a>> for IssuerKey<'a> {
    fn from(key: &AuthorityKeyIdentifier<'a>) -> Self {
        let names = key.authority_cert_issuer.iter().flatten();
        let issuer = names.into_iter().find_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name.as_raw()),
            _ => None,
        });
        Self { id: key.key_identifier.as_ref().map(|id| id.0), serial: key.authority_cert_serial, issuer }
    }
}

/// The URIs among the names of a distribution point.
pub(crate) fn uris<'a>(point: &DistributionPointName<'a>) -> Vec<&'a str> {
    let DistributionPointName::FullName(names) = point else { return Vec::new() };
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    uris.collect()
}

/// Reads a time of a certificate or a list.
pub(crate) fn seconds(time: Element<'_>) -> Option<i64> {
    let (rest, time) = ASN1Time::from_der(time.whole).ok()?;
    rest.is_empty().then(|| time.timestamp())
}
