//! A body whose slices are asked for one after another.
//!
//! A slice is asked for when all before it has been taken: never is more than one under way, and a client that reads slowly
//! holds up the origin as much. Slices are of one size, or fill the gaps between parts that are stored.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

use super::{ContentRange, Extent, Slicing, check, mismatch};
use crate::http::{
    Body, Exchange, Fault, Response,
    fault::{self, Kind, Side},
    proxy::cache::parts::StoredParts,
    response::{Piece, Source},
    subrequest::{self, Asking},
};

/// What is left of a body made of slices.
pub struct Slices {
    /// What all slices have alike.
    etag: Option<Vec<u8>>,
    plan: Plan,
    complete_length: u64,
    /// What is left of the part that is wanted.
    window: Range<u64>,
    /// Where the next slice begins.
    next: u64,
    stage: Stage,
    /// Where the slice came from that the request itself had asked for, when it has been read.
    first: Option<Source>,
}

/// How a whole is divided.
enum Plan {
    /// Into slices of that size.
    Even { size: u64 },
    /// Into what is stored and what is missing. A slice may have been asked for ahead.
    Stored { parts: StoredParts, ahead: Option<Box<Reading>> },
}

/// What comes next.
enum Upcoming {
    /// A slice that is there.
    Here(Box<Reading>),
    /// One that has to be asked for.
    Ask(Slicing),
}

enum Stage {
    /// The head of a slice is waited for.
    Asking(Asking),
    /// A slice is read.
    Reading(Box<Reading>),
    /// The next one may be asked for.
    Between,
}

/// A slice on its way.
struct Reading {
    /// Whose answer it is; nobody's but the client's own for the first.
    exchange: Option<Box<Exchange>>,
    pieces: VecDeque<Piece>,
    source: Option<Source>,
    /// Place of the next byte in the whole.
    position: u64,
    end: u64,
}

impl Slices {
    /// Begins with the slice that is there.
    pub(super) fn new(first: Body, slice: &ContentRange, size: u64, etag: Option<Vec<u8>>) -> Self {
        Self {
            etag,
            plan: Plan::Even { size },
            complete_length: slice.complete_length,
            window: 0..slice.complete_length,
            next: slice.end,
            stage: Stage::Reading(Box::new(Reading::new(None, first, slice))),
            first: None,
        }
    }

    /// Joins stored parts, and asks for what is missing.
    pub fn joined(parts: StoredParts) -> Self {
        Self {
            etag: Some(parts.etag().to_vec()),
            complete_length: parts.complete_length(),
            window: 0..parts.complete_length(),
            plan: Plan::Stored { parts, ahead: None },
            next: 0,
            stage: Stage::Between,
            first: None,
        }
    }

    /// Leaves out all but a part: slices before and behind it are not asked for.
    pub fn narrow(&mut self, part: &Range<u64>) {
        self.window = part.clone();
        self.next = match &self.plan {
            Plan::Even { size } => self.next.max(part.start / size * size),
            Plan::Stored { .. } => part.start,
        };
    }

    /// Asks for a part of those that are joined ahead of all that comes before it: so a whole that has changed is noticed before anything
    /// is sent.
    ///
    /// # Errors
    /// It cannot be had, or is of another whole.
    pub async fn begin(&mut self, exchange: &Exchange, part: Range<u64>) -> Result<(), Fault> {
        let slicing = Slicing::Asked { start: part.start, size: part.end - part.start };
        let (exchange, response) = subrequest::again(exchange, slicing)?.await;
        let reading = self.read(exchange, response).map_err(|(_, fault)| fault)?;
        if let Plan::Stored { ahead, .. } = &mut self.plan {
            *ahead = Some(reading);
        }
        Ok(())
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Asking(asking) => asking.is_finished(),
            Stage::Reading(reading) => reading.is_ready(),
            Stage::Between => self.next >= self.window.end,
        }
    }

    /// Returns the next piece, which is empty where a slice has just been asked for; none at the end. Cancel safe.
    ///
    /// # Errors
    /// A slice cannot be had, or is none of the same whole.
    pub async fn next(&mut self, exchange: &Exchange) -> Result<Option<Piece>, Fault> {
        loop {
            match &mut self.stage {
                Stage::Asking(asking) => {
                    let (exchange, response) = asking.await;
                    self.answered(exchange, response)?;
                }
                Stage::Reading(reading) => match reading.next(exchange).await? {
                    Some((start, piece)) => {
                        if let Some(piece) = piece.cut(start, Some(&self.window)) {
                            return Ok(Some(piece));
                        }
                    }
                    None => self.end_slice()?,
                },
                Stage::Between if self.next >= self.window.end => {
                    exchange.slicing.set(Slicing::Answered);
                    return Ok(None);
                }
                Stage::Between => match self.upcoming().await {
                    Upcoming::Here(reading) => self.go_on_with(reading),
                    Upcoming::Ask(slicing) => {
                        self.stage = Stage::Asking(subrequest::again(exchange, slicing)?);
                        // The caller may have something to send before the answer is there.
                        return Ok(Some(Piece::Memory(Bytes::new())));
                    }
                },
            }
        }
    }

    /// Finds out what comes next. Cancel safe.
    async fn upcoming(&mut self) -> Upcoming {
        let start = self.next;
        let (parts, ahead) = match &mut self.plan {
            Plan::Even { size } => return Upcoming::Ask(Slicing::Asked { start, size: *size }),
            Plan::Stored { parts, ahead } => (parts, ahead),
        };
        if let Some(reading) = ahead.take_if(|reading| reading.position == start) {
            return Upcoming::Here(reading);
        }
        if let Some((body, range)) = parts.at(start).await {
            return Upcoming::Here(Box::new(Reading::new(None, body, &range)));
        }
        let ahead_start = ahead.as_ref().map(|reading| reading.position).filter(|ahead| *ahead > start);
        let end = parts.next_start(start).min(self.window.end).min(ahead_start.unwrap_or(u64::MAX));
        Upcoming::Ask(Slicing::Asked { start, size: end - start })
    }

    fn go_on_with(&mut self, reading: Box<Reading>) {
        // Stored parts may overlap: what has been sent is not sent again.
        self.window.start = self.window.start.max(self.next);
        self.next = reading.end;
        self.stage = Stage::Reading(reading);
    }

    fn answered(&mut self, exchange: Box<Exchange>, response: Option<Box<Response>>) -> Result<(), Fault> {
        let reading = self.read(exchange, response).map_err(|(exchange, fault)| {
            // The line is about the request for the slice; the client's own has nothing to add.
            fault::log(&exchange, &fault);
            Fault::status_only(fault.status())
        })?;
        self.go_on_with(reading);
        Ok(())
    }

    /// Begins to read an answer, if it is the slice that was asked for.
    fn read(
        &self,
        exchange: Box<Exchange>,
        response: Option<Box<Response>>,
    ) -> Result<Box<Reading>, (Box<Exchange>, Fault)> {
        let status = exchange.sent.status;
        let checked = response.ok_or_else(|| unexpected_status(status)).and_then(|response| {
            let slice = self.check(&exchange, &response)?;
            Ok((slice, response.body))
        });
        match checked {
            Ok((slice, body)) => Ok(Box::new(Reading::new(Some(exchange), body, &slice))),
            Err(fault) => {
                if let Plan::Stored { parts, .. } = &self.plan {
                    parts.forget();
                }
                Err((exchange, fault))
            }
        }
    }

    /// Returns where a slice lies, if it is what was asked for, and of the same whole.
    fn check(&self, exchange: &Exchange, response: &Response) -> Result<ContentRange, Fault> {
        let Slicing::Asked { start, size } = exchange.slicing.get() else {
            return Err(mismatch("missing slice response"));
        };
        if response.status != 206 {
            return Err(unexpected_status(response.status));
        }
        if self.etag.is_some() && self.etag.as_deref() != response.field("ETag") {
            return Err(mismatch("etag mismatch in slice response"));
        }
        let extent = match &self.plan {
            Plan::Even { .. } => Extent::Exact,
            Plan::Stored { .. } => Extent::Beginning,
        };
        let slice = check(response, start, size, extent)?;
        if slice.complete_length != self.complete_length {
            return Err(mismatch("length mismatch in slice response"));
        }
        Ok(slice)
    }

    fn end_slice(&mut self) -> Result<(), Fault> {
        let Stage::Reading(reading) = std::mem::replace(&mut self.stage, Stage::Between) else {
            return Ok(());
        };
        let Reading { exchange, source, position, end, .. } = *reading;
        match exchange {
            None => self.first = self.first.take().or(source),
            Some(exchange) => subrequest::finish(exchange, source.as_ref()),
        }
        if position < end { Err(too_short()) } else { Ok(()) }
    }

    /// Returns what the slice in hand is read from, where it is still arriving.
    pub fn source(&self) -> Option<&Source> {
        match &self.stage {
            Stage::Reading(reading) => reading.source.as_ref(),
            Stage::Asking(_) | Stage::Between => None,
        }
    }

    /// Returns what the slice in hand is read from, to be read ahead.
    pub fn source_mut(&mut self) -> Option<&mut Source> {
        match &mut self.stage {
            Stage::Reading(reading) => reading.source.as_mut(),
            Stage::Asking(_) | Stage::Between => None,
        }
    }

    /// Notes what the slice took that the request itself had asked for.
    pub fn finish(&self, exchange: &mut Exchange) {
        let unread = match &self.stage {
            Stage::Reading(reading) if reading.exchange.is_none() => reading.source.as_ref(),
            _ => None,
        };
        if let Some(source) = self.first.as_ref().or(unread) {
            source.finish(exchange);
        }
    }
}

impl Reading {
    fn new(exchange: Option<Box<Exchange>>, body: Body, slice: &ContentRange) -> Self {
        let mut reading =
            Self { exchange, pieces: VecDeque::new(), source: None, position: slice.start, end: slice.end };
        match body {
            Body::Empty | Body::Tunnel(_) => {}
            Body::Memory(bytes) => reading.pieces.push_back(Piece::Memory(bytes)),
            Body::File(slice) => reading.pieces.push_back(Piece::File(slice)),
            Body::Pieces(pieces) => reading.pieces.extend(pieces),
            Body::Stream { source, .. } => reading.source = Some(source),
        }
        reading
    }

    fn is_ready(&self) -> bool {
        !self.pieces.is_empty() || self.source.as_ref().is_some_and(Source::is_ready)
    }

    /// Returns the next piece with its place in the whole. What goes beyond the slice is left out.
    async fn next(&mut self, exchange: &Exchange) -> Result<Option<(u64, Piece)>, Fault> {
        let exchange = self.exchange.as_deref().unwrap_or(exchange);
        let piece = match (self.pieces.pop_front(), &mut self.source) {
            (Some(piece), _) => Some(piece),
            // Boxed, since a source may be made of slices.
            (None, Some(source)) => Box::pin(source.next(exchange)).await?,
            (None, None) => None,
        };
        let Some(piece) = piece else { return Ok(None) };
        let start = self.position;
        let left = self.end - start;
        if piece.len() > left {
            return Err(too_long());
        }
        self.position += piece.len();
        if let Some(exchange) = &mut self.exchange {
            exchange.sent.bytes += piece.len();
            exchange.sent.body_bytes = exchange.sent.bytes;
        }
        Ok(Some((start, piece)))
    }
}

fn unexpected_status(status: u16) -> Fault {
    mismatch(format!("unexpected status code {status} in slice response"))
}

/// What the Content-Range of a slice promised did not come.
fn too_short() -> Fault {
    Fault {
        during: "reading upstream",
        ..Fault::new(Side::Upstream, Kind::Connection, "slice response is shorter than its range")
    }
}

/// More came than Content-Range promised.
fn too_long() -> Fault {
    Fault { detail: "slice response is longer than its range".into(), ..too_short() }
}
