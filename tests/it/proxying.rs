//! Connections between a client and an origin: streaming, tunnels, early answers, slow and leaving clients.

use std::{io::Read, net::TcpStream, thread, time::Duration};

use crate::support::{
    Conf, Gate, Origin, Server, answer,
    client::{Client, End, To},
    deadline, location, proc,
    reply::{Part, Reply},
    servers, wait_until,
};

fn proxied(directives: &str, origin: &Origin) -> Conf {
    servers(&format!("location / {{ proxy_pass http://%ORIGIN%; {directives} }}")).origin(origin)
}

#[test]
fn an_unbuffered_answer_is_sent_as_it_comes() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).declared(6).bytes("one").wait(&gate).bytes("two")]);
    let server = Server::start(&proxied("proxy_buffering off;", &origin));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head_only().status(), 200);
    assert_eq!(client.bytes(3), b"one");
    gate.open();
    assert_eq!(client.bytes(3), b"two");
}

#[test]
fn an_origin_is_asked_over_ipv6() {
    let Some(origin) = Origin::always_on_ipv6(answer(200).body("six")) else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let server = Server::start(
        &servers(
            "location / { proxy_pass http://%ORIGIN%/at/; }
            location /group/ { proxy_pass http://six; }
            location /variable/ { proxy_pass http://$arg_to; }",
        )
        .with_text(|text| text.replace("http {", "http { upstream six { server %ORIGIN%; }"))
        .origin(&origin),
    );
    let to = format!("/variable/?to={}", origin.address());
    for path in ["/", "/group/", &to] {
        assert_eq!(server.get(path).text(), "six", "{path}");
    }
    let wanted = [Some("/at/"), Some("/group/"), Some(&to[..])];
    let asked = origin.requests();
    assert_eq!(asked.iter().map(|asked| Some(asked.target())).collect::<Vec<_>>(), wanted);
    let host = origin.address().to_string();
    assert_eq!(asked[0].field("Host"), Some(&host[..]));
}

#[test]
fn an_unbuffered_body_is_passed_on_as_it_comes() {
    let origin = Origin::always(answer(200).body("taken"));
    let server = Server::start(&proxied("proxy_request_buffering off; proxy_http_version 1.1;", &origin));
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    // The origin reads its request whole, so what tells is that it was connected to before the end came.
    wait_until("the origin is connected to", || origin.connection_count() == 1);
    assert_eq!(origin.request_count(), 0);
    client.send("world");
    assert_eq!(client.response().text(), "taken");
    assert_eq!(origin.requests()[0].body, b"helloworld");
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let switching = answer(101).field("Upgrade", "websocket").field("Connection", "Upgrade");
    let origin = Origin::script([switching.bytes("hello from the origin").then(Part::Echo)]);
    let upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let server = Server::start(&proxied(upgrade, &origin));
    let mut client = server.client();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let head = client.response();
    assert_eq!((head.status(), head.field("Upgrade")), (101, Some("websocket")));
    assert_eq!(client.bytes(21), b"hello from the origin");
    for message in [b"\x81\x05first".as_slice(), b"\x00\xff\r\n\r\n0\r\n\r\n", &[7; 100_000]] {
        client.send(message);
        assert_eq!(client.bytes(message.len()), message);
    }
    origin.close_connections();
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}

#[test]
fn a_tunnel_needs_the_origin_s_consent() {
    let origin = Origin::script([answer(200).body("no tunnel here")]);
    let upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let server = Server::start(&proxied(upgrade, &origin));
    let mut client = server.client();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(client.response().text(), "no tunnel here");
}

#[test]
fn an_early_answer_is_read_though_the_upload_goes_on() {
    const BODY_BYTES: usize = 8 << 20;
    let server = Server::start(&servers("client_max_body_size 1m; location / { return 200 taken; }"));
    let mut client = server.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n"));
    for _ in 0..BODY_BYTES / 65_536 {
        client.send([b'x'; 65_536]);
    }
    let answer = client.response();
    assert_eq!(answer.status(), 413, "{answer}");
    assert_eq!(answer.end, End::Framed);
}

#[test]
fn a_body_beyond_memory_goes_through_a_file() {
    const BODY_BYTES: usize = 4 << 20;
    let origin = Origin::always(answer(200).body("taken"));
    let server = Server::start(&proxied("client_max_body_size 8m; client_body_buffer_size 8k;", &origin));
    let body: Vec<u8> = (0..BODY_BYTES).map(|at| u8::try_from(at % 251).expect("under 251")).collect();
    let mut client = server.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES}\r\n\r\n")).send(&body);
    assert_eq!(client.response().text(), "taken");
    assert!(origin.requests()[0].body == body, "the body came through unchanged");
}

/// A slow client of a large answer must not make the worker keep it in memory.
#[test]
fn a_slow_client_costs_bounded_memory() {
    const BODY_BYTES: usize = 64 << 20;
    const GROWTH_MAX_BYTES: u64 = 16 << 20;
    let origin = Origin::answering(|_| {
        let piece = vec![b'x'; 1 << 20];
        (0..BODY_BYTES >> 20).fold(answer(200).declared(BODY_BYTES), |reply, _| reply.bytes(&piece))
    });
    for directives in ["proxy_buffering off;", "proxy_max_temp_file_size 0;"] {
        let server = Server::start(&proxied(directives, &origin));
        let worker = server.worker();
        let before = proc::peak_memory_bytes(worker);
        let mut client = Client::connect_narrow(server.address(), 8 << 10);
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head_only().status(), 200);
        // Slow at first, so that all buffers fill; then to the end.
        for _ in 0..20 {
            client.bytes(4096);
            deadline::take(Duration::from_millis(10));
        }
        let grown = proc::peak_memory_bytes(worker) - before;
        assert!(grown < GROWTH_MAX_BYTES, "{directives} grew by {grown} bytes");
        client.leave();
    }
}

#[test]
fn a_client_that_leaves_ends_the_origin_s_work() {
    let origin = Origin::script([answer(200).declared(1 << 20).bytes("x").then(Part::AwaitClose)]);
    let server = Server::start(&proxied("", &origin));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head_only();
    // With all that there is, it is not while sending that the server learns of it.
    assert_eq!(client.bytes(1), b"x");
    client.leave();
    server.wait_for_log("client prematurely closed connection");
}

#[test]
fn a_client_that_leaves_before_the_answer_ends_the_origin_s_work() {
    let origin = Origin::script([Reply::silence()]);
    let server = Server::start(&proxied("", &origin));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    client.leave();
    server.wait_for_log("client prematurely closed connection");
}

#[test]
fn a_client_that_does_not_send_is_closed() {
    let server = Server::start(&servers("client_header_timeout 300ms; location / { return 200 x; }"));
    let mut silent = server.client();
    assert!(silent.try_response(To::Get).is_err());
    let mut slow = server.client();
    slow.send("GET / HTTP/1.1\r\nHo");
    assert!(slow.try_response(To::Get).is_err());
    assert_eq!(server.get("/").text(), "x");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let origin = Origin::always(answer(200).body("taken"));
    let server = Server::start(&proxied("client_body_timeout 300ms;", &origin));
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel");
    let closed = client.try_response(To::Get);
    assert!(closed.as_ref().map_or(true, |answer| answer.status() == 408), "{closed:?}");
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::start(&servers("keepalive_timeout 300ms; location / { return 200 x; }"));
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "x");
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let origin = Origin::always(answer(200).body(vec![b'x'; 32 << 20]));
    let server = Server::start(&proxied("send_timeout 300ms; proxy_max_temp_file_size 0;", &origin));
    let mut client = Client::connect_narrow(server.address(), 4 << 10);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_for_log("client timed out");
    assert_ne!(client.rest().1, End::Overdue);
}

#[test]
fn a_kept_connection_that_died_is_replaced_without_a_trace() {
    let origin = Origin::answering(|asked| answer(200).body(asked.target()));
    let conf = location("proxy_http_version 1.1; proxy_set_header Connection \"\";", &origin)
        .with_text(|text| {
            text.replace("server {", "upstream kept { server %ORIGIN%; keepalive 8; } server {")
        })
        .with_text(|text| text.replace("proxy_pass http://%ORIGIN%", "proxy_pass http://kept"));
    let server = Server::start(&conf);
    for number in 0..20 {
        assert_eq!(server.get(&format!("/{number}")).text(), format!("/{number}"));
        origin.close_connections();
    }
    assert_eq!(origin.request_count(), 20);
}

#[test]
fn many_connections_at_once_are_answered() {
    let origin = Origin::answering(|asked| answer(200).body(asked.target()));
    let conf = proxied("proxy_http_version 1.1;", &origin)
        .with_text(|text| text.replace("worker_processes 1", "worker_processes 2"));
    let server = Server::start(&conf);
    thread::scope(|scope| {
        for number in 0..100 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for turn in 0..10 {
                    let path = format!("/{number}/{turn}");
                    assert_eq!(client.get(&path).text(), path);
                }
            });
        }
    });
    assert_eq!(origin.request_count(), 1000);
}

#[test]
fn a_unix_socket_is_listened_on_and_proxied_to() {
    let server = Server::start(
        &crate::support::http(
            "server { listen unix:%DIR%/inner.sock; location / { return 200 \"inner $request_uri\"; } }
            server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://unix:%DIR%/inner.sock:/base/; } }",
        ),
    );
    assert_eq!(server.get("/x").text(), "inner /base/x");
}

#[test]
fn ipv6_is_listened_on() {
    if TcpStream::connect("[::1]:1").is_err_and(|error| error.raw_os_error() == Some(99)) {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    }
    let server = Server::start(&crate::support::http(
        "server { listen 127.0.0.1:%PORT%; listen [::1]:%PORT%; location / { return 200 $remote_addr; } }",
    ));
    let address = std::net::SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), server.address().port());
    assert_eq!(Client::connect(address).get("/").text(), "::1");
}

#[test]
fn a_timed_out_connection_can_be_reset() {
    let conf =
        servers("client_header_timeout 300ms; reset_timedout_connection on; location / { return 200 x; }");
    let server = Server::start(&conf);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HT").unwrap();
    stream.set_read_timeout(Some(deadline::PATIENCE)).unwrap();
    let outcome = stream.read(&mut [0; 16]);
    assert!(outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
}
