//! The client's side of an exchange: the connection, its addresses, and what it has sent ahead.
//!
//! Whoever answers a request asks here for more of its body, sends interim answers, notices that the client has left, and
//! talks through a tunnel, whatever the front is.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use bytes::BytesMut;
use http1::Fields;

use super::{
    h2::RequestStream,
    secure::{Arrival, Secured},
};
use crate::{
    clock,
    net::{PeerSide, Stream},
};

/// The client of one request, or of one request after another.
pub struct Client {
    /// The socket.
    pub stream: Rc<Stream>,
    /// Number of the connection in this worker (`$connection`).
    pub serial: u64,
    /// Index of the listening address in the configuration.
    pub listener: usize,
    /// Where the client is.
    pub remote: Address,
    /// Where it came to.
    pub local: Address,
    /// Requests so far, this one included (`$connection_requests`).
    pub requests: Cell<u64>,
    /// Whether the request at hand was there before the one before was answered (`$pipe`).
    pub pipelined: Cell<bool>,
    /// When it was accepted.
    pub opened: clock::Moment,
    /// Bytes received and not used yet: the next head, a body, pipelined requests.
    pub input: RefCell<BytesMut>,
    /// What was found in the handshake, where TLS is spoken.
    pub secured: Option<Rc<Secured>>,
    carrier: Carrier,
}

/// What carries requests.
enum Carrier {
    /// The connection, one after another.
    Connection,
    /// A stream of it, which carries one.
    Stream(RequestStream),
}

/// One end of a connection.
#[derive(Debug, Clone)]
pub struct Address {
    /// The address, unless it is a UNIX-domain socket.
    pub socket: Option<SocketAddr>,
    /// The IP address as text, or `unix:`.
    pub text: Rc<str>,
}

/// An interim answer (1xx).
#[derive(Debug)]
pub struct Interim {
    /// Its status.
    pub status: u16,
    /// Its reason phrase, where it is not the usual one.
    pub reason: Option<Vec<u8>>,
    /// Its fields.
    pub fields: Fields,
}

/// Bytes that one read asks for.
pub const READ_BYTES: usize = 16 << 10;

impl Client {
    /// Takes charge of an accepted connection.
    pub fn new(stream: Stream, serial: u64, listener: usize) -> Self {
        let remote = Address::new(stream.peer_address());
        let local = Address::new(stream.local_address());
        Self {
            stream: Rc::new(stream),
            serial,
            listener,
            remote,
            local,
            requests: Cell::new(0),
            pipelined: Cell::new(false),
            opened: clock::moment(),
            input: RefCell::default(),
            secured: None,
            carrier: Carrier::Connection,
        }
    }

    /// Makes the client of a request that has a stream to itself.
    pub fn on_stream(&self, stream: RequestStream) -> Self {
        Self {
            stream: Rc::clone(&self.stream),
            remote: self.remote.clone(),
            local: self.local.clone(),
            requests: self.requests.clone(),
            pipelined: Cell::new(false),
            input: RefCell::default(),
            secured: self.secured.clone(),
            carrier: Carrier::Stream(stream),
            ..*self
        }
    }

    /// Returns the stream that carries the request, where it is not all of the connection.
    pub fn request_stream(&self) -> Option<&RequestStream> {
        match &self.carrier {
            Carrier::Connection => None,
            Carrier::Stream(stream) => Some(stream),
        }
    }

    /// Takes charge of a connection that is ready for requests.
    pub fn arrived(arrival: Arrival) -> Self {
        let Arrival { stream, serial, listener, input, secured } = arrival;
        Self {
            input: RefCell::new(input),
            secured: secured.map(Rc::new),
            ..Self::new(stream, serial, listener)
        }
    }

    /// Says whether requests come over TLS.
    pub fn is_secured(&self) -> bool {
        self.secured.is_some()
    }

    /// Returns what URLs of requests begin with (`$scheme`).
    pub fn scheme(&self) -> &'static str {
        if self.is_secured() { "https" } else { "http" }
    }

    /// Returns the fields behind a body whose end was found; those of HTTP/1 stand in its framing.
    pub fn trailers(&self) -> Option<Fields> {
        match &self.carrier {
            Carrier::Connection => None,
            Carrier::Stream(stream) => stream.trailers(),
        }
    }

    /// Waits for bytes and appends them to [`Self::input`]; zero is the end. Cancel safe.
    pub async fn receive(&self) -> io::Result<usize> {
        if let Carrier::Stream(stream) = &self.carrier {
            return poll_fn(|context| stream.poll_receive(context, &mut self.input.borrow_mut())).await;
        }
        loop {
            match self.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await?,
                done => return done,
            }
        }
    }

    /// Appends to [`Self::input`] what has arrived.
    pub fn try_receive(&self) -> io::Result<usize> {
        let mut input = self.input.borrow_mut();
        input.reserve(READ_BYTES);
        self.stream.try_read(&mut input)
    }

    /// Appends to [`Self::input`] what has arrived of a body, and says whether that is the end.
    pub fn has_sent_all(&self) -> bool {
        self.request_stream().is_some_and(|stream| {
            stream.receive_arrived(&mut self.input.borrow_mut());
            stream.has_ended()
        })
    }

    /// Sends an interim answer, all of it. Not cancel safe: the client may have got half of it.
    pub async fn send_interim(&self, interim: &Interim) -> io::Result<()> {
        if let Carrier::Stream(stream) = &self.carrier {
            return stream.send_interim(interim);
        }
        let mut head = Vec::new();
        http1::write_status_line(&mut head, interim.status, interim.reason.as_deref());
        http1::write_fields(&mut head, &interim.fields);
        head.extend_from_slice(b"\r\n");
        let mut left = &head[..];
        while !left.is_empty() {
            let count = self.stream.write(left).await?;
            left = &left[count..];
        }
        self.stream.flush().await
    }

    /// Reads through a tunnel; zero is the end. Cancel safe.
    pub async fn read_raw(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Connection => self.stream.read(buffer).await,
            Carrier::Stream(stream) => poll_fn(|context| stream.poll_receive(context, buffer)).await,
        }
    }

    /// Writes at least one byte through a tunnel. Cancel safe.
    pub async fn write_raw(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.carrier {
            Carrier::Connection => self.stream.write(bytes).await,
            Carrier::Stream(stream) => stream.write(bytes).await,
        }
    }

    /// Waits until all that was written through a tunnel is on its way. Cancel safe.
    pub async fn flush_raw(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Connection => self.stream.flush().await,
            Carrier::Stream(_) => Ok(()),
        }
    }

    /// Ends our side of a tunnel: the client reads the end after what was written.
    pub fn end_raw(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Connection => self.stream.shutdown_write(),
            Carrier::Stream(stream) => stream.end(),
        }
    }

    /// Waits until the client has closed its side. Cancel safe.
    ///
    /// Bytes that it pipelines meanwhile are kept, up to one read's worth; with more than that it
    /// is clearly alive, and this waits for ever.
    pub async fn closed(&self) {
        if let Carrier::Stream(stream) = &self.carrier {
            return stream.closed().await;
        }
        loop {
            match self.stream.peek_end().await {
                Ok(PeerSide::Closed) | Err(_) => return,
                Ok(PeerSide::Sending) if self.input.borrow().len() >= READ_BYTES => {
                    return std::future::pending().await;
                }
                Ok(PeerSide::Sending) => {
                    if !matches!(self.receive().await, Ok(1..)) {
                        return;
                    }
                }
            }
        }
    }
}

impl Address {
    /// Notes an address.
    pub(super) fn new(socket: Option<SocketAddr>) -> Self {
        // An IPv4 client of an IPv6 wildcard socket is shown as the IPv4 address that it has.
        let text = socket.map_or_else(|| "unix:".to_owned(), |socket| socket.ip().to_canonical().to_string());
        Self { socket, text: text.into() }
    }

    /// Returns the IP address, IPv4-mapped ones as IPv4.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket.map(|socket| socket.ip().to_canonical())
    }

    /// Returns the port; none for a UNIX-domain socket.
    pub fn port(&self) -> Option<u16> {
        self.socket.map(|socket| socket.port())
    }
}
