//! What is said: lines of text or of JSON, and how far a long walk has come.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::clock::{self, Moment};

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line (`--json`).
    Json,
}

/// Writes a line to standard output.
///
/// # Errors
/// Nobody reads it any more.
pub fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")
}

/// Writes a result in one of its two forms.
///
/// # Errors
/// Nobody reads it any more.
pub fn tell(output: Output, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> io::Result<()> {
    match output {
        Output::Text => say(&text()),
        Output::Json => say(&json().to_string()),
    }
}

/// Returns a text that came from elsewhere for a terminal: nothing in it is obeyed.
pub fn shown(text: &[u8]) -> String {
    match str::from_utf8(text) {
        Ok(plain) if !plain.chars().any(char::is_control) => plain.to_owned(),
        _ => text.escape_ascii().to_string(),
    }
}

/// Adds a text that came from elsewhere to a JSON object. What is no UTF-8 is shown as far as it can be, and stands whole, in
/// hexadecimal digits, under the name with `_hex` behind it.
pub fn put(object: &mut Value, name: &str, text: &[u8]) {
    object[name] = String::from_utf8_lossy(text).into();
    if str::from_utf8(text).is_err() {
        object[format!("{name}_hex")] = hex(text).into();
    }
}

/// The same for a list of texts: where one of them is no UTF-8, all stand in the other list too.
pub fn put_all<'a>(object: &mut Value, name: &str, texts: impl Iterator<Item = &'a [u8]>) {
    let texts: Vec<&[u8]> = texts.collect();
    object[name] = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    if texts.iter().any(|text| str::from_utf8(text).is_err()) {
        object[format!("{name}_hex")] = texts.iter().map(|text| hex(text)).collect();
    }
}

fn hex(text: &[u8]) -> String {
    text.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a number of bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut rest = count;
    let mut tenths = 0;
    while rest >= 1024 && unit + 1 < UNITS.len() {
        tenths = rest % 1024 * 10 / 1024;
        rest /= 1024;
        unit += 1;
    }
    if unit == 0 { format!("{rest} B") } else { format!("{rest}.{tenths} {}", UNITS[unit]) }
}

/// Returns a time for people, to the two largest units.
pub fn span(time: Duration) -> String {
    let whole = Duration::from_secs(time.as_secs());
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Returns seconds since the epoch; negative before it.
pub fn epoch(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs().cast_signed(),
        Err(before) => -before.duration().as_secs().cast_signed(),
    }
}

/// How often a walk says how far it is.
const PACE: Duration = Duration::from_millis(200);

/// A count that is shown on standard error while it grows, where that is a terminal.
pub struct Progress {
    what: &'static str,
    count: u64,
    shown: Option<Moment>,
    is_terminal: bool,
}

impl Progress {
    /// Begins to count.
    pub fn new(what: &'static str) -> Self {
        Self { what, count: 0, shown: None, is_terminal: io::stderr().is_terminal() }
    }

    /// Counts one more.
    pub fn step(&mut self) {
        self.count += 1;
        if !self.is_terminal {
            return;
        }
        if self.shown.is_none_or(|shown| shown.elapsed() >= PACE) {
            self.shown = Some(clock::moment());
            // Only for the eye.
            let _ = write!(io::stderr(), "\r{} {}…", self.count, self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terminals_obey_nothing() {
        let cases: [(&[u8], &str); 3] =
            [(b"/a \xc3\xbc", "/a \u{fc}"), (b"a\x1b[31m\nb", "a\\x1b[31m\\nb"), (b"\xff", "\\xff")];
        for (text, wanted) in cases {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn json_loses_nothing() {
        let mut object = json!({});
        put(&mut object, "key", "/\u{fc}".as_bytes());
        put(&mut object, "etag", b"\"\xff\"");
        put_all(&mut object, "tags", [&b"a"[..], b"\xe4"].into_iter());
        put_all(&mut object, "others", [&b"a"[..]].into_iter());
        let wanted = json!({
            "key": "/\u{fc}", "etag": "\"\u{fffd}\"", "etag_hex": "22ff22",
            "tags": ["a", "\u{fffd}"], "tags_hex": ["61", "e4"], "others": ["a"],
        });
        assert_eq!(object, wanted);
    }

    #[test]
    fn sizes_are_for_people() {
        for (count, wanted) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (10 << 30, "10.0 GiB")]
        {
            assert_eq!(bytes(count), wanted);
        }
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(span(Duration::from_millis(3_661_500)), "1h 1m");
        assert_eq!(span(Duration::ZERO), "0s");
    }
}
