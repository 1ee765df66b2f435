//! One request to an upstream: a peer is chosen and asked, and if need be the next one.
//!
//! [`fetch`] tells the tries as a story; `http1.rs` or `http2.rs` makes one of them, and `body.rs` is what an answer's body has in
//! common whatever it comes over. Nothing here needs an exchange, since fills of the cache outlive the client that caused them.

mod body;
mod http1;
mod http2;
mod log;
pub(super) mod target;
mod tunnel;

use std::{fmt, mem, rc::Rc, sync::Arc, time::Duration};

use ::http1::{ResponseError, ResponseHead, Version};
use bytes::Bytes;
use config::{HttpVersion, LocationConf, Measure};

use self::body::{Origin, Wire};
pub use self::{
    body::UpstreamBody,
    target::target,
    tunnel::{TunnelCounts, Upgraded, tunnel},
};
use super::request::Outgoing;
use crate::{
    clock::{self, Moment},
    error_log::Level,
    http::{
        Fault,
        client::Client,
        exchange::{Try, UpstreamFacts},
        fault::{Asked, Kind, Retry, Side, Whom},
        request_body::RequestBody,
        site::EventLoop,
    },
    upstream::{
        Connection, Dial, Found, Group, OpenError, Pick, Search, Standing, TcpKeepalive,
        retry::{self, Cause, Failure, Progress, Verdict},
    },
};

/// An upstream's answer: its head, and the body as it comes.
pub struct Incoming {
    /// The head.
    pub head: Arc<ResponseHead>,
    /// The head's bytes as received, for the file of a cache.
    pub head_bytes: Bytes,
    /// The body; in a box, since an answer passes through many hands.
    pub body: Box<UpstreamBody>,
    /// The connection, where both sides have changed to another protocol.
    pub upgraded: Option<Box<Upgraded>>,
    /// X-Accel-Buffering: `proxy_buffering` for this answer, where it says so.
    pub buffering: Option<bool>,
}

/// The body of a request that is passed on while the client sends it.
pub struct ClientBody<'a> {
    /// The client.
    pub client: &'a Client,
    /// Its body.
    pub body: &'a mut RequestBody,
}

/// Sends a request to one peer after another until one answers, within the limits of `proxy_next_upstream`.
///
/// Not cancel safe: what was sent is lost when it is dropped, and the connection with it.
///
/// # Errors
/// The last peer's fault, or the client's where its body cannot be had.
pub async fn fetch(
    event_loop: &Rc<EventLoop>,
    location: &Arc<LocationConf>,
    group: &Arc<Group>,
    outgoing: &mut Outgoing,
    mut client_body: Option<ClientBody<'_>>,
    whom: Whom<'_>,
    facts: &mut UpstreamFacts,
) -> Result<Incoming, Fault> {
    facts.scheme = outgoing.scheme();
    facts.target = outgoing.target().to_vec();
    let mut round = Round::new(event_loop, location, group, outgoing, whom);
    let mut pick = round.pick(facts).await?;
    let mut connections = Connections::IdleFirst;
    loop {
        let begun = clock::moment();
        let mut running = Running::new(facts, &pick, round.queued.take(), begun);
        let tried = round.ask(&pick, connections, client_body.as_mut(), &mut running.record, begun).await;
        let judged = round.judge(tried, &pick, &mut running.record, begun);
        drop(running);
        match judged {
            Ok(reply) => {
                facts.head = Some(Arc::clone(&reply.head));
                facts.peer = Some(Arc::clone(pick.peer()));
                return Ok(round.accept(reply, pick, begun));
            }
            Err(Refused::Finally(fault)) => return Err(fault),
            Err(Refused::AskAgain) => connections = Connections::FreshOnly,
            Err(Refused::AskAnother) => {
                pick = round.pick(facts).await?;
                connections = Connections::IdleFirst;
            }
        }
    }
}

/// The head of an answer, and what its body comes over.
struct Reply {
    head: Arc<ResponseHead>,
    /// The head as received.
    head_bytes: Bytes,
    wire: Wire,
    /// Bytes received so far, those of the body included.
    received: u64,
}

/// A try that brought no answer.
#[derive(Debug)]
struct Lost {
    fault: Fault,
    /// Whether the peer may have seen the request.
    progress: Progress,
}

/// What is being done, for the log.
const READING_HEAD: &str = "reading response header from upstream";

/// Where a connection may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connections {
    /// From the pool, where it has one.
    IdleFirst,
    /// A new one: the pool's was closed.
    FreshOnly,
}

/// What follows a try whose answer, if there is one, is not passed on.
enum Refused {
    /// The end.
    Finally(Fault),
    /// The same peer over a new connection.
    AskAgain,
    /// Another peer.
    AskAnother,
}

/// A try under way. It is noted even if it is given up, as when the client goes away: then it lasted until now.
struct Running<'a> {
    facts: &'a mut UpstreamFacts,
    record: Try,
    begun: Moment,
}

impl<'a> Running<'a> {
    fn new(facts: &'a mut UpstreamFacts, pick: &Pick, queue: Option<Duration>, begun: Moment) -> Self {
        let record = Try { address: Arc::clone(&pick.peer().name), queue, ..Try::default() };
        Self { facts, record, begun }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut record = mem::take(&mut self.record);
        if record.status.is_none() {
            record.response.get_or_insert(self.begun.elapsed());
        }
        self.facts.tries.push(record);
    }
}

/// All tries of one request.
struct Round<'a> {
    event_loop: &'a Rc<EventLoop>,
    location: &'a LocationConf,
    group: &'a Arc<Group>,
    outgoing: &'a Outgoing,
    whom: Whom<'a>,
    begun: Moment,
    search: Search,
    /// How long the peer of the next try was waited for.
    queued: Option<Duration>,
    tries_left: usize,
}

impl<'a> Round<'a> {
    fn new(
        event_loop: &'a Rc<EventLoop>,
        location: &'a LocationConf,
        group: &'a Arc<Group>,
        outgoing: &'a Outgoing,
        whom: Whom<'a>,
    ) -> Self {
        let most = usize::try_from(*location.proxy.next_upstream_tries).unwrap_or(usize::MAX);
        let tries_left = if most == 0 { group.tries() } else { group.tries().min(most) };
        let begun = clock::moment();
        Self {
            event_loop,
            location,
            group,
            outgoing,
            whom,
            begun,
            search: Search::new(outgoing.affinity.clone()),
            queued: None,
            tries_left,
        }
    }

    async fn pick(&mut self, facts: &mut UpstreamFacts) -> Result<Pick, Fault> {
        let Found { pick, queued } = self.group.pick_or_wait(&mut self.search, clock::moment()).await;
        self.queued = queued;
        pick.ok_or_else(|| {
            let address = self.group.conf.name.as_str().into();
            facts.tries.push(Try { address, status: Some(502), queue: queued, ..Try::default() });
            no_live_upstreams()
        })
    }

    /// Makes one try.
    async fn ask(
        &self,
        pick: &Pick,
        connections: Connections,
        client_body: Option<&mut ClientBody<'_>>,
        record: &mut Try,
        begun: Moment,
    ) -> Result<Reply, Lost> {
        if *self.location.proxy.http_version == HttpVersion::V2 {
            return self.ask_http2(pick, connections, client_body, record, begun).await;
        }
        let idle = match connections {
            Connections::IdleFirst => {
                let Outgoing { local, tls, .. } = self.outgoing;
                self.event_loop.idle.take(pick, *local, tls.as_ref(), self.location.id)
            }
            Connections::FreshOnly => None,
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(pick).await?,
        };
        record.connect = Some(begun.elapsed());
        http1::ask(connection, self.outgoing, client_body, self.location, record, begun).await
    }

    /// Makes one try on a connection that others use too.
    async fn ask_http2(
        &self,
        pick: &Pick,
        connections: Connections,
        client_body: Option<&mut ClientBody<'_>>,
        record: &mut Try,
        begun: Moment,
    ) -> Result<Reply, Lost> {
        let claim = self.event_loop.shared.claim(pick, &self.dial()).await;
        let claim = claim.map_err(|error| not_connected(&error))?;
        record.connect = Some(begun.elapsed());
        let asked = http2::ask(claim, self.outgoing, client_body, self.location, record, begun).await;
        asked.map_err(|mut lost| {
            // Once is enough: others may have used this connection too before it was lost.
            if connections == Connections::FreshOnly {
                lost.fault.retry = Retry::NextPeer;
            }
            lost
        })
    }

    async fn connect(&self, pick: &Pick) -> Result<Connection, Lost> {
        let connected = Connection::open(pick, &self.dial()).await;
        connected.map_err(|error| not_connected(&error))
    }

    fn dial(&self) -> Dial {
        let socket = &self.location.proxy_socket;
        let bytes = |size: Option<u64>| size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        Dial {
            location: self.location.id,
            timeout: *self.location.proxy.connect_timeout,
            local: self.outgoing.local,
            tls: self.outgoing.tls.clone(),
            keepalive: if *socket.socket_keepalive { TcpKeepalive::On } else { TcpKeepalive::Off },
            receive_bytes: bytes(*socket.socket_rcvbuf),
            send_bytes: bytes(*socket.socket_sndbuf),
        }
    }

    /// Decides whether an answer is passed on or what else follows a try, and reports it to the group and the log.
    fn judge(
        &mut self,
        tried: Result<Reply, Lost>,
        pick: &Pick,
        record: &mut Try,
        begun: Moment,
    ) -> Result<Reply, Refused> {
        let lost = match tried {
            Ok(reply) => {
                if reply.head.version == Version::V0_9 {
                    self.note(pick, Level::Error, format_args!("{}", ResponseError::NoStatusLine));
                }
                let status = reply.head.status;
                record.status = Some(status);
                return match self.verdict(Cause::Status(status), Progress::Sent) {
                    Verdict::GiveUp => {
                        pick.succeeded();
                        pick.took(Measure::Header, begun.elapsed());
                        Ok(reply)
                    }
                    Verdict::NextPeer => Err(self.pass_over(pick, Cause::Status(status), READING_HEAD)),
                };
            }
            Err(lost) => lost,
        };
        record.response = Some(begun.elapsed());
        let Some(cause) = cause(&lost.fault) else { return Err(Refused::Finally(lost.fault)) };
        record.status = Some(lost.fault.status());
        let rules = &self.location.proxy.next_upstream;
        let died_idle = lost.fault.retry == Retry::FreshConnection;
        if died_idle && retry::may_repeat(rules, lost.progress, self.outgoing.repeat()) {
            self.note(pick, Level::Error, format_args!("{}", lost.fault));
            return Err(Refused::AskAgain);
        }
        Err(match self.verdict(cause, lost.progress) {
            Verdict::NextPeer => {
                self.note(pick, Level::Error, format_args!("{}", lost.fault));
                self.pass_over(pick, cause, lost.fault.during)
            }
            Verdict::GiveUp => {
                self.count_failure(pick, lost.fault.during);
                Refused::Finally(lost.fault)
            }
        })
    }

    fn pass_over(&mut self, pick: &Pick, cause: Cause, during: &str) -> Refused {
        self.tries_left -= 1;
        if retry::counts(cause) {
            self.count_failure(pick, during);
        }
        Refused::AskAnother
    }

    fn count_failure(&self, pick: &Pick, during: &str) {
        if pick.failed(clock::moment()) == Standing::Disabled {
            self.note(pick, Level::Warn, format_args!("upstream server temporarily disabled while {during}"));
        }
    }

    /// Writes a line about a try.
    fn note(&self, pick: &Pick, level: Level, what: fmt::Arguments<'_>) {
        let (scheme, target) = (self.outgoing.scheme(), self.outgoing.target());
        let upstream = Some(Asked { scheme, peer: &pick.peer().name, target });
        Whom { upstream, ..self.whom }.report(self.location, level, what);
    }

    /// Asks the rules about a failure.
    fn verdict(&self, cause: Cause, progress: Progress) -> Verdict {
        let failure = Failure {
            cause,
            progress,
            repeat: self.outgoing.repeat(),
            tries_left: self.tries_left.saturating_sub(1),
            elapsed: self.begun.elapsed(),
        };
        let proxy = &self.location.proxy;
        retry::verdict(&proxy.next_upstream, *proxy.next_upstream_timeout, &failure)
    }

    /// Makes the answer of a head that is to be passed on.
    fn accept(&self, reply: Reply, pick: Pick, begun: Moment) -> Incoming {
        let Reply { head, head_bytes, wire, received } = reply;
        let buffering = match self.location.proxy.ignore_headers.x_accel_buffering {
            true => None,
            false => head.fields.get("X-Accel-Buffering").and_then(buffering),
        };
        let event_loop = Rc::clone(self.event_loop);
        let read_timeout = *self.location.proxy.read_timeout;
        let origin = Origin { event_loop, read_timeout, begun, received };
        let (body, upgraded) = match head.status {
            101 => {
                let upgraded = wire.into_upgraded().map(|connection| Upgraded::new(connection, pick));
                (UpstreamBody::none(origin), upgraded.map(Box::new))
            }
            _ => (UpstreamBody::new(origin, wire, pick), None),
        };
        Incoming { head, head_bytes, body: Box::new(body), upgraded, buffering }
    }
}

/// Returns what a fault is to `proxy_next_upstream`; none where the upstream had no part in it.
fn cause(fault: &Fault) -> Option<Cause> {
    if fault.side != Side::Upstream {
        return None;
    }
    match fault.kind {
        Kind::Timeout => Some(Cause::Timeout),
        Kind::InvalidHeader => Some(Cause::InvalidHeader),
        Kind::Connection => Some(Cause::Error),
        Kind::Status(_)
        | Kind::NoPeers
        | Kind::BodyTooLarge
        | Kind::InvalidBody
        | Kind::NoServer
        | Kind::System => None,
    }
}

/// Reads X-Accel-Buffering.
fn buffering(value: &[u8]) -> Option<bool> {
    match value {
        _ if value.eq_ignore_ascii_case(b"yes") => Some(true),
        _ if value.eq_ignore_ascii_case(b"no") => Some(false),
        _ => None,
    }
}

fn not_connected(error: &OpenError) -> Lost {
    Lost { fault: log::not_connected(error), progress: Progress::Unsent }
}

fn no_live_upstreams() -> Fault {
    Fault {
        during: "connecting to upstream",
        ..Fault::new(Side::Upstream, Kind::NoPeers, "no live upstreams")
    }
}

#[cfg(test)]
mod tests;
