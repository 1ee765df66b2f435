//! What a failed try is called. The words are nginx's, so that operators can search for them.

use std::{borrow::Cow, io};

use crate::{
    error_log::system_words,
    http::{
        Fault,
        fault::{Kind, Retry, Side},
    },
    upstream::{HANDSHAKING, OpenError},
};

/// Makes the fault of a system call that failed, `call` being its name.
pub(super) fn broken(during: &'static str, call: &str, error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::TimedOut {
        return fault(Kind::Timeout, during, "upstream timed out (110: Connection timed out)");
    }
    // What TLS makes of what comes has no number of the system.
    let secured = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let detail = match secured {
        None => format!("{call}() failed ({})", system_words(error)),
        Some(error) => {
            let call = if call == "recv" { "SSL_read" } else { "SSL_write" };
            format!("{call}() failed (SSL: {})", tls::words(error))
        }
    };
    fault(Kind::Connection, during, detail)
}

/// Makes the fault of a connection that could not be made. As nginx: where our own side is at fault, no other peer
/// is asked.
pub(super) fn not_connected(error: &OpenError) -> Fault {
    const DURING: &str = "connecting to upstream";
    match error {
        OpenError::Peer(error) => broken(DURING, "connect", error),
        OpenError::LateHandshake => broken(HANDSHAKING, "recv", &io::ErrorKind::TimedOut.into()),
        OpenError::NoHttp2 => fault(Kind::Connection, HANDSHAKING, error.to_string()),
        OpenError::Unsecured(words) => fault(Kind::Connection, HANDSHAKING, words.clone()),
        OpenError::Local { .. } => {
            Fault { during: DURING, ..Fault::new(Side::Server, Kind::System, error.to_string()) }
        }
    }
}

/// Makes the fault of a peer that closed the connection too early.
pub(super) fn premature_close(during: &'static str) -> Fault {
    fault(Kind::Connection, during, "upstream prematurely closed connection")
}

/// Makes the fault of an upstream.
pub(super) fn fault(kind: Kind, during: &'static str, detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault { side: Side::Upstream, kind, during, retry: Retry::NextPeer, detail: detail.into() }
}

/// Makes the fault of a head that is none; `words` may end in what was being done.
pub(super) fn invalid(during: &'static str, words: &str) -> Fault {
    let detail = words.strip_suffix(during).and_then(|start| start.strip_suffix(" while ")).unwrap_or(words);
    fault(Kind::InvalidHeader, during, detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_nginxs() {
        let refused = io::Error::from_raw_os_error(111);
        let fault = broken("connecting to upstream", "connect", &refused);
        assert_eq!(
            (fault.kind, &*fault.detail),
            (Kind::Connection, "connect() failed (111: Connection refused)")
        );
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let secured = broken("sending", "send", &io::Error::new(io::ErrorKind::InvalidData, alert));
        assert_eq!(
            &*secured.detail,
            "SSL_write() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116)"
        );
        let late = broken("reading response header from upstream", "recv", &io::ErrorKind::TimedOut.into());
        assert_eq!(
            (late.kind, &*late.detail),
            (Kind::Timeout, "upstream timed out (110: Connection timed out)")
        );
    }
}
