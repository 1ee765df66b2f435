//! Which connections there are, and how long.

use std::thread;

use super::{proxied, with_upstream};
use crate::support::{
    Gate, Http2Origin, Server, http,
    http2_origin::{Act, Allowance, whole},
    tls::Authority,
    wait_until,
};

#[test]
fn requests_follow_each_other_on_one_connection() {
    let origin = Http2Origin::answering(|asked| whole(200, format!("{} {}", asked.method, asked.path())));
    let server = Server::start(&proxied("", &origin));
    for number in 0..5 {
        let response = server.get(&format!("/a?{number}"));
        assert_eq!((response.status(), response.text()), (200, format!("GET /a?{number}")));
    }
    assert_eq!(origin.connection_count(), 1);
}

#[test]
fn a_hundred_requests_at_once_share_a_connection() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Http2Origin::answering(move |_| vec![Act::Head(200, Vec::new()), Act::Wait(gate.clone()), Act::Echo])
    };
    let server = Server::start(&proxied("", &origin));
    let body = |number: usize| vec![b'a' + u8::try_from(number % 26).unwrap(); 1000 + 700 * number];
    thread::scope(|scope| {
        let ask = |number: usize| {
            let mut client = server.client();
            let body = body(number);
            client.send(format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ));
            client.send(&body);
            assert!(client.response().body == body, "the echo of request {number}");
        };
        let clients: Vec<_> = (0..100).map(|number| scope.spawn(move || ask(number))).collect();
        origin.wait_for_requests(100);
        gate.open();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert_eq!((origin.connection_count(), origin.most_streams()), (1, 100));
}

#[test]
fn another_connection_is_opened_where_the_origin_allows_no_more_streams() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        let allowance = Allowance { streams: Some(4), ..Allowance::default() };
        Http2Origin::allowing(allowance, move |_| [vec![Act::Wait(gate.clone())], whole(200, "ok")].concat())
    };
    let server = Server::start(&proxied("", &origin));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..10).map(|_| scope.spawn(|| server.get("/").text())).collect();
        origin.wait_for_requests(10);
        gate.open();
        clients.into_iter().for_each(|client| assert_eq!(client.join().unwrap(), "ok"));
    });
    assert_eq!((origin.connection_count(), origin.most_streams()), (3, 4));
    assert!(origin.resets().is_empty(), "{:?}", origin.resets());
}

#[test]
fn a_request_that_is_given_up_leaves_the_connection_to_the_others() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Http2Origin::answering(move |_| [vec![Act::Wait(gate.clone())], whole(200, "ok")].concat())
    };
    let server = Server::start(&proxied("", &origin));
    let mut staying = server.client();
    staying.send("GET /stays HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut leaving = server.client();
    leaving.send("GET /leaves HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(2);
    leaving.leave();
    wait_until("the request is cancelled", || origin.resets() == [h2::Reason::CANCEL]);
    gate.open();
    assert_eq!(staying.response().text(), "ok");
    assert_eq!(origin.connection_count(), 1);
}

#[test]
fn the_rules_of_keepalive_hold_for_shared_connections_too() {
    for (name, upstream, asked, connections) in [
        ("kept", "keepalive 1;", 4, 1),
        ("not kept", "", 3, 3),
        ("so many requests", "keepalive 1; keepalive_requests 2;", 5, 3),
    ] {
        let origin = Http2Origin::answering(|_| whole(200, "ok"));
        let server = Server::start(&with_upstream(upstream, "", &origin));
        for _ in 0..asked {
            assert_eq!(server.get("/").text(), "ok", "{name}");
        }
        assert_eq!(origin.connection_count(), connections, "{name}");
        let kept = usize::from(name != "not kept");
        origin.wait_for_connections(kept);
    }
}

#[test]
fn an_idle_connection_ends_after_its_time() {
    let origin = Http2Origin::answering(|_| whole(200, "ok"));
    let server = Server::start(&with_upstream("keepalive 1; keepalive_timeout 50ms;", "", &origin));
    assert_eq!(server.get("/").text(), "ok");
    origin.wait_for_connections(0);
    assert_eq!(server.get("/").text(), "ok");
    assert_eq!(origin.connection_count(), 2);
}

#[test]
fn no_more_idle_connections_are_kept_than_keepalive_says() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        let allowance = Allowance { streams: Some(1), ..Allowance::default() };
        Http2Origin::allowing(allowance, move |_| [vec![Act::Wait(gate.clone())], whole(200, "ok")].concat())
    };
    let server = Server::start(&with_upstream("keepalive 2;", "", &origin));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..5).map(|_| scope.spawn(|| server.get("/").status())).collect();
        origin.wait_for_requests(5);
        gate.open();
        clients.into_iter().for_each(|client| assert_eq!(client.join().unwrap(), 200));
    });
    assert_eq!(origin.connection_count(), 5);
    origin.wait_for_connections(2);
}

#[test]
fn a_connection_that_the_origin_says_goodbye_on_is_not_used_again() {
    let origin = Http2Origin::answering(|asked| {
        let goodbye = if asked.connection == 0 { vec![Act::GoAway] } else { Vec::new() };
        [goodbye, whole(200, asked.connection.to_string())].concat()
    });
    let server = Server::start(&proxied("", &origin));
    assert_eq!(server.get("/").text(), "0");
    origin.wait_for_connections(0);
    assert_eq!(server.get("/").text(), "1");
    assert_eq!(server.get("/").text(), "1");
}

#[test]
fn locations_with_connections_of_their_own_do_not_share_them() {
    let origin = Http2Origin::answering(|asked| whole(200, asked.connection.to_string()));
    let location = "proxy_pass http://origin; proxy_http_version 2;";
    let inside = format!("location /other/ {{ {location} }}");
    for (keepalive, wanted) in [("keepalive 2;", "0"), ("keepalive 2 local;", "1")] {
        let conf = with_upstream(keepalive, "", &origin)
            .with_text(|text| text.replace("location / {", &format!("{inside} location / {{")));
        let server = Server::start(&conf);
        let before = origin.connection_count();
        let first = server.get("/").text().parse::<usize>().unwrap();
        let other = server.get("/other/").text().parse::<usize>().unwrap();
        assert_eq!((first, (other - first).to_string()), (before, wanted.to_owned()), "{keepalive}");
    }
}

#[test]
fn times_and_counts_are_told_as_for_other_connections() {
    let origin = Http2Origin::answering(|_| whole(200, "hello"));
    let fields = "add_header X-Connect $upstream_connect_time; add_header X-Length $upstream_response_length;
        add_header X-Status $upstream_status; add_header X-Address $upstream_addr;";
    let server = Server::start(&proxied(fields, &origin));
    server.get("/");
    let response = server.get("/");
    assert_eq!(response.field("X-Connect"), Some("0.000"));
    assert_eq!(response.field("X-Status"), Some("200"));
    assert_eq!(response.field("X-Address"), Some(&origin.address().to_string()[..]));
}

#[test]
fn an_origin_is_spoken_to_in_http2_over_tls() {
    let root = Authority::new("the root");
    let own = root.server(&["localhost"]);
    let conf = |http2: &str| {
        http(&format!(
            "upstream secured {{ server 127.0.0.1:%PORT:tls%; keepalive 2; }}
            server {{ listen 127.0.0.1:%PORT:tls% ssl; http2 {http2};
                ssl_certificate own.crt; ssl_certificate_key own.key;
                location / {{ return 200 '$server_protocol $scheme $connection_requests'; }} }}
            server {{ listen 127.0.0.1:%PORT%;
                location / {{ proxy_pass https://secured; proxy_http_version 2; }} }}"
        ))
        .file("own.crt", &own.chain_pem)
        .file("own.key", &own.key_pem)
    };
    let server = Server::start(&conf("on"));
    assert_eq!(server.get("/").text(), "HTTP/2.0 https 1");
    assert_eq!(server.get("/").text(), "HTTP/2.0 https 2");
    // One that has only HTTP/1.1 is told of.
    let server = Server::start(&conf("off"));
    assert_eq!(server.get("/").status(), 502);
}
