//! How long Larder waits for an upstream that is slow: to connect, and for what another request fetches.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};

use crate::support::{Gate, Origin, Server, answer, location, servers};

/// A socket that listens, but whose queue is full: connecting to it takes for ever.
struct Full {
    address: SocketAddr,
    _listening: OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl Full {
    fn new() -> Self {
        let listening =
            socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let any_port = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
        socket::bind(listening.as_raw_fd(), &any_port).unwrap();
        socket::listen(&listening, Backlog::new(0).unwrap()).unwrap();
        let bound: SockaddrIn = socket::getsockname(listening.as_raw_fd()).unwrap();
        let address = SocketAddr::V4(bound.into());
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(stream);
        }
        Self { address, _listening: listening, _waiting: waiting }
    }
}

#[test]
fn a_connection_that_takes_too_long_is_given_up() {
    let full = Full::new();
    let server = Server::start(&servers(&format!(
        "location / {{ proxy_connect_timeout 200ms; proxy_pass http://{}; }}",
        full.address
    )));
    assert_eq!(server.get("/").status(), 504);
    server.wait_for_log("upstream timed out");
}

/// With these the first one's origin is waited for, but not for long.
fn second_answer(limits: &str) -> String {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).body("first").when(&gate), answer(200).body("second")]);
    let server =
        Server::start(&location(&format!("proxy_cache zone; proxy_cache_lock on; {limits}"), &origin));
    let mut first = server.client();
    first.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    let second = server.get("/a").text();
    gate.open();
    assert_eq!(first.response().text(), "first");
    second
}

#[test]
fn who_waits_for_a_fill_waits_no_longer_than_told() {
    assert_eq!(second_answer("proxy_cache_lock_timeout 200ms; proxy_cache_lock_age 1h;"), "second");
}

#[test]
fn a_fill_that_takes_too_long_is_begun_anew() {
    assert_eq!(second_answer("proxy_cache_lock_timeout 1h; proxy_cache_lock_age 200ms;"), "second");
}
