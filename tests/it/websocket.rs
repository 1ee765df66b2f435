//! WebSocket frames through a tunnel: an echo that answers each message, of every length that a frame can announce.

use crate::support::{Origin, Server, answer, client::Client, reply::Part, servers};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A whole text message as a client sends it: masked (RFC 6455, 5.2).
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        len @ 0..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(text.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Reads one message and takes its mask off.
fn message(client: &mut Client) -> Vec<u8> {
    let head = client.bytes(2);
    assert_eq!((head[0], head[1] & 0x80), (0x81, 0x80), "a whole text message, masked");
    let length = match head[1] & 0x7f {
        126 => usize::from(u16::from_be_bytes(client.bytes(2).try_into().unwrap())),
        127 => usize::try_from(u64::from_be_bytes(client.bytes(8).try_into().unwrap())).unwrap(),
        short => usize::from(short),
    };
    let mask = client.bytes(4);
    client.bytes(length).iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

#[test]
fn messages_are_echoed_whole_and_in_order() {
    let switching = answer(101)
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let origin = Origin::script([switching.then(Part::Echo)]);
    let upgrade = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let conf = format!(
        "location / {{ proxy_pass http://%ORIGIN%; proxy_http_version 1.1; proxy_buffers 4 4k; {upgrade} }}"
    );
    let server = Server::start(&servers(&conf).origin(&origin));
    let mut client = server.client();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let head = client.response();
    assert_eq!(head.status(), 101, "{head}");
    assert_eq!(head.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let lengths = [0, 1, 125, 126, 65_535, 65_536, 300_000];
    for length in lengths {
        let text = vec![b'a' + u8::try_from(length % 26).unwrap(); length];
        client.send(frame(&text));
        assert!(message(&mut client) == text, "a message of {length} bytes");
    }
    for text in ["one", "two", "three"] {
        client.send(frame(text.as_bytes()));
    }
    let answers = ["one", "two", "three"].map(|_| String::from_utf8(message(&mut client)).unwrap());
    assert_eq!(answers, ["one", "two", "three"]);
    assert_eq!(origin.requests()[0].field("Sec-WebSocket-Key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}
