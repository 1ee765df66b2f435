//! Requests that meet at one key: who asks, who waits and for how long, and what becomes of a fill that goes wrong.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{
    Client, Conf, Gate, Origin, Reply, Server, answer, client::End, deadline::now, location, proc, wait_until,
};

/// A lock that nobody outwaits.
const LOCKED: &str =
    "proxy_cache zone; proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;";

fn locked(more: &str, origin: &Origin) -> Conf {
    location(&format!("{LOCKED} {more}"), origin)
}

/// An answer that is stored, but expired long ago.
fn expired() -> Reply {
    answer(200).field("X-Accel-Expires", "@1").body("old")
}

fn private(body: &str) -> Reply {
    answer(200).field("Cache-Control", "private").body(body)
}

/// Sends a GET and leaves the answer for later.
fn asks(server: &Server, path: &str) -> Client {
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

/// Has the server answer something else: what was sent before has been dealt with by then.
fn dealt_with(server: &Server) {
    server.get("/elsewhere");
}

/// Answers in that order what is asked for `/a`, and anything else at once.
fn script(replies: impl IntoIterator<Item = Reply>) -> Origin {
    let replies = std::sync::Mutex::new(replies.into_iter().collect::<std::collections::VecDeque<_>>());
    Origin::answering(move |asked| match asked.target() {
        "/a" => replies.lock().unwrap().pop_front().unwrap_or_else(|| answer(599).body("unscripted")),
        _ => answer(200).body("elsewhere"),
    })
}

fn asked_for_a(origin: &Origin) -> usize {
    origin.requests().iter().filter(|asked| asked.target() == "/a").count()
}

#[test]
fn an_answer_that_is_not_stored_lets_all_who_wait_go_at_once() {
    let [first, others] = [Gate::closed(), Gate::closed()];
    let later = || private("own").when(&others);
    let origin = script([private("first").when(&first), later(), later(), later()]);
    let server = Server::start(&locked("", &origin));
    let mut clients = vec![asks(&server, "/a")];
    origin.wait_for_requests(1);
    clients.extend((0..3).map(|_| asks(&server, "/a")));
    dealt_with(&server);
    assert_eq!(asked_for_a(&origin), 1, "three wait for the first");
    first.open();
    wait_until("all ask at once", || asked_for_a(&origin) == 4);
    others.open();
    let bodies: Vec<_> = clients.iter_mut().map(|client| client.response().text()).collect();
    assert_eq!(bodies, ["first", "own", "own", "own"]);
}

#[test]
fn nobody_queues_for_what_was_not_to_be_stored_a_moment_ago() {
    let gate = Gate::closed();
    let own = || private("own").when(&gate);
    let origin = script([private("first"), own(), own(), own()]);
    let server = Server::start(&locked("", &origin));
    server.get("/a");
    let mut clients: Vec<_> = (0..3).map(|_| asks(&server, "/a")).collect();
    wait_until("all three are passed on together", || asked_for_a(&origin) == 4);
    gate.open();
    for client in &mut clients {
        let answer = client.response();
        assert_eq!((answer.cache(), answer.text()), ("MISS", "own".to_owned()));
    }
}

#[test]
fn that_an_answer_was_not_to_be_stored_can_be_forgotten_at_once() {
    let gate = Gate::closed();
    let origin = script([private("first"), answer(200).body("page").when(&gate)]);
    let server = Server::start(&locked("proxy_cache_uncacheable off;", &origin));
    server.get("/a");
    let mut clients: Vec<_> = (0..3).map(|_| asks(&server, "/a")).collect();
    dealt_with(&server);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "page"));
    assert_eq!(asked_for_a(&origin), 2, "all three waited for one");
}

#[test]
fn an_answer_that_is_stored_ends_the_memory_of_one_that_was_not() {
    let gate = Gate::closed();
    let stored_and_expired = || expired().field("X-Later", "yes");
    let origin = script([private("first"), stored_and_expired(), answer(200).body("page").when(&gate)]);
    let server = Server::start(&locked("", &origin));
    server.get("/a");
    assert_eq!(server.get("/a").text(), "old");
    let mut clients: Vec<_> = (0..3).map(|_| asks(&server, "/a")).collect();
    dealt_with(&server);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "page"));
    assert_eq!(asked_for_a(&origin), 3, "all three waited for one");
}

#[test]
fn an_error_of_the_moment_does_not_end_the_queue_for_a_page() {
    let gate = Gate::closed();
    let origin = script([answer(503).body("busy"), answer(200).body("page").when(&gate)]);
    let server = Server::start(&locked("", &origin));
    assert_eq!(server.get("/a").status(), 503);
    let mut clients: Vec<_> = (0..3).map(|_| asks(&server, "/a")).collect();
    dealt_with(&server);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "page"));
    assert_eq!(asked_for_a(&origin), 2);
}

#[test]
fn who_waits_tries_anew_where_the_first_gets_no_answer() {
    let gate = Gate::closed();
    let origin = script([Reply::nothing().when(&gate), answer(200).body("page")]);
    let server = Server::start(&locked("", &origin));
    let mut first = asks(&server, "/a");
    origin.wait_for_requests(1);
    let mut others = [asks(&server, "/a"), asks(&server, "/a")];
    dealt_with(&server);
    gate.open();
    assert_eq!(first.response().status(), 502);
    assert!(others.iter_mut().all(|client| client.response().text() == "page"));
    assert_eq!(asked_for_a(&origin), 2);
}

#[test]
fn who_has_been_sent_nothing_yet_tries_anew_where_the_body_breaks_off() {
    let gate = Gate::closed();
    let origin = script([answer(200).declared(9).wait(&gate).then_close(), answer(200).body("page")]);
    let server = Server::start(&locked("", &origin));
    let mut first = asks(&server, "/a");
    assert_eq!(first.head_only().status(), 200);
    let mut others = [asks(&server, "/a"), asks(&server, "/a")];
    dealt_with(&server);
    gate.open();
    assert_eq!(first.rest().0, b"", "the first one has its head already");
    for other in &mut others {
        let answer = other.response();
        assert_eq!((answer.end, answer.text()), (End::Framed, "page".to_owned()));
    }
    assert_eq!(asked_for_a(&origin), 2);
}

#[test]
fn one_more_at_a_time_may_ask_after_the_lock_age() {
    let [first, second] = [Gate::closed(), Gate::closed()];
    let origin = script([answer(200).body("first").when(&first), answer(200).body("second").when(&second)]);
    let directives = "proxy_cache zone; proxy_cache_lock on; proxy_cache_lock_timeout 1h;
        proxy_cache_lock_age 2s;";
    let server = Server::start(&location(directives, &origin));
    let mut stuck = asks(&server, "/a");
    origin.wait_for_requests(1);
    let mut others: Vec<_> = (0..5).map(|_| asks(&server, "/a")).collect();
    wait_until("one more has asked", || asked_for_a(&origin) >= 2);
    dealt_with(&server);
    assert_eq!(asked_for_a(&origin), 2, "the other four wait for that one");
    second.open();
    let texts: Vec<_> = others.iter_mut().map(|client| client.response().text()).collect();
    assert_eq!(texts, ["second"; 5]);
    first.open();
    assert_eq!(stuck.response().text(), "first");
}

#[test]
fn a_fill_that_stands_still_is_passed_over() {
    let gate = Gate::closed();
    let half = answer(200).declared(8).bytes("half").wait(&gate).bytes("rest");
    let origin = script([half, answer(200).body("another")]);
    let directives = "proxy_cache zone; proxy_cache_lock on; proxy_cache_lock_timeout 1h;
        proxy_cache_lock_age 300ms;";
    let server = Server::start(&location(directives, &origin));
    let mut stuck = asks(&server, "/a");
    stuck.head_only();
    let started = now();
    wait_until("it has stood still for long enough", || now() - started > Duration::from_millis(400));
    assert_eq!(server.get("/a").text(), "another");
    gate.open();
    assert_eq!(stuck.bytes(8), b"halfrest");
}

#[test]
fn a_bypass_is_stored_though_another_request_is_at_it() {
    let gate = Gate::closed();
    let origin = script([answer(200).body("slow").when(&gate), answer(200).body("new")]);
    let server = Server::start(&locked("proxy_cache_bypass $http_x_refresh;", &origin));
    let mut slow = asks(&server, "/a");
    origin.wait_for_requests(1);
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nX-Refresh: 1\r\n\r\n");
    let refreshed = client.response();
    assert_eq!((refreshed.cache(), refreshed.text()), ("BYPASS", "new".to_owned()));
    let after = server.get("/a");
    assert_eq!((after.cache(), after.text()), ("HIT", "new".to_owned()));
    gate.open();
    assert_eq!(slow.response().text(), "slow");
}

#[test]
fn a_new_worker_takes_over_from_one_that_was_killed_in_mid_fill() {
    let gate = Gate::closed();
    let origin = script([answer(200).body("first").when(&gate), answer(200).body("second")]);
    let mut server = Server::start(&locked("", &origin));
    if server.program().is_nginx() {
        return; // its lock outlives the worker that held it
    }
    server.allow_in_log("exited on signal 9");
    let _first = asks(&server, "/a");
    origin.wait_for_requests(1);
    let old = server.worker();
    server.signal(Signal::SIGHUP);
    wait_until("there is a new worker beside it", || server.children("worker process").len() == 2);
    // The old worker no longer accepts: this one waits for it in the new one.
    wait_until("the old worker stops accepting", || server.read("error.log").contains("gracefully"));
    let mut second = asks(&server, "/a");
    dealt_with(&server);
    assert_eq!(asked_for_a(&origin), 1, "the second waits for the first, in another process");
    proc::signal(old, Signal::SIGKILL);
    assert_eq!(second.response().text(), "second");
    assert_eq!(asked_for_a(&origin), 2);
    gate.open();
}

/// More than any buffer on the way of a test holds.
const PART_BYTES: usize = 256 << 10;

/// Four parts of a body; the gates are before the second and before the last.
fn quarters(gates: &[Gate; 2]) -> Reply {
    let part = |byte| [byte; PART_BYTES];
    let [first, last] = gates;
    let begun = answer(200).declared(4 * PART_BYTES).bytes(part(b'a')).wait(first);
    begun.bytes(part(b'b')).bytes(part(b'c')).wait(last).bytes(part(b'd'))
}

/// Has a client leave when it has so many quarters of a page, and the upstream has sent no more; what is logged then.
fn left_behind(directives: &str, parts: usize) -> (Server, Origin, [Gate; 2]) {
    let gates = [Gate::closed(), Gate::closed()];
    let origin = script([quarters(&gates), answer(200).body("again")]);
    let server = Server::start(&locked(directives, &origin));
    let mut client = asks(&server, "/a");
    client.head_only();
    assert_eq!(client.bytes(PART_BYTES).len(), PART_BYTES);
    if parts > 1 {
        gates[0].open();
        assert_eq!(client.bytes((parts - 1) * PART_BYTES).len(), (parts - 1) * PART_BYTES);
    }
    client.leave();
    (server, origin, gates)
}

const GAVE_UP: &str = "all clients left, response is not cached";

#[test]
fn a_fill_goes_on_without_its_client_as_far_as_told() {
    for (directives, parts) in [("", 1), ("proxy_cache_fill_abandoned half;", 3)] {
        let (server, origin, gates) = left_behind(directives, parts);
        dealt_with(&server);
        gates.iter().for_each(Gate::open);
        assert_eq!(server.get("/a").body.len(), 4 * PART_BYTES, "{directives}");
        assert_eq!(asked_for_a(&origin), 1, "{directives}");
        assert!(!server.read("error.log").contains(GAVE_UP), "{directives}");
    }
}

#[test]
fn a_fill_ends_with_its_client_where_told() {
    for directives in ["proxy_cache_fill_abandoned half;", "proxy_cache_fill_abandoned never;"] {
        let (server, origin, _gates) = left_behind(directives, 1);
        server.wait_for_log(GAVE_UP);
        assert_eq!(server.get("/a").text(), "again", "{directives}");
        assert_eq!(asked_for_a(&origin), 2, "{directives}");
    }
}

#[test]
fn a_fill_that_another_reads_goes_on() {
    let gates = [Gate::closed(), Gate::closed()];
    let origin = script([quarters(&gates), answer(200).body("again")]);
    let server = Server::start(&locked("proxy_cache_fill_abandoned never;", &origin));
    let mut first = asks(&server, "/a");
    first.head_only();
    let mut second = asks(&server, "/a");
    second.head_only();
    first.leave();
    server.wait_for_log("while sending to client");
    gates.iter().for_each(Gate::open);
    assert_eq!(second.bytes(4 * PART_BYTES).len(), 4 * PART_BYTES);
    assert_eq!(asked_for_a(&origin), 1);
}

#[test]
fn what_nobody_waits_for_any_more_is_no_longer_asked_for() {
    let gate = Gate::closed();
    let origin = script([answer(200).body("first").when(&gate), answer(200).body("second")]);
    let server = Server::start(&locked("proxy_cache_fill_abandoned never;", &origin));
    let first = asks(&server, "/a");
    origin.wait_for_requests(1);
    let second = asks(&server, "/a");
    dealt_with(&server);
    first.leave();
    server.wait_for_log("client prematurely closed connection");
    assert_eq!(asked_for_a(&origin), 1, "the second waits for the first one's answer all the same");
    second.leave();
    wait_until("another may ask", || server.get("/a").text() == "second");
    gate.open();
}

#[test]
fn a_head_or_a_part_does_not_end_a_fill() {
    for lines in ["HEAD /a HTTP/1.1\r\nHost: a\r\n", "GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n"] {
        let origin = script([answer(200).body([b'a'; PART_BYTES])]);
        let server = Server::start(&locked("proxy_cache_fill_abandoned never;", &origin));
        let mut client = server.client();
        client.send(format!("{lines}\r\n"));
        client.head_only();
        wait_until("it is stored", || server.get("/a").cache() == "HIT");
        assert_eq!(asked_for_a(&origin), 1, "{lines}");
    }
}

#[test]
fn what_is_asked_after_the_lock_timeout_is_not_stored() {
    let gate = Gate::closed();
    let origin = script([answer(200).body("first").when(&gate), answer(200).body("second")]);
    let directives = "proxy_cache zone; proxy_cache_lock on; proxy_cache_lock_timeout 200ms;
        proxy_cache_lock_age 1h;";
    let server = Server::start(&location(directives, &origin));
    let mut first = asks(&server, "/a");
    origin.wait_for_requests(1);
    let second = server.get("/a");
    assert_eq!((second.cache(), second.text()), ("MISS", "second".to_owned()));
    gate.open();
    assert_eq!(first.response().text(), "first");
    let third = server.get("/a");
    assert_eq!((third.cache(), third.text()), ("HIT", "first".to_owned()));
}

#[test]
fn a_request_that_is_never_stored_has_nobody_wait() {
    let gate = Gate::closed();
    let origin = script([answer(200).body("own").when(&gate), answer(200).body("page")]);
    let server = Server::start(&locked("proxy_no_cache $http_x_private;", &origin));
    let mut private = server.client();
    private.send("GET /a HTTP/1.1\r\nHost: a\r\nX-Private: 1\r\n\r\n");
    origin.wait_for_requests(1);
    assert_eq!(server.get("/a").text(), "page");
    assert_eq!(server.get("/a").cache(), "HIT");
    gate.open();
    assert_eq!(private.response().text(), "own");
}
