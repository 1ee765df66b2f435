//! A deadline that is moved often and reached seldom.
//!
//! One registered timer serves a connection for all its life: moving the deadline is a store; only
//! when the old one fires is the timer set anew. So a request that is answered at once costs no timer work.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A movable deadline.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Timer {
    /// Makes a timer whose first deadline is `after` from now.
    pub fn new(after: Duration) -> Self {
        let deadline = instant() + after;
        Self { sleep: Box::pin(sleep_until(deadline)), deadline }
    }

    /// Moves the deadline to `after` from now.
    pub fn reset(&mut self, after: Duration) {
        self.deadline = instant() + after;
        if self.deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.deadline);
        }
    }

    /// Runs `work` until it ends or the deadline passes: then an error of kind `TimedOut`.
    pub async fn limit<T>(&mut self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            while self.sleep.as_mut().poll(context).is_ready() {
                if instant() >= self.deadline {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                self.sleep.as_mut().reset(self.deadline);
            }
            Poll::Pending
        })
        .await
    }

    /// Resets the deadline, then runs `work` under it.
    pub async fn within<T>(
        &mut self,
        after: Duration,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut work = std::pin::pin!(work);
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return done;
        }
        self.reset(after);
        self.limit(work).await
    }
}

fn instant() -> Instant {
    Instant::now()
}
