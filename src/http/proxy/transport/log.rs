//! What a failed try is called, and the log lines of failures that are not the end of a request.
//!
//! The words are nginx's, so that operators can search for them.

use std::{borrow::Cow, fmt, io};

use crate::{
    error_log::{self, Level},
    http::{
        Fault,
        fault::{Kind, Retry, Side},
        proxy::request::Outgoing,
    },
    upstream::Pick,
};

/// Makes the fault of a system call that failed, `call` being its name.
pub(super) fn broken(during: &'static str, call: &str, error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::TimedOut {
        return fault(Kind::Timeout, during, "upstream timed out (110: Connection timed out)");
    }
    fault(Kind::Connection, during, format!("{call}() failed ({})", numbered(error)))
}

/// Makes the fault of a peer that closed the connection too early.
pub(super) fn premature_close(during: &'static str) -> Fault {
    fault(Kind::Connection, during, "upstream prematurely closed connection")
}

/// Makes the fault of an upstream.
pub(super) fn fault(kind: Kind, during: &'static str, detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault { side: Side::Upstream, kind, during, retry: Retry::NextPeer, detail: detail.into() }
}

/// Makes the fault of a head that is none; `words` may end in what was being done.
pub(super) fn invalid(during: &'static str, words: &str) -> Fault {
    let detail = words.strip_suffix(during).and_then(|start| start.strip_suffix(" while ")).unwrap_or(words);
    fault(Kind::InvalidHeader, during, detail.to_owned())
}

/// Writes an error as nginx does: its number, then the system's words.
fn numbered(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            let words = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            format!("{number}: {words}")
        }
        None => text,
    }
}

/// Logs a failure after which another try is made.
pub(super) fn failed_try(outgoing: &Outgoing, pick: &Pick, fault: &Fault) {
    note(outgoing, Level::Error, format_args!("{} while {}", fault.detail, fault.during), Some(pick));
}

/// Logs something about a request and what came of it.
pub(super) fn note(outgoing: &Outgoing, level: Level, message: fmt::Arguments<'_>, pick: Option<&Pick>) {
    let asker = &outgoing.asker;
    let client = asker.client.map_or_else(|| "unix:".to_owned(), |client| client.to_string());
    let server = &asker.server.first_name;
    let request = String::from_utf8_lossy(&asker.request_line);
    let target = String::from_utf8_lossy(outgoing.target());
    let peer = pick.map_or("", |pick| pick.name());
    error_log::write_for(
        None,
        level,
        Some(asker.connection),
        format_args!(
            "{message}, client: {client}, server: {server}, request: \"{request}\", upstream: \"http://{peer}{target}\""
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_nginxs() {
        let refused = io::Error::from_raw_os_error(111);
        let fault = broken("connecting to upstream", "connect", &refused);
        assert_eq!((fault.kind, &*fault.detail), (Kind::Connection, "connect() failed (111: Connection refused)"));
        let late = broken("reading response header from upstream", "recv", &io::ErrorKind::TimedOut.into());
        assert_eq!((late.kind, &*late.detail), (Kind::Timeout, "upstream timed out (110: Connection timed out)"));
    }
}
