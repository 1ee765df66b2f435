//! Sessions of `sticky learn`: which peer a value belongs to, for as long as it is used.
//!
//! Pure but for the lock: `now` is the time on the monotonic clock.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

/// Bytes of a zone that one session is counted with: nginx has some 4000 in a megabyte.
const SESSION_BYTES: u64 = 256;

/// The sessions of a group.
#[derive(Debug)]
pub(super) struct Sessions {
    most: usize,
    timeout: Duration,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<Arc<[u8]>, Session>,
    /// Values by when they were used, as it was known when they were put here.
    by_use: VecDeque<(Duration, Arc<[u8]>)>,
}

#[derive(Debug)]
struct Session {
    route: Arc<str>,
    used: Duration,
}

impl Sessions {
    pub(super) fn new(zone_size: u64, timeout: Duration) -> Self {
        let most = usize::try_from(zone_size / SESSION_BYTES).unwrap_or(usize::MAX);
        Self { most: most.max(1), timeout, table: Mutex::default() }
    }

    /// Returns the route of the peer that a value belongs to, and prolongs the session.
    pub(super) fn find(&self, value: &[u8], now: Duration) -> Option<Arc<str>> {
        let mut table = self.table.lock();
        let session = table.sessions.get_mut(value)?;
        if now.saturating_sub(session.used) > self.timeout {
            return None;
        }
        session.used = now;
        Some(Arc::clone(&session.route))
    }

    /// Binds a value to a peer. Where there is no room, the session that was used longest ago ends.
    pub(super) fn bind(&self, value: &[u8], route: &str, now: Duration) {
        let mut table = self.table.lock();
        if let Some(session) = table.sessions.get_mut(value) {
            session.used = now;
            if *session.route != *route {
                session.route = Arc::from(route);
            }
            return;
        }
        table.sweep(self.most - 1, |used| now.saturating_sub(used) > self.timeout);
        let value: Arc<[u8]> = Arc::from(value);
        table.by_use.push_back((now, Arc::clone(&value)));
        table.sessions.insert(value, Session { route: Arc::from(route), used: now });
    }
}

impl Table {
    /// Removes what is over, and what was used longest ago until no more than `most` are left.
    fn sweep(&mut self, most: usize, is_over: impl Fn(Duration) -> bool) {
        while let Some((known, value)) = self.by_use.front() {
            if self.by_use.len() <= most && !is_over(*known) {
                return;
            }
            let used = self.sessions.get(value).map(|session| session.used);
            let Some((known, value)) = self.by_use.pop_front() else { return };
            match used {
                // It was used since, and is looked at again in its turn.
                Some(used) if used > known => self.by_use.push_back((used, value)),
                _ => drop(self.sessions.remove(&value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_session_lasts_while_it_is_used() {
        let sessions = Sessions::new(1 << 20, 10 * SECOND);
        sessions.bind(b"one", "a", SECOND);
        assert_eq!(sessions.find(b"one", 9 * SECOND).as_deref(), Some("a"));
        assert_eq!(sessions.find(b"one", 19 * SECOND).as_deref(), Some("a"));
        assert_eq!(sessions.find(b"one", 30 * SECOND), None);
        assert_eq!(sessions.find(b"two", SECOND), None);
        sessions.bind(b"one", "b", 31 * SECOND);
        assert_eq!(sessions.find(b"one", 31 * SECOND).as_deref(), Some("b"));
    }

    #[test]
    fn the_session_used_longest_ago_makes_room() {
        let sessions = Sessions::new(3 * SESSION_BYTES, 100 * SECOND);
        for (number, value) in (1..).zip(["one", "two", "three"]) {
            sessions.bind(value.as_bytes(), "a", number * SECOND);
        }
        sessions.find(b"one", 4 * SECOND);
        sessions.bind(b"four", "a", 5 * SECOND);
        let known = ["one", "two", "three", "four"]
            .map(|value| sessions.find(value.as_bytes(), 6 * SECOND).is_some());
        assert_eq!(known, [true, false, true, true]);
        sessions.bind(b"five", "a", 200 * SECOND);
        assert_eq!(sessions.table.lock().sessions.len(), 1, "all others are over");
    }
}
