//! Directives outside all blocks.

use std::{path::PathBuf, time::Duration};

use super::log::{ERROR_LOG, LogTarget};
use crate::{
    InvalidUser,
    parse::Directive,
    scope::Scope,
    settings::{M, Reader, settings},
    source::Problem,
    values::{FLAG, OPTIONAL_NUMBER, OPTIONAL_PATH, OPTIONAL_SIZE, OPTIONAL_TIME, PATH, parse_number},
};

/// `worker_processes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerCount {
    /// One event loop per processor.
    Auto,
    /// So many event loops.
    Fixed(usize),
}

/// `user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// User.
    pub user: String,
    /// Group; absent means the user's name.
    pub group: Option<String>,
}

/// `worker_cpu_affinity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affinity {
    /// One processor per event loop, out of the mask's where one is given.
    Auto(Option<Vec<bool>>),
    /// A mask per event loop, lowest processor first; the last one holds for all that follow.
    Masks(Vec<Vec<bool>>),
}

/// `env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value; absent keeps what the environment has.
    pub value: Option<String>,
}

settings! {
    /// Directives outside all blocks.
    pub struct MainConf {
        /// Goes to the background.
        daemon: bool = true, "daemon" in M, once(FLAG), "on";
        /// Runs workers as processes of their own.
        master_process: bool = true, "master_process" in M, once(FLAG), "on";
        /// User and group that workers run as.
        user: Option<UserSpec> = None, "user" in M, once(USER), "nobody nobody";
        /// File that holds the master's process id.
        pid: PathBuf = PathBuf::from("logs/nginx.pid"), "pid" in M, once(PATH), "logs/nginx.pid";
        /// Logs of errors.
        error_log: Vec<LogTarget> = Vec::new(), "error_log" in M, each(ERROR_LOG), "logs/error.log error";
        /// How many event loops the worker has.
        worker_processes: WorkerCount = WorkerCount::Fixed(1), "worker_processes" in M, once(WORKERS), "1";
        /// Most open files of the worker.
        worker_rlimit_nofile: Option<u64> = None, "worker_rlimit_nofile" in M, once(OPTIONAL_NUMBER);
        /// Largest core file of the worker.
        worker_rlimit_core: Option<u64> = None, "worker_rlimit_core" in M, once(OPTIONAL_SIZE);
        /// How long a worker that was asked to leave may take.
        worker_shutdown_timeout: Option<Duration> = None,
            "worker_shutdown_timeout" in M, once(OPTIONAL_TIME);
        /// Processors that event loops run on.
        worker_cpu_affinity: Option<Affinity> = None, "worker_cpu_affinity" in M, once(AFFINITY);
        /// Scheduling priority of the worker.
        worker_priority: i32 = 0, "worker_priority" in M, once(PRIORITY), "0";
        /// Directory the worker runs in.
        working_directory: Option<PathBuf> = None, "working_directory" in M, once(OPTIONAL_PATH);
        /// Environment variables that are kept or set.
        env: Vec<EnvVar> = Vec::new(), "env" in M, each(ENV), "TZ";
    }
}

const USER: Reader<Option<UserSpec>> = Reader::between(1, 2, "user [group]", |directive, scope| {
    let group = (directive.args.len() == 2).then(|| directive.text(1).into_owned());
    let spec = UserSpec { user: directive.text(0).into_owned(), group };
    match scope.lookup.check_user(&spec) {
        Ok(()) => {}
        Err(InvalidUser::NotRoot) => {
            let message = "the \"user\" directive makes sense only if the master process runs with super-user \
                           privileges, ignored";
            scope.report(Problem::warning(directive.name.span, message));
        }
        Err(InvalidUser::NoUser) => {
            return Err(directive.fail(0, format!("getpwnam(\"{}\") failed", spec.user)));
        }
        // As nginx: without a group the one of the user's name is meant.
        Err(InvalidUser::NoGroup) => {
            let group = spec.group.as_ref().unwrap_or(&spec.user);
            return Err(directive.fail(directive.args.len() - 1, format!("getgrnam(\"{group}\") failed")));
        }
    }
    Ok(Some(spec))
});

const WORKERS: Reader<WorkerCount> = Reader::one("number | auto", |directive, _| {
    if directive.bytes(0) == b"auto" {
        return Ok(WorkerCount::Auto);
    }
    match parse_number(directive.bytes(0)).and_then(|count| usize::try_from(count).ok()) {
        Some(count) if count > 0 => Ok(WorkerCount::Fixed(count)),
        _ => Err(directive.complain("invalid value").with_help("accepted: a number from 1, or \"auto\"")),
    }
});

const PRIORITY: Reader<i32> = Reader::one("number", |directive, _| {
    let parsed = directive.text(0).parse::<i32>().ok().filter(|priority| (-20..=20).contains(priority));
    parsed.ok_or_else(|| directive.fail(0, "\"worker_priority\" directive invalid number"))
});

const ENV: Reader<EnvVar> = Reader::one("variable[=value]", |directive, _| {
    let text = directive.text(0);
    let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
    Ok(EnvVar { name: name.to_owned(), value: value.map(str::to_owned) })
});

const AFFINITY: Reader<Option<Affinity>> = Reader::many("cpumask ... | auto [cpumask]", affinity);

fn affinity(directive: &Directive, _: &Scope<'_>) -> Result<Option<Affinity>, Problem> {
    let masks = |from: usize| -> Result<Vec<Vec<bool>>, Problem> {
        (from..directive.args.len()).map(|number| cpu_mask(directive, number)).collect()
    };
    if directive.bytes(0) != b"auto" {
        return Ok(Some(Affinity::Masks(masks(0)?)));
    }
    if directive.args.len() > 2 {
        return Err(directive.fail(2, "invalid number of arguments in \"worker_cpu_affinity\" directive"));
    }
    Ok(Some(Affinity::Auto(masks(1)?.pop())))
}

/// Reads a mask: the last digit is the first processor.
fn cpu_mask(directive: &Directive, number: usize) -> Result<Vec<bool>, Problem> {
    let mut mask = Vec::new();
    for byte in directive.bytes(number).iter().rev() {
        match byte {
            b'0' => mask.push(false),
            b'1' => mask.push(true),
            b' ' => {}
            _ => {
                let message =
                    format!("invalid character \"{}\" in \"worker_cpu_affinity\"", char::from(*byte));
                return Err(directive.fail(number, message).with_help("a mask has the digits 0 and 1 only"));
            }
        }
    }
    Ok(mask)
}
