//! Upstream groups: who is asked, over which connection, and whether to ask another.
//!
//! `balance.rs` and `retry.rs` are pure; `peer.rs` keeps the state of a group for all event loops of a worker;
//! `pool.rs` and `connect.rs` hold the connections of one loop. Nothing here knows HTTP.

pub mod balance;
pub mod connect;
pub mod peer;
pub mod pool;
pub mod retry;

pub use self::{
    connect::{Connection, TcpKeepalive},
    peer::{Group, Pick, Tried},
    pool::IdlePool,
};
