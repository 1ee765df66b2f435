//! Real sockets on loopback ports that the system chooses.

use std::net::{TcpListener, TcpStream};

use config::{
    Http2Conf, ListenProtocols, LocationConf, LocationTable, NameTable, Places, ServerConf, ServerCore,
    SslConf,
};

use super::*;

fn conf(address: ListenAddress, socket: SocketOptions) -> ListenConf {
    let server = ServerConf {
        names: Vec::new(),
        first_name: String::new(),
        core: ServerCore::default(),
        ssl: SslConf::default(),
        ssl_places: Places::default(),
        http2: Http2Conf::default(),
        listen: Vec::new(),
        defaults: Arc::new(LocationConf::default()),
        locations: LocationTable::default(),
    };
    ListenConf {
        address,
        socket,
        protocols: ListenProtocols::default(),
        default_server: Arc::new(server),
        names: NameTable::default(),
    }
}

fn inet(text: &str) -> ListenConf {
    conf(ListenAddress::Inet(text.parse().unwrap()), SocketOptions::default())
}

fn any_port() -> ListenConf {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    inet(&probe.local_addr().unwrap().to_string())
}

#[test]
fn exact_addresses_come_through_the_socket_for_all() {
    let bound =
        |text| ListenConf { socket: SocketOptions { bind: true, ..SocketOptions::default() }, ..inet(text) };
    let unix = || conf(ListenAddress::Unix("/run/x".into()), SocketOptions::default());
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let cases = [
        ("alone", vec![inet("127.0.0.1:80")], vec![(0, vec![])]),
        (
            "covered",
            vec![inet("127.0.0.1:80"), inet("0.0.0.0:80"), inet("127.0.0.1:81")],
            vec![(1, vec![(at("127.0.0.1:80"), 0)]), (2, vec![])],
        ),
        ("bind", vec![inet("0.0.0.0:80"), bound("127.0.0.1:80")], vec![(0, vec![]), (1, vec![])]),
        (
            "families",
            vec![inet("0.0.0.0:80"), inet("[::1]:80"), unix()],
            vec![(0, vec![]), (1, vec![]), (2, vec![])],
        ),
    ];
    for (name, conf, wanted) in cases {
        assert_eq!(plan(&conf), wanted, "{name}");
    }
    let routes = Routes { own: 1, exact: vec![(at("127.0.0.1:80"), 0)] };
    assert_eq!(routes.find(Some(at("127.0.0.1:80"))), 0);
    assert_eq!(routes.find(Some(at("127.0.0.2:80"))), 1);
    assert_eq!(routes.find(None), 1);
}

#[test]
fn a_port_in_use_is_noticed_though_sockets_share_ports() {
    let conf = [any_port()];
    let ours = Listeners::open(&conf, 3, &Listeners::default()).unwrap();
    assert_eq!(ours.sockets().count(), 3);
    let error = Listeners::open(&conf, 1, &Listeners::default()).unwrap_err();
    let address = shown(&conf[0].address);
    assert_eq!(error.to_string(), format!("bind() to {address} failed (98: Address already in use)"));
    assert!(error.is_in_use() && error.advice().unwrap().contains(address.rsplit(':').next().unwrap()));
}

#[test]
fn a_reload_keeps_sockets_and_adds_or_shares_out_the_rest() {
    let conf = [any_port()];
    let first = Listeners::open(&conf, 2, &Listeners::default()).unwrap();
    let kept: Vec<i32> = first.sockets().map(AsRawFd::as_raw_fd).collect();
    let more = Listeners::open(&conf, 4, &first).unwrap();
    let all: Vec<i32> = more.sockets().map(AsRawFd::as_raw_fd).collect();
    assert_eq!(all[..2], kept);
    assert_eq!(all.len(), 4);
    drop(first);
    let fewer = Listeners::open(&conf, 1, &more).unwrap();
    drop(more);
    let doors = fewer.doors(1).unwrap();
    assert_eq!(doors[0].len(), 4, "no queue is left without an event loop");
    let ListenAddress::Inet(address) = conf[0].address else { panic!("an inet address") };
    drop(TcpStream::connect(address).unwrap());
}

#[test]
fn sockets_are_handed_to_a_new_program() {
    let conf = [any_port()];
    let ours = Listeners::open(&conf, 2, &Listeners::default()).unwrap();
    let numbers: Vec<String> = ours.sockets().map(|socket| format!("{};", socket.as_raw_fd())).collect();
    assert_eq!(descriptor_list(ours.sockets()), numbers.concat());
    let copies = ours.sockets().map(|socket| OwnedFd::from(socket.try_clone().unwrap())).collect();
    let adopted = Listeners::adopt(copies).unwrap();
    drop(ours);
    let opened = Listeners::open(&conf, 2, &adopted).unwrap();
    assert_eq!(opened.sockets().count(), 2);
}

#[test]
fn a_path_left_by_a_killed_program_is_taken_over_and_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let conf = [conf(ListenAddress::Unix(path.clone()), SocketOptions::default())];
    drop(Listeners::open(&conf, 2, &Listeners::default()).unwrap());
    assert!(path.exists());
    let again = Listeners::open(&conf, 2, &Listeners::default()).unwrap();
    drop(UnixStream::connect(&path).unwrap());
    let error = Listeners::open(&conf, 1, &Listeners::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("bind() to unix:{} failed (98: Address already in use)", path.display())
    );
    again.unlink_except(&again);
    assert!(path.exists());
    again.unlink_except(&Listeners::default());
    assert!(!path.exists());
}
