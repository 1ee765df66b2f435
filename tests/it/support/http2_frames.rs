//! Frames of HTTP/2 as bytes, for clients that do what no client should: a writer, and a reader that takes them apart.
//!
//! Fields are written without compression (RFC 7541, 6.2.2), so that any bytes can stand in them.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::deadline::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A connection on which anything can be written.
pub struct Frames {
    stream: TcpStream,
    input: Vec<u8>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The reason of the last GOAWAY, where one came.
    pub reason: Option<u32>,
    /// The frames that came before the end.
    pub frames: Vec<Frame>,
}

/// Makes a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Makes a block of fields that enter no table.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Writes the length of a text (RFC 7541, 5.1).
fn length(out: &mut Vec<u8>, mut number: usize) {
    const PREFIX: usize = 127;
    if number < PREFIX {
        return out.push(u8::try_from(number).unwrap());
    }
    out.push(127);
    number -= PREFIX;
    while number >= 128 {
        out.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    out.push(u8::try_from(number).unwrap());
}

/// Makes the fields of a request.
pub fn get(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a.test")])
}

impl Frames {
    /// Connects and begins as every client does.
    pub fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut frames = Self { stream, input: Vec::new() };
        frames.send(frame(SETTINGS, 0, 0, &[]));
        frames
    }

    /// Writes bytes. A server that has had enough may not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads frames up to one of that kind.
    pub fn wait_for(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().expect("the connection lasts");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads up to the end of the connection.
    pub fn ending(mut self) -> Ending {
        let mut frames = Vec::new();
        while let Some(frame) = self.next() {
            frames.push(frame);
        }
        let goaway = frames.iter().rev().find(|frame| frame.kind == GOAWAY);
        let reason = goaway.map(|frame| u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
        Ending { reason, frames }
    }

    fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.input.first_chunk::<9>().copied() {
                let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
                if self.input.len() >= 9 + length {
                    let payload = self.input[9..9 + length].to_vec();
                    self.input.drain(..9 + length);
                    let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
                    return Some(Frame { kind: head[3], flags: head[4], stream, payload });
                }
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing comes"),
                Err(_) => return None,
            }
        }
    }
}
