//! A look at the frames that a peer sends, on their way to the engine of HTTP/2: whether it speaks HTTP/2 at all, and whether
//! it keeps us busy with frames that carry nothing. Pure; the bytes are only looked at.

use std::time::Duration;

/// Frames that carry nothing (SETTINGS, PING, PRIORITY, empty DATA, unknown ones) within [`PERIOD`].
const EMPTY_FRAMES_MOST: u32 = 1000;
/// After this the counting begins anew.
const PERIOD: Duration = Duration::from_secs(10);

const HEADER_BYTES: usize = 9;
/// What RFC 9113 calls DATA.
const PAYLOAD: u8 = 0;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// The last of the frames of RFC 9113 (CONTINUATION).
const KNOWN_MOST: u8 = 9;
/// The flag of DATA that ends a stream; on SETTINGS and PING it is ACK.
const FLAG_END_OR_ACK: u8 = 1;

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The first bytes are no SETTINGS frame.
    #[error("upstream does not speak HTTP/2")]
    NotHttp2,
    /// It sends more than [`EMPTY_FRAMES_MOST`].
    #[error("upstream sent too many http2 frames that carry nothing")]
    Flood,
}

/// What has been seen of the frames so far.
#[derive(Debug, Default)]
pub struct FrameWatch {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    filled: usize,
    /// Bytes of the payload that are still to come.
    payload_left: usize,
    is_greeted: bool,
    period_began: Duration,
    empty: u32,
}

impl FrameWatch {
    /// Whether the peer's first frame has come, with its settings.
    pub fn is_greeted(&self) -> bool {
        self.is_greeted
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// They are not to be gone on with.
    pub fn see(&mut self, mut bytes: &[u8], now: Duration) -> Result<(), Breach> {
        while !bytes.is_empty() {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = &bytes[skipped..];
            let count = (HEADER_BYTES - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
            if self.filled == HEADER_BYTES {
                self.filled = 0;
                self.judge(now)?;
            } else if !self.is_greeted && self.filled > 3 && self.header[3] != SETTINGS {
                // An answer of HTTP/1 may be shorter than this, and be the last that comes.
                return Err(Breach::NotHttp2);
            }
        }
        Ok(())
    }

    fn judge(&mut self, now: Duration) -> Result<(), Breach> {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.payload_left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if !self.is_greeted {
            if kind != SETTINGS {
                return Err(Breach::NotHttp2);
            }
            self.is_greeted = true;
            return Ok(());
        }
        let is_marked = flags & FLAG_END_OR_ACK != 0;
        let is_empty = match kind {
            PAYLOAD => self.payload_left == 0 && !is_marked,
            SETTINGS | PING => !is_marked,
            PRIORITY => true,
            kind => kind > KNOWN_MOST,
        };
        if !is_empty {
            return Ok(());
        }
        if now.saturating_sub(self.period_began) >= PERIOD {
            (self.period_began, self.empty) = (now, 0);
        }
        self.empty += 1;
        if self.empty > EMPTY_FRAMES_MOST { Err(Breach::Flood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    fn greeted() -> FrameWatch {
        let mut watch = FrameWatch::default();
        watch.see(&frame(SETTINGS, 0, &[0; 6]), Duration::ZERO).expect("settings");
        watch
    }

    #[test]
    fn the_first_frame_tells_whether_it_is_http2() {
        let cases: [(&str, &[u8], Result<bool, Breach>); 5] = [
            ("settings", &[0, 0, 0, 4, 0, 0, 0, 0, 0], Ok(true)),
            ("not all of it yet", &[0, 0, 0, 4], Ok(false)),
            ("another frame", &[0, 0, 0, 6, 0, 0, 0, 0, 0], Err(Breach::NotHttp2)),
            ("an answer of HTTP/1", b"HTTP/1.1 400 Bad Request\r\n\r\n", Err(Breach::NotHttp2)),
            ("a short one", b"HTTP", Err(Breach::NotHttp2)),
        ];
        for (name, bytes, wanted) in cases {
            let mut watch = FrameWatch::default();
            let seen = watch.see(bytes, Duration::ZERO).map(|()| watch.is_greeted());
            assert_eq!(seen, wanted, "{name}");
        }
    }

    #[test]
    fn frames_are_told_apart_however_the_bytes_come() {
        let mut bytes = frame(SETTINGS, 0, &[0; 12]);
        for _ in 0..EMPTY_FRAMES_MOST {
            bytes.extend(frame(PING, 0, &[0; 8]));
        }
        let mut watch = FrameWatch::default();
        for piece in bytes.chunks(7) {
            watch.see(piece, Duration::ZERO).expect("not too many yet");
        }
        assert_eq!(watch.see(&frame(PING, 0, &[0; 8]), Duration::ZERO), Err(Breach::Flood));
    }

    #[test]
    fn only_frames_that_carry_nothing_are_counted() {
        for (name, kind, flags, payload, wanted) in [
            ("settings", SETTINGS, 0, &b""[..], Err(Breach::Flood)),
            ("acknowledged settings", SETTINGS, 1, b"", Ok(())),
            ("pings", PING, 0, &[0; 8], Err(Breach::Flood)),
            ("answered pings", PING, 1, &[0; 8], Ok(())),
            ("priorities", PRIORITY, 0, &[0; 5], Err(Breach::Flood)),
            ("empty data", PAYLOAD, 0, b"", Err(Breach::Flood)),
            ("the end of streams", PAYLOAD, 1, b"", Ok(())),
            ("data", PAYLOAD, 0, b"x", Ok(())),
            ("window updates", 8, 0, &[0; 4], Ok(())),
            ("what nobody knows", 99, 0, b"x", Err(Breach::Flood)),
        ] {
            let mut watch = greeted();
            let mut see = |_| watch.see(&frame(kind, flags, payload), Duration::ZERO);
            assert_eq!((0..=EMPTY_FRAMES_MOST).try_for_each(&mut see), wanted, "{name}");
        }
    }

    #[test]
    fn a_slow_trickle_of_them_is_no_flood() {
        let mut watch = greeted();
        for second in 0..2000 {
            let ping = frame(PING, 0, &[0; 8]);
            watch.see(&ping, Duration::from_secs(second)).expect("one in a second");
        }
    }
}
