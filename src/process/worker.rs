//! The worker: one thread per event loop, and the first thread, which acts on signals.

use std::{
    io::{self, PipeWriter, Write as _},
    os::fd::AsFd,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use config::{Affinity, MainConf};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::Signal,
    unistd::Pid,
};
use tokio::sync::watch;

use super::{
    accept::{self, Order},
    generation::Generation,
    listen::Door,
    signals::Signals,
    upkeep,
};
use crate::{
    clock,
    error_log::{self, Level},
    http::site::Site,
};

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Asked,
    /// One of its event loops failed.
    Broken,
}

/// Event loops that run.
struct Loops {
    threads: Vec<JoinHandle<io::Result<()>>>,
    orders: watch::Sender<Order>,
    /// Readable once all of them have ended.
    ended: io::PipeReader,
}

/// Serves a configuration until a signal ends it; calls `ready` when all event loops accept.
///
/// # Errors
/// Something that serving needs cannot be opened.
pub fn serve(
    generation: Generation,
    signals: &Signals,
    ready: impl FnOnce(),
    on_drain: impl FnOnce(),
) -> anyhow::Result<Ended> {
    let Generation { config, contexts, listeners, loops, .. } = generation;
    let site = Site::new(Arc::clone(&config), contexts)?;
    let loops = Loops::start(&config.main, &site, listeners.doors(loops)?)?;
    ready();
    let mut watch =
        Watch { on_drain: Some(on_drain), draining_until: None, site: &site, config: &config.main };
    while !loops.have_ended() {
        signals.wait(&[loops.ended.as_fd()], watch.time_left());
        while let Some(received) = signals.next() {
            watch.act(received.signal, &loops);
        }
        if watch.time_left().is_some_and(|left| left.is_zero()) {
            loops.tell(Order::Stop);
        }
    }
    error_log::write(Level::Notice, format_args!("exiting"));
    let ended = loops.join();
    // Logs and caches write what they have gathered.
    drop(site);
    error_log::write(Level::Notice, format_args!("exit"));
    Ok(ended)
}

/// What the first thread knows while the others serve.
struct Watch<'a, F> {
    on_drain: Option<F>,
    draining_until: Option<(clock::Moment, Duration)>,
    site: &'a Site,
    config: &'a MainConf,
}

impl<F: FnOnce()> Watch<'_, F> {
    fn act(&mut self, signal: Signal, loops: &Loops) {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => loops.tell(Order::Stop),
            Signal::SIGQUIT => {
                if let Some(on_drain) = self.on_drain.take() {
                    error_log::write(Level::Notice, format_args!("gracefully shutting down"));
                    on_drain();
                    let timeout = *self.config.worker_shutdown_timeout;
                    self.draining_until = timeout.map(|timeout| (clock::moment(), timeout));
                    loops.tell(Order::Drain);
                }
            }
            Signal::SIGUSR1 => {
                error_log::write(Level::Notice, format_args!("reopening logs"));
                error_log::reopen();
                self.site.access_logs.reopen();
            }
            // The master's business.
            _ => {}
        }
    }

    /// Returns how much of `worker_shutdown_timeout` is left.
    fn time_left(&self) -> Option<Duration> {
        self.draining_until.map(|(begun, timeout)| timeout.saturating_sub(begun.elapsed()))
    }
}

impl Loops {
    fn start(main: &MainConf, site: &Arc<Site>, doors: Vec<Vec<Door>>) -> io::Result<Self> {
        let (ended, ending) = io::pipe()?;
        let ending = Arc::new(ending);
        let (orders, _) = watch::channel(Order::Serve);
        let (ready, are_ready) = mpsc::channel();
        let mut threads: Vec<_> = upkeep::start(site, orders.subscribe())?.into_iter().collect();
        let count = doors.len();
        for (index, doors) in doors.into_iter().enumerate() {
            let (site, ready, ending) = (Arc::clone(site), ready.clone(), Arc::clone(&ending));
            let orders = orders.subscribe();
            let processors = processors(main, index);
            let run = move || {
                // Dropped last, whatever happens here.
                let _ending: Arc<PipeWriter> = ending;
                bind_to(processors);
                let is_ready = || {
                    // Nobody listens any more where another loop has failed.
                    let _ = ready.send(());
                };
                accept::run(site, index, doors, orders, is_ready)
            };
            threads.push(thread::Builder::new().name(format!("loop {index}")).spawn(run)?);
        }
        drop((ready, ending));
        let loops = Self { threads, orders, ended };
        if are_ready.iter().take(count).count() < count {
            loops.tell(Order::Stop);
            loops.join();
            return Err(io::Error::other("an event loop could not start"));
        }
        Ok(loops)
    }

    fn tell(&self, order: Order) {
        // A loop that has ended needs no orders. Who was told to stop is not told to drain.
        self.orders.send_if_modified(|last| {
            let is_news = *last != order && *last != Order::Stop;
            if is_news {
                *last = order;
            }
            is_news
        });
    }

    fn have_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    fn join(self) -> Ended {
        let mut ended = Ended::Asked;
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    error_log::write(Level::Emerg, format_args!("an event loop has failed ({error})"));
                    ended = Ended::Broken;
                }
                // The hook of the process has written the panic to the log.
                Err(_) => ended = Ended::Broken,
            }
        }
        ended
    }
}

/// Returns the processors of an event loop, where it is to keep to some.
fn processors(main: &MainConf, index: usize) -> Option<Vec<usize>> {
    let numbers = |mask: &[bool]| -> Vec<usize> {
        mask.iter().enumerate().filter(|(_, is_set)| **is_set).map(|(number, _)| number).collect()
    };
    match main.worker_cpu_affinity.as_ref()? {
        Affinity::Auto(mask) => {
            let all = || (0..thread::available_parallelism().map_or(1, usize::from)).collect();
            let allowed: Vec<usize> = mask.as_deref().map_or_else(all, numbers);
            (!allowed.is_empty()).then(|| vec![allowed[index % allowed.len()]])
        }
        Affinity::Masks(masks) => masks.get(index).or(masks.last()).map(|mask| numbers(mask)),
    }
}

fn bind_to(processors: Option<Vec<usize>>) {
    let Some(processors) = processors else { return };
    let mut set = CpuSet::new();
    let chosen = processors.iter().try_for_each(|&number| set.set(number));
    if let Err(error) = chosen.and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)) {
        let error = error_log::system_words(&error.into());
        error_log::write(Level::Alert, format_args!("sched_setaffinity() failed ({error})"));
    }
}

/// Tells the master that the worker is ready.
pub fn report_ready(mut pipe: PipeWriter) {
    // A master that has died meanwhile has no use for it.
    let _ = pipe.write_all(b"+");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_keep_to_their_processors() {
        let main = |affinity| MainConf {
            worker_cpu_affinity: config::Setting::written(affinity),
            ..MainConf::default()
        };
        let mask = vec![false, true, false, true];
        let auto = main(Some(Affinity::Auto(Some(mask.clone()))));
        assert_eq!(processors(&auto, 0), Some(vec![1]));
        assert_eq!(processors(&auto, 1), Some(vec![3]));
        assert_eq!(processors(&auto, 2), Some(vec![1]));
        let masks = main(Some(Affinity::Masks(vec![vec![true], mask])));
        assert_eq!(processors(&masks, 0), Some(vec![0]));
        assert_eq!(processors(&masks, 9), Some(vec![1, 3]));
        assert_eq!(processors(&main(None), 0), None);
    }
}
