//! Moving a body from the upstream to those who read it and to the disk.
//!
//! Whoever has read the last byte finds the answer in the cache: it can be found before the last chunk is
//! handed out. Small bodies are found in memory then, while their file is still being written.

use std::sync::Arc;

use bytes::Bytes;
use config::FillAbandoned;
use tokio::task::{JoinError, JoinHandle};

use super::{
    fill::{Release, TAIL_BYTES, Ticket},
    sink::{GaveUp, Sink},
    zone::Entry,
};
use crate::http::proxy::transport::UpstreamBody;
use crate::{
    error_log::{self, Level},
    http::{Fault, exchange::UpstreamFacts},
};

/// Bytes that are gathered before the disk is bothered; smaller bodies are written at once when they are whole.
const BATCH_BYTES: u64 = 64 << 10;

/// A body on its way.
pub struct Pump {
    ticket: Ticket,
    body: Box<UpstreamBody>,
    /// Content-Length, where there is one.
    length: Option<u64>,
    received: u64,
    /// The chunk that completes the body, withheld until the answer can be found.
    last: Option<Bytes>,
    disk: Disk,
    /// Whether it goes on when nobody reads.
    abandoned: FillAbandoned,
    /// Chunks that the disk has not been given yet.
    pending: Vec<Bytes>,
    pending_bytes: u64,
}

/// What the disk is doing.
pub enum Disk {
    /// It waits for more.
    Idle(Box<dyn Sink>),
    /// It writes.
    Busy(JoinHandle<Written>),
    /// It has given up; the answer goes on without it.
    Failed,
}

/// The sink back from a write, and up to where its file can be read.
type Written = (Box<dyn Sink>, Result<u64, GaveUp>);

/// What woke a pump.
enum Event {
    Chunk(Result<Option<Bytes>, Fault>),
    Written(Result<Written, JoinError>),
    Moved,
}

impl Pump {
    pub fn new(ticket: Ticket, body: Box<UpstreamBody>, length: Option<u64>, disk: Disk) -> Self {
        Self {
            ticket,
            body,
            length,
            received: 0,
            last: None,
            disk,
            abandoned: FillAbandoned::Goes,
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    /// Says when to give up what nobody reads.
    pub fn abandoned(self, abandoned: FillAbandoned) -> Self {
        Self { abandoned, ..self }
    }

    /// Moves all of it. `facts` are those of the one who asked, for what the whole answer took.
    pub async fn run(mut self, facts: UpstreamFacts) {
        loop {
            let reads = self.may_read();
            if matches!(self.disk, Disk::Failed) && self.ticket.unread().is_none() {
                // Neither disk nor reader: there is nothing to fetch for.
                return;
            }
            let may_end = !self.abandoned.goes_on(self.received, self.length);
            if may_end && self.ticket.end_if_deserted() {
                error_log::write(Level::Info, format_args!("all clients left, response is not cached"));
                return;
            }
            let watches = may_end || matches!(self.disk, Disk::Failed);
            let event = tokio::select! {
                biased;
                written = writing(&mut self.disk) => Event::Written(written),
                chunk = self.body.next(), if reads => Event::Chunk(chunk),
                () = self.ticket.reader_moved(), if watches => Event::Moved,
            };
            match event {
                Event::Chunk(Ok(Some(bytes))) => self.take(bytes),
                Event::Chunk(Ok(None)) => return self.end(facts).await,
                Event::Chunk(Err(fault)) => return self.ticket.fail(fault),
                Event::Written(written) => self.written(written),
                Event::Moved => {}
            }
        }
    }

    /// Whether memory allows to take more from the upstream.
    fn may_read(&self) -> bool {
        match &self.disk {
            Disk::Idle(_) | Disk::Busy(_) => self.pending_bytes < TAIL_BYTES,
            Disk::Failed => self.ticket.unread().is_some_and(|unread| unread < TAIL_BYTES),
        }
    }

    fn take(&mut self, bytes: Bytes) {
        self.received += bytes.len() as u64;
        if self.length == Some(self.received) {
            self.last = Some(bytes.clone());
        } else {
            self.ticket.append(bytes.clone());
        }
        if matches!(self.disk, Disk::Failed) {
            return;
        }
        self.pending_bytes += bytes.len() as u64;
        self.pending.push(bytes);
        if self.pending_bytes >= BATCH_BYTES {
            self.write();
        }
    }

    /// Gives the disk what is pending, if it waits for more.
    fn write(&mut self) {
        match std::mem::replace(&mut self.disk, Disk::Failed) {
            Disk::Idle(mut sink) => {
                let chunks = std::mem::take(&mut self.pending);
                self.pending_bytes = 0;
                let work = move || {
                    let done = sink.write(&chunks);
                    (sink, done)
                };
                self.disk = Disk::Busy(tokio::task::spawn_blocking(work));
            }
            other => self.disk = other,
        }
    }

    fn written(&mut self, written: Result<Written, JoinError>) {
        match written {
            Ok((sink, Ok(position))) => {
                self.disk = Disk::Idle(sink);
                self.ticket.trim(position);
                if self.pending_bytes >= BATCH_BYTES {
                    self.write();
                }
            }
            Ok((_, Err(GaveUp))) => self.give_up_disk(),
            Err(error) => {
                died(&error);
                self.give_up_disk();
            }
        }
    }

    /// The answer goes on to those who read it, and nobody new finds it.
    fn give_up_disk(&mut self) {
        self.disk = Disk::Failed;
        self.pending.clear();
        self.pending_bytes = 0;
        self.ticket.turn_away(Release::LookAgain);
    }

    /// Makes the answer one that can be found, then hands out its end.
    async fn end(mut self, mut facts: UpstreamFacts) {
        self.body.finish(&mut facts);
        while matches!(self.disk, Disk::Busy(_)) {
            let written = writing(&mut self.disk).await;
            self.disk = Disk::Failed;
            self.written(written);
        }
        match std::mem::replace(&mut self.disk, Disk::Failed) {
            Disk::Idle(sink) => self.store(sink, facts).await,
            Disk::Busy(_) | Disk::Failed => self.hand_out_end(facts),
        }
    }

    async fn store(mut self, mut sink: Box<dyn Sink>, facts: UpstreamFacts) {
        let chunks = std::mem::take(&mut self.pending);
        match sink.show(&chunks) {
            Some(shown) => {
                self.hand_out_end(facts);
                if let Err(GaveUp) = commit(sink, chunks, Some(Arc::clone(&shown.entry))).await {
                    shown.withdraw();
                }
            }
            None => {
                // Whoever asked gets the answer either way.
                let _ = commit(sink, chunks, None).await;
                self.hand_out_end(facts);
            }
        }
    }

    fn hand_out_end(mut self, facts: UpstreamFacts) {
        self.ticket.unlist();
        if let Some(last) = self.last.take() {
            self.ticket.append(last);
        }
        self.ticket.complete(facts);
    }
}

/// Writes what is left and gives the file its name, on a thread that may block.
async fn commit(sink: Box<dyn Sink>, chunks: Vec<Bytes>, shown: Option<Arc<Entry>>) -> Result<(), GaveUp> {
    let work = move || sink.commit(&chunks, shown.as_ref());
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        died(&error);
        Err(GaveUp)
    })
}

fn died(error: &JoinError) {
    error_log::write(Level::Alert, format_args!("writing an upstream response: {error}"));
}

/// Waits for the disk, for ever where it has nothing to do. Cancel safe.
async fn writing(disk: &mut Disk) -> Result<Written, JoinError> {
    match disk {
        Disk::Busy(job) => job.await,
        Disk::Idle(_) | Disk::Failed => std::future::pending().await,
    }
}
