//! A response head: pieces give what the whole gives, httparse agrees where it accepts, and a head written
//! again is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

use http1::{
    Method, Progress, ResponseError, ResponseHead, ResponseParser, response_framing, write_fields,
    write_status_line,
};

const MAX_BYTES: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((&first, text)) = input.split_first() else { return };
    let (whole, head) = parse(text, text.len().max(1));
    let step = usize::from(first) % 32 + 1;
    let (pieces, head_of_pieces) = parse(text, step);
    match &whole {
        Ok(used) => {
            assert_eq!(pieces, Ok(*used), "by {step}");
            assert_eq!(head, head_of_pieces, "by {step}");
        }
        // What is wrong in a line that comes in pieces may be told when its end has come.
        Err(error) => assert!(!matches!(pieces, Ok(Some(_))), "by {step}: {error:?}, {pieces:?}"),
    }
    if let Ok(Some(used)) = whole {
        assert!(used <= text.len().min(MAX_BYTES));
        for method in [Method::Get, Method::Head] {
            let _ = response_framing(&head, method).map_err(|error| error.to_string());
        }
        agree_with_httparse(text, used, &head);
        comes_back(&head);
    }
});

fn parse(text: &[u8], step: usize) -> (Result<Option<usize>, ResponseError>, ResponseHead) {
    let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::new());
    let mut end = 0;
    while end < text.len() {
        end = text.len().min(end + step);
        match parser.parse(&text[..end], MAX_BYTES, &mut head) {
            Ok(Progress::Done(used)) => return (Ok(Some(used)), head),
            Ok(Progress::NeedMore) => {}
            Err(error) => return (Err(error), head),
        }
    }
    (Ok(None), head)
}

fn agree_with_httparse(text: &[u8], used: usize, head: &ResponseHead) {
    let mut fields = [httparse::EMPTY_HEADER; 2048];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = response.parse(text) else { return };
    // It skips empty lines before the status line.
    assert_eq!(length, used);
    assert_eq!((response.version, response.code), (Some(head.version.minor), Some(head.status)));
    let trim = |value: &[u8]| value.trim_ascii().to_vec();
    let theirs = response.headers.iter().map(|field| (field.name.as_bytes().to_vec(), trim(field.value)));
    assert!(theirs.eq(head.fields.iter().map(|(name, value)| (name.to_vec(), trim(value)))));
}

fn comes_back(head: &ResponseHead) {
    let mut text = Vec::new();
    write_status_line(&mut text, head.status, Some(&head.reason));
    write_fields(&mut text, &head.fields);
    text.extend_from_slice(b"\r\n");
    let mut again = ResponseHead::new();
    let progress = ResponseParser::new().parse(&text, text.len(), &mut again);
    assert_eq!(progress, Ok(Progress::Done(text.len())));
    assert_eq!(
        (again.status, again.reason, again.fields),
        (head.status, head.reason.clone(), head.fields.clone())
    );
}
