//! Whether a stored response may be served, by its own times.
//!
//! What a request then does (serve, update, wait, ask) also depends on the configuration and on who else is at it:
//! that is decided where the request is.

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
    /// It is stale, and may be served, since the request says so (`max-stale`).
    Tolerated,
    /// It may be served only after the origin has called it good, whatever the configuration allows.
    AfterValidation,
}
