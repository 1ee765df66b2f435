//! `proxy_cache` and its companions.

use std::{sync::Arc, time::Duration};

use super::cache_path::CachePath;
use crate::{
    settings::{HSL, settings},
    template::Template,
    values::{FLAG, NUMBER, TEXT, TEXTS, TIME, pending},
};

/// `proxy_cache`.
#[derive(Debug, Clone)]
pub enum CacheZone {
    /// Nothing is stored.
    Off,
    /// In this cache.
    Zone(Arc<CachePath>),
    /// In the cache that the text names.
    Variable(Template),
}

/// `proxy_cache_valid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidRule {
    /// Status it is for.
    pub status: ValidStatus,
    /// How long.
    pub time: Duration,
}

/// Status of a [`ValidRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidStatus {
    /// Each.
    Any,
    /// This one.
    Code(u16),
}

/// `proxy_cache_methods`: GET and HEAD always, POST where asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodSet {
    /// POST too.
    pub post: bool,
}

/// `proxy_cache_use_stale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UseStale {
    /// A connection failed, or no peer can be chosen.
    pub error: bool,
    /// A peer took too long.
    pub timeout: bool,
    /// A peer's answer cannot be understood.
    pub invalid_header: bool,
    /// The entry is being updated.
    pub updating: bool,
    /// Status 500.
    pub http_500: bool,
    /// Status 502.
    pub http_502: bool,
    /// Status 503.
    pub http_503: bool,
    /// Status 504.
    pub http_504: bool,
    /// Status 403.
    pub http_403: bool,
    /// Status 404.
    pub http_404: bool,
    /// Status 429.
    pub http_429: bool,
}

settings! {
    /// `proxy_cache` and its companions, at one level.
    pub struct CacheConf {
        /// Stores answers in a cache.
        zone: CacheZone = CacheZone::Off, "proxy_cache" in HSL, once(pending::<CacheZone>("zone | off")), "off";
        /// Text that an answer is stored under.
        key: Template = Template::default(), "proxy_cache_key" in HSL, once(TEXT), "$scheme$proxy_host$uri$is_args$args";
        /// How long a response of each status stays fresh, where it does not say.
        valid: Vec<ValidRule> = Vec::new(), "proxy_cache_valid" in HSL, each(pending::<ValidRule>("[code ...] time"));
        /// Methods whose answers are stored.
        methods: MethodSet = MethodSet::default(), "proxy_cache_methods" in HSL, once(pending::<MethodSet>("GET | HEAD | POST ...")), "GET HEAD";
        /// Requests after which an answer is stored.
        min_uses: u64 = 1, "proxy_cache_min_uses" in HSL, once(NUMBER), "1";
        /// Does not answer from the cache where a text is neither empty nor `0`.
        bypass: Vec<Template> = Vec::new(), "proxy_cache_bypass" in HSL, once(TEXTS);
        /// Does not store where a text is neither empty nor `0`.
        no_cache: Vec<Template> = Vec::new(), "proxy_no_cache" in HSL, once(TEXTS);
        /// Cases in which a stale answer will do.
        use_stale: UseStale = UseStale::default(), "proxy_cache_use_stale" in HSL, once(pending::<UseStale>("case ... | off")), "off";
        /// Answers stale at once and updates behind the client's back.
        background_update: bool = false, "proxy_cache_background_update" in HSL, once(FLAG), "off";
        /// Lets only one request at a time fill a missing key.
        lock: bool = false, "proxy_cache_lock" in HSL, once(FLAG), "off";
        /// How long others wait for it.
        lock_timeout: Duration = Duration::from_secs(5), "proxy_cache_lock_timeout" in HSL, once(TIME), "5s";
        /// After how long another may try.
        lock_age: Duration = Duration::from_secs(5), "proxy_cache_lock_age" in HSL, once(TIME), "5s";
        /// Asks whether an expired answer is still good.
        revalidate: bool = false, "proxy_cache_revalidate" in HSL, once(FLAG), "off";
        /// Asks with GET for what a client asks with HEAD.
        convert_head: bool = true, "proxy_cache_convert_head" in HSL, once(FLAG), "on";
        /// Ranges that begin beyond are passed on and not stored.
        max_range_offset: Option<u64> = None, "proxy_cache_max_range_offset" in HSL, once(pending::<Option<u64>>("number"));
    }
}
