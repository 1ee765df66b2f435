//! Serving without a master (`master_process off`): worker, cache manager and cache loader are threads of one process.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use super::{
    children::zones,
    generation::{Generation, Refused},
    pid_file::PidFile,
    rights,
    signals::Signals,
    worker::{self, Ended},
};
use crate::error_log::{self, Level, system_words};

/// Serves one configuration until a signal ends it; calls `on_ready` when it accepts. There are no reloads.
pub fn run(generation: Generation, on_ready: impl FnOnce()) -> Result<ExitCode, Refused> {
    let signals = Signals::queue().map_err(|error| refuse(format_args!("{}", system_words(&error))))?;
    rights::set_limits(&generation.config.main);
    let config = Arc::clone(&generation.config);
    let stop = AtomicBool::new(false);
    let mut pid_file = None;
    let is_stopped = || stop.load(Relaxed);
    let outcome = thread::scope(|scope| {
        let tend = || {
            scope.spawn(|| complain("cache manager", cache_manager::run(zones(&config), &is_stopped)));
            scope.spawn(|| complain("cache loader", cache_loader::run(zones(&config), &is_stopped)));
        };
        let ready = || {
            match PidFile::write(&config.main.pid) {
                Ok(file) => pid_file = Some(file),
                Err(error) => error_log::write(Level::Emerg, format_args!("{error}")),
            }
            error_log::leave_console();
            on_ready();
            if !zones(&config).is_empty() {
                tend();
            }
        };
        let ended = worker::serve(generation, &signals, ready, || {});
        stop.store(true, Relaxed);
        ended
    });
    // It may have been removed by hand.
    let _ = pid_file.map(PidFile::remove);
    match outcome {
        Ok(Ended::Asked) => Ok(ExitCode::SUCCESS),
        Ok(Ended::Broken) => Ok(ExitCode::FAILURE),
        Err(error) => Err(refuse(format_args!("{error:#}"))),
    }
}

fn refuse(message: std::fmt::Arguments<'_>) -> Refused {
    error_log::write(Level::Emerg, message);
    Refused
}

fn complain<E: std::fmt::Display>(who: &str, result: Result<(), E>) {
    if let Err(error) = result {
        error_log::write(Level::Crit, format_args!("{who}: {error}"));
    }
}
