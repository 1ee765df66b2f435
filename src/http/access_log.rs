//! `access_log`: a line per request, formatted on the event loop and written off it.
//!
//! A line is appended to its file's memory; one thread of the process writes all files. A log without `buffer=`
//! is written within some milliseconds, many lines at a time where many come. No line is dropped: where the
//! disk is slower than the requests, they wait once a few MiB have gathered. What cannot be
//! written at all (disk full) is lost with an `[alert]` in the error log, as nginx loses it.

use std::{cell::RefCell, ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, sync::Arc};

use config::{AccessLog, LogConf, LogEscape, LogFormat, Part, Template, Variable, VariableSource};

use super::Exchange;
use crate::error_log::system_words;

mod escape;
mod file;
mod writer;

use file::{Gather, LogFile};
use writer::Writer;

/// All access logs of a worker.
#[derive(Default)]
pub struct AccessLogs {
    writer: Arc<Writer>,
}

/// The access logs of one location.
#[derive(Default)]
pub struct LocationLogs {
    logs: Vec<Log>,
    wants_fields: bool,
}

struct Log {
    target: Target,
    writer: Arc<Writer>,
    format: Arc<LogFormat>,
    condition: Option<Template>,
}

enum Target {
    /// A file that stays open.
    Open(Arc<LogFile>),
    /// A file whose name is made for each line.
    Named(Template),
}

impl AccessLogs {
    /// Opens the logs of a location; a file named twice is opened once.
    ///
    /// # Errors
    /// A file cannot be opened for appending.
    pub fn open(&mut self, conf: &LogConf) -> anyhow::Result<LocationLogs> {
        let mut location = LocationLogs::default();
        for log in conf.access_log.iter() {
            location.wants_fields |= wants_fields(log);
            location.logs.push(Log {
                target: self.target(log)?,
                writer: Arc::clone(&self.writer),
                format: Arc::clone(&log.format),
                condition: log.condition.clone(),
            });
        }
        Ok(location)
    }

    fn target(&self, log: &AccessLog) -> anyhow::Result<Target> {
        let Some(text) = log.path.as_text() else { return Ok(Target::Named(log.path.clone())) };
        let path = path_of(text.to_vec());
        let gather = match log.buffer {
            Some(bytes) => {
                Gather::Until { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), age: log.flush }
            }
            None => Gather::Shortly,
        };
        let opened = self.writer.open(&path, gather);
        Ok(Target::Open(opened.map_err(|error| {
            anyhow::anyhow!("open() \"{}\" failed ({})", path.display(), system_words(&error))
        })?))
    }

    /// Opens all files anew after writing what has gathered, so that they can be renamed before (USR1).
    pub fn reopen(&self) {
        self.writer.reopen();
    }

    /// Writes what has gathered.
    pub fn flush(&self) {
        self.writer.write_all();
    }
}

impl Drop for AccessLogs {
    fn drop(&mut self) {
        self.flush();
        self.writer.stop();
    }
}

impl LocationLogs {
    /// Says whether a log asks for fields of answers, which are kept for it then.
    pub fn want_fields(&self) -> bool {
        self.wants_fields
    }
}

fn path_of(text: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(text))
}

fn wants_fields(log: &AccessLog) -> bool {
    let templates = [Some(&log.path), Some(&log.format.template), log.condition.as_ref()];
    let mut parts = templates.into_iter().flatten().flat_map(Template::parts);
    parts.any(|part| matches!(part, Part::Variable(Variable::SentHttp(_))))
}

/// Writes the lines of a finished request.
pub fn record(exchange: &Exchange) {
    thread_local! {
        static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    for log in &exchange.location_state().logs.logs {
        if log.condition.as_ref().is_some_and(|condition| is_false(&condition.expand(exchange))) {
            continue;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            write_line(line, &log.format, exchange);
            match &log.target {
                Target::Open(file) => log.writer.append(file, line),
                Target::Named(template) => log.writer.append_to(path_of(template.expand(exchange)), line),
            }
        });
    }
}

/// As nginx: the empty text and `0` are false.
fn is_false(text: &[u8]) -> bool {
    matches!(text, b"" | b"0")
}

fn write_line(line: &mut Vec<u8>, format: &LogFormat, source: &impl VariableSource) {
    for part in format.template.parts() {
        let start = line.len();
        let found = match part {
            Part::Text(text) => {
                line.extend_from_slice(text);
                continue;
            }
            Part::Variable(variable) => source.write(variable, line),
            Part::Capture(number) => source.write_capture(*number, line),
        };
        match format.escape {
            LogEscape::Default if !found => {
                line.truncate(start);
                line.push(b'-');
            }
            LogEscape::Default => escape::default(line, start),
            LogEscape::Json => escape::json(line, start),
            LogEscape::None => {}
        }
    }
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Values;

    impl VariableSource for Values {
        fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
            match variable {
                Variable::Uri => out.extend_from_slice(b"/a\"\x01"),
                Variable::Https => {}
                _ => return false,
            }
            true
        }

        fn write_capture(&self, number: usize, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(if number == 1 { b"one" } else { b"" });
            number == 1
        }
    }

    fn line(escape: LogEscape, parts: Vec<Part>) -> String {
        let format = LogFormat { name: "x".to_owned(), escape, template: Template::from_parts(parts) };
        let mut line = Vec::new();
        write_line(&mut line, &format, &Values);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn values_are_escaped_and_text_is_not() {
        let parts = || {
            vec![
                Part::Text(b"\"".to_vec()),
                Part::Variable(Variable::Uri),
                Part::Text(b" ".to_vec()),
                Part::Variable(Variable::Https),
                Part::Text(b" ".to_vec()),
                Part::Variable(Variable::Host),
                Part::Capture(1),
                Part::Capture(2),
            ]
        };
        assert_eq!(line(LogEscape::Default, parts()), "\"/a\\x22\\x01  -one-\n");
        assert_eq!(line(LogEscape::Json, parts()), "\"/a\\\"\\u0001  one\n");
        assert_eq!(line(LogEscape::None, parts()), "\"/a\"\u{1}  one\n");
    }

    fn access_log(path: Template, format: Template) -> AccessLog {
        let format =
            Arc::new(LogFormat { name: "x".to_owned(), escape: LogEscape::Default, template: format });
        AccessLog { path, format, buffer: None, flush: None, condition: None }
    }

    #[test]
    fn fields_of_answers_are_kept_where_a_log_asks() {
        let sent = || Template::from_parts(vec![Part::Variable(Variable::SentHttp(Arc::from("etag")))]);
        assert!(!wants_fields(&access_log(Template::text("/x"), Template::text("y"))));
        assert!(wants_fields(&access_log(Template::text("/x"), sent())));
        assert!(wants_fields(&access_log(sent(), Template::text("y"))));
        let mut log = access_log(Template::text("/x"), Template::text("y"));
        log.condition = Some(sent());
        assert!(wants_fields(&log));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let mut logs = config::AccessLogs::default();
        logs.logs.push(access_log(Template::text("/nowhere/at/all"), Template::text("y")));
        let conf = LogConf { access_log: config::Setting::written(logs), ..LogConf::default() };
        let error = AccessLogs::default().open(&conf).err().unwrap();
        assert_eq!(format!("{error:#}"), "open() \"/nowhere/at/all\" failed (2: No such file or directory)");
    }
}
