//! Clients that abuse HTTP/2: each is sent away early, with a line in the log, and others are served on.

use crate::support::{
    Server,
    http2_frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Ending, Frames, HEADERS, PING, PRIORITY, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, block, frame, get,
    },
    servers,
};

const ENHANCE_YOUR_CALM: u32 = 11;
const COMPRESSION_ERROR: u32 = 9;
const FLOW_CONTROL_ERROR: u32 = 3;
const PROTOCOL_ERROR: u32 = 1;

fn server() -> Server {
    let inside = "http2 on; large_client_header_buffers 4 1k; location / { return 200 ok; } \
                  location /slow { delay 1h; } ";
    Server::start(&servers(inside))
}

/// Sends that, and reads up to the end of the connection.
fn flood(server: &Server, bytes: &[u8]) -> Ending {
    let mut client = Frames::connect(server.address());
    client.send(bytes);
    let ending = client.ending();
    assert_eq!(server.get("/").status(), 200);
    ending
}

fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/"))
}

fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

#[test]
fn frames_without_a_use_are_a_flood() {
    let server = server();
    let open = frame(HEADERS, END_HEADERS, 1, &get("/slow"));
    for (name, first, repeated) in [
        ("PING", vec![], frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", open.clone(), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("unknown", vec![], frame(99, 0, 0, &[])),
    ] {
        let ending = flood(&server, &[first, repeated.repeat(10_200)].concat());
        assert!(matches!(ending.reason, Some(ENHANCE_YOUR_CALM) | None), "{name}: {:?}", ending.reason);
        server.wait_for_log("http2 flood detected");
    }
}

#[test]
fn empty_pieces_of_a_body_are_a_flood() {
    let server = server();
    let open = frame(HEADERS, END_HEADERS, 1, &get("/slow"));
    let ending = flood(&server, &[open, frame(DATA, 0, 1, &[]).repeat(10_200)].concat());
    assert!(matches!(ending.reason, Some(ENHANCE_YOUR_CALM) | None), "{:?}", ending.reason);
    server.wait_for_log("http2 flood detected");
}

#[test]
fn requests_given_up_at_once_are_a_flood() {
    let server = server();
    let pairs = streams()
        .take(2000)
        .map(|stream| [request(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat());
    let ending = flood(&server, &pairs.collect::<Vec<_>>().concat());
    assert!(matches!(ending.reason, Some(ENHANCE_YOUR_CALM) | None), "{:?}", ending.reason);
    server.wait_for_log("http2 flood detected");
}

#[test]
fn heads_without_an_end_are_a_flood() {
    let server = server();
    let begin = frame(HEADERS, END_STREAM, 1, &get("/"));
    let more = frame(CONTINUATION, 0, 1, &[]);
    let ending = flood(&server, &[begin, more.repeat(10_000)].concat());
    assert!(matches!(ending.reason, Some(ENHANCE_YOUR_CALM) | None), "{:?}", ending.reason);
    server.wait_for_log("http2 flood detected");
}

#[test]
fn empty_heads_end_the_connection() {
    let server = server();
    let empty = streams().take(2000).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[]));
    let ending = flood(&server, &empty.collect::<Vec<_>>().concat());
    assert!(matches!(ending.reason, Some(ENHANCE_YOUR_CALM) | None), "{:?}", ending.reason);
    server.wait_for_log("http2 flood detected");
}

#[test]
fn names_without_a_length_end_the_connection() {
    let server = server();
    let head = [get("/"), block(&[("", "x")])].concat();
    let ending = flood(&server, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
    assert!(matches!(ending.reason, Some(COMPRESSION_ERROR | PROTOCOL_ERROR)), "{:?}", ending.reason);
}

#[test]
fn windows_that_overflow_end_the_connection() {
    let server = server();
    let most = frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
    let ending = flood(&server, &most.repeat(2));
    assert_eq!(ending.reason, Some(FLOW_CONTROL_ERROR));
    server.wait_for_log("client violated flow control");
}

#[test]
fn a_bomb_of_fields_ends_the_connection() {
    let server = server();
    // One entry of the table, named again and again.
    let mut head = get("/");
    head.extend_from_slice(&[0x40, 1, b'a', 127, 0xa1, 0x1e]);
    head.extend_from_slice(&[b'x'; 4000]);
    head.extend(std::iter::repeat_n(0x80 | 62, 4000));
    let ending = flood(&server, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
    assert_eq!(ending.reason, Some(ENHANCE_YOUR_CALM));
    server.wait_for_log("http2 flood detected");
}

#[test]
fn a_head_over_the_limits_is_400() {
    let server = server();
    let head = [get("/"), block(&[("x-long", &"x".repeat(1500))])].concat();
    let mut client = Frames::connect(server.address());
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
    let answer = client.wait_for(HEADERS);
    // Entry 12 of the static table: `:status: 400`.
    assert_eq!(answer.payload.first(), Some(&(0x80 | 12)));
    server.wait_for_log("client sent too long header line: \"x-long...\"");
}
