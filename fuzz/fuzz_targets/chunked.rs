//! A chunked body: pieces give what the whole gives, and payload and trailers written again come back.

#![no_main]

use libfuzzer_sys::fuzz_target;

use http1::{
    CHUNK_END, Chunk, ChunkError, ChunkLimits, ChunkedDecoder, Fields, write_chunk_size, write_trailers,
};

#[derive(Debug, PartialEq, Eq)]
struct Body {
    payload: Vec<u8>,
    trailers: Fields,
    used: usize,
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, text)) = input.split_first() else { return };
    let limits = ChunkLimits {
        extension_bytes: if first & 1 == 0 { 16384 } else { 8 },
        trailer_bytes: if first & 2 == 0 { 16384 } else { 24 },
        ..ChunkLimits::default()
    };
    let step = usize::from(first >> 2) + 1;
    let whole = decode(text, limits, text.len().max(1));
    let pieces = decode(text, limits, step);
    // A limit may be noticed before the line it is about is seen to be wrong.
    match &whole {
        Ok(body) => assert_eq!(pieces.as_ref(), Ok(body), "by {step}"),
        Err(_) => assert!(pieces.is_err(), "by {step}"),
    }
    if let Ok(Some(body)) = whole {
        assert!(body.used <= text.len());
        let again = decode(&written(&body, step), ChunkLimits::default(), step);
        let again = again.expect("it was written right").expect("it is whole");
        assert_eq!((again.payload, again.trailers), (body.payload, body.trailers));
    }
});

/// The body, or nothing if there is more of it to come.
fn decode(text: &[u8], limits: ChunkLimits, step: usize) -> Result<Option<Body>, ChunkError> {
    let mut decoder = ChunkedDecoder::new(limits);
    let (mut payload, mut at, mut end) = (Vec::new(), 0, 0);
    loop {
        match decoder.decode(&text[at..end])? {
            Chunk::NeedMore { used } => {
                at += used;
                assert_eq!(at, end, "all bytes are used");
                if end == text.len() {
                    return Ok(None);
                }
                end = text.len().min(end + step);
            }
            Chunk::Payload { skip, len } => {
                assert!(len > 0);
                payload.extend_from_slice(&text[at + skip..at + skip + len]);
                at += skip + len;
            }
            Chunk::End { used } => {
                assert!(decoder.is_done());
                return Ok(Some(Body { payload, trailers: decoder.trailers(), used: at + used }));
            }
        }
    }
}

fn written(body: &Body, chunk_bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in body.payload.chunks(chunk_bytes) {
        write_chunk_size(&mut text, chunk.len());
        text.extend_from_slice(chunk);
        text.extend_from_slice(CHUNK_END);
    }
    write_trailers(&mut text, &body.trailers);
    text
}
