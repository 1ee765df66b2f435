//! Those who answer requests: each is a future that answers one after another.
//!
//! What a request needs on its way through all phases is large, so that making a task for each and taking it down again costs
//! more than a hit of the cache. Most are answered without waiting for anything: at once, by whoever is free, always the
//! same one. Only who has to wait goes on as a task.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::task::spawn_local;

/// Those of an event loop who have nothing to do.
pub struct Answerers<J> {
    idle: Rc<RefCell<Vec<Answerer<J>>>>,
}

struct Answerer<J> {
    desk: Rc<Desk<J>>,
    work: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// Where an answerer finds what it is given.
struct Desk<J> {
    job: RefCell<Option<J>>,
    is_free: Cell<bool>,
}

/// How many are kept although they have nothing to do.
const IDLE_MOST: usize = 64;

impl<J> Default for Answerers<J> {
    fn default() -> Self {
        Self { idle: Rc::default() }
    }
}

impl<J: 'static> Answerers<J> {
    /// Has a request answered, as far as that can be done at once; the rest is done by a task. A panic ends nothing but the request.
    pub fn give<F: Future<Output = ()> + 'static>(&self, job: J, answer: impl Fn(J) -> F + 'static) {
        let free = self.idle.borrow_mut().pop();
        let mut answerer = free.unwrap_or_else(|| Answerer::new(answer));
        answerer.desk.job.replace(Some(job));
        // Nobody is to be woken: a task asks anew.
        let mut context = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| answerer.poll(&mut context))) {
            Ok(Poll::Ready(())) => keep(&self.idle, answerer),
            Ok(Poll::Pending) => {
                let idle = Rc::clone(&self.idle);
                spawn_local(async move {
                    poll_fn(|context| answerer.poll(context)).await;
                    keep(&idle, answerer);
                });
            }
            // The hook of the process has written it to the log.
            Err(_) => {}
        }
    }
}

fn keep<J>(idle: &RefCell<Vec<Answerer<J>>>, answerer: Answerer<J>) {
    let mut idle = idle.borrow_mut();
    if idle.len() < IDLE_MOST {
        idle.push(answerer);
    }
}

impl<J: 'static> Answerer<J> {
    fn new<F: Future<Output = ()> + 'static>(answer: impl Fn(J) -> F + 'static) -> Self {
        let desk = Rc::new(Desk { job: RefCell::new(None), is_free: Cell::new(true) });
        let own = Rc::clone(&desk);
        let work = Box::pin(async move {
            loop {
                answer(own.next().await).await;
            }
        });
        Self { desk, work }
    }

    /// Goes on; ready when the job is done.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.work.as_mut().poll(context) {
            Poll::Pending if self.desk.is_free.get() => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<J> Desk<J> {
    /// Takes what is there, or is free until there is something.
    async fn next(&self) -> J {
        poll_fn(|_| {
            let job = self.job.take();
            self.is_free.set(job.is_none());
            job.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::oneshot,
        task::{LocalSet, yield_now},
    };

    use super::*;

    /// A job that notes its number when what it waits for has come.
    struct Job {
        number: usize,
        waits: Option<oneshot::Receiver<()>>,
        done: Rc<RefCell<Vec<usize>>>,
    }

    async fn work(job: Job) {
        if let Some(waits) = job.waits {
            let _ = waits.await;
        }
        assert_ne!(job.number, 13, "this one panics");
        job.done.borrow_mut().push(job.number);
    }

    fn run(test: impl AsyncFnOnce(Answerers<Job>, Rc<RefCell<Vec<usize>>>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, test(Answerers::default(), Rc::default()));
    }

    async fn settle() {
        for _ in 0..5 {
            yield_now().await;
        }
    }

    #[test]
    fn what_waits_for_nothing_is_done_at_once_by_the_same_one() {
        run(async |answerers, done| {
            for number in 0..3 {
                answerers.give(Job { number, waits: None, done: Rc::clone(&done) }, work);
                assert_eq!(done.borrow().last(), Some(&number));
                assert_eq!(answerers.idle.borrow().len(), 1);
            }
        });
    }

    #[test]
    fn who_waits_holds_up_nobody_and_is_used_again() {
        run(async |answerers, done| {
            let (end, waits) = oneshot::channel();
            answerers.give(Job { number: 1, waits: Some(waits), done: Rc::clone(&done) }, work);
            answerers.give(Job { number: 2, waits: None, done: Rc::clone(&done) }, work);
            assert_eq!((&done.borrow()[..], answerers.idle.borrow().len()), (&[2][..], 1));
            drop(end);
            settle().await;
            assert_eq!((&done.borrow()[..], answerers.idle.borrow().len()), (&[2, 1][..], 2));
        });
    }

    #[test]
    fn a_panic_ends_nothing_but_the_request() {
        run(async |answerers, done| {
            let (end, waits) = oneshot::channel();
            answerers.give(Job { number: 13, waits: None, done: Rc::clone(&done) }, work);
            answerers.give(Job { number: 13, waits: Some(waits), done: Rc::clone(&done) }, work);
            drop(end);
            settle().await;
            answerers.give(Job { number: 1, waits: None, done: Rc::clone(&done) }, work);
            assert_eq!(&done.borrow()[..], [1]);
        });
    }
}
