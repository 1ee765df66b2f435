//! Requests that wait until a peer of their group can take them (`queue`), first come first served.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    balance::Search,
    group::{Found, Group},
};
use crate::clock;

/// Who waits looks again after this time by itself, for peers whose rest is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The queue of a group.
#[derive(Debug)]
pub(super) struct Queue {
    conf: config::Queue,
    waiting: AtomicUsize,
    /// Wakes the one who has waited longest.
    freed: Notify,
}

/// A place in the queue.
struct Place<'a>(&'a Queue);

impl Queue {
    pub(super) fn new(conf: config::Queue) -> Self {
        Self { conf, waiting: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// Says that a peer may have become free.
    pub(super) fn wake(&self) {
        if self.is_busy() {
            self.freed.notify_one();
        }
    }

    /// Says whether anyone waits: then others must not push in.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Waits for a peer; none where the queue is full or the time is over. Cancel safe.
    pub(super) async fn wait(&self, group: &Arc<Group>, search: &mut Search) -> Found {
        let Some(place) = self.enter() else { return Found { pick: None, queued: None } };
        let since = clock::moment();
        let wait = async {
            // Kept while it looks again by itself, so that it keeps its turn.
            let mut freed = pin!(self.freed.notified());
            loop {
                tokio::select! {
                    () = freed.as_mut() => freed.set(self.freed.notified()),
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
                if let Some(pick) = group.pick(search, clock::moment()) {
                    return pick;
                }
            }
        };
        let pick = tokio::time::timeout(self.conf.timeout, wait).await.ok();
        drop(place);
        Found { pick, queued: Some(since.elapsed()) }
    }

    fn enter(&self) -> Option<Place<'_>> {
        let most = self.conf.most;
        let more = |waiting| (waiting < most).then_some(waiting + 1);
        let entered = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        entered.is_ok().then(|| Place(self))
    }
}

impl Drop for Place<'_> {
    /// The next one may have been kept waiting by this one alone.
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_frees_no_place() {
        let queue = Queue::new(config::Queue { most: 1, timeout: Duration::from_secs(1) });
        let place = queue.enter();
        assert!(place.is_some());
        assert!(queue.enter().is_none(), "full");
        assert!(queue.enter().is_none(), "still full");
        drop(place);
        assert!(!queue.is_busy());
        assert!(queue.enter().is_some());
    }
}
