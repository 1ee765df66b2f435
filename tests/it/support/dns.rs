//! A scripted name server on loopback: packets, and streams for what a packet cannot hold. It remembers what it was
//! asked.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SRV},
    },
};

use super::reply::Gate;

/// A name server on a port of its own. A name that nobody told it of does not exist.
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    names: Mutex<HashMap<String, Told>>,
    asked: Mutex<Vec<Asked>>,
    stopping: AtomicBool,
}

/// What the server says of a name.
#[derive(Clone)]
pub struct Told {
    records: Vec<RData>,
    ttl: u32,
    code: ResponseCode,
    manner: Manner,
    gate: Option<Gate>,
}

/// How the server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// At once.
    Plainly,
    /// A packet says only that it is too long.
    ByStreamOnly,
    /// Not at all.
    Silently,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Name, without a dot at its end.
    pub name: String,
    /// Kind.
    pub kind: RecordType,
    /// How it came.
    pub way: Way,
}

/// How questions come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In a packet.
    Packet,
    /// Over a stream.
    Stream,
}

/// Tells addresses of both kinds, for `ttl` seconds.
pub fn addresses(addresses: &[&str], ttl: u32) -> Told {
    let record = |address: &&str| match address.parse::<IpAddr>().expect("an address") {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Told::new(addresses.iter().map(record).collect(), ttl)
}

/// Tells another name that stands for this one.
pub fn alias(target: &str, ttl: u32) -> Told {
    Told::new(vec![RData::CNAME(CNAME(name_of(target)))], ttl)
}

/// Tells servers of a service: priority, weight, port, target.
pub fn services(services: &[(u16, u16, u16, &str)], ttl: u32) -> Told {
    let record = |&(priority, weight, port, target): &(u16, u16, u16, &str)| {
        RData::SRV(SRV::new(priority, weight, port, name_of(target)))
    };
    Told::new(services.iter().map(record).collect(), ttl)
}

/// Refuses with DNS's code.
pub fn refusal(code: u16) -> Told {
    Told {
        code: ResponseCode::from(0, u8::try_from(code).expect("a small code")),
        ..Told::new(Vec::new(), 0)
    }
}

/// Says nothing at all.
pub fn silence() -> Told {
    Told { manner: Manner::Silently, ..Told::new(Vec::new(), 0) }
}

impl Told {
    fn new(records: Vec<RData>, ttl: u32) -> Self {
        Self { records, ttl, code: ResponseCode::NoError, manner: Manner::Plainly, gate: None }
    }

    /// Adds records to an alias or to addresses.
    pub fn and(mut self, more: Self) -> Self {
        self.records.extend(more.records);
        self
    }

    /// Is too long for a packet.
    pub fn by_stream_only(self) -> Self {
        Self { manner: Manner::ByStreamOnly, ..self }
    }

    /// Waits for the gate before each answer.
    pub fn behind(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }
}

impl Dns {
    /// Starts a server that knows no name.
    pub fn start() -> Self {
        let (packets, streams) = sockets();
        let address = packets.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let of_packets = Arc::clone(&shared);
        let of_streams = Arc::clone(&shared);
        let threads = vec![
            thread::spawn(move || of_packets.serve_packets(&packets)),
            thread::spawn(move || of_streams.serve_streams(&streams)),
        ];
        Self { address, shared, threads }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says from now on something else of a name.
    pub fn tell(&self, name: &str, told: Told) -> &Self {
        self.shared.names.lock().expect("no holder panics").insert(name.to_owned(), told);
        self
    }

    /// Returns all questions about a name so far.
    pub fn asked(&self, name: &str) -> Vec<Asked> {
        let asked = self.shared.asked.lock().expect("no holder panics");
        asked.iter().filter(|asked| asked.name == name).cloned().collect()
    }

    /// Counts the questions about a name so far.
    pub fn count(&self, name: &str) -> usize {
        self.asked(name).len()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes both threads, which see that they are to stop.
        let _ = TcpStream::connect(self.address);
        if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            let _ = socket.send_to(b"", self.address);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Takes a port that is free for packets and streams alike.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let packets = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = packets.local_addr().expect("a bound socket has an address");
        if let Ok(streams) = TcpListener::bind(address) {
            return (packets, streams);
        }
    }
    panic!("no port is free for packets and streams");
}

impl Shared {
    fn serve_packets(self: &Arc<Self>, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let (shared, packet) = (Arc::clone(self), buffer[..length].to_vec());
            let socket = socket.try_clone().expect("the system has sockets left");
            // A thread of its own, so that a gate holds up one answer only.
            thread::spawn(move || {
                if let Some(answer) = shared.answer(&packet, Way::Packet) {
                    let _ = socket.send_to(&answer, from);
                }
            });
        }
    }

    fn serve_streams(&self, listener: &TcpListener) {
        while let Ok((mut stream, _)) = listener.accept() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut packet = vec![0; u16::from_be_bytes(length).into()];
            if stream.read_exact(&mut packet).is_ok()
                && let Some(answer) = self.answer(&packet, Way::Stream)
            {
                let length = u16::try_from(answer.len()).expect("answers of tests are short");
                let _ = stream.write_all(&[&length.to_be_bytes()[..], &answer].concat());
            }
        }
    }

    fn answer(&self, packet: &[u8], way: Way) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(packet).ok()?;
        let query = message.queries.first()?.clone();
        let name = query.name().to_ascii().trim_end_matches('.').to_owned();
        let asked = Asked { name: name.clone(), kind: query.query_type(), way };
        self.asked.lock().expect("no holder panics").push(asked);
        let told = self.names.lock().expect("no holder panics").get(&name).cloned();
        let told = told.unwrap_or_else(|| refusal(3));
        if let Some(gate) = &told.gate {
            gate.pass();
        }
        message.metadata.message_type = MessageType::Response;
        message.metadata.response_code = told.code;
        match told.manner {
            Manner::Silently => return None,
            Manner::ByStreamOnly if way == Way::Packet => message.metadata.truncation = true,
            Manner::ByStreamOnly | Manner::Plainly => {
                let wanted = |record: &&RData| {
                    record.record_type() == query.query_type() || record.record_type() == RecordType::CNAME
                };
                for record in told.records.iter().filter(wanted) {
                    message.add_answer(Record::from_rdata(query.name().clone(), told.ttl, record.clone()));
                }
            }
        }
        message.to_vec().ok()
    }
}

fn name_of(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}
