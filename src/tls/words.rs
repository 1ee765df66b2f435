//! What a handshake failed of, in OpenSSL's words where it has some: those are what operators search for.

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

/// Says what went wrong, as nginx does behind `SSL_do_handshake() failed (SSL: `.
pub fn words(error: &Error) -> String {
    if let Error::AlertReceived(alert) = error
        && let Some(words) = of_alert(*alert)
    {
        let number = u8::from(*alert);
        return format!("{}:SSL alert number {number}", reason(ALERTS + u16::from(number), words));
    }
    match of_our_own(error) {
        Some((number, words)) => reason(number, words),
        None => error.to_string(),
    }
}

/// OpenSSL's number for the alert 0.
const ALERTS: u16 = 1000;

fn reason(number: u16, words: &str) -> String {
    format!("error:0A{number:06X}:SSL routines::{words}")
}

fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    use AlertDescription as Alert;

    Some(match alert {
        Alert::UnexpectedMessage => "sslv3 alert unexpected message",
        Alert::BadRecordMac => "sslv3 alert bad record mac",
        Alert::DecryptionFailed => "tlsv1 alert decryption failed",
        Alert::RecordOverflow => "tlsv1 alert record overflow",
        Alert::DecompressionFailure => "sslv3 alert decompression failure",
        Alert::HandshakeFailure => "sslv3 alert handshake failure",
        Alert::NoCertificate => "sslv3 alert no certificate",
        Alert::BadCertificate => "sslv3 alert bad certificate",
        Alert::UnsupportedCertificate => "sslv3 alert unsupported certificate",
        Alert::CertificateRevoked => "sslv3 alert certificate revoked",
        Alert::CertificateExpired => "sslv3 alert certificate expired",
        Alert::CertificateUnknown => "sslv3 alert certificate unknown",
        Alert::IllegalParameter => "sslv3 alert illegal parameter",
        Alert::UnknownCA => "tlsv1 alert unknown ca",
        Alert::AccessDenied => "tlsv1 alert access denied",
        Alert::DecodeError => "tlsv1 alert decode error",
        Alert::DecryptError => "tlsv1 alert decrypt error",
        Alert::ExportRestriction => "tlsv1 alert export restriction",
        Alert::ProtocolVersion => "tlsv1 alert protocol version",
        Alert::InsufficientSecurity => "tlsv1 alert insufficient security",
        Alert::InternalError => "tlsv1 alert internal error",
        Alert::InappropriateFallback => "tlsv1 alert inappropriate fallback",
        Alert::UserCanceled => "tlsv1 alert user cancelled",
        Alert::NoRenegotiation => "tlsv1 alert no renegotiation",
        Alert::MissingExtension => "tlsv13 alert missing extension",
        Alert::UnsupportedExtension => "tlsv1 unsupported extension",
        Alert::CertificateUnobtainable => "tlsv1 certificate unobtainable",
        Alert::UnrecognisedName => "tlsv1 unrecognized name",
        Alert::BadCertificateStatusResponse => "tlsv1 bad certificate status response",
        Alert::BadCertificateHashValue => "tlsv1 bad certificate hash value",
        Alert::CertificateRequired => "tlsv13 alert certificate required",
        Alert::NoApplicationProtocol => "tlsv1 alert no application protocol",
        _ => return None,
    })
}

/// What this side found wrong.
fn of_our_own(error: &Error) -> Option<(u16, &'static str)> {
    Some(match error {
        // What speaks no TLS at all looks like this.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => (267, "wrong version number"),
        Error::InvalidMessage(InvalidMessage::MessageTooLarge) | Error::PeerSentOversizedRecord => {
            (198, "packet length too long")
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => (258, "unsupported protocol"),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => (193, "no shared cipher"),
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => (101, "no suitable key share"),
        Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
            (118, "no suitable signature algorithm")
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            (244, "unexpected message")
        }
        Error::DecryptError => (281, "decryption failed or bad record mac"),
        Error::NoApplicationProtocol => (235, "no application protocol"),
        Error::NoCertificatesPresented => (199, "peer did not return a certificate"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_openssls_where_it_has_some() {
        let cases = [
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number 40",
            ),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                "error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "error:0A00010B:SSL routines::wrong version number",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "error:0A0000C1:SSL routines::no shared cipher",
            ),
            (Error::General("something else".to_owned()), "unexpected error: something else"),
        ];
        for (error, wanted) in cases {
            assert_eq!(words(&error), wanted);
        }
    }
}
