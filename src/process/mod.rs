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
mod signals;
mod single;
mod start;
mod sys;
mod title;
mod upgrade;
mod words;
mod worker;

pub use start::run;

use std::ffi::OsString;

use self::daemon::Ground;

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
}
