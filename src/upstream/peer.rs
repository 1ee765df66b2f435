//! One peer of a group: an address of a server, with an identity that outlives replacements of its neighbours.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use config::{PeerAddress, UpstreamServer};
use md5::{Digest as _, Md5};
use tls::PeerSessions;

/// Tells a peer apart from all others that this process has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(u64);

/// An address that can be asked.
#[derive(Debug)]
pub struct Peer {
    /// Its identity: a connection or a failure belongs to it and no other.
    pub id: PeerId,
    /// Number of its server in the group's configuration.
    pub server: usize,
    /// Where it listens.
    pub address: PeerAddress,
    /// The address as `$upstream_addr` shows it.
    pub name: Arc<str>,
    /// TLS sessions that later connections can take up.
    pub sessions: PeerSessions,
    route: OnceLock<String>,
    is_unhealthy: AtomicBool,
}

/// What a name turned out to mean: an address, and what the record said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where to connect.
    pub address: PeerAddress,
    /// Weight in place of the configuration's (SRV).
    pub weight: Option<u32>,
    /// Rank in place of the configuration's (SRV).
    pub rank: Option<Rank>,
}

/// When a peer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// At any time.
    Primary,
    /// Where no primary peer can be.
    Backup,
}

/// What checks from outside say of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It may be asked.
    Healthy,
    /// It must not be.
    Unhealthy,
}

impl Peer {
    /// Makes a peer that no one has met before.
    pub fn new(number: usize, server: &UpstreamServer, address: PeerAddress) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = PeerId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let name = Arc::from(name_of(&address));
        let route = server.route.clone().map(OnceLock::from).unwrap_or_default();
        let sessions = PeerSessions::default();
        Self { id, server: number, address, name, sessions, route, is_unhealthy: AtomicBool::new(false) }
    }

    /// Returns the name that sticky sessions have for it: `route=`, or else the digest of its address.
    pub fn route(&self) -> &str {
        self.route.get_or_init(|| hex(&Md5::digest(self.name.as_bytes())))
    }

    /// Returns what checks say of it.
    pub fn health(&self) -> Health {
        match self.is_unhealthy.load(Ordering::Relaxed) {
            false => Health::Healthy,
            true => Health::Unhealthy,
        }
    }

    /// Notes what a check says of it; its group does the rest.
    pub(super) fn set_health(&self, health: Health) {
        self.is_unhealthy.store(health == Health::Unhealthy, Ordering::Relaxed);
    }
}

impl Place {
    /// Makes a place of which nothing but the address is known.
    pub fn new(address: PeerAddress) -> Self {
        Self { address, weight: None, rank: None }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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

    use super::*;

    #[test]
    fn names_are_as_nginxs() {
        let inet = |text: &str| PeerAddress::Inet(text.parse::<SocketAddr>().expect("an address"));
        for (address, wanted) in [
            (inet("127.0.0.1:80"), "127.0.0.1:80"),
            (inet("[::1]:8080"), "[::1]:8080"),
            (PeerAddress::Unix(PathBuf::from("/run/x.sock")), "unix:/run/x.sock"),
        ] {
            let server = UpstreamServer::new(String::new(), Vec::new());
            assert_eq!(&*Peer::new(0, &server, address).name, wanted);
        }
    }

    #[test]
    fn routes_are_written_or_digests() {
        let plain = UpstreamServer::new(String::new(), Vec::new());
        let named = UpstreamServer { route: Some("a".to_owned()), ..plain.clone() };
        let address = || PeerAddress::Inet("127.0.0.1:80".parse().expect("an address"));
        assert_eq!(Peer::new(0, &named, address()).route(), "a");
        // printf '127.0.0.1:80' | md5sum
        assert_eq!(Peer::new(0, &plain, address()).route(), "cef54f47984626c9efbf070c50bfad1b");
    }
}
