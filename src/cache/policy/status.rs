//! `$upstream_cache_status`: how the cache took part in an answer.

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
    /// The value of the variable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
            Self::Expired => "EXPIRED",
            Self::Stale => "STALE",
            Self::Updating => "UPDATING",
            Self::Revalidated => "REVALIDATED",
            Self::Hit => "HIT",
            Self::Scarce => "SCARCE",
        }
    }
}
