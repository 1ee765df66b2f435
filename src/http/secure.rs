//! TLS of client connections: the handshake, which server's certificate answers it, and what is asked of the client.
//!
//! The handshake takes any certificate of a client that has its key. Whether it is a good one is looked at when there is a
//! request to answer, so that the client can be told (495, 496).

use std::{cell::OnceCell, io, rc::Rc, sync::Arc};

use bytes::BytesMut;
use config::{ListenConf, ServerConf, VerifyClient};
use tls::{IdentityError, Offer, ServerContext, Shown, VerifyError};
use tokio::time::timeout;

use super::{
    Exchange, Fault,
    client::Address,
    fault::{Kind, Side},
    site::{EventLoop, Site},
};
use crate::{
    clock,
    error_log::{self, Level, system_words},
    net::{
        Socket, Stream, TlsStream,
        tls::{Greeting, HandshakeError, Opening},
    },
};

mod certificates;

/// A connection that requests can be read from.
pub struct Arrival {
    /// The connection.
    pub stream: Stream,
    /// Its number in this worker.
    pub serial: u64,
    /// Index of the listening address in the configuration.
    pub listener: usize,
    /// What was read already.
    pub input: BytesMut,
    /// What was found in the handshake, where there was one.
    pub secured: Option<Secured>,
}

/// What a handshake has settled.
#[derive(Debug)]
pub struct Secured {
    /// The server block whose settings it followed.
    pub server: Arc<ServerConf>,
    /// The name that led to it; none where it is the default.
    pub name: Option<String>,
    /// What the client's certificate is worth.
    verdict: OnceCell<Verdict>,
}

/// What a client's certificate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Absent,
    /// It is from somebody who is trusted.
    Trusted,
    /// It is not.
    Refused(VerifyError),
}

/// Alert for a name that nobody wants to answer to.
const UNRECOGNIZED_NAME: u8 = 112;
/// Alert for what went wrong here.
const INTERNAL_ERROR: u8 = 80;

/// Why there is no connection.
enum Failure {
    /// The client has left before it said anything.
    Silence,
    /// `ssl_reject_handshake`.
    Rejected,
    /// The server is not known: an expression gave up.
    Lost(String),
    /// The certificate that variables name cannot be had.
    Unloaded(IdentityError),
    /// The handshake failed.
    Handshake(HandshakeError),
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl Arrival {
    /// Takes a connection as it is, whatever is to be spoken there.
    pub fn plain(event_loop: &EventLoop, stream: Stream, listener: usize) -> Self {
        Self { stream, serial: event_loop.next_serial(), listener, input: BytesMut::new(), secured: None }
    }

    /// Takes a connection of our own for one of a client who has gone through what the address asks for.
    pub fn rehearsed(event_loop: &EventLoop, stream: Stream, listener: usize) -> Self {
        let conf = &event_loop.site.http().listeners[listener];
        let secured = conf.protocols.ssl.then(|| Secured::new(Arc::clone(&conf.default_server), None));
        Self { secured, ..Self::plain(event_loop, stream, listener) }
    }

    /// Makes an accepted connection ready for requests: shakes hands where TLS is spoken. What fails is logged.
    pub async fn open(event_loop: &Rc<EventLoop>, stream: Stream, listener: usize) -> Option<Self> {
        let plain = Self::plain(event_loop, stream, listener);
        let conf = &event_loop.site.http().listeners[listener];
        match (conf.protocols.ssl, plain.stream) {
            // Boxed, so that connections without TLS do not carry its weight.
            (true, Stream::Plain(socket)) => {
                Box::pin(shake(event_loop, conf, socket, plain.serial, listener)).await
            }
            (_, stream) => Some(Self { stream, ..plain }),
        }
    }
}

async fn shake(
    event_loop: &Rc<EventLoop>,
    conf: &ListenConf,
    socket: Socket,
    serial: u64,
    listener: usize,
) -> Option<Arrival> {
    let client = Address::new(socket.peer_address());
    if *conf.default_server.defaults.core.tcp_nodelay {
        // A socket that is already dead fails here; the first read will tell.
        let _ = socket.set_nodelay();
    }
    let patience = *conf.default_server.core.client_header_timeout;
    let failure = match timeout(patience, answer(event_loop, conf, socket, serial, listener)).await {
        Ok(Ok((stream, input, secured))) => {
            return Some(Arrival { stream, serial, listener, input, secured });
        }
        Ok(Err(failure)) => failure,
        Err(_) => HandshakeError::Broken(io::ErrorKind::TimedOut.into()).into(),
    };
    let (level, text) = words(&failure);
    let targets = &conf.default_server.defaults.log.error_log;
    let targets = (!targets.is_empty()).then_some(&targets[..]);
    let message = format_args!("{text}, client: {}, server: {}", client.text, conf.address);
    error_log::write_for(targets, level, Some(serial), message);
    None
}

/// How bad a failure is, and nginx's words for it.
fn words(failure: &Failure) -> (Level, String) {
    const SHAKING: &str = "while SSL handshaking";
    let error = match failure {
        Failure::Silence => return (Level::Info, format!("client closed connection {SHAKING}")),
        Failure::Rejected => return (Level::Info, format!("handshake rejected {SHAKING}")),
        Failure::Lost(reason) => return (Level::Error, format!("{reason} {SHAKING}")),
        Failure::Unloaded(error) => return (Level::Error, format!("{error} {SHAKING}")),
        Failure::Handshake(error) => error,
    };
    match error {
        HandshakeError::Broken(error) if error.kind() == io::ErrorKind::TimedOut => {
            (Level::Info, format!("client timed out (110: Connection timed out) {SHAKING}"))
        }
        HandshakeError::Broken(error) => {
            (Level::Info, format!("SSL_do_handshake() failed ({}) {SHAKING}", system_words(error)))
        }
        HandshakeError::Closed => (Level::Info, format!("{error} {SHAKING}")),
        HandshakeError::Refused(reason) => (level(reason), format!("{error} {SHAKING}")),
    }
}

/// As nginx: what a client can bring about is no news.
fn level(error: &rustls::Error) -> Level {
    match error {
        rustls::Error::General(_)
        | rustls::Error::FailedToGetCurrentTime
        | rustls::Error::FailedToGetRandomBytes
        | rustls::Error::EncryptError => Level::Crit,
        _ => Level::Info,
    }
}

async fn answer(
    event_loop: &Rc<EventLoop>,
    conf: &ListenConf,
    socket: Socket,
    serial: u64,
    listener: usize,
) -> Result<(Stream, BytesMut, Option<Secured>), Failure> {
    let greeting = match Greeting::receive(socket).await? {
        Opening::Tls(greeting) => greeting,
        Opening::Plain(socket, input) => return Ok((Stream::Plain(socket), input, None)),
        Opening::Silence => return Err(Failure::Silence),
    };
    let secured = match Secured::choose(conf, greeting.hello().server_name()) {
        Ok(secured) => secured,
        Err(reason) => {
            greeting.refuse(INTERNAL_ERROR);
            return Err(Failure::Lost(reason));
        }
    };
    let speaks_http2 = conf.protocols.http2 || *secured.server.http2.http2;
    let offer = if speaks_http2 { Offer::Http2 } else { Offer::Http1 };
    let context = context(&event_loop.site, conf, &secured.server);
    let shown = context.map(|context| context.answer(offer, greeting.hello().cipher_suites()));
    let (greeting, config, secured) = match shown {
        None | Some(Shown::Nothing) => {
            greeting.refuse(UNRECOGNIZED_NAME);
            return Err(Failure::Rejected);
        }
        Some(Shown::Fixed(config)) => (greeting, Arc::clone(config), secured),
        Some(Shown::Named(server)) => {
            let place = (listener, serial);
            let (greeting, secured, pairs) =
                certificates::named(event_loop, place, greeting, secured, server);
            match certificates::shown(server, pairs).await {
                Ok(shown) => {
                    let config = server.config(shown, offer, greeting.hello().cipher_suites());
                    (greeting, config, secured)
                }
                Err(error) => {
                    greeting.refuse(INTERNAL_ERROR);
                    return Err(Failure::Unloaded(error));
                }
            }
        }
    };
    let stream = greeting.answer(config).await?;
    Ok((stream.into(), BytesMut::new(), Some(secured)))
}

/// Returns how a server speaks TLS; one without certificates does as the default server of the address.
fn context<'a>(site: &'a Site, conf: &ListenConf, server: &ServerConf) -> Option<&'a Arc<ServerContext>> {
    site.contexts.server(server).or_else(|| site.contexts.server(&conf.default_server))
}

impl Secured {
    /// Finds the server for the name that a client asks for.
    fn choose(conf: &ListenConf, name: Option<&str>) -> Result<Self, String> {
        let asked = name.map(str::to_ascii_lowercase).unwrap_or_default();
        let found = match asked.as_bytes() {
            b"" => None,
            name => conf.names.find(name).map_err(|gave_up| gave_up.to_string())?,
        };
        Ok(match found {
            Some(found) => Self::new(Arc::clone(found.server), Some(asked)),
            None => Self::new(Arc::clone(&conf.default_server), None),
        })
    }

    fn new(server: Arc<ServerConf>, name: Option<String>) -> Self {
        Self { server, name, verdict: OnceCell::new() }
    }
}

/// Says what the certificate of a request's client is worth; nothing without TLS.
pub fn verdict(exchange: &Exchange) -> Option<Verdict> {
    let client = &exchange.client;
    let (secured, stream) = (client.secured.as_ref()?, client.stream.tls()?);
    let judge = || {
        let site = &exchange.event_loop.site;
        let conf = &site.http().listeners[client.listener];
        judge(context(site, conf, &secured.server), stream)
    };
    Some(*secured.verdict.get_or_init(judge))
}

fn judge(context: Option<&Arc<ServerContext>>, stream: &TlsStream) -> Verdict {
    let Some(trust) = context.and_then(|context| context.trust()) else { return Verdict::Absent };
    stream.inspect(|facts| match facts.peer_certificates() {
        None | Some([]) => Verdict::Absent,
        Some(chain) => match trust.verify_client(chain, clock::now()) {
            Ok(()) => Verdict::Trusted,
            Err(error) => Verdict::Refused(error),
        },
    })
}

/// Checks that a request may be answered on its connection: over TLS where that is spoken, with the certificate that the
/// server in force asks for.
///
/// # Errors
/// nginx's own statuses, 495 to 497.
pub fn check(exchange: &Exchange) -> Result<(), Fault> {
    let client = &exchange.client;
    if client.secured.is_none() {
        let listener = &exchange.event_loop.site.http().listeners[client.listener];
        return match listener.protocols.ssl {
            false => Ok(()),
            true => Err(refusal(497, "client sent plain HTTP request to HTTPS port".to_owned())),
        };
    }
    let mode = *exchange.server.ssl.verify_client;
    if mode == VerifyClient::Off {
        return Ok(());
    }
    let Some(verdict) = verdict(exchange) else { return Ok(()) };
    judge_by(mode, verdict)
}

/// Whether a certificate is enough for what a server asks.
fn judge_by(mode: VerifyClient, verdict: Verdict) -> Result<(), Fault> {
    match (mode, verdict) {
        (VerifyClient::Off, _) | (_, Verdict::Trusted) => Ok(()),
        (VerifyClient::OptionalNoCa, Verdict::Refused(error)) if error.is_only_unknown_authority() => Ok(()),
        (_, Verdict::Refused(error)) => {
            let words = format!("client SSL certificate verify error: ({}:{error})", error.code());
            Err(refusal(495, words))
        }
        (VerifyClient::On, Verdict::Absent) => {
            Err(refusal(496, "client sent no required SSL certificate".to_owned()))
        }
        (VerifyClient::Optional | VerifyClient::OptionalNoCa, Verdict::Absent) => Ok(()),
    }
}

/// Checks that a request is for the server whose certificate the client has seen, where that makes a difference.
///
/// # Errors
/// As nginx: 421 where a server that asks for certificates is wanted under another name.
pub fn check_name(exchange: &Exchange, server: &ServerConf) -> Result<(), Fault> {
    let name = exchange.client.secured.as_ref().and_then(|secured| secured.name.as_deref());
    match name {
        Some(name) if name.as_bytes() != exchange.host && *server.ssl.verify_client != VerifyClient::Off => {
            let words =
                "client attempted to request the server name different from the one that was negotiated";
            Err(refusal(421, words.to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

fn refusal(status: u16, detail: String) -> Fault {
    Fault {
        during: "reading client request headers",
        ..Fault::new(Side::Client, Kind::Status(status), detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_enough_for_what_is_asked() {
        use VerifyClient::{Off, On, Optional, OptionalNoCa};

        let unknown = Verdict::Refused(VerifyError::SelfSigned);
        let broken = Verdict::Refused(VerifyError::Unspecified);
        let table = [
            (Off, Verdict::Absent, None),
            (On, Verdict::Absent, Some(496)),
            (Optional, Verdict::Absent, None),
            (OptionalNoCa, Verdict::Absent, None),
            (On, Verdict::Trusted, None),
            (On, unknown, Some(495)),
            (Optional, unknown, Some(495)),
            (OptionalNoCa, unknown, None),
            (OptionalNoCa, broken, Some(495)),
        ];
        for (mode, verdict, status) in table {
            let judged = judge_by(mode, verdict).err().map(|fault| fault.status());
            assert_eq!(judged, status, "{mode:?} {verdict:?}");
        }
    }

    #[test]
    fn failures_are_told_in_nginxs_words() {
        let refused = |error| Failure::Handshake(HandshakeError::Refused(error));
        let table = [
            (Failure::Rejected, Level::Info, "handshake rejected while SSL handshaking"),
            (
                HandshakeError::Closed.into(),
                Level::Info,
                "peer closed connection in SSL handshake while SSL handshaking",
            ),
            (
                HandshakeError::Broken(io::ErrorKind::TimedOut.into()).into(),
                Level::Info,
                "client timed out (110: Connection timed out) while SSL handshaking",
            ),
            (
                refused(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::NoCipherSuitesInCommon)),
                Level::Info,
                "SSL_do_handshake() failed (SSL: error:0A0000C1:SSL routines::no shared cipher) while SSL handshaking",
            ),
            (
                refused(rustls::Error::FailedToGetRandomBytes),
                Level::Crit,
                "SSL_do_handshake() failed (SSL: failed to get random bytes) while SSL handshaking",
            ),
        ];
        for (failure, level, text) in table {
            assert_eq!(words(&failure), (level, text.to_owned()));
        }
    }
}
