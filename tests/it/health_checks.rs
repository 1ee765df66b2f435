//! Active checks: peers that fail them are left out until they pass again.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use nix::sys::signal::Signal;

use crate::support::{
    Conf, Dns, Gate, Origin, Reply, Server, Stop, answer,
    dns::{addresses, services},
    http,
    origin::Asked,
    proc, wait_until,
};

/// An origin whose `/health` answers with a status that the test sets, and all else with its name.
struct App {
    name: &'static str,
    origin: Origin,
    health: Arc<AtomicU16>,
}

impl App {
    fn start(name: &'static str) -> Self {
        let health = Arc::new(AtomicU16::new(200));
        let status = Arc::clone(&health);
        let reply = move |asked: &Asked| match asked.target() {
            "/health" => answer(status.load(Ordering::SeqCst)).body("checked"),
            _ => answer(200).body(name),
        };
        Self { name, origin: Origin::answering(reply), health }
    }

    fn set_health(&self, status: u16) {
        self.health.store(status, Ordering::SeqCst);
    }

    /// Answers no check until the gate is opened.
    fn hold_checks(&self) -> Gate {
        let (gate, name) = (Gate::closed(), self.name);
        let held = gate.clone();
        self.origin.answer_by(move |asked| match asked.target() {
            "/health" => answer(200).body("checked").when(&held),
            _ => answer(200).body(name),
        });
        gate
    }

    fn checks(&self) -> Vec<Asked> {
        self.origin.requests().into_iter().filter(|asked| asked.target() == "/health").collect()
    }
}

/// A group of two applications with this check.
fn conf(check: &str, first: &App, second: &App) -> Conf {
    http(&format!(
        "upstream app {{ zone app 64k; server %ORIGIN%; server %ORIGIN:b%; }}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass http://app; health_check uri=/health {check}; }}
        }}"
    ))
    .origin(&first.origin)
    .origin_named("b", &second.origin)
}

fn bodies(server: &Server, count: usize) -> Vec<String> {
    (0..count).map(|_| server.get("/").text()).collect()
}

#[test]
fn a_peer_that_fails_is_left_out_until_it_passes() {
    let (first, second) = (App::start("first"), App::start("second"));
    let server = Server::start(&conf("interval=50ms", &first, &second));
    assert_eq!(bodies(&server, 4), ["first", "second", "first", "second"]);
    second.set_health(500);
    let peer = format!("health check \"\" of peer {} in upstream \"app\"", second.origin.address());
    server.wait_for_log(&format!("peer is unhealthy while checking status code, {peer}"));
    assert_eq!(bodies(&server, 4), ["first"; 4]);
    second.set_health(301);
    server.wait_for_log(&format!("peer is healthy, {peer}"));
    assert!(bodies(&server, 4).contains(&"second".to_owned()));
}

#[test]
fn so_many_failures_and_passes_in_a_row_are_needed() {
    let (first, second) = (App::start("first"), App::start("second"));
    let server = Server::start(&conf("interval=50ms fails=3 passes=2", &first, &second));
    wait_until("the first check", || !second.checks().is_empty());
    second.set_health(503);
    let before = second.checks().len();
    server.wait_for_log("peer is unhealthy");
    let failed = second.checks().len() - before;
    assert!(failed >= 2, "{failed} checks were enough");
    second.set_health(200);
    let before = second.checks().len();
    server.wait_for_log("peer is healthy");
    let passed = second.checks().len() - before;
    assert!(passed >= 1, "{passed} checks were enough");
}

#[test]
fn nobody_is_asked_when_all_have_failed() {
    let (first, second) = (App::start("first"), App::start("second"));
    first.set_health(500);
    second.set_health(500);
    let server = Server::start(&conf("interval=50ms", &first, &second));
    wait_until("nobody is left", || server.get("/").status() == 502);
    server.wait_for_log("no live upstreams while connecting to upstream");
    first.set_health(200);
    wait_until("one is back", || server.get("/").text() == "first");
}

#[test]
fn a_mandatory_check_comes_before_all_else() {
    let (first, second) = (App::start("first"), App::start("second"));
    first.set_health(500);
    let server = Server::start(&conf("interval=50ms mandatory", &first, &second));
    // The server did not accept before everyone was checked.
    assert_eq!(bodies(&server, 4), ["second"; 4]);
    first.set_health(200);
    server.wait_for_log("peer is healthy");
    wait_until("the other is in use", || server.get("/").text() == "first");
}

#[test]
fn a_mandatory_check_without_an_answer_holds_up_the_peer_and_not_the_start() {
    let gate = Gate::closed();
    let held = gate.clone();
    let slow = Origin::answering(move |asked| match asked.target() {
        "/health" => answer(200).body("checked").when(&held),
        _ => answer(200).body("slow"),
    });
    let conf = http(
        "upstream app { zone app 64k; server %ORIGIN%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://app; health_check uri=/health mandatory interval=50ms; }
        }",
    )
    .origin(&slow);
    let server = Server::start(&conf);
    assert_eq!(server.get("/").status(), 502);
    gate.open();
    wait_until("it is checked", || server.get("/").text() == "slow");
}

#[test]
fn a_reload_forgets_no_healthy_peer_where_that_is_asked_for() {
    for (check, wanted) in [("mandatory persistent", 200), ("mandatory", 502)] {
        let (first, second) = (App::start("first"), App::start("second"));
        second.set_health(500);
        let before = conf(&format!("interval=50ms {check}"), &first, &second);
        let mut server = Server::start(&before);
        wait_until("the first is in use", || server.get("/").text() == "first");
        // The worker that comes next hears of nobody for a long time.
        let gate = first.hold_checks();
        let old = server.worker();
        server.write_conf(&before.with_text(|text| text.replace("interval=50ms", "fails=99 interval=1h")));
        server.signal(Signal::SIGHUP);
        wait_until("the old worker is gone", || !server.children("worker process").contains(&old));
        assert_eq!(server.get("/").status(), wanted, "{check}");
        gate.open();
    }
}

/// The directory's `larder.pid`.
fn master_in_file(server: &Server) -> Option<u32> {
    server.read("larder.pid").trim().parse().ok()
}

#[test]
fn a_new_program_forgets_no_healthy_peer_where_that_is_asked_for() {
    for (check, wanted) in [("mandatory persistent", 200), ("mandatory", 502)] {
        let (first, second) = (App::start("first"), App::start("second"));
        second.set_health(500);
        let before = conf(&format!("interval=50ms {check}"), &first, &second).in_background();
        let mut server = Server::start(&before);
        wait_until("the first is in use", || server.get("/").text() == "first");
        let gate = first.hold_checks();
        let old = server.master();
        server.write_conf(&before.with_text(|text| text.replace("interval=50ms", "fails=99 interval=1h")));
        server.signal(Signal::SIGUSR2);
        wait_until("there is a new master", || master_in_file(&server).is_some_and(|master| master != old));
        let new = master_in_file(&server).expect("a number");
        server.signal(Signal::SIGQUIT);
        wait_until("the old one is gone", || !proc::runs(old));
        assert_eq!(server.get("/").status(), wanted, "{check}");
        gate.open();
        proc::signal(new, Signal::SIGQUIT);
        wait_until("the new one is gone too", || !proc::runs(new));
    }
}

#[test]
fn a_peer_that_is_healthy_again_starts_slowly() {
    let of_the_second = |server: &Server| bodies(server, 50).iter().filter(|body| *body == "second").count();
    for (slow_start, at_first) in [("slow_start=1h", Some(0)), ("slow_start=1s", None), ("", Some(25))] {
        let (first, second) = (App::start("first"), App::start("second"));
        let conf = conf("interval=50ms", &first, &second)
            .with_text(|text| text.replace("%ORIGIN:b%;", &format!("%ORIGIN:b% {slow_start};")));
        let server = Server::start(&conf);
        // As in nginx, what was healthy from the beginning has nothing to recover from.
        assert_eq!(bodies(&server, 4), ["first", "second", "first", "second"], "{slow_start}");
        second.set_health(500);
        server.wait_for_log("peer is unhealthy");
        second.set_health(200);
        server.wait_for_log("peer is healthy");
        match at_first {
            Some(wanted) => assert_eq!(of_the_second(&server), wanted, "{slow_start}"),
            None => wait_until("its share is whole", || of_the_second(&server) == 25),
        }
    }
}

#[test]
fn a_check_is_a_request_of_its_location() {
    let (first, second) = (App::start("first"), App::start("second"));
    let check = "interval=1h; proxy_set_header X-Check $proxy_host; proxy_set_header X-Client $remote_addr";
    let _server = Server::start(&conf(check, &first, &second));
    wait_until("it was checked", || !first.checks().is_empty());
    let check = &first.checks()[0];
    assert_eq!(check.line(), "GET /health HTTP/1.0");
    assert_eq!(check.field("Host"), Some("app"));
    assert_eq!(check.field("Connection"), Some("close"));
    assert_eq!((check.field("X-Check"), check.field("X-Client")), (Some("app"), None));
}

#[test]
fn checks_run_once_for_all_event_loops() {
    let (first, second) = (App::start("first"), App::start("second"));
    let conf = conf("interval=1h", &first, &second)
        .with_text(|text| text.replace("worker_processes 1;", "worker_processes 3;"));
    let server = Server::start(&conf);
    wait_until("both were checked", || !first.checks().is_empty() && !second.checks().is_empty());
    assert_eq!(server.stop(Stop::Graceful).code(), Some(0));
    assert_eq!((first.checks().len(), second.checks().len()), (1, 1));
}

#[test]
fn another_port_can_be_checked() {
    let (first, second) = (App::start("first"), App::start("second"));
    let check = format!("interval=50ms port={}", second.origin.address().port());
    let conf = http(&format!(
        "upstream app {{ zone app 64k; server %ORIGIN%; }}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass http://app; health_check uri=/health {check}; }}
        }}"
    ))
    .origin(&first.origin);
    let server = Server::start(&conf);
    assert_eq!(server.get("/").text(), "first");
    second.set_health(500);
    wait_until("the only peer is out", || server.get("/").status() == 502);
    assert!(first.checks().is_empty());
}

#[test]
fn a_peer_that_refuses_is_unhealthy() {
    let conf = http(
        "upstream app { zone app 64k; server %CLOSED%; }
        match fine { status 200; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://app; health_check interval=50ms match=fine; }
        }",
    );
    let server = Server::start(&conf);
    let peer = "health check \"fine\" of peer 127.0.0.1:";
    server.wait_for_log(&format!(
        "connect() failed (111: Connection refused) while connecting to upstream, {peer}"
    ));
    server.wait_for_log(&format!("peer is unhealthy while connecting to upstream, {peer}"));
}

#[test]
fn one_check_that_fails_is_enough() {
    let (first, second) = (App::start("first"), App::start("second"));
    let checks =
        "interval=50ms; } location /other { proxy_pass http://app; health_check interval=50ms uri=/other";
    let conf = conf(checks, &first, &second);
    let server = Server::start(&conf);
    assert!(bodies(&server, 4).contains(&"second".to_owned()));
    second.set_health(500);
    server.wait_for_log("peer is unhealthy");
    wait_until("only the other check passes", || second.origin.request_count() > second.checks().len());
    assert_eq!(bodies(&server, 4), ["first"; 4]);
}

/// A server whose only peer answers checks so, with a `match` of these lines.
fn matched(lines: &str, reply: Reply) -> (Server, Origin) {
    let origin = Origin::always(reply);
    let conf = http(&format!(
        "upstream app {{ zone app 64k; server %ORIGIN%; }}
        match good {{ {lines} }}
        map $upstream_http_x_load $light {{ ~^[0-3]$ yes; default 0; }}
        map $upstream_response_length $short {{ ~^.$ yes; default \"\"; }}
        server {{
            listen 127.0.0.1:%PORT%;
            location / {{ proxy_pass http://app; health_check mandatory match=good interval=1h; }}
        }}"
    ))
    .origin(&origin);
    (Server::start(&conf), origin)
}

#[test]
fn answers_are_judged_by_status_fields_and_body() {
    let page =
        || answer(200).field("Content-Type", "text/html").field("X-Load", "3").body("Welcome to the app");
    let good = "status 200-299 404; status ! 500; header Content-Type = text/html; header ! X-None; \
                header X-Load ~ ^[0-9]$; body ~ \"Welcome\"; body !~ \"maintenance\"; \
                require $upstream_http_x_load $upstream_addr $light;";
    let (server, _origin) = matched(good, page());
    assert_eq!(server.get("/").status(), 200);
    for (lines, during) in [
        ("status 404;", "checking status code"),
        ("header X-None;", "checking header"),
        ("body ~ \"^app\";", "checking body"),
        ("require $upstream_http_x_none;", "checking variables"),
        ("require $upstream_response_length $short;", "checking variables"),
    ] {
        let (server, _origin) = matched(lines, page());
        assert_eq!(server.get("/").status(), 502, "{lines}");
        server.wait_for_log(&format!("peer is unhealthy while {during}, health check \"good\" of peer "));
    }
}

#[test]
fn connections_are_kept_from_check_to_check_where_that_is_asked_for() {
    let plain = || answer(200).body("Welcome");
    let unasked = "WelcomeHTTP/1.1 408 Request Timeout\r\n\r\n";
    // Keeps the connection; whether the answer lets the next check have it; the answer.
    for (parameters, is_kept, reply) in [
        ("", false, plain()),
        ("keepalive_time=1h", true, plain()),
        ("keepalive_time=1h match=welcome", true, answer(200).chunked(&["Wel", "come"])),
        ("keepalive_time=1h match=welcome", false, answer(200).until_close("Welcome")),
        ("keepalive_time=1h", true, answer(204)),
        ("keepalive_time=1h", false, plain().field("Connection", "close")),
        ("keepalive_time=1h", false, answer(200).declared(300_000).bytes("x".repeat(300_000))),
        // What comes unasked is no answer to the next check.
        ("keepalive_time=1h", false, answer(200).declared(7).bytes(unasked)),
        ("keepalive_time=1h match=welcome", false, answer(200).declared(7).bytes(unasked)),
        // A connection does not serve for longer than the time between two checks.
        ("keepalive_time=1ms", false, plain()),
    ] {
        let origin = Origin::always(reply);
        let conf = http(&format!(
            "upstream app {{ zone app 64k; server %ORIGIN%; }}
            match welcome {{ body ~ ^Welcome$; }}
            server {{
                listen 127.0.0.1:%PORT%;
                location / {{ proxy_pass http://app; health_check interval=20ms {parameters}; }}
            }}"
        ));
        let server = Server::start(&conf.origin(&origin));
        origin.wait_for_requests(4);
        // Read in this order, since checks go on.
        let requests = origin.requests();
        let connections = origin.connection_count();
        let is_as_wanted = if is_kept { connections == 1 } else { connections >= requests.len() };
        assert!(is_as_wanted, "{parameters}: {connections} connections for {} checks", requests.len());
        let (version, connection) = match parameters {
            "" => ("1.0", Some("close")),
            _ => ("1.1", None),
        };
        assert_eq!(requests[3].line(), format!("GET / HTTP/{version}"));
        assert_eq!(requests[3].field("Connection"), connection);
        assert_eq!(server.get("/").status() / 100, 2, "{parameters}");
        assert!(!server.read("error.log").contains("unhealthy"), "{parameters}");
    }
}

#[test]
fn a_kept_connection_that_the_peer_closes_is_no_failure() {
    let app = App::start("app");
    let conf = http(
        "upstream app { zone app 64k; server %ORIGIN%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://app; health_check uri=/health interval=20ms keepalive_time=1h; }
        }",
    );
    let server = Server::start(&conf.origin(&app.origin));
    for connections in 1..=3 {
        let before = app.checks().len();
        wait_until("a few more checks", || app.checks().len() > before + 3);
        assert_eq!(app.origin.connection_count(), connections);
        app.origin.close_connections();
    }
    assert!(!server.read("error.log").contains("health check"), "{}", server.read("error.log"));
    app.set_health(500);
    server.wait_for_log("peer is unhealthy while checking status code");
}

#[test]
fn a_kept_connection_that_was_idle_for_too_long_is_no_failure() {
    let known = Mutex::new(HashSet::new());
    // Whoever asks a second time is told that he came too late, without a length and without an end.
    let origin = Origin::answering(move |asked| match known.lock().unwrap().insert(asked.connection) {
        true => answer(200).body("fine"),
        false => answer(408),
    });
    let conf = http(
        "upstream app { zone app 64k; server %ORIGIN%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://app; health_check interval=20ms keepalive_time=1h; }
        }",
    );
    let server = Server::start(&conf.origin(&origin));
    origin.wait_for_requests(12);
    assert!(!server.read("error.log").contains("health check"), "{}", server.read("error.log"));
}

#[test]
fn new_addresses_of_a_name_are_checked_first() {
    let (dns, first, second) = (Dns::start(), App::start("first"), App::start("second"));
    let at = |app: &App| services(&[(1, 1, app.origin.address().port(), "host.test")], 60);
    dns.tell("host.test", addresses(&["127.0.0.1"], 60)).tell("_http._tcp.app.test", at(&first));
    let conf = http(
        "resolver %DNS% ipv6=off valid=1s;
        upstream app { zone app 64k; server app.test service=http resolve; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://app; health_check uri=/health mandatory interval=50ms; }
        }",
    )
    .dns(&dns);
    let server = Server::start(&conf);
    assert_eq!(server.get("/").text(), "first");
    second.set_health(500);
    dns.tell("_http._tcp.app.test", at(&second));
    wait_until("the new one is checked", || !second.checks().is_empty());
    assert_eq!(server.get("/").status(), 502);
    second.set_health(200);
    wait_until("the new one is in use", || server.get("/").text() == "second");
}
