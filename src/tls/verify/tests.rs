//! Chains and handshakes with certificates that the `openssl` command made, judged here and by it.

use std::sync::OnceLock;

use openssl::Workshop;

mod chains;
mod garbled;
mod handshake;
pub(crate) mod openssl;
mod stock;

/// The certificates of all tests, made once; nothing where there is no `openssl`.
pub(crate) fn workshop() -> Option<&'static Workshop> {
    static WORKSHOP: OnceLock<Option<Workshop>> = OnceLock::new();
    WORKSHOP.get_or_init(Workshop::open).as_ref()
}
