//! `proxy_cache_path`: a cache on disk and its parameters.

use std::{path::PathBuf, time::Duration};

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePath {
    /// Name of its keys zone.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Digits of each directory level, one to three of 1 or 2; empty for none.
    pub levels: Vec<u8>,
    /// Size of the keys zone, in bytes.
    pub keys_zone_size: u64,
    /// Entries nobody asks for this long are removed.
    pub inactive: Duration,
    /// Most bytes it may hold.
    pub max_size: Option<u64>,
    /// Bytes to leave free on its file system.
    pub min_free: u64,
    /// Whether temporary files are made where `proxy_temp_path` says.
    pub use_temp_path: bool,
    /// Files the loader reads at a time.
    pub loader_files: u64,
    /// Pause of the loader.
    pub loader_sleep: Duration,
    /// Longest time the loader works at a time.
    pub loader_threshold: Duration,
    /// Files the manager removes at a time.
    pub manager_files: u64,
    /// Pause of the manager.
    pub manager_sleep: Duration,
    /// Longest time the manager works at a time.
    pub manager_threshold: Duration,
}
