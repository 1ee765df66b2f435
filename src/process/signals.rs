//! Signals as a queue: blocked in all threads, read one by one, waited for together with descriptors.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// The signals that a process of ours acts on, in nginx's meaning.
const QUEUED: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

/// The queue of this process.
pub struct Signals {
    descriptor: SignalFd,
}

/// A signal that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// Process that sent it; zero where the kernel did.
    pub sender: u32,
}

impl Signals {
    /// Blocks the signals in this thread, and so in all that it starts, and queues them.
    pub fn queue() -> io::Result<Self> {
        let mut set = SigSet::empty();
        QUEUED.into_iter().for_each(|signal| set.add(signal));
        set.thread_block()?;
        // A file over RLIMIT_FSIZE is a failed write, no reason to die. Nobody reads it.
        let mut unread = SigSet::empty();
        unread.add(Signal::SIGXFSZ);
        unread.thread_block()?;
        Ok(Self { descriptor: SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)? })
    }

    /// Takes the next signal that has come.
    pub fn next(&self) -> Option<Received> {
        loop {
            match self.descriptor.read_signal() {
                Ok(Some(found)) => {
                    let number = i32::try_from(found.ssi_signo).ok();
                    if let Some(signal) = number.and_then(|number| Signal::try_from(number).ok()) {
                        return Some(Received { signal, sender: found.ssi_pid });
                    }
                }
                Err(Errno::EINTR) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Waits until a signal or something on one of the descriptors has come, or the time is over.
    pub fn wait(&self, others: &[BorrowedFd<'_>], longest: Option<Duration>) {
        let mut watched = vec![PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        watched.extend(others.iter().map(|&other| PollFd::new(other, PollFlags::POLLIN)));
        // Rounded up, so that a deadline has passed when the wait for it ends.
        let timeout = longest.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        // Interrupted is as good as woken: the caller looks at everything.
        let _ = poll(&mut watched, timeout);
    }
}

impl Received {
    /// Writes who sent it, as nginx does: ` from 123`.
    pub fn origin(self) -> String {
        if self.sender == 0 { String::new() } else { format!(" from {}", self.sender) }
    }
}
