//! `ssl_session_cache` and `ssl_ocsp_cache`: memory that connections share.

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{Join, Reader},
    source::Problem,
    values::{parse_number, parse_size},
};

/// `ssl_session_cache`: as nginx, a later word replaces an earlier one of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionCache {
    /// What is said without `shared:`; absent where nothing is.
    pub own: Option<OwnCache>,
    /// `shared:`.
    pub shared: Option<SharedCache>,
}

/// What `ssl_session_cache` says beside `shared:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnCache {
    /// Clients are told that there is none: `off`.
    Off,
    /// Clients may think that there is one: `none`.
    Nothing,
    /// One for each process, with so many sessions: `builtin`.
    Builtin(u64),
}

/// A cache that all servers which name it share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCache {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

impl SessionCache {
    /// What holds where nothing is written: `none`.
    pub const NOTHING: Self = Self { own: Some(OwnCache::Nothing), shared: None };
}

impl Join for SessionCache {
    fn join(&mut self, more: Self) {
        self.own = more.own.or(self.own);
        self.shared = more.shared.or(self.shared.take());
    }
}

/// Sessions of `builtin` where no number is written, as in OpenSSL.
const BUILTIN_SESSIONS: u64 = 20480;

/// Smallest shared cache: eight pages.
const SHARED_LEAST_BYTES: u64 = 8 * 4096;

/// Reads `ssl_session_cache`.
pub const SESSION_CACHE: Reader<SessionCache> =
    Reader::between(1, 2, "off | none | [builtin[:size]] [shared:name:size]", |directive, scope| {
        let mut cache = SessionCache::default();
        for number in 0..directive.args.len() {
            match directive.bytes(number) {
                b"off" => cache.own = Some(OwnCache::Off),
                b"none" => cache.own = Some(OwnCache::Nothing),
                b"builtin" => cache.own = Some(OwnCache::Builtin(BUILTIN_SESSIONS)),
                text => match text.strip_prefix(b"builtin:").map(parse_number) {
                    Some(Some(sessions)) => cache.own = Some(OwnCache::Builtin(sessions)),
                    _ => cache.shared = Some(shared(directive, number, "session cache", scope)?),
                },
            }
        }
        Ok(cache)
    });

/// Reads `ssl_ocsp_cache`.
pub const OCSP_CACHE: Reader<Option<SharedCache>> =
    Reader::one("off | shared:name:size", |directive, scope| match directive.bytes(0) {
        b"off" => Ok(None),
        _ => shared(directive, 0, "OCSP cache", scope).map(Some),
    });

/// Reads `shared:NAME:SIZE`.
fn shared(
    directive: &Directive,
    number: usize,
    what: &str,
    scope: &Scope<'_>,
) -> Result<SharedCache, Problem> {
    let text = directive.text(number);
    let invalid = || {
        let problem = directive.fail(number, format!("invalid {what} \"{text}\""));
        problem.with_help("a cache for all is written as shared:NAME:SIZE, with a size like 10m")
    };
    let (name, size) =
        text.strip_prefix("shared:").and_then(|rest| rest.split_once(':')).ok_or_else(invalid)?;
    let size_bytes = parse_size(size.as_bytes()).filter(|_| !name.is_empty()).ok_or_else(invalid)?;
    if size_bytes < SHARED_LEAST_BYTES {
        let problem = directive.fail(number, format!("{what} \"{text}\" is too small"));
        return Err(problem.with_help("it needs 32k at least"));
    }
    if scope.zones.contains_key(name) {
        let message = format!("the shared memory zone \"{name}\" is already declared for a different use");
        return Err(directive.fail(number, message));
    }
    let known = *scope.session_caches.borrow_mut().entry(name.to_owned()).or_insert(size_bytes);
    if known != size_bytes {
        let message = format!(
            "the size {size_bytes} of shared memory zone \"{name}\" conflicts with already declared size {known}"
        );
        return Err(directive.fail(number, message));
    }
    Ok(SharedCache { name: name.to_owned(), size_bytes })
}
