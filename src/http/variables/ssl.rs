//! Variables about TLS with the client.

use config::SslVariable;
use rustls::HandshakeKind;
use tls::{PeerCertificate, PeerName};

use super::Sink;
use crate::{
    clock,
    http::{
        Exchange,
        secure::{self, Verdict},
    },
    net::TlsStream,
};

/// Appends the value of a variable; without TLS none has one.
pub(super) fn write(exchange: &Exchange, variable: &SslVariable, sink: &mut Sink<'_>) -> bool {
    let Some(stream) = exchange.client.stream.tls() else { return false };
    let value = value(exchange, stream, variable);
    // As nginx: what is empty is not there.
    value.is_some_and(|value| sink.unless_empty(value.as_bytes()))
}

/// Returns the name by which an upstream is known in TLS (`$proxy_ssl_server_name`).
pub(super) fn peer_name(exchange: &Exchange) -> Option<Vec<u8>> {
    let (host, _) = super::proxy_target(exchange)?;
    let name = exchange.location.proxy_ssl.name.as_ref();
    let name = name.map_or_else(|| host.into(), |name| name.expand(exchange));
    Some(PeerName::parse(&name).shown().into_bytes())
}

fn value(exchange: &Exchange, stream: &TlsStream, variable: &SslVariable) -> Option<String> {
    use SslVariable as S;
    match variable {
        S::AlpnProtocol => stream.inspect(|facts| facts.alpn_protocol().map(text)),
        S::Cipher => stream
            .inspect(|facts| facts.negotiated_cipher_suite().map(|suite| tls::cipher_name(suite.suite()))),
        S::Ciphers => Some(tls::cipher_names(&stream.hello()?.ciphers)),
        S::Curve => stream.inspect(|facts| {
            facts.negotiated_key_exchange_group().map(|group| tls::curve_name(group.name()))
        }),
        S::Curves => Some(tls::curve_names(&stream.hello()?.groups)),
        S::EarlyData => stream.is_early().then(|| "1".to_owned()),
        S::Protocol => stream
            .inspect(|facts| facts.protocol_version().map(|version| tls::protocol_name(version).to_owned())),
        S::ServerName => stream.server_name().map(str::to_owned),
        // rustls does not show it.
        S::SessionId => None,
        S::SessionReused => Some(stream.inspect(|facts| match facts.handshake_kind() {
            Some(HandshakeKind::Resumed) => "r".to_owned(),
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => ".".to_owned(),
        })),
        S::ClientVerify => secure::verdict(exchange).map(|verdict| match verdict {
            Verdict::Absent => "NONE".to_owned(),
            Verdict::Trusted => "SUCCESS".to_owned(),
            Verdict::Refused(error) => format!("FAILED:{error}"),
        }),
        S::ClientCert => certificate(stream, |certificate| Some(certificate.cert())),
        S::ClientEscapedCert => certificate(stream, |certificate| Some(certificate.escaped_cert())),
        S::ClientRawCert => certificate(stream, |certificate| Some(certificate.raw_cert())),
        S::ClientFingerprint => certificate(stream, |certificate| Some(certificate.fingerprint())),
        S::ClientSerial => certificate(stream, |certificate| Some(certificate.serial())),
        S::ClientSDn => certificate(stream, |certificate| Some(certificate.s_dn())),
        S::ClientSDnLegacy => certificate(stream, |certificate| Some(certificate.s_dn_legacy())),
        S::ClientIDn => certificate(stream, |certificate| Some(certificate.i_dn())),
        S::ClientIDnLegacy => certificate(stream, |certificate| Some(certificate.i_dn_legacy())),
        S::ClientVStart => certificate(stream, |certificate| certificate.v_start()),
        S::ClientVEnd => certificate(stream, |certificate| certificate.v_end()),
        S::ClientVRemain => certificate(stream, |certificate| certificate.v_remain(clock::now())),
    }
}

/// What the client's own certificate says of itself.
fn certificate(
    stream: &TlsStream,
    show: impl FnOnce(&PeerCertificate<'_>) -> Option<String>,
) -> Option<String> {
    stream.inspect(|facts| {
        let own = facts.peer_certificates()?.first()?;
        show(&PeerCertificate::read(own)?)
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
