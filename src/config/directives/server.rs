//! What is asked before a location is known.

use std::time::Duration;

use super::core::{BUFFERS, Buffers};
use crate::{
    settings::{HS, settings},
    values::{FLAG, NUMBER, SIZE, TIME},
};

settings! {
    /// What is asked before a location is known.
    pub struct ServerCore {
        /// Memory for the head of a request, at first.
        client_header_buffer_size: u64 = 1024, "client_header_buffer_size" in HS, once(SIZE), "1k";
        /// Memory for a large head.
        large_client_header_buffers: Buffers = Buffers { count: 4, size: 8192 },
            "large_client_header_buffers" in HS, once(BUFFERS), "4 8k";
        /// How long the head of a request may take.
        client_header_timeout: Duration = Duration::from_secs(60),
            "client_header_timeout" in HS, once(TIME), "60s";
        /// Leaves out fields whose names are not valid, rather than refusing the request.
        ignore_invalid_headers: bool = true, "ignore_invalid_headers" in HS, once(FLAG), "on";
        /// Takes `_` in names of fields as valid.
        underscores_in_headers: bool = false, "underscores_in_headers" in HS, once(FLAG), "off";
        /// Takes several slashes as one.
        merge_slashes: bool = true, "merge_slashes" in HS, once(FLAG), "on";
        /// Most fields of a request.
        max_headers: u64 = 1000, "max_headers" in HS, once(NUMBER), "1000";
    }
}
