//! A connection to a peer: made here, used for one request at a time, kept by the pool in between.

use std::{io, time::Duration};

use bytes::BytesMut;
use config::PeerAddress;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

use super::{group::Pick, peer::PeerId};
use crate::{
    clock::{self, Moment},
    net::{Stream, Timer},
};

/// A connection to a peer with what goes along with it from request to request.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// Its timer, registered once for all its life.
    pub timer: Timer,
    /// Bytes received and not used yet.
    pub input: BytesMut,
    /// Requests sent so far.
    pub requests: u64,
    pub(super) opened: Moment,
    pub(super) peer: PeerId,
}

/// Whether the system watches a silent connection (`proxy_socket_keepalive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpKeepalive {
    /// The system's default: it does not.
    Off,
    /// It sends probes.
    On,
}

impl Connection {
    /// Connects to the peer that was chosen. Cancel safe.
    ///
    /// # Errors
    /// The system's, or `TimedOut`.
    pub async fn open(pick: &Pick, timeout: Duration, keepalive: TcpKeepalive) -> io::Result<Self> {
        let mut timer = Timer::new(timeout);
        let stream = timer.limit(connect(&pick.peer().address, keepalive)).await?;
        Ok(Self {
            stream,
            timer,
            input: BytesMut::new(),
            requests: 0,
            opened: clock::moment(),
            peer: pick.peer().id,
        })
    }

    /// Whether it has carried a request before.
    pub fn is_reused(&self) -> bool {
        self.requests > 1
    }
}

async fn connect(address: &PeerAddress, keepalive: TcpKeepalive) -> io::Result<Stream> {
    match address {
        PeerAddress::Inet(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            if keepalive == TcpKeepalive::On {
                SockRef::from(&stream).set_keepalive(true)?;
            }
            Ok(Stream::Tcp(stream))
        }
        PeerAddress::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}
