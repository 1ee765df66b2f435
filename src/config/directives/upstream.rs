//! `upstream` and its servers.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A group of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConf {
    /// Its name; for an implicit group the host and port of `proxy_pass`.
    pub name: String,
    /// Its servers.
    pub servers: Vec<UpstreamServer>,
    /// Idle connections kept per event loop (`keepalive`).
    pub keepalive: Option<usize>,
    /// Requests per connection.
    pub keepalive_requests: u64,
    /// Longest life of a connection.
    pub keepalive_time: Duration,
    /// How long an idle connection is kept.
    pub keepalive_timeout: Duration,
    /// Whether it stands for a plain `proxy_pass` address rather than an `upstream` block.
    pub implicit: bool,
}

/// One server of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// As written.
    pub name: String,
    /// Its addresses: several where its name has several.
    pub addresses: Vec<PeerAddress>,
    /// `weight=`.
    pub weight: u32,
    /// `max_fails=`; 0 never counts failures.
    pub max_fails: u32,
    /// `fail_timeout=`.
    pub fail_timeout: Duration,
    /// `max_conns=`; 0 is no limit.
    pub max_conns: u32,
    /// `backup`.
    pub backup: bool,
    /// `down`.
    pub down: bool,
}

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// An address and port.
    Inet(SocketAddr),
    /// A path.
    Unix(PathBuf),
}
