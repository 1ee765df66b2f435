//! What an origin does that has a file: the whole, a range of it, 416, 304.

use super::{
    origin::Asked,
    reply::{Reply, answer},
};

/// A file with an entity tag.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its tag, with quotes.
    pub etag: String,
    /// Cache-Control of its answers.
    pub cache_control: &'static str,
    /// Most bytes of one part.
    pub part_bytes: usize,
}

impl Ranged {
    /// Makes a file in which no two places look alike.
    pub fn new(length: usize, etag: &str) -> Self {
        let seed = etag.bytes().fold(0x9e37_79b9_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
        let byte = |at: usize| {
            let mixed = (u32::try_from(at).expect("a small file") ^ seed).wrapping_mul(0x85eb_ca6b);
            b'a' + u8::try_from((mixed >> 24) % 26).expect("it is less than 26")
        };
        Self {
            body: (0..length).map(byte).collect(),
            etag: format!("\"{etag}\""),
            cache_control: "max-age=3600",
            part_bytes: usize::MAX,
        }
    }

    /// Answers as a good server does.
    pub fn reply(&self, asked: &Asked) -> Reply {
        let fields = |status| {
            answer(status)
                .field("ETag", &self.etag)
                .field("Accept-Ranges", "bytes")
                .field("Cache-Control", self.cache_control)
        };
        if asked.field("If-None-Match") == Some(&self.etag) {
            return fields(304);
        }
        let holds = asked.field("If-Range").is_none_or(|tag| tag == self.etag);
        match asked.field("Range").filter(|_| holds) {
            None => fields(200).body(&self.body),
            Some(range) => match self.part(range) {
                None => fields(416).field("Content-Range", &format!("bytes */{}", self.body.len())).body(""),
                Some((start, end)) => fields(206)
                    .field("Content-Range", &format!("bytes {start}-{}/{}", end - 1, self.body.len()))
                    .body(&self.body[start..end]),
            },
        }
    }

    /// Reads `bytes=first-last`, `bytes=first-` or `bytes=-suffix`.
    pub fn part(&self, range: &str) -> Option<(usize, usize)> {
        let length = self.body.len();
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first, last.saturating_add(1).min(length)),
            (Ok(first), Err(_)) => (first, length),
            (Err(_), Ok(suffix)) => (length.saturating_sub(suffix), length),
            (Err(_), Err(_)) => return None,
        };
        (start < end).then(|| (start, end.min(start.saturating_add(self.part_bytes))))
    }
}
