//! `proxy_store` and `proxy_store_access`: answers kept as files of their own.

use super::{
    cache::{CacheConf, CacheZone},
    proxy::ProxyConf,
};
use crate::{
    parse::Directive, scope::Scope, settings::Reader, source::Problem, template::Template, values::accepted,
};

/// `proxy_store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// No answer is kept.
    Off,
    /// Under the path that `root` or `alias` makes of the request's.
    Mapped,
    /// Under this path.
    Path(Template),
}

/// Permissions of files that nothing else is said about.
pub const DEFAULT_ACCESS: u32 = 0o600;

/// Reads `proxy_store`.
pub const STORE: Reader<Store> = Reader::one("on | off | string", store);

/// Reads `proxy_store_access`.
pub const STORE_ACCESS: Reader<u32> = Reader::between(1, 3, "users:permissions ...", store_access);

/// Refuses to keep answers as files and in a cache at the same level.
pub fn refuse_both(
    directive: &Directive,
    proxy: &ProxyConf,
    cache: &CacheConf,
) -> Option<Result<(), Problem>> {
    let says_off = directive.args.first().is_some_and(|word| word.text == b"off");
    let other = if directive.is("proxy_store") && is_caching(cache) {
        "proxy_cache"
    } else if directive.is("proxy_cache") && is_storing(proxy) {
        "proxy_store"
    } else {
        return None;
    };
    (!says_off).then(|| Err(directive.complain(&format!("is incompatible with \"{other}\""))))
}

/// As nginx: what a level writes ends what it would inherit of the other.
pub fn settle(proxy: &mut ProxyConf, cache: &mut CacheConf) {
    if is_storing(proxy) {
        cache.zone.default_to(CacheZone::Off);
    } else if is_caching(cache) {
        proxy.store.default_to(Store::Off);
    }
}

fn is_storing(proxy: &ProxyConf) -> bool {
    proxy.store.is_written() && *proxy.store != Store::Off
}

fn is_caching(cache: &CacheConf) -> bool {
    cache.zone.is_written() && !matches!(*cache.zone, CacheZone::Off)
}

fn store(directive: &Directive, scope: &Scope<'_>) -> Result<Store, Problem> {
    match directive.bytes(0) {
        b"" => Err(directive.fail(0, "empty path")),
        b"off" => Ok(Store::Off),
        b"on" => Ok(Store::Mapped),
        _ => Ok(Store::Path(scope.path_template(directive, 0)?)),
    }
}

/// As nginx: the owner may read and write unless something else is said of him.
fn store_access(directive: &Directive, _: &Scope<'_>) -> Result<u32, Problem> {
    let mut access = 0;
    let mut owner = DEFAULT_ACCESS;
    for number in 0..directive.args.len() {
        let (class, bits) = permissions(directive.bytes(number)).ok_or_else(|| wrong(directive, number))?;
        if class == Class::User {
            owner = 0;
        }
        access |= bits << class.shift();
    }
    Ok(access | owner)
}

/// Whom a word of `proxy_store_access` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    User,
    Group,
    All,
}

impl Class {
    fn shift(self) -> u32 {
        match self {
            Self::User => 6,
            Self::Group => 3,
            Self::All => 0,
        }
    }
}

fn permissions(word: &[u8]) -> Option<(Class, u32)> {
    let classes = [(&b"user:"[..], Class::User), (b"group:", Class::Group), (b"all:", Class::All)];
    let (class, rest) = classes.iter().find_map(|(name, class)| Some((*class, word.strip_prefix(*name)?)))?;
    match rest {
        b"rw" => Some((class, 6)),
        b"r" => Some((class, 4)),
        _ => None,
    }
}

fn wrong(directive: &Directive, number: usize) -> Problem {
    let word = directive.text(number);
    let words = ["user:rw", "user:r", "group:rw", "group:r", "all:rw", "all:r"];
    directive.fail(number, format!("invalid value \"{word}\"")).with_help(accepted(&word, words.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_nginx_reads_them() {
        for (word, wanted) in [
            ("user:rw", Some((Class::User, 6))),
            ("group:r", Some((Class::Group, 4))),
            ("all:rw", Some((Class::All, 6))),
            ("all:w", None),
            ("all:", None),
            ("All:r", None),
            ("other:r", None),
            ("rw", None),
        ] {
            assert_eq!(permissions(word.as_bytes()), wanted, "{word}");
        }
    }
}
