//! What the tests stand on: the program in a directory of its own, scripted origins, raw clients.
//!
//! Everything is on loopback with ports from the system, and nothing waits for a time: tests wait for
//! a condition, with a deadline ([`deadline`]). Each [`Server`] ends by reading its error log.

pub mod client;
pub mod conf;
pub mod deadline;
pub mod dns;
pub mod http2_frames;
pub mod http2_origin;
pub mod origin;
pub mod peers;
pub mod proc;
pub mod ranged;
pub mod reply;
pub mod server;
pub mod tls;

pub use client::{Client, Response};
pub use conf::{Conf, http, location, servers};
pub use deadline::{wait_for, wait_until};
pub use dns::Dns;
pub use http2_origin::Http2Origin;
pub use origin::Origin;
pub use ranged::Ranged;
pub use reply::{Gate, Reply, answer};
pub use server::{Server, Stop};
