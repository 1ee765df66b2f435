//! Behaviour through the real program: a configuration, scripted origins, raw bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by ending")]

mod support;

mod answering;
mod balancing;
mod big_bodies;
mod buffers;
mod by_hand;
mod caching;
mod coalescing;
mod command_line;
mod crashes;
mod docs;
mod error_lines;
mod examples;
mod faults;
mod filters;
mod foreign_clients;
mod health_checks;
mod http2;
mod http2_floods;
mod http2_upstream;
mod kept_files;
mod late_hosts;
mod local_addresses;
mod memory;
#[path = "../parity/mod.rs"]
mod parity;
mod patience;
mod processes;
mod proxying;
mod purging;
mod random_ranges;
mod ranges;
mod readme;
mod real_files;
mod request_bodies;
mod resolving;
mod rewriting;
mod rfc_cache;
mod secured_upstreams;
mod slices;
mod staleness;
mod starting;
mod tls;
mod tls_algorithms;
mod tls_named_certificates;
mod upload_limits;
mod websocket;
