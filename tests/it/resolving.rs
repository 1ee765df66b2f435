//! Names become addresses while requests are served: how often the name server is asked, and for how long an answer
//! holds.

use hickory_proto::rr::RecordType;

use crate::support::{
    Conf, Dns, Gate, Origin, Server, answer,
    dns::{Way, addresses, alias, refusal, silence},
    http, wait_until,
};

/// A server that passes requests to the host in the argument `host`, at an origin's port.
fn passing(resolver: &str, dns: &Dns, origin: &Origin) -> Conf {
    http(&format!(
        "server {{
            listen 127.0.0.1:%PORT%;
            {resolver}
            location / {{
                proxy_pass http://$arg_host:{};
                add_header X-Upstream $upstream_addr;
            }}
        }}",
        origin.address().port()
    ))
    .dns(dns)
}

fn origin() -> Origin {
    Origin::always(answer(200).body("found"))
}

#[test]
fn a_name_is_asked_for_once_while_its_answer_holds() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", addresses(&["127.0.0.1"], 600));
    let server = Server::start(&passing("resolver %DNS%;", &dns, &origin));
    for _ in 0..5 {
        assert_eq!(server.get("/?host=a.test").text(), "found");
    }
    let mut kinds: Vec<_> = dns.asked("a.test").into_iter().map(|asked| asked.kind).collect();
    kinds.sort();
    assert_eq!(kinds, [RecordType::A, RecordType::AAAA]);
}

#[test]
fn kinds_that_are_off_are_not_asked_for() {
    for (off, wanted) in [("ipv6=off", RecordType::A), ("ipv4=off", RecordType::AAAA)] {
        let (dns, origin) = (Dns::start(), origin());
        let server = Server::start(&passing(&format!("resolver %DNS% {off};"), &dns, &origin));
        assert_eq!(server.get("/?host=none.test").status(), 502);
        let kinds: Vec<_> = dns.asked("none.test").into_iter().map(|asked| asked.kind).collect();
        assert_eq!(kinds, [wanted], "{off}");
    }
}

#[test]
fn an_answer_that_does_not_hold_is_asked_for_again() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", addresses(&["127.0.0.1"], 0));
    let server = Server::start(&passing("resolver %DNS% ipv6=off;", &dns, &origin));
    for count in 1..=3 {
        assert_eq!(server.get("/?host=a.test").text(), "found");
        assert_eq!(dns.count("a.test"), count);
    }
}

#[test]
fn valid_beats_the_time_that_the_answer_tells() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("short.test", addresses(&["127.0.0.1"], 0)).tell("long.test", addresses(&["127.0.0.1"], 3600));
    let long = Server::start(&passing("resolver %DNS% ipv6=off valid=1h;", &dns, &origin));
    for _ in 0..3 {
        assert_eq!(long.get("/?host=short.test").text(), "found");
    }
    assert_eq!(dns.count("short.test"), 1);
    let short = Server::start(&passing("resolver %DNS% ipv6=off valid=0;", &dns, &origin));
    for _ in 0..3 {
        assert_eq!(short.get("/?host=long.test").text(), "found");
    }
    assert_eq!(dns.count("long.test"), 3);
}

#[test]
fn a_refusal_is_not_kept() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", refusal(2));
    let server = Server::start(&passing("resolver %DNS% ipv6=off;", &dns, &origin));
    assert_eq!(server.get("/?host=a.test").status(), 502);
    dns.tell("a.test", addresses(&["127.0.0.1"], 60));
    assert_eq!(server.get("/?host=a.test").text(), "found");
}

#[test]
fn all_who_wait_for_a_name_ask_once() {
    let (dns, origin, gate) = (Dns::start(), origin(), Gate::closed());
    dns.tell("a.test", addresses(&["127.0.0.1"], 60).behind(&gate));
    let conf = passing("resolver %DNS% ipv6=off;", &dns, &origin)
        .with_text(|text| text.replace("worker_processes 1;", "worker_processes 2;"));
    let server = Server::start(&conf);
    let mut clients: Vec<_> = (0..10).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("GET /?host=a.test HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    wait_until("the name server is asked", || dns.count("a.test") > 0);
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().text(), "found");
    }
    assert_eq!(dns.count("a.test"), 1);
}

#[test]
fn addresses_are_taken_in_turn() {
    let (dns, origin) = (Dns::start(), origin());
    let port = origin.address().port();
    dns.tell("a.test", addresses(&["127.0.0.1", "127.0.0.2"], 60));
    let server = Server::start(&passing("resolver %DNS% ipv6=off;", &dns, &origin));
    let asked = |_| server.get("/?host=a.test").field("X-Upstream").unwrap_or_default().to_owned();
    let seen: Vec<String> = (0..4).map(asked).collect();
    // Nobody listens on the second address, so the first is asked after it.
    let (first, both) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}, 127.0.0.1:{port}"));
    assert_eq!(seen, [first.clone(), both.clone(), first, both]);
}

#[test]
fn a_long_answer_comes_by_stream() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", addresses(&["127.0.0.1"], 60).by_stream_only());
    let server = Server::start(&passing("resolver %DNS% ipv6=off;", &dns, &origin));
    assert_eq!(server.get("/?host=a.test").text(), "found");
    let ways: Vec<_> = dns.asked("a.test").into_iter().map(|asked| asked.way).collect();
    assert_eq!(ways, [Way::Packet, Way::Stream]);
}

#[test]
fn an_alias_without_an_address_is_followed() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", alias("b.test", 60)).tell("b.test", addresses(&["127.0.0.1"], 60));
    let server = Server::start(&passing("resolver %DNS% ipv6=off;", &dns, &origin));
    assert_eq!(server.get("/?host=a.test").text(), "found");
    assert_eq!((dns.count("a.test"), dns.count("b.test")), (1, 1));
}

#[test]
fn a_name_server_that_refuses_packets_is_passed_over() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", addresses(&["127.0.0.1"], 60)).tell("b.test", addresses(&["127.0.0.1"], 60));
    let server = Server::start(&passing("resolver %CLOSED% %DNS% ipv6=off;", &dns, &origin));
    for name in ["a.test", "b.test"] {
        assert_eq!(server.get(&format!("/?host={name}")).text(), "found");
    }
    server.wait_for_log("recv() failed (111: Connection refused) while resolving, resolver: 127.0.0.1:");
}

#[test]
fn nobody_waits_longer_than_resolver_timeout() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", silence());
    let server = Server::start(&passing("resolver %DNS% ipv6=off; resolver_timeout 200ms;", &dns, &origin));
    assert_eq!(server.get("/?host=a.test").status(), 502);
    server.wait_for_log("a.test could not be resolved (110: Operation timed out)");
}

#[test]
fn a_client_that_leaves_gives_its_question_up() {
    let (dns, origin) = (Dns::start(), origin());
    dns.tell("a.test", silence());
    let server = Server::start(&passing("resolver %DNS% ipv6=off;", &dns, &origin));
    let mut client = server.client();
    client.send("GET /?host=a.test HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until("the name server is asked", || dns.count("a.test") > 0);
    drop(client);
    server.wait_for_log("client prematurely closed connection");
    // The next one asks anew, and is answered.
    dns.tell("a.test", addresses(&["127.0.0.1"], 60));
    assert_eq!(server.get("/?host=a.test").text(), "found");
}
