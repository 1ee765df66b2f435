//! Interim answers of an upstream that reach the client while the answer is still being waited for: 103 where `early_hints` says so, and
//! after RFC 9110 every one that is not for this connection (15.2). They are never stored.
//!
//! Whoever asks the upstream may be another task (a fill of the cache), so the heads go through a channel, which is made
//! only where the configuration and the client want it.

use std::{pin::Pin, time::Duration};

use config::LocationConf;
use http1::{Fields, ResponseHead, Version};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{any_true, client_left, response};
use crate::http::{
    Exchange, Fault,
    client::{Client, Interim},
};

/// The end where an upstream's hints go in.
#[derive(Debug)]
pub struct Hints {
    passed: Passed,
    heads: UnboundedSender<Interim>,
}

/// Which interim answers reach the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// 103, where it says something.
    Hints,
    /// All but 100, which answers what this server asked for itself.
    All,
}

/// The end from which they reach the client.
#[derive(Debug)]
pub(super) struct Arriving {
    heads: Option<UnboundedReceiver<Interim>>,
    send_timeout: Duration,
}

/// Makes a channel where hints are wanted.
pub(super) fn channel(exchange: &Exchange) -> (Option<Hints>, Arriving) {
    let core = &exchange.location.core;
    let send_timeout = *core.send_timeout;
    // Older clients would take it for the answer, and a part of an answer has no place for it.
    let may_pass = exchange.is_main() && exchange.head.version >= Version::V1_1;
    let Some(passed) = passed(exchange).filter(|_| may_pass) else {
        return (None, Arriving { heads: None, send_timeout });
    };
    let (heads, receiver) = unbounded_channel();
    (Some(Hints { passed, heads }), Arriving { heads: Some(receiver), send_timeout })
}

fn passed(exchange: &Exchange) -> Option<Passed> {
    let location = &exchange.location;
    match &location.core.early_hints[..] {
        _ if location.cache.follows_rfc() => Some(Passed::All),
        [] => None,
        wanted => any_true(exchange, wanted).then_some(Passed::Hints),
    }
}

impl Passed {
    fn has(self, status: u16) -> bool {
        match self {
            Self::Hints => status == 103,
            Self::All => status > 101,
        }
    }
}

impl Hints {
    /// Sends an interim answer on its way, where it is wanted. A 103 without fields that the client may see says nothing.
    pub fn pass(&self, location: &LocationConf, head: &ResponseHead) {
        if !self.passed.has(head.status) {
            return;
        }
        let mut fields = Fields::new();
        for (name, value) in head.fields.iter().filter(|(name, _)| response::passes_ahead(location, name)) {
            fields.push(name, value);
        }
        if !fields.is_empty() || self.passed == Passed::All {
            let reason = (self.passed == Passed::All).then(|| head.reason.clone());
            // Nobody listens any more where the client has left.
            let _ = self.heads.send(Interim { status: head.status, reason, fields });
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
        let send = async |head: Interim| {
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
