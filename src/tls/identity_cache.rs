//! `ssl_certificate_cache` and `proxy_ssl_certificate_cache`: certificates whose names have variables, kept for a while.
//!
//! An element is a certificate with its key. [`IdentityCache::fresh`] is for an event loop; where it gives nothing,
//! [`IdentityCache::load`] is called where blocking is allowed. Times are counted from any moment, always the same. Files that did not change are not read again, as with nginx.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt as _, sync::Arc, time::Duration};

use config::CertificateCache;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;

use crate::{
    identity::{IdentityError, Pair, load},
    passwords::Passwords,
    source::Source,
};

/// Certificates with their keys, by what names them.
#[derive(Debug)]
pub struct IdentityCache {
    limits: CertificateCache,
    elements: Mutex<HashMap<Pair, Element>>,
}

#[derive(Debug)]
struct Element {
    identity: Arc<CertifiedKey>,
    files: [Mark; 2],
    checked: Duration,
    used: Duration,
}

/// By what a file is known to be the same; texts within the configuration never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Text,
    File { device: u64, inode: u64, size: u64, modified: (i64, i64) },
    Missing,
}

impl IdentityCache {
    /// Makes one that holds nothing.
    pub fn new(limits: CertificateCache) -> Self {
        Self { limits, elements: Mutex::default() }
    }

    /// Gives what is kept and still valid; never blocks for long.
    pub fn fresh(&self, pair: &Pair, now: Duration) -> Option<Arc<CertifiedKey>> {
        let mut elements = self.elements.lock();
        let element =
            elements.get_mut(pair).filter(|element| is_in_use(element, now, self.limits.inactive))?;
        if now.saturating_sub(element.checked) >= self.limits.valid {
            return None;
        }
        element.used = now;
        Some(Arc::clone(&element.identity))
    }

    /// Gives what is kept, read again where it is too old and its files changed. Errors are not kept. This blocks.
    pub fn load(
        &self,
        pair: &Pair,
        passwords: Option<&Passwords>,
        now: Duration,
    ) -> Result<Arc<CertifiedKey>, IdentityError> {
        if let Some(identity) = self.fresh(pair, now) {
            return Ok(identity);
        }
        // Before they are read: what changes meanwhile is noticed the next time.
        let files = [mark(&pair.certificate), mark(&pair.key)];
        let identity = match self.unchanged(pair, files, now) {
            Some(identity) => identity,
            None => load(pair, passwords)?,
        };
        self.keep(pair, Element { identity: Arc::clone(&identity), files, checked: now, used: now });
        Ok(identity)
    }

    fn unchanged(&self, pair: &Pair, files: [Mark; 2], now: Duration) -> Option<Arc<CertifiedKey>> {
        let elements = self.elements.lock();
        let element = elements.get(pair).filter(|element| is_in_use(element, now, self.limits.inactive))?;
        let is_same = element.files == files && !files.contains(&Mark::Missing);
        is_same.then(|| Arc::clone(&element.identity))
    }

    /// Keeps an element, for which those that nobody uses go, and then the one that was used longest ago.
    fn keep(&self, pair: &Pair, element: Element) {
        let now = element.used;
        let most = usize::try_from(self.limits.max).unwrap_or(usize::MAX);
        let mut elements = self.elements.lock();
        elements.retain(|_, element| is_in_use(element, now, self.limits.inactive));
        if elements.len() >= most && !elements.contains_key(pair) {
            let idlest =
                elements.iter().min_by_key(|(_, element)| element.used).map(|(pair, _)| pair.clone());
            idlest.and_then(|idlest| elements.remove(&idlest));
        }
        elements.insert(pair.clone(), element);
    }
}

fn is_in_use(element: &Element, now: Duration, inactive: Duration) -> bool {
    now.saturating_sub(element.used) < inactive
}

fn mark(source: &Source) -> Mark {
    let Source::File(path) = source else { return Mark::Text };
    match fs::metadata(path) {
        Ok(facts) => Mark::File {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
        },
        Err(_) => Mark::Missing,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Writes a new certificate in place of what was there.
    fn write(path: &Path) {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let new = path.with_extension("new");
        fs::write(&new, format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem())).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn pair(path: &Path) -> Pair {
        Pair { certificate: Source::File(path.to_path_buf()), key: Source::File(path.to_path_buf()) }
    }

    const LIMITS: CertificateCache =
        CertificateCache { max: 2, inactive: Duration::from_secs(20), valid: Duration::from_secs(60) };

    #[test]
    fn certificates_are_kept_until_they_are_old_unused_or_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        for path in [&a, &b, &c] {
            write(path);
        }
        let at = Duration::from_secs;
        let cache = IdentityCache::new(LIMITS);
        assert!(cache.fresh(&pair(&a), at(0)).is_none());
        let first = cache.load(&pair(&a), None, at(0)).unwrap();
        let same = |found: Option<Arc<CertifiedKey>>| found.is_some_and(|found| Arc::ptr_eq(&found, &first));
        for seconds in [0, 19, 38, 57] {
            assert!(same(cache.fresh(&pair(&a), at(seconds))), "{seconds}");
        }
        // Too old, but the file is the same.
        assert!(cache.fresh(&pair(&a), at(60)).is_none());
        assert!(same(cache.load(&pair(&a), None, at(60)).ok()));
        assert!(same(cache.fresh(&pair(&a), at(61))));
        // The file changes: unnoticed while it is valid.
        write(&a);
        for seconds in [80, 99, 118] {
            assert!(same(cache.load(&pair(&a), None, at(seconds)).ok()), "{seconds}");
        }
        assert!(!same(cache.load(&pair(&a), None, at(120)).ok()));
        // Nobody uses it.
        assert!(cache.fresh(&pair(&a), at(139)).is_some());
        assert!(cache.fresh(&pair(&a), at(159)).is_none());
        // Too many: the one that was used longest ago goes.
        for (path, seconds) in [(&a, 200), (&b, 201), (&a, 202), (&c, 203)] {
            cache.load(&pair(path), None, at(seconds)).unwrap();
        }
        let kept = [&a, &b, &c].map(|path| cache.fresh(&pair(path), at(204)).is_some());
        assert_eq!(kept, [true, false, true]);
        // Errors are not kept.
        fs::remove_file(&b).unwrap();
        assert!(cache.load(&pair(&b), None, at(205)).is_err());
        write(&b);
        assert!(cache.load(&pair(&b), None, at(205)).is_ok());
        assert_eq!(cache.elements.lock().len(), 2);
    }
}
