//! What every certificate of a chain has to be: OpenSSL's rules, each a pure function of facts.
//!
//! nginx lets OpenSSL go on after a complaint, so that the last one is what users see; the order of the steps is part of
//! the rules for that reason. Any complaint at all means that the chain is not trusted.

use super::{certificate::Certificate, chain::Chain, error::VerifyError, key, signature::is_signed};

/// Which side of a connection shows its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// Where a certificate stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Leaf,
    Issuer,
}

/// The last complaint.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Option<VerifyError>);

impl Complaints {
    /// Takes a complaint in the place of an earlier one.
    pub(crate) fn add(&mut self, error: VerifyError) {
        self.0 = Some(error);
    }

    /// Takes what a step complains of, if it does.
    pub(crate) fn add_if(&mut self, error: VerifyError, is_wrong: impl FnOnce() -> bool) {
        if is_wrong() {
            self.add(error);
        }
    }

    /// Nothing, or the last complaint.
    pub(super) fn verdict(self) -> Result<(), VerifyError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// What extensions say: who is an authority, for what, and for how many below it.
pub(super) fn check_extensions(chain: &Chain<'_>, role: Role, complaints: &mut Complaints) {
    let last = chain.certificates.len() - 1;
    let mut issuers_below = 0;
    for (index, certificate) in chain.certificates.iter().enumerate() {
        let place = if index == 0 { Place::Leaf } else { Place::Issuer };
        complaints.add_if(VerifyError::CriticalExtension, || certificate.claims.has_unknown_critical);
        let authority = authority(certificate);
        complaints.add_if(VerifyError::NoCa, || match (place, authority) {
            (Place::Leaf, _) | (Place::Issuer, Authority::Stated) => false,
            (Place::Issuer, Authority::Assumed) => index < last,
            (Place::Issuer, Authority::None) => true,
        });
        complaints.add_if(VerifyError::Purpose, || !serves(certificate, role, place));
        let path_length = certificate.claims.constraints.and_then(|constraints| constraints.path_length);
        complaints.add_if(VerifyError::PathLength, || {
            index > 1 && path_length.is_some_and(|most| issuers_below > most)
        });
        if place == Place::Issuer && !certificate.is_self_issued() {
            issuers_below += 1;
        }
    }
}

/// Keys that are too short, and signatures that can be forged.
pub(super) fn check_strength(chain: &Chain<'_>, complaints: &mut Complaints) {
    let last = chain.certificates.len() - 1;
    for (index, certificate) in chain.certificates.iter().enumerate() {
        complaints.add_if(VerifyError::WeakCaKey, || index > 0 && key::is_weak_key(certificate.frame.spki));
        // Nobody looks at the signature of the root.
        complaints.add_if(VerifyError::WeakDigest, || {
            index < last && key::is_weak_signature(certificate.frame.algorithm)
        });
    }
}

/// Signatures and dates, from the root to the peer's certificate.
pub(super) fn check_signatures(chain: &Chain<'_>, now: i64, complaints: &mut Complaints) {
    let certificates = &chain.certificates;
    let top = certificates.len() - 1;
    let mut remaining = certificates.len();
    if !certificates[top].is_self_signed() {
        if top == 0 {
            complaints.add(VerifyError::UnverifiedLeaf);
        } else {
            // Nobody there knows whether this one is genuine; the chain is incomplete, which has been said.
            remaining = top;
        }
    }
    for index in (0..remaining).rev() {
        if let Some(issuer) = certificates.get(index + 1) {
            check_signature(&certificates[index], issuer, complaints);
        }
        complaints.add_if(VerifyError::NotYetValid, || certificates[index].not_before > now);
        complaints.add_if(VerifyError::Expired, || certificates[index].not_after <= now);
    }
}

fn check_signature(certificate: &Certificate<'_>, issuer: &Certificate<'_>, complaints: &mut Complaints) {
    let frame = &certificate.frame;
    complaints.add_if(VerifyError::NoCertificateSigning, || {
        issuer.claims.key_usage.is_some_and(|usage| !usage.signs_certificates)
    });
    // What is too weak has been complained of, and is not even looked at.
    if key::is_weak_signature(frame.algorithm) || key::is_weak_key(issuer.frame.spki) {
        return;
    }
    complaints.add_if(VerifyError::Signature, || {
        frame.algorithm != frame.inner_algorithm
            || !is_signed(issuer.frame.spki, frame.algorithm, frame.tbs, frame.signature)
    });
}

/// How a certificate comes to be that of an authority.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Authority {
    None,
    /// By `basicConstraints`.
    Stated,
    /// By old age, which is enough for a root.
    Assumed,
}

fn authority(certificate: &Certificate<'_>) -> Authority {
    let claims = &certificate.claims;
    if claims.key_usage.is_some_and(|usage| !usage.signs_certificates) {
        return Authority::None;
    }
    let is_old_root = certificate.frame.version == 1 && certificate.is_self_signed();
    match claims.constraints {
        Some(constraints) if constraints.is_authority => Authority::Stated,
        Some(_) => Authority::None,
        None if is_old_root || claims.key_usage.is_some() => Authority::Assumed,
        None => match claims.netscape {
            Some(kind) if kind.authority => Authority::Assumed,
            Some(_) | None => Authority::None,
        },
    }
}

/// Whether a certificate may be used for this side of TLS.
fn serves(certificate: &Certificate<'_>, role: Role, place: Place) -> bool {
    let claims = &certificate.claims;
    let is_meant = claims.purposes.is_none_or(|purposes| match role {
        Role::Client => purposes.client,
        Role::Server => purposes.server,
    });
    if !is_meant {
        return false;
    }
    if place == Place::Issuer {
        return authority(certificate) != Authority::None;
    }
    let is_named = claims.netscape.is_none_or(|kind| match role {
        Role::Client => kind.client,
        Role::Server => kind.server,
    });
    let is_usable = claims.key_usage.is_none_or(|usage| match role {
        Role::Client => usage.signs || usage.agrees,
        Role::Server => usage.signs || usage.agrees || usage.enciphers,
    });
    is_named && is_usable
}
