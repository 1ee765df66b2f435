//! A group of peers as all event loops of a worker share it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use config::{PeerAddress, UpstreamConf};
use parking_lot::Mutex;

use super::balance::{Balancer, Standing};
use crate::{
    clock::Moment,
    error_log::{self, Level},
};

/// An upstream group at run time.
#[derive(Debug)]
pub struct Group {
    /// What the configuration says of it.
    pub conf: Arc<UpstreamConf>,
    /// Tells groups of one worker apart.
    pub(super) id: u64,
    peers: Vec<Peer>,
    choice: Choice,
}

/// An address that can be asked.
#[derive(Debug)]
struct Peer {
    address: PeerAddress,
    name: Arc<str>,
}

/// How a peer is chosen.
#[derive(Debug)]
enum Choice {
    /// There is one peer without a limit: nothing to decide or to remember, so no lock is taken.
    Only,
    Balanced(Mutex<Balancer>),
}

/// Peers that a request has tried in vain.
#[derive(Debug, Default)]
pub struct Tried(Vec<usize>);

impl Tried {
    /// Adds a peer.
    pub fn add(&mut self, pick: &Pick) {
        self.0.push(pick.index);
    }
}

impl Group {
    /// Sets up a group.
    pub fn new(conf: Arc<UpstreamConf>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let each = || {
            conf.servers
                .iter()
                .flat_map(|server| server.addresses.iter().map(move |address| (server, address)))
        };
        let peers: Vec<Peer> = each()
            .map(|(_, address)| Peer { address: address.clone(), name: Arc::from(name_of(address)) })
            .collect();
        let only =
            peers.len() == 1 && conf.servers.iter().all(|server| !server.down && server.max_conns == 0);
        let choice = match only {
            true => Choice::Only,
            false => Choice::Balanced(Mutex::new(Balancer::new(each().map(|(server, _)| server)))),
        };
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), peers, choice, conf }
    }

    /// Chooses a peer that was not tried yet.
    pub fn pick(self: &Arc<Self>, tried: &Tried, now: Moment) -> Option<Pick> {
        let index = match &self.choice {
            Choice::Only => 0,
            Choice::Balanced(balancer) => balancer.lock().pick(&tried.0, since_start(now))?,
        };
        Some(Pick { group: Arc::clone(self), index })
    }

    /// Counts the peers that one request may try.
    pub fn tries(&self) -> usize {
        match &self.choice {
            Choice::Only => 1,
            Choice::Balanced(balancer) => balancer.lock().tries(),
        }
    }
}

/// A peer chosen for one request; dropping it ends the request's claim on `max_conns`.
#[derive(Debug)]
#[must_use = "dropping it ends the request's claim on the peer"]
pub struct Pick {
    group: Arc<Group>,
    pub(super) index: usize,
}

impl Pick {
    /// Returns the group.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Returns the address to connect to.
    pub fn address(&self) -> &PeerAddress {
        &self.group.peers[self.index].address
    }

    /// Returns the address as `$upstream_addr` shows it.
    pub fn name(&self) -> &Arc<str> {
        &self.group.peers[self.index].name
    }

    /// Counts an unsuccessful attempt.
    pub fn failed(&self, now: Moment) {
        let Choice::Balanced(balancer) = &self.group.choice else { return };
        let standing = balancer.lock().failed(self.index, since_start(now));
        if standing == Standing::Disabled {
            let (peer, group) = (self.name(), &self.group.conf.name);
            error_log::write(
                Level::Warn,
                format_args!("upstream server temporarily disabled, upstream: \"{peer}\" of \"{group}\""),
            );
        }
    }

    /// Notes that the peer answered.
    pub fn succeeded(&self) {
        if let Choice::Balanced(balancer) = &self.group.choice {
            balancer.lock().succeeded(self.index);
        }
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        if let Choice::Balanced(balancer) = &self.group.choice {
            balancer.lock().release(self.index);
        }
    }
}

fn since_start(now: Moment) -> Duration {
    now.since(Moment::default())
}

/// Writes an address as nginx shows it in logs and `$upstream_addr`.
fn name_of(address: &PeerAddress) -> String {
    match address {
        PeerAddress::Inet(address) => address.to_string(),
        PeerAddress::Unix(path) => format!("unix:{}", Path::display(path)),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::PathBuf};

    use config::UpstreamServer;

    use super::*;
    use crate::clock;

    fn group(addresses: &[&str], max_conns: u32) -> Arc<Group> {
        let address = |text: &&str| match text.strip_prefix("unix:") {
            Some(path) => PeerAddress::Unix(PathBuf::from(path)),
            None => PeerAddress::Inet(text.parse::<SocketAddr>().expect("an address")),
        };
        let server = UpstreamServer {
            name: "test".to_owned(),
            addresses: addresses.iter().map(address).collect(),
            weight: 1,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            backup: false,
            down: false,
            max_conns,
        };
        Arc::new(Group::new(Arc::new(UpstreamConf {
            name: "test".to_owned(),
            servers: vec![server],
            keepalive: None,
            keepalive_requests: 1000,
            keepalive_time: Duration::from_secs(3600),
            keepalive_timeout: Duration::from_secs(60),
            implicit: false,
        })))
    }

    #[test]
    fn each_address_of_a_server_is_a_peer_with_a_name_as_nginxs() {
        let group = group(&["127.0.0.1:80", "[::1]:8080", "unix:/run/x.sock"], 0);
        let tried = Tried::default();
        let names: Vec<_> =
            (0..3).map(|_| group.pick(&tried, clock::moment()).expect("a peer").name().to_string()).collect();
        assert_eq!(names, ["127.0.0.1:80", "[::1]:8080", "unix:/run/x.sock"]);
        assert_eq!(group.tries(), 3);
    }

    #[test]
    fn a_claim_on_max_conns_ends_when_the_pick_is_dropped() {
        let group = group(&["127.0.0.1:80"], 1);
        let tried = Tried::default();
        let pick = group.pick(&tried, clock::moment());
        assert!(pick.is_some());
        assert!(group.pick(&tried, clock::moment()).is_none());
        drop(pick);
        assert!(group.pick(&tried, clock::moment()).is_some());
    }
}
