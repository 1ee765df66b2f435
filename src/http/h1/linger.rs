//! Ending a connection so that the client can still read its answer.
//!
//! Closing a socket with unread bytes resets it, and the reset may overtake the answer. So what the
//! client is still sending is read and dropped for a while (`lingering_close`, `lingering_time`, `lingering_timeout`).

use bytes::BytesMut;
use config::{CoreConf, LingeringClose};

use super::Next;
use crate::{
    http::{
        Exchange,
        client::{Client, READ_BYTES},
    },
    net::Timer,
};

/// Reads the rest of a body that nobody wanted, so that the next request can be found.
pub(super) async fn discard_body(exchange: &mut Exchange) -> Next {
    let core = &exchange.location.core;
    let discard = exchange.body.discard(&exchange.client, *core.lingering_timeout);
    match tokio::time::timeout(*core.lingering_time, discard).await {
        Ok(Ok(())) => Next::Request,
        Ok(Err(_)) | Err(_) => Next::Drop,
    }
}

/// Closes our side, and reads on for a while where the client may still be sending.
pub(super) async fn close(client: &Client, timer: &mut Timer, core: &CoreConf, next: Next) {
    let sends_on = next == Next::Linger || !client.input.borrow().is_empty() || pending(client);
    let lingers = match *core.lingering_close {
        LingeringClose::Off => false,
        LingeringClose::On => sends_on,
        LingeringClose::Always => true,
    };
    if !lingers || client.stream.shutdown_write().is_err() {
        return;
    }
    read_on(client, timer, core).await;
}

/// Reads and drops what the client still sends, up to its end or as long as it may take.
pub async fn read_on(client: &Client, timer: &mut Timer, core: &CoreConf) {
    let mut dropped = BytesMut::with_capacity(READ_BYTES);
    let read_on = async {
        loop {
            dropped.clear();
            match timer.within(*core.lingering_timeout, client.stream.read(&mut dropped)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    };
    // Whether the client or the time ended first makes no difference.
    let _ = tokio::time::timeout(*core.lingering_time, read_on).await;
}

/// Whether bytes have arrived that nobody will read.
fn pending(client: &Client) -> bool {
    matches!(client.try_receive(), Ok(1..))
}
