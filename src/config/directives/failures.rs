//! What can be wrong with a try or its answer: the words that `proxy_next_upstream` and `proxy_cache_use_stale` share.

use crate::flags::flags;

flags! {
    /// Failures that something is done about.
    pub struct Failures {
        /// A connection failed, or no peer can be chosen.
        error = "error",
        /// A peer took too long.
        timeout = "timeout",
        /// A peer's answer cannot be understood.
        invalid_header = "invalid_header",
        /// Status 500.
        http_500 = "http_500",
        /// Status 502.
        http_502 = "http_502",
        /// Status 503.
        http_503 = "http_503",
        /// Status 504.
        http_504 = "http_504",
        /// Status 403.
        http_403 = "http_403",
        /// Status 404.
        http_404 = "http_404",
        /// Status 429.
        http_429 = "http_429",
    }
}

impl Failures {
    /// Says whether an answer of this status is one of them.
    pub fn has_status(&self, status: u16) -> bool {
        match status {
            500 => self.http_500,
            502 => self.http_502,
            503 => self.http_503,
            504 => self.http_504,
            403 => self.http_403,
            404 => self.http_404,
            429 => self.http_429,
            _ => false,
        }
    }
}

flags! {
    /// `proxy_next_upstream`; none is `off`.
    pub struct NextUpstream with after: Failures {
        /// Also POST, LOCK and PATCH that were sent already.
        non_idempotent = "non_idempotent",
        /// None of the others counts.
        off = "off",
    } off beats all
}

impl UseStale {
    /// Says whether a stale answer will do after any failure.
    pub fn allows_failures(&self) -> bool {
        self.after != Failures::default()
    }
}

flags! {
    /// `proxy_cache_use_stale`; none is `off`.
    pub struct UseStale with after: Failures {
        /// The entry is being updated.
        updating = "updating",
        /// None of the others counts.
        off = "off",
    } off beats all
}
