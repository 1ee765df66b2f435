//! Serving without a master (`master_process off`), for looking at one process: it is the worker itself.
//!
//! The caches are looked after by processes of their own all the same, since LMDB is opened once per process; they
//! leave with the worker. There are no reloads, and nobody is started again.

use std::process::ExitCode;

use nix::sys::{signal::Signal, wait::waitpid};

use super::{
    children::{self, Child},
    generation::{Generation, Refused},
    pid_file::PidFile,
    rights,
    signals::Signals,
    title::Title,
    worker::{self, Ended},
};
use crate::error_log::{self, Level, system_words};

/// Serves one configuration until a signal ends it; calls `on_ready` when it accepts.
pub fn run(generation: Generation, mut title: Title, on_ready: impl FnOnce()) -> Result<ExitCode, Refused> {
    // As nginx: without a master nobody gives up rights.
    let mut generation = Generation { identity: None, ..generation };
    let signals = Signals::queue().map_err(|error| refuse(format_args!("{}", system_words(&error))))?;
    rights::set_limits(&generation.config.main);
    let children = start_children(&mut generation, &mut title);
    let pid_path = generation.config.main.pid.to_path_buf();
    let mut pid_file = None;
    let ready = || {
        match PidFile::write(&pid_path) {
            Ok(file) => pid_file = Some(file),
            Err(error) => error_log::write(Level::Emerg, format_args!("{error}")),
        }
        error_log::leave_console();
        on_ready();
    };
    let ended = worker::serve(generation, &signals, ready, || {});
    for mut child in children {
        child.leave(Signal::SIGTERM);
        // Whoever waited for it before us, it has ended.
        let _ = waitpid(child.pid, None);
    }
    // It may have been removed by hand.
    let _ = pid_file.map(PidFile::remove);
    match ended {
        Ok(Ended::Asked) => Ok(ExitCode::SUCCESS),
        Ok(Ended::Broken) => Ok(ExitCode::FAILURE),
        Err(error) => Err(refuse(format_args!("{error:#}"))),
    }
}

/// Starts who looks after the caches, before this process has threads.
fn start_children(generation: &mut Generation, title: &mut Title) -> Vec<Child> {
    let mut started = Vec::new();
    for &role in generation.upkeep() {
        match children::start(role, generation, title, || {}) {
            Ok(child) => started.push(child),
            Err(error) => children::tell_fork_failed(role, &error),
        }
    }
    started
}

fn refuse(message: std::fmt::Arguments<'_>) -> Refused {
    error_log::write(Level::Emerg, message);
    Refused
}
