//! How the end of a body is found: decided here and nowhere else.
//!
//! Two parties that disagree about where a body ends are the root of request smuggling, so a message that
//! can be read in two ways is refused, on both sides, whatever RFC 9112 would let us repair.

use thiserror::Error;

use crate::fields::Fields;
use crate::head::{Method, RequestHead, ResponseHead, Version};

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// After this many bytes, which may be 0.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// When the peer closes the connection; only in responses.
    UntilClose,
}

/// Why a body has no certain end. The text is what nginx writes behind "client sent" or "upstream sent".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FramingError {
    /// `Content-Length` is not a number.
    #[error("invalid \"Content-Length\" header")]
    InvalidLength,
    /// There are several `Content-Length` or several `Transfer-Encoding` fields.
    #[error("duplicate header line: \"{name}: {}\", previous value: \"{name}: {}\"", text(.value), text(.previous))]
    Duplicate {
        /// Which of the two.
        name: &'static str,
        /// The value of the second one.
        value: Vec<u8>,
        /// The value of the first one.
        previous: Vec<u8>,
    },
    /// Both are there.
    #[error("\"Content-Length\" and \"Transfer-Encoding\" headers at the same time")]
    LengthAndCoding,
    /// `Transfer-Encoding` in a request of a version that does not know it.
    #[error("HTTP/1.0 request with \"Transfer-Encoding\" header")]
    CodingInOldVersion,
    /// A transfer coding other than `chunked`.
    #[error("unknown \"Transfer-Encoding\": \"{}\"", text(.0))]
    UnknownCoding(Vec<u8>),
}

impl FramingError {
    /// The status to refuse a request with; a response with this error is a bad gateway.
    pub fn status(&self) -> u16 {
        match self {
            FramingError::UnknownCoding(_) => 501,
            FramingError::InvalidLength
            | FramingError::Duplicate { .. }
            | FramingError::LengthAndCoding
            | FramingError::CodingInOldVersion => 400,
        }
    }
}

/// Decides how a request's body ends; never [`Framing::UntilClose`].
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
    let length = single(&head.fields, "Content-Length")?.map(parse_length).transpose()?;
    let coding = single(&head.fields, "Transfer-Encoding")?;
    let Some(coding) = coding else {
        return Ok(length.map_or(Framing::Empty, Framing::Length));
    };
    if head.version < Version::V1_1 {
        return Err(FramingError::CodingInOldVersion);
    }
    if !coding.eq_ignore_ascii_case(b"chunked") {
        return Err(FramingError::UnknownCoding(coding.to_vec()));
    }
    if length.is_some() { Err(FramingError::LengthAndCoding) } else { Ok(Framing::Chunked) }
}

/// Decides how the body of the response to a request with this method ends. As nginx: `chunked` is taken in
/// an HTTP/1.0 response too, and the fields must make sense even where the response has no body.
pub fn response_framing(head: &ResponseHead, request_method: Method) -> Result<Framing, FramingError> {
    let length = single(&head.fields, "Content-Length")?.map(parse_length).transpose()?;
    let coding = single(&head.fields, "Transfer-Encoding")?;
    if let Some(coding) = coding {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(FramingError::UnknownCoding(coding.to_vec()));
        }
        if length.is_some() {
            return Err(FramingError::LengthAndCoding);
        }
    }
    if request_method == Method::Head || matches!(head.status, 100..=199 | 204 | 304) {
        return Ok(Framing::Empty);
    }
    Ok(match (coding, length) {
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilClose,
    })
}

/// The value of a field that may be there once.
fn single<'a>(fields: &'a Fields, name: &'static str) -> Result<Option<&'a [u8]>, FramingError> {
    let mut values = fields.all(name);
    match (values.next(), values.next()) {
        (Some(previous), Some(value)) => {
            Err(FramingError::Duplicate { name, value: value.to_vec(), previous: previous.to_vec() })
        }
        (first, _) => Ok(first),
    }
}

/// Reads a length: digits only, at most what fits a file offset.
fn parse_length(value: &[u8]) -> Result<u64, FramingError> {
    if value.is_empty() {
        return Err(FramingError::InvalidLength);
    }
    let add = |length: u64, byte: &u8| match byte {
        b'0'..=b'9' => length.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    let length = value.iter().try_fold(0, add).ok_or(FramingError::InvalidLength)?;
    i64::try_from(length).map(|_| length).map_err(|_| FramingError::InvalidLength)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = &'static [(&'static str, &'static str)];

    fn fields(pairs: Pairs) -> Fields {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn both(pairs: Pairs) -> (Result<Framing, FramingError>, Result<Framing, FramingError>) {
        let request = RequestHead { fields: fields(pairs), ..RequestHead::default() };
        let response = ResponseHead { status: 200, fields: fields(pairs), ..ResponseHead::default() };
        (request_framing(&request), response_framing(&response, Method::Get))
    }

    #[test]
    fn ends_of_bodies() {
        let cases: [(Pairs, Framing, Framing); 6] = [
            (&[], Framing::Empty, Framing::UntilClose),
            (&[("content-length", "0")], Framing::Length(0), Framing::Length(0)),
            (&[("Content-Length", "0012")], Framing::Length(12), Framing::Length(12)),
            (
                &[("Content-Length", "9223372036854775807")],
                Framing::Length(i64::MAX as u64),
                Framing::Length(i64::MAX as u64),
            ),
            (&[("Transfer-Encoding", "chunked")], Framing::Chunked, Framing::Chunked),
            (&[("transfer-encoding", "CHUNKED")], Framing::Chunked, Framing::Chunked),
        ];
        for (pairs, request, response) in cases {
            assert_eq!(both(pairs), (Ok(request), Ok(response)), "{pairs:?}");
        }
    }

    #[test]
    fn doubtful_bodies_are_refused_on_both_sides() {
        use FramingError::{InvalidLength, LengthAndCoding};
        let duplicate = |name, value: &str, previous: &str| FramingError::Duplicate {
            name,
            value: value.as_bytes().to_vec(),
            previous: previous.as_bytes().to_vec(),
        };
        let unknown = |text: &str| FramingError::UnknownCoding(text.as_bytes().to_vec());
        let cases: [(Pairs, FramingError, u16); 13] = [
            (&[("Content-Length", "")], InvalidLength, 400),
            (&[("Content-Length", "-1")], InvalidLength, 400),
            (&[("Content-Length", "+1")], InvalidLength, 400),
            (&[("Content-Length", "1 1")], InvalidLength, 400),
            (&[("Content-Length", "1,1")], InvalidLength, 400),
            (&[("Content-Length", "0x1")], InvalidLength, 400),
            (&[("Content-Length", "9223372036854775808")], InvalidLength, 400),
            (&[("Content-Length", "99999999999999999999")], InvalidLength, 400),
            (&[("Content-Length", "1"), ("content-length", "2")], duplicate("Content-Length", "2", "1"), 400),
            (
                &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
                duplicate("Transfer-Encoding", "chunked", "chunked"),
                400,
            ),
            (&[("Transfer-Encoding", "chunked"), ("Content-Length", "1")], LengthAndCoding, 400),
            (&[("Transfer-Encoding", "gzip, chunked")], unknown("gzip, chunked"), 501),
            (&[("Transfer-Encoding", "identity")], unknown("identity"), 501),
        ];
        for (pairs, error, status) in cases {
            assert_eq!(error.status(), status, "{pairs:?}");
            assert_eq!(both(pairs), (Err(error.clone()), Err(error)), "{pairs:?}");
        }
    }

    #[test]
    fn the_version_matters_in_requests_only() {
        let fields = fields(&[("Transfer-Encoding", "chunked")]);
        let request =
            RequestHead { version: Version::V1_0, fields: fields.clone(), ..RequestHead::default() };
        assert_eq!(request_framing(&request), Err(FramingError::CodingInOldVersion));
        let response =
            ResponseHead { version: Version::V1_0, status: 200, fields, ..ResponseHead::default() };
        assert_eq!(response_framing(&response, Method::Get), Ok(Framing::Chunked));
    }

    #[test]
    fn responses_without_a_body() {
        for (status, method, wanted) in [
            (200, Method::Head, Framing::Empty),
            (304, Method::Get, Framing::Empty),
            (204, Method::Get, Framing::Empty),
            (101, Method::Get, Framing::Empty),
            (103, Method::Get, Framing::Empty),
            (206, Method::Get, Framing::Length(5)),
            (404, Method::Post, Framing::Length(5)),
        ] {
            let fields = fields(&[("Content-Length", "5")]);
            let head = ResponseHead { status, fields, ..ResponseHead::default() };
            assert_eq!(response_framing(&head, method), Ok(wanted), "{status} {method:?}");
        }
    }
}
