//! Whether a stored response may be served, by its own times.
//!
//! What a request then does (serve, update, wait, ask) also depends on the configuration and on who else is at it:
//! that is decided where the request is.

use std::time::{Duration, SystemTime};

use crate::format::{Meta, seconds};

/// What an entry's times allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It may be served.
    Fresh,
    /// It may be served only under a condition.
    Stale {
        /// By its own word (`stale-while-revalidate`), while it is being updated.
        while_updating: bool,
        /// By its own word (`stale-if-error`), where the upstream fails.
        on_error: bool,
    },
}

/// Judges an entry by its times. As nginx: whole seconds, and fresh up to and including the last one.
pub fn reuse(meta: &Meta, now: SystemTime) -> Reuse {
    let now = seconds(now);
    let valid_until = seconds(meta.valid_until);
    if valid_until >= now {
        return Reuse::Fresh;
    }
    let within = |window: Duration| valid_until.saturating_add_unsigned(window.as_secs()) >= now;
    Reuse::Stale {
        while_updating: within(meta.stale_while_revalidate),
        on_error: within(meta.stale_if_error),
    }
}
