//! The store: cached files in nginx's format, the index that says where to look, leases, and the policy of caching.
//!
//! Synchronous: whatever may block is said to, and is called from threads made for that. The time is
//! an argument everywhere. The files are the truth; the index can be thrown away at any time.
//!
//! - [`Zone`] is one `proxy_cache_path`: find, begin, commit, remove, and what manager and loader need;
//! - [`mod@format`] is the layout of a file; [`policy`] decides what is stored and what may be served, without I/O.

mod complaints;
mod eviction;
pub mod format;
mod index;
mod key;
mod lease;
mod marker;
mod parts;
mod pending;
pub mod policy;
mod process;
pub mod purge;
mod recent;
mod room;
mod s3fifo;
mod shared;
mod store;
mod temp;
mod writer;

pub use crate::complaints::{Complaints, Say, Trouble};
pub use crate::format::Meta;
pub use crate::key::{Digest, Key, digest_of_name, hex, path_of};
pub use crate::lease::{FillPermit, Lease};
pub use crate::parts::Parts;
pub use crate::policy::vary::variant;
pub use crate::purge::{Mode, Purge, Purged, Standing};
pub use crate::room::{NoRoom, Room};
pub use crate::store::{
    Committed, Forgotten, Identity, Inspected, Loss, OpenError, PartError, PurgeError, ReadError, Renewed,
    RewriteError, Rewritten, Role, Scrubbed, Scrubber, Stats, StoreError, StoredEntry, StoredPart, Zone,
    discard_index, lacks_rows,
};
pub use crate::temp::{TempFile, is_left_behind};
pub use crate::writer::{Durability, Evicted, Eviction, Until};
