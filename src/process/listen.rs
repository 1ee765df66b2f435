//! Listening sockets: bound once by the master, kept over reloads, handed to a new program.
//!
//! A TCP address has a socket for each event loop (SO_REUSEPORT), so that a connection stays on one core. The
//! first one is bound without the option: another program on the same port is noticed, whoever runs it.

use std::{
    collections::HashSet,
    fs, io,
    net::SocketAddr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use config::{ListenAddress, ListenConf, SocketKeepalive, SocketOptions};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use super::sys;
use crate::error_log::system_words;

/// All listening sockets of a configuration.
#[derive(Debug, Default)]
pub struct Listeners {
    bound: Vec<Bound>,
}

/// One address with its sockets.
#[derive(Debug)]
struct Bound {
    address: ListenAddress,
    sockets: Vec<Arc<Socket>>,
    /// Listeners of the configuration that are reached through it.
    routes: Routes,
}

/// Which listener of the configuration a connection belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    own: usize,
    /// More exact addresses, where the socket listens on all.
    exact: Vec<(SocketAddr, usize)>,
}

impl Routes {
    /// Says whether the connection's own address must be known to tell.
    pub fn ask_address(&self) -> bool {
        !self.exact.is_empty()
    }

    /// Returns the listener for connections to `address`.
    pub fn find(&self, address: Option<SocketAddr>) -> usize {
        let exact = self.exact.iter().find(|(exact, _)| Some(*exact) == address);
        exact.map_or(self.own, |(_, listener)| *listener)
    }
}

/// A socket for one event loop.
#[derive(Debug)]
pub struct Door {
    /// The socket, not blocking.
    pub socket: Socket,
    /// Whose connections come through it.
    pub routes: Routes,
    /// Its address.
    pub address: ListenAddress,
}

/// A socket that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{call} {} failed ({})", shown(address), system_words(source))]
pub struct ListenError {
    call: &'static str,
    address: ListenAddress,
    source: io::Error,
}

impl ListenError {
    /// Says what to do about it, where something can be said.
    pub fn advice(&self) -> Option<String> {
        let ListenAddress::Inet(address) = &self.address else { return None };
        let port = address.port();
        match self.source.kind() {
            io::ErrorKind::AddrInUse => Some(format!("another program listens on port {port} already")),
            io::ErrorKind::PermissionDenied => Some(format!(
                "port {port} is open to root only: choose one from 1024, or grant CAP_NET_BIND_SERVICE"
            )),
            _ => None,
        }
    }

    /// Says whether another socket has the address.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Writes an address as nginx does.
pub fn shown(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Inet(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

impl Listeners {
    /// Opens the sockets of `conf` for so many event loops; those that `old` has already are taken from there.
    pub fn open(conf: &[ListenConf], loops: usize, old: &Self) -> Result<Self, ListenError> {
        let mut listeners = Self::default();
        for (own, exact) in plan(conf) {
            let ListenConf { address, socket: options, .. } = &conf[own];
            let mut sockets = old.find(address).map(|bound| bound.sockets.clone()).unwrap_or_default();
            let wanted = match address {
                ListenAddress::Inet(_) => loops,
                ListenAddress::Unix(_) => 1,
            };
            let mut is_shared = !sockets.is_empty() || old.has_port(address) || listeners.has_port(address);
            while sockets.len() < wanted {
                let port = if is_shared { Port::Ours } else { Port::Free };
                let failed = |source| ListenError { call: "bind() to", address: address.clone(), source };
                sockets.push(Arc::new(bind(address, options, port).map_err(failed)?));
                is_shared = true;
            }
            for socket in &sockets {
                let failed = |source| ListenError { call: "listen() on", address: address.clone(), source };
                listen(socket, options).map_err(failed)?;
            }
            listeners.bound.push(Bound { address: address.clone(), sockets, routes: Routes { own, exact } });
        }
        Ok(listeners)
    }

    /// Takes over sockets that the process was started with.
    pub fn adopt(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut listeners = Self::default();
        for socket in descriptors.into_iter().map(Socket::from) {
            let address = address_of(&socket.local_addr()?).ok_or(io::ErrorKind::Unsupported)?;
            match listeners.bound.iter_mut().find(|bound| bound.address == address) {
                Some(bound) => bound.sockets.push(Arc::new(socket)),
                None => {
                    let sockets = vec![Arc::new(socket)];
                    listeners.bound.push(Bound { address, sockets, routes: Routes::default() });
                }
            }
        }
        Ok(listeners)
    }

    /// Returns all sockets, for a new program.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.bound.iter().flat_map(|bound| bound.sockets.iter().map(Arc::as_ref))
    }

    /// Hands the sockets out to event loops.
    ///
    /// Where there are more than loops (there were more of those before a reload), a loop gets several; one of
    /// a UNIX-domain address is everyone's.
    pub fn doors(self, loops: usize) -> io::Result<Vec<Vec<Door>>> {
        let mut doors: Vec<Vec<Door>> = (0..loops).map(|_| Vec::new()).collect();
        for Bound { address, sockets, routes } in self.bound {
            for number in 0..loops.max(sockets.len()) {
                let socket = sockets[number % sockets.len()].try_clone()?;
                let door = Door { socket, routes: routes.clone(), address: address.clone() };
                doors[number % loops].push(door);
            }
        }
        Ok(doors)
    }

    /// Removes the paths of UNIX-domain sockets that `kept` does not have.
    pub fn unlink_except(&self, kept: &Self) {
        for bound in &self.bound {
            if let ListenAddress::Unix(path) = &bound.address
                && kept.find(&bound.address).is_none()
            {
                // Someone else may have removed it.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn find(&self, address: &ListenAddress) -> Option<&Bound> {
        self.bound.iter().find(|bound| bound.address == *address)
    }

    fn has_port(&self, address: &ListenAddress) -> bool {
        let port = |address: &ListenAddress| match address {
            ListenAddress::Inet(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        };
        port(address).is_some() && self.bound.iter().any(|bound| port(&bound.address) == port(address))
    }
}

/// Decides which addresses get sockets: each with the more exact ones that come through it.
///
/// As nginx: an address whose port is also listened on for all addresses needs none, unless it says `bind`.
fn plan(conf: &[ListenConf]) -> Vec<(usize, Vec<(SocketAddr, usize)>)> {
    let inet = |listener: &ListenConf| match &listener.address {
        ListenAddress::Inet(address) => Some(*address),
        ListenAddress::Unix(_) => None,
    };
    let covers = |wide: SocketAddr, exact: SocketAddr| {
        wide.ip().is_unspecified()
            && !exact.ip().is_unspecified()
            && wide.port() == exact.port()
            && wide.is_ipv4() == exact.is_ipv4()
    };
    let mut covered = HashSet::new();
    let mut plan = Vec::new();
    for (own, wide) in conf.iter().enumerate() {
        let Some(wide) = inet(wide) else { continue };
        let exact: Vec<(SocketAddr, usize)> = conf
            .iter()
            .enumerate()
            .filter(|(_, listener)| !listener.socket.bind)
            .filter_map(|(number, listener)| Some((inet(listener)?, number)))
            .filter(|(exact, _)| covers(wide, *exact))
            .collect();
        covered.extend(exact.iter().map(|(_, number)| *number));
        plan.push((own, exact));
    }
    plan.retain(|(own, _)| !covered.contains(own));
    let unix = conf.iter().enumerate().filter(|(_, listener)| inet(listener).is_none());
    plan.extend(unix.map(|(own, _)| (own, Vec::new())));
    plan
}

/// Who may have the port already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    /// Nobody.
    Free,
    /// Other sockets of this program.
    Ours,
}

fn bind(address: &ListenAddress, options: &SocketOptions, port: Port) -> io::Result<Socket> {
    let (domain, place) = match address {
        ListenAddress::Inet(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        ListenAddress::Unix(path) => {
            remove_stale(path);
            (Domain::UNIX, SockAddr::unix(path)?)
        }
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(options.ipv6only.unwrap_or(true))?;
    }
    if domain != Domain::UNIX {
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(port == Port::Ours)?;
    }
    socket.bind(&place)?;
    match address {
        // From now on others of ours may join.
        ListenAddress::Inet(_) => socket.set_reuse_port(true)?,
        // As nginx: whoever reaches the directory may connect.
        ListenAddress::Unix(path) => fs::set_permissions(path, fs::Permissions::from_mode(0o666))?,
    }
    Ok(socket)
}

/// Removes the path of a socket that nobody listens on: its program was killed.
fn remove_stale(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let refused =
        || UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && refused() {
        // If it cannot be removed, bind() says why.
        let _ = fs::remove_file(path);
    }
}

/// Sets what may change at a reload too, and listens.
fn listen(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(size) = options.rcvbuf {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(size) = options.sndbuf {
        socket.set_send_buffer_size(size)?;
    }
    let is_tcp = socket.domain()? != Domain::UNIX;
    match options.so_keepalive {
        Some(SocketKeepalive::Off) => socket.set_keepalive(false)?,
        Some(SocketKeepalive::On { idle_s, interval_s, count }) if is_tcp => {
            let seconds = |seconds: u32| Duration::from_secs(seconds.into());
            let mut keepalive = TcpKeepalive::new();
            keepalive = idle_s.map_or(keepalive.clone(), |idle| keepalive.with_time(seconds(idle)));
            keepalive = interval_s.map_or(keepalive.clone(), |time| keepalive.with_interval(seconds(time)));
            keepalive = count.map_or(keepalive.clone(), |count| keepalive.with_retries(count));
            socket.set_tcp_keepalive(&keepalive)?;
        }
        Some(SocketKeepalive::On { .. }) => socket.set_keepalive(true)?,
        None => {}
    }
    if let (Some(queue), true) = (options.fastopen, is_tcp) {
        sys::set_tcp_option(socket, libc::TCP_FASTOPEN, queue)?;
    }
    // The kernel cuts it to net.core.somaxconn.
    socket.listen(options.backlog.unwrap_or(i32::MAX))?;
    if is_tcp {
        sys::set_tcp_option(socket, libc::TCP_DEFER_ACCEPT, i32::from(options.deferred))?;
    }
    Ok(())
}

fn address_of(address: &SockAddr) -> Option<ListenAddress> {
    let path = || Some(ListenAddress::Unix(address.as_pathname()?.to_owned()));
    address.as_socket().map(ListenAddress::Inet).or_else(path)
}

/// Writes the descriptors of sockets for a new program: `3;4;`.
pub fn descriptor_list<'a>(sockets: impl Iterator<Item = &'a Socket>) -> String {
    sockets.map(|socket| format!("{};", socket.as_raw_fd())).collect()
}

#[cfg(test)]
mod tests;
