//! What ranges are cut to, and which are taken, ignored or refused.

use std::{
    fs::File,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use super::*;

const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

fn part(range: Range<u64>) -> Wanted {
    Wanted::Parts(vec![range])
}

fn parts(ranges: &[Range<u64>]) -> Wanted {
    Wanted::Parts(ranges.to_vec())
}

#[test]
fn ranges_are_read_as_nginx_reads_them() {
    let table: &[(&str, u64, Wanted)] = &[
        ("0-3", 9, part(0..4)),
        ("0-", 9, part(0..10)),
        ("-3", 9, part(7..10)),
        ("-30", 9, part(0..10)),
        ("5-100", 9, part(5..10)),
        (" 2 - 3 , -1", 9, parts(&[2..4, 9..10])),
        ("2-3,20-30", 9, part(2..4)),
        ("20-30", 9, Wanted::Unsatisfiable),
        ("10-", 9, Wanted::Unsatisfiable),
        ("4-3", 9, Wanted::Unsatisfiable),
        ("0-5,4-9", 9, Wanted::Whole),
        ("0-1,3-4,6-7", 2, Wanted::Whole),
        ("0-1,3-4", 2, parts(&[0..2, 3..5])),
        ("-0", 9, Wanted::Unsatisfiable),
        ("x", 9, Wanted::Unsatisfiable),
        ("1", 9, Wanted::Unsatisfiable),
        ("- 3", 9, Wanted::Unsatisfiable),
        ("1-2x", 9, Wanted::Unsatisfiable),
        ("1-2,", 9, Wanted::Unsatisfiable),
        ("1 1-2", 9, Wanted::Unsatisfiable),
        ("99999999999999999999-", 9, Wanted::Unsatisfiable),
        ("9223372036854775808-", 9, Wanted::Unsatisfiable),
        ("0-9223372036854775807", 9, part(0..10)),
    ];
    for (set, most, wanted) in table {
        assert_eq!(parse(set.as_bytes(), 10, *most, RangeRules::Nginx), *wanted, "{set}");
    }
    assert_eq!(parse(b"0-", 0, 9, RangeRules::Nginx), Wanted::Whole);
    assert_eq!(parse(b"1-", 0, 9, RangeRules::Nginx), Wanted::Unsatisfiable);
}

#[test]
fn a_last_byte_may_be_as_large_as_it_likes_by_the_rfc() {
    for (set, wanted) in [
        ("0-9223372036854775808", part(0..10)),
        ("4-99999999999999999999999", part(4..10)),
        ("-99999999999999999999999", part(0..10)),
        ("99999999999999999999-", Wanted::Unsatisfiable),
        ("4-x", Wanted::Unsatisfiable),
    ] {
        assert_eq!(parse(set.as_bytes(), 10, 9, RangeRules::Rfc9110), wanted, "{set}");
    }
}

#[test]
fn a_head_has_no_ranges_by_the_rfc() {
    let mut head = request(&[("Range", "bytes=0-3")]);
    head.method = Method::Head;
    assert_eq!(select(&head, None, RangeRules::Rfc9110, &digits()), Wanted::Whole);
    assert_eq!(select(&head, None, RangeRules::Nginx, &digits()), part(0..4));
}

fn request(fields: &[(&str, &str)]) -> RequestHead {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut head = RequestHead::new();
    head.fields = fields;
    head
}

fn digits() -> Response {
    let mut response = Response::new(200).with_memory("text/plain", "0123456789");
    response.fields.push(b"ETag", b"\"a\"");
    response.last_modified = Some(LastModified::Ours(UNIX_EPOCH + Duration::from_secs(1_000_000_000)));
    response.ranges = Ranges::Allowed;
    response
}

fn send(fields: &[(&str, &str)], mut response: Response) -> Response {
    match select(&request(fields), None, RangeRules::Nginx, &response) {
        Wanted::Everything => response,
        Wanted::Whole => {
            offer(&mut response);
            response
        }
        Wanted::Parts(parts) => cut(response, &parts),
        Wanted::Unsatisfiable => panic!("416"),
    }
}

fn memory(response: &Response) -> &[u8] {
    match &response.body {
        Body::Memory(bytes) => bytes,
        _ => panic!("the body is not in memory"),
    }
}

#[test]
fn one_range_is_cut_out() {
    let response = send(&[("Range", "bytes=2-4")], digits());
    assert_eq!((response.status, response.content_length), (206, Some(3)));
    assert_eq!(memory(&response), b"234");
    assert_eq!(response.field("Content-Range"), Some(&b"bytes 2-4/10"[..]));
    assert_eq!(response.field("Accept-Ranges"), None);
}

#[test]
fn one_range_of_a_file_is_a_smaller_slice() {
    let mut whole = digits();
    let file = Arc::new(File::open("/dev/null").unwrap());
    whole.body = Body::File(FileSlice { file, offset: 100, len: 10 });
    let response = send(&[("Range", "bytes=-4")], whole);
    let Body::File(slice) = response.body else { panic!("the body is no file") };
    assert_eq!((slice.offset, slice.len), (106, 4));
}

#[test]
fn several_ranges_are_framed_as_nginx_frames_them() {
    let response = send(&[("Range", "bytes=0-1,-1")], digits());
    let content_type = String::from_utf8(response.content_type.unwrap().to_vec()).unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(boundary.len(), 20);
    let Body::Pieces(pieces) = response.body else { panic!("the body is not in pieces") };
    let mut body = Vec::new();
    for piece in pieces {
        let Piece::Memory(bytes) = piece else { panic!("a file") };
        body.extend_from_slice(&bytes);
    }
    let wanted = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 9-9/10\r\n\r\n9\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(body).unwrap(), wanted);
    assert_eq!(response.content_length, Some(wanted.len() as u64));
}

#[test]
fn what_is_no_range_gets_the_whole_and_the_offer() {
    for fields in [
        &[][..],
        &[("Range", "bytes")],
        &[("Range", "bytes=")],
        &[("Range", "lines=1-2")],
        &[("Range", "bytes=0-8,0-8")],
        &[("Range", "bytes=0-1"), ("If-Range", "\"b\"")],
        &[("Range", "bytes=0-1"), ("If-Range", "W/\"a\"")],
        &[("Range", "bytes=0-1"), ("If-Range", "Sun, 09 Sep 2001 01:46:41 GMT")],
        &[("Range", "bytes=0-1"), ("If-Range", "nonsense")],
    ] {
        let response = send(fields, digits());
        assert_eq!((response.status, memory(&response)), (200, &b"0123456789"[..]), "{fields:?}");
        assert_eq!(response.field("Accept-Ranges"), Some(&b"bytes"[..]), "{fields:?}");
    }
}

#[test]
fn if_range_that_holds_lets_the_range_through() {
    for condition in ["\"a\"", DATE] {
        let fields = [("Range", "BYTES=0-1"), ("If-Range", condition)];
        assert_eq!(send(&fields, digits()).status, 206, "{condition}");
    }
}

#[test]
fn ranges_may_be_off() {
    let asks = request(&[("Range", "bytes=0-1")]);
    let mut refused = digits();
    refused.ranges = Ranges::Refused;
    let mut missing = digits();
    missing.status = 404;
    let mut endless = digits();
    endless.content_length = None;
    for (name, most, response) in [
        ("refused", None, refused),
        ("404", None, missing),
        ("no length", None, endless),
        ("max_ranges 0", Some(0), digits()),
    ] {
        assert_eq!(select(&asks, most, RangeRules::Nginx, &response), Wanted::Everything, "{name}");
    }
}

#[test]
fn a_refused_range_keeps_no_validators() {
    assert_eq!(
        select(&request(&[("Range", "bytes=10-")]), None, RangeRules::Nginx, &digits()),
        Wanted::Unsatisfiable
    );
    let fields = kept_fields(digits());
    assert_eq!(fields.iter().collect::<Vec<_>>(), [(&b"Content-Range"[..], &b"bytes */10"[..])]);
}

#[test]
fn an_offer_is_made_once() {
    let mut response = digits();
    response.fields.push(b"accept-ranges", b"none");
    offer(&mut response);
    offer(&mut response);
    assert_eq!(response.fields.all("Accept-Ranges").collect::<Vec<_>>(), [b"bytes"]);
}
