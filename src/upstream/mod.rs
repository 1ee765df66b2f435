//! Upstream groups: who is asked, over which connection, and whether to ask another.
//!
//! `balance.rs` and `retry.rs` are pure; `group.rs` keeps the state of a group for all event loops of a worker, and lets
//! its peers be replaced while it serves; `pool.rs`, `multiplexed.rs` and `connect.rs` hold the connections of one loop.
//! Nothing here knows what requests mean.

pub mod balance;
pub mod connect;
pub mod group;
pub mod handshake;
pub mod health;
pub mod multiplexed;
pub mod peer;
pub mod pool;
mod queue;
pub mod remembered;
pub mod renewal;
pub mod retry;
mod sessions;

pub use self::{
    balance::{Affinity, Search, Standing},
    connect::{Connection, Dial, LocalAddress, OpenError, TcpKeepalive},
    group::{Found, Group, Pick},
    handshake::{HANDSHAKING, secure},
    multiplexed::{Claim, Ends, SharedPool},
    peer::{Health, Peer, PeerId, Place, Rank},
    pool::IdlePool,
    renewal::{Again, Renewal},
};
