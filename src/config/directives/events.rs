//! `events`.

use crate::{
    settings::{E, Reader, settings},
    values::parse_number,
};

settings! {
    /// `events`.
    pub struct EventsConf {
        /// Connections that one event loop may have open, those to upstreams included.
        worker_connections: usize = 512, "worker_connections" in E, once(CONNECTIONS), "512";
    }
}

const CONNECTIONS: Reader<usize> = Reader::one("number", |directive, _| {
    let count = parse_number(directive.bytes(0)).and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| directive.fail(0, format!("invalid number \"{}\"", directive.text(0))))
});
