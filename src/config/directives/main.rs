//! Directives outside all blocks.

use std::{path::PathBuf, time::Duration};

use super::log::{ERROR_LOG, LogTarget};
use crate::{
    settings::{M, settings},
    values::{FLAG, pending},
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
        user: Option<UserSpec> = None, "user" in M, once(pending::<Option<UserSpec>>("user [group]")), "nobody nobody";
        /// File that holds the master's process id.
        pid: Option<PathBuf> = None, "pid" in M, once(pending::<Option<PathBuf>>("file")), "logs/nginx.pid";
        /// Logs of errors.
        error_log: Vec<LogTarget> = Vec::new(), "error_log" in M, each(ERROR_LOG), "logs/error.log error";
        /// How many event loops the worker has.
        worker_processes: WorkerCount = WorkerCount::Fixed(1), "worker_processes" in M, once(pending::<WorkerCount>("number | auto")), "1";
        /// Most open files of the worker.
        worker_rlimit_nofile: Option<u64> = None, "worker_rlimit_nofile" in M, once(pending::<Option<u64>>("number"));
        /// Largest core file of the worker.
        worker_rlimit_core: Option<u64> = None, "worker_rlimit_core" in M, once(pending::<Option<u64>>("size"));
        /// How long a worker that was asked to leave may take.
        worker_shutdown_timeout: Option<Duration> = None, "worker_shutdown_timeout" in M, once(pending::<Option<Duration>>("time"));
        /// Processors that event loops run on.
        worker_cpu_affinity: Option<Affinity> = None, "worker_cpu_affinity" in M, once(pending::<Option<Affinity>>("auto [mask] | mask ..."));
        /// Scheduling priority of the worker.
        worker_priority: i32 = 0, "worker_priority" in M, once(pending::<i32>("number")), "0";
        /// Directory the worker runs in.
        working_directory: Option<PathBuf> = None, "working_directory" in M, once(pending::<Option<PathBuf>>("directory"));
        /// Environment variables that are kept or set.
        env: Vec<EnvVar> = Vec::new(), "env" in M, each(pending::<EnvVar>("variable[=value]")), "TZ";
    }
}
