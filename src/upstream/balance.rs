//! Choosing a peer as nginx does: in turn by weight, or by one of the other methods, with failures, backups and limits.
//!
//! Pure: `now` is the time on the monotonic clock, and whoever calls keeps the lock. `slot.rs` has what is known of each
//! peer; `range.rs`, `ring.rs` and `least.rs` the arithmetic of the methods. What a method cannot place is left to round
//! robin.

mod least;
mod range;
mod ring;
mod slot;

use std::{cmp::Ordering, sync::Arc, time::Duration};

use config::{Balancing, UpstreamConf, UpstreamServer};

pub use self::slot::Standing;
use self::{
    least::{Cost, Weighed},
    range::{Dice, MISSES_MAX, Walk},
    ring::Ring,
    slot::Slot,
};
use super::peer::{Health, Peer, PeerId, Place, Rank};

/// The peers of a group and what is known of each.
#[derive(Debug)]
pub struct Balancer {
    slots: Vec<Slot>,
    method: Method,
}

/// How peers are chosen, with what that needs.
#[derive(Debug)]
enum Method {
    RoundRobin,
    Least(Cost),
    ByAddress,
    ByKey,
    /// The ring, and the names of the servers, of which its points are made.
    OnRing(Ring, Vec<Arc<str>>),
    Random(Dice),
    BetterOfTwo(Dice, Cost),
}

/// What a request brings to the choice of its peer; nothing for most methods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affinity {
    /// What is hashed: a key, or the bytes of the client's address.
    pub hashed: Vec<u8>,
    /// Route of the peer that it is bound to.
    pub route: Option<Vec<u8>>,
}

/// One request's way through the peers of a group.
#[derive(Debug, Default)]
pub struct Search {
    affinity: Affinity,
    /// The peer chosen last, and those before it: most requests have none, and need no memory for them.
    last: Option<PeerId>,
    earlier: Vec<PeerId>,
    walk: Walk,
    /// Its place on a ring.
    place: Option<usize>,
    /// As nginx: a request that has come to the backups stays with them.
    stage: Stage,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Primaries,
    Backups,
}

impl Balancer {
    /// Sets up a group; `seed` is for the methods that choose by chance.
    pub fn new(conf: &UpstreamConf, seed: u64) -> Self {
        let mut balancer = Self { slots: Vec::new(), method: Method::new(conf, seed) };
        for (number, server) in conf.servers.iter().enumerate() {
            let places: Vec<Place> = server.addresses.iter().cloned().map(Place::new).collect();
            balancer.replace(number, server, &places);
        }
        balancer
    }

    /// Gives a server these places in place of those it had. A peer whose address stays keeps all that is known of it.
    pub fn replace(&mut self, number: usize, server: &UpstreamServer, places: &[Place]) {
        let from = self.slots.partition_point(|slot| slot.peer.server < number);
        let to = self.slots.partition_point(|slot| slot.peer.server <= number);
        let mut old: Vec<Slot> = self.slots.drain(from..to).collect();
        let new =
            places.iter().map(|place| match old.iter().position(|slot| slot.peer.address == place.address) {
                Some(index) => {
                    let mut slot = old.swap_remove(index);
                    slot.renew(server, place);
                    slot
                }
                None => Slot::new(Arc::new(Peer::new(number, server, place.address.clone())), server, place),
            });
        let new: Vec<Slot> = new.collect();
        self.slots.splice(from..from, new);
        if let Method::OnRing(ring, names) = &mut self.method {
            let primaries = self.slots.iter().filter(|slot| slot.rank == Rank::Primary);
            *ring =
                Ring::new(primaries.map(|slot| (slot.peer.server, &*names[slot.peer.server], slot.weight)));
        }
    }

    /// Lists the peers.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.slots.iter().map(|slot| &slot.peer)
    }

    /// Chooses a peer that was not tried yet; backups only where no other can be asked.
    pub fn pick(&mut self, search: &mut Search, now: Duration) -> Option<Arc<Peer>> {
        let index = match &self.slots[..] {
            // As nginx: a peer without alternatives is asked whatever happened before.
            [only] => (only.is_up() && !only.is_full()).then_some(0),
            _ => self.pick_of_many(search, now),
        }?;
        let slot = &mut self.slots[index];
        slot.take(now);
        search.earlier.extend(search.last.replace(slot.peer.id));
        Some(Arc::clone(&slot.peer))
    }

    fn pick_of_many(&mut self, search: &mut Search, now: Duration) -> Option<usize> {
        if let Some(index) = self.bound(search, now) {
            return Some(index);
        }
        if search.stage == Stage::Primaries
            && let Some(index) = self.primary(search, now)
        {
            return Some(index);
        }
        let index = match self.method {
            Method::Least(cost) => self.least(cost, Rank::Backup, search, now),
            _ => self.round_robin(Rank::Backup, search, now),
        }?;
        search.stage = Stage::Backups;
        Some(index)
    }

    /// Finds the peer that the request is bound to. It counts as if it had been chosen in turn, so that the others get more
    /// of those that are not bound.
    fn bound(&mut self, search: &mut Search, now: Duration) -> Option<usize> {
        let route = search.affinity.route.take()?;
        let is_bound = |slot: &mut Slot| slot.peer.route().as_bytes() == route && slot.is_ready(now);
        let bound = self.slots.iter_mut().position(is_bound)?;
        let mut total = 0;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if index == bound || search.may_try(slot, now) {
                total += slot.accrue(now);
            }
        }
        self.slots[bound].current -= total;
        Some(bound)
    }

    fn primary(&mut self, search: &mut Search, now: Duration) -> Option<usize> {
        let found = match &mut self.method {
            Method::RoundRobin => None,
            Method::Least(cost) => {
                let cost = *cost;
                return self.least(cost, Rank::Primary, search, now);
            }
            Method::ByAddress => by_range(&mut self.slots, search, now, Walk::step_address),
            // As nginx: an empty key says nothing.
            Method::ByKey if search.affinity.hashed.is_empty() => None,
            Method::ByKey => by_range(&mut self.slots, search, now, Walk::step_key),
            Method::OnRing(ring, names) => on_ring(&mut self.slots, ring, names, search, now),
            Method::Random(dice) => by_range(&mut self.slots, search, now, |_, _| dice.roll()),
            Method::BetterOfTwo(dice, cost) => better_of_two(&mut self.slots, dice, *cost, search, now),
        };
        found.or_else(|| self.round_robin(Rank::Primary, search, now))
    }

    fn round_robin(&mut self, rank: Rank, search: &Search, now: Duration) -> Option<usize> {
        smooth(&mut self.slots, now, |slot| slot.rank == rank && search.may_try(slot, now))
    }

    /// Chooses the peer that costs least; between equals, in turn.
    fn least(&mut self, cost: Cost, rank: Rank, search: &Search, now: Duration) -> Option<usize> {
        let may = |slot: &mut Slot| slot.rank == rank && search.may_try(slot, now);
        let mut least: Option<Weighed> = None;
        for slot in &mut self.slots {
            let weighed = cost.weigh(slot, now);
            if least.is_none_or(|least| weighed.compare(least) == Ordering::Less) && may(slot) {
                least = Some(weighed);
            }
        }
        let least = least?;
        let is_least = |slot: &Slot| cost.weigh(slot, now).compare(least) == Ordering::Equal;
        let mut equals = 0;
        let mut found = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if is_least(slot) && may(slot) {
                equals += 1;
                found = Some(index);
            }
        }
        // As nginx: the balance of turns is kept only between equals.
        match equals {
            1 => found,
            _ => smooth(&mut self.slots, now, |slot| is_least(slot) && may(slot)),
        }
    }

    /// Counts a failure of a peer.
    pub fn failed(&mut self, peer: &Peer, now: Duration) -> Standing {
        let is_only = self.slots.len() == 1;
        match self.slot(peer) {
            Some(slot) if !is_only => slot.failed(now),
            _ => Standing::InUse,
        }
    }

    /// Notes that a peer answered.
    pub fn succeeded(&mut self, peer: &Peer) {
        self.slot(peer).into_iter().for_each(Slot::succeeded);
    }

    /// Notes that a request to a peer is over.
    pub fn release(&mut self, peer: &Peer) {
        self.slot(peer).into_iter().for_each(Slot::release);
    }

    /// Notes what a check says of a peer.
    pub fn set_health(&mut self, peer: &Peer, health: Health, now: Duration) {
        self.slot(peer).into_iter().for_each(|slot| slot.set_health(health, now));
    }

    /// Notes that a request waits for a peer's answer.
    pub fn begin(&mut self, peer: &Peer, now: Duration) {
        self.slot(peer).into_iter().for_each(|slot| slot.times.begin(now));
    }

    /// Notes that a request that began then waits no longer, and how long the answer took if there was one.
    pub fn end(&mut self, peer: &Peer, began: Duration, took: Option<Duration>) {
        if let Some(slot) = self.slot(peer) {
            slot.times.end(began);
            took.into_iter().for_each(|took| slot.times.took(took));
        }
    }

    /// Counts the peers that a request may try.
    pub fn tries(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_up()).count()
    }

    /// Finds a peer; none where it was replaced meanwhile.
    fn slot(&mut self, peer: &Peer) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.peer.id == peer.id)
    }
}

impl Method {
    fn new(conf: &UpstreamConf, seed: u64) -> Self {
        let balancing = &conf.balancing;
        match (balancing, Cost::of(balancing)) {
            (Balancing::RandomTwo(_), Some(cost)) => Self::BetterOfTwo(Dice::new(seed), cost),
            (_, Some(cost)) => Self::Least(cost),
            (Balancing::IpHash, None) => Self::ByAddress,
            (Balancing::Hash(_), None) => Self::ByKey,
            (Balancing::ConsistentHash(_), None) => Self::OnRing(
                Ring::default(),
                conf.servers.iter().map(|server| server.name.as_str().into()).collect(),
            ),
            (Balancing::Random, None) => Self::Random(Dice::new(seed)),
            _ => Self::RoundRobin,
        }
    }
}

impl Search {
    /// Begins a search.
    pub fn new(affinity: Affinity) -> Self {
        Self { affinity, ..Self::default() }
    }

    /// Says whether no peer was tried yet.
    pub fn is_new(&self) -> bool {
        self.last.is_none()
    }

    fn has_tried(&self, peer: PeerId) -> bool {
        self.last == Some(peer) || self.earlier.contains(&peer)
    }

    fn may_try(&self, slot: &mut Slot, now: Duration) -> bool {
        !slot.drains() && !self.has_tried(slot.peer.id) && slot.is_ready(now)
    }
}

/// Chooses in turn by weight, smoothly, among the peers that may be.
fn smooth(slots: &mut [Slot], now: Duration, mut may: impl FnMut(&mut Slot) -> bool) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, i64)> = None;
    for (index, slot) in slots.iter_mut().enumerate() {
        if !may(slot) {
            continue;
        }
        total += slot.accrue(now);
        if best.is_none_or(|(_, most)| slot.current > most) {
            best = Some((index, slot.current));
        }
    }
    let (index, _) = best?;
    slots[index].current -= total;
    Some(index)
}

/// Chooses by numbers that fall into the range of all weights, until one finds a peer that may be tried.
fn by_range(
    slots: &mut [Slot],
    search: &mut Search,
    now: Duration,
    mut step: impl FnMut(&mut Walk, &[u8]) -> u32,
) -> Option<usize> {
    while search.walk.misses <= MISSES_MAX {
        let index = range::at(step(&mut search.walk, &search.affinity.hashed), primaries(slots))?;
        if search.may_try(&mut slots[index], now) {
            return Some(index);
        }
        search.walk.misses += 1;
    }
    None
}

/// Chooses the better of two peers that chance finds.
fn better_of_two(
    slots: &mut [Slot],
    dice: &mut Dice,
    cost: Cost,
    search: &mut Search,
    now: Duration,
) -> Option<usize> {
    let mut first: Option<usize> = None;
    while search.walk.misses <= MISSES_MAX {
        let index = range::at(dice.roll(), primaries(slots))?;
        if first != Some(index) && search.may_try(&mut slots[index], now) {
            let Some(first) = first else {
                first = Some(index);
                continue;
            };
            let [weighed, other] = [index, first].map(|index| cost.weigh(&slots[index], now));
            let is_worse = weighed.compare(other) == Ordering::Greater;
            return Some(if is_worse { first } else { index });
        }
        search.walk.misses += 1;
    }
    None
}

/// Chooses the server of the next point on the ring that has a peer to try; several peers of a server take turns.
fn on_ring(
    slots: &mut [Slot],
    ring: &Ring,
    names: &[Arc<str>],
    search: &mut Search,
    now: Duration,
) -> Option<usize> {
    if search.affinity.hashed.is_empty() {
        return None;
    }
    let mut place = search.place.unwrap_or_else(|| ring.place(&search.affinity.hashed));
    while search.walk.misses <= MISSES_MAX {
        let name = &names[ring.server_at(place)?];
        let found = smooth(slots, now, |slot| {
            slot.rank == Rank::Primary && names[slot.peer.server] == *name && search.may_try(slot, now)
        });
        search.place = Some(place);
        if found.is_some() {
            return found;
        }
        place += 1;
        search.walk.misses += 1;
    }
    None
}

fn primaries(slots: &[Slot]) -> impl Iterator<Item = (usize, i64)> + Clone {
    let primaries = slots.iter().enumerate().filter(|(_, slot)| slot.rank == Rank::Primary);
    primaries.map(|(index, slot)| (index, slot.weight))
}

#[cfg(test)]
mod tests;
