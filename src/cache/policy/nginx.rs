//! nginx's rules (1.31 where it differs from older versions: the order of header lines does not matter).

mod admit;
mod freshness;
mod reuse;

use config::{IgnoreHeaders, ValidRule};
use http1::Fields;

pub use self::freshness::valid_for;
pub(in crate::policy) use self::freshness::{Accel, accel_expires};
pub use self::reuse::reuse;
use crate::policy::rules::Answered;
use crate::policy::verdict::{Admission, Terms};

/// What the rules are to know of a location.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `proxy_ignore_headers`.
    pub ignored: &'a IgnoreHeaders,
    /// `proxy_cache_valid`.
    pub valid: &'a [ValidRule],
}

impl Rules<'_> {
    /// Decides whether to store an answer.
    pub fn admit(&self, answered: &Answered<'_>) -> Admission {
        admit::admit(self, answered)
    }

    /// Returns the new terms of an entry that the upstream called unchanged.
    pub fn renew(&self, not_modified: &Answered<'_>, stored: (u16, &Fields)) -> Option<Terms> {
        freshness::renew(self, not_modified, stored)
    }
}
