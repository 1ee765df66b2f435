//! Processes and signals: titles, the pid file, stopping, reloading, reopening, replacing what died.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::support::{
    Conf, Gate, Origin, Server, Stop, answer, client::To, deadline::SetOnDrop, http, location, proc, servers,
    wait_for, wait_until,
};

fn hello() -> Conf {
    servers("location / { return 200 hello; }")
}

#[test]
fn processes_have_nginx_s_titles() {
    let origin = Origin::always(answer(200).body("one"));
    let server = Server::start(&location("proxy_cache zone;", &origin));
    let name = server.program().name();
    wait_until("all processes run", || {
        !server.children("worker process").is_empty() && !server.children("cache manager process").is_empty()
    });
    assert!(proc::title(server.master()).starts_with(&format!("{name}: master process")));
    let worker = proc::title(server.worker());
    assert!(worker.starts_with(&format!("{name}: worker process")), "{worker}");
}

#[test]
fn who_looks_after_caches_stands_back_for_workers() {
    let origin = Origin::always(answer(200).body("one"));
    let server = Server::start(&location("proxy_cache zone;", &origin));
    if server.program().is_nginx() {
        return; // its processes are all alike
    }
    // The tests themselves may stand back for something.
    let worker = proc::nice(server.worker()).expect("it runs");
    for role in ["cache manager", "cache loader"] {
        let nice = || server.children(role).first().copied().and_then(proc::nice);
        wait_until(&format!("the {role} stands back"), || nice() == Some(worker.max(15)));
    }
}

#[test]
fn the_loader_is_there_for_the_first_minute_and_ends_when_told() {
    let origin = Origin::always(answer(200).body("one"));
    let server = Server::start(&location("proxy_cache zone;", &origin));
    let loader = wait_for("there is a loader", || server.children("cache loader process").first().copied());
    if !server.program().is_nginx() {
        server.wait_for_text("cache/larder.state", "index complete");
    }
    server.signal(Signal::SIGHUP);
    wait_until("the new generation has one, and the old one is gone", || {
        let loaders = server.children("cache loader process");
        loaders.len() == 1 && loaders[0] != loader
    });
    assert_eq!(server.stop(Stop::Graceful).code(), Some(0));
}

#[test]
fn the_pid_file_names_the_master_and_goes_away() {
    let server = Server::start(&hello());
    // It is written when the worker accepts, of which clients may hear first.
    wait_until("it is written", || server.read("larder.pid").trim() == server.master().to_string());
    let dir = server.stop_and_keep(Stop::Graceful);
    assert!(!dir.path().join("larder.pid").exists());
}

#[test]
fn stopping_ends_with_success() {
    for how in [Stop::Graceful, Stop::Fast] {
        let server = Server::start(&hello());
        assert_eq!(server.get("/").text(), "hello");
        assert!(server.stop(how).success(), "{how:?}");
    }
}

#[test]
fn a_graceful_stop_answers_what_was_asked() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).when(&gate).body("late but whole")]);
    let server = Server::start(&location("", &origin));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    server.signal(Signal::SIGQUIT);
    wait_until("new connections are refused", || std::net::TcpStream::connect(server.address()).is_err());
    gate.open();
    assert_eq!(client.response().text(), "late but whole");
    assert!(server.stop(Stop::Graceful).success());
}

#[test]
fn a_graceful_stop_closes_idle_connections() {
    let server = Server::start(&hello());
    let mut idle = server.client();
    assert_eq!(idle.get("/").text(), "hello");
    server.signal(Signal::SIGQUIT);
    assert!(idle.try_response(To::Get).is_err());
}

#[test]
fn a_reload_brings_the_new_configuration() {
    let mut server = Server::start(&hello());
    assert_eq!(server.get("/").text(), "hello");
    let old = server.worker();
    server.write_conf(&hello().with_text(|text| text.replace("hello", "changed")));
    server.signal(Signal::SIGHUP);
    wait_until("the new configuration answers", || server.get("/").text() == "changed");
    wait_until("the old worker is gone", || !proc::runs(old));
}

#[test]
fn a_broken_configuration_leaves_the_old_one_running() {
    let mut server = Server::start(&hello());
    let worker = server.worker();
    server.write_conf(&hello().with_text(|text| text.replace("return", "retrun")));
    server.allow_in_log("unknown directive \"retrun\"");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("unknown directive \"retrun\"");
    assert_eq!(server.get("/").text(), "hello");
    assert_eq!(server.worker(), worker);
    server.write_conf(&hello());
}

#[test]
fn a_reload_changes_listeners() {
    let mut server = Server::start(&hello());
    server.write_conf(&http(
        "server { listen 127.0.0.1:%PORT%; location / { return 200 first; } }
        server { listen 127.0.0.1:%PORT:more%; location / { return 200 second; } }",
    ));
    server.signal(Signal::SIGHUP);
    let ask = || std::net::TcpStream::connect(server.address_of("more")).is_ok();
    wait_until("the new listener accepts", ask);
    let mut client = crate::support::Client::connect(server.address_of("more"));
    assert_eq!(client.get("/").text(), "second");
    wait_until("the old listener has the new configuration", || server.get("/").text() == "first");
}

/// Twenty reloads while clients with and without keepalive ask on; the time follows from the count.
#[test]
fn reloads_under_load_lose_no_request() {
    const RELOADS: usize = 20;
    let mut server = Server::start(&hello());
    under_load(server.address(), |answered| {
        for number in 0..RELOADS {
            let word = format!("generation-{number}");
            server.write_conf(&hello().with_text(|text| text.replace("hello", &word)));
            server.signal(Signal::SIGHUP);
            wait_until("the next generation answers", || server.get("/").text() == word);
            wait_for_answers(answered);
        }
    });
    wait_until("only one worker is left", || server.children("worker process").len() == 1);
}

/// Does something while clients with and without keepalive ask on; none of them may meet an error.
fn under_load(address: std::net::SocketAddr, work: impl FnOnce(&AtomicUsize)) {
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let ends = SetOnDrop(&stop);
        let (stop, answered) = (&stop, &answered);
        let ask = |number| if number % 2 == 0 { ask_on } else { ask_anew };
        let clients: Vec<_> =
            (0..8).map(|number| scope.spawn(move || ask(number)(address, stop, answered))).collect();
        work(answered);
        drop(ends);
        for client in clients {
            client.join().expect("no client met an error");
        }
    });
}

fn wait_for_answers(answered: &AtomicUsize) {
    let before = answered.load(Ordering::Relaxed);
    wait_until("clients got on", || answered.load(Ordering::Relaxed) > before + 50);
}

/// Keeps a connection as long as the server does, and takes a close between two answers for what it is.
fn ask_on(address: std::net::SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut client = crate::support::Client::connect(address);
    let mut on_this_connection = 0;
    while !stop.load(Ordering::Relaxed) {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response(To::Get) {
            Ok(response) => {
                assert_eq!(response.status(), 200, "{response}");
                answered.fetch_add(1, Ordering::Relaxed);
                on_this_connection += 1;
                if response.field("Connection") == Some("close") {
                    client = crate::support::Client::connect(address);
                    on_this_connection = 0;
                }
            }
            // An idle connection may be closed at any time; a fresh one may not.
            Err(none) => {
                assert!(on_this_connection > 0, "a fresh connection got no answer: {none:?}");
                client = crate::support::Client::connect(address);
                on_this_connection = 0;
            }
        }
    }
}

fn ask_anew(address: std::net::SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let mut client = crate::support::Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn logs_are_reopened() {
    let conf =
        http("server { access_log access.log; listen 127.0.0.1:%PORT%; location / { return 200 hello; } }");
    let server = Server::start(&conf);
    server.get("/before");
    server.wait_for_text("access.log", "GET /before");
    fs::rename(server.dir().join("access.log"), server.dir().join("access.log.1")).expect("the file is ours");
    server.signal(Signal::SIGUSR1);
    wait_until("the log is there again", || server.dir().join("access.log").exists());
    let asked = || {
        server.get("/after");
        server.read("access.log").contains("GET /after")
    };
    wait_until("the worker writes to the new log", asked);
    assert!(!server.read("access.log.1").is_empty());
}

#[test]
fn a_killed_worker_is_replaced() {
    let mut server = Server::start(&hello());
    server.allow_in_log("exited on signal 9");
    let worker = server.worker();
    proc::signal(worker, Signal::SIGKILL);
    server.wait_for_log(&format!("worker process {worker} exited on signal 9"));
    wait_until("there is another worker", || {
        server.children("worker process").iter().any(|&pid| pid != worker)
    });
    assert_eq!(server.get("/").text(), "hello");
}

#[test]
fn a_killed_cache_manager_is_replaced() {
    let origin = Origin::always(answer(200).body("one"));
    let mut server = Server::start(&location("proxy_cache zone;", &origin));
    server.allow_in_log("exited on signal 9");
    let mut manager = 0;
    wait_until("the manager runs", || {
        manager = server.children("cache manager").first().copied().unwrap_or(0);
        manager != 0
    });
    proc::signal(manager, Signal::SIGKILL);
    wait_until("there is another manager", || {
        server.children("cache manager").iter().any(|&pid| pid != manager)
    });
    server.wait_for_log("exited on signal 9");
    assert_eq!(server.get("/").text(), "one");
}

#[test]
fn files_are_loaded_again_after_a_worker_was_killed() {
    let origin = Origin::always(answer(200).body("one"));
    let mut server = Server::start(&location("proxy_cache zone;", &origin));
    if server.program().is_nginx() {
        return; // its index is in memory that outlives a worker
    }
    server.allow_in_log("exited on signal 9");
    server.wait_for_text("cache/larder.state", "index complete");
    let loads = |server: &Server| server.read("error.log").matches("start cache loader process").count();
    assert_eq!(loads(&server), 1);
    proc::signal(server.worker(), Signal::SIGKILL);
    wait_until("another loader was started", || loads(&server) == 2);
    server.wait_for_text("cache/larder.state", "index complete");
    assert_eq!(server.get("/").text(), "one");
}

#[test]
fn a_daemon_s_processes_leave_the_terminal() {
    let server = Server::start(&hello().in_background());
    let master = server.master();
    for pid in proc::children(master).into_iter().chain([master]) {
        for descriptor in [1, 2] {
            let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).expect("the process lives");
            let is_ours = link.starts_with("/dev/null") || link.starts_with(server.dir());
            assert!(is_ours, "{descriptor} of {} is {}", proc::title(pid), link.display());
        }
    }
}

#[test]
fn an_upgrade_hands_the_listeners_over_and_loses_no_request() {
    // As nginx: a master that is some process's child in the foreground is not upgraded.
    let server = Server::start(&hello().in_background());
    let mut new_master = 0;
    under_load(server.address(), |answered| new_master = upgrade(&server, answered));
    assert_eq!(server.get("/").text(), "hello");
    proc::signal(new_master, Signal::SIGQUIT);
    wait_until("the new master is gone", || !proc::runs(new_master));
}

/// Starts a new master beside the old one and lets the old one go; returns the new one.
fn upgrade(server: &Server, answered: &AtomicUsize) -> u32 {
    let old_master = server.master();
    server.signal(Signal::SIGUSR2);
    wait_until("the new master wrote its pid file", || {
        let pid = server.read("larder.pid").trim().to_owned();
        !pid.is_empty() && pid != old_master.to_string()
    });
    assert_eq!(server.read("larder.pid.oldbin").trim(), old_master.to_string());
    let new_master: u32 = server.read("larder.pid").trim().parse().expect("a pid file holds a number");
    assert!(proc::runs(new_master));
    wait_for_answers(answered);
    server.signal(Signal::SIGWINCH);
    wait_until("the old master has no workers", || server.children("worker process").is_empty());
    wait_for_answers(answered);
    server.signal(Signal::SIGQUIT);
    wait_until("the old pid file is gone", || !server.dir().join("larder.pid.oldbin").exists());
    wait_for_answers(answered);
    new_master
}

#[test]
fn a_draining_worker_is_closed_after_its_timeout() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).when(&gate).body("never")]);
    let conf = location("", &origin).with_text(|text| format!("worker_shutdown_timeout 300ms;\n{text}"));
    let server = Server::start(&conf);
    let mut client = server.client().patience(Duration::from_secs(10));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    server.signal(Signal::SIGQUIT);
    assert!(client.try_response(To::Get).is_err());
    assert!(server.stop(Stop::Graceful).success());
    gate.open();
}

#[test]
fn one_process_serves_where_there_is_no_master() {
    let conf = hello().with_text(|text| format!("master_process off;\n{text}"));
    let server = Server::start(&conf);
    assert_eq!(server.get("/").text(), "hello");
    assert!(server.children("worker process").is_empty());
}
