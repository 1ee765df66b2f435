//! What a request head and a response head hold once they are parsed.
//!
//! Both are made to be reused: `clear` keeps the memory, so that parsing allocates nothing in steady state.
//! The bytes of the first line are kept as they came; the parts are ranges of it.

use std::fmt;
use std::ops::Range;

use crate::fields::{Fields, list_has_token};

/// How far a parser has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head is not complete: call again with the same bytes and more behind them.
    NeedMore,
    /// The head is complete and took this many bytes.
    Done(usize),
}

/// A request method by what nginx knows of it; the text is kept beside in the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the method of that name")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Mkcol,
    Copy,
    Move,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Patch,
    Trace,
    Connect,
    /// Any other.
    Other,
}

impl Method {
    /// The method a text stands for; methods are case-sensitive.
    pub fn from_text(text: &[u8]) -> Method {
        match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"MKCOL" => Method::Mkcol,
            b"COPY" => Method::Copy,
            b"MOVE" => Method::Move,
            b"PROPFIND" => Method::Propfind,
            b"PROPPATCH" => Method::Proppatch,
            b"LOCK" => Method::Lock,
            b"UNLOCK" => Method::Unlock,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The number before the point.
    pub major: u8,
    /// The number behind it.
    pub minor: u8,
}

impl Version {
    /// A request of one line, answered by a body without a head.
    pub const V0_9: Version = Version { major: 0, minor: 9 };
    /// HTTP/1.0.
    pub const V1_0: Version = Version { major: 1, minor: 0 };
    /// HTTP/1.1.
    pub const V1_1: Version = Version { major: 1, minor: 1 };
    /// HTTP/2, which this package does not read.
    pub const V2_0: Version = Version { major: 2, minor: 0 };
}

impl Default for Version {
    fn default() -> Version {
        Version::V1_1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/{}.{}", self.major, self.minor)
    }
}

/// A request's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The version; 0.9 for a request of one line.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
    pub(crate) line: Vec<u8>,
    pub(crate) parts: LineParts,
    /// Lines left out, each as a name without a value: one buffer for all.
    pub(crate) ignored: Fields,
}

/// Where the parts of a request line are in its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineParts {
    pub method: Range<usize>,
    pub target: Range<usize>,
    pub scheme: Range<usize>,
    pub host: Range<usize>,
    pub authority: Range<usize>,
    pub path_and_query: Range<usize>,
    pub protocol: Range<usize>,
}

impl RequestHead {
    /// An empty head.
    pub fn new() -> RequestHead {
        RequestHead::default()
    }

    /// A head that came in another form than lines, as if it had come so; `ignored` has lines as names without values.
    pub fn of_parts(
        method: &[u8],
        target: &[u8],
        version: Version,
        fields: Fields,
        ignored: Fields,
    ) -> RequestHead {
        let protocol = version.to_string();
        let line = [method, b" ", target, b" ", protocol.as_bytes()].concat();
        let target = method.len() + 1..method.len() + 1 + target.len();
        let parts = LineParts {
            method: 0..method.len(),
            path_and_query: target.clone(),
            protocol: target.end + 1..line.len(),
            target,
            ..LineParts::default()
        };
        RequestHead { method: Method::from_text(method), version, fields, line, parts, ignored }
    }

    /// Empties the head and keeps its memory.
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.version = Version::V1_1;
        self.fields.clear();
        self.line.clear();
        self.parts = LineParts::default();
        self.ignored.clear();
    }

    /// The method as sent.
    pub fn method_text(&self) -> &[u8] {
        &self.line[self.parts.method.clone()]
    }

    /// The request target as sent, in whatever form.
    pub fn target(&self) -> &[u8] {
        &self.line[self.parts.target.clone()]
    }

    /// The first line as sent, without its end: nginx's `$request`.
    pub fn request_line(&self) -> &[u8] {
        &self.line
    }

    /// The protocol as sent (`HTTP/1.1`), empty in a request of one line: nginx's `$server_protocol`.
    pub fn protocol(&self) -> &[u8] {
        &self.line[self.parts.protocol.clone()]
    }

    /// The scheme of a target in absolute form.
    pub fn scheme(&self) -> Option<&[u8]> {
        self.part(&self.parts.scheme)
    }

    /// The host, without port, of a target in absolute form.
    pub fn host(&self) -> Option<&[u8]> {
        self.part(&self.parts.host)
    }

    /// The host with its port, if any, of a target in absolute form.
    pub fn authority(&self) -> Option<&[u8]> {
        self.part(&self.parts.authority)
    }

    /// The origin-form part of the target: nginx's `$request_uri`. It is `/` for an absolute form that ends
    /// with the host, and begins with `?` for one whose host is followed by the arguments.
    pub fn path_and_query(&self) -> &[u8] {
        match self.part(&self.parts.path_and_query) {
            Some(path) => path,
            None => b"/",
        }
    }

    /// Header lines that were left out because their names are invalid, as nginx logs them: "client sent
    /// invalid header line", at level `info`.
    pub fn ignored(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ignored.iter().map(|(line, _)| line)
    }

    /// Whether the client lets the connection be used again: the default of its version unless a
    /// `Connection` field says otherwise.
    pub fn persists(&self) -> bool {
        let mut persists = self.version > Version::V1_0;
        for value in self.fields.all("Connection") {
            // As nginx: any occurrence of the word counts, not only a whole token.
            if contains_ignoring_case(value, b"close") {
                persists = false;
            } else if contains_ignoring_case(value, b"keep-alive") {
                persists = true;
            }
        }
        persists
    }

    fn part(&self, range: &Range<usize>) -> Option<&[u8]> {
        if range.is_empty() { None } else { Some(&self.line[range.clone()]) }
    }
}

fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// A response's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The version.
    pub version: Version,
    /// The status.
    pub status: u16,
    /// The text behind the status, which may be empty.
    pub reason: Vec<u8>,
    /// The header fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// Whether the peer keeps the connection open after this answer.
    pub fn persists(&self) -> bool {
        self.version >= Version::V1_1
            && self.status != 101
            && !self.fields.all("Connection").any(|value| list_has_token(value, "close"))
    }

    /// An empty head.
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }

    /// Empties the head and keeps its memory.
    pub fn clear(&mut self) {
        self.version = Version::V1_1;
        self.status = 0;
        self.reason.clear();
        self.fields.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        assert!(Version::V0_9 < Version::V1_0);
        assert!(Version { major: 1, minor: 2 } > Version::V1_1);
        assert_eq!(Version::V1_1.to_string(), "HTTP/1.1");
    }

    #[test]
    fn persistence() {
        for (version, connection, wanted) in [
            (Version::V1_1, &[][..], true),
            (Version::V1_0, &[], false),
            (Version::V0_9, &[], false),
            (Version::V1_1, &["close"], false),
            (Version::V1_1, &["Upgrade"], true),
            (Version::V1_0, &["Keep-Alive"], true),
            (Version::V1_1, &["x, CLOSE"], false),
            (Version::V1_1, &["disclosed"], false),
            (Version::V1_1, &["close, keep-alive"], false),
            (Version::V1_1, &["close", "keep-alive"], true),
        ] {
            let mut head = RequestHead { version, ..RequestHead::default() };
            for value in connection {
                head.fields.push(b"Connection", value.as_bytes());
            }
            assert_eq!(head.persists(), wanted, "{version} {connection:?}");
        }
    }
}
