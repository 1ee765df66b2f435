//! What is known of one peer: weight, failures, health, requests under way.
//!
//! As nginx: `max_fails` failures within `fail_timeout` disable a peer for that time; then one request tries it again.

use std::{sync::Arc, time::Duration};

use config::UpstreamServer;

use super::least::Times;
use crate::upstream::peer::{Health, Peer, Place, Rank};

/// Shares are counted in parts of a unit of weight, so that a peer that starts slowly can have less than one.
const PARTS: i64 = 1000;

/// A peer and what is known of it.
#[derive(Debug)]
pub struct Slot {
    /// The peer.
    pub peer: Arc<Peer>,
    /// When it is asked.
    pub rank: Rank,
    /// Its share among the others.
    pub weight: i64,
    /// Weight in force: less after failures, and growing back with each choice.
    pub effective: i64,
    /// What smooth round robin owes it.
    pub current: i64,
    /// Requests under way.
    pub connections: u32,
    /// How long it takes to answer; kept only where the method asks.
    pub times: Times,
    max_fails: u32,
    fail_timeout: Duration,
    max_conns: u32,
    down: bool,
    drains: bool,
    slow_start: Duration,
    /// When it came back after it could not be asked, where it is to start slowly.
    recovered_at: Option<Duration>,
    fails: u32,
    /// When it failed last.
    failed_at: Duration,
    /// When it failed last or was given another chance.
    checked_at: Duration,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The peer stays in use.
    InUse,
    /// It has failed `max_fails` times and rests for `fail_timeout`.
    Disabled,
}

impl Slot {
    /// Sets up a peer of a server.
    pub fn new(peer: Arc<Peer>, server: &UpstreamServer, place: &Place) -> Self {
        let weight = i64::from(place.weight.unwrap_or(server.weight));
        let written = if server.backup { Rank::Backup } else { Rank::Primary };
        Self {
            peer,
            rank: place.rank.unwrap_or(written),
            weight,
            effective: weight,
            current: 0,
            connections: 0,
            times: Times::default(),
            max_fails: server.max_fails,
            fail_timeout: server.fail_timeout,
            max_conns: server.max_conns,
            down: server.down,
            drains: server.drain,
            slow_start: server.slow_start,
            recovered_at: None,
            fails: 0,
            failed_at: Duration::ZERO,
            checked_at: Duration::ZERO,
        }
    }

    /// Takes over what a new look at the peer's name says of it.
    pub fn renew(&mut self, server: &UpstreamServer, place: &Place) {
        let new = Self::new(Arc::clone(&self.peer), server, place);
        if (new.rank, new.weight) != (self.rank, self.weight) {
            (self.rank, self.weight) = (new.rank, new.weight);
            self.effective = self.effective.min(self.weight);
        }
    }

    /// Says whether it may be asked at all.
    pub fn is_up(&self) -> bool {
        !self.down && self.peer.health() == Health::Healthy
    }

    /// Says whether only those that are bound to it reach it (`drain`).
    pub fn drains(&self) -> bool {
        self.drains
    }

    /// Says whether it takes no more requests for now (`max_conns`).
    pub fn is_full(&self) -> bool {
        self.max_conns > 0 && self.connections >= self.max_conns
    }

    /// Says whether it rests after its failures.
    pub fn rests(&self, now: Duration) -> bool {
        self.max_fails > 0
            && self.fails >= self.max_fails
            && now.saturating_sub(self.checked_at) <= self.fail_timeout
    }

    /// Says whether it may be asked now; one whose rest is over begins to recover.
    pub fn is_ready(&mut self, now: Duration) -> bool {
        let is_ready = self.is_up() && !self.is_full() && !self.rests(now);
        let was_disabled = self.max_fails > 0 && self.fails >= self.max_fails;
        if is_ready && was_disabled && self.recovered_at.is_none_or(|at| at < self.failed_at) {
            self.recovered_at = Some(now);
        }
        is_ready
    }

    /// Returns its weight in parts, less while it starts slowly.
    pub fn share(&self, now: Duration) -> i64 {
        self.ramped(self.weight, now)
    }

    fn ramped(&self, weight: i64, now: Duration) -> i64 {
        let whole = weight * PARTS;
        let Some(recovered_at) = self.recovered_at.filter(|_| !self.slow_start.is_zero()) else {
            return whole;
        };
        let since = now.saturating_sub(recovered_at).as_millis();
        let all = self.slow_start.as_millis();
        if since >= all {
            return whole;
        }
        let ramped = u128::try_from(whole).unwrap_or_default() * since / all;
        i64::try_from(ramped).unwrap_or(whole).max(1)
    }

    /// Counts a request in.
    pub fn take(&mut self, now: Duration) {
        self.connections += 1;
        if now.saturating_sub(self.checked_at) > self.fail_timeout {
            self.checked_at = now;
        }
    }

    /// Counts a request out.
    pub fn release(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// Counts a failure.
    pub fn failed(&mut self, now: Duration) -> Standing {
        self.fails = self.fails.saturating_add(1);
        (self.failed_at, self.checked_at) = (now, now);
        if self.max_fails == 0 {
            return Standing::InUse;
        }
        self.effective = (self.effective - self.weight / i64::from(self.max_fails)).max(0);
        if self.fails >= self.max_fails { Standing::Disabled } else { Standing::InUse }
    }

    /// Notes an answer; a peer that was given another chance is as good as new.
    pub fn succeeded(&mut self) {
        if self.failed_at < self.checked_at {
            self.fails = 0;
        }
    }

    /// Notes what a check says; what counted before a recovery is forgotten.
    pub fn set_health(&mut self, health: Health, now: Duration) {
        if self.peer.health() == Health::Unhealthy && health == Health::Healthy {
            self.fails = 0;
            self.effective = self.weight;
            self.recovered_at = Some(now);
        }
        self.peer.set_health(health);
    }

    /// Adds its share for one choice of smooth round robin, and returns the share.
    pub fn accrue(&mut self, now: Duration) -> i64 {
        let share = self.ramped(self.effective, now);
        self.current += share;
        if self.effective < self.weight {
            self.effective += 1;
        }
        share
    }
}
