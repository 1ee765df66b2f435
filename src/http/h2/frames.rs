//! What goes over a connection of HTTP/2, frame by frame: how long heads are, and whether the client floods us.
//!
//! h2 answers every frame faithfully, however little it is good for. Here they are counted: each frame without a use for a
//! request takes from a budget that requests, payload and time fill again. Deciding is pure; [`Watched`] looks at what is read.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{clock::Moment, net::Gathering};

/// What a client has sent too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Frames that are good for nothing.
    Frames,
    /// Requests that it gave up at once.
    Resets,
}

/// Looks at the frames that arrive.
pub struct FrameMeter {
    /// Bytes before the next frame: the rest of the preface or of a payload.
    skip: u64,
    head: [u8; HEAD_BYTES],
    head_filled: usize,
    frames: Budget,
    resets: Budget,
    flood: Option<Flood>,
    /// Streams whose heads have arrived and were not asked for, with their lengths.
    heads: VecDeque<(u32, u64)>,
}

/// So many may come at once, and so many more as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Budget {
    left: u64,
    most: u64,
    every: Duration,
    /// Up to when time has been counted, from the beginning.
    counted: Duration,
}

/// Bytes before the payload of a frame.
const HEAD_BYTES: usize = 9;
/// Bytes that a client begins with.
const PREFACE_BYTES: u64 = super::PREFACE.len() as u64;
/// Frames without a use that may come in a row, and how often another one may.
const FRAMES_MOST: u64 = 10_000;
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// Requests that a client may give up in a row, and how often another one.
const RESETS_MOST: u64 = 1000;
const RESET_EVERY: Duration = Duration::from_millis(10);
/// Frames that a request is good for: settings, windows, priorities.
const FRAMES_OF_REQUEST: u64 = 32;
/// Payload, in either direction, that is good for another frame.
const BYTES_OF_FRAME: u64 = 64;
/// Heads that are remembered: more than streams can wait to be accepted.
const HEADS_MOST: usize = 1024;

impl FrameMeter {
    /// Begins with a connection.
    pub fn new() -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_filled: 0,
            frames: Budget::new(FRAMES_MOST, FRAME_EVERY),
            resets: Budget::new(RESETS_MOST, RESET_EVERY),
            flood: None,
            heads: VecDeque::new(),
        }
    }

    /// Takes note of what was read, so long after the beginning.
    pub fn received(&mut self, mut bytes: &[u8], elapsed: Duration) {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
            let count = bytes.len().min(HEAD_BYTES - self.head_filled);
            self.head[self.head_filled..][..count].copy_from_slice(&bytes[..count]);
            self.head_filled += count;
            bytes = &bytes[count..];
            if self.head_filled == HEAD_BYTES && self.skip == 0 {
                self.head_filled = 0;
                self.frame(elapsed);
            }
        }
    }

    fn frame(&mut self, elapsed: Duration) {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const CONTINUATION: u8 = 9;
        let [a, b, c, kind, _, stream @ ..] = self.head;
        let length = u64::from(u32::from_be_bytes([0, a, b, c]));
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        self.skip = length;
        let spent = match kind {
            DATA if length > 0 => {
                self.frames.fill(length.div_ceil(BYTES_OF_FRAME));
                self.frames.spend(elapsed)
            }
            HEADERS => {
                self.frames.fill(FRAMES_OF_REQUEST);
                if self.heads.len() < HEADS_MOST {
                    self.heads.push_back((stream, length));
                }
                true
            }
            CONTINUATION => {
                if let Some((_, head)) = self.heads.back_mut() {
                    *head += length;
                }
                self.frames.spend(elapsed)
            }
            RST_STREAM => {
                if !self.resets.spend(elapsed) {
                    self.flood = Some(Flood::Resets);
                }
                self.frames.spend(elapsed)
            }
            _ => self.frames.spend(elapsed),
        };
        if !spent {
            self.flood = Some(Flood::Frames);
        }
    }

    /// Takes note of payload that was sent.
    pub fn sent(&mut self, bytes: u64) {
        self.frames.fill(bytes / BYTES_OF_FRAME);
    }

    /// Takes note of a frame that was sent for next to nothing, since the client lets no more through.
    pub fn wasted(&mut self, elapsed: Duration) {
        if !self.frames.spend(elapsed) {
            self.flood = Some(Flood::Frames);
        }
    }

    /// Returns the bytes of the head that began a stream, as they came over the wire.
    pub fn take_head(&mut self, stream: u32) -> Option<u64> {
        let place = self.heads.iter().position(|(of, _)| *of == stream)?;
        // What lies before it was refused or reset.
        self.heads.drain(..=place).next_back().map(|(_, length)| length)
    }

    /// Says whether the client floods us.
    pub fn flood(&self) -> Option<Flood> {
        self.flood
    }
}

impl Budget {
    fn new(most: u64, every: Duration) -> Self {
        Self { left: most, most, every, counted: Duration::ZERO }
    }

    fn fill(&mut self, more: u64) {
        self.left = self.left.saturating_add(more).min(self.most);
    }

    /// Takes one, if there is one.
    fn spend(&mut self, elapsed: Duration) -> bool {
        if self.left == 0 {
            let passed = elapsed.saturating_sub(self.counted).as_nanos() / self.every.as_nanos();
            self.fill(u64::try_from(passed).unwrap_or(u64::MAX));
            self.counted = elapsed;
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// A connection whose frames are looked at as they arrive.
pub struct Watched {
    inner: Gathering,
    meter: Rc<RefCell<FrameMeter>>,
    opened: Moment,
}

impl Watched {
    /// Looks at a connection that was opened then.
    pub fn new(inner: Gathering, meter: Rc<RefCell<FrameMeter>>, opened: Moment) -> Self {
        Self { inner, meter, opened }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.borrow().flood().is_some() {
            // Whoever drives this connection looks at the meter, and ends it.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            self.meter.borrow_mut().received(bytes, self.opened.elapsed());
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
    }

    fn meter() -> FrameMeter {
        let mut meter = FrameMeter::new();
        meter.received(super::super::PREFACE, Duration::ZERO);
        meter
    }

    #[test]
    fn heads_are_measured_however_the_bytes_come() {
        let frames =
            [frame(4, 0, &[0; 6]), frame(1, 1, &[0; 40]), frame(9, 1, &[0; 2]), frame(1, 3, &[0; 7])];
        for step in [1, 2, 10, 1000] {
            let mut meter = FrameMeter::new();
            let bytes = [super::super::PREFACE, &frames.concat()].concat();
            for piece in bytes.chunks(step) {
                meter.received(piece, Duration::ZERO);
            }
            assert_eq!(meter.take_head(1), Some(42), "{step}");
            assert_eq!(meter.take_head(3), Some(7), "{step}");
            assert_eq!(meter.take_head(5), None, "{step}");
        }
    }

    #[test]
    fn floods_are_told_from_what_clients_do() {
        let many = |bytes: Vec<u8>, count: u64| bytes.repeat(usize::try_from(count).unwrap());
        let cases = [
            ("some pings", many(frame(6, 0, &[0; 8]), FRAMES_MOST), None),
            ("pings", many(frame(6, 0, &[0; 8]), FRAMES_MOST + 1), Some(Flood::Frames)),
            ("settings", many(frame(4, 0, &[]), FRAMES_MOST + 1), Some(Flood::Frames)),
            ("priorities", many(frame(2, 1, &[0; 5]), FRAMES_MOST + 1), Some(Flood::Frames)),
            ("empty data", many(frame(0, 1, &[]), FRAMES_MOST + 1), Some(Flood::Frames)),
            ("what nobody knows", many(frame(99, 1, &[]), FRAMES_MOST + 1), Some(Flood::Frames)),
            ("data", many(frame(0, 1, &[0; 64]), 2 * FRAMES_MOST), None),
            ("requests", many([frame(1, 1, &[1]), frame(8, 0, &[0; 4])].concat(), 2 * FRAMES_MOST), None),
            ("some resets", many([frame(1, 1, &[1]), frame(3, 1, &[0; 4])].concat(), RESETS_MOST), None),
            (
                "resets",
                many([frame(1, 1, &[1]), frame(3, 1, &[0; 4])].concat(), RESETS_MOST + 1),
                Some(Flood::Resets),
            ),
        ];
        for (name, bytes, wanted) in cases {
            let mut meter = meter();
            meter.received(&bytes, Duration::ZERO);
            assert_eq!(meter.flood(), wanted, "{name}");
        }
    }

    #[test]
    fn time_and_what_was_sent_make_up_for_frames() {
        let mut meter = meter();
        let ping = frame(6, 0, &[0; 8]);
        meter.received(&ping.repeat(10_000), Duration::ZERO);
        meter.received(&ping, FRAME_EVERY);
        assert_eq!(meter.flood(), None);
        meter.sent(2 * BYTES_OF_FRAME);
        meter.received(&ping.repeat(2), FRAME_EVERY);
        assert_eq!(meter.flood(), None);
        meter.received(&ping, FRAME_EVERY);
        assert_eq!(meter.flood(), Some(Flood::Frames));
    }
}
