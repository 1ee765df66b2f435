//! How a connection learns that its event loop was asked to finish (QUIT, a reload).
//!
//! Each event loop has one of its own, so that looking at it before every request costs no shared cache line.

use std::{cell::Cell, rc::Rc};

use tokio::sync::Notify;

/// Tells whether the event loop is being drained: no new requests on kept connections then.
#[derive(Clone, Default)]
pub struct Drain(Rc<State>);

#[derive(Default)]
struct State {
    draining: Cell<bool>,
    begun: Notify,
}

impl Drain {
    /// Asks all who look or wait to finish.
    pub fn begin(&self) {
        self.0.draining.set(true);
        self.0.begun.notify_waiters();
    }

    /// Says whether the loop was asked to finish.
    pub fn is_draining(&self) -> bool {
        self.0.draining.get()
    }

    /// Waits until the loop is asked to finish. Cancel safe.
    pub async fn wait(&self) {
        if !self.is_draining() {
            self.0.begun.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_woken_and_later_ones_do_not_wait() {
        let drain = Drain::default();
        let waiter = drain.clone();
        assert!(!waiter.is_draining());
        tokio::join!(waiter.wait(), async { drain.begin() });
        assert!(waiter.is_draining());
        waiter.wait().await;
    }
}
