//! What was learned of a key a moment ago, so that it need not be learned again by each request.
//!
//! As nginx's errors with a validity: in memory only, and for this worker. Nothing here is needed to be right:
//! what is forgotten for want of room is asked for again.

use std::time::{Duration, SystemTime};

use cache::Digest;
use quick_cache::sync::Cache;

/// Lessons by what was asked for.
pub struct Remembered {
    lessons: Cache<Digest, Remark>,
}

/// What was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// An error of our own that counts as an answer: 502 and 504 where `proxy_cache_valid` names them.
    Error(u16),
    /// The answer was not to be stored: nobody need wait for the next one (`proxy_cache_uncacheable`).
    Uncacheable,
    /// The upstream failed while a stale answer was at hand (`proxy_cache_stale_retry`).
    Failing,
}

#[derive(Debug, Clone, Copy)]
struct Remark {
    lesson: Lesson,
    until: SystemTime,
}

/// Lessons that are remembered at a time.
const MOST: usize = 10_000;

impl Default for Remembered {
    fn default() -> Self {
        Self { lessons: Cache::new(MOST) }
    }
}

impl Remembered {
    /// Keeps a lesson for some time, in the place of any other about that key.
    pub fn keep(&self, digest: Digest, lesson: Lesson, time: Duration, now: SystemTime) {
        if let Some(until) = now.checked_add(time) {
            self.lessons.insert(digest, Remark { lesson, until });
        }
    }

    /// Returns the lesson about a key that still counts.
    pub fn find(&self, digest: &Digest, now: SystemTime) -> Option<Lesson> {
        let remark = self.lessons.get(digest)?;
        if remark.until > now {
            return Some(remark.lesson);
        }
        self.forget(digest);
        None
    }

    /// Forgets all of it: something was purged.
    pub fn clear(&self) {
        self.lessons.clear();
    }

    /// Forgets what was learned: there is an answer.
    pub fn forget(&self, digest: &Digest) {
        self.lessons.remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const TIME: Duration = Duration::from_secs(10);

    #[test]
    fn a_lesson_counts_until_its_time_or_an_answer() {
        let remembered = Remembered::default();
        let [one, two] = [[1; 16], [2; 16]];
        remembered.keep(one, Lesson::Error(502), TIME, at(0));
        remembered.keep(two, Lesson::Uncacheable, TIME, at(0));
        assert_eq!(remembered.find(&one, at(9)), Some(Lesson::Error(502)));
        assert_eq!(remembered.find(&two, at(9)), Some(Lesson::Uncacheable));
        remembered.forget(&two);
        assert_eq!((remembered.find(&one, at(10)), remembered.find(&two, at(9))), (None, None));
        assert_eq!(remembered.find(&one, at(0)), None, "it was dropped");
    }

    #[test]
    fn the_last_lesson_counts() {
        let remembered = Remembered::default();
        remembered.keep([1; 16], Lesson::Failing, TIME, at(0));
        remembered.keep([1; 16], Lesson::Uncacheable, TIME, at(5));
        assert_eq!(remembered.find(&[1; 16], at(14)), Some(Lesson::Uncacheable));
    }

    #[test]
    fn memory_is_bounded() {
        let remembered = Remembered::default();
        for number in 0..3 * MOST {
            let mut digest = [0; 16];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            remembered.keep(digest, Lesson::Uncacheable, TIME, at(0));
        }
        assert!(remembered.lessons.len() <= MOST, "{}", remembered.lessons.len());
    }
}
