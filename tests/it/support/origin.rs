//! Scripted origins: they answer with exact bytes and remember what they were asked.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::ServerConfig;
use socket2::SockRef;

use super::{
    deadline::{self, wait_until},
    reply::{End, Part, Reply, WantsBody, answer},
    tls::{Heard, Wire},
};

/// An origin on a port of its own, with a thread per connection.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// One request as an origin saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Number of its connection, from zero.
    pub connection: usize,
    /// The address that it came from.
    pub peer: SocketAddr,
    /// The head, with its empty line, bytes above 127 as Latin-1.
    pub head: String,
    /// The body as framed on the wire.
    pub body: Vec<u8>,
    /// What was agreed on, where the connection is over TLS.
    pub tls: Option<Heard>,
}

struct Shared {
    address: String,
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

enum Script {
    InOrder(VecDeque<Reply>),
    By(Arc<dyn Fn(&Asked) -> Reply + Send + Sync>),
}

impl Origin {
    /// Answers in that order, and with status 599 once the script is used up.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(Script::InOrder(replies.into_iter().collect()))
    }

    /// Speaks TLS, with a certificate and other settings of its own, and answers as the function says.
    pub fn over_tls(
        config: Arc<ServerConfig>,
        reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        Self::serve(listener, Script::By(Arc::new(reply)), Some(config))
    }

    /// Answers every request alike.
    pub fn always(reply: Reply) -> Self {
        Self::answering(move |_| reply.clone())
    }

    /// Answers as the function says.
    pub fn answering(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Script::By(Arc::new(reply)))
    }

    /// Answers every request alike, over IPv6; nothing on a machine without it.
    pub fn always_on_ipv6(reply: Reply) -> Option<Self> {
        let listener = TcpListener::bind("[::1]:0").ok()?;
        Some(Self::serve(listener, Script::By(Arc::new(move |_| reply.clone())), None))
    }

    /// Forgets what it was asked and answers in that order from now on.
    pub fn restart(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.shared.script.lock().expect("no holder panics") =
            Script::InOrder(replies.into_iter().collect());
        self.shared.asked.lock().expect("no holder panics").clear();
    }

    /// Answers as the function says from now on.
    pub fn answer_by(&self, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().expect("no holder panics") = Script::By(Arc::new(reply));
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no holder panics").clone()
    }

    /// Returns how many requests came so far.
    pub fn request_count(&self) -> usize {
        self.shared.asked.lock().expect("no holder panics").len()
    }

    /// Returns how many connections were opened so far.
    pub fn connection_count(&self) -> usize {
        self.shared.connections.lock().expect("no holder panics").len()
    }

    /// Waits until that many requests have come.
    pub fn wait_for_requests(&self, count: usize) {
        wait_until(&format!("the origin was asked {count} times"), || self.request_count() >= count);
    }

    /// Closes all connections that stand, as a restart of the origin does.
    pub fn close_connections(&self) {
        for stream in self.shared.connections.lock().expect("no holder panics").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn start(script: Script) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"), script, None)
    }

    fn serve(listener: TcpListener, script: Script, tls: Option<Arc<ServerConfig>>) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            address: address.to_string(),
            script: Mutex::new(script),
            asked: Mutex::new(Vec::new()),
            connections: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
            tls,
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        Self { address, shared, acceptor: Some(acceptor) }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which sees that it is to stop.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.close_connections();
    }
}

impl Asked {
    /// Returns the request line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Returns the target of the request line.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// Returns the first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let named =
            |line: &'_ &str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head
            .lines()
            .skip(1)
            .find(named)
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim())
    }

    fn keeps_connection(&self) -> bool {
        let close = self.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.line().ends_with("HTTP/1.1") && !close
    }

    fn wants_body(&self) -> WantsBody {
        if self.line().starts_with("HEAD ") { WantsBody::HeadOnly } else { WantsBody::Whole }
    }
}

impl Shared {
    fn reply_to(&self, asked: &Asked) -> Reply {
        // The lock is released before the function runs, so that slow answers run beside each other.
        let by = match &mut *self.script.lock().expect("no holder panics") {
            Script::InOrder(replies) => {
                let unscripted = || answer(599).status_line("HTTP/1.1 599 Unscripted").body("unscripted");
                return replies.pop_front().unwrap_or_else(unscripted);
            }
            Script::By(by) => Arc::clone(by),
        };
        by(asked)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(kept) = stream.try_clone() else { continue };
        let number = {
            let mut connections = shared.connections.lock().expect("no holder panics");
            connections.push(kept);
            connections.len() - 1
        };
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(Wire::accept(stream, shared.tls.as_ref()), number, &shared));
    }
}

/// Serves one connection until either side ends it.
fn serve(mut stream: Wire, connection: usize, shared: &Shared) {
    let _ = stream.socket().set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some(asked) = read_request(&mut stream, &mut buffer, connection) {
        shared.asked.lock().expect("no holder panics").push(asked.clone());
        let reply = shared.reply_to(&asked);
        for part in reply.steps(asked.wants_body()) {
            if perform(part.with_origin(&shared.address), &mut stream).is_err() {
                let _ = stream.socket().shutdown(Shutdown::Both);
                return;
            }
        }
        if reply.end() == End::Reset {
            let _ = SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO));
            shared.forget(connection);
            return;
        }
        if reply.end() == End::Close || !asked.keeps_connection() {
            break;
        }
    }
    stream.end();
    let _ = stream.socket().shutdown(Shutdown::Both);
}

impl Shared {
    // A reset is sent when the last descriptor goes, so the copy is replaced by a dead socket.
    fn forget(&self, connection: usize) {
        let mut connections = self.connections.lock().expect("no holder panics");
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        connections[connection] = socket.expect("the system has sockets left").into();
    }
}

fn perform(part: Part, stream: &mut Wire) -> std::io::Result<()> {
    match part {
        Part::Bytes(bytes) => stream.write_all(&bytes),
        Part::Pause(time) => {
            deadline::take(time);
            Ok(())
        }
        Part::Wait(gate) => {
            gate.pass();
            Ok(())
        }
        Part::AwaitClose => {
            let mut scrap = [0; 4096];
            while stream.read(&mut scrap)? > 0 {}
            Ok(())
        }
        Part::Echo => {
            let mut scrap = [0; 4096];
            loop {
                match stream.read(&mut scrap)? {
                    0 => return Ok(()),
                    length => stream.write_all(&scrap[..length])?,
                }
            }
        }
    }
}

/// Reads one request; `None` at the end of the connection.
fn read_request(stream: &mut Wire, buffer: &mut Vec<u8>, connection: usize) -> Option<Asked> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, buffer)?;
    };
    let head = buffer[..head_end].iter().map(|&byte| char::from(byte)).collect();
    let peer = stream.socket().peer_addr().ok()?;
    let mut asked = Asked { connection, peer, head, body: Vec::new(), tls: stream.heard() };
    let chunked = asked.field("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body_end = if chunked {
        loop {
            if let Some(at) = find(&buffer[head_end..], b"0\r\n\r\n") {
                break head_end + at + 5;
            }
            read_more(stream, buffer)?;
        }
    } else {
        let length = asked.field("Content-Length").map_or(0, |value| value.parse::<usize>().unwrap_or(0));
        while buffer.len() < head_end + length {
            if read_more(stream, buffer).is_none() {
                break;
            }
        }
        buffer.len().min(head_end + length)
    };
    asked.body = buffer[head_end..body_end].to_vec();
    buffer.drain(..body_end);
    Some(asked)
}

fn read_more(stream: &mut Wire, buffer: &mut Vec<u8>) -> Option<()> {
    let mut scrap = [0; 65536];
    loop {
        match stream.read(&mut scrap) {
            Ok(0) => return None,
            Ok(length) => {
                buffer.extend_from_slice(&scrap[..length]);
                return Some(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Finds the first occurrence of `wanted`.
pub fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
