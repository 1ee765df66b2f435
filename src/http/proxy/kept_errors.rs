//! Errors of our own that count as answers for a while: 502 and 504 where `proxy_cache_valid` names them.
//!
//! As nginx: they are in memory only, for this worker, and have no body but the page of their status.

use std::{collections::HashMap, time::SystemTime};

use cache::Digest;
use parking_lot::Mutex;

/// Errors by what was asked for.
#[derive(Debug, Default)]
pub struct KeptErrors {
    kept: Mutex<HashMap<Digest, Kept>>,
}

#[derive(Debug)]
struct Kept {
    status: u16,
    until: SystemTime,
}

/// Errors that are kept at a time; where there is no room, the upstream is asked.
const MOST: usize = 10_000;

impl KeptErrors {
    /// Keeps an error until a time.
    pub fn keep(&self, digest: Digest, status: u16, until: SystemTime, now: SystemTime) {
        let mut kept = self.kept.lock();
        if kept.len() >= MOST {
            kept.retain(|_, error| error.until > now);
        }
        if kept.len() < MOST {
            kept.insert(digest, Kept { status, until });
        }
    }

    /// Returns the status of an error that still counts.
    pub fn find(&self, digest: &Digest, now: SystemTime) -> Option<u16> {
        let mut kept = self.kept.lock();
        let error = kept.get(digest)?;
        if error.until > now {
            return Some(error.status);
        }
        kept.remove(digest);
        None
    }

    /// Forgets an error: there is an answer.
    pub fn forget(&self, digest: &Digest) {
        self.kept.lock().remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn an_error_counts_until_its_time_or_an_answer() {
        let errors = KeptErrors::default();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let [one, two] = [[1; 16], [2; 16]];
        errors.keep(one, 502, at(10), at(0));
        errors.keep(two, 504, at(10), at(0));
        assert_eq!((errors.find(&one, at(9)), errors.find(&two, at(9))), (Some(502), Some(504)));
        errors.forget(&two);
        assert_eq!((errors.find(&one, at(10)), errors.find(&two, at(9))), (None, None));
        assert_eq!(errors.find(&one, at(0)), None, "it was dropped");
    }

    #[test]
    fn what_is_over_makes_room() {
        let errors = KeptErrors::default();
        let digest = |number: usize| {
            let mut digest = [0; 16];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            digest
        };
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for number in 0..MOST {
            errors.keep(digest(number), 502, at(10), at(0));
        }
        errors.keep(digest(MOST), 502, at(20), at(9));
        assert_eq!(errors.find(&digest(MOST), at(9)), None);
        errors.keep(digest(MOST), 502, at(20), at(10));
        assert_eq!(errors.find(&digest(MOST), at(11)), Some(502));
    }
}
