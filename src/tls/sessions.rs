//! Sessions that a server keeps for clients that come back: bounded by size, each for a while only.
//!
//! One [`SessionZone`] may serve several servers, as nginx's `shared:NAME:SIZE` does, but what a server puts into it comes back
//! for this [`SessionContext`] alone: a session made where no client certificate was asked for is worth nothing where one is
//! (CVE-2025-23419). rustls on its own keeps sessions of TLS 1.3 for a day; here `ssl_session_timeout` counts.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;
use config::SharedCache;
use parking_lot::Mutex;
use rustls::{server::StoresServerSessions, time_provider::TimeProvider};

/// What a session was made under; servers that differ in it never take up each other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionContext([u8; digest::SHA256_OUTPUT_LEN]);

impl SessionContext {
    /// Makes one of all that counts: certificates, authorities for clients, what is asked of clients.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = digest::Context::new(&digest::SHA256);
        for part in parts {
            // With its length, so that no two lists give the same bytes.
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        let digest = digest.finish();
        Self(std::array::from_fn(|place| digest.as_ref()[place]))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Memory for sessions, the same for all servers that name it.
pub struct SessionZone {
    kept: Mutex<Kept>,
    size_bytes: u64,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, Session>,
    /// Names of sessions by age, oldest first.
    ages: BTreeMap<u64, Vec<u8>>,
    next_age: u64,
    used_bytes: u64,
}

struct Session {
    value: Vec<u8>,
    /// In seconds since 1970.
    expires: u64,
    age: u64,
}

/// As nginx says: about 4000 sessions in a megabyte.
const SESSION_BYTES: u64 = 256;
/// What a session takes beside its value.
const OVERHEAD_BYTES: usize = 128;
/// A session with a client's chain of certificates may be long; a longer one is not kept.
const LONGEST_SESSION: usize = 16 << 10;
/// The most that `builtin:SIZE` takes, which OpenSSL has no limit for where it is 0.
const MOST_SESSIONS: u64 = 1 << 20;

impl SessionZone {
    /// A zone of `shared:NAME:SIZE`.
    pub fn with_size(size_bytes: u64) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), size_bytes })
    }

    /// A zone of `builtin:SIZE`, which counts sessions; 0 is OpenSSL's word for as many as there are.
    pub fn with_sessions(sessions: u64) -> Arc<Self> {
        let sessions = if sessions == 0 { MOST_SESSIONS } else { sessions.min(MOST_SESSIONS) };
        Self::with_size(sessions * SESSION_BYTES)
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.kept.lock().sessions.len()
    }

    /// Keeps a session, for which the oldest go where there is no room; tells whether it is kept.
    fn put(&self, name: Vec<u8>, value: Vec<u8>, expires: u64, now: u64) -> bool {
        let bytes = cost(&value);
        if value.len() > LONGEST_SESSION || bytes > self.size_bytes {
            return false;
        }
        let mut kept = self.kept.lock();
        kept.remove(&name);
        kept.expire(now);
        while kept.used_bytes + bytes > self.size_bytes {
            kept.remove_oldest();
        }
        kept.insert(name, Session { value, expires, age: 0 });
        true
    }

    fn find(&self, name: &[u8], now: u64) -> Option<Vec<u8>> {
        let kept = self.kept.lock();
        kept.sessions.get(name).filter(|session| session.expires > now).map(|session| session.value.clone())
    }

    fn take(&self, name: &[u8], now: u64) -> Option<Vec<u8>> {
        let session = self.kept.lock().remove(name)?;
        (session.expires > now).then_some(session.value)
    }
}

fn cost(value: &[u8]) -> u64 {
    u64::try_from(value.len() + OVERHEAD_BYTES).map_or(u64::MAX, |bytes| bytes.max(SESSION_BYTES))
}

impl Kept {
    fn insert(&mut self, name: Vec<u8>, session: Session) {
        let age = self.next_age;
        self.next_age += 1;
        self.used_bytes += cost(&session.value);
        self.ages.insert(age, name.clone());
        self.sessions.insert(name, Session { age, ..session });
    }

    fn remove(&mut self, name: &[u8]) -> Option<Session> {
        let session = self.sessions.remove(name)?;
        self.ages.remove(&session.age);
        self.used_bytes -= cost(&session.value);
        Some(session)
    }

    fn remove_oldest(&mut self) {
        let oldest = self.ages.first_key_value().map(|(_, name)| name.clone());
        if let Some(name) = oldest {
            self.remove(&name);
        }
    }

    /// As nginx: with each new session the two oldest may go, if their time is over.
    fn expire(&mut self, now: u64) {
        for _ in 0..2 {
            let oldest = self.ages.first_key_value().and_then(|(_, name)| self.sessions.get(name));
            if oldest.is_some_and(|session| session.expires <= now) {
                self.remove_oldest();
            }
        }
    }
}

/// Shows no session: they are secret.
impl fmt::Debug for SessionZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionZone({} of {} bytes)", self.kept.lock().used_bytes, self.size_bytes)
    }
}

/// The zones of one configuration, by name.
#[derive(Debug, Default)]
pub struct SessionZones(HashMap<String, Arc<SessionZone>>);

impl SessionZones {
    /// The zone of a name, made where it is named first.
    pub fn zone(&mut self, cache: &SharedCache) -> Arc<SessionZone> {
        let zone =
            self.0.entry(cache.name.clone()).or_insert_with(|| SessionZone::with_size(cache.size_bytes));
        Arc::clone(zone)
    }
}

/// A zone as one server uses it.
#[derive(Debug)]
pub struct SessionStore {
    zone: Arc<SessionZone>,
    context: SessionContext,
    timeout_seconds: u64,
    clock: Arc<dyn TimeProvider>,
}

impl SessionStore {
    /// Lets a server keep its sessions in a zone, each for `timeout`.
    pub fn new(
        zone: Arc<SessionZone>,
        context: SessionContext,
        timeout: Duration,
        clock: Arc<dyn TimeProvider>,
    ) -> Self {
        Self { zone, context, timeout_seconds: timeout.as_secs(), clock }
    }

    fn name(&self, id: &[u8]) -> Vec<u8> {
        [self.context.bytes(), id].concat()
    }

    fn now(&self) -> Option<u64> {
        self.clock.current_time().map(|time| time.as_secs())
    }
}

impl StoresServerSessions for SessionStore {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let Some(now) = self.now() else { return false };
        self.zone.put(self.name(&key), value, now.saturating_add(self.timeout_seconds), now)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.zone.find(&self.name(key), self.now()?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.zone.take(&self.name(key), self.now()?)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::TestClock;

    fn store(zone: &Arc<SessionZone>, context: &str, clock: &Arc<TestClock>) -> SessionStore {
        let context = SessionContext::of([context.as_bytes()]);
        let clock: Arc<dyn TimeProvider> = Arc::<TestClock>::clone(clock);
        SessionStore::new(Arc::clone(zone), context, Duration::from_secs(300), clock)
    }

    #[test]
    fn contexts_differ_where_any_part_does() {
        let of = |parts: &[&str]| SessionContext::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for other in [["ab", ""].as_slice(), &["", "ab"], &["b", "a"], &["a"], &["a", "b", ""]] {
            assert_ne!(of(&["a", "b"]), of(other), "{other:?}");
        }
    }

    #[test]
    fn sessions_come_back_until_their_time_is_over() {
        let (zone, clock) = (SessionZone::with_size(1 << 20), TestClock::at(1000));
        let store = store(&zone, "a", &clock);
        assert!(store.put(vec![1], vec![10]));
        assert!(store.put(vec![2], vec![20]));
        clock.set(1299);
        assert_eq!(store.get(&[1]), Some(vec![10]));
        assert_eq!(store.take(&[2]), Some(vec![20]));
        assert_eq!(store.take(&[2]), None);
        clock.set(1300);
        assert_eq!((store.get(&[1]), store.take(&[1])), (None, None));
        assert_eq!(zone.kept.lock().used_bytes, 0);
    }

    #[test]
    fn no_context_sees_the_sessions_of_another() {
        let (zone, clock) = (SessionZone::with_size(1 << 20), TestClock::at(1000));
        let (first, second) = (store(&zone, "a", &clock), store(&zone, "b", &clock));
        assert!(first.put(vec![1], vec![10]));
        assert_eq!((second.get(&[1]), second.take(&[1])), (None, None));
        assert!(second.put(vec![1], vec![20]));
        assert_eq!((first.get(&[1]), second.get(&[1])), (Some(vec![10]), Some(vec![20])));
    }

    #[test]
    fn the_oldest_go_where_there_is_no_room() {
        let (zone, clock) = (SessionZone::with_size(1 << 20), TestClock::at(1000));
        let store = store(&zone, "a", &clock);
        for id in 0..5000_u32 {
            assert!(store.put(id.to_be_bytes().to_vec(), vec![0; 100]));
        }
        assert_eq!(zone.session_count(), 4096);
        assert_eq!(store.get(&903_u32.to_be_bytes()), None);
        assert!(store.get(&904_u32.to_be_bytes()).is_some());
        // The same name again takes the place of the one before.
        assert!(store.put(4999_u32.to_be_bytes().to_vec(), vec![1]));
        assert_eq!((zone.session_count(), store.get(&4999_u32.to_be_bytes())), (4096, Some(vec![1])));
        assert!(store.put(vec![1], vec![0; LONGEST_SESSION]));
        assert_eq!(zone.session_count(), 4096 - 64);
        assert!(!store.put(vec![2], vec![0; LONGEST_SESSION + 1]));
        assert!(zone.kept.lock().used_bytes <= 1 << 20);
    }

    #[test]
    fn new_sessions_make_expired_ones_go() {
        let (zone, clock) = (SessionZone::with_sessions(10), TestClock::at(1000));
        let store = store(&zone, "a", &clock);
        for id in 0..4 {
            assert!(store.put(vec![id], vec![id]));
        }
        clock.set(2000);
        assert!(store.put(vec![9], vec![9]));
        assert_eq!(zone.session_count(), 3);
    }

    #[test]
    fn servers_that_name_a_zone_share_it() {
        let named = |name: &str| SharedCache { name: name.to_owned(), size_bytes: 1 << 20 };
        let mut zones = SessionZones::default();
        let [first, same, other] = ["a", "a", "b"].map(|name| zones.zone(&named(name)));
        assert!(Arc::ptr_eq(&first, &same) && !Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn a_zone_of_no_size_keeps_many_but_not_all() {
        assert_eq!(SessionZone::with_sessions(0).size_bytes, MOST_SESSIONS * SESSION_BYTES);
        assert_eq!(SessionZone::with_sessions(u64::MAX).size_bytes, MOST_SESSIONS * SESSION_BYTES);
        assert_eq!(SessionZone::with_sessions(5).size_bytes, 5 * SESSION_BYTES);
    }
}
