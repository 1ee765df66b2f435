//! Tasks that answer one request after another.
//!
//! The state of a request on its way through all phases is large, so that making a task for each and taking it down again costs
//! as much as a hit of the cache. Those that have nothing to do wait for whichever connection needs one next.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use tokio::task::spawn_local;

/// The tasks of an event loop.
pub struct Answerers<J> {
    idle: Rc<RefCell<Vec<Rc<Desk<J>>>>>,
}

/// Where a task finds what it is given.
struct Desk<J> {
    content: RefCell<Content<J>>,
}

enum Content<J> {
    /// Its task waits.
    Nothing(Waker),
    /// To be taken.
    Job(J),
}

/// Tasks that are kept although they have nothing to do.
const IDLE_MOST: usize = 256;

impl<J> Default for Answerers<J> {
    fn default() -> Self {
        Self { idle: Rc::default() }
    }
}

impl<J: 'static> Answerers<J> {
    /// Has a request answered. A panic ends its task alone.
    pub fn give<F: Future<Output = ()> + 'static>(&self, job: J, answer: impl Fn(J) -> F + 'static) {
        let Some(desk) = self.idle.borrow_mut().pop() else {
            let desk = Rc::new(Desk { content: RefCell::new(Content::Job(job)) });
            let idle = Rc::clone(&self.idle);
            spawn_local(async move {
                loop {
                    answer(desk.take().await).await;
                    let mut idle = idle.borrow_mut();
                    if idle.len() >= IDLE_MOST {
                        return;
                    }
                    idle.push(Rc::clone(&desk));
                }
            });
            return;
        };
        if let Content::Nothing(waker) = desk.content.replace(Content::Job(job)) {
            waker.wake();
        }
    }
}

impl<J> Desk<J> {
    /// Waits for a job.
    async fn take(&self) -> J {
        poll_fn(|context| {
            let waits = Content::Nothing(context.waker().clone());
            match self.content.replace(waits) {
                Content::Job(job) => Poll::Ready(job),
                Content::Nothing(_) => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::{
        sync::oneshot,
        task::{LocalSet, yield_now},
    };

    use super::*;

    #[tokio::test]
    async fn a_task_is_used_again_when_it_is_free() {
        LocalSet::new()
            .run_until(async {
                let answerers = Answerers::default();
                let done = Rc::new(Cell::new(0));
                let give = |wait: oneshot::Receiver<()>| {
                    let done = Rc::clone(&done);
                    answerers.give((wait, done), |(wait, done)| async move {
                        let _ = wait.await;
                        done.set(done.get() + 1);
                    });
                };
                let settle = async || {
                    for _ in 0..5 {
                        yield_now().await;
                    }
                };
                let ends: Vec<_> = (0..2)
                    .map(|_| {
                        let (end, wait) = oneshot::channel();
                        give(wait);
                        end
                    })
                    .collect();
                settle().await;
                assert_eq!((done.get(), answerers.idle.borrow().len()), (0, 0));
                drop(ends);
                settle().await;
                assert_eq!((done.get(), answerers.idle.borrow().len()), (2, 2));
                for round in 3..6 {
                    let (end, wait) = oneshot::channel();
                    give(wait);
                    assert_eq!(answerers.idle.borrow().len(), 1, "one of them has it");
                    drop(end);
                    settle().await;
                    assert_eq!((done.get(), answerers.idle.borrow().len()), (round, 2));
                }
            })
            .await;
    }
}
