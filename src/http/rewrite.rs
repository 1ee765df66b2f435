//! The rewrite phase: the steps of a server or location, carried out in order.
//!
//! They were made when the configuration was read. What follows from a changed path is the caller's to do.

use std::{
    ops::ControlFlow,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    path::PathBuf,
    sync::Arc,
};

use config::{
    AfterRewrite, Condition, FileTest, LocationConf, Part, Regex, Replacement, Rewrite, RewriteStep,
    SetTarget, Template, Test, Variable, VariableSource, parse_size,
};
use http1::EscapeKind;

use super::{
    Exchange, Fault,
    exchange::UriState,
    fault::{self, Kind, Side},
    files,
    phases::Ending,
};
use crate::error_log::Level;

mod redirect;

/// What became of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The request stays in its location.
    Same,
    /// A location is to be looked for again.
    Changed,
}

/// How a group of an expression is put into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Groups {
    /// As it was caught.
    Plain,
    /// Escaped, if the request's path was: it goes where that matters.
    Escaped,
}

/// Carries out the steps of a location, or those of a server outside of its locations.
pub async fn run(exchange: &mut Exchange, conf: &Arc<LocationConf>) -> ControlFlow<Ending, Path> {
    let mut path = Path::Same;
    // As nginx: until a `rewrite` has matched, groups are escaped wherever they are put.
    let mut groups = Groups::Escaped;
    let mut next = 0;
    while let Some(step) = conf.steps.get(next) {
        next += 1;
        match step {
            RewriteStep::Return(rule) => return ControlFlow::Break(fault::returned(exchange, rule)),
            RewriteStep::Break => {
                stay(exchange, path);
                return ControlFlow::Continue(Path::Same);
            }
            RewriteStep::Set(target, value) => {
                let value = expand(exchange, value, groups);
                set(exchange, target, value);
            }
            RewriteStep::If(rule) => {
                match (holds(exchange, conf, &rule.condition, groups).await?, &rule.location) {
                    (false, _) => next += rule.steps,
                    (true, Some(location)) => exchange.location = Arc::clone(location),
                    (true, None) => {}
                }
            }
            RewriteStep::Rewrite(rule) if caught(exchange, conf, &rule.regex, Subject::Path)? => {
                match replace(exchange, conf, rule)? {
                    AfterRewrite::Continue => path = Path::Changed,
                    AfterRewrite::Last => return ControlFlow::Continue(Path::Changed),
                    AfterRewrite::Break => {
                        stay(exchange, Path::Changed);
                        return ControlFlow::Continue(Path::Same);
                    }
                }
                groups = Groups::Plain;
            }
            RewriteStep::Rewrite(_) => {}
        }
    }
    ControlFlow::Continue(path)
}

/// Has a request stay where it is, though its path may have changed.
fn stay(exchange: &mut Exchange, path: Path) {
    if path == Path::Changed {
        exchange.uri_state = UriState::ChangedInPlace;
    }
}

fn set(exchange: &mut Exchange, target: &SetTarget, value: Vec<u8>) {
    match target {
        SetTarget::Slot(slot) => exchange.slots.set(slot, value),
        SetTarget::Args => {
            exchange.args = value;
            exchange.changed();
        }
        SetTarget::LimitRate => match parse_size(&value) {
            Some(rate) => exchange.limit_rate = Some(rate),
            None => {
                let value = String::from_utf8_lossy(&value);
                fault::report(exchange, Level::Error, format_args!("invalid $limit_rate \"{value}\""));
            }
        },
    }
}

/// What an expression is asked about.
enum Subject<'a> {
    Path,
    Text(&'a [u8]),
}

/// Matches, and keeps what the groups caught; as nginx, nothing is kept of earlier matches otherwise.
fn caught(
    exchange: &mut Exchange,
    conf: &LocationConf,
    regex: &Regex,
    subject: Subject<'_>,
) -> ControlFlow<Ending, bool> {
    let subject = match &subject {
        Subject::Path => &exchange.uri,
        Subject::Text(text) => *text,
    };
    let captures = match regex.captures(subject) {
        Ok(captures) => captures,
        Err(gave_up) => return ControlFlow::Break(Ending::Fail(Fault::gave_up(&gave_up, ""))),
    };
    if *conf.rewrite.log {
        let verb = if captures.is_some() { "matches" } else { "does not match" };
        let subject = String::from_utf8_lossy(subject);
        notice(exchange, format_args!("\"{}\" {verb} \"{subject}\"", regex.as_str()));
    }
    let matches = captures.is_some();
    exchange.caught(captures.unwrap_or_default());
    ControlFlow::Continue(matches)
}

fn notice(exchange: &Exchange, what: std::fmt::Arguments<'_>) {
    fault::report(exchange, Level::Notice, what);
}

async fn holds(
    exchange: &mut Exchange,
    conf: &LocationConf,
    condition: &Condition,
    groups: Groups,
) -> ControlFlow<Ending, bool> {
    let holds = match &condition.test {
        Test::IsTrue(variable) => !matches!(&value(exchange, variable)[..], b"" | b"0"),
        Test::Equals(variable, wanted) => value(exchange, variable) == expand(exchange, wanted, groups),
        Test::Matches(variable, regex) => {
            let subject = value(exchange, variable);
            caught(exchange, conf, regex, Subject::Text(&subject))?
        }
        Test::File(test, path) => {
            let path = expand(exchange, path, groups);
            is_there(exchange, *test, path).await
        }
    };
    ControlFlow::Continue(holds != condition.negated)
}

fn value(exchange: &Exchange, variable: &Variable) -> Vec<u8> {
    let mut value = Vec::new();
    exchange.write(variable, &mut value);
    value
}

async fn is_there(exchange: &Exchange, test: FileTest, path: Vec<u8>) -> bool {
    let (path, found) = files::look(PathBuf::from(std::ffi::OsString::from_vec(path))).await;
    let metadata = match found {
        Ok(metadata) => metadata,
        Err(error) => {
            files::report_look(exchange, &path, &error);
            return false;
        }
    };
    match test {
        FileTest::File => metadata.is_file(),
        FileTest::Directory => metadata.is_dir(),
        FileTest::Exists => true,
        FileTest::Executable => metadata.permissions().mode() & 0o100 != 0,
    }
}

/// Puts the replacement of a `rewrite` that matched in force.
fn replace(
    exchange: &mut Exchange,
    conf: &LocationConf,
    rule: &Rewrite,
) -> ControlFlow<Ending, AfterRewrite> {
    let added = if rule.adds_args { exchange.args.clone() } else { Vec::new() };
    let (path, args, then) = match &rule.replacement {
        Replacement::Redirect { status, url, has_args } => {
            let url = redirect::unescape(&expand(exchange, url, Groups::Escaped));
            let url = with_args(url, added, if *has_args { b'&' } else { b'?' });
            if *conf.rewrite.log {
                notice(exchange, format_args!("rewritten redirect: \"{}\"", String::from_utf8_lossy(&url)));
            }
            return ControlFlow::Break(fault::send_to(exchange, *status, url));
        }
        Replacement::Path { path, args, then } => (path, args, *then),
    };
    let args = match args {
        Some(args) => with_args(expand(exchange, args, Groups::Escaped), added, b'&'),
        None => added,
    };
    let path = expand(exchange, path, Groups::Plain);
    if *conf.rewrite.log {
        let (path, args) = (String::from_utf8_lossy(&path), String::from_utf8_lossy(&args));
        notice(exchange, format_args!("rewritten data: \"{path}\", args: \"{args}\""));
    }
    if path.is_empty() {
        return ControlFlow::Break(Ending::Fail(zero_length_uri()));
    }
    exchange.rewrite(path, args);
    ControlFlow::Continue(then)
}

fn zero_length_uri() -> Fault {
    Fault::new(Side::Server, Kind::Status(500), "the rewritten URI has a zero length")
}

fn with_args(mut text: Vec<u8>, args: Vec<u8>, mark: u8) -> Vec<u8> {
    if !args.is_empty() {
        text.push(mark);
        text.extend_from_slice(&args);
    }
    text
}

/// Puts values in, those of groups as `groups` says.
fn expand(exchange: &Exchange, template: &Template, groups: Groups) -> Vec<u8> {
    if groups == Groups::Plain || !redirect::is_escaped(exchange.head.path_and_query()) {
        return template.expand(exchange);
    }
    let mut out = Vec::new();
    for part in template.parts() {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Variable(variable) => {
                exchange.write(variable, &mut out);
            }
            Part::Capture(number) => {
                let captures = exchange.captures.borrow();
                let group = captures.group(*number).unwrap_or_default();
                out.extend_from_slice(&http1::escape_uri(group, EscapeKind::Args));
            }
        }
    }
    out
}
