//! How much of an answer waits for a slow client, and where: `proxy_buffers`, temporary files, the upstream.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::support::{Client, Conf, Gate, Origin, Server, answer, client::End, servers, wait_until};

fn proxied(directives: &str, origin: SocketAddr) -> Conf {
    servers(&format!("location / {{ proxy_pass http://{origin}; {directives} }}"))
}

/// Bytes that differ from place to place, so that mixed up ones are noticed.
fn patterned(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at / 7 + at % 251) % 256).expect("below 256")).collect()
}

const SPILLED: &str = "an upstream response is buffered to a temporary file";
/// More than the kernel takes on its way through two connections.
const BODY_BYTES: usize = 24 << 20;

/// An origin of one answer that counts what it got rid of.
struct Sender {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    fn start(body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, sent) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&sent);
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            for piece in body.chunks(64 << 10) {
                if stream.write_all(piece).is_err() {
                    return;
                }
                count.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        });
        Self { address, sent, thread: Some(thread) }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !thread::panicking()
            && let Some(thread) = self.thread.take()
        {
            thread.join().unwrap();
        }
    }
}

/// Asks, and leaves the body where it is.
fn ask_slowly(server: &Server) -> Client {
    let mut client = Client::connect_narrow(server.address(), 8 << 10);
    client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head_only().status(), 200);
    client
}

#[test]
fn what_a_slow_client_leaves_goes_to_a_file_and_frees_the_origin() {
    let body = patterned(BODY_BYTES);
    let origin = Sender::start(body.clone());
    let server = Server::start(&proxied("proxy_temp_path %DIR%/spill 1 2;", origin.address));
    let mut client = ask_slowly(&server);
    wait_until("the origin got rid of all", || origin.sent() == BODY_BYTES as u64);
    server.wait_for_log(&format!(
        "{SPILLED} {}/spill/1/00/0000000001 while reading upstream",
        server.dir().display()
    ));
    let log = server.read("error.log");
    let line = log.lines().find(|line| line.contains(SPILLED)).unwrap();
    assert!(line.contains("[warn]") && line.contains("request: \"GET /large HTTP/1.1\""), "{line}");
    assert!(line.contains(&format!("upstream: \"http://{}/large\", host: \"a\"", origin.address)), "{line}");
    assert!(server.dir().join("spill/1/00").is_dir());
    assert_eq!(fs::read_dir(server.dir().join("spill/1/00")).unwrap().count(), 0, "the file has no name");
    let (got, end) = client.rest();
    assert!(got == body, "{} of {BODY_BYTES} bytes came", got.len());
    assert_eq!(end, End::Closed);
    assert_eq!(log.matches(SPILLED).count(), 1);
}

#[test]
fn without_temporary_files_the_origin_waits_and_nothing_is_lost() {
    const LARGE_BYTES: usize = 48 << 20;
    for directives in ["proxy_max_temp_file_size 0;", "proxy_buffering off;"] {
        let body = patterned(LARGE_BYTES);
        let origin = Sender::start(body.clone());
        let server = Server::start(&proxied(directives, origin.address));
        let mut client = ask_slowly(&server);
        assert!(client.bytes(1 << 20) == body[..1 << 20]);
        let sent = origin.sent();
        assert!(sent < LARGE_BYTES as u64 / 2, "{directives} the origin is rid of {sent} bytes");
        let (got, _) = client.rest();
        assert!(got == body[1 << 20..], "{directives} {} bytes came", got.len());
        assert!(!server.read("error.log").contains(SPILLED));
    }
}

#[test]
fn a_temporary_file_has_a_limit_and_the_answer_none() {
    let body = patterned(BODY_BYTES);
    let origin = Sender::start(body.clone());
    let limits = "proxy_buffers 4 8k; proxy_max_temp_file_size 64k; proxy_temp_file_write_size 16k;";
    let server = Server::start(&proxied(limits, origin.address));
    let mut client = ask_slowly(&server);
    server.wait_for_log(SPILLED);
    let (got, _) = client.rest();
    assert!(got == body, "{} of {BODY_BYTES} bytes came", got.len());
}

#[test]
fn an_answer_without_a_length_survives_the_file_too() {
    let body = patterned(BODY_BYTES);
    let chunks = body.chunks(1000).fold(answer(200).field("Transfer-Encoding", "chunked"), |reply, chunk| {
        reply.bytes(format!("{:x}\r\n", chunk.len())).bytes(chunk).bytes("\r\n")
    });
    let origin = Origin::always(chunks.bytes("0\r\n\r\n"));
    let small =
        "proxy_http_version 1.1; proxy_buffer_size 1k; proxy_buffers 3 1k; proxy_busy_buffers_size 2k;";
    let server = Server::start(&proxied(small, origin.address()));
    let mut client = Client::connect_narrow(server.address(), 8 << 10);
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_for_log(SPILLED);
    let response = client.response();
    assert_eq!(response.end, End::Framed);
    assert!(response.body == body, "{} of {BODY_BYTES} bytes came", response.body.len());
}

#[test]
fn a_client_that_keeps_up_needs_no_file() {
    let (body, gate) = (patterned(1 << 20), Gate::closed());
    let pieces = body.chunks(16 << 10);
    let reply = pieces.fold(answer(200).declared(body.len()), |reply, piece| reply.bytes(piece));
    let origin = Origin::always(reply.wait(&gate));
    let server = Server::start(&proxied("", origin.address()));
    gate.open();
    assert!(server.get("/").body == body);
    assert!(!server.read("error.log").contains(SPILLED));
}

#[test]
fn a_directory_that_is_gone_ends_the_answer_and_says_so() {
    let origin = Origin::always(answer(200).body(patterned(BODY_BYTES)));
    let server = Server::start(&proxied("proxy_temp_path %DIR%/spill;", origin.address()));
    fs::remove_dir_all(server.dir().join("spill")).unwrap();
    fs::write(server.dir().join("spill"), "in the way").unwrap();
    let mut client = ask_slowly(&server);
    assert!(client.rest().0.len() < BODY_BYTES, "what the file should have had is missing");
    server.wait_for_log("spill/0000000001\" failed (20: Not a directory) while reading upstream");
}

#[test]
fn a_head_larger_than_its_buffer_is_an_error() {
    let origin = Origin::answering(|asked| {
        let size = asked.target().trim_start_matches('/').parse().unwrap_or(0);
        answer(200).field("X-Large", &"x".repeat(size)).body("fits")
    });
    let server = Server::start(&proxied("proxy_buffer_size 2k;", origin.address()));
    assert_eq!(server.get("/1900").text(), "fits");
    assert_eq!(server.get("/2100").status(), 502);
    server.wait_for_log("[error]");
    assert!(server.read("error.log").contains(
        "upstream sent too big header while reading response header from upstream, client: 127.0.0.1"
    ));
}
