//! Sockets of new connections, over loopback.

use std::{path::PathBuf, sync::Arc};

use config::{UpstreamConf, UpstreamServer};
use tokio::net::TcpListener;

use super::*;
use crate::upstream::{Group, Search};

fn pick(address: PeerAddress) -> Pick {
    let server = UpstreamServer::new(String::new(), vec![address]);
    let group = Arc::new(Group::new(Arc::new(UpstreamConf::new("test".to_owned(), vec![server]))));
    group.pick(&mut Search::default(), clock::moment()).expect("the peer")
}

fn dial() -> Dial {
    Dial { timeout: Duration::from_secs(10), ..Dial::default() }
}

fn local(address: &str, transparency: Transparency) -> Option<LocalAddress> {
    Some(LocalAddress { address: address.parse().expect("an address"), transparency })
}

async fn listener() -> (TcpListener, Pick) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, pick(PeerAddress::Inet(address)))
}

#[tokio::test]
async fn buffers_and_probes_are_set_as_told() {
    let (_listener, pick) = listener().await;
    let plain = Connection::open(&pick, &dial()).await.expect("a connection");
    assert!(!SockRef::from(&plain.stream).keepalive().expect("an option"));
    let told =
        Dial { keepalive: TcpKeepalive::On, receive_bytes: Some(10_000), send_bytes: Some(20_000), ..dial() };
    let connection = Connection::open(&pick, &told).await.expect("a connection");
    let socket = SockRef::from(&connection.stream);
    assert!(socket.keepalive().expect("an option"));
    // Linux doubles what it is told.
    assert_eq!(socket.recv_buffer_size().expect("an option"), 20_000);
    assert_eq!(socket.send_buffer_size().expect("an option"), 40_000);
}

#[tokio::test]
async fn a_connection_comes_from_where_it_is_told() {
    let (listener, pick) = listener().await;
    for from in ["127.0.0.7:0", "127.0.0.8:0"] {
        let dial = Dial { local: local(from, Transparency::Opaque), ..dial() };
        let connection = Connection::open(&pick, &dial).await.expect("a connection");
        let (_, seen) = listener.accept().await.expect("a connection");
        assert_eq!(Some(seen), connection.stream.local_address());
        assert_eq!(seen.ip(), from.parse::<SocketAddr>().expect("an address").ip());
    }
}

#[tokio::test]
async fn what_cannot_be_bound_is_our_own_fault() {
    let (_listener, there) = listener().await;
    let socket = pick(PeerAddress::Unix(PathBuf::from("/no/such/socket")));
    let cases = [
        (&there, "192.0.2.1:0", "bind(192.0.2.1) failed (99: Cannot assign requested address)"),
        (&there, "192.0.2.1:7", "bind(192.0.2.1:7) failed (99: Cannot assign requested address)"),
        (&there, "[::1]:0", "bind(::1) failed (97: Address family not supported by protocol)"),
        (&socket, "127.0.0.1:0", "bind(127.0.0.1) failed (22: Invalid argument)"),
    ];
    for (pick, from, wanted) in cases {
        let dial = Dial { local: local(from, Transparency::Opaque), ..dial() };
        let error = Connection::open(pick, &dial).await.expect_err("no connection");
        assert!(matches!(error, OpenError::Local { .. }), "{from}");
        assert_eq!(error.to_string(), wanted);
    }
}

#[tokio::test]
async fn a_transparent_connection_needs_the_right_to_it() {
    let (_listener, pick) = listener().await;
    let dial = Dial { local: local("127.0.0.9:0", Transparency::Transparent), ..dial() };
    match Connection::open(&pick, &dial).await {
        Ok(connection) => {
            assert!(SockRef::from(&connection.stream).ip_transparent_v4().expect("an option"));
        }
        Err(error) => {
            let wanted = "setsockopt(IP_TRANSPARENT) failed (1: Operation not permitted)";
            assert_eq!(error.to_string(), wanted);
        }
    }
}
