//! Whether a response may be stored, and until when it is fresh.

use std::time::SystemTime;

use config::{IgnoreHeaders, ValidRule};
use http1::Fields;

use crate::policy::freshness::{Lifetime, Terms, times};
use crate::policy::vary::{Matching, Variance, variance};

/// The verdict on a response to a request that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Store it.
    Store {
        /// For how long.
        terms: Terms,
        /// Its `Vary`, or nothing.
        vary: Vec<u8>,
    },
    /// Pass it through.
    Refused(Refusal),
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// `Cache-Control` forbids it: `no-cache`, `no-store`, `private`, or an age of zero.
    CacheControl,
    /// `Cache-Control` has an age that is no number.
    BadAge,
    /// `X-Accel-Expires` is zero.
    AccelZero,
    /// `X-Accel-Redirect` has another location answer: the body is nobody's.
    AccelRedirect,
    /// `Expires` is past, or no date.
    Expired,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`.
    VaryStar,
    /// Neither the response nor `proxy_cache_valid` says for how long.
    NoLifetime,
}

impl Refusal {
    /// A word for it, for `detail` of `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CacheControl => "cache-control",
            Self::BadAge => "bad-age",
            Self::AccelZero => "x-accel-expires",
            Self::AccelRedirect => "x-accel-redirect",
            Self::Expired => "expires",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary",
            Self::NoLifetime => "no-lifetime",
        }
    }
}

/// Decides whether to store a response.
pub fn admit(
    status: u16,
    head: &Fields,
    ignored: &IgnoreHeaders,
    rules: &[ValidRule],
    now: SystemTime,
) -> Admission {
    if !ignored.x_accel_redirect && head.contains("x-accel-redirect") {
        return Admission::Refused(Refusal::AccelRedirect);
    }
    if !ignored.set_cookie && head.contains("set-cookie") {
        return Admission::Refused(Refusal::SetCookie);
    }
    let variance = if ignored.vary { Variance::Uniform } else { variance(head, Matching::Literal) };
    let vary = match variance {
        Variance::Uniform => Vec::new(),
        Variance::Fields(vary) => vary,
        Variance::Unique => return Admission::Refused(Refusal::VaryStar),
    };
    let times = times(head, ignored, now);
    match times.terms(status, rules, now) {
        Some(terms) => Admission::Store { terms, vary },
        None => Admission::Refused(match times.lifetime {
            Lifetime::Unstated | Lifetime::Until(_) => Refusal::NoLifetime,
            Lifetime::NoCache => Refusal::CacheControl,
            Lifetime::BadAge => Refusal::BadAge,
            Lifetime::AccelZero => Refusal::AccelZero,
            Lifetime::Expired => Refusal::Expired,
        }),
    }
}
