//! What the errors of the engine of HTTP/2 mean for a try. Pure.

use std::io;

use h2::{Error, Reason};

use super::super::log;
use crate::http::{Fault, fault::Kind};

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(super) struct Failure {
    pub fault: Fault,
    pub treatment: Treatment,
}

/// What the peer did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Nothing, as it says itself (RFC 9113, 8.7): it may be sent again, whatever it asks for.
    Unprocessed,
    /// The connection is gone, and nobody knows.
    ConnectionLost,
    /// Nobody knows.
    Unknown,
}

/// Tells what an error is.
pub(super) fn failure(error: &Error, during: &'static str) -> Failure {
    let treatment = match error.reason() {
        Some(Reason::REFUSED_STREAM) if !error.is_library() => Treatment::Unprocessed,
        // The engine tells only those streams of a peer's GOAWAY that are above the last one it names.
        Some(_) if error.is_go_away() && error.is_remote() => Treatment::Unprocessed,
        None if error.is_io() => Treatment::ConnectionLost,
        Some(_) | None => Treatment::Unknown,
    };
    Failure { fault: fault(error, during), treatment }
}

/// Whether the peer says that it wants no more of the request, its answer being whole (RFC 9113, 8.1).
pub(super) fn wants_no_more(error: &Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}

fn fault(error: &Error, during: &'static str) -> Fault {
    if let Some(error) = error.get_io() {
        return io_fault(error, during);
    }
    let Some(reason) = error.reason() else {
        return log::fault(Kind::Connection, during, format!("upstream took no request: {error}"));
    };
    let code = u32::from(reason);
    match (error.is_remote(), error.is_go_away()) {
        (true, true) => {
            log::fault(Kind::Connection, during, format!("upstream sent goaway with error {code}"))
        }
        (true, false) if reason == Reason::HTTP_1_1_REQUIRED => {
            log::fault(Kind::Connection, during, "upstream rejected request: it wants HTTP/1.1")
        }
        (false, _) if error.is_library() => {
            log::fault(Kind::InvalidHeader, during, format!("upstream sent invalid http2 frame ({reason})"))
        }
        (true | false, _) => {
            log::fault(Kind::Connection, during, format!("upstream rejected request with error {code}"))
        }
    }
}

fn io_fault(error: &io::Error, during: &'static str) -> Fault {
    match error.kind() {
        io::ErrorKind::InvalidData => log::fault(Kind::InvalidHeader, during, error.to_string()),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => log::premature_close(during),
        // The engine keeps kinds, no numbers.
        io::ErrorKind::ConnectionReset => {
            log::broken(during, "recv", &io::Error::from_raw_os_error(libc::ECONNRESET))
        }
        _ => log::broken(during, "recv", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURING: &str = "reading response header from upstream";

    #[test]
    fn errors_of_the_connection_read_as_those_of_http1() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(
            fault_of(closed()),
            (Kind::Connection, "upstream prematurely closed connection".to_owned())
        );
        let reset = || io::Error::from_raw_os_error(libc::ECONNRESET);
        let wanted = "recv() failed (104: Connection reset by peer)".to_owned();
        assert_eq!(fault_of(reset()), (Kind::Connection, wanted));
        let strange = io::Error::new(io::ErrorKind::InvalidData, "upstream does not speak HTTP/2");
        assert_eq!(fault_of(strange), (Kind::InvalidHeader, "upstream does not speak HTTP/2".to_owned()));
    }

    /// The engine makes its errors of these itself; nobody else can.
    fn fault_of(error: io::Error) -> (Kind, String) {
        let fault = io_fault(&error, DURING);
        (fault.kind, fault.detail.into_owned())
    }

    #[test]
    fn a_refused_stream_was_not_processed() {
        let refused = failure(&Error::from(Reason::REFUSED_STREAM), DURING);
        assert_eq!(refused.treatment, Treatment::Unprocessed);
        assert_eq!(refused.fault.kind, Kind::Connection);
        let internal = failure(&Error::from(Reason::INTERNAL_ERROR), DURING);
        assert_eq!(internal.treatment, Treatment::Unknown);
        assert_eq!(internal.fault.detail, "upstream rejected request with error 2");
    }
}
