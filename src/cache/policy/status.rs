//! How the cache took part in an answer: `$upstream_cache_status`, and the words of `Cache-Status` (RFC 9211).

/// How the cache took part in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// Not found; the upstream answered.
    Miss,
    /// `proxy_cache_bypass` sent the request to the upstream.
    Bypass,
    /// Found, but too old; the upstream answered.
    Expired,
    /// Found, too old, and served, since the upstream failed or is asked in the background.
    Stale,
    /// Found, too old, and served, since another request is updating it.
    Updating,
    /// Found, too old, and still right: the upstream said 304.
    Revalidated,
    /// Found and fresh.
    Hit,
    /// Asked for too rarely to be stored (`proxy_cache_min_uses`).
    Scarce,
}

impl CacheStatus {
    /// Whether the answer is what was stored.
    pub fn is_from_cache(self) -> bool {
        match self {
            Self::Hit | Self::Stale | Self::Updating | Self::Revalidated => true,
            Self::Miss | Self::Bypass | Self::Expired | Self::Scarce => false,
        }
    }

    /// The value of the variable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "BYPASS",
            Self::Expired => "EXPIRED",
            Self::Stale => "STALE",
            Self::Updating => "UPDATING",
            Self::Revalidated => "REVALIDATED",
            Self::Hit => "HIT",
            // As nginx: that it is asked for too rarely is no status of its own.
            Self::Miss | Self::Scarce => "MISS",
        }
    }
}

/// Why a request went on to an upstream, as `Cache-Status` says it (RFC 9211, 2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The configuration does not let the cache answer.
    Bypass,
    /// What the method means leads past the cache.
    Method,
    /// Nothing is stored under the key.
    #[default]
    UriMiss,
    /// What is stored answers requests with other fields (`Vary`).
    VaryMiss,
    /// What is stored would do, but the request's own directives refuse it.
    Request,
    /// What is stored is not fresh any more.
    Stale,
    /// What is stored is not all that is asked for.
    Partial,
}

impl Forward {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}
