//! The master: one thread that opens sockets, forks children, and turns signals into what happens to them.
//!
//! A reload puts a new worker beside the old one and asks the old one to leave only when the new one accepts; a
//! configuration that cannot be served changes nothing. It never serves, and never touches a cache.

use std::{
    io::{self, Read},
    mem,
    os::fd::{AsFd, BorrowedFd},
    process::ExitCode,
    time::Duration,
};

use config::Source;
use nix::{
    sys::{
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{
    children::{self, Child, Role, Stage},
    files,
    generation::{self, Generation},
    listen::Listeners,
    pid_file::PidFile,
    signals::{Received, Signals},
    title::Title,
    upgrade::Upgrade,
};
use crate::{
    clock::{Moment, moment},
    error_log::{self, Level, system_words},
};

/// Shortest life of a child after which another is started at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// How long children that were told to end at once may take: those that have a cache open write its index to a disk that may
/// be busy, or the next start would have to look at all files. nginx, which keeps nothing, gives a second.
const KILL_AFTER: Duration = Duration::from_secs(30);

/// The master.
pub struct Master {
    source: Source,
    program: super::Program,
    title: Title,
    signals: Signals,
    /// What is served; nothing before the first worker accepts.
    current: Option<Generation>,
    /// What will be served as soon as its worker accepts.
    next: Option<Generation>,
    children: Vec<Child>,
    due: Vec<Due>,
    purpose: Purpose,
    pid_file: Option<PidFile>,
    upgrade: Option<Upgrade>,
    /// Whether a reload was asked for while another was under way.
    reload_is_due: bool,
    on_ready: Option<Box<dyn FnOnce()>>,
}

/// A child to be started a little later.
#[derive(Debug, Clone, Copy)]
struct Due {
    role: Role,
    /// Number of the generation that needs it.
    serial: u64,
    since: Moment,
}

impl Due {
    /// Returns how long to wait yet: a child that always dies at once must not make the master spin.
    fn left(&self) -> Duration {
        SHORT_LIFE.saturating_sub(self.since.elapsed())
    }
}

/// What the master is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To keep children serving.
    Serve,
    /// To keep nobody serving, while a new program does (WINCH).
    Rest,
    /// To end once all requests are answered.
    Quit,
    /// To end at once, having told the children at that moment.
    Terminate(Moment),
    /// To end with an error, since nothing could be served.
    Fail(Moment),
}

/// How a child has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// With success.
    Done,
    /// With a failure or by a signal.
    Failed,
}

impl Master {
    /// Makes the master of a first generation.
    pub fn new(
        source: Source,
        program: super::Program,
        title: Title,
        first: Generation,
        on_ready: Box<dyn FnOnce()>,
    ) -> io::Result<Self> {
        Ok(Self {
            source,
            program,
            title,
            signals: Signals::queue()?,
            current: None,
            next: Some(first),
            children: Vec::new(),
            due: Vec::new(),
            purpose: Purpose::Serve,
            pid_file: None,
            upgrade: None,
            reload_is_due: false,
            on_ready: Some(on_ready),
        })
    }

    /// Runs until signals end it.
    pub fn run(mut self) -> ExitCode {
        self.title.master();
        error_log::write(Level::Notice, format_args!("larder/{}", env!("CARGO_PKG_VERSION")));
        error_log::write(Level::Notice, format_args!("start worker processes"));
        self.start_next();
        while !self.is_done() {
            self.wait();
            while let Some(received) = self.signals.next() {
                self.act(received);
            }
            self.see_who_is_ready();
            if self.next.is_none() && !self.is_ending() && mem::take(&mut self.reload_is_due) {
                self.reload();
            }
            self.start_due();
            self.kill_late();
        }
        self.finish()
    }

    fn is_done(&self) -> bool {
        self.is_ending() && self.children.is_empty()
    }

    fn is_ending(&self) -> bool {
        !matches!(self.purpose, Purpose::Serve | Purpose::Rest)
    }

    fn wait(&self) {
        let starting: Vec<BorrowedFd<'_>> = self
            .children
            .iter()
            .filter_map(|child| match &child.stage {
                Stage::Starting(pipe) => Some(pipe.as_fd()),
                Stage::Serving | Stage::Leaving => None,
            })
            .collect();
        let kill = self.told_to_end().map(|since| KILL_AFTER.saturating_sub(since.elapsed()));
        self.signals.wait(&starting, self.due.iter().map(Due::left).chain(kill).min());
    }

    fn told_to_end(&self) -> Option<Moment> {
        match self.purpose {
            Purpose::Terminate(since) | Purpose::Fail(since) => Some(since),
            Purpose::Serve | Purpose::Rest | Purpose::Quit => None,
        }
    }

    fn act(&mut self, received: Received) {
        if received.signal != Signal::SIGCHLD {
            self.note(received);
        }
        match received.signal {
            Signal::SIGCHLD => self.reap(),
            Signal::SIGTERM | Signal::SIGINT => self.terminate(),
            _ if self.is_ending() => {}
            Signal::SIGQUIT => self.quit(),
            Signal::SIGHUP => self.reload(),
            Signal::SIGUSR1 => self.reopen(),
            Signal::SIGUSR2 => self.upgrade(),
            // A terminal sends it for a new size, so it counts only where there is none. As nginx.
            Signal::SIGWINCH if self.program.is_daemon() => self.rest(),
            _ => {}
        }
    }

    fn note(&self, received: Received) {
        let Received { signal, .. } = received;
        let what = match signal {
            Signal::SIGTERM | Signal::SIGINT => ", exiting",
            Signal::SIGQUIT => ", shutting down",
            Signal::SIGHUP => ", reconfiguring",
            Signal::SIGUSR1 => ", reopening logs",
            Signal::SIGUSR2 => ", changing binary",
            Signal::SIGWINCH if self.program.is_daemon() => ", gracefully shutting down worker processes",
            _ => return,
        };
        let number = signal as i32;
        let origin = received.origin();
        error_log::write(Level::Notice, format_args!("signal {number} ({signal}) received{origin}{what}"));
    }

    /// Starts the worker of the next generation.
    fn start_next(&mut self) {
        let Self { current, next, title, children, program, .. } = self;
        let Some(generation) = next else { return };
        let log = generation.config.main.error_log.clone();
        let program = &*program;
        // What a child does not serve, it must not hold: a listening socket is open as long as anyone has it.
        match children::start(Role::Worker, generation, title, || {
            drop(current.take());
            program.leave_terminal(&log);
        }) {
            Ok(child) => children.push(child),
            Err(error) => {
                children::tell_fork_failed(Role::Worker, &error);
                self.give_up_next();
            }
        }
    }

    /// Starts a child of the current generation.
    fn start(&mut self, role: Role) {
        let Self { current, next, title, children, program, .. } = self;
        let Some(generation) = current else { return };
        // Somebody may have removed what the children may not make themselves.
        if let Err(error) = files::prepare(&generation.config, generation.identity.as_ref()) {
            error_log::write(Level::Alert, format_args!("{error}"));
        }
        let log = generation.config.main.error_log.clone();
        let program = &*program;
        match children::start(role, generation, title, || {
            drop(next.take());
            program.leave_terminal(&log);
        }) {
            Ok(child) => children.push(child),
            Err(error) => {
                children::tell_fork_failed(role, &error);
                let serial = generation.serial;
                self.due.push(Due { role, serial, since: moment() });
            }
        }
    }

    fn start_due(&mut self) {
        if self.purpose != Purpose::Serve {
            self.due.clear();
        }
        let due: Vec<Due> = self.due.extract_if(.., |due| due.left().is_zero()).collect();
        for Due { role, serial, .. } in due {
            if self.current.as_ref().is_some_and(|current| current.serial == serial) {
                self.start(role);
            }
        }
    }

    fn see_who_is_ready(&mut self) {
        let mut is_next_ready = false;
        for child in &mut self.children {
            if let Stage::Starting(pipe) = &mut child.stage
                && has_spoken(pipe)
            {
                child.stage = Stage::Serving;
                is_next_ready |= self.next.as_ref().is_some_and(|next| next.serial == child.serial);
            }
        }
        if is_next_ready {
            self.switch();
        }
    }

    /// Puts the next generation in the place of the current one: its worker accepts.
    fn switch(&mut self) {
        let Some(next) = self.next.take() else { return };
        error_log::leave_console();
        for child in self.children.iter_mut().filter(|child| child.serial != next.serial) {
            child.leave(Signal::SIGQUIT);
        }
        if let Some(old) = self.current.take() {
            old.listeners.unlink_except(&next.listeners);
        }
        let upkeep = next.upkeep();
        let pid_path = next.config.main.pid.to_path_buf();
        self.current = Some(next);
        upkeep.iter().for_each(|role| self.start(*role));
        if self.pid_file.as_ref().is_none_or(|file| file.path() != pid_path) {
            match PidFile::write(&pid_path) {
                Ok(file) => {
                    let old = self.pid_file.replace(file);
                    // It may have been removed by hand.
                    let _ = old.map(PidFile::remove);
                }
                Err(error) => {
                    error_log::write(Level::Emerg, format_args!("{error}"));
                    return self.fail();
                }
            }
        }
        if let Some(on_ready) = self.on_ready.take() {
            on_ready();
        }
    }

    fn reload(&mut self) {
        if self.next.is_some() {
            // The worker of the last reload does not accept yet, but the files may have changed since.
            self.reload_is_due = true;
            return;
        }
        error_log::write(Level::Notice, format_args!("reconfiguring"));
        let Ok(read) =
            generation::read(&self.source, self.current.as_ref().map(|current| &*current.contexts))
        else {
            return;
        };
        let none = Listeners::default();
        let old = self.current.as_ref().map_or(&none, |current| &current.listeners);
        let Ok(next) = Generation::open(read, old) else {
            self.restore_logs();
            return;
        };
        self.purpose = Purpose::Serve;
        self.next = Some(next);
        error_log::write(Level::Notice, format_args!("start worker processes"));
        self.start_next();
    }

    /// Writes to the logs of the generation that stays.
    fn restore_logs(&self) {
        if let Some(current) = &self.current
            && let Err(error) = error_log::init(&current.config.main.error_log)
        {
            error_log::write(Level::Emerg, format_args!("{error}"));
        }
    }

    fn reopen(&mut self) {
        error_log::reopen();
        if let Some(current) = &self.current {
            files::hand_over_logs(&current.config, current.identity.as_ref());
        }
        for child in &self.children {
            child.signal(Signal::SIGUSR1);
        }
    }

    fn upgrade(&mut self) {
        let (Some(current), Some(file), None) = (&self.current, &mut self.pid_file, &self.upgrade) else {
            error_log::write(Level::Notice, format_args!("the changing binary signal is ignored"));
            return;
        };
        match Upgrade::start(&self.program, current, file) {
            Ok(upgrade) => self.upgrade = Some(upgrade),
            Err(error) => error_log::write(Level::Alert, format_args!("{error}")),
        }
    }

    /// Lets the children go, and the sockets stay: a new program serves with them (WINCH).
    fn rest(&mut self) {
        self.purpose = Purpose::Rest;
        self.tell(Signal::SIGQUIT);
    }

    fn quit(&mut self) {
        self.purpose = Purpose::Quit;
        self.tell(Signal::SIGQUIT);
        self.close_listeners();
    }

    fn terminate(&mut self) {
        if self.told_to_end().is_none() {
            self.purpose = Purpose::Terminate(moment());
            self.tell(Signal::SIGTERM);
        }
    }

    fn fail(&mut self) {
        self.purpose = Purpose::Fail(moment());
        self.tell(Signal::SIGTERM);
    }

    /// Asks all children to leave.
    fn tell(&mut self, how: Signal) {
        for child in &mut self.children {
            child.leave(how);
        }
    }

    fn kill_late(&mut self) {
        if self.told_to_end().is_some_and(|since| since.elapsed() >= KILL_AFTER) {
            for child in &self.children {
                child.signal(Signal::SIGKILL);
            }
        }
    }

    fn reap(&mut self) {
        loop {
            let (pid, death) = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => {
                    let name = self.name_of(pid);
                    error_log::write(Level::Notice, format_args!("{name} {pid} exited with code {code}"));
                    (pid, if code == 0 { Death::Done } else { Death::Failed })
                }
                Ok(WaitStatus::Signaled(pid, by, core)) => {
                    let (name, number) = (self.name_of(pid), by as i32);
                    let core = if core { " (core dumped)" } else { "" };
                    error_log::write(
                        Level::Alert,
                        format_args!("{name} {pid} exited on signal {number}{core}"),
                    );
                    (pid, Death::Failed)
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if let Some(place) = self.children.iter().position(|child| child.pid == pid) {
                let child = self.children.remove(place);
                self.replace(&child, death);
            } else if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.pid() == pid) {
                self.upgrade_has_ended();
            }
        }
    }

    fn name_of(&self, pid: Pid) -> &'static str {
        let child = self.children.iter().find(|child| child.pid == pid);
        child.map_or("new binary process", |child| child.role.title())
    }

    /// Starts another child in the place of one that has ended, where there should be one.
    fn replace(&mut self, child: &Child, death: Death) {
        if self.purpose != Purpose::Serve {
            return;
        }
        if death == Death::Failed && child.role != Role::CacheLoader {
            self.load_again();
        }
        if matches!(child.stage, Stage::Leaving) {
            return;
        }
        let &Child { role, serial, started: since, .. } = child;
        if self.next.as_ref().is_some_and(|next| next.serial == serial) {
            self.give_up_next();
        } else if role == Role::CacheLoader && death == Death::Done {
            // Its work is done.
        } else {
            self.due.push(Due { role, serial, since });
        }
    }

    /// Has the files of caches walked over again: one who held them open was killed, and may have left files without
    /// rows in the index.
    fn load_again(&mut self) {
        let Some(current) = self.current.as_ref().filter(|current| current.has_zones()) else { return };
        let (role, serial) = (Role::CacheLoader, current.serial);
        // A loader at work has passed by some of them already.
        for loader in self.children.iter_mut().filter(|child| child.role == role) {
            loader.leave(Signal::SIGTERM);
        }
        if !self.due.iter().any(|due| due.role == role && due.serial == serial) {
            self.due.push(Due { role, serial, since: moment() });
        }
    }

    /// Stays with the current generation: the next one cannot be served.
    fn give_up_next(&mut self) {
        let next = self.next.take();
        let Some(current) = &self.current else {
            error_log::write(Level::Emerg, format_args!("the worker process could not start"));
            return self.fail();
        };
        if let Some(next) = next {
            next.listeners.unlink_except(&current.listeners);
        }
        self.restore_logs();
        error_log::write(
            Level::Emerg,
            format_args!("the new worker process could not start, the old one serves on"),
        );
    }

    fn upgrade_has_ended(&mut self) {
        self.upgrade = None;
        if let Some(file) = &mut self.pid_file
            && let Err(error) = file.step_back()
        {
            error_log::write(
                Level::Alert,
                format_args!("rename() of the pid file failed ({})", system_words(&error)),
            );
        }
        if self.purpose == Purpose::Rest {
            self.purpose = Purpose::Serve;
            self.start(Role::Worker);
            let upkeep = self.current.as_ref().map_or(&[][..], Generation::upkeep);
            let upkeep = upkeep.iter().filter(|role| **role != Role::CacheLoader);
            upkeep.for_each(|role| self.start(*role));
        }
    }

    fn close_listeners(&mut self) {
        let inherited = self.upgrade.is_some();
        for generation in [&mut self.current, &mut self.next].into_iter().flatten() {
            let listeners = mem::take(&mut generation.listeners);
            if !inherited {
                listeners.unlink_except(&Listeners::default());
            }
        }
    }

    fn finish(mut self) -> ExitCode {
        self.close_listeners();
        if let Some(file) = self.pid_file.take()
            && let Err(error) = file.remove()
        {
            error_log::write(
                Level::Alert,
                format_args!("unlink() of the pid file failed ({})", system_words(&error)),
            );
        }
        error_log::write(Level::Notice, format_args!("exit"));
        if matches!(self.purpose, Purpose::Fail(_)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Says whether a worker has told that it accepts; an end without a word is no such thing.
fn has_spoken(pipe: &mut io::PipeReader) -> bool {
    let mut watched = [nix::poll::PollFd::new(pipe.as_fd(), nix::poll::PollFlags::POLLIN)];
    let is_readable = nix::poll::poll(&mut watched, 0_u8).is_ok_and(|count| count > 0);
    is_readable && pipe.read(&mut [0]).is_ok_and(|count| count == 1)
}
