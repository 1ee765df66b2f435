//! Logs: `error_log`, `access_log`, `log_format`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    settings::{HSL, Reader, settings},
    template::Template,
    values::pending,
};

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogSink {
    /// Standard error.
    Stderr,
    /// A file.
    File(PathBuf),
}

/// How bad a line must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Cannot start.
    Emerg,
    /// Our bug.
    Alert,
    /// The system.
    Crit,
    /// A request.
    Error,
    /// Odd.
    Warn,
    /// Good to know.
    Notice,
    /// More.
    Info,
    /// All.
    Debug,
}

/// `error_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// Where it goes.
    pub sink: LogSink,
    /// From which level on.
    pub level: LogLevel,
}

/// `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// Name.
    pub name: String,
    /// How values are written.
    pub escape: LogEscape,
    /// The line.
    pub template: Template,
}

/// `escape=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEscape {
    /// `\xXX` for what is not printable, `-` for what is not there.
    Default,
    /// As a JSON string.
    Json,
    /// As it is.
    None,
}

/// `access_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// File, in which variables may be.
    pub path: Template,
    /// Line.
    pub format: Arc<LogFormat>,
    /// Bytes to gather before writing.
    pub buffer: Option<u64>,
    /// Longest time to gather.
    pub flush: Option<Duration>,
    /// Nothing is written where it is empty or `0`.
    pub condition: Option<Template>,
}

/// Reads `error_log`.
pub const ERROR_LOG: Reader<LogTarget> = pending("file | stderr [level]");

settings! {
    /// What is logged, at one level.
    pub struct LogConf {
        /// Logs of requests; empty is `off`.
        access_log: Vec<AccessLog> = Vec::new(), "access_log" in HSL, each(pending::<AccessLog>("path")), "logs/access.log combined";
        /// Logs of errors; empty means those of the main level.
        error_log: Vec<LogTarget> = Vec::new(), "error_log" in HSL, each(ERROR_LOG);
    }
}
