//! Whether a peer's certificates are trusted.
//!
//! A chain has to pass twice: by OpenSSL's rules ([`rules`], on a [`chain`] that is built as OpenSSL builds it), since those are
//! what `proxy_ssl_verify` and `ssl_verify_client` promise and whose words users see; and then by webpki, which knows more kinds of
//! mistakes. Where webpki has no opinion, because it takes certificates of version 3 only and no authority as a peer, OpenSSL's
//! rules are enough, unless an issuer restricts names, which only webpki can judge.

mod certificate;
mod chain;
mod client;
mod error;
mod frame;
mod key;
mod names;
mod rules;
mod second;
mod signature;
mod upstream;

pub use client::client_verifier;
pub use error::VerifyError;
pub use upstream::{ExpectedName, upstream_verifier};

pub(crate) use certificate::{Certificate, IssuerKey, seconds, uris};
pub(crate) use frame::Frame;
pub(crate) use rules::Complaints;
pub(crate) use signature::is_signed;

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::trust::Trust;
use chain::Chain;
use rules::Role;

/// How a chain came to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// By OpenSSL's rules and webpki's.
    Both,
    /// By OpenSSL's rules, on which webpki has no opinion.
    OpenSslOnly,
}

/// Judges what a peer sent, its own certificate first.
fn judge(sent: &[CertificateDer<'_>], trust: &Trust, role: Role, now: UnixTime) -> Result<Tier, VerifyError> {
    let (leaf, others) = sent.split_first().ok_or(VerifyError::Unspecified)?;
    let leaf = Certificate::read(leaf).ok_or(VerifyError::Unspecified)?;
    let seconds = i64::try_from(now.as_secs()).map_err(|_| VerifyError::Unspecified)?;
    if key::is_weak_key(leaf.frame.spki) {
        return Err(VerifyError::WeakKey);
    }
    let mut complaints = Complaints::default();
    let chain = Chain::build(leaf, others, trust, seconds, &mut complaints);
    rules::check_extensions(&chain, role, &mut complaints);
    rules::check_strength(&chain, &mut complaints);
    trust.crls().check(&chain.certificates, seconds, &mut complaints);
    rules::check_signatures(&chain, seconds, &mut complaints);
    complaints.verdict()?;
    second::opinion(&chain, role, now)
}

/// Judges what a client sent. See [`Trust::verify_client`].
pub(crate) fn judge_client(
    sent: &[CertificateDer<'_>],
    trust: &Trust,
    now: UnixTime,
) -> Result<(), VerifyError> {
    judge(sent, trust, Role::Client, now).map(|_| ())
}

#[cfg(test)]
pub(crate) mod tests;
