//! A connection that has changed to another protocol (a WebSocket): bytes both ways until both sides are done.

use std::{io, time::Duration};

use bytes::{Buf, BytesMut};
use config::LocationConf;

use crate::{
    error_log::{self, Level},
    http::client::Client,
    net::{Stream, Timer},
    upstream::{Connection, Pick},
};

/// The upstream's side of a tunnel.
pub struct Upgraded {
    connection: Connection,
    /// Keeps the tunnel counted in `max_conns`.
    pick: Pick,
}

impl Upgraded {
    pub(super) fn new(connection: Connection, pick: Pick) -> Self {
        Self { connection, pick }
    }
}

/// Bytes that went through a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TunnelCounts {
    /// To the client.
    pub to_client: u64,
    /// To the upstream.
    pub to_upstream: u64,
}

/// Bytes that one read of either side takes.
const READ_BYTES: usize = 16 << 10;

/// Copies between client and upstream, what both have sent ahead included, until both have ended their sides, one of
/// them is lost, or nothing moved for `proxy_read_timeout`.
///
/// A side that ends is passed on as an end, so that the other can still finish what it was saying.
pub async fn tunnel(client: &Client, upgraded: Upgraded, location: &LocationConf) -> TunnelCounts {
    let Upgraded { connection, pick } = upgraded;
    let Connection { stream, mut timer, input, .. } = connection;
    let sent_ahead = std::mem::take(&mut *client.input.borrow_mut());
    let (client_end, peer_end) = (End::Client(client), End::Peer(&stream));
    let mut up = Flow { from: client_end, to: peer_end, waiting: sent_ahead, moved: 0, open: true };
    let mut down = Flow { from: peer_end, to: client_end, waiting: input, moved: 0, open: true };
    let ended = copy(&mut up, &mut down, &mut timer, location).await;
    if let Err(error) = ended
        && error.kind() == io::ErrorKind::TimedOut
    {
        let peer = &pick.peer().name;
        let message = format_args!(
            "upstream timed out (110: Connection timed out) while proxying upgraded connection, upstream: \"{peer}\""
        );
        error_log::write_for(None, Level::Error, Some(client.serial), message);
    }
    TunnelCounts { to_client: down.moved, to_upstream: up.moved }
}

async fn copy(
    up: &mut Flow<'_>,
    down: &mut Flow<'_>,
    timer: &mut Timer,
    location: &LocationConf,
) -> io::Result<()> {
    while up.open || down.open {
        let timeout = patience(up, down, location);
        let step = async {
            tokio::select! {
                done = up.step(), if up.open => done,
                done = down.step(), if down.open => done,
            }
        };
        timer.within(timeout, step).await?;
    }
    Ok(())
}

/// As nginx: a side that takes nothing has its send timeout, and silence `proxy_read_timeout`.
fn patience(up: &Flow<'_>, down: &Flow<'_>, location: &LocationConf) -> Duration {
    let mut patience = *location.proxy.read_timeout;
    if !up.waiting.is_empty() {
        patience = patience.min(*location.proxy.send_timeout);
    }
    if !down.waiting.is_empty() {
        patience = patience.min(*location.core.send_timeout);
    }
    patience
}

/// One end of a tunnel.
#[derive(Clone, Copy)]
enum End<'a> {
    Client(&'a Client),
    Peer(&'a Stream),
}

impl End<'_> {
    async fn read(self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Client(client) => client.read_raw(buffer).await,
            Self::Peer(stream) => stream.read(buffer).await,
        }
    }

    async fn write(self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Client(client) => client.write_raw(bytes).await,
            Self::Peer(stream) => stream.write(bytes).await,
        }
    }

    async fn flush(self) -> io::Result<()> {
        match self {
            Self::Client(client) => client.flush_raw().await,
            Self::Peer(stream) => stream.flush().await,
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Client(client) => client.end_raw(),
            Self::Peer(stream) => stream.shutdown_write(),
        }
    }
}

/// One direction.
struct Flow<'a> {
    from: End<'a>,
    to: End<'a>,
    waiting: BytesMut,
    moved: u64,
    open: bool,
}

impl Flow<'_> {
    /// Writes what is waiting, or else reads more. Cancel safe.
    async fn step(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let count = self.to.write(&self.waiting).await?;
            self.waiting.advance(count);
            self.moved += count as u64;
            return Ok(());
        }
        self.to.flush().await?;
        self.waiting.reserve(READ_BYTES);
        if self.from.read(&mut self.waiting).await? == 0 {
            self.open = false;
            self.to.end()?;
        }
        Ok(())
    }
}
