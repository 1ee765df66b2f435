//! One check of one peer: what it is asked, and what is made of its answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use config::{Computed, HealthCheck, LocationConf, PeerAddress, ProxyPass, Scheme, Variable, VariableSource};
use http1::{Framing, ResponseHead};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{
    talk::{Failure, Kept, Talk, within},
    verdict,
};
use crate::{
    clock::{self, Moment},
    http::{
        exchange::{Try, UpstreamFacts},
        proxy::secured::Securing,
    },
    net::{Socket, Stream},
    upstream::{HANDSHAKING, Peer, secure},
};

/// What peers are asked.
pub struct Probe<'a> {
    /// The location that the check stands in.
    pub location: &'a LocationConf,
    /// Its `proxy_pass`.
    pub pass: &'a ProxyPass,
    /// How its upstreams are asked over TLS, where they are.
    pub securing: Option<&'a Securing>,
    /// The check.
    pub check: &'a HealthCheck,
    /// What makes the values of variables.
    pub computed: &'a [Computed],
}

impl Probe<'_> {
    /// Asks a peer, and judges what it answers: over the connection of an earlier check where that may still be used. One
    /// that can be used again is left in its place.
    ///
    /// # Errors
    /// Why the peer is not fit for use.
    pub async fn ask(&self, peer: &Peer, kept: &mut Option<Kept>) -> Result<(), Failure> {
        let mut earlier = kept.take().filter(|kept| kept.may_serve(self.check.keepalive_time));
        loop {
            let begun = clock::moment();
            let is_reused = earlier.is_some();
            let connection = match earlier.take() {
                Some(connection) => connection,
                None => Kept::new(self.connect(peer).await?),
            };
            let mut talk = Talk::new(connection, *self.location.proxy.read_timeout);
            let judged = self.ask_over(&mut talk, peer, begun).await;
            // The peer may close an idle connection whenever it likes, with or without a 408: that says nothing of its health.
            let is_closed = talk.received() == 0 && matches!(judged, Err(Failure::Broken { .. }));
            if is_reused && (is_closed || talk.status() == Some(408)) {
                continue;
            }
            *kept = talk.into_kept().filter(|_| self.keeps_connections());
            return judged;
        }
    }

    fn keeps_connections(&self) -> bool {
        !self.check.keepalive_time.is_zero()
    }

    async fn ask_over(&self, talk: &mut Talk, peer: &Peer, begun: Moment) -> Result<(), Failure> {
        let proxy = &self.location.proxy;
        let connect = Some(begun.elapsed());
        let request = self.request();
        talk.send(&request, *proxy.send_timeout).await?;
        let most = usize::try_from(*proxy.buffer_size).unwrap_or(usize::MAX);
        let (head, framing) = talk.head(most).await?;
        let header = Some(begun.elapsed());
        let conf = self.check.good.as_deref();
        let body = if verdict::needs_body(conf) {
            talk.body(framing).await?
        } else {
            if self.keeps_connections() && head.persists() && framing != Framing::UntilClose {
                // Whether all of it comes matters to the next check alone, which then has another connection.
                let _ = talk.body(framing).await;
            }
            Vec::new()
        };
        let facts = facts(head, talk, &body, Try { connect, header, ..self.tried(peer, &request, begun) });
        verdict::judge(conf, &facts, &body, self.computed).map_err(Failure::Mismatch)
    }

    /// What is known of a try without its answer.
    fn tried(&self, peer: &Peer, request: &[u8], begun: Moment) -> Try {
        let (address, response) = (Arc::clone(&peer.name), Some(begun.elapsed()));
        Try { address, response, bytes_sent: request.len() as u64, ..Try::default() }
    }

    async fn connect(&self, peer: &Peer) -> Result<Stream, Failure> {
        let connecting = async {
            Ok(match &peer.address {
                PeerAddress::Inet(address) => {
                    let address = SocketAddr::new(address.ip(), self.check.port.unwrap_or(address.port()));
                    Socket::Tcp(TcpStream::connect(address).await?)
                }
                PeerAddress::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
            })
        };
        let patience = *self.location.proxy.connect_timeout;
        let begun = clock::moment();
        let socket = within(patience, "connecting to upstream", "connect", connecting).await?;
        match self.securing.filter(|_| self.pass.scheme == Scheme::Https) {
            None => Ok(Stream::Plain(socket)),
            Some(securing) => {
                let left = patience.saturating_sub(begun.elapsed());
                self.secure(socket, securing, peer, left).await
            }
        }
    }

    async fn secure(
        &self,
        socket: Socket,
        securing: &Securing,
        peer: &Peer,
        patience: Duration,
    ) -> Result<Stream, Failure> {
        let broken = |what| Failure::Broken { what, during: HANDSHAKING };
        let values = Nobody(self.pass);
        let wish = securing.wish(&self.location.proxy_ssl, &self.pass.host, &values).await;
        let wish = wish.map_err(|error| broken(error.to_string()))?;
        match timeout(patience, secure(socket, &wish, &peer.sessions)).await {
            Ok(secured) => secured.map_err(broken),
            Err(_elapsed) => Err(Failure::Late { during: HANDSHAKING }),
        }
    }

    /// As a request of the location, without a client: what needs one is not sent.
    fn request(&self) -> Vec<u8> {
        let version = if self.keeps_connections() { "1.1" } else { "1.0" };
        let mut request = format!("GET {} HTTP/{version}\r\n", self.check.uri).into_bytes();
        let own = &self.location.proxy.set_header;
        let is_set = |name: &str| own.iter().any(|set| set.name.eq_ignore_ascii_case(name.as_bytes()));
        let values: Vec<_> =
            own.iter().map(|set| (&set.name, set.value.expand(&Nobody(self.pass)))).collect();
        let host_is_told =
            values.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"Host") && !value.is_empty());
        if !host_is_told {
            http1::write_field(&mut request, b"Host", self.pass.host.as_bytes());
        }
        if !self.keeps_connections() && !is_set("Connection") {
            http1::write_field(&mut request, b"Connection", b"close");
        }
        for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
            http1::write_field(&mut request, name, value);
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

/// What `$upstream_*` tell of an answer.
fn facts(head: ResponseHead, talk: &Talk, body: &[u8], tried: Try) -> UpstreamFacts {
    let one = Try {
        status: Some(head.status),
        response_length: body.len() as u64,
        bytes_received: talk.received(),
        ..tried
    };
    UpstreamFacts { tries: vec![one], head: Some(Arc::new(head)), ..UpstreamFacts::default() }
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
