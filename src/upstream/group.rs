//! A group of peers as all event loops of a worker share it.
//!
//! Its peers can be replaced ([`Group::replace`]) and be marked by checks ([`Group::set_health`]) while it serves: a
//! request that is under way keeps the peer it has.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use config::{Measure, Sticky, UpstreamConf};
use parking_lot::Mutex;

use super::{
    balance::{Balancer, Search, Standing},
    peer::{Health, Peer, PeerId, Place},
    queue::Queue,
    sessions::Sessions,
};
use crate::clock::Moment;

/// An upstream group at run time.
#[derive(Debug)]
pub struct Group {
    /// What the configuration says of it.
    pub conf: Arc<UpstreamConf>,
    /// Tells groups of one worker apart.
    pub(super) id: u64,
    choice: Choice,
    queue: Option<Queue>,
    sessions: Option<Sessions>,
    /// Whether new peers wait for their first check.
    begins_unhealthy: AtomicBool,
}

/// How a peer is chosen.
#[derive(Debug)]
enum Choice {
    /// There is one peer without a limit: nothing to decide or to remember, so no lock is taken.
    Only(Arc<Peer>),
    Balanced(Mutex<Balancer>),
}

impl Group {
    /// Sets up a group.
    pub fn new(conf: Arc<UpstreamConf>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let choice = match only(&conf) {
            Some(peer) => Choice::Only(Arc::new(peer)),
            None => Choice::Balanced(Mutex::new(Balancer::new(&conf, seed()))),
        };
        let queue = conf.queue.map(Queue::new);
        let sessions = match &conf.sticky {
            Some(Sticky::Learn(learn)) => Some(Sessions::new(learn.zone_size, learn.timeout)),
            Some(Sticky::Cookie(_) | Sticky::Route(_)) | None => None,
        };
        Self { id, choice, queue, sessions, begins_unhealthy: AtomicBool::new(false), conf }
    }

    /// Chooses a peer that the request has not tried yet.
    pub fn pick(self: &Arc<Self>, search: &mut Search, now: Moment) -> Option<Pick> {
        let peer = match &self.choice {
            Choice::Only(peer) if peer.health() == Health::Unhealthy => return None,
            Choice::Only(peer) => Arc::clone(peer),
            Choice::Balanced(balancer) => balancer.lock().pick(search, since_start(now))?,
        };
        let waits_since = Cell::new(None);
        if self.conf.balancing.measure().is_some()
            && let Choice::Balanced(balancer) = &self.choice
        {
            balancer.lock().begin(&peer, since_start(now));
            waits_since.set(Some(since_start(now)));
        }
        Some(Pick { group: Arc::clone(self), peer, waits_since })
    }

    /// Chooses a peer, and waits for one where the group has a queue and the request has not tried any. Cancel safe.
    pub async fn pick_or_wait(self: &Arc<Self>, search: &mut Search, now: Moment) -> Found {
        let Some(queue) = self.queue.as_ref().filter(|_| search.is_new()) else {
            return Found { pick: self.pick(search, now), queued: None };
        };
        let at_once = if queue.is_busy() { None } else { self.pick(search, now) };
        match at_once {
            Some(pick) => Found { pick: Some(pick), queued: None },
            None => queue.wait(self, search).await,
        }
    }

    /// Returns the route of the peer that a value of a session belongs to (`sticky learn`).
    pub fn session(&self, value: &[u8], now: Moment) -> Option<Arc<str>> {
        self.sessions.as_ref()?.find(value, since_start(now))
    }

    /// Begins a session, or prolongs it.
    pub fn bind_session(&self, value: &[u8], peer: &Peer, now: Moment) {
        if let Some(sessions) = &self.sessions {
            sessions.bind(value, peer.route(), since_start(now));
        }
    }

    /// Counts the peers that one request may try.
    pub fn tries(&self) -> usize {
        match &self.choice {
            Choice::Only(_) => 1,
            Choice::Balanced(balancer) => balancer.lock().tries(),
        }
    }

    /// Lists the peers in force.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        match &self.choice {
            Choice::Only(peer) => vec![Arc::clone(peer)],
            Choice::Balanced(balancer) => balancer.lock().peers().cloned().collect(),
        }
    }

    /// Gives a server (its number in the configuration) these places in place of those it had.
    ///
    /// A peer whose address stays keeps its identity, its failures and its health.
    pub fn replace(&self, server: usize, places: &[Place]) {
        if let Choice::Balanced(balancer) = &self.choice {
            let mut balancer = balancer.lock();
            let waits = self.begins_unhealthy.load(Ordering::Relaxed);
            let known: Vec<PeerId> = balancer.peers().filter(|_| waits).map(|peer| peer.id).collect();
            balancer.replace(server, &self.conf.servers[server], places);
            let is_new = |peer: &&Arc<Peer>| waits && !known.contains(&peer.id);
            let new: Vec<Arc<Peer>> = balancer.peers().filter(is_new).cloned().collect();
            new.iter().for_each(|peer| balancer.set_health(peer, Health::Unhealthy, Duration::ZERO));
        }
        self.wake();
    }

    /// Keeps peers that will come out of use until a check passes, and those that are here unless they are known to be
    /// healthy.
    pub fn begin_unhealthy(&self, is_known: impl Fn(&Peer) -> bool) {
        self.begins_unhealthy.store(true, Ordering::Relaxed);
        let unknown = self.peers().into_iter().filter(|peer| !is_known(peer));
        unknown.for_each(|peer| self.set_health(&peer, Health::Unhealthy, Moment::default()));
    }

    /// Tells groups of one worker apart.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Notes what a check says of a peer.
    pub fn set_health(&self, peer: &Peer, health: Health, now: Moment) {
        match &self.choice {
            Choice::Only(_) => peer.set_health(health),
            Choice::Balanced(balancer) => balancer.lock().set_health(peer, health, since_start(now)),
        }
        self.wake();
    }

    /// Has the next one in the queue look for a peer.
    fn wake(&self) {
        self.queue.iter().for_each(Queue::wake);
    }
}

/// Returns the peer of a group that never has another one, and no limit to keep.
fn only(conf: &UpstreamConf) -> Option<Peer> {
    match &conf.servers[..] {
        [server] if !server.down && server.max_conns == 0 => match &server.addresses[..] {
            [address] => Some(Peer::new(0, server, address.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// What a search for a peer came to.
#[derive(Debug)]
pub struct Found {
    /// The peer; none where all are tried, out of use or full.
    pub pick: Option<Pick>,
    /// Time in the queue; absent where the request did not wait.
    pub queued: Option<Duration>,
}

/// A peer chosen for one request; dropping it ends the request's claim on `max_conns`.
#[derive(Debug)]
#[must_use = "dropping it ends the request's claim on the peer"]
pub struct Pick {
    group: Arc<Group>,
    peer: Arc<Peer>,
    /// When it was chosen, while the method waits to hear how long the answer takes.
    waits_since: Cell<Option<Duration>>,
}

impl Pick {
    /// Returns the group.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Returns the peer.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Counts an unsuccessful attempt, and says what that makes of the peer.
    pub fn failed(&self, now: Moment) -> Standing {
        match &self.group.choice {
            Choice::Only(_) => Standing::InUse,
            Choice::Balanced(balancer) => balancer.lock().failed(&self.peer, since_start(now)),
        }
    }

    /// Tells the method how long something took, if that is what it measures.
    pub fn took(&self, measure: Measure, time: Duration) {
        if self.group.conf.balancing.measure() == Some(measure) {
            self.end_wait(Some(time));
        }
    }

    fn end_wait(&self, took: Option<Duration>) {
        if let Some(began) = self.waits_since.take()
            && let Choice::Balanced(balancer) = &self.group.choice
        {
            balancer.lock().end(&self.peer, began, took);
        }
    }

    /// Notes that the peer answered.
    pub fn succeeded(&self) {
        if let Choice::Balanced(balancer) = &self.group.choice {
            balancer.lock().succeeded(&self.peer);
        }
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.end_wait(None);
        if let Choice::Balanced(balancer) = &self.group.choice {
            balancer.lock().release(&self.peer);
            self.group.wake();
        }
    }
}

/// Returns a number that no other group gets.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("linux has had getrandom since 3.17");
    u64::from_ne_bytes(bytes)
}

fn since_start(now: Moment) -> Duration {
    now.since(Moment::default())
}

#[cfg(test)]
mod tests {
    use config::{PeerAddress, UpstreamServer};

    use super::*;
    use crate::clock;

    fn group(addresses: &[&str], max_conns: u32) -> Arc<Group> {
        let address = |text: &&str| PeerAddress::Inet(text.parse().expect("an address"));
        let server = UpstreamServer {
            max_conns,
            ..UpstreamServer::new("test".to_owned(), addresses.iter().map(address).collect())
        };
        Arc::new(Group::new(Arc::new(UpstreamConf::new("test".to_owned(), vec![server]))))
    }

    #[test]
    fn each_address_of_a_server_is_a_peer() {
        let group = group(&["127.0.0.1:80", "[::1]:8080"], 0);
        let pick = |_| group.pick(&mut Search::default(), clock::moment()).expect("a peer");
        let names: Vec<_> = (0..2).map(pick).map(|pick| pick.peer().name.to_string()).collect();
        assert_eq!(names, ["127.0.0.1:80", "[::1]:8080"]);
        assert_eq!(group.tries(), 2);
    }

    #[test]
    fn a_claim_on_max_conns_ends_when_the_pick_is_dropped() {
        let group = group(&["127.0.0.1:80"], 1);
        let pick = || group.pick(&mut Search::default(), clock::moment());
        let first = pick();
        assert!(first.is_some());
        assert!(pick().is_none());
        drop(first);
        assert!(pick().is_some());
    }

    #[test]
    fn peers_that_are_known_to_be_healthy_stay_in_use() {
        let group = group(&["127.0.0.1:80", "127.0.0.1:81"], 0);
        group.begin_unhealthy(|peer| &*peer.name == "127.0.0.1:81");
        let place = |text: &str| Place::new(PeerAddress::Inet(text.parse().expect("an address")));
        group.replace(0, &["127.0.0.1:80", "127.0.0.1:81", "127.0.0.1:82"].map(place));
        let health: Vec<Health> = group.peers().iter().map(|peer| peer.health()).collect();
        assert_eq!(health, [Health::Unhealthy, Health::Healthy, Health::Unhealthy]);
    }

    #[test]
    fn peers_are_replaced_under_a_request() {
        let group = group(&["127.0.0.1:80", "127.0.0.1:81"], 0);
        let under_way = group.pick(&mut Search::default(), clock::moment()).expect("a peer");
        group.replace(0, &[Place::new(PeerAddress::Inet("127.0.0.1:82".parse().expect("an address")))]);
        assert_eq!(under_way.failed(clock::moment()), Standing::InUse);
        drop(under_way);
        let names: Vec<_> = group.peers().iter().map(|peer| peer.name.to_string()).collect();
        assert_eq!(names, ["127.0.0.1:82"]);
    }
}
