//! One check of one peer: a request on a connection of its own, and what is needed of the answer.

use std::{fmt, future::Future, io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use config::{HealthCheck, LocationConf, PeerAddress, ProxyPass, Variable, VariableSource};
use http1::{Progress, ResponseHead, ResponseParser};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::verdict::{self, Mismatch};
use crate::{error_log::system_words, net::Stream};

/// Bytes of a body that are looked at, as nginx; what is longer is judged by its beginning.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Bytes that are asked for at a time.
const READ_BYTES: usize = 16 << 10;

/// Why a check failed.
pub enum Failure {
    /// The answer is not as wanted.
    Mismatch(Mismatch),
    /// There is none.
    NoAnswer {
        /// What happened, in nginx's words.
        what: String,
        /// What was being done.
        during: &'static str,
    },
}

/// Asks a peer, and judges what it answers.
///
/// # Errors
/// Why it is not fit for use.
pub async fn probe(
    location: &LocationConf,
    pass: &ProxyPass,
    check: &HealthCheck,
    address: &PeerAddress,
) -> Result<(), Failure> {
    let proxy = &location.proxy;
    let connecting = connect(address, check.port);
    let stream = within(*proxy.connect_timeout, "connecting to upstream", "connect", connecting).await?;
    send(&stream, &request(location, pass, check), *proxy.send_timeout).await?;
    let mut answer = Answer { stream, input: BytesMut::new(), patience: *proxy.read_timeout };
    let most = usize::try_from(*proxy.buffer_size).unwrap_or(usize::MAX);
    let head = answer.head(most).await?;
    let conf = check.good.as_deref();
    let body = if verdict::needs_body(conf) { answer.body(&head).await? } else { BytesMut::new() };
    verdict::judge(conf, &head, &body).map_err(Failure::Mismatch)
}

async fn connect(address: &PeerAddress, port: Option<u16>) -> io::Result<Stream> {
    match address {
        PeerAddress::Inet(address) => {
            let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
            Ok(Stream::Tcp(TcpStream::connect(address).await?))
        }
        PeerAddress::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}

/// As a request of the location, without a client: what needs one is not sent.
fn request(location: &LocationConf, pass: &ProxyPass, check: &HealthCheck) -> Vec<u8> {
    let mut request = format!("GET {} HTTP/1.0\r\n", check.uri).into_bytes();
    let own = &location.proxy.set_header;
    let is_set = |name: &str| own.iter().any(|set| set.name.eq_ignore_ascii_case(name.as_bytes()));
    let values: Vec<_> = own.iter().map(|set| (&set.name, set.value.expand(&Nobody(pass)))).collect();
    let host_is_told =
        values.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"Host") && !value.is_empty());
    if !host_is_told {
        http1::write_field(&mut request, b"Host", pass.host.as_bytes());
    }
    if !is_set("Connection") {
        http1::write_field(&mut request, b"Connection", b"close");
    }
    for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
        http1::write_field(&mut request, name, value);
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// The values of variables where nobody asks: those of `proxy_pass`.
struct Nobody<'a>(&'a ProxyPass);

impl VariableSource for Nobody<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        let value = match variable {
            Variable::ProxyHost => &self.0.host,
            Variable::ProxyPort => &self.0.port,
            // There is no client, and so no value.
            _ => return false,
        };
        out.extend_from_slice(value.as_bytes());
        true
    }

    fn write_capture(&self, _: usize, _: &mut Vec<u8>) -> bool {
        false
    }
}

async fn send(stream: &Stream, mut bytes: &[u8], patience: Duration) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let sent = within(patience, "sending request to upstream", "send", stream.write(bytes)).await?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// What is arriving.
struct Answer {
    stream: Stream,
    input: BytesMut,
    patience: Duration,
}

impl Answer {
    async fn head(&mut self, most: usize) -> Result<ResponseHead, Failure> {
        const READING: &str = "reading response header from upstream";
        let mut parser = ResponseParser::new();
        let mut head = ResponseHead::new();
        loop {
            let parsed = match self.input.is_empty() {
                true => Ok(Progress::NeedMore),
                false => parser.parse(&self.input, most, &mut head),
            };
            match parsed {
                Ok(Progress::Done(used)) => {
                    let _head = self.input.split_to(used);
                    if !matches!(head.status, 100 | 102..=199) {
                        return Ok(head);
                    }
                    parser.reset();
                    head.clear();
                }
                Ok(Progress::NeedMore) => {
                    if self.receive(READING).await? == 0 {
                        let what = "upstream prematurely closed connection".to_owned();
                        return Err(Failure::NoAnswer { what, during: READING });
                    }
                }
                Err(error) => return Err(Failure::NoAnswer { what: error.to_string(), during: READING }),
            }
        }
    }

    /// Reads the body up to its end or to what is looked at.
    async fn body(&mut self, head: &ResponseHead) -> Result<BytesMut, Failure> {
        let told =
            head.fields.get("Content-Length").and_then(|length| str::from_utf8(length).ok()?.parse().ok());
        let wanted = told.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
        while self.input.len() < wanted && self.receive("reading upstream").await? > 0 {}
        self.input.truncate(wanted);
        Ok(std::mem::take(&mut self.input))
    }

    async fn receive(&mut self, during: &'static str) -> Result<usize, Failure> {
        self.input.reserve(READ_BYTES);
        within(self.patience, during, "recv", self.stream.read(&mut self.input)).await
    }
}

async fn within<T>(
    patience: Duration,
    during: &'static str,
    call: &str,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    let what = match timeout(patience, work).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => format!("{call}() failed ({})", system_words(&error)),
        Err(_elapsed) => "upstream timed out (110: Connection timed out)".to_owned(),
    };
    Err(Failure::NoAnswer { what, during })
}

impl Failure {
    /// Says what was being done.
    pub fn during(&self) -> &'static str {
        match self {
            Self::Mismatch(mismatch) => mismatch.words(),
            Self::NoAnswer { during, .. } => during,
        }
    }
}

/// What happened and what was being done.
impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch(mismatch) => out.write_str(mismatch.words()),
            Self::NoAnswer { what, during } => write!(out, "{what} while {during}"),
        }
    }
}
