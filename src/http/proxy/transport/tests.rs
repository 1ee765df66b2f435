//! Requests to scripted peers over loopback sockets.

use std::{net::SocketAddr, time::Duration};

use ::http1::{Fields, Method};
use config::{
    Failures, Keepalive, KeptFor, NextUpstream, PeerAddress, ProxyConf, Setting, UpstreamConf, UpstreamServer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::{JoinHandle, LocalSet, spawn_local},
};

use super::*;
use crate::{
    http::proxy::request::{OutgoingBody, Upgrade, fixture},
    upstream::Affinity,
};

/// What a peer does on one connection.
#[derive(Clone)]
enum Act {
    /// Reads one request, its body by Content-Length included.
    Read,
    /// Reads the head of a request and no more.
    ReadHead,
    /// Sends these bytes.
    Send(&'static str),
    /// Waits for the end of what the other side sends.
    ReadToEnd,
    /// Keeps the connection open without a word.
    Stall,
}
use Act::{Read, ReadHead, ReadToEnd, Send, Stall};

/// A peer that plays one script per connection, then accepts no more. It returns what it read, per connection.
async fn peer(scripts: Vec<Vec<Act>>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let play = async move {
        let mut seen = Vec::new();
        for script in scripts {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut read = Vec::new();
            for act in script {
                perform(act, &mut stream, &mut read).await;
            }
            seen.push(String::from_utf8_lossy(&read).into_owned());
        }
        seen
    };
    (address, spawn_local(play))
}

async fn perform(act: Act, stream: &mut TcpStream, read: &mut Vec<u8>) {
    match act {
        Read | ReadHead => {
            let start = read.len();
            let head_end = loop {
                if let Some(end) = read[start..].windows(4).position(|window| window == b"\r\n\r\n") {
                    break start + end + 4;
                }
                if stream.read_buf(read).await.expect("a request") == 0 {
                    return;
                }
            };
            let head = String::from_utf8_lossy(&read[start..head_end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
            let body = length.filter(|_| matches!(act, Read)).unwrap_or(0);
            while read.len() < head_end + body {
                stream.read_buf(read).await.expect("a body");
            }
        }
        Send(text) => stream.write_all(text.as_bytes()).await.expect("room"),
        ReadToEnd => {
            stream.read_to_end(read).await.expect("an end");
        }
        Stall => std::future::pending().await,
    }
}

fn group(addresses: &[SocketAddr], keepalive: usize) -> Arc<Group> {
    let server =
        |address: &SocketAddr| UpstreamServer::new(address.to_string(), vec![PeerAddress::Inet(*address)]);
    let mut conf = UpstreamConf::new("test".to_owned(), addresses.iter().map(server).collect());
    conf.keepalive = (keepalive > 0).then_some(Keepalive { most: keepalive, kept_for: KeptFor::Group });
    Arc::new(Group::new(Arc::new(conf)))
}

/// Everything that a fetch needs.
struct Bench {
    event_loop: Rc<EventLoop>,
    location: Arc<LocationConf>,
    group: Arc<Group>,
    facts: UpstreamFacts,
}

impl Bench {
    fn new(group: Arc<Group>, proxy: ProxyConf) -> Self {
        let location = Arc::new(LocationConf { proxy, ..LocationConf::default() });
        let event_loop = fixture::event_loop("");
        Self { event_loop, location, group, facts: UpstreamFacts::default() }
    }

    fn outgoing(&self, method: &str, body: OutgoingBody, upgrade: Upgrade) -> Outgoing {
        let length = match &body {
            OutgoingBody::Memory(bytes) => format!("Content-Length: {}\r\n", bytes.len()),
            OutgoingBody::Empty | OutgoingBody::File(_) | OutgoingBody::Client(_) => String::new(),
        };
        Outgoing {
            head: format!("{method} /x HTTP/1.1\r\n{length}\r\n").into_bytes(),
            method: Method::from_text(method.as_bytes()),
            body,
            upgrade,
            local: None,
            tls: None,
            hints: None,
            trailers: None,
            affinity: Affinity::default(),
        }
    }

    async fn send(&mut self, mut outgoing: Outgoing) -> Result<Incoming, Fault> {
        let whom = Whom {
            connection: 1,
            client: "127.0.0.1",
            server: &self.event_loop.site.http().listeners[0].default_server,
            request_line: b"GET / HTTP/1.1",
            subrequest: None,
            fields: &Fields::new(),
            upstream: None,
        };
        let (group, facts) = (&self.group, &mut self.facts);
        fetch(&self.event_loop, &self.location, group, &mut outgoing, None, whom, facts).await
    }

    /// Sends a request without a body and reads the answer to its end.
    async fn get(&mut self, method: &str) -> Result<(u16, String), Fault> {
        let outgoing = self.outgoing(method, OutgoingBody::Empty, Upgrade::NotAsked);
        let mut incoming = self.send(outgoing).await?;
        let body = whole(&mut incoming.body).await?;
        incoming.body.finish(&mut self.facts);
        Ok((incoming.head.status, body))
    }

    fn statuses(&self) -> Vec<Option<u16>> {
        self.facts.tries.iter().map(|one| one.status).collect()
    }
}

async fn whole(body: &mut UpstreamBody) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends GET requests to one peer, and returns what came of them and how many connections the peer saw.
async fn answers(method: &str, count: usize, scripts: Vec<Vec<Act>>) -> Vec<Result<(u16, String), String>> {
    let (address, _peer) = peer(scripts).await;
    let mut bench = Bench::new(group(&[address], 4), ProxyConf::default());
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(bench.get(method).await.map_err(|fault| fault.to_string()));
    }
    answers
}

async fn local(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(20);
    let done = LocalSet::new().run_until(async { tokio::time::timeout(limit, test).await }).await;
    done.expect("the test ends in time");
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn ok(body: &str) -> Result<(u16, String), String> {
    Ok((200, body.to_owned()))
}

fn failed(text: &str) -> Result<(u16, String), String> {
    Err(text.to_owned())
}

#[tokio::test]
async fn bodies_end_where_their_framing_says() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
    let reading = "while reading upstream";
    local(async {
        let premature = format!("upstream prematurely closed connection {reading}");
        let cases = [
            ("length", vec![vec![Read, Send(OK)]], ok("ok")),
            ("chunks", vec![vec![Read, Send(chunked)]], ok("abcde")),
            ("close", vec![vec![Read, Send("HTTP/1.1 200 OK\r\n\r\nto the end")]], ok("to the end")),
            ("HTTP/0.9", vec![vec![Read, Send("just text")]], ok("just text")),
            (
                "short",
                vec![vec![Read, Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok")]],
                failed(&premature),
            ),
            (
                "short chunks",
                vec![vec![Read, Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")]],
                failed(&premature),
            ),
            (
                "bad chunks",
                vec![vec![Read, Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")]],
                failed(&format!("upstream sent invalid chunked response {reading}")),
            ),
        ];
        for (name, scripts, wanted) in cases {
            assert_eq!(answers("GET", 1, scripts).await, [wanted], "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn heads_that_are_none_are_refused_in_nginxs_words() {
    let reading = "while reading response header from upstream";
    let big: &'static str = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(5000)).leak();
    local(async {
        let cases = [
            ("nothing", "", "upstream prematurely closed connection"),
            ("half a head", "HTTP/1.1 200 OK\r\nX: ", "upstream prematurely closed connection"),
            ("too big", big, "upstream sent too big header"),
            (
                "two ends",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time",
            ),
            (
                "unwanted switch",
                "HTTP/1.1 101 Switching\r\n\r\n",
                "upstream switched protocols without being asked to",
            ),
            (
                "no head behind an interim answer",
                "HTTP/1.1 100 Continue\r\n\r\njust text",
                "upstream sent no valid HTTP/1.0 header",
            ),
        ];
        for (name, text, wanted) in cases {
            let answers = answers("GET", 1, vec![vec![Read, Send(text)]]).await;
            assert_eq!(answers, [failed(&format!("{wanted} {reading}"))], "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    local(async {
        assert_eq!(answers("GET", 1, vec![vec![Read, Send(text)]]).await, [ok("ok")]);
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_used_again_only_after_a_proven_end() {
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more";
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    local(async {
        // A second request on the same connection finds its script there; on another, in the second script.
        let same = |text| vec![vec![Read, Send(text), Read, Send(OK)]];
        let other = |text| vec![vec![Read, Send(text), ReadToEnd], vec![Read, Send(OK)]];
        let cases = [
            ("kept", "GET", same(OK), [ok("ok"), ok("ok")]),
            ("no body", "GET", same(empty), [Ok((204, String::new())), ok("ok")]),
            ("more than announced", "GET", other(more), [ok("ok"), ok("ok")]),
            ("close asked for", "GET", other(closing), [ok("ok"), ok("ok")]),
            ("HTTP/1.0", "GET", other(old), [ok("ok"), ok("ok")]),
        ];
        for (name, method, scripts, wanted) in cases {
            assert_eq!(answers(method, 2, scripts).await, wanted, "{name}");
        }
        let head_only = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let answers = answers("HEAD", 2, vec![vec![Read, Send(head_only), Read, Send(head_only)]]).await;
        assert_eq!(answers, [ok(""), ok("")]);
    })
    .await;
}

#[tokio::test]
async fn a_kept_connection_that_dies_is_replaced_once() {
    local(async {
        // The first connection dies when the second request is on it.
        let dies = || vec![Read, Send(OK), Read];
        let (address, seen) = peer(vec![dies(), vec![Read, Send(OK)]]).await;
        let mut bench = Bench::new(group(&[address], 4), ProxyConf::default());
        assert_eq!(bench.get("GET").await.map_err(|fault| fault.to_string()), ok("ok"));
        assert_eq!(bench.get("GET").await.map_err(|fault| fault.to_string()), ok("ok"));
        assert_eq!(bench.statuses(), [Some(200), Some(502), Some(200)]);
        assert_eq!(seen.await.expect("the peer ends").len(), 2);
        // What is not idempotent is not sent twice.
        let (address, _peer) = peer(vec![dies(), vec![Read, Send(OK)]]).await;
        let mut bench = Bench::new(group(&[address], 4), ProxyConf::default());
        bench.get("POST").await.expect("an answer");
        let fault = bench.get("POST").await.expect_err("no second try");
        assert_eq!((fault.status(), fault.retry), (502, Retry::FreshConnection));
    })
    .await;
}

#[tokio::test]
async fn the_next_peer_is_asked_where_the_first_fails() {
    let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    local(async {
        let after = Failures { error: true, timeout: true, http_503: true, ..Failures::default() };
        let statuses = NextUpstream { after, ..NextUpstream::default() };
        let proxy = ProxyConf { next_upstream: Setting::written(statuses), ..ProxyConf::default() };
        let dead = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let (first, _first) = peer(vec![vec![Read, Send(busy)]]).await;
        let (second, _second) = peer(vec![vec![Read, Send(OK)]]).await;
        let mut bench = Bench::new(group(&[dead, first, second], 4), proxy.clone());
        assert_eq!(bench.get("GET").await.map_err(|fault| fault.to_string()), ok("ok"));
        assert_eq!(bench.statuses(), [Some(502), Some(503), Some(200)]);
        assert_eq!(bench.facts.tries[0].connect, None);
        // The last peer's answer is passed on, whatever it is.
        let (last, _last) = peer(vec![vec![Read, Send(busy)]]).await;
        let mut bench = Bench::new(group(&[dead, last], 4), proxy);
        assert_eq!(bench.get("GET").await.map_err(|fault| fault.to_string()), Ok((503, String::new())));
        // Nobody listens there any more, and the first has not rested long enough.
        let fault = bench.get("GET").await.expect_err("no peer is left");
        assert_eq!(fault.to_string(), "no live upstreams while connecting to upstream");
        assert_eq!(&*bench.facts.tries.last().expect("a try").address, "test");
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_ends_a_large_upload() {
    local(async {
        let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
        let (address, _peer) = peer(vec![vec![ReadHead, Send(refusal), Stall]]).await;
        let mut bench = Bench::new(group(&[address], 4), ProxyConf::default());
        let upload = OutgoingBody::Memory(vec![b'x'; 32 << 20].into());
        let outgoing = bench.outgoing("PUT", upload, Upgrade::NotAsked);
        let mut incoming = bench.send(outgoing).await.expect("an answer");
        assert_eq!(incoming.head.status, 413);
        assert_eq!(whole(&mut incoming.body).await.expect("a body"), "no");
        let pick = bench.group.pick(&mut Search::default(), clock::moment()).expect("the peer");
        assert!(
            bench.event_loop.idle.take(&pick, None, None, bench.location.id).is_none(),
            "half a request is on that connection"
        );
    })
    .await;
}

#[tokio::test]
async fn a_silent_peer_times_out() {
    local(async {
        let (address, _peer) = peer(vec![vec![Read, Stall]]).await;
        let proxy =
            ProxyConf { read_timeout: Setting::written(Duration::from_millis(20)), ..ProxyConf::default() };
        let mut bench = Bench::new(group(&[address], 4), proxy);
        let fault = bench.get("GET").await.expect_err("no answer");
        assert_eq!(fault.status(), 504);
        let wanted =
            "upstream timed out (110: Connection timed out) while reading response header from upstream";
        assert_eq!(fault.to_string(), wanted);
    })
    .await;
}

#[tokio::test]
async fn what_was_read_and_sent_is_counted() {
    local(async {
        let (address, _peer) = peer(vec![vec![Read, Send(OK)]]).await;
        let mut bench = Bench::new(group(&[address], 4), ProxyConf::default());
        let outgoing =
            bench.outgoing("POST", OutgoingBody::Memory(Bytes::from_static(b"abc")), Upgrade::NotAsked);
        let sent = outgoing.head.len() as u64 + 3;
        let mut incoming = bench.send(outgoing).await.expect("an answer");
        whole(&mut incoming.body).await.expect("a body");
        incoming.body.finish(&mut bench.facts);
        let tried = &bench.facts.tries[0];
        assert_eq!(*tried.address, address.to_string());
        assert_eq!(
            (tried.bytes_sent, tried.bytes_received, tried.response_length),
            (sent, OK.len() as u64, 2)
        );
        assert!(tried.connect.is_some() && tried.header.is_some() && tried.response.is_some());
        assert_eq!(incoming.head_bytes, OK.strip_suffix("ok").expect("it ends so"));
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_carries_both_ways_and_passes_ends_on() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nfirst words";
    local(async {
        let (address, seen) = peer(vec![vec![Read, Send(switch), ReadToEnd, Send(", last words")]]).await;
        let mut bench = Bench::new(group(&[address], 4), ProxyConf::default());
        let outgoing = bench.outgoing("GET", OutgoingBody::Empty, Upgrade::Asked);
        let request = String::from_utf8(outgoing.head.clone()).expect("text");
        let incoming = bench.send(outgoing).await.expect("an answer");
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let client = Client::new(ours.into(), 1, 0);
        client.input.borrow_mut().extend_from_slice(b"sent ahead, ");
        let mut said = String::new();
        let user = async {
            theirs.write_all(b"then more").await.expect("room");
            theirs.shutdown().await.expect("an end");
            theirs.read_to_string(&mut said).await.expect("text");
        };
        let upgraded = incoming.upgraded.expect("a tunnel");
        let (counts, ()) = tokio::join!(tunnel(&client, *upgraded, &bench.location), user);
        assert_eq!(said, "first words, last words");
        assert_eq!(seen.await.expect("the peer ends"), [format!("{request}sent ahead, then more")]);
        assert_eq!(counts, TunnelCounts { to_client: 23, to_upstream: 21 });
    })
    .await;
}
