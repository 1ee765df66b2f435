//! What rules may say: an answer is stored on these terms, or it is not for this reason.

use std::time::{Duration, SystemTime};

use crate::format::Meta;

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
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// `must-understand`, with a status that is not implemented.
    NotUnderstood,
    /// The status is not that of a whole answer: 206 or 304.
    NotWhole,
    /// The request had `Authorization`, and the answer does not say that it is for others too.
    Authorization,
    /// It would have to be validated at each use, and has nothing to validate it by.
    NoValidator,
    /// It is to a method whose answers serve nobody else, or to a POST and does not say that it is what a GET would get.
    Method,
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
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NotUnderstood => "must-understand",
            Self::NotWhole => "status",
            Self::Authorization => "authorization",
            Self::NoValidator => "no-validator",
            Self::Method => "method",
        }
    }
}

/// What to write into an entry's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When it stops being fresh.
    pub valid_until: SystemTime,
    /// For how long after that it may be served while it is being updated.
    pub stale_while_revalidate: Duration,
    /// For how long after that it may be served where the upstream fails.
    pub stale_if_error: Duration,
    /// How old it was when it came, where the rules ask for it.
    pub initial_age: Option<Duration>,
    /// What it forbids those who reuse it.
    pub restraint: Restraint,
}

/// What an answer forbids those who reuse it, beyond its times. nginx's rules know nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restraint {
    /// Nothing.
    #[default]
    Free,
    /// Once stale, it is not served without the origin's word.
    NeverStale,
    /// It is never served without the origin's word.
    AlwaysValidated,
}

impl Meta {
    /// Sets the times of an entry.
    pub fn set_terms(&mut self, terms: &Terms) {
        let Terms { valid_until, stale_while_revalidate, stale_if_error, initial_age, restraint } = *terms;
        self.valid_until = valid_until;
        self.stale_while_revalidate = stale_while_revalidate;
        self.stale_if_error = stale_if_error;
        self.initial_age = initial_age;
        self.restraint = restraint;
    }
}
