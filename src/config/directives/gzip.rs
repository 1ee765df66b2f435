//! Compressing answers and undoing it: `gzip` and its companions, `gunzip`.

use super::media_types::{MEDIA_TYPES, MediaTypes};
use crate::{
    flags::{Flags, flags},
    parse::Directive,
    regex::{Case, Regex},
    scope::Scope,
    settings::{HSL, Join, LIF, Reader, settings},
    source::Problem,
    values::{FLAG, NUMBER, SIZE, choice},
};

flags! {
    /// `gzip_proxied`: which answers are compressed for a request that came through a proxy (it has Via).
    pub struct GzipProxied {
        /// None of them.
        off = "off",
        /// Those that have expired when they are sent.
        expired = "expired",
        /// Those with Cache-Control: no-cache.
        no_cache = "no-cache",
        /// Those with Cache-Control: no-store.
        no_store = "no-store",
        /// Those with Cache-Control: private.
        private = "private",
        /// Those without Last-Modified.
        no_last_modified = "no_last_modified",
        /// Those without ETag.
        no_etag = "no_etag",
        /// Those to requests with Authorization.
        auth = "auth",
        /// All.
        any = "any",
    } off beats all
}

/// Oldest protocol whose clients get compressed answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GzipVersion {
    /// HTTP/1.0.
    V10,
    /// HTTP/1.1.
    V11,
}

/// `gzip_disable`: browsers that get nothing compressed.
#[derive(Debug, Clone, Default)]
pub struct GzipDisable {
    /// Old Internet Explorer.
    pub msie6: bool,
    /// Expressions for User-Agent.
    pub agents: Vec<Regex>,
}

impl Join for GzipDisable {
    fn join(&mut self, more: Self) {
        self.msie6 |= more.msie6;
        self.agents.extend(more.agents);
    }
}

settings! {
    /// Compression of answers, at one level.
    pub struct GzipConf {
        /// Compresses answers for clients that accept it.
        enable: bool = false, "gzip" in HSL.and(LIF), once(FLAG), "off";
        /// How hard to try: 1 is quickest, 9 is smallest.
        comp_level: u32 = 1, "gzip_comp_level" in HSL, once(LEVEL), "1";
        /// Fewest bytes of a body that is worth it, where its length is known.
        min_length: u64 = 20, "gzip_min_length" in HSL, once(SIZE), "20";
        /// Types that are compressed besides `text/html`.
        types: MediaTypes = MediaTypes::default(), "gzip_types" in HSL, joined(MEDIA_TYPES), "text/html";
        /// Tells caches that answers depend on Accept-Encoding.
        vary: bool = false, "gzip_vary" in HSL, once(FLAG), "off";
        /// Which answers are compressed for requests that came through a proxy.
        proxied: GzipProxied = GzipProxied { off: true, ..NO_PROXIED },
            "gzip_proxied" in HSL, joined(PROXIED), "off";
        /// Oldest protocol version of clients that get compressed answers.
        least_version: GzipVersion = GzipVersion::V11, "gzip_http_version" in HSL, once(VERSION), "1.1";
        /// Browsers that get nothing compressed.
        disable: GzipDisable = GzipDisable::default(), "gzip_disable" in HSL, joined(DISABLE);
        /// Decompresses answers for clients that do not accept gzip.
        gunzip: bool = false, "gunzip" in HSL, once(FLAG), "off";
    }
}

const NO_PROXIED: GzipProxied = GzipProxied {
    off: false,
    expired: false,
    no_cache: false,
    no_store: false,
    private: false,
    no_last_modified: false,
    no_etag: false,
    auth: false,
    any: false,
};

const LEVEL: Reader<u32> = Reader::one("level", |directive, scope| {
    let level = u32::try_from((NUMBER.read)(directive, scope)?).ok().filter(|level| (1..=9).contains(level));
    level.ok_or_else(|| directive.fail(0, "value must be between 1 and 9"))
});

const PROXIED: Reader<GzipProxied> = Reader::many(
    "off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any ...",
    |directive, scope| GzipProxied::read(directive, |problem| scope.report(problem)),
);

const VERSION: Reader<GzipVersion> = Reader::one("1.0 | 1.1", |directive, _| {
    choice(directive, 0, &[("1.0", GzipVersion::V10), ("1.1", GzipVersion::V11)])
});

const DISABLE: Reader<GzipDisable> = Reader::many("msie6 | degradation | regex ...", disable);

fn disable(directive: &Directive, scope: &Scope<'_>) -> Result<GzipDisable, Problem> {
    let mut disable = GzipDisable::default();
    for number in 0..directive.args.len() {
        match directive.bytes(number) {
            b"msie6" => disable.msie6 = true,
            b"degradation" => {
                let message =
                    "\"degradation\" in \"gzip_disable\" directive has no effect here: memory is not watched";
                scope.report(Problem::warning(directive.args[number].span, message));
            }
            text => disable.agents.push(scope.regex(directive, number, text, Case::Insensitive)?),
        }
    }
    Ok(disable)
}
