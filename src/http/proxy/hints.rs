//! `early_hints`: a 103 of an upstream reaches the client while the answer is still being waited for.
//!
//! Whoever asks the upstream may be another task (a fill of the cache), so the heads go through a channel, which is made
//! only where the configuration and the client want it.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use config::LocationConf;
use http1::{ResponseHead, Version};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{any_true, client_left, response};
use crate::http::{Exchange, Fault, client::Client};

/// The end where an upstream's hints go in.
#[derive(Debug)]
pub struct Hints(UnboundedSender<Bytes>);

/// The end from which they reach the client.
#[derive(Debug)]
pub(super) struct Arriving {
    heads: Option<UnboundedReceiver<Bytes>>,
    send_timeout: Duration,
}

/// Makes a channel where hints are wanted.
pub(super) fn channel(exchange: &Exchange) -> (Option<Hints>, Arriving) {
    let core = &exchange.location.core;
    let send_timeout = *core.send_timeout;
    // Older clients would take it for the answer, and a part of an answer has no place for it.
    if core.early_hints.is_empty()
        || !exchange.is_main()
        || exchange.head.version < Version::V1_1
        || !any_true(exchange, &core.early_hints)
    {
        return (None, Arriving { heads: None, send_timeout });
    }
    let (sender, receiver) = unbounded_channel();
    (Some(Hints(sender)), Arriving { heads: Some(receiver), send_timeout })
}

impl Hints {
    /// Sends a 103 on its way; one without fields that the client may see says nothing.
    pub fn pass(&self, location: &LocationConf, head: &ResponseHead) {
        let mut bytes = Vec::new();
        http1::write_status_line(&mut bytes, head.status, None);
        let bare = bytes.len();
        for (name, value) in head.fields.iter().filter(|(name, _)| response::passes_ahead(location, name)) {
            http1::write_field(&mut bytes, name, value);
        }
        if bytes.len() > bare {
            bytes.extend_from_slice(b"\r\n");
            // Nobody listens any more where the client has left.
            let _ = self.0.send(bytes.into());
        }
    }
}

impl Arriving {
    /// Does the work, and meanwhile writes to the client what arrives. It stays where it is: moving it would cost more
    /// than the rest of this.
    ///
    /// # Errors
    /// The client is gone or too slow; what it got may end in the middle of a head.
    pub(super) async fn meanwhile<T>(
        self,
        client: &Client,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Fault> {
        let Some(mut heads) = self.heads else { return Ok(work.await) };
        let send = async |head: Bytes| {
            let sent = tokio::time::timeout(self.send_timeout, client.send_interim(&head)).await;
            if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(client_left()) }
        };
        let done = loop {
            tokio::select! {
                biased;
                Some(head) = heads.recv() => send(head).await?,
                done = &mut work => break done,
            }
        };
        // Hints and answer may have come together.
        while let Ok(head) = heads.try_recv() {
            send(head).await?;
        }
        Ok(done)
    }
}
