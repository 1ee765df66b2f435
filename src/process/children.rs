//! The children of a master: what each does in its own process, and the list of those that live.

use std::{
    cell::Cell,
    io::{self, PipeReader, PipeWriter},
    process,
    sync::Arc,
    time::Duration,
};

use config::{CachePath, Config};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{ForkResult, Pid},
};

use super::{
    generation::Generation,
    rights,
    signals::Signals,
    sys,
    title::Title,
    worker::{self, Ended},
};
use crate::{
    clock::{Moment, moment},
    error_log::{self, Level, system_words},
};

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Serves.
    Worker,
    /// Keeps caches within their limits.
    CacheManager,
    /// Makes indexes and files agree, once.
    CacheLoader,
    /// Frees the space of what was purged.
    CachePurger,
}

impl Role {
    /// Returns what `ps` and the log call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Worker => "worker process",
            Self::CacheManager => "cache manager process",
            Self::CacheLoader => "cache loader process",
            Self::CachePurger => "cache purger process",
        }
    }

    /// Returns how much it stands back for others, as `nice` counts.
    fn priority(self, config: &Config) -> i32 {
        match self {
            Self::Worker => *config.main.worker_priority,
            Self::CacheManager | Self::CacheLoader | Self::CachePurger => {
                // A master that stands back further has children that do.
                rustix::process::getpriority_process(None)
                    .map_or(UPKEEP_PRIORITY, |own| own.max(UPKEEP_PRIORITY))
            }
        }
    }
}

/// The priority of those who look after caches: processors and disk are the workers' first. From 15 on the kernel also
/// takes their disk operations for those of the lowest best-effort class (`ioprio_set(2)`). Not the very last, since
/// they hold the index's lock now and then.
const UPKEEP_PRIORITY: i32 = 15;

/// A child that lives.
#[derive(Debug)]
pub struct Child {
    /// Its process.
    pub pid: Pid,
    /// What it is for.
    pub role: Role,
    /// Number of the generation it was started for.
    pub serial: u64,
    /// When it was started.
    pub started: Moment,
    /// How it stands with the master.
    pub stage: Stage,
}

impl Child {
    /// Sends it a signal; one that has just ended needs none.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = kill(self.pid, signal)
            && error != Errno::ESRCH
        {
            let (pid, number, error) = (self.pid, signal as i32, system_words(&error.into()));
            error_log::write(Level::Alert, format_args!("kill({pid}, {number}) failed ({error})"));
        }
    }

    /// Asks it to end: at once (TERM) or when all is answered (QUIT).
    pub fn leave(&mut self, how: Signal) {
        self.signal(how);
        self.stage = Stage::Leaving;
    }
}

/// How a child stands with its master.
#[derive(Debug)]
pub enum Stage {
    /// A worker that does not accept yet; readable when it does.
    Starting(PipeReader),
    /// As it should be.
    Serving,
    /// Asked to end.
    Leaving,
}

/// Exit status of a child that could not open what it needs. As nginx.
pub const FATAL: i32 = 2;

/// Forks a child. In the child, `forget` gives up what only the master needs, and this does not return.
pub fn start(
    role: Role,
    generation: &mut Generation,
    title: &mut Title,
    forget: impl FnOnce(),
) -> io::Result<Child> {
    let master = Pid::this();
    let (reader, writer) = io::pipe()?;
    match sys::fork()? {
        ForkResult::Parent { child } => {
            error_log::write(Level::Notice, format_args!("start {} {child}", role.title()));
            let stage = match role {
                Role::Worker => Stage::Starting(reader),
                Role::CacheManager | Role::CacheLoader | Role::CachePurger => Stage::Serving,
            };
            Ok(Child { pid: child, role, serial: generation.serial, started: moment(), stage })
        }
        ForkResult::Child => {
            drop(reader);
            forget();
            title.set(role.title());
            process::exit(run(role, generation, title, master, writer))
        }
    }
}

fn run(role: Role, generation: &mut Generation, title: &mut Title, master: Pid, ready: PipeWriter) -> i32 {
    let own = Generation {
        config: Arc::clone(&generation.config),
        contexts: Arc::clone(&generation.contexts),
        listeners: std::mem::take(&mut generation.listeners),
        loops: generation.loops,
        serial: generation.serial,
        identity: generation.identity.clone(),
    };
    let begun = Signals::queue().map_err(|error| error.to_string()).and_then(|signals| {
        let priority = role.priority(&own.config);
        rights::settle(&own.config, own.identity.as_ref(), master, priority)
            .map_err(|error| error.to_string())?;
        Ok(signals)
    });
    let signals = match begun {
        Ok(signals) => signals,
        Err(error) => {
            error_log::write(Level::Emerg, format_args!("{error}"));
            return FATAL;
        }
    };
    match role {
        Role::Worker => {
            let on_drain = || title.set("worker process is shutting down");
            let on_ready = || {
                error_log::leave_console();
                worker::report_ready(ready);
            };
            match worker::serve(own, &signals, on_ready, on_drain) {
                Ok(Ended::Asked) => 0,
                Ok(Ended::Broken) => 1,
                Err(error) => {
                    error_log::write(Level::Emerg, format_args!("{error:#}"));
                    FATAL
                }
            }
        }
        Role::CacheManager => look_after(role, own, &signals, |zones, rest| {
            cache_manager::run(zones, &rest).map_err(|error| error.to_string())
        }),
        Role::CacheLoader => look_after(role, own, &signals, |zones, rest| {
            cache_loader::run(zones, &rest).map_err(|error| error.to_string())
        }),
        Role::CachePurger => look_after(role, own, &signals, |zones, rest| {
            cache_manager::purge::run(zones, &rest).map_err(|error| error.to_string())
        }),
    }
}

/// Does a cache process' work; returns its exit status.
fn look_after(
    role: Role,
    generation: Generation,
    signals: &Signals,
    work: impl FnOnce(&[Arc<CachePath>], &dyn Fn(Duration) -> bool) -> Result<(), String>,
) -> i32 {
    // Sockets are the worker's alone: whoever else holds them keeps their ports taken.
    let Generation { config, listeners, .. } = generation;
    drop(listeners);
    match work(zones(&config), &rest_until_asked(signals)) {
        Ok(()) => 0,
        Err(error) => {
            error_log::write(Level::Crit, format_args!("{}: {error}", role.title()));
            1
        }
    }
}

/// Tells that a child cannot be started.
pub fn tell_fork_failed(role: Role, error: &io::Error) {
    let (title, error) = (role.title(), system_words(error));
    error_log::write(Level::Alert, format_args!("fork() failed while spawning \"{title}\" ({error})"));
}

/// Returns the caches of a configuration.
fn zones(config: &Config) -> &[Arc<CachePath>] {
    config.http.as_ref().map_or(&[], |http| &http.zones)
}

/// Makes the rest that cache processes take between two steps: at most that long, true once a signal has asked them to
/// end.
fn rest_until_asked(signals: &Signals) -> impl Fn(Duration) -> bool + '_ {
    let asked = Cell::new(false);
    let take = move || {
        while let Some(received) = signals.next() {
            match received.signal {
                Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => asked.set(true),
                Signal::SIGUSR1 => error_log::reopen(),
                _ => {}
            }
        }
        asked.get()
    };
    move |longest| {
        if !take() && !longest.is_zero() {
            signals.wait(&[], Some(longest));
        }
        take()
    }
}
