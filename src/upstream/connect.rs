//! A connection to a peer: made here, used for one request at a time, kept by the pool in between.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use config::{PeerAddress, Scheme, Transparency};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use tls::ClientWish;
use tokio::net::{TcpSocket, UnixStream};

use super::{group::Pick, handshake::secure, peer::PeerId};
use crate::{
    clock::{self, Moment},
    error_log::system_words,
    net::{Socket, Stream, Timer},
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
    /// Where it comes from, as it was asked for: requests with another wish must not use it.
    pub(super) local: Option<LocalAddress>,
    /// How it is secured, where it is: requests with another wish must not use it.
    pub(super) tls: Option<Arc<ClientWish>>,
    /// Number of the location that opened it.
    pub(super) location: usize,
}

/// How a connection is made, but for the peer.
#[derive(Debug, Clone, Default)]
pub struct Dial {
    /// Number of the location that asks.
    pub location: usize,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it comes from; the system decides where nothing is said (`proxy_bind`).
    pub local: Option<LocalAddress>,
    /// How it is secured; in clear text where nothing is said.
    pub tls: Option<Arc<ClientWish>>,
    /// Whether the system watches it (`proxy_socket_keepalive`).
    pub keepalive: TcpKeepalive,
    /// The system's buffer for what arrives (`proxy_socket_rcvbuf`).
    pub receive_bytes: Option<usize>,
    /// The system's buffer for what is sent (`proxy_socket_sndbuf`).
    pub send_bytes: Option<usize>,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address; port 0 leaves the port to the system.
    pub address: SocketAddr,
    /// Whether it need not be the machine's own.
    pub transparency: Transparency,
}

/// Whether the system watches a silent connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TcpKeepalive {
    /// The system's default: it does not.
    #[default]
    Off,
    /// It sends probes.
    On,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Our own side cannot be set up as told: no other peer would change that.
    #[error("{call} failed ({})", system_words(source))]
    Local {
        /// The system call, as nginx writes it.
        call: String,
        /// What the system said.
        source: io::Error,
    },
    /// The peer cannot be reached, or not in time.
    #[error(transparent)]
    Peer(#[from] io::Error),
    /// It is there, but the time was over before there was TLS.
    #[error("upstream timed out")]
    LateHandshake,
    /// It is there, but there is no TLS with it; nginx's words say why.
    #[error("{0}")]
    Unsecured(String),
    /// It has TLS, but has not chosen HTTP/2 there (ALPN), which is what it is to be asked in.
    #[error("upstream does not speak HTTP/2: no protocol was chosen by ALPN")]
    NoHttp2,
}

impl Connection {
    /// Connects to the peer that was chosen. Cancel safe.
    ///
    /// # Errors
    /// The system's, `TimedOut`, or why TLS is not possible.
    pub async fn open(pick: &Pick, dial: &Dial) -> Result<Self, OpenError> {
        let mut timer = Timer::new(dial.timeout);
        let socket = match &pick.peer().address {
            PeerAddress::Inet(address) => connect_tcp(*address, dial, &mut timer).await?,
            PeerAddress::Unix(path) => {
                if let Some(local) = &dial.local {
                    // As nginx: an address of the network is none for such a socket.
                    return Err(local.failed(io::Error::from_raw_os_error(libc::EINVAL)));
                }
                let socket = Socket::Unix(timer.limit(UnixStream::connect(path)).await?);
                set_buffers(&SockRef::from(&socket), dial)?;
                socket
            }
        };
        let stream = match &dial.tls {
            None => Stream::Plain(socket),
            Some(wish) => {
                // As nginx: the handshake has what is left of the time for connecting.
                let securing = async { Ok(secure(socket, wish, &pick.peer().sessions).await) };
                let secured = timer.limit(securing).await.map_err(|_: io::Error| OpenError::LateHandshake)?;
                secured.map_err(OpenError::Unsecured)?
            }
        };
        Ok(Self {
            stream,
            timer,
            input: BytesMut::new(),
            requests: 0,
            opened: clock::moment(),
            peer: pick.peer().id,
            local: dial.local,
            tls: dial.tls.clone(),
            location: dial.location,
        })
    }

    /// Returns how requests go over it.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Whether it has carried a request before.
    pub fn is_reused(&self) -> bool {
        self.requests > 1
    }
}

async fn connect_tcp(address: SocketAddr, dial: &Dial, timer: &mut Timer) -> Result<Socket, OpenError> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    set_buffers(&SockRef::from(&socket), dial)?;
    if let Some(local) = &dial.local {
        local.bind(&socket, address)?;
    }
    let stream = timer.limit(socket.connect(address)).await?;
    stream.set_nodelay(true)?;
    if dial.keepalive == TcpKeepalive::On {
        SockRef::from(&stream).set_keepalive(true)?;
    }
    Ok(Socket::Tcp(stream))
}

/// Sets the system's buffers, before anything is sent: their size is told to the peer with the first packet.
fn set_buffers(socket: &SockRef<'_>, dial: &Dial) -> Result<(), OpenError> {
    let failed = |option: &str| {
        let call = format!("setsockopt({option})");
        move |source| OpenError::Local { call, source }
    };
    if let Some(bytes) = dial.receive_bytes {
        socket.set_recv_buffer_size(bytes).map_err(failed("SO_RCVBUF"))?;
    }
    if let Some(bytes) = dial.send_bytes {
        socket.set_send_buffer_size(bytes).map_err(failed("SO_SNDBUF"))?;
    }
    Ok(())
}

impl LocalAddress {
    fn bind(&self, socket: &TcpSocket, peer: SocketAddr) -> Result<(), OpenError> {
        if self.transparency == Transparency::Transparent {
            let socket = SockRef::from(socket);
            let (set, option) = match peer {
                SocketAddr::V4(_) => (socket.set_ip_transparent_v4(true), "IP_TRANSPARENT"),
                SocketAddr::V6(_) => (socket.set_ip_transparent_v6(true), "IPV6_TRANSPARENT"),
            };
            set.map_err(|source| OpenError::Local { call: format!("setsockopt({option})"), source })?;
        }
        if self.address.port() == 0 {
            // The port is chosen when the peer is known, so that ports are not used up. As nginx: a kernel
            // without the option does without.
            let _ = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
        }
        socket.bind(self.address).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OpenError {
        let shown = match self.address.port() {
            0 => self.address.ip().to_string(),
            _ => self.address.to_string(),
        };
        OpenError::Local { call: format!("bind({shown})"), source }
    }
}

#[cfg(test)]
mod tests;
