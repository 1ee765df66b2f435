//! HTTP: from bytes of a connection to an answer, and to a line in the log.
//!
//! `phases.rs` tells a request's way as a story; `exchange.rs` and `response.rs` hold what it carries.

pub mod access_log;
pub mod body_reader;
pub mod cache_facts;
pub mod client;
pub mod exchange;
pub mod fault;
pub mod files;
pub mod filter;
pub mod front;
pub mod h1;
pub mod h2;
pub mod health;
mod inner_uri;
pub mod phases;
pub mod proxy;
mod rate;
pub mod request_body;
pub mod response;
pub mod rewrite;
pub mod route;
pub mod secure;
mod sending;
pub mod site;
pub mod slice;
pub mod subrequest;
pub mod temp_file;
mod understand;
mod user_agent;
pub mod variables;

pub use exchange::Exchange;
pub use fault::Fault;
pub use response::{Body, Response};
