//! Server side includes: `ssi` and its companions.

use super::media_types::{MEDIA_TYPES, MediaTypes};
use crate::{
    settings::{HSL, LIF, settings},
    values::{FLAG, SIZE},
};

settings! {
    /// Server side includes, at one level.
    pub struct SsiConf {
        /// Carries out the commands in pages.
        enable: bool = false, "ssi" in HSL.and(LIF), once(FLAG), "off";
        /// Shows nothing in the place of a command that fails.
        silent_errors: bool = false, "ssi_silent_errors" in HSL, once(FLAG), "off";
        /// Types of pages that are looked through besides `text/html`.
        types: MediaTypes = MediaTypes::default(), "ssi_types" in HSL, joined(MEDIA_TYPES), "text/html";
        /// Bytes that the value of a command's parameter stays below.
        value_length: u64 = 256, "ssi_value_length" in HSL, once(SIZE), "256";
        /// Keeps Last-Modified, and ETag as a weak one.
        last_modified: bool = false, "ssi_last_modified" in HSL, once(FLAG), "off";
        /// Most bytes of an included answer that a variable gets.
        output_buffer_size: u64 = 4096,
            "subrequest_output_buffer_size" in HSL, once(SIZE), "4k";
    }
}
