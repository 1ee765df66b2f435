//! The decisions of caching, as pure functions from heads, rules and `now` to an answer with its reason.
//!
//! They follow nginx (1.31 where it differs from older versions: the order of header lines does not matter). No
//! I/O, no clock, no lock, no log.

mod admit;
pub mod age;
mod freshness;
mod reuse;
mod status;
pub mod vary;

pub use self::admit::{Admission, Refusal, admit};
pub use self::freshness::{Lifetime, Terms, Times, renew, times, valid_for};
pub use self::reuse::{Reuse, reuse};
pub use self::status::{CacheStatus, Forward};
