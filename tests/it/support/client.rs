//! A client that sends raw bytes and reads answers by their framing, so that it sees what a wire sees.

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::SockRef;

use super::{
    deadline::{PATIENCE, now},
    origin::find,
    tls::Wire,
};

/// One connection to a server.
pub struct Client {
    stream: Wire,
    buffer: Vec<u8>,
    sent_at: Instant,
    ended: bool,
}

/// Header lines in order: name and value.
pub type Fields = Vec<(String, String)>;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status line without its end; empty for an HTTP/0.9 answer.
    pub status_line: String,
    /// Header lines in order, bytes above 127 as Latin-1.
    pub fields: Fields,
    /// Body, decoded.
    pub body: Vec<u8>,
    /// Header lines after the last chunk.
    pub trailers: Fields,
    /// Status lines of interim answers that came before.
    pub interim: Vec<String>,
    /// Whether all of it came.
    pub end: End,
    /// Time from sending to the first byte.
    pub first_byte: Duration,
    /// Time from sending to the last byte.
    pub elapsed: Duration,
}

/// How the body of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing said.
    Framed,
    /// With the connection, as its framing said.
    Closed,
    /// With the connection, too early.
    Torn,
    /// Not at all before the deadline.
    Overdue,
}

/// Which request an answer belongs to: HEAD has no body, whatever the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A request whose answer has a body.
    Get,
    /// A HEAD request.
    Head,
}

/// What reading found instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection was closed.
    Closed,
    /// The connection was reset.
    Reset,
    /// Nothing came before the deadline.
    Overdue,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts connections");
        stream.set_nodelay(true).expect("TCP sockets have the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
        Self::over(Wire::Plain(stream))
    }

    /// Goes on with a connection.
    pub fn over(stream: Wire) -> Self {
        Self { stream, buffer: Vec::new(), sent_at: now(), ended: false }
    }

    /// Connects with a small receive buffer, as a slow client has.
    pub fn connect_narrow(address: SocketAddr, receive_bytes: usize) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
            .expect("the system has sockets left");
        socket.set_recv_buffer_size(receive_bytes).expect("the option exists");
        socket.connect(&address.into()).expect("the server accepts connections");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
        Self::over(Wire::Plain(stream))
    }

    /// Changes how long reading waits for bytes.
    pub fn patience(self, time: Duration) -> Self {
        self.stream.socket().set_read_timeout(Some(time)).expect("the time is not zero");
        self
    }

    /// Returns the port that it connected from.
    pub fn local_port(&self) -> u16 {
        self.stream.socket().local_addr().expect("it is connected").port()
    }

    /// Sends bytes; a connection that is closed already shows when reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.sent_at = now();
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Sends a GET that keeps the connection, and reads the answer.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.response()
    }

    /// Reads the next answer.
    pub fn response(&mut self) -> Response {
        self.try_response(To::Get).unwrap_or_else(|none| panic!("no answer: {none:?}"))
    }

    /// Reads the next answer, or tells why there is none.
    pub fn try_response(&mut self, to: To) -> Result<Response, NoAnswer> {
        let mut interim = Vec::new();
        self.fill(1)?;
        let first_byte = now() - self.sent_at;
        loop {
            let Some((status_line, fields)) = self.head()? else {
                let end = self.read_to_end();
                let body = std::mem::take(&mut self.buffer);
                return Ok(self.finish(Response { body, end, ..Response::bare(first_byte) }));
            };
            if is_interim(&status_line) {
                interim.push(status_line);
                continue;
            }
            let mut response = Response { status_line, fields, interim, ..Response::bare(first_byte) };
            self.body(to, &mut response);
            return Ok(self.finish(response));
        }
    }

    /// Waits for the server to close the connection and returns what it still sent.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let end = self.read_to_end();
        (std::mem::take(&mut self.buffer), end)
    }

    /// Reads exactly that many bytes, or fewer where the connection ends.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let _ = self.fill(count);
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// Reads a head only, and leaves the body where it is.
    pub fn head_only(&mut self) -> Response {
        self.fill(1).expect("an answer comes");
        let first_byte = now() - self.sent_at;
        let (status_line, fields) = self.head().expect("a head comes").expect("the answer has a head");
        self.finish(Response { status_line, fields, ..Response::bare(first_byte) })
    }

    /// Says that no more will be sent.
    pub fn half_close(&mut self) -> &mut Self {
        self.stream.end();
        self
    }

    /// Returns the connection.
    pub fn wire(&self) -> &Wire {
        &self.stream
    }

    /// Leaves at once, with a reset.
    pub fn leave(self) {
        let _ = SockRef::from(self.stream.socket()).set_linger(Some(Duration::ZERO));
    }

    fn finish(&self, response: Response) -> Response {
        Response { elapsed: now() - self.sent_at, ..response }
    }

    /// Takes a head off the buffer; `None` if what comes is no HTTP/1 answer.
    fn head(&mut self) -> Result<Option<(String, Fields)>, NoAnswer> {
        const START: &[u8] = b"HTTP/1.";
        let enough = self.fill(START.len());
        if !self.buffer.starts_with(START) {
            return if self.buffer.is_empty() { enough.map(|()| None) } else { Ok(None) };
        }
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill(self.buffer.len() + 1)?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let mut lines = lines(&head).into_iter();
        let status_line = lines.next().unwrap_or_default();
        Ok(Some((status_line, lines.map(|line| split_field(&line)).collect())))
    }

    fn body(&mut self, to: To, response: &mut Response) {
        let status = response.status();
        if to == To::Head || status == 204 || status == 304 || status == 101 {
            return;
        }
        if response.field("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            response.end = self.chunked(response).err().unwrap_or(End::Framed);
        } else if let Some(length) =
            response.field("Content-Length").and_then(|value| value.parse::<usize>().ok())
        {
            response.end = self.fill(length).err().map_or(End::Framed, NoAnswer::as_torn);
            response.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        } else {
            response.end = self.read_to_end();
            response.body = std::mem::take(&mut self.buffer);
        }
    }

    fn chunked(&mut self, response: &mut Response) -> Result<(), End> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let Some(size) = size else { return Err(End::Torn) };
            if size == 0 {
                break;
            }
            let filled = self.fill(size + 2);
            response.body.extend(self.buffer.drain(..size.min(self.buffer.len())));
            filled.map_err(NoAnswer::as_torn)?;
            self.buffer.drain(..2);
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            response.trailers.push(split_field(&line));
        }
    }

    fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(latin1(&line[..at]));
            }
            self.fill(self.buffer.len() + 1).map_err(NoAnswer::as_torn)?;
        }
    }

    /// Reads until the buffer holds that many bytes.
    fn fill(&mut self, count: usize) -> Result<(), NoAnswer> {
        let mut scrap = vec![0; 65536];
        while self.buffer.len() < count {
            if self.ended {
                return Err(NoAnswer::Closed);
            }
            match self.stream.read(&mut scrap) {
                Ok(0) => self.ended = true,
                Ok(length) => self.buffer.extend_from_slice(&scrap[..length]),
                Err(error) => return Err(NoAnswer::from(&error)),
            }
        }
        Ok(())
    }

    fn read_to_end(&mut self) -> End {
        loop {
            match self.fill(self.buffer.len() + 1) {
                Ok(()) => {}
                Err(NoAnswer::Closed) => return End::Closed,
                Err(NoAnswer::Reset) => return End::Torn,
                Err(NoAnswer::Overdue) => return End::Overdue,
            }
        }
    }
}

impl NoAnswer {
    fn as_torn(self) -> End {
        match self {
            Self::Closed | Self::Reset => End::Torn,
            Self::Overdue => End::Overdue,
        }
    }

    fn from(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        if matches!(error.kind(), TimedOut | WouldBlock) { Self::Overdue } else { Self::Reset }
    }
}

impl Response {
    fn bare(first_byte: Duration) -> Self {
        Self {
            status_line: String::new(),
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            interim: Vec::new(),
            end: End::Framed,
            first_byte,
            elapsed: first_byte,
        }
    }

    /// Returns the status; 0 for an HTTP/0.9 answer.
    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Returns the first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns what the cache did, as the configurations of [`super::location`] tell it.
    pub fn cache(&self) -> &str {
        self.field("X-Cache").unwrap_or_default()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status_line)?;
        self.fields.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))?;
        write!(f, "\n{} ({:?})", self.text(), self.end)
    }
}

/// The answers to requests that were made at the same time.
#[derive(Debug)]
pub struct Answers(pub Vec<Response>);

impl Answers {
    /// Returns the bodies as text.
    pub fn bodies(&self) -> Vec<String> {
        self.0.iter().map(Response::text).collect()
    }

    /// Returns what the cache did for each.
    pub fn cache(&self) -> Vec<&str> {
        self.0.iter().map(Response::cache).collect()
    }
}

fn is_interim(status_line: &str) -> bool {
    let code = status_line.split(' ').nth(1).unwrap_or_default();
    code.starts_with('1') && code != "101"
}

fn lines(head: &[u8]) -> Vec<String> {
    let text = latin1(head);
    text.split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Splits at the first colon and drops the one space that usually follows; anything else stays visible.
fn split_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned())
}
