//! Choosing a peer: smooth weighted round robin with failures, backups and connection limits, as nginx.
//!
//! Pure: `now` is the time on the monotonic clock, and whoever calls keeps the lock.

use std::time::Duration;

use config::UpstreamServer;

/// The peers of a group and what is known of each.
#[derive(Debug)]
pub struct Balancer {
    peers: Vec<Peer>,
}

/// One address of a server.
#[derive(Debug, Clone)]
struct Peer {
    weight: i64,
    max_fails: u32,
    fail_timeout: Duration,
    max_conns: u32,
    rank: Rank,
    /// Weight in force: less than [`Self::weight`] after failures, and growing back with each choice.
    effective: i64,
    current: i64,
    fails: u32,
    /// When it failed last.
    failed_at: Duration,
    /// When it failed last or was given another chance.
    checked_at: Duration,
    connections: u32,
}

/// When a peer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Primary,
    Backup,
    Down,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The peer stays in use.
    InUse,
    /// It has failed `max_fails` times and rests for `fail_timeout`.
    Disabled,
}

impl Balancer {
    /// Sets up a group; a server stands once for each of its addresses.
    pub fn new<'a>(servers: impl Iterator<Item = &'a UpstreamServer>) -> Self {
        Self { peers: servers.map(Peer::new).collect() }
    }

    /// Chooses a peer that was not tried yet; backups only where no other can be asked.
    pub fn pick(&mut self, tried: &[usize], now: Duration) -> Option<usize> {
        // As nginx: a peer without alternatives is asked whatever happened before.
        if let [peer] = &mut self.peers[..] {
            if peer.rank == Rank::Down || peer.is_full() {
                return None;
            }
            peer.connections += 1;
            return Some(0);
        }
        let chosen =
            self.pick_of(Rank::Primary, tried, now).or_else(|| self.pick_of(Rank::Backup, tried, now))?;
        self.peers[chosen].connections += 1;
        Some(chosen)
    }

    fn pick_of(&mut self, rank: Rank, tried: &[usize], now: Duration) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            if peer.rank != rank || tried.contains(&index) || peer.is_full() || peer.rests(now) {
                continue;
            }
            peer.current += peer.effective;
            total += peer.effective;
            if peer.effective < peer.weight {
                peer.effective += 1;
            }
            if best.is_none_or(|(_, most)| peer.current > most) {
                best = Some((index, peer.current));
            }
        }
        let (index, _) = best?;
        let peer = &mut self.peers[index];
        peer.current -= total;
        if now.saturating_sub(peer.checked_at) > peer.fail_timeout {
            peer.checked_at = now;
        }
        Some(index)
    }

    /// Counts a failure of a peer.
    pub fn failed(&mut self, index: usize, now: Duration) -> Standing {
        if self.peers.len() == 1 {
            return Standing::InUse;
        }
        let peer = &mut self.peers[index];
        peer.fails = peer.fails.saturating_add(1);
        (peer.failed_at, peer.checked_at) = (now, now);
        if peer.max_fails == 0 {
            return Standing::InUse;
        }
        peer.effective = (peer.effective - peer.weight / i64::from(peer.max_fails)).max(0);
        if peer.fails >= peer.max_fails { Standing::Disabled } else { Standing::InUse }
    }

    /// Notes that a peer answered; one that was given another chance is as good as new.
    pub fn succeeded(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if peer.failed_at < peer.checked_at {
            peer.fails = 0;
        }
    }

    /// Notes that a request to a peer is over.
    pub fn release(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        peer.connections = peer.connections.saturating_sub(1);
    }

    /// Counts the peers that a request may try.
    pub fn tries(&self) -> usize {
        self.peers.iter().filter(|peer| peer.rank != Rank::Down).count()
    }
}

impl Peer {
    fn new(server: &UpstreamServer) -> Self {
        let rank = match (server.down, server.backup) {
            (true, _) => Rank::Down,
            (false, true) => Rank::Backup,
            (false, false) => Rank::Primary,
        };
        Self {
            weight: i64::from(server.weight),
            max_fails: server.max_fails,
            fail_timeout: server.fail_timeout,
            max_conns: server.max_conns,
            rank,
            effective: i64::from(server.weight),
            current: 0,
            fails: 0,
            failed_at: Duration::ZERO,
            checked_at: Duration::ZERO,
            connections: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.max_conns > 0 && self.connections >= self.max_conns
    }

    fn rests(&self, now: Duration) -> bool {
        self.max_fails > 0
            && self.fails >= self.max_fails
            && now.saturating_sub(self.checked_at) <= self.fail_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn server(weight: u32) -> UpstreamServer {
        UpstreamServer {
            name: String::new(),
            addresses: Vec::new(),
            weight,
            max_fails: 1,
            fail_timeout: 10 * SECOND,
            backup: false,
            down: false,
            max_conns: 0,
        }
    }

    fn backup() -> UpstreamServer {
        UpstreamServer { backup: true, ..server(1) }
    }

    fn picks(balancer: &mut Balancer, count: usize, now: Duration) -> Vec<Option<usize>> {
        (0..count)
            .map(|_| {
                let picked = balancer.pick(&[], now);
                if let Some(index) = picked {
                    balancer.release(index);
                }
                picked
            })
            .collect()
    }

    #[test]
    fn weights_are_spread_smoothly() {
        let cases: [(&str, &[u32], &[usize]); 3] = [
            ("equal", &[1, 1, 1], &[0, 1, 2, 0, 1, 2]),
            ("nginx's own example", &[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]),
            ("two to one", &[2, 1], &[0, 1, 0, 0, 1, 0]),
        ];
        for (name, weights, wanted) in cases {
            let servers: Vec<_> = weights.iter().map(|weight| server(*weight)).collect();
            let mut balancer = Balancer::new(servers.iter());
            let wanted: Vec<_> = wanted.iter().copied().map(Some).collect();
            assert_eq!(picks(&mut balancer, wanted.len(), SECOND), wanted, "{name}");
        }
    }

    #[test]
    fn a_peer_that_failed_rests_and_comes_back() {
        let servers = [server(1), server(1)];
        let mut balancer = Balancer::new(servers.iter());
        assert_eq!(balancer.failed(0, SECOND), Standing::Disabled);
        assert_eq!(picks(&mut balancer, 3, 11 * SECOND), [Some(1), Some(1), Some(1)]);
        let later = picks(&mut balancer, 4, 12 * SECOND);
        assert!(later.contains(&Some(0)), "{later:?}");
        // It failed again: its one chance is used up until the next fail_timeout.
        balancer.failed(0, 12 * SECOND);
        assert_eq!(picks(&mut balancer, 2, 13 * SECOND), [Some(1), Some(1)]);
    }

    #[test]
    fn an_answer_after_the_rest_clears_the_failures() {
        let three = UpstreamServer { max_fails: 2, ..server(1) };
        let servers = [three.clone(), three];
        let mut balancer = Balancer::new(servers.iter());
        assert_eq!(balancer.failed(0, SECOND), Standing::InUse);
        balancer.succeeded(0);
        assert_eq!(balancer.failed(0, 2 * SECOND), Standing::Disabled, "too soon to be forgotten");
        picks(&mut balancer, 2, 20 * SECOND);
        balancer.succeeded(0);
        assert_eq!(balancer.failed(0, 21 * SECOND), Standing::InUse);
    }

    #[test]
    fn without_max_fails_failures_do_not_count() {
        let servers = [UpstreamServer { max_fails: 0, ..server(1) }, server(1)];
        let mut balancer = Balancer::new(servers.iter());
        for _ in 0..5 {
            assert_eq!(balancer.failed(0, SECOND), Standing::InUse);
        }
        assert_eq!(picks(&mut balancer, 2, SECOND), [Some(0), Some(1)]);
    }

    #[test]
    fn backups_stand_in_for_all_others() {
        let servers = [server(1), backup(), UpstreamServer { down: true, ..server(1) }];
        let mut balancer = Balancer::new(servers.iter());
        assert_eq!(balancer.tries(), 2);
        assert_eq!(picks(&mut balancer, 2, SECOND), [Some(0), Some(0)]);
        assert_eq!(balancer.pick(&[0], SECOND), Some(1));
        assert_eq!(balancer.pick(&[0, 1], SECOND), None);
    }

    #[test]
    fn a_peer_that_is_full_is_passed_over() {
        let servers =
            [UpstreamServer { max_conns: 1, ..server(1) }, UpstreamServer { max_conns: 1, ..server(1) }];
        let mut balancer = Balancer::new(servers.iter());
        assert_eq!(balancer.pick(&[], SECOND), Some(0));
        assert_eq!(balancer.pick(&[], SECOND), Some(1));
        assert_eq!(balancer.pick(&[], SECOND), None);
        balancer.release(1);
        assert_eq!(balancer.pick(&[], SECOND), Some(1));
    }

    #[test]
    fn a_peer_without_alternatives_is_always_asked() {
        let servers = [server(1)];
        let mut balancer = Balancer::new(servers.iter());
        assert_eq!(balancer.failed(0, SECOND), Standing::InUse);
        assert_eq!(balancer.pick(&[0], SECOND), Some(0));
        let servers = [UpstreamServer { down: true, ..server(1) }];
        assert_eq!(Balancer::new(servers.iter()).pick(&[], SECOND), None);
    }
}
