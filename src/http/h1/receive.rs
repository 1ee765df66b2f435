//! Reading a request's head.

use std::{io, sync::Arc, time::Duration};

use bytes::Buf;
use config::ServerConf;
use http1::{HeadRules, InvalidNames, Progress, Underscores};

use super::Connection;
use crate::{
    clock,
    http::{
        Fault,
        fault::{Kind, Side},
        understand::{BodyEnd, Received, refused},
    },
};

impl Connection {
    /// Waits for the next request; none where the connection ends without one.
    ///
    /// `idle` is how long a kept connection may stay silent; the first request has `client_header_timeout`.
    pub(super) async fn receive(&mut self, idle: Option<Duration>) -> Option<Received> {
        self.parser.reset();
        self.head.clear();
        let server = Arc::clone(&self.event_loop.site.http().listeners[self.client.listener].default_server);
        let rules = head_rules(&server);
        let has_input = !self.client.input.borrow().is_empty();
        self.client.pipelined.set(has_input);
        if let Some(idle) = idle
            && !has_input
        {
            self.wait_for_request(idle).await?;
        }
        self.timer.reset(*server.core.client_header_timeout);
        let started = clock::moment();
        loop {
            let progress = self.parser.parse(&self.client.input.borrow(), &rules, &mut self.head);
            let fault = match progress {
                Ok(Progress::Done(used)) => {
                    self.client.input.borrow_mut().advance(used);
                    return Some(self.received(used, None, started));
                }
                Ok(Progress::NeedMore) => self.read_more().await?,
                Err(error) => Some(refused(&error)),
            };
            if fault.is_some() {
                let seen = self.client.input.borrow().len();
                return Some(self.received(seen, fault, started));
            }
        }
    }

    /// Waits until a kept connection says something; none where it ends.
    async fn wait_for_request(&mut self, idle: Duration) -> Option<()> {
        let receive = self.timer.within(idle, self.client.receive());
        let received = tokio::select! {
            biased;
            received = receive => received,
            () = self.event_loop.drain.wait() => {
                // A request may be under way: it is answered, with the word that it is the last.
                self.timer.within(idle.min(DRAIN_PATIENCE), self.client.receive()).await
            }
        };
        matches!(received, Ok(1..)).then_some(())
    }

    /// Reads more of a head; none where the connection ends without a word, a fault where it ends amid one.
    async fn read_more(&mut self) -> Option<Option<Fault>> {
        match self.timer.limit(self.client.receive()).await {
            Ok(1..) => Some(None),
            Ok(0) if self.client.input.borrow().is_empty() => None,
            Ok(0) => Some(Some(lost(Kind::Connection, "client prematurely closed connection".to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                if self.client.input.borrow().is_empty() {
                    return None;
                }
                Some(Some(lost(Kind::Timeout, "client timed out".to_owned())))
            }
            Err(error) => Some(Some(lost(Kind::Connection, error.to_string()))),
        }
    }

    fn received(&mut self, head_bytes: usize, fault: Option<Fault>, started: clock::Moment) -> Received {
        Received {
            head: std::mem::take(&mut self.head),
            head_bytes: head_bytes as u64,
            body: BodyEnd::Announced,
            fault,
            started,
        }
    }
}

/// How long an idle connection of a worker that leaves may still begin a request.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

fn head_rules(server: &ServerConf) -> HeadRules {
    let core = &server.core;
    HeadRules {
        invalid_names: if *core.ignore_invalid_headers { InvalidNames::Ignored } else { InvalidNames::Kept },
        underscores: if *core.underscores_in_headers { Underscores::Valid } else { Underscores::Invalid },
        first_buffer_bytes: saturated(*core.client_header_buffer_size),
        max_line_bytes: saturated(core.large_client_header_buffers.size),
        max_large_buffers: core.large_client_header_buffers.count,
        max_fields: saturated(*core.max_headers),
    }
}

fn saturated(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A connection that ended amid a head.
fn lost(kind: Kind, detail: String) -> Fault {
    Fault { during: "reading client request headers", ..Fault::new(Side::Client, kind, detail) }
}
