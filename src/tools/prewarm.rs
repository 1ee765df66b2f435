//! `larder prewarm`: asks a running server for pages, so that they are stored before anybody waits for them.
//!
//! Several connections ask at a time, each for one page after another, and no more pages are begun a second than told. What
//! comes is read to its end and thrown away.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    thread,
    time::Duration,
};

use http1::{
    Chunk, ChunkLimits, ChunkedDecoder, Framing, Method, Progress as Parsed, ResponseHead, ResponseParser,
};

use super::{
    Failure, Verdict,
    arguments::PrewarmArguments,
    report::{Progress, say, shown},
    sitemap,
    url::Url,
};
use crate::clock::{self, Moment};

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most of a response's head.
const HEAD_BYTES: usize = 64 << 10;
/// Most of a sitemap.
const SITEMAP_BYTES: usize = 50 << 20;
/// Sitemaps that one list may lead to.
const SITEMAPS_MOST: usize = 1000;

/// Asks for all pages.
pub fn run(arguments: &PrewarmArguments) -> Result<Verdict, Failure> {
    let Pages { pages, refused } = pages(arguments)?;
    let queue = Mutex::new(pages.iter());
    let pace = Pace::new(arguments.rate);
    let progress = Mutex::new(Progress::new("pages"));
    let counts = Mutex::new(Counts { fetched: 0, failed: refused });
    thread::scope(|scope| {
        for _ in 0..arguments.concurrency.min(pages.len()) {
            scope.spawn(|| {
                let mut visitor = Visitor::new(arguments.server);
                loop {
                    // Taken in a statement of its own, so that nobody waits for a page under the lock.
                    let Some(page) = lock(&queue).next() else { return };
                    pace.wait();
                    let visited = visitor.visit(page, 0);
                    lock(&progress).step();
                    lock(&counts).add(page, visited);
                }
            });
        }
    });
    drop(progress);
    let counts = counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    say(&format!("{} pages fetched, {} failed", counts.fetched, counts.failed))?;
    Ok(if counts.failed == 0 { Verdict::Good } else { Verdict::Bad })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Counts {
    fetched: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, page: &Url, visited: io::Result<Visit>) {
        let why = match visited {
            Ok(Visit { status: 200..=399, .. }) => {
                self.fetched += 1;
                return;
            }
            Ok(Visit { status, .. }) => format!("the answer is {status}"),
            Err(error) => error.to_string(),
        };
        self.failed += 1;
        eprintln!("larder: http://{}{}: {why}", page.host, page.target);
    }
}

/// What to ask for.
#[derive(Default)]
struct Pages {
    pages: Vec<Url>,
    /// What was named so that nobody can be asked for it.
    refused: u64,
}

impl Pages {
    /// Adds what somebody has named; tells where that is no URL.
    fn add(&mut self, text: &[u8], host: &str, place: impl FnOnce() -> String) {
        let text = str::from_utf8(text).map_err(|_| format!("\"{}\" is no URL", shown(text)));
        match text.and_then(|text| Url::parse(text, Some(host))) {
            Ok(url) => self.pages.push(url),
            Err(error) => {
                self.refused += 1;
                eprintln!("larder: {}: {error}", place());
            }
        }
    }
}

/// Finds out what to ask for.
fn pages(arguments: &PrewarmArguments) -> Result<Pages, Failure> {
    let host = arguments.host.clone().unwrap_or_else(|| arguments.server.to_string());
    let list = &arguments.list;
    if list.starts_with("http://") || list.starts_with("https://") {
        return pages_of_site(arguments.server, Url::parse(list, Some(&host))?, &host);
    }
    let mut text = Vec::new();
    if list == "-" {
        io::stdin().lock().read_to_end(&mut text)?;
    } else {
        text = std::fs::read(list).map_err(|error| format!("\"{list}\": {error}"))?;
    }
    let mut pages = Pages::default();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if !line.is_empty() && !line.starts_with(b"#") {
            pages.add(line, &host, || format!("line {number}"));
        }
    }
    Ok(pages)
}

/// Follows a sitemap, through the same server.
fn pages_of_site(server: SocketAddr, first: Url, host: &str) -> Result<Pages, Failure> {
    let (mut found, mut waiting, mut seen) = (Pages::default(), vec![first], HashSet::new());
    let mut visitor = Visitor::new(server);
    while let Some(next) = waiting.pop() {
        if !seen.insert(next.target.clone()) {
            continue;
        }
        if seen.len() > SITEMAPS_MOST {
            return Err(format!("more than {SITEMAPS_MOST} sitemaps lead on from the first").into());
        }
        let name = format!("http://{}{}", next.host, next.target);
        let visit = visitor.visit(&next, SITEMAP_BYTES).map_err(|error| format!("{name}: {error}"))?;
        if visit.status != 200 {
            return Err(format!("{name}: the answer is {}", visit.status).into());
        }
        let sitemap = sitemap::read(&visit.body).map_err(|error| format!("{name}: {error}"))?;
        for url in &sitemap.pages {
            found.add(url.as_bytes(), host, || name.clone());
        }
        for url in &sitemap.sitemaps {
            waiting.push(Url::parse(url, Some(host))?);
        }
    }
    Ok(found)
}

/// How many pages are begun a second.
struct Pace {
    interval: Duration,
    begun: Moment,
    /// When the next may begin, since then.
    next: Mutex<Duration>,
}

impl Pace {
    fn new(rate: Option<u32>) -> Self {
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate);
        Self { interval, begun: clock::moment(), next: Mutex::new(Duration::ZERO) }
    }

    fn wait(&self) {
        if self.interval.is_zero() {
            return;
        }
        let now = self.begun.elapsed();
        let turn = {
            let mut next = lock(&self.next);
            let turn = (*next).max(now);
            *next = turn + self.interval;
            turn
        };
        thread::sleep(turn - now);
    }
}

/// An answer, as far as it matters.
struct Visit {
    status: u16,
    /// Its body, as much as was wanted.
    body: Vec<u8>,
}

/// One who asks for one page after another.
struct Visitor {
    server: SocketAddr,
    connection: Option<Connection>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Visitor {
    fn new(server: SocketAddr) -> Self {
        Self { server, connection: None }
    }

    /// Asks for a page and keeps at most so many bytes of its body. A kept connection that was closed meanwhile is
    /// replaced once.
    fn visit(&mut self, page: &Url, wanted: usize) -> io::Result<Visit> {
        if let Some(connection) = self.connection.take()
            && let Ok(visit) = self.ask(connection, page, wanted)
        {
            return Ok(visit);
        }
        let stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        self.ask(Connection { stream, input: Vec::new() }, page, wanted)
    }

    fn ask(&mut self, mut connection: Connection, page: &Url, wanted: usize) -> io::Result<Visit> {
        let Url { host, target } = page;
        let version = env!("CARGO_PKG_VERSION");
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: larder-prewarm/{version}\r\n\r\n");
        connection.stream.write_all(request.as_bytes())?;
        let head = connection.head()?;
        let framing = http1::response_framing(&head, Method::Get).map_err(io::Error::other)?;
        let body = connection.body(framing, wanted)?;
        let closes = head.fields.all("Connection").any(|value| http1::list_has_token(value, "close"));
        if framing != Framing::UntilClose && !closes {
            self.connection = Some(connection);
        }
        Ok(Visit { status: head.status, body })
    }
}

impl Connection {
    fn receive(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer)?;
        self.input.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn receive_some(&mut self) -> io::Result<()> {
        match self.receive()? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer breaks off")),
            _ => Ok(()),
        }
    }

    /// Reads the head of the final answer.
    fn head(&mut self) -> io::Result<ResponseHead> {
        let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::new());
        loop {
            if !self.input.is_empty() {
                match parser.parse(&self.input, HEAD_BYTES, &mut head).map_err(io::Error::other)? {
                    Parsed::Done(used) => {
                        self.input.drain(..used);
                        if !matches!(head.status, 100..=199) {
                            return Ok(head);
                        }
                        parser.reset();
                        head.clear();
                        continue;
                    }
                    Parsed::NeedMore => {}
                }
            }
            self.receive_some()?;
        }
    }

    /// Reads the body to its end.
    fn body(&mut self, framing: Framing, wanted: usize) -> io::Result<Vec<u8>> {
        let mut kept = Vec::new();
        match framing {
            Framing::Empty => {}
            Framing::Length(length) => {
                let mut left = length;
                loop {
                    let count =
                        usize::try_from(left).map_or(self.input.len(), |left| left.min(self.input.len()));
                    self.take(count, wanted, &mut kept);
                    left -= count as u64;
                    if left == 0 {
                        break;
                    }
                    self.receive_some()?;
                }
            }
            Framing::Chunked => self.chunks(wanted, &mut kept)?,
            Framing::UntilClose => loop {
                self.take(self.input.len(), wanted, &mut kept);
                if self.receive()? == 0 {
                    break;
                }
            },
        }
        Ok(kept)
    }

    fn chunks(&mut self, wanted: usize, kept: &mut Vec<u8>) -> io::Result<()> {
        let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
        loop {
            if self.input.is_empty() {
                self.receive_some()?;
            }
            match decoder.decode(&self.input).map_err(io::Error::other)? {
                Chunk::NeedMore { used } => {
                    self.input.drain(..used);
                    self.receive_some()?;
                }
                Chunk::Payload { skip, len } => {
                    self.input.drain(..skip);
                    self.take(len, wanted, kept);
                }
                Chunk::End { used } => {
                    self.input.drain(..used);
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self, count: usize, wanted: usize, kept: &mut Vec<u8>) {
        let room = wanted.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&self.input[..room]);
        self.input.drain(..count);
    }
}
