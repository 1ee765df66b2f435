//! Chunked bodies: every case in pieces of every size.
//! The limits count the whole body, however it comes.

use super::*;

/// Decodes bytes that come in pieces of `step` bytes: payload, trailers, how many bytes the body took.
fn decode(
    body: &[u8],
    step: usize,
    limits: ChunkLimits,
) -> Result<Option<(Vec<u8>, Fields, usize)>, ChunkError> {
    let mut decoder = ChunkedDecoder::new(limits);
    let (mut payload, mut at) = (Vec::new(), 0);
    let mut end = 0;
    loop {
        match decoder.decode(&body[at..end])? {
            Chunk::NeedMore { used } => {
                at += used;
                assert_eq!(at, end, "all bytes are used");
                if end == body.len() {
                    return Ok(None);
                }
                end = body.len().min(end + step);
            }
            Chunk::Payload { skip, len } => {
                assert!(len > 0);
                payload.extend_from_slice(&body[at + skip..at + skip + len]);
                at += skip + len;
            }
            Chunk::End { used } => return Ok(Some((payload, decoder.trailers(), at + used))),
        }
    }
}

#[test]
fn a_chunk_announces_its_size_before_its_payload_comes() {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    for (bytes, wanted) in
        [("1", 0), ("0\r", 0), ("\n", 16), ("0123", 12), ("456789abcdef", 0), ("\r\n2\r\n", 2)]
    {
        let mut rest = bytes.as_bytes();
        while let Ok(Chunk::Payload { skip, len }) = decoder.decode(rest) {
            rest = &rest[skip + len..];
        }
        assert_eq!(decoder.announced(), wanted, "{bytes:?}");
    }
}

#[test]
fn bodies_in_pieces_of_any_size() {
    for (body, payload, rest) in [
        ("0\r\n\r\n", "", 0),
        ("3\r\nabc\r\n0\r\n\r\nnext", "abc", 4),
        ("3\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n", "abc0123456789", 0),
        ("3;a=b;c=\"d\"\r\nabc\r\n0 ;x\r\n\r\n", "abc", 0),
        ("0003 \t\r\nabc\r\n0\r\n\r\n", "abc", 0),
        ("b\r\n\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r\n0\r\n\r", 0),
    ] {
        for step in 1..=body.len() {
            let decoded = decode(body.as_bytes(), step, ChunkLimits::default());
            let wanted = (payload.as_bytes().to_vec(), Fields::new(), body.len() - rest);
            assert_eq!(decoded, Ok(Some(wanted)), "{body:?} by {step}");
        }
    }
}

#[test]
fn trailers_keep_order_and_case() {
    let body = b"1\r\na\r\n0\r\nX-Sum: 1\r\nx_Sum:  2 \r\nno-value:\r\n\r\n";
    let wanted: Fields =
        [(&b"X-Sum"[..], &b"1"[..]), (b"x_Sum", b"2"), (b"no-value", b"")].into_iter().collect();
    for step in 1..=body.len() {
        let decoded = decode(body, step, ChunkLimits::default());
        assert_eq!(decoded, Ok(Some((b"a".to_vec(), wanted.clone(), body.len()))), "by {step}");
    }
}

#[test]
fn refused_bodies() {
    for (body, wanted) in [
        ("\r\n", ChunkError::Size),
        ("g\r\n", ChunkError::Size),
        (" 3\r\n", ChunkError::Size),
        ("-3\r\n", ChunkError::Size),
        ("0x3\r\n", ChunkError::Size),
        (";a\r\n", ChunkError::Size),
        ("3\nabc", ChunkError::Size),
        ("3\r\r\n", ChunkError::Size),
        ("3;a\nabc", ChunkError::Size),
        ("3;a\rb\r\n", ChunkError::Size),
        ("3\r\nabcd", ChunkError::ChunkEnd),
        ("3\r\nabc\n0\r\n\r\n", ChunkError::ChunkEnd),
        ("3\r\nabc\r0\r\n", ChunkError::ChunkEnd),
        ("8000000000000000\r\n", ChunkError::TooLarge),
        ("fffffffffffffffff\r\n", ChunkError::TooLarge),
        ("0\r\n\n", ChunkError::Trailer),
        ("0\r\nA: b\n\r\n", ChunkError::Trailer),
        ("0\r\nA : b\r\n\r\n", ChunkError::Trailer),
        ("0\r\n folded\r\n\r\n", ChunkError::Trailer),
        ("0\r\nA: b\0\r\n\r\n", ChunkError::Trailer),
    ] {
        for step in 1..=body.len() {
            let decoded = decode(body.as_bytes(), step, ChunkLimits::default());
            assert_eq!(decoded, Err(wanted), "{body:?} by {step}");
        }
    }
}

#[test]
fn the_largest_chunk_is_a_file_offset() {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    assert_eq!(decoder.decode(b"7fffffffffffffff\r\nab"), Ok(Chunk::Payload { skip: 18, len: 2 }));
}

#[test]
fn limits_hold_for_the_whole_body() {
    let limits = ChunkLimits { extension_bytes: 4, trailer_bytes: 12, trailer_fields: 2 };
    for (body, wanted) in [
        ("1;a\r\nx\r\n1;b\r\nx\r\n0\r\n\r\n", Ok(())),
        ("1;aa\r\nx\r\n1;bbb\r\nx\r\n0\r\n\r\n", Err(ChunkError::Extensions)),
        ("0\r\nA:1\r\nB:1\r\n\r\n", Ok(())),
        ("0\r\nA:12\r\nB:1\r\n\r\n", Err(ChunkError::TooLargeTrailer)),
        ("0\r\nA\r\nB\r\nC\r\n\r\n", Err(ChunkError::TooLargeTrailer)),
    ] {
        for step in 1..=body.len() {
            let decoded = decode(body.as_bytes(), step, limits).map(|done| assert!(done.is_some()));
            assert_eq!(decoded, wanted, "{body:?} by {step}");
        }
    }
}
