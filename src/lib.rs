//! Larder, a disk-backed caching reverse proxy that runs nginx's configuration files.
//!
//! `ARCHITECTURE.md` is the map. Modules import downwards only: [`process`] → [`tools`] → [`http`] →
//! [`upstream`] → [`net`] → [`error_log`] → the packages.

pub mod clock;
pub mod error_log;
pub mod http;
pub mod net;
pub mod process;
pub mod tools;
pub mod upstream;
