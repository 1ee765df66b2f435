//! Idle connections of one event loop, kept for later requests (`keepalive`).
//!
//! The connection used last is taken first, and the oldest goes when there are too many. One task a loop, the
//! reaper, is woken by whatever happens on an idle socket and drops those that the peer has closed, that
//! speak unasked, or that have been idle for `keepalive_timeout`. Taking and returning a connection make no system call.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use config::KeptFor;
use tls::ClientWish;

use super::{
    connect::{Connection, LocalAddress},
    group::{Group, Pick},
};
use crate::{
    clock::{self, Moment},
    net::Stream,
};

/// Input buffers that grew beyond this many bytes are not kept with an idle connection.
const KEPT_BUFFER_BYTES: usize = 16 << 10;
/// The reaper never sleeps for less.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

/// Idle connections.
#[derive(Debug, Default)]
pub struct IdlePool {
    shared: Rc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    groups: RefCell<HashMap<u64, Vec<Idle>>>,
    /// Wakes the reaper; none before its first turn.
    reaper: RefCell<Option<Waker>>,
    started: Cell<bool>,
    /// When the reaper will look next by itself.
    looks_at: Cell<Option<Duration>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    expires: Duration,
}

impl IdlePool {
    /// Takes an idle connection to the peer that was chosen, the one used last, from that address of ours, secured in that
    /// way, for a location.
    pub fn take(
        &self,
        pick: &Pick,
        local: Option<LocalAddress>,
        tls: Option<&Arc<ClientWish>>,
        location: usize,
    ) -> Option<Connection> {
        let kept_for = pick.group().conf.keepalive?.kept_for;
        let is_free = |connection: &Connection| match kept_for {
            KeptFor::Group => true,
            KeptFor::Location => connection.location == location,
        };
        let peer = pick.peer().id;
        let fits = |connection: &Connection| {
            connection.peer == peer
                && connection.local == local
                && connection.tls.as_ref() == tls
                && is_free(connection)
        };
        let mut groups = self.shared.groups.borrow_mut();
        let idle = groups.get_mut(&pick.group().id)?;
        loop {
            let index = idle.iter().rposition(|idle| fits(&idle.connection))?;
            let Idle { connection, .. } = idle.remove(index);
            // Whatever happens on the socket from now on is not the reaper's business.
            if connection.stream.is_quiet(&mut Context::from_waker(Waker::noop())) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end, if the group's limits allow it.
    pub fn put(&self, group: &Group, mut connection: Connection) {
        let conf = &group.conf;
        let most = conf.keepalive.map_or(0, |keepalive| keepalive.most);
        if most == 0
            || !connection.input.is_empty()
            || connection.requests >= conf.keepalive_requests
            || connection.opened.elapsed() > conf.keepalive_time
            || !self.watch(&connection.stream)
        {
            return;
        }
        if connection.input.capacity() > KEPT_BUFFER_BYTES {
            connection.input = bytes::BytesMut::new();
        }
        let expires = now() + conf.keepalive_timeout;
        let mut groups = self.shared.groups.borrow_mut();
        let idle = groups.entry(group.id).or_default();
        if idle.len() >= most {
            idle.remove(0);
        }
        idle.push(Idle { connection, expires });
        drop(groups);
        self.shared.look_by(expires);
    }

    /// Has the reaper woken when something happens on a socket; false where something has happened already.
    fn watch(&self, stream: &Stream) -> bool {
        if !self.shared.started.replace(true) {
            tokio::task::spawn_local(reap(Rc::downgrade(&self.shared)));
        }
        let reaper = self.shared.reaper.borrow();
        let waker = reaper.as_ref().unwrap_or(Waker::noop());
        stream.is_quiet(&mut Context::from_waker(waker))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shared.groups.borrow().values().map(Vec::len).sum()
    }
}

impl Drop for IdlePool {
    fn drop(&mut self) {
        self.shared.wake_reaper();
    }
}

impl Shared {
    fn wake_reaper(&self) {
        if let Some(waker) = &*self.reaper.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Makes sure that the reaper looks at `expires` or before.
    fn look_by(&self, expires: Duration) {
        if self.looks_at.get().is_none_or(|at| expires < at) {
            self.looks_at.set(Some(expires));
            self.wake_reaper();
        }
    }

    /// Drops what is of no use any more, and returns how long until the next one expires.
    fn sweep(&self, context: &mut Context<'_>) -> Option<Duration> {
        *self.reaper.borrow_mut() = Some(context.waker().clone());
        let now = now();
        let mut groups = self.groups.borrow_mut();
        for idle in groups.values_mut() {
            idle.retain(|idle| idle.expires > now && idle.connection.stream.is_quiet(context));
        }
        let next = groups.values().flatten().map(|idle| idle.expires).min();
        self.looks_at.set(next);
        next.map(|expires| expires.saturating_sub(now).max(SHORTEST_SLEEP))
    }
}

/// Drops idle connections when they close or expire, until the pool is gone.
async fn reap(shared: Weak<Shared>) {
    loop {
        let swept =
            poll_fn(|context| Poll::Ready(shared.upgrade().map(|shared| shared.sweep(context)))).await;
        match swept {
            None => return,
            Some(None) => woken(std::future::pending()).await,
            Some(Some(after)) => woken(tokio::time::sleep(after)).await,
        }
    }
}

/// Waits until the task is woken, by `timer` or anything else.
async fn woken(timer: impl Future<Output = ()>) {
    let mut timer = pin!(timer);
    let mut waits = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waits, true) {
            return Poll::Ready(());
        }
        timer.as_mut().poll(context)
    })
    .await;
}

/// The time on the monotonic clock.
pub(super) fn now() -> Duration {
    clock::moment().since(Moment::default())
}

#[cfg(test)]
mod tests;
