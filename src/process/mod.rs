//! Processes: the command line, the master and its children, sockets, signals, logs at start and reload.
//!
//! ```text
//! arguments → start → generation ┬→ master → children → worker → accept → http
//!                                └→ single (master_process off)
//! ```
//!
//! Only this folder forks, exits, reads the environment or changes rights.

mod accept;
mod arguments;
mod children;
mod daemon;
mod files;
mod generation;
mod listen;
mod master;
mod pid_file;
mod quick;
mod rights;
mod self_signed;
mod signals;
mod single;
mod start;
mod sys;
mod title;
mod upgrade;
mod upkeep;
mod words;
mod worker;

pub use start::run;

use std::ffi::OsString;

use config::LogTarget;

use self::daemon::Ground;
use crate::error_log::{self, Level, system_words};

/// The program as it was started.
#[derive(Debug, Clone)]
struct Program {
    arguments: Vec<OsString>,
    ground: Ground,
}

impl Program {
    fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    fn is_daemon(&self) -> bool {
        self.ground == Ground::Back
    }

    /// Lets a daemon's process go of the terminal. Every process has to: what waits for the end of a
    /// command's output would wait as long as one of them lives.
    fn leave_terminal(&self, log: &[LogTarget]) {
        if self.is_daemon()
            && let Err(error) = daemon::leave_terminal(log)
        {
            error_log::write(
                Level::Alert,
                format_args!("leaving the terminal failed ({})", system_words(&error)),
            );
        }
    }
}
