//! What could be seen of a case, as text that is equal where two programs behave equally.
//!
//! Only what must differ is neutralised: ports, the directory, the program's own name, the time, and
//! the boundary of multipart answers. A body that says it is gzip, and is, is shown decompressed: two programs may well
//! compress the same bytes differently.

use std::{
    io::Read,
    time::{Duration, SystemTime},
};

use flate2::read::MultiGzDecoder;

use crate::support::{
    Origin, Response, Server,
    client::{End, NoAnswer},
    origin::Asked,
};

/// What stands for what on one side.
pub struct Names(Vec<(String, &'static str)>);

impl Names {
    /// Collects the names of a server and its origins.
    pub fn new(server: &Server, origins: &[Origin; 2]) -> Self {
        let mut names = vec![(server.dir().display().to_string(), "(dir)")];
        let mut name = |port: u16, stands_for| names.push((port.to_string(), stands_for));
        name(origins[0].address().port(), "(origin)");
        name(origins[1].address().port(), "(origin b)");
        for (port, stands_for) in
            [("", "(port)"), ("a", "(port a)"), ("b", "(port b)"), ("closed", "(closed)")]
        {
            if let Some(number) = server.ports().known(port) {
                name(number, stands_for);
            }
        }
        Self(names)
    }

    /// Replaces what differs between two sides by nature.
    pub fn neutral(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, stands_for)| replaced(&text, name, stands_for))
    }

    /// Describes an answer, or its absence.
    pub fn answer(&self, answer: Result<Response, NoAnswer>) -> String {
        match answer {
            Ok(response) => self.response(response),
            Err(NoAnswer::Closed | NoAnswer::Reset) => "(no answer: closed)\n".to_owned(),
            Err(NoAnswer::Overdue) => "(no answer: overdue)\n".to_owned(),
        }
    }

    /// Describes a request that an origin saw.
    pub fn asked(&self, origin: &str, asked: &Asked) -> String {
        let text = self.neutral(&format!("{}{}", asked.head, readable(&asked.body)));
        text.lines().map(|line| format!("{origin}> {line}\n")).collect()
    }

    fn response(&self, mut response: Response) -> String {
        let plain = decompressed(&response);
        let was_compressed = plain.is_some();
        response.body = plain.unwrap_or(response.body);
        hide_program(&mut response);
        hide_boundary(&mut response);
        hide_times(&mut response);
        let mut text: String = response.interim.iter().map(|line| format!("< {line}\n")).collect();
        text += &format!("< {}\n", response.status_line);
        for (name, value) in response.fields.iter().chain(&response.trailers) {
            text += &format!("< {name}: {value}\n");
        }
        if was_compressed {
            text += "< (compressed)\n";
        }
        let body = readable(&response.body);
        text += &body.lines().map(|line| format!("< | {line}\n")).collect::<String>();
        text += match response.end {
            End::Framed => "",
            End::Closed => "< (ends with the connection)\n",
            End::Torn => "< (torn)\n",
            End::Overdue => "< (no end)\n",
        };
        self.neutral(&text)
    }
}

/// Replaces a name where it stands alone: a port's number within a longer one is none.
fn replaced(text: &str, name: &str, stands_for: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(name) {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        let (before, after) = (text[..at].bytes().next_back(), text[at + name.len()..].bytes().next());
        if !digit(before) && !digit(after) {
            out += &text[done..at];
            out += stands_for;
            done = at + name.len();
        }
    }
    out + &text[done..]
}

/// Whether a line is a request line with a version.
pub fn is_request_line(line: &str) -> bool {
    line.ends_with("HTTP/1.1") || line.ends_with("HTTP/1.0")
}

/// Returns what a compressed body holds, as far as it goes; none where it is not compressed.
fn decompressed(response: &Response) -> Option<Vec<u8>> {
    let mut codings = response.fields.iter().filter(|(name, _)| name == "Content-Encoding");
    if !codings.any(|(_, coding)| coding == "gzip") || response.body.is_empty() {
        return None;
    }
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(&response.body[..]).read_to_end(&mut plain);
    (read.is_ok() || !plain.is_empty()).then_some(plain)
}

/// Bytes as text, with long runs shortened.
fn readable(body: &[u8]) -> String {
    const LONG: usize = 4000;
    let text: String = body.escape_ascii().to_string().replace("\\r\\n", "\n").replace("\\n", "\n");
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}… {} bytes, sum {}", &text[..at], body.len(), checksum(body)),
        None => text,
    }
}

/// Sums up bytes as letters: in digits, a port's number could be found.
fn checksum(body: &[u8]) -> String {
    let sum = body.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    sum.to_be_bytes()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(b'a' + nibble))
        .collect()
}

/// Replaces the program's name in `Server` and in the error pages that the program makes itself.
fn hide_program(response: &mut Response) {
    for (name, value) in &mut response.fields {
        if name == "Server" {
            *value = neutral_program(value);
        }
    }
    let body = response.text();
    let mut neutral = String::new();
    let mut rest = body.as_str();
    while let Some((before, found)) = rest.split_once("<hr><center>") {
        let Some((program, after)) = found.split_once("</center>") else { break };
        neutral += &format!("{before}<hr><center>{}</center>", neutral_program(program));
        rest = after;
    }
    if neutral.is_empty() {
        return;
    }
    neutral += rest;
    let length = body.len().to_string();
    for (name, value) in &mut response.fields {
        if name == "Content-Length" && *value == length {
            "(of this page)".clone_into(value);
        }
    }
    response.body = neutral.into_bytes();
}

fn neutral_program(text: &str) -> String {
    let (name, version) = text.split_once('/').map_or((text, ""), |(name, version)| (name, version));
    match (name, version) {
        ("nginx" | "larder", "") => "(program)".to_owned(),
        ("nginx" | "larder", _) => "(program)/(version)".to_owned(),
        _ => text.to_owned(),
    }
}

fn hide_boundary(response: &mut Response) {
    let Some(kind) = response.field("Content-Type") else { return };
    let Some((_, boundary)) = kind.split_once("multipart/byteranges; boundary=") else { return };
    let boundary = boundary.to_owned();
    response.body = response.text().replace(&boundary, "(boundary)").into_bytes();
    for (_, value) in &mut response.fields {
        *value = value.replace(&boundary, "(boundary)");
    }
}

/// Replaces `Date`, and times near it by their distance.
fn hide_times(response: &mut Response) {
    const NEAR: Duration = Duration::from_secs(366 * 86_400);
    let Some(date) = response.field("Date").and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return;
    };
    for (name, value) in &mut response.fields {
        let Ok(time) = httpdate::parse_http_date(value) else { continue };
        let distance = distance_s(date, time);
        if name == "Date" {
            "(now)".clone_into(value);
        } else if distance.unsigned_abs() < NEAR.as_secs() {
            *value = format!("(now {distance:+} s)");
        }
    }
}

fn distance_s(from: SystemTime, to: SystemTime) -> i64 {
    match to.duration_since(from) {
        Ok(ahead) => ahead.as_secs().cast_signed(),
        Err(behind) => -behind.duration().as_secs().cast_signed(),
    }
}
