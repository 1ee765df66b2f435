//! Choosing a peer: smooth weighted round robin with failures, backups and connection limits, as nginx.
//!
//! Pure: `now` is the time on the monotonic clock, and whoever calls keeps the lock. `slot.rs` has what is known of each peer.

mod slot;

use std::{sync::Arc, time::Duration};

use config::UpstreamServer;

use self::slot::Slot;
pub use self::slot::Standing;
use super::peer::{Health, Peer, PeerId, Place, Rank};

/// The peers of a group and what is known of each.
#[derive(Debug)]
pub struct Balancer {
    slots: Vec<Slot>,
}

/// One request's way through the peers of a group.
#[derive(Debug, Default)]
pub struct Search {
    tried: Vec<PeerId>,
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
    /// Sets up a group.
    pub fn new(servers: &[UpstreamServer]) -> Self {
        let mut balancer = Self { slots: Vec::new() };
        for (number, server) in servers.iter().enumerate() {
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
                None => Slot::new(Arc::new(Peer::new(number, place.address.clone())), server, place),
            });
        let new: Vec<Slot> = new.collect();
        self.slots.splice(from..from, new);
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
        search.tried.push(slot.peer.id);
        Some(Arc::clone(&slot.peer))
    }

    fn pick_of_many(&mut self, search: &mut Search, now: Duration) -> Option<usize> {
        if search.stage == Stage::Primaries
            && let Some(index) = self.round_robin(Rank::Primary, search, now)
        {
            return Some(index);
        }
        let index = self.round_robin(Rank::Backup, search, now)?;
        search.stage = Stage::Backups;
        Some(index)
    }

    fn round_robin(&mut self, rank: Rank, search: &Search, now: Duration) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.rank != rank || !search.may_try(slot, now) {
                continue;
            }
            total += slot.accrue();
            if best.is_none_or(|(_, most)| slot.current > most) {
                best = Some((index, slot.current));
            }
        }
        let (index, _) = best?;
        self.slots[index].current -= total;
        Some(index)
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
    pub fn set_health(&mut self, peer: &Peer, health: Health) {
        self.slot(peer).into_iter().for_each(|slot| slot.set_health(health));
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

impl Search {
    fn may_try(&self, slot: &Slot, now: Duration) -> bool {
        slot.is_up() && !self.tried.contains(&slot.peer.id) && !slot.is_full() && !slot.rests(now)
    }
}

#[cfg(test)]
mod tests;
