//! A request head: pieces give what the whole gives, httparse agrees where it accepts, and what follows the
//! parser (framing, host, URI) takes whatever it lets through.

#![no_main]

use libfuzzer_sys::fuzz_target;

use http1::{
    EscapeKind, HeadRules, InvalidNames, Progress, RequestError, RequestHead, RequestParser, Underscores,
    check_host, check_request, escape_uri, unescape, uri,
};

fuzz_target!(|input: &[u8]| {
    let Some((&first, text)) = input.split_first() else { return };
    let rules = rules(first);
    let (whole, head) = parse(text, &rules, text.len().max(1));
    let step = usize::from(first >> 4) + 1;
    let (pieces, head_of_pieces) = parse(text, &rules, step);
    match &whole {
        Ok(used) => {
            assert_eq!(pieces, Ok(*used), "by {step}");
            assert_eq!(head, head_of_pieces, "by {step}");
        }
        // What is wrong in a line that comes in pieces may be told when its end has come.
        Err(error) => assert!(!matches!(pieces, Ok(Some(_))), "by {step}: {error:?}, {pieces:?}"),
    }
    if let Ok(Some(used)) = whole {
        assert!(used <= text.len() && used <= skipped(text) + rules.max_head_bytes());
        use_head(&head);
        agree_with_httparse(&text[skipped(text)..], used - skipped(text), &head, &rules);
    }
});

fn rules(choice: u8) -> HeadRules {
    HeadRules {
        invalid_names: if choice & 1 == 0 { InvalidNames::Ignored } else { InvalidNames::Kept },
        underscores: if choice & 2 == 0 { Underscores::Invalid } else { Underscores::Valid },
        first_buffer_bytes: if choice & 4 == 0 { 1024 } else { 32 },
        max_line_bytes: if choice & 8 == 0 { 8192 } else { 48 },
        ..HeadRules::default()
    }
}

fn skipped(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

fn parse(text: &[u8], rules: &HeadRules, step: usize) -> (Result<Option<usize>, RequestError>, RequestHead) {
    let (mut parser, mut head) = (RequestParser::new(), RequestHead::new());
    let mut end = 0;
    while end < text.len() {
        end = text.len().min(end + step);
        match parser.parse(&text[..end], rules, &mut head) {
            Ok(Progress::Done(used)) => return (Ok(Some(used)), head),
            Ok(Progress::NeedMore) => {}
            Err(error) => return (Err(error), head),
        }
    }
    (Ok(None), head)
}

/// Nothing that comes later may panic, and normalising is done once for all.
fn use_head(head: &RequestHead) {
    let _ = (check_request(head).map_err(|error| error.to_string()), check_host(head), head.persists());
    let _ = (head.method_text(), head.target(), head.protocol(), head.authority(), head.ignored().len());
    for slashes in [uri::MergeSlashes::Merged, uri::MergeSlashes::Kept] {
        let Ok(uri) = uri::normalize(head.path_and_query(), slashes) else { continue };
        assert_eq!(uri.path.first(), Some(&b'/'));
        assert!(!uri.path.windows(4).any(|part| part == b"/../"), "{uri:?}");
        let escaped = escape_uri(&uri.path, EscapeKind::Uri);
        assert_eq!(unescape(&escaped), uri.path);
        let again = uri::normalize(&escaped, slashes).expect("an escaped path is valid");
        assert_eq!((&again.path, again.args), (&uri.path, None));
    }
}

/// What httparse accepts is read alike; it refuses much that nginx takes, and drops tabs around values.
fn agree_with_httparse(text: &[u8], used: usize, head: &RequestHead, rules: &HeadRules) {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = request.parse(text) else { return };
    assert_eq!(length, used);
    assert_eq!(request.method.map(str::as_bytes), Some(head.method_text()));
    assert_eq!(request.path.map(str::as_bytes), Some(head.target()));
    assert_eq!(request.version, Some(head.version.minor));
    if rules.invalid_names == InvalidNames::Kept {
        let trim = |value: &[u8]| value.trim_ascii().to_vec();
        let theirs = request.headers.iter().map(|field| (field.name.as_bytes().to_vec(), trim(field.value)));
        assert!(theirs.eq(head.fields.iter().map(|(name, value)| (name.to_vec(), trim(value)))));
    }
}
