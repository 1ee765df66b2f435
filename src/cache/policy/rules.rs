//! Which rules are in force: one value for a location, which the engine asks and never looks into.

use std::time::SystemTime;

use config::{CacheRules, LocationConf};
use http1::{Fields, Method};

use crate::format::Meta;
use crate::policy::reuse::Reuse;
use crate::policy::vary::Matching;
use crate::policy::verdict::{Admission, Terms};
use crate::policy::{nginx, rfc9111};

/// The rules of a location, with what they are to know of its configuration.
#[derive(Clone, Copy, Debug)]
pub enum Rules<'a> {
    /// nginx's.
    Nginx(nginx::Rules<'a>),
    /// Those of a shared cache after RFC 9111.
    Rfc9111(rfc9111::Rules<'a>),
}

/// A request that an upstream was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The client's method.
    pub method: Method,
    /// The client's fields.
    pub fields: &'a Fields,
    /// When it was sent.
    pub at: SystemTime,
}

/// The answer to it.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: &'a Fields,
    /// When its head was there.
    pub at: SystemTime,
}

impl<'a> Rules<'a> {
    /// Returns the rules of a location.
    pub fn of(location: &'a LocationConf) -> Self {
        match *location.cache.rfc {
            CacheRules::Nginx => Self::Nginx(nginx::Rules {
                ignored: &location.proxy.ignore_headers,
                valid: &location.cache.valid,
            }),
            CacheRules::Rfc9111 => Self::Rfc9111(rfc9111::Rules::of(location)),
        }
    }

    /// Decides whether to store an answer.
    pub fn admit(&self, asked: &Asked<'_>, answered: &Answered<'_>) -> Admission {
        match self {
            Self::Nginx(rules) => rules.admit(answered),
            Self::Rfc9111(rules) => rules.admit(asked, answered),
        }
    }

    /// Returns the new terms of an entry that the upstream called unchanged. Nothing where nobody gives a time: the entry then
    /// stays as old as it is.
    pub fn renew(
        &self,
        asked: &Asked<'_>,
        not_modified: &Answered<'_>,
        stored: (u16, &Fields),
    ) -> Option<Terms> {
        match self {
            Self::Nginx(rules) => rules.renew(not_modified, stored),
            Self::Rfc9111(rules) => rules.renew(asked, not_modified, stored),
        }
    }

    /// Judges an entry by its times.
    pub fn reuse(&self, meta: &Meta, now: SystemTime) -> Reuse {
        match self {
            Self::Nginx(_) => nginx::reuse(meta, now),
            Self::Rfc9111(_) => rfc9111::reuse(meta, now),
        }
    }

    /// How requests are compared for `Vary`.
    pub fn matching(&self) -> Matching {
        match self {
            Self::Nginx(_) => Matching::Literal,
            Self::Rfc9111(_) => Matching::Normalised,
        }
    }

    /// Whether an answer with that status is an error in the sense of `stale-if-error`.
    pub fn is_error(&self, status: u16) -> bool {
        match self {
            // As nginx: it is for the errors of asking, not for an answer that tells of one.
            Self::Nginx(_) => false,
            Self::Rfc9111(_) => rfc9111::is_error(status),
        }
    }
}
