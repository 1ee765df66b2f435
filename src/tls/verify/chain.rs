//! From a peer's certificate to a root that is trusted: which certificates stand for one another.
//!
//! As OpenSSL does it: what is trusted comes before what the peer sent; whoever has the issuer's name, the key that is
//! meant and a valid date is the issuer, and no other one is tried. Signatures are looked at when the chain stands.

use rustls_pki_types::CertificateDer;

use super::{certificate::Certificate, error::VerifyError, rules::Complaints};
use crate::trust::Trust;

/// A chain, whether or not it ends where it should.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    /// The peer's certificate first, each followed by its issuer.
    pub(super) certificates: Vec<Certificate<'a>>,
    /// How many, from the first, are not in the file of trusted ones.
    pub(super) untrusted: usize,
}

impl<'a> Chain<'a> {
    /// Builds the chain of a peer's certificate; with a complaint, if it does not end at a trusted root.
    pub(super) fn build(
        leaf: Certificate<'a>,
        sent: &'a [CertificateDer<'_>],
        trust: &'a Trust,
        now: i64,
        complaints: &mut Complaints,
    ) -> Self {
        let mut chain = Self { certificates: vec![leaf], untrusted: 1 };
        let mut others: Vec<_> = sent.iter().filter_map(|der| Certificate::read(der)).collect();
        while chain.has_room(trust.depth()) {
            let last = chain.last();
            if last.is_self_signed() {
                // Only the very same certificate is trusted: another one of the same name has another key.
                if !trust.holds(last) {
                    break;
                }
                chain.untrusted -= 1;
                return chain;
            }
            let trusted = trust.named(last.frame.issuer).iter().filter_map(|der| Certificate::read(der));
            if let Some(issuer) = chain.chosen(trusted, now) {
                let is_root = issuer.is_self_signed();
                chain.certificates.push(issuer);
                if is_root {
                    return chain;
                }
                continue;
            }
            if chain.ends_in_file() {
                break;
            }
            let Some(issuer) = chain.chosen(others.iter().cloned(), now) else { break };
            others.retain(|other| other.der != issuer.der);
            chain.certificates.push(issuer);
            chain.untrusted += 1;
        }
        complaints.add_if(VerifyError::ChainTooLong, || !chain.has_room(trust.depth()));
        complaints.add(chain.reason());
        chain
    }

    fn last(&self) -> &Certificate<'a> {
        self.certificates.last().expect("a chain begins with the peer's certificate")
    }

    /// Whether its last certificate is one out of the file of trusted ones.
    fn ends_in_file(&self) -> bool {
        self.untrusted < self.certificates.len()
    }

    /// Whether there may be one more: `depth` of them stand between the peer's certificate and a root.
    fn has_room(&self, depth: u64) -> bool {
        u64::try_from(self.certificates.len()).is_ok_and(|length| length <= depth.saturating_add(1))
    }

    /// The issuer of the last certificate, out of those that may be: one whose time it is, or else the latest.
    fn chosen(&self, candidates: impl Iterator<Item = Certificate<'a>>, now: i64) -> Option<Certificate<'a>> {
        let is_new = |candidate: &Certificate<'_>| {
            self.certificates.iter().all(|certificate| certificate.der != candidate.der)
        };
        let mut latest: Option<Certificate<'a>> = None;
        for candidate in candidates.filter(|other| other.may_have_issued(self.last()) && is_new(other)) {
            if candidate.holds_at(now) {
                return Some(candidate);
            }
            if latest.as_ref().is_none_or(|latest| candidate.not_after > latest.not_after) {
                latest = Some(candidate);
            }
        }
        latest
    }

    /// Why it ends where it ends.
    fn reason(&self) -> VerifyError {
        if self.last().is_self_signed() {
            if self.certificates.len() == 1 {
                VerifyError::SelfSigned
            } else {
                VerifyError::SelfSignedInChain
            }
        } else if self.ends_in_file() {
            VerifyError::NoIssuer
        } else {
            VerifyError::NoLocalIssuer
        }
    }
}
