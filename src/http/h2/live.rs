//! The requests of a connection that are being answered: counted, so that it is known when there are none.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Requests that are being answered.
#[derive(Default)]
pub(super) struct Live(Rc<Count>);

/// One of them, until it is dropped.
pub(super) struct LiveRequest(Rc<Count>);

#[derive(Default)]
struct Count {
    now: Cell<usize>,
    wakes: RefCell<Option<Waker>>,
}

impl Live {
    /// Counts a request in.
    pub fn begin(&self) -> LiveRequest {
        self.0.now.set(self.0.now.get() + 1);
        LiveRequest(Rc::clone(&self.0))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.now.get() == 0
    }

    /// Has a task woken when the last one ends.
    pub fn wake_at_end(&self, context: &mut Context<'_>) {
        if self.is_empty() {
            return;
        }
        let mut wakes = self.0.wakes.borrow_mut();
        match &mut *wakes {
            Some(waker) => waker.clone_from(context.waker()),
            None => *wakes = Some(context.waker().clone()),
        }
    }

    /// Waits until there are none.
    pub async fn none(&self) {
        poll_fn(|context| {
            self.wake_at_end(context);
            if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for LiveRequest {
    fn drop(&mut self) {
        let left = self.0.now.get() - 1;
        self.0.now.set(left);
        if left == 0
            && let Some(waker) = self.0.wakes.take()
        {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_wakes_who_waits() {
        let live = Live::default();
        live.none().await;
        let (first, second) = (live.begin(), live.begin());
        assert!(!live.is_empty());
        let end = async {
            drop(first);
            tokio::task::yield_now().await;
            drop(second);
        };
        tokio::join!(live.none(), end);
        assert!(live.is_empty());
    }
}
