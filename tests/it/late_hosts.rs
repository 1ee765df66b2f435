//! Groups whose servers follow a name: `resolve`, `service=`, and hosts that nobody knew at the start.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use nix::sys::signal::Signal;

use crate::support::{
    Conf, Dns, Origin, Server, answer,
    deadline::SetOnDrop,
    dns::{addresses, refusal, services, silence},
    http, wait_until,
};

/// One group, whose answers tell who was asked.
fn group(inside: &str, dns: &Dns) -> Conf {
    http(&format!(
        "resolver %DNS% ipv6=off valid=1s;
        upstream app {{ zone app 64k; {inside} }}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{
                proxy_pass http://app;
                add_header X-Upstream $upstream_addr always;
            }}
        }}"
    ))
    .dns(dns)
}

fn origin(name: &'static str) -> Origin {
    Origin::always(answer(200).body(name))
}

fn upstream_of(server: &Server) -> String {
    server.get("/").field("X-Upstream").unwrap_or_default().to_owned()
}

#[test]
fn a_server_follows_its_name() {
    let (dns, origin) = (Dns::start(), origin("found"));
    let port = origin.address().port();
    dns.tell("app.test", addresses(&["127.0.0.1"], 60));
    let server = Server::start(&group(&format!("server app.test:{port} resolve;"), &dns));
    assert_eq!(upstream_of(&server), format!("127.0.0.1:{port}"));
    dns.tell("app.test", addresses(&["127.0.0.2"], 60));
    wait_until("the new address is asked", || upstream_of(&server) == format!("127.0.0.2:{port}"));
    dns.tell("app.test", addresses(&["127.0.0.1"], 60));
    wait_until("the old one is asked again", || server.get("/").text() == "found");
}

#[test]
fn a_name_that_is_gone_takes_its_peers_along_and_a_failure_does_not() {
    let (dns, origin) = (Dns::start(), origin("found"));
    let port = origin.address().port();
    dns.tell("app.test", addresses(&["127.0.0.1"], 60));
    let server = Server::start(&group(&format!("server app.test:{port} resolve;"), &dns));
    dns.tell("app.test", refusal(2));
    server.wait_for_log("app.test could not be resolved (2: Server failure)");
    assert_eq!(server.get("/").text(), "found");
    dns.tell("app.test", refusal(3));
    server.wait_for_log("app.test could not be resolved (3: Host not found)");
    wait_until("nobody is left", || server.get("/").status() == 502);
    server.wait_for_log("no live upstreams while connecting to upstream");
    dns.tell("app.test", addresses(&["127.0.0.1"], 60));
    wait_until("it is back", || server.get("/").text() == "found");
}

/// Lets four clients ask without a pause while `changes` go on, with the count of their requests at hand, and returns how
/// many had no success, and how many requests there were.
fn under_load(server: &Server, changes: impl FnOnce(&AtomicUsize)) -> (usize, usize) {
    let (is_over, failures, asked) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _end = SetOnDrop(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let failed = server.get("/").status() != 200;
                    failures.fetch_add(failed.into(), Ordering::Relaxed);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        changes(&asked);
    });
    (failures.into_inner(), asked.into_inner())
}

#[test]
fn a_change_of_address_under_load_costs_no_client_an_error() {
    let (dns, old, new) = (Dns::start(), origin("old"), origin("new"));
    let at = |origin: &Origin| services(&[(1, 1, origin.address().port(), "host.test")], 60);
    dns.tell("host.test", addresses(&["127.0.0.1"], 60)).tell("_http._tcp.app.test", at(&old));
    let conf = group("server app.test service=http resolve; keepalive 8;", &dns);
    let server = Server::start(&conf);
    let (failures, asked) = under_load(&server, |_| {
        for (origin, name) in [(&new, "new"), (&old, "old"), (&new, "new again")] {
            let before = origin.request_count();
            dns.tell("_http._tcp.app.test", at(origin));
            wait_until(name, || origin.request_count() > before + 20);
        }
    });
    assert!(asked > 60);
    assert_eq!(failures, 0);
}

#[test]
fn reloads_under_load_cost_no_client_an_error() {
    let (dns, origin) = (Dns::start(), origin("found"));
    dns.tell("app.test", addresses(&["127.0.0.1"], 60));
    let conf = group(&format!("server app.test:{} resolve; keepalive 8;", origin.address().port()), &dns);
    let server = Server::start(&conf);
    let (failures, _) = under_load(&server, |asked| {
        for _ in 0..5 {
            let (old, before) = (server.worker(), asked.load(Ordering::Relaxed));
            server.signal(Signal::SIGHUP);
            wait_until("the old worker is gone", || !server.children("worker process").contains(&old));
            wait_until("the new one answers", || asked.load(Ordering::Relaxed) > before + 20);
        }
    });
    assert_eq!(failures, 0);
}

#[test]
fn services_of_lower_priority_are_asked_where_no_other_can_be() {
    let (dns, first, second) = (Dns::start(), origin("first"), origin("second"));
    let (first_port, second_port) = (first.address().port(), second.address().port());
    let found = services(&[(2, 0, second_port, "host.test"), (1, 0, first_port, "host.test")], 60);
    dns.tell("host.test", addresses(&["127.0.0.1"], 60)).tell("_http._tcp.app.test", found);
    let server = Server::start(&group("server app.test service=_http._tcp resolve max_fails=0;", &dns));
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "first");
    }
    drop(first);
    assert_eq!(server.get("/").text(), "second");
}

#[test]
fn weights_come_from_the_records() {
    let (dns, first, second) = (Dns::start(), origin("first"), origin("second"));
    let (first_port, second_port) = (first.address().port(), second.address().port());
    let found = services(&[(1, 3, first_port, "host.test"), (1, 1, second_port, "host.test")], 60);
    dns.tell("host.test", addresses(&["127.0.0.1"], 60)).tell("_http._tcp.app.test", found);
    let server = Server::start(&group("server app.test service=http resolve;", &dns));
    let answers: Vec<String> = (0..8).map(|_| server.get("/").text()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "first").count(), 6, "{answers:?}");
}

#[test]
fn a_group_may_have_a_resolver_of_its_own() {
    let (dns, origin) = (Dns::start(), origin("found"));
    let port = origin.address().port();
    dns.tell("app.test", addresses(&["127.0.0.1"], 60));
    let inside = format!("server app.test:{port} resolve; resolver %DNS%; resolver_timeout 5s;");
    let conf = group(&inside, &dns)
        .with_text(|text| text.replace("resolver %DNS% ipv6=off valid=1s;", "resolver %CLOSED%;"));
    assert_eq!(Server::start(&conf).get("/").text(), "found");
}

#[test]
fn a_silent_name_server_does_not_hold_up_the_start() {
    let (dns, origin) = (Dns::start(), origin("found"));
    dns.tell("app.test", silence());
    let inside = format!("server app.test:{} resolve; server %ORIGIN% backup;", origin.address().port());
    let server = Server::start(&group(&inside, &dns).origin(&origin));
    assert_eq!(server.get("/").text(), "found");
}

#[test]
fn an_unknown_host_costs_only_its_own_requests_until_it_is_known() {
    let (dns, origin) = (Dns::start(), origin("found"));
    let port = origin.address().port();
    let conf = http(&format!(
        "resolver_startup lenient;
        resolver %DNS% ipv6=off;
        upstream app {{ server app.invalid:{port}; }}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass http://app; }}
            location /direct {{ proxy_pass http://direct.invalid:{port}; }}
            location /well {{ proxy_pass http://127.0.0.1:{port}; }}
        }}"
    ))
    .dns(&dns);
    let server = Server::start(&conf);
    for (path, status) in [("/", 502), ("/direct", 502), ("/well", 200)] {
        assert_eq!(server.get(path).status(), status, "{path}");
    }
    server.wait_for_text("stderr", &format!("[warn] host not found in upstream \"app.invalid:{port}\""));
    dns.tell("app.invalid", addresses(&["127.0.0.1"], 60))
        .tell("direct.invalid", addresses(&["127.0.0.1"], 60));
    wait_until("the group is well", || server.get("/").text() == "found");
    wait_until("the host is found", || server.get("/direct").text() == "found");
    server.wait_for_log("host \"app.invalid\" of upstream \"app\" is known now");
}
