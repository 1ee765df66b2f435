//! One line, as nginx writes it: `2026/11/21 09:00:00 [error] PID#TID: *CONNECTION message`.

use std::{
    fmt::{self, Write as _},
    process,
};

use jiff::{Timestamp, tz::TimeZone};
use nix::unistd::gettid;

use super::Level;
use crate::clock;

/// Longest line in bytes, its end included. As nginx.
const LINE_MAX_BYTES: usize = 2048;

/// A finished line.
pub struct Line(String);

impl Line {
    /// Makes the line of a message, for the time and thread it is made in.
    pub fn now(level: Level, connection: Option<u64>, message: fmt::Arguments<'_>) -> Self {
        let now = Timestamp::try_from(clock::now()).unwrap_or_default().to_zoned(TimeZone::system());
        let mut line = String::with_capacity(160);
        let at = now.strftime("%Y/%m/%d %H:%M:%S");
        let _ = write!(line, "{at} [{}] {}#{}: ", word(level), process::id(), gettid());
        if let Some(serial) = connection {
            let _ = write!(line, "*{serial} ");
        }
        // A Display that fails leaves the line as far as it came.
        let _ = line.write_fmt(message);
        Self(finish(line))
    }

    /// Returns the bytes, the end of the line included.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Cuts what is too long, and keeps a message from making lines of its own.
fn finish(mut line: String) -> String {
    if line.len() >= LINE_MAX_BYTES {
        line.truncate(line.floor_char_boundary(LINE_MAX_BYTES - 1));
    }
    if line.contains(['\n', '\r']) {
        line = line.replace(['\n', '\r'], " ");
    }
    line.push('\n');
    line
}

/// Returns nginx's word for a level.
pub fn word(level: Level) -> &'static str {
    match level {
        Level::Emerg => "emerg",
        Level::Alert => "alert",
        Level::Crit => "crit",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(connection: Option<u64>, message: &str) -> String {
        String::from_utf8(Line::now(Level::Error, connection, format_args!("{message}")).as_bytes().to_vec())
            .unwrap()
    }

    #[test]
    fn lines_read_as_nginxs() {
        let line = text(Some(7), "no live upstreams");
        let (time, rest) = line.split_at(19);
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000/00/00 00:00:00");
        assert_eq!(rest, format!(" [error] {}#{}: *7 no live upstreams\n", process::id(), gettid()));
        assert!(text(None, "x").ends_with(": x\n"));
    }

    #[test]
    fn a_message_makes_no_second_line() {
        assert!(
            text(None, "one\r\n2026/01/01 00:00:00 [alert] forged")
                .ends_with("one  2026/01/01 00:00:00 [alert] forged\n")
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = text(None, &"ä".repeat(3000));
        assert!((LINE_MAX_BYTES - 1..=LINE_MAX_BYTES).contains(&line.len()), "{}", line.len());
        assert!(line.ends_with("ä\n"));
    }
}
