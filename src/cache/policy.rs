//! The decisions of caching, as pure functions from heads, rules and `now` to an answer with its reason.
//!
//! There are two sets of them over one engine: [`nginx`]'s, which is the default, and those of [`rfc9111`], which
//! `proxy_cache_rfc` puts in force. [`Rules`] says which, and is all that the engine asks. No I/O, no clock, no lock, no log.

pub mod nginx;
pub mod rfc9111;

pub mod age;
mod list;
mod request;
mod reuse;
mod rules;
mod status;
pub mod vary;
mod verdict;

pub use self::request::Wishes;
pub use self::reuse::Reuse;
pub use self::rules::{Answered, Asked, Rules};
pub use self::status::{CacheStatus, Forward};
pub use self::verdict::{Admission, Refusal, Restraint, Terms};
