//! Logs: `error_log`, `access_log`, `log_format`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    parse::Directive,
    scope::Scope,
    settings::{HSL, Join, LIF, Reader, settings},
    source::Problem,
    suggest::did_you_mean,
    template::{InvalidTemplate, Template},
    values::{FLAG, Precision, accepted, parse_size, parse_time},
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

impl LogLevel {
    const WORDS: [(&'static str, Self); 8] = [
        ("emerg", Self::Emerg),
        ("alert", Self::Alert),
        ("crit", Self::Crit),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("notice", Self::Notice),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
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

/// All `access_log` of a level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessLogs {
    /// The logs; none is `off`.
    pub logs: Vec<AccessLog>,
    off: bool,
}

impl std::ops::Deref for AccessLogs {
    type Target = [AccessLog];

    fn deref(&self) -> &[AccessLog] {
        &self.logs
    }
}

impl Join for AccessLogs {
    /// As nginx: `off` beats the others of its level.
    fn join(&mut self, more: Self) {
        self.off |= more.off;
        self.logs.extend(more.logs);
        if self.off {
            self.logs.clear();
        }
    }
}

settings! {
    /// What is logged, at one level.
    pub struct LogConf {
        /// Logs of requests; empty is `off`.
        access_log: AccessLogs = AccessLogs::default(),
            "access_log" in HSL.and(LIF), joined(ACCESS_LOG), "logs/access.log combined";
        /// Logs of errors; empty means those of the main level.
        error_log: Vec<LogTarget> = Vec::new(), "error_log" in HSL, each(ERROR_LOG), "logs/error.log error";
        /// Logs requests made to put pages together, too.
        log_subrequest: bool = false, "log_subrequest" in HSL, once(FLAG), "off";
    }
}

impl LogConf {
    /// Puts in the log that nginx has where `http` writes none.
    pub fn settle(&mut self, scope: &Scope<'_>) {
        let path = scope.source.prefix.join("logs/access.log");
        let path = Template::text(path.to_string_lossy().into_owned());
        let format = Arc::clone(&scope.formats[COMBINED]);
        let log = AccessLog { path, format, buffer: None, flush: None, condition: None };
        self.access_log.default_to(AccessLogs { logs: vec![log], off: false });
    }
}

/// Name of the format that is there without `log_format`.
pub const COMBINED: &str = "combined";

const COMBINED_LINE: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                             \"$http_referer\" \"$http_user_agent\"";

/// Makes the format that is there without `log_format`.
pub fn combined() -> LogFormat {
    let template = Template::compile(COMBINED_LINE.as_bytes(), crate::variable::Variable::named)
        .expect("all its variables are known");
    LogFormat { name: COMBINED.to_owned(), escape: LogEscape::Default, template }
}

/// Reads `log_format NAME [escape=…] TEXT ...`.
pub fn log_format(directive: &Directive, scope: &Scope<'_>) -> Result<LogFormat, Problem> {
    let name = directive.text(0).into_owned();
    if name == COMBINED || scope.formats.contains_key(&name) {
        return Err(directive.fail(0, format!("duplicate \"log_format\" name \"{name}\"")));
    }
    let escape = directive.text(1);
    let escape = escape.strip_prefix("escape=");
    let modes = [("default", LogEscape::Default), ("json", LogEscape::Json), ("none", LogEscape::None)];
    let mode = match escape {
        None => LogEscape::Default,
        Some(word) => {
            modes.iter().find(|(known, _)| *known == word).map(|(_, mode)| *mode).ok_or_else(|| {
                directive
                    .fail(1, format!("unknown log format escaping \"{word}\""))
                    .with_help(accepted(word, modes.iter().map(|(known, _)| *known)))
            })?
        }
    };
    let mut parts = Vec::new();
    for number in 1 + usize::from(escape.is_some())..directive.args.len() {
        parts.extend_from_slice(format_text(directive, number, scope)?.parts());
    }
    Ok(LogFormat { name, escape: mode, template: Template::from_parts(parts) })
}

fn format_text(directive: &Directive, number: usize, scope: &Scope<'_>) -> Result<Template, Problem> {
    scope.compile_template(directive.bytes(number)).map_err(|error| match error {
        // As nginx, which has other words for it here than elsewhere.
        InvalidTemplate::NoName(rest) => directive.fail(number, format!("invalid parameter \"{rest}\"")),
        error => scope.invalid_template(directive, number, &error),
    })
}

/// Reads `error_log`.
pub const ERROR_LOG: Reader<LogTarget> =
    Reader::between(1, 2, "file | stderr [level]", |directive, scope| {
        let sink = match directive.bytes(0) {
            b"stderr" => LogSink::Stderr,
            b"" => return Err(directive.fail(0, "\"error_log\" directive invalid value")),
            text if text.starts_with(b"syslog:") || text.starts_with(b"memory:") => {
                let message = format!("\"error_log\" to \"{}\" is not supported yet", directive.text(0));
                return Err(directive.fail(0, message));
            }
            _ => LogSink::File(scope.path(directive, 0)),
        };
        let Some(word) = directive.args.get(1).map(|_| directive.text(1)) else {
            return Ok(LogTarget { sink, level: LogLevel::Error });
        };
        match LogLevel::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, level)) => Ok(LogTarget { sink, level: *level }),
            None => Err(directive
                .fail(1, format!("invalid log level \"{word}\""))
                .with_help(accepted(&word, LogLevel::WORDS.iter().map(|(known, _)| *known)))),
        }
    });

const ACCESS_LOG: Reader<AccessLogs> =
    Reader::many("path [format [buffer=size] [flush=time] [if=condition]] | off", access_log);

fn access_log(directive: &Directive, scope: &Scope<'_>) -> Result<AccessLogs, Problem> {
    if directive.bytes(0) == b"off" {
        if directive.args.len() > 1 {
            return Err(directive.fail(1, format!("invalid parameter \"{}\"", directive.text(1))));
        }
        return Ok(AccessLogs { logs: Vec::new(), off: true });
    }
    if directive.bytes(0).starts_with(b"syslog:") {
        return Err(directive.fail(0, "\"access_log\" to \"syslog:\" is not supported yet"));
    }
    let has_format = directive.args.get(1).is_some_and(|word| !word.text.contains(&b'='));
    let name = if has_format { directive.text(1).into_owned() } else { COMBINED.to_owned() };
    let format = scope.formats.get(&name).cloned().ok_or_else(|| {
        directive
            .fail(1, format!("unknown log format \"{name}\""))
            .with_help_if(did_you_mean(&name, scope.formats.keys().map(String::as_str)))
    })?;
    let path = scope.path_template(directive, 0)?;
    let mut log = AccessLog { path, format, buffer: None, flush: None, condition: None };
    for number in 1 + usize::from(has_format)..directive.args.len() {
        access_log_parameter(&mut log, directive, number, scope)?;
    }
    if log.flush.is_some() && log.buffer.is_none() {
        return Err(directive
            .fail(0, format!("no buffer is defined for access_log \"{}\"", directive.text(0)))
            .with_help("add buffer=size"));
    }
    Ok(AccessLogs { logs: vec![log], off: false })
}

fn access_log_parameter(
    log: &mut AccessLog,
    directive: &Directive,
    number: usize,
    scope: &Scope<'_>,
) -> Result<(), Problem> {
    let text = directive.text(number);
    match text.split_once('=') {
        Some(("buffer", size)) => {
            let size = parse_size(size.as_bytes()).filter(|size| *size > 0);
            let wrong =
                || directive.fail(number, format!("invalid buffer size \"{}\"", &text["buffer=".len()..]));
            log.buffer = Some(size.ok_or_else(wrong)?);
        }
        Some(("flush", time)) => {
            let time = parse_time(time.as_bytes(), Precision::Milliseconds).filter(|time| !time.is_zero());
            let wrong =
                || directive.fail(number, format!("invalid flush time \"{}\"", &text["flush=".len()..]));
            log.flush = Some(time.ok_or_else(wrong)?);
        }
        Some(("if", condition)) => {
            log.condition = Some(scope.compile(directive, number, condition.as_bytes())?);
        }
        Some(("gzip", _)) => {
            return Err(directive.fail(number, "\"gzip\" of access_log is not supported yet"));
        }
        _ if text == "gzip" => {
            return Err(directive.fail(number, "\"gzip\" of access_log is not supported yet"));
        }
        _ => {
            let help = accepted(&text, ["buffer=size", "flush=time", "if=condition"].into_iter());
            return Err(directive.fail(number, format!("invalid parameter \"{text}\"")).with_help(help));
        }
    }
    Ok(())
}
