//! Uploads that take long: memory that stays bounded, peers that do not answer in time.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use socket2::{Domain, Socket, Type};

use crate::support::{Server, proc, servers};

/// Takes one request with a body of that length, and says how much of it came.
fn sink(listener: TcpListener, body_bytes: usize) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = vec![0; 1 << 20];
        let (mut head, mut taken) = (Vec::new(), 0);
        while taken < body_bytes {
            let count = stream.read(&mut buffer).expect("more of the body");
            if count == 0 {
                break;
            }
            match head.windows(4).any(|end| end == b"\r\n\r\n") {
                true => taken += count,
                false => {
                    head.extend_from_slice(&buffer[..count]);
                    let end = head.windows(4).position(|end| end == b"\r\n\r\n");
                    taken += end.map_or(0, |end| head.len() - end - 4);
                }
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken").expect("room");
        taken
    })
}

#[test]
fn an_unbuffered_upload_costs_bounded_memory() {
    const BODY_BYTES: usize = 256 << 20;
    const GROWTH_MAX_BYTES: u64 = 16 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let taken = sink(listener, BODY_BYTES);
    let server = Server::start(&servers(&format!(
        "client_max_body_size 0; proxy_http_version 1.1; proxy_request_buffering off;
        location / {{ proxy_pass http://{address}; }}"
    )));
    let worker = server.worker();
    let before = proc::peak_memory_bytes(worker);
    let mut client = server.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n"));
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..BODY_BYTES >> 20 {
        client.send(&piece);
    }
    assert_eq!(client.response().text(), "taken");
    assert_eq!(taken.join().expect("it ends"), BODY_BYTES);
    let growth = proc::peak_memory_bytes(worker).saturating_sub(before);
    assert!(growth < GROWTH_MAX_BYTES, "{growth} bytes more");
}

/// A listening socket whose queue is full: whoever connects next waits.
#[test]
fn a_peer_that_cannot_be_connected_to_in_time_is_given_up() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("a port");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().expect("an address").as_socket().expect("an address");
    let _waiting: Vec<TcpStream> = (0..2)
        .filter_map(|_| TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)).ok())
        .collect();
    let server = Server::start(&servers(&format!(
        "proxy_connect_timeout 300ms; location / {{ proxy_pass http://{address}; }}"
    )));
    assert_eq!(server.get("/").status(), 504);
    server.wait_for_log("upstream timed out (110: Connection timed out) while connecting to upstream");
}
