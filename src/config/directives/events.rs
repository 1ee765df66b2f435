//! `events`.

use crate::{
    settings::{E, settings},
    values::{FLAG, NUMBER},
};

settings! {
    /// `events`.
    pub struct EventsConf {
        /// Connections that one event loop may have open, upstreams' included.
        worker_connections: u64 = 512, "worker_connections" in E, once(NUMBER), "512";
        /// Accepts all waiting connections at once.
        multi_accept: bool = false, "multi_accept" in E, once(FLAG), "off";
    }
}
