//! The directives, one file per group: rows, value types, and the parsers only they need.

pub mod cache;
pub mod cache_path;
pub mod core;
pub mod error_page;
pub mod events;
pub mod headers;
pub mod log;
pub mod main;
pub mod proxy;
pub mod server;
pub mod upstream;
