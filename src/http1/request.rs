//! Request heads: bytes to [`RequestHead`], and the checks nginx makes once a head is complete.
//!
//! The parser remembers what it has seen, so that a client that sends a byte at a time costs no more than
//! one that sends all at once. It keeps nginx's limits as nginx means them: a first buffer, then a number of
//! larger ones, each of which must hold a whole line.

use thiserror::Error;

use crate::body::{Framing, FramingError, request_framing};
use crate::fields::{Block, Fields};
use crate::head::{Method, Progress, RequestHead, Version};
use crate::host::{Host, parse_host};
use crate::line::{Line, Lines, NameKind};
use crate::target::{self, LineError};

/// What to do with fields whose names have other bytes than letters, digits and hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidNames {
    /// Leave them out and remember them for the log: `ignore_invalid_headers on`.
    Ignored,
    /// Pass them on.
    Kept,
}

/// What an underscore in a field's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underscores {
    /// A byte as any other: `underscores_in_headers on`.
    Valid,
    /// What makes the name invalid.
    Invalid,
}

/// What a request head may look like, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRules {
    /// `ignore_invalid_headers`.
    pub invalid_names: InvalidNames,
    /// `underscores_in_headers`.
    pub underscores: Underscores,
    /// `client_header_buffer_size`.
    pub first_buffer_bytes: usize,
    /// The size in `large_client_header_buffers`: a line that does not fit the first buffer must fit this.
    pub max_line_bytes: usize,
    /// The number in `large_client_header_buffers`.
    pub max_large_buffers: usize,
    /// `max_headers`.
    pub max_fields: usize,
}

impl Default for HeadRules {
    fn default() -> HeadRules {
        HeadRules {
            invalid_names: InvalidNames::Ignored,
            underscores: Underscores::Invalid,
            first_buffer_bytes: 1024,
            max_line_bytes: 8192,
            max_large_buffers: 4,
            max_fields: 1000,
        }
    }
}

impl HeadRules {
    /// No head can be longer than this: what the caller's buffer must be able to hold.
    pub fn max_head_bytes(&self) -> usize {
        self.first_buffer_bytes.saturating_add(self.max_line_bytes.saturating_mul(self.max_large_buffers))
    }
}

/// Why a request is refused. The text is nginx's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The method has bytes that no method has.
    #[error("client sent invalid method while reading client request line")]
    InvalidMethod,
    /// The request line is malformed.
    #[error("client sent invalid request while reading client request line")]
    InvalidRequest,
    /// The major version is higher than 1.
    #[error("client sent invalid version while reading client request line")]
    InvalidVersion,
    /// A request of one line with another method than GET.
    #[error("client sent invalid method in HTTP/0.9 request while reading client request line")]
    InvalidMethodOfVersion0_9,
    /// The request line does not fit.
    #[error("client sent too long URI while reading client request line")]
    TooLongUri,
    /// A header line has a byte that no field can have.
    #[error("client sent invalid header line: \"{}\\x{byte:02x}...\" while reading client request headers", text(.start))]
    InvalidHeader {
        /// The line up to that byte.
        start: Vec<u8>,
        /// The byte.
        byte: u8,
    },
    /// A header line does not fit.
    #[error("client sent too long header line: \"{}...\" while reading client request headers", text(.start))]
    TooLongHeader {
        /// What there is of the line.
        start: Vec<u8>,
    },
    /// There are more fields than `max_headers`.
    #[error("client sent too many header lines while reading client request headers")]
    TooManyFields,
    /// A field is there twice that must be there once.
    #[error("client sent duplicate header line: \"{}\", previous value: \"{}\" while reading client request headers", text(.line), text(.previous))]
    DuplicateField {
        /// The second one, as `name: value`.
        line: Vec<u8>,
        /// The first one, as `name: value`.
        previous: Vec<u8>,
    },
    /// There are two `Host` fields.
    #[error("client sent duplicate host header: \"{}\", previous value: \"{}\" while reading client request headers", text(.line), text(.previous))]
    DuplicateHost {
        /// The second one, as `name: value`.
        line: Vec<u8>,
        /// The first one, as `name: value`.
        previous: Vec<u8>,
    },
    /// The host in an absolute-form target is not valid.
    #[error("client sent invalid host in request line while reading client request line")]
    InvalidHostInLine,
    /// The `Host` field is not valid.
    #[error("client sent invalid host header while reading client request headers")]
    InvalidHost,
    /// There is no `Host` field in a request of HTTP/1.1 or later.
    #[error("client sent HTTP/1.1 request without \"Host\" header while reading client request headers")]
    NoHost,
    /// There is no telling where the body ends.
    #[error("client sent {0} while reading client request headers")]
    Framing(#[from] FramingError),
    /// CONNECT, which is for forward proxies.
    #[error("client sent CONNECT method while reading client request headers")]
    Connect,
    /// TRACE, which would tell scripts what they must not know.
    #[error("client sent TRACE method while reading client request headers")]
    Trace,
}

impl RequestError {
    /// The status to answer with. 494 is nginx's own: clients see 400 unless `error_page` says otherwise.
    pub fn status(&self) -> u16 {
        match self {
            RequestError::InvalidMethod
            | RequestError::InvalidRequest
            | RequestError::InvalidMethodOfVersion0_9
            | RequestError::InvalidHeader { .. }
            | RequestError::DuplicateField { .. }
            | RequestError::DuplicateHost { .. }
            | RequestError::InvalidHostInLine
            | RequestError::InvalidHost
            | RequestError::NoHost => 400,
            RequestError::Connect | RequestError::Trace => 405,
            RequestError::TooLongUri => 414,
            RequestError::TooLongHeader { .. } | RequestError::TooManyFields => 494,
            RequestError::InvalidVersion => 505,
            RequestError::Framing(error) => error.status(),
        }
    }
}

impl From<LineError> for RequestError {
    fn from(error: LineError) -> RequestError {
        match error {
            LineError::Method => RequestError::InvalidMethod,
            LineError::Request => RequestError::InvalidRequest,
            LineError::Version => RequestError::InvalidVersion,
            LineError::MethodOfVersion0_9 => RequestError::InvalidMethodOfVersion0_9,
        }
    }
}

/// How much of a refused line goes into an error's text.
const SHOWN_BYTES: usize = 1024;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned()
}

/// Parses one request head from bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct RequestParser {
    stage: Stage,
    lines: Lines,
    buffers: Buffers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the first byte of the request line.
    #[default]
    Start,
    /// In the request line, whose method is not complete.
    Method,
    /// In the request line, behind the method.
    Target,
    Fields,
}

impl RequestParser {
    /// A parser that has seen nothing.
    pub fn new() -> RequestParser {
        RequestParser::default()
    }

    /// Forgets what was seen: the next bytes begin a request.
    pub fn reset(&mut self) {
        *self = RequestParser::default();
    }

    /// Goes on with the head at the start of `buf`, which holds the bytes given before and maybe more.
    /// `head` must be empty at the first call, and the same at each. After an error `head` holds what was
    /// understood and its request line, for the log.
    pub fn parse(
        &mut self,
        buf: &[u8],
        rules: &HeadRules,
        head: &mut RequestHead,
    ) -> Result<Progress, RequestError> {
        if self.stage == Stage::Start && !self.skip_empty_lines(buf, rules)? {
            return Ok(Progress::NeedMore);
        }
        if self.stage != Stage::Fields {
            match self.first_line(buf, rules, head) {
                Ok(None) => {}
                Ok(Some(progress)) => return Ok(progress),
                Err(error) => {
                    self.keep_line_for_the_log(buf, head);
                    return Err(error);
                }
            }
        }
        let mut block = head.fields.block(buf, self.lines.start);
        let progress = self.fields(buf, rules, &mut block, &mut head.ignored);
        block.finish(self.lines.start);
        progress
    }

    /// Skips what some clients send behind a body; false: there is nothing else yet. As long as that is all
    /// they send nginx reads on; here it ends with the first buffer.
    fn skip_empty_lines(&mut self, buf: &[u8], rules: &HeadRules) -> Result<bool, RequestError> {
        let rest = &buf[self.lines.start..];
        let skipped = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        self.lines.go_to(self.lines.start + skipped);
        if self.lines.start >= rules.first_buffer_bytes {
            return Err(RequestError::InvalidRequest);
        }
        if skipped < rest.len() {
            self.buffers = Buffers { used: 0, end: rules.first_buffer_bytes };
            self.stage = Stage::Method;
        }
        Ok(self.stage == Stage::Method)
    }

    /// Parses the request line: nothing if fields follow.
    fn first_line(
        &mut self,
        buf: &[u8],
        rules: &HeadRules,
        head: &mut RequestHead,
    ) -> Result<Option<Progress>, RequestError> {
        if !self.method_is_possible(buf) {
            return Err(RequestError::InvalidMethod);
        }
        let Some(end) = self.lines.end(buf) else {
            self.fit(buf.len() + 1, rules).map_err(|_| RequestError::TooLongUri)?;
            return Ok(Some(Progress::NeedMore));
        };
        self.fit(end + 1, rules).map_err(|_| RequestError::TooLongUri)?;
        let line = &buf[self.lines.start..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (head.method, head.version, head.parts) = target::parse_line(line).inspect_err(|&error| {
            // The answer goes out without a head, too.
            if error == LineError::MethodOfVersion0_9 {
                head.version = Version::V0_9;
            }
        })?;
        head.line.extend_from_slice(line);
        self.stage = Stage::Fields;
        self.lines.go_to(end + 1);
        Ok((head.version == Version::V0_9).then_some(Progress::Done(end + 1)))
    }

    /// Parses header lines up to the empty one.
    fn fields(
        &mut self,
        buf: &[u8],
        rules: &HeadRules,
        block: &mut Block<'_>,
        ignored: &mut Fields,
    ) -> Result<Progress, RequestError> {
        loop {
            let start = self.lines.start;
            let line = self.lines.scan(buf).map_err(|place| RequestError::InvalidHeader {
                start: buf[start..start + place].to_vec(),
                byte: buf[start + place],
            })?;
            let end = match line {
                Line::Incomplete => buf.len() + 1,
                Line::End { used } | Line::Field { used, .. } => start + used,
            };
            self.fit(end, rules).map_err(|_| too_long(&buf[start..]))?;
            match line {
                Line::Incomplete => return Ok(Progress::NeedMore),
                Line::End { .. } => return Ok(Progress::Done(end)),
                Line::Field { value_end, name, .. } if is_ignored(name, rules) => {
                    ignored.push(&buf[start..start + value_end], b"");
                }
                Line::Field { .. } if block.len() == rules.max_fields => {
                    return Err(RequestError::TooManyFields);
                }
                Line::Field { name_len, value_start, value_end, .. } => {
                    block.push(start, name_len, value_start, value_end);
                }
            }
            self.lines.go_to(end);
        }
    }

    /// Looks at the bytes that are new, so that a peer that speaks another protocol, TLS above all, is told
    /// at once and not when its time is up.
    fn method_is_possible(&mut self, buf: &[u8]) -> bool {
        if self.stage != Stage::Method {
            return true;
        }
        let new = self.lines.unseen(buf);
        let Some(other) = new.iter().position(|&byte| !target::is_method_byte(byte)) else { return true };
        self.stage = Stage::Target;
        new[other] == b' ' && buf.len() - new.len() + other > self.lines.start
    }

    #[inline]
    fn fit(&mut self, end: usize, rules: &HeadRules) -> Result<(), DoesNotFit> {
        if end <= self.buffers.end { Ok(()) } else { self.buffers.grow(self.lines.start, end, rules) }
    }

    fn keep_line_for_the_log(&self, buf: &[u8], head: &mut RequestHead) {
        let rest = &buf[self.lines.start..];
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        head.line.clear();
        head.line.extend_from_slice(&rest[..end]);
    }
}

struct DoesNotFit;

/// nginx's buffers as far as they limit a head: what is read into the first one, and into how many large
/// ones. Larder has one buffer for all, but the limits are written with these in mind.
#[derive(Clone, Copy, Debug, Default)]
struct Buffers {
    used: usize,
    /// Up to where the buffer in use would hold the head.
    end: usize,
}

impl Buffers {
    /// Takes a large buffer, into which the line begun at `line_start` moves.
    #[cold]
    fn grow(&mut self, line_start: usize, end: usize, rules: &HeadRules) -> Result<(), DoesNotFit> {
        if self.used == rules.max_large_buffers || end - line_start > rules.max_line_bytes {
            return Err(DoesNotFit);
        }
        self.used += 1;
        self.end = line_start + rules.max_line_bytes;
        Ok(())
    }
}

#[cold]
fn too_long(rest: &[u8]) -> RequestError {
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    RequestError::TooLongHeader { start: line[..line.len().min(SHOWN_BYTES)].to_vec() }
}

#[inline]
fn is_ignored(name: NameKind, rules: &HeadRules) -> bool {
    let invalid = match name {
        NameKind::Plain => false,
        NameKind::WithUnderscore => rules.underscores == Underscores::Invalid,
        NameKind::Odd => true,
    };
    invalid && rules.invalid_names == InvalidNames::Ignored
}

/// Makes nginx's checks of a complete head, in its order, and decides how the body ends. nginx has looked
/// at the path before, so an [invalid one](crate::uri::InvalidUri) comes before any error of these.
pub fn check_request(head: &RequestHead) -> Result<Framing, RequestError> {
    check_unique(head)?;
    check_host(head)?;
    if head.version == Version::V0_9 {
        return Ok(Framing::Empty);
    }
    let framing = request_framing(head)?;
    match head.method {
        Method::Connect => Err(RequestError::Connect),
        Method::Trace => Err(RequestError::Trace),
        _ => Ok(framing),
    }
}

/// The host that a request is for: that of an absolute-form target, else that of the `Host` field. The field
/// must be valid and, from HTTP/1.1 on, must be there in either case.
pub fn check_host(head: &RequestHead) -> Result<Option<Host<'_>>, RequestError> {
    let in_line = head.scheme().map(|_| head.authority().unwrap_or_default());
    let in_line = in_line.map(parse_host).transpose().map_err(|_| RequestError::InvalidHostInLine)?;
    let field = head.fields.get("Host");
    if field.is_none() && head.version > Version::V1_0 {
        return Err(RequestError::NoHost);
    }
    let in_field = field.map(parse_host).transpose().map_err(|_| RequestError::InvalidHost)?;
    Ok(in_line.or(in_field))
}

/// Refuses two fields of a name that makes sense only once.
fn check_unique(head: &RequestHead) -> Result<(), RequestError> {
    let mut seen = 0u16;
    for (index, (name, _)) in head.fields.iter().enumerate() {
        let Some(bit) = unique_field(name) else { continue };
        if seen & (1 << bit) != 0 {
            return Err(duplicate(head, index));
        }
        seen |= 1 << bit;
    }
    Ok(())
}

/// A number for each field that nginx takes once only.
#[inline]
fn unique_field(name: &[u8]) -> Option<u8> {
    let candidates: &[(&str, u8)] = match name.len() {
        4 => &[("Host", 0)],
        6 => &[("Expect", 1)],
        8 => &[("If-Match", 2), ("If-Range", 3)],
        13 => &[("If-None-Match", 4), ("Content-Range", 5), ("Authorization", 6)],
        14 => &[("Content-Length", 7)],
        17 => &[("Transfer-Encoding", 8), ("If-Modified-Since", 9)],
        19 => &[("If-Unmodified-Since", 10)],
        _ => return None,
    };
    candidates.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|&(_, bit)| bit)
}

#[cold]
fn duplicate(head: &RequestHead, second: usize) -> RequestError {
    let join = |(name, value): (&[u8], &[u8])| [name, b": ", value].concat();
    let mut fields = head.fields.iter();
    let (name, value) = fields.nth(second).expect("the index came from these fields");
    let previous = head.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    let previous = join(previous.expect("the first of the two is before it"));
    let line = join((name, value));
    if name.eq_ignore_ascii_case(b"Host") {
        RequestError::DuplicateHost { line, previous }
    } else {
        RequestError::DuplicateField { line, previous }
    }
}

#[cfg(test)]
mod tests;
