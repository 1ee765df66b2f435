//! Bodies far larger than memory, in both directions, and what the worker keeps of them.
//!
//! `LARDER_TEST_BIG` says how large (`5g`; `96m` unless told otherwise).

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use socket2::{Domain, Socket, Type};

use crate::support::{Conf, Server, proc, servers};

/// What a worker may take at most while it passes a large body on.
const MEMORY_MOST_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 256 << 10;

fn body_bytes() -> u64 {
    let text = env::var("LARDER_TEST_BIG").unwrap_or_else(|_| "96m".to_owned());
    let (digits, unit) = match text.strip_suffix('g') {
        Some(digits) => (digits, 1 << 30),
        None => (text.trim_end_matches('m'), 1 << 20),
    };
    digits.parse::<u64>().expect("LARDER_TEST_BIG is a number with g or m") * unit
}

/// The byte at each place, so that lost and doubled pieces are noticed.
fn expected(position: u64) -> u8 {
    u8::try_from((position >> 16) % 251).expect("below 251")
}

fn fill(piece: &mut [u8], position: u64) {
    for (at, byte) in piece.iter_mut().enumerate() {
        *byte = expected(position + at as u64);
    }
}

fn send_body(stream: &mut TcpStream, bytes: u64) {
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = 0;
    while position < bytes {
        let len = usize::try_from((bytes - position).min(PIECE_BYTES as u64)).unwrap();
        fill(&mut piece[..len], position);
        stream.write_all(&piece[..len]).unwrap();
        position += len as u64;
    }
}

/// Reads a body and compares it; `position` is where it begins.
fn receive_body(stream: &mut TcpStream, bytes: u64) {
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = 0;
    while position < bytes {
        let wanted = usize::try_from((bytes - position).min(PIECE_BYTES as u64)).unwrap();
        let len = stream.read(&mut piece[..wanted]).unwrap();
        assert!(len > 0, "the body ended after {position} of {bytes} bytes");
        let (first, last) = (piece[0], piece[len - 1]);
        assert_eq!((first, last), (expected(position), expected(position + len as u64 - 1)), "{position}");
        position += len as u64;
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An origin for one request: what it does after the head.
fn origin(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        serve(&mut stream);
    });
    (address, thread)
}

fn proxied(directives: &str, origin: SocketAddr) -> Conf {
    servers(&format!(
        "client_max_body_size 0;
        location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; {directives} }}"
    ))
}

fn narrow(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Before connecting, so that the window that is offered fits it.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.connect(&server.address().into()).unwrap();
    socket.into()
}

fn check_memory(server: &Server, what: &str, before: u64) {
    let peak = proc::peak_memory_bytes(server.worker());
    println!("{what}: {} MiB at most, {} MiB before", peak >> 20, before >> 20);
    assert!(peak < MEMORY_MOST_BYTES, "{what}: the worker took {peak} bytes");
}

#[test]
fn a_large_upload_is_passed_on_in_little_memory() {
    let bytes = body_bytes();
    let (address, thread) = origin(move |stream| {
        receive_body(stream, bytes);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    });
    let server = Server::start(&proxied("proxy_request_buffering off;", address));
    let before = proc::peak_memory_bytes(server.worker());
    let mut client = TcpStream::connect(server.address()).unwrap();
    write!(client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n").unwrap();
    send_body(&mut client, bytes);
    assert!(read_head(&mut client).starts_with("HTTP/1.1 200 "));
    thread.join().unwrap();
    check_memory(&server, "upload", before);
}

#[test]
fn a_large_download_to_a_slow_client_takes_little_memory() {
    let bytes = body_bytes();
    for directives in ["", "proxy_max_temp_file_size 0;", "proxy_buffering off;"] {
        let (address, thread) = origin(move |stream| {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").unwrap();
            send_body(stream, bytes);
        });
        let server = Server::start(&proxied(directives, address));
        let before = proc::peak_memory_bytes(server.worker());
        let mut client = narrow(&server);
        client.write_all(b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 200 "));
        receive_body(&mut client, bytes);
        thread.join().unwrap();
        check_memory(&server, &format!("download, \"{directives}\""), before);
    }
}
