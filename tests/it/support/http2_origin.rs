//! An origin that speaks HTTP/2, in clear text (prior knowledge) or over TLS: each request is answered by acts that its test names.
//!
//! It runs on a thread of its own with a small runtime; what it was asked is looked at from outside.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use larder::net::{
    Duplex, Socket,
    tls::{Greeting, Opening},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_blocking, spawn_local},
};

use super::{deadline::wait_until, reply::Gate};

/// An origin on a port of its own.
pub struct Http2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What it tells a client to keep to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Streams at once.
    pub streams: Option<u32>,
    /// Bytes of a request's body that may be on their way.
    pub window: Option<u32>,
}

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Number of its connection, from zero.
    pub connection: usize,
    /// Number of its stream as the protocol has it.
    pub stream: u32,
    /// Method.
    pub method: String,
    /// `:authority`, path and query.
    pub uri: String,
    /// Fields in order.
    pub fields: Vec<(String, String)>,
    /// Its body, where an act read it.
    pub body: Vec<u8>,
    /// Fields behind the body, where an act read it.
    pub trailers: Vec<(String, String)>,
}

/// One thing that the origin does.
#[derive(Clone)]
pub enum Act {
    /// Reads the request's body to its end.
    ReadBody,
    /// Sends an interim answer.
    Interim(u16, Vec<(&'static str, String)>),
    /// Sends the head of the answer, more to follow.
    Head(u16, Vec<(&'static str, String)>),
    /// Sends the head of the answer, which is all of it.
    Answer(u16, Vec<(&'static str, String)>),
    /// Sends a part of the body.
    Body(Vec<u8>),
    /// Ends the body.
    End,
    /// Ends the body with trailers.
    Trailers(Vec<(&'static str, String)>),
    /// Sends back what comes, and ends as it ends.
    Echo,
    /// Waits until the test opens the gate.
    Wait(Gate),
    /// Resets the stream.
    Reset(Reason),
    /// Says that it takes no more requests on this connection.
    GoAway,
    /// Ends the connection with an error.
    Abort(Reason),
    /// Closes the connection without a word.
    Close,
}

type Script = Arc<dyn Fn(&Asked) -> Vec<Act> + Send + Sync>;

struct Shared {
    script: Script,
    allowance: Allowance,
    tls: Option<Arc<ServerConfig>>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    asked: Vec<Asked>,
    connections: usize,
    open_connections: usize,
    /// Requests under way, by connection.
    streams: BTreeMap<usize, usize>,
    most_streams: usize,
    resets: Vec<Reason>,
}

impl Http2Origin {
    /// Answers as the function says, which sees a request's head.
    pub fn answering(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::allowing(Allowance::default(), script)
    }

    /// The same, with limits.
    pub fn allowing(
        allowance: Allowance,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::start(allowance, None, script)
    }

    /// Answers over TLS, whatever protocol is agreed on there.
    pub fn over_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Allowance::default(), Some(config), script)
    }

    fn start(
        allowance: Allowance,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared { script: Arc::new(script), allowance, tls, log: Mutex::default() });
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be told");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || run(listener, &shared, stopped))
        };
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.log(|log| log.asked.clone())
    }

    /// Returns how many connections were opened so far.
    pub fn connection_count(&self) -> usize {
        self.shared.log(|log| log.connections)
    }

    /// Returns how many requests were under way at most on one connection.
    pub fn most_streams(&self) -> usize {
        self.shared.log(|log| log.most_streams)
    }

    /// Returns why clients have given requests up.
    pub fn resets(&self) -> Vec<Reason> {
        self.shared.log(|log| log.resets.clone())
    }

    /// Waits until that many requests have come.
    pub fn wait_for_requests(&self, count: usize) {
        wait_until(&format!("the origin was asked {count} times"), || self.requests().len() >= count);
    }

    /// Waits until that many connections stand.
    pub fn wait_for_connections(&self, count: usize) {
        wait_until(&format!("{count} connections stand"), || {
            self.shared.log(|log| log.open_connections == count)
        });
    }
}

impl Drop for Http2Origin {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Asked {
    /// Returns the first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| &value[..])
    }

    /// Returns the path and the query.
    pub fn path(&self) -> &str {
        let rest = self.uri.split_once("://").map_or(&self.uri[..], |(_, rest)| rest);
        rest.find('/').map_or("", |slash| &rest[slash..])
    }
}

impl Shared {
    fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.log.lock().expect("no holder panics"))
    }
}

/// An answer of one piece.
pub fn whole(status: u16, body: impl AsRef<[u8]>) -> Vec<Act> {
    let body = body.as_ref().to_vec();
    vec![Act::Head(status, vec![("content-length", body.len().to_string())]), Act::Body(body), Act::End]
}

fn run(listener: std::net::TcpListener, shared: &Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let accept = async {
        let listener = TcpListener::from_std(listener).expect("a listener");
        while let Ok((stream, _)) = listener.accept().await {
            let number = shared.log(|log| {
                log.connections += 1;
                log.open_connections += 1;
                log.connections - 1
            });
            let shared = Arc::clone(shared);
            spawn_local(async move {
                let _ = stream.set_nodelay(true);
                match &shared.tls {
                    None => serve(stream, number, &shared).await,
                    Some(config) => {
                        if let Some(secured) = secured(stream, config).await {
                            serve(secured, number, &shared).await;
                        }
                    }
                }
                shared.log(|log| log.open_connections -= 1);
            });
        }
    };
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            () = accept => {}
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}

async fn secured(stream: TcpStream, config: &Arc<ServerConfig>) -> Option<Duplex> {
    let Ok(Opening::Tls(greeting)) = Greeting::receive(Socket::Tcp(stream)).await else { return None };
    greeting.answer(Arc::clone(config)).await.ok().map(|stream| Duplex::new(stream.into()))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, number: usize, shared: &Arc<Shared>) {
    let mut builder = server::Builder::new();
    if let Some(streams) = shared.allowance.streams {
        builder.max_concurrent_streams(streams);
    }
    if let Some(window) = shared.allowance.window {
        builder.initial_window_size(window);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let (orders, mut ordered) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    spawn_local(answer(request, respond, number, Arc::clone(shared), orders.clone()));
                }
                Some(Err(_)) | None => return,
            },
            Some(order) = ordered.recv() => match order {
                Act::GoAway => connection.graceful_shutdown(),
                Act::Abort(reason) => connection.abrupt_shutdown(reason),
                _ => return,
            },
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    connection: usize,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Act>,
) {
    let (parts, mut body) = request.into_parts();
    let asked = Asked {
        connection,
        stream: body.stream_id().as_u32(),
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        fields: listed(&parts.headers),
        ..Asked::default()
    };
    let index = shared.log(|log| {
        log.asked.push(asked.clone());
        let streams = log.streams.entry(connection).or_default();
        *streams += 1;
        log.most_streams = log.most_streams.max(*streams);
        log.asked.len() - 1
    });
    let acts = (shared.script)(&asked);
    let mut stream = None;
    for act in acts {
        match act {
            Act::ReadBody => {
                if let Err(error) = read(&mut body, index, &shared).await {
                    note(&shared, &error);
                    break;
                }
            }
            Act::Wait(gate) => {
                // The client may give the request up meanwhile.
                let passed = spawn_blocking(move || gate.pass());
                tokio::select! {
                    _ = passed => {}
                    reason = reset(&mut respond, &mut stream) => {
                        shared.log(|log| log.resets.push(reason));
                        break;
                    }
                }
            }
            Act::GoAway => drop(orders.send(act)),
            Act::Abort(_) | Act::Close => {
                let _ = orders.send(act);
                // Whatever was dropped now would be said before.
                std::future::pending::<()>().await;
            }
            act => {
                if let Err(error) = perform(act, &mut respond, &mut stream, &mut body).await {
                    note(&shared, &error);
                    break;
                }
            }
        }
    }
    shared.log(|log| *log.streams.entry(connection).or_default() -= 1);
}

fn note(shared: &Shared, error: &h2::Error) {
    if let Some(reason) = error.reason().filter(|_| error.is_remote()) {
        shared.log(|log| log.resets.push(reason));
    }
}

async fn reset(respond: &mut server::SendResponse<Bytes>, stream: &mut Option<SendStream<Bytes>>) -> Reason {
    let polled = std::future::poll_fn(|context| match stream {
        Some(stream) => stream.poll_reset(context),
        None => respond.poll_reset(context),
    });
    match polled.await {
        Ok(reason) => reason,
        Err(_) => std::future::pending().await,
    }
}

async fn read(body: &mut RecvStream, index: usize, shared: &Shared) -> Result<(), h2::Error> {
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        shared.log(|log| log.asked[index].body.extend_from_slice(&bytes));
    }
    if let Some(trailers) = body.trailers().await? {
        shared.log(|log| log.asked[index].trailers = listed(&trailers));
    }
    Ok(())
}

async fn perform(
    act: Act,
    respond: &mut server::SendResponse<Bytes>,
    stream: &mut Option<SendStream<Bytes>>,
    body: &mut RecvStream,
) -> Result<(), h2::Error> {
    match act {
        Act::Interim(status, fields) => respond.send_informational(head(status, &fields))?,
        Act::Head(status, fields) => *stream = Some(respond.send_response(head(status, &fields), false)?),
        Act::Answer(status, fields) => *stream = Some(respond.send_response(head(status, &fields), true)?),
        Act::Body(bytes) => send(stream.as_mut().expect("a head first"), bytes.into()).await?,
        Act::End => stream.as_mut().expect("a head first").send_data(Bytes::new(), true)?,
        Act::Trailers(fields) => stream.as_mut().expect("a head first").send_trailers(map(&fields))?,
        Act::Echo => {
            let stream = stream.as_mut().expect("a head first");
            while let Some(bytes) = body.data().await {
                let bytes = bytes?;
                body.flow_control().release_capacity(bytes.len())?;
                send(stream, bytes).await?;
            }
            stream.send_data(Bytes::new(), true)?;
        }
        Act::Reset(reason) => match stream {
            Some(stream) => stream.send_reset(reason),
            None => respond.send_reset(reason),
        },
        Act::ReadBody | Act::Wait(_) | Act::GoAway | Act::Abort(_) | Act::Close => {}
    }
    Ok(())
}

async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(room) = room.transpose()? else { return Ok(()) };
        stream.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

fn head(status: u16, fields: &[(&'static str, String)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    *response.headers_mut() = map(fields);
    response
}

fn map(fields: &[(&'static str, String)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, String)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        (HeaderName::from_static(name), value)
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        map.append(name, value);
    }
    map
}

fn listed(map: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
