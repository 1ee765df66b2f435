//! One question to the name servers: a packet, again after a while to the next one, and a stream where the answer is
//! too long for a packet.
//!
//! It goes on until somebody answers; whoever waits has a deadline of its own.

use std::{
    fmt,
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{sleep, timeout},
};

use super::message::{Answer, Item, NOT_FOUND, Question, Reading};
use crate::{
    clock,
    error_log::{self, Level, system_words},
};

/// After this time without an answer the next server is asked. As nginx.
const RESEND_AFTER: Duration = Duration::from_secs(5);
/// Aliases that are followed. As nginx.
const ALIASES_MAX: usize = 50;
/// Longest packet that is taken.
const PACKET_BYTES_MAX: usize = 4096;

/// Asks the servers, the one of number `first` first, until one answers, and follows aliases. Cancel safe.
///
/// # Errors
/// DNS's code, where a server says that there is no answer.
pub async fn ask(servers: &[SocketAddr], first: usize, mut question: Question) -> Result<Answer<Item>, u16> {
    for _ in 0..=ALIASES_MAX {
        match ask_once(servers, first, &question).await {
            Reading::Answer(answer) => return Ok(answer),
            Reading::Alias(next) => question = next,
            Reading::Failed(code) => return Err(code),
            Reading::Foreign | Reading::Truncated => return Err(NOT_FOUND),
        }
    }
    Err(NOT_FOUND)
}

async fn ask_once(servers: &[SocketAddr], first: usize, question: &Question) -> Reading {
    let mut failed = 0;
    for server in servers.iter().cycle().skip(first % servers.len()) {
        let begun = clock::moment();
        let packet = timeout(RESEND_AFTER, by_packet(*server, question)).await;
        let tried = match packet {
            Ok(Ok(Reading::Truncated)) => timeout(RESEND_AFTER, by_stream(*server, question)).await,
            tried => tried,
        };
        match tried {
            Ok(Ok(reading)) => return reading,
            Ok(Err(error)) => {
                error_log::write(Level::Error, format_args!("{error} while resolving, resolver: {server}"));
                failed += 1;
                // The others may be better; when all have failed at once there is no hurry.
                if failed % servers.len() == 0 {
                    sleep(RESEND_AFTER.saturating_sub(begun.elapsed())).await;
                }
            }
            Err(_elapsed) => {}
        }
    }
    unreachable!("the servers are asked in a circle")
}

async fn by_packet(server: SocketAddr, question: &Question) -> Result<Reading, CallFailed> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A port of its own for each question, which whoever wants to deceive us would have to guess.
    let socket = called("bind", UdpSocket::bind(any)).await?;
    called("connect", socket.connect(server)).await?;
    let id = new_id()?;
    called("send", socket.send(&question.packet(id))).await?;
    let mut buffer = [0; PACKET_BYTES_MAX];
    loop {
        let length = called("recv", socket.recv(&mut buffer)).await?;
        match question.read(&buffer[..length], id) {
            Reading::Foreign => {}
            reading => return Ok(reading),
        }
    }
}

async fn by_stream(server: SocketAddr, question: &Question) -> Result<Reading, CallFailed> {
    let mut stream = called("connect", TcpStream::connect(server)).await?;
    let id = new_id()?;
    let packet = question.packet(id);
    let length = u16::try_from(packet.len()).expect("a question has one name of 255 bytes at most");
    let framed = [&length.to_be_bytes()[..], &packet].concat();
    called("send", stream.write_all(&framed)).await?;
    let length = called("recv", stream.read_u16()).await?;
    let mut answer = vec![0; length.into()];
    called("recv", stream.read_exact(&mut answer)).await?;
    Ok(question.read(&answer, id))
}

fn new_id() -> Result<u16, CallFailed> {
    let random = getrandom::u32();
    let random = random
        .map_err(|error| CallFailed { call: "getrandom", error: io::Error::other(error.to_string()) })?;
    Ok((random >> 16) as u16)
}

/// A system call that failed.
struct CallFailed {
    call: &'static str,
    error: io::Error,
}

impl fmt::Display for CallFailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}() failed ({})", self.call, system_words(&self.error))
    }
}

async fn called<T>(call: &'static str, result: impl Future<Output = io::Result<T>>) -> Result<T, CallFailed> {
    result.await.map_err(|error| CallFailed { call, error })
}
