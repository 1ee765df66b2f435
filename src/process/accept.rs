//! One event loop: accepts connections and serves each as a task of its own until told to end.

use std::{cell::Cell, fmt, io, os::fd::OwnedFd, rc::Rc, sync::Arc, time::Duration};

use config::ListenAddress;
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::{Builder, LocalOptions},
    sync::{Notify, watch},
    task::spawn_local,
    time::{sleep, timeout},
};

use super::listen::{Door, Routes};
use crate::{
    error_log::{self, Level, system_words},
    http::{
        front,
        secure::Arrival,
        site::{EventLoop, Site},
    },
    net::{Drain, Stream},
};

/// How long a socket is left alone after the system had nothing left for a connection. As nginx's accept_mutex_delay.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How long a worker without clients stores on where `worker_shutdown_timeout` does not say.
const FILLS_PATIENCE: Duration = Duration::from_secs(60);

/// What an event loop is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Accept and serve.
    Serve,
    /// Accept no more, answer what was asked, then end.
    Drain,
    /// End.
    Stop,
}

/// Runs an event loop until it is told to end; calls `ready` when it accepts.
pub fn run(
    site: Arc<Site>,
    index: usize,
    doors: Vec<Door>,
    mut orders: watch::Receiver<Order>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let drain = Drain::default();
        let event_loop = EventLoop::new(site, index, drain.clone());
        let limit = *event_loop.site.config.events.worker_connections;
        let open = Open(Rc::new(Count { limit, now: Cell::new(0), none_left: Notify::new() }));
        let mut acceptors = Vec::new();
        for door in doors {
            let acceptor = Acceptor::new(door, Rc::clone(&event_loop), open.clone())?;
            acceptors.push(spawn_local(acceptor.run()));
        }
        ready();
        let told = |order: &Order| *order != Order::Serve;
        // The sender lives as long as the worker; without it there is nothing to serve for.
        let order = orders.wait_for(told).await.map_or(Order::Stop, |order| *order);
        for acceptor in acceptors {
            acceptor.abort();
            // Waiting for it closes its socket. That it was aborted is no news.
            let _ = acceptor.await;
        }
        if order == Order::Drain {
            drain.begin();
            let finished = async {
                open.none_left().await;
                // A background update has no client: its answer is stored all the same.
                let patience = event_loop.site.config.main.worker_shutdown_timeout.unwrap_or(FILLS_PATIENCE);
                // What takes longer is given up, and asked for anew by the next worker.
                let _ = timeout(patience, event_loop.fills.done()).await;
            };
            tokio::select! {
                () = finished => {}
                _ = orders.wait_for(|order| *order == Order::Stop) => {}
            }
        }
        Ok(())
    })
}

/// A listening socket and what becomes of its connections.
struct Acceptor {
    listener: Listener,
    routes: Routes,
    event_loop: Rc<EventLoop>,
    open: Open,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(door: Door, event_loop: Rc<EventLoop>, open: Open) -> io::Result<Self> {
        let descriptor = OwnedFd::from(door.socket);
        let listener = match door.address {
            ListenAddress::Inet(_) => Listener::Tcp(TcpListener::from_std(descriptor.into())?),
            ListenAddress::Unix(_) => Listener::Unix(UnixListener::from_std(descriptor.into())?),
        };
        Ok(Self { listener, routes: door.routes, event_loop, open })
    }

    async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok(stream) => self.serve(stream),
                Err(error) => self.refused(&error).await,
            }
        }
    }

    fn serve(&self, stream: Stream) {
        let Some(place) = self.open.enter() else {
            let limit = self.open.0.limit;
            return error_log::write(Level::Alert, format_args!("{limit} worker_connections are not enough"));
        };
        let address = self.routes.ask_address().then(|| stream.local_address()).flatten();
        let listener = self.routes.find(address);
        let event_loop = Rc::clone(&self.event_loop);
        // A panic ends this task alone; the hook of the process has written it to the log.
        spawn_local(async move {
            let _place = place;
            if let Some(arrival) = Arrival::open(&event_loop, stream, listener).await {
                front::serve(event_loop, arrival).await;
            }
        });
    }

    async fn refused(&self, error: &io::Error) {
        let (level, pause) = match error.raw_os_error() {
            // The client has gone before it was accepted.
            Some(libc::ECONNABORTED) => (Level::Error, Duration::ZERO),
            Some(libc::EMFILE | libc::ENFILE) => (Level::Crit, ACCEPT_PAUSE),
            _ => (Level::Alert, ACCEPT_PAUSE),
        };
        error_log::write(level, format_args!("accept4() failed ({})", system_words(error)));
        sleep(pause).await;
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => listener.accept().await?.0.into(),
            Self::Unix(listener) => listener.accept().await?.0.into(),
        })
    }
}

/// The connections of an event loop.
#[derive(Clone)]
struct Open(Rc<Count>);

struct Count {
    limit: usize,
    now: Cell<usize>,
    none_left: Notify,
}

/// One of them, counted until it is dropped.
struct PlaceTaken(Open);

impl Open {
    fn enter(&self) -> Option<PlaceTaken> {
        let now = self.0.now.get();
        (now < self.0.limit).then(|| {
            self.0.now.set(now + 1);
            PlaceTaken(self.clone())
        })
    }

    async fn none_left(&self) {
        while self.0.now.get() > 0 {
            self.0.none_left.notified().await;
        }
    }
}

impl Drop for PlaceTaken {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.now.set(count.now.get() - 1);
        if count.now.get() == 0 {
            count.none_left.notify_one();
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.0.now.get(), self.0.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_counted_up_to_the_limit() {
        let open = Open(Rc::new(Count { limit: 2, now: Cell::new(0), none_left: Notify::new() }));
        open.none_left().await;
        let (first, second) = (open.enter(), open.enter());
        assert!(first.is_some() && second.is_some());
        assert!(open.enter().is_none());
        drop(first);
        let third = open.enter();
        assert!(third.is_some());
        tokio::join!(open.none_left(), async { drop((second, third)) });
        assert_eq!(open.0.now.get(), 0);
    }
}
