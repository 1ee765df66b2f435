//! HTTP/2 towards clients: what it shares with HTTP/1, and what is its own.

use std::{future::Future, net::SocketAddr, task::Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use nix::sys::signal::Signal;

use crate::support::{
    Conf, Gate, Origin, Server, answer, http,
    http2_frames::{
        DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, frame, get,
    },
    reply::Part,
};

/// What a client takes at a time.
const WINDOW_BYTES: u32 = 1 << 20;

/// Runs a client of HTTP/2.
fn talk<F: Future<Output = ()>>(address: SocketAddr, talk: impl FnOnce(SendRequest<Bytes>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // Nobody is to wait because another answer is not read yet.
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(stream)
            .await
            .unwrap();
        let connection = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = talk(requests) => {}
            () = connection => {}
        }
    });
}

fn get_request(path: &str) -> Request<()> {
    Request::get(format!("http://a.test{path}")).body(()).unwrap()
}

/// Reads all of an answer.
async fn whole(answer: Response<h2::RecvStream>) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.unwrap();
    (Response::from_parts(head, ()), bytes, trailers)
}

async fn ask(requests: &SendRequest<Bytes>, path: &str) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    let mut requests = requests.clone().ready().await.unwrap();
    let (answer, _) = requests.send_request(get_request(path), true).unwrap();
    whole(answer.await.unwrap()).await
}

fn served(inside: &str) -> Conf {
    http(&format!("{ZONE} server {{ listen 127.0.0.1:%PORT%; http2 on; {inside} }}"))
}

const ZONE: &str = "proxy_cache_path cache keys_zone=z:1m;";

#[test]
fn answers_are_those_of_http_1() {
    let page = "<!--# include virtual=\"/part\" -->, and more of it";
    let big = vec![b'x'; 200_000];
    let inside = "root .; location /page.html { ssi on; } location /part { return 200 a-part; } \
        location /big { gzip on; gzip_types *; } location /cached/ { proxy_pass http://%ORIGIN%; proxy_cache z; \
        proxy_cache_valid 1h; add_header X-Cache $upstream_cache_status; } \
        location /sliced/ { slice 1k; proxy_pass http://127.0.0.1:%PORT%/; proxy_set_header Range $slice_range; proxy_http_version 1.1; } \
        location /trailers { add_trailer X-Done yes; root .; try_files /big.txt =404; } ";
    let origin = Origin::always(answer(200).field("Cache-Control", "max-age=60").body("kept"));
    let conf = served(inside).file("page.html", page).file("big.txt", &big).origin(&origin);
    let server = Server::start(&conf);
    talk(server.address(), async |requests| {
        let (head, body, _) = ask(&requests, "/page.html").await;
        assert_eq!((head.status().as_u16(), &body[..]), (200, &b"a-part, and more of it"[..]));
        let (head, body, _) = ask(&requests, "/big.txt").await;
        assert!(body == big);
        assert_eq!(head.headers()["content-length"], "200000");
        for name in ["connection", "keep-alive", "transfer-encoding"] {
            assert!(!head.headers().contains_key(name), "{name}");
        }
        for wanted in ["MISS", "HIT", "HIT"] {
            let (head, body, _) = ask(&requests, "/cached/a").await;
            assert_eq!((&head.headers()["x-cache"], &body[..]), (&wanted.parse().unwrap(), &b"kept"[..]));
        }
        let (_, body, _) = ask(&requests, "/sliced/big.txt").await;
        assert!(body == big);
        let (_, body, trailers) = ask(&requests, "/trailers").await;
        assert!(body == big);
        assert_eq!(trailers.unwrap()["x-done"], "yes");
        let (head, _, _) = ask(&requests, "/nothing").await;
        assert_eq!(head.status().as_u16(), 404);
    });
    assert_eq!(server.get("/part").text(), "a-part");
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let origin = Origin::always(answer(200).body("x".repeat(3000)));
    let server = Server::start(
        &served("location / { proxy_pass http://%ORIGIN%; proxy_cache z; proxy_cache_valid 1h; }")
            .origin(&origin),
    );
    talk(server.address(), async |requests| {
        let mut answers = Vec::new();
        for number in 0..100 {
            let mut requests = requests.clone().ready().await.unwrap();
            let (answer, _) = requests.send_request(get_request(&format!("/{}", number % 10)), true).unwrap();
            answers.push(answer);
        }
        for answer in answers {
            let (head, body, _) = whole(answer.await.unwrap()).await;
            assert_eq!((head.status().as_u16(), body.len()), (200, 3000));
        }
    });
}

#[test]
fn bodies_of_requests_reach_upstreams_whole() {
    let origin = Origin::always(answer(200).body("taken"));
    let inside = "client_max_body_size 300k; location / { proxy_pass http://%ORIGIN%; } \
        location /at-once { proxy_pass http://%ORIGIN%; proxy_request_buffering off; proxy_http_version 1.1; }";
    let server = Server::start(&served(inside).origin(&origin));
    let body = vec![b'y'; 200_000];
    talk(server.address(), async |requests| {
        for (path, announced) in [("/", true), ("/", false), ("/at-once", true), ("/at-once", false)] {
            let mut request = Request::post(format!("http://a.test{path}"));
            if announced {
                request = request.header("content-length", body.len());
            }
            let mut requests = requests.clone().ready().await.unwrap();
            let (answer, mut sending) = requests.send_request(request.body(()).unwrap(), false).unwrap();
            sending.send_data(Bytes::from(body.clone()), true).unwrap();
            let (head, text, _) = whole(answer.await.unwrap()).await;
            assert_eq!((head.status().as_u16(), &text[..]), (200, &b"taken"[..]), "{path} {announced}");
        }
        let request = Request::post("http://a.test/").header("content-length", "400000").body(()).unwrap();
        let (answer, sending) = requests.clone().ready().await.unwrap().send_request(request, false).unwrap();
        let (head, _, _) = whole(answer.await.unwrap()).await;
        assert_eq!(head.status().as_u16(), 413);
        drop(sending);
    });
    for asked in origin.requests() {
        assert_eq!(asked.body.iter().filter(|byte| **byte == b'y').count(), 200_000);
    }
}

#[test]
fn what_came_before_an_upstream_broke_off_is_the_clients() {
    let origin = Origin::always(answer(200).declared(1000).then(Part::Bytes(b"abc".to_vec())));
    let mut server = Server::start(&served("location / { proxy_pass http://%ORIGIN%; }").origin(&origin));
    server.allow_in_log("upstream prematurely closed connection");
    talk(server.address(), async |requests| {
        let mut requests = requests.clone().ready().await.unwrap();
        let (answer, _) = requests.send_request(get_request("/"), true).unwrap();
        let (head, mut body) = answer.await.unwrap().into_parts();
        assert_eq!(head.status.as_u16(), 200);
        assert_eq!(body.data().await.unwrap().unwrap(), "abc");
        let end = body.data().await.unwrap().unwrap_err();
        assert!(end.is_reset(), "{end}");
    });
}

#[test]
fn a_client_that_takes_nothing_is_timed_out() {
    let big = vec![b'x'; 300_000];
    let server =
        Server::start(&served("root .; send_timeout 1s; error_log error.log info;").file("big.txt", &big));
    let mut client = Frames::connect(server.address());
    // SETTINGS_INITIAL_WINDOW_SIZE is nothing.
    client.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/big.txt")));
    let reset = client.wait_for(RST_STREAM);
    assert_eq!(reset.stream, 1);
    server.wait_for_log("client timed out while sending to client");
}

#[test]
fn a_connection_ends_after_enough_requests() {
    let server = Server::start(&served("keepalive_requests 2; location / { return 200 ok; }"));
    let mut client = Frames::connect(server.address());
    for stream in [1, 3] {
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/")));
    }
    let ending = client.ending();
    assert_eq!(ending.reason, Some(0));
    assert_eq!(ending.frames.iter().filter(|frame| frame.payload == b"ok").count(), 2);
}

#[test]
fn an_idle_connection_is_ended() {
    let server = Server::start(&served("keepalive_timeout 1s; location / { return 200 ok; }"));
    let mut client = Frames::connect(server.address());
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/")));
    assert_eq!(client.ending().reason, Some(0));
}

#[test]
fn a_worker_that_leaves_finishes_its_streams() {
    let gate = Gate::closed();
    let origin = Origin::always(answer(200).body("late").when(&gate));
    let server = Server::start(&served("location / { proxy_pass http://%ORIGIN%; }").origin(&origin));
    let mut client = Frames::connect(server.address());
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/")));
    origin.wait_for_requests(1);
    server.signal(Signal::SIGQUIT);
    let goaway = client.wait_for(GOAWAY);
    assert_eq!(goaway.payload[4..8], [0; 4]);
    gate.open();
    let ending = client.ending();
    let body: Vec<u8> = ending
        .frames
        .iter()
        .filter(|frame| frame.kind == DATA)
        .flat_map(|frame| frame.payload.clone())
        .collect();
    assert_eq!(body, b"late");
}

#[test]
fn websockets_come_over_a_stream() {
    let switching = answer(101)
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Accept", "x");
    let origin = Origin::script([switching.then(Part::Echo)]);
    let inside = "location / { proxy_pass http://%ORIGIN%; proxy_http_version 1.1; \
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }";
    let server = Server::start(&served(inside).origin(&origin));
    let connect = || {
        let mut request = Request::builder()
            .method("CONNECT")
            .uri("http://a.test/chat")
            .header("sec-websocket-version", "13");
        request.extensions_mut().unwrap().insert(h2::ext::Protocol::from_static("websocket"));
        request.body(()).unwrap()
    };
    talk(server.address(), async |requests| {
        // The server's settings say whether it can be asked for.
        let mut requests = requests.ready().await.unwrap();
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if requests.is_extended_connect_protocol_enabled() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let (answer, mut sending) = requests.send_request(connect(), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert!(!answer.headers().contains_key("sec-websocket-accept"));
        let mut body = answer.into_body();
        for word in ["one", "two", "three"] {
            sending.send_data(Bytes::from(word), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), word);
        }
        sending.send_data(Bytes::new(), true).unwrap();
        while let Some(rest) = body.data().await {
            assert_eq!(rest.unwrap(), "");
        }
    });
    let asked = &origin.requests()[0];
    assert!(asked.field("Sec-WebSocket-Key").is_some());
    assert_eq!(asked.line(), "GET /chat HTTP/1.1");
}
