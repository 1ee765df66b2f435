//! How a server lets clients take up sessions: what it keeps itself, what clients keep, or nothing.
//!
//! rustls has one way for TLS 1.3 at a time, so that this is how it is decided:
//!
//! - `ssl_session_tickets on`: clients keep their sessions (tickets), in both versions. `ssl_session_cache` is for clients of TLS
//!   1.2 that know no tickets. As nginx.
//! - `off`: sessions stay in the cache, and clients get their names, in TLS 1.3 too. Without a cache nobody comes back. As nginx.
//! - `ssl_early_data on`: rustls takes early data for sessions of its own only, since just these can be taken up once and never
//!   again (RFC 8446, 8.1). Sessions are kept here then, in a cache of the server's own where none is configured; no tickets.

use std::{sync::Arc, time::Duration};

use config::{OwnCache, SessionCache};
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions},
    time_provider::TimeProvider,
};

use crate::{
    sessions::{SessionContext, SessionStore, SessionZone},
    tickets::{TicketKeys, Ticketer},
};

/// What is asked of one server.
#[derive(Debug)]
pub struct ResumptionWish<'a> {
    /// `ssl_session_cache`.
    pub cache: &'a SessionCache,
    /// The zone of `shared:`, where it names one.
    pub shared: Option<Arc<SessionZone>>,
    /// `ssl_session_tickets`, with the keys for them.
    pub tickets: Option<Arc<TicketKeys>>,
    /// `ssl_session_timeout`.
    pub timeout: Duration,
    /// `ssl_early_data`.
    pub early_data: ZeroRtt,
}

/// What keeps the sessions of one server, whichever certificates it shows.
#[derive(Debug)]
pub struct SessionKeeper {
    place: Place,
    tickets: Option<Arc<TicketKeys>>,
    timeout: Duration,
    early_data: ZeroRtt,
    clock: Arc<dyn TimeProvider>,
}

/// Where sessions are kept.
#[derive(Debug)]
enum Place {
    /// Nowhere, and clients are told.
    Off,
    /// Nowhere.
    Nothing,
    /// Here.
    Zone(Arc<SessionZone>),
}

/// `ssl_early_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroRtt {
    /// None is taken.
    Refused,
    /// It is taken.
    Taken,
}

/// Where sessions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// Nowhere, and clients are told.
    Off,
    /// Nowhere.
    Nothing,
    /// In the zone that servers share.
    Shared,
    /// In a zone of the server's own, for so many.
    Own(u64),
}

/// As OpenSSL's own cache.
const OWN_SESSIONS: u64 = 20480;
/// As nginx: what fits into its buffer.
const MOST_EARLY_BYTES: u32 = 16384;

impl ResumptionWish<'_> {
    /// Makes what keeps the sessions.
    pub fn keeper(self, clock: Arc<dyn TimeProvider>) -> SessionKeeper {
        let place = match keeping(self.cache, self.early_data) {
            Keeping::Off => Place::Off,
            Keeping::Nothing => Place::Nothing,
            Keeping::Own(sessions) => Place::Zone(SessionZone::with_sessions(sessions)),
            Keeping::Shared => self.shared.map_or(Place::Nothing, Place::Zone),
        };
        let Self { tickets, timeout, early_data, .. } = self;
        SessionKeeper { place, tickets, timeout, early_data, clock }
    }
}

impl SessionKeeper {
    /// Puts it in force for sessions that are bound to `context`; a configuration that nothing was done to keeps its sessions
    /// itself, without a limit of time.
    pub fn apply(&self, server: &mut ServerConfig, context: SessionContext) {
        server.session_storage = match &self.place {
            Place::Off => Arc::new(NoServerSessionStorage {}),
            Place::Nothing => Arc::new(NothingKept),
            Place::Zone(zone) => {
                let clock = Arc::clone(&self.clock);
                Arc::new(SessionStore::new(Arc::clone(zone), context, self.timeout, clock))
            }
        };
        server.max_early_data_size = match self.early_data {
            ZeroRtt::Refused => 0,
            ZeroRtt::Taken => MOST_EARLY_BYTES,
        };
        server.ticketer = match (&self.tickets, self.early_data) {
            (Some(keys), ZeroRtt::Refused) => {
                let clock = Arc::clone(&self.clock);
                Arc::new(Ticketer::new(Arc::clone(keys), context, self.timeout, clock))
            }
            (Some(_) | None, _) => Arc::new(NoTickets),
        };
    }
}

/// As nginx: `off` counts before all, a shared cache before one of the server's own.
fn keeping(cache: &SessionCache, early_data: ZeroRtt) -> Keeping {
    let keeping = match (cache.own, &cache.shared) {
        (Some(OwnCache::Off), _) => Keeping::Off,
        (_, Some(_)) => Keeping::Shared,
        (Some(OwnCache::Builtin(sessions)), None) => Keeping::Own(sessions),
        (Some(OwnCache::Nothing) | None, None) => Keeping::Nothing,
    };
    match (keeping, early_data) {
        (Keeping::Off | Keeping::Nothing, ZeroRtt::Taken) => Keeping::Own(OWN_SESSIONS),
        (keeping, _) => keeping,
    }
}

/// `ssl_session_cache none`: clients are told that they may come back, and nothing is kept.
#[derive(Debug)]
struct NothingKept;

impl StoresServerSessions for NothingKept {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        false
    }

    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// `ssl_session_tickets off`.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests;
