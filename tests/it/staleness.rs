//! Stale answers while the upstream fails: for how long, who asks meanwhile, and when that ends.

use std::time::UNIX_EPOCH;

use crate::support::{Gate, Origin, Reply, Server, answer, location, wait_until};

/// An answer that is stored, but expired long ago.
fn expired() -> Reply {
    answer(200).field("X-Accel-Expires", "@1").body("old")
}

fn statuses(server: &Server, count: usize) -> Vec<String> {
    (0..count).map(|_| server.get("/a").cache().to_owned()).collect()
}

#[test]
fn after_a_failure_the_stale_answer_is_served_without_asking_again() {
    for (name, failure) in [("status", answer(500).body("broken")), ("no answer", Reply::nothing())] {
        let origin = Origin::script([expired(), failure, answer(200).body("new")]);
        let directives =
            "proxy_cache zone; proxy_cache_use_stale error http_500; proxy_cache_stale_retry 1h;";
        let server = Server::start(&location(directives, &origin));
        server.get("/a");
        assert_eq!(statuses(&server, 5), ["STALE"; 5], "{name}");
        assert_eq!(origin.request_count(), 2, "{name}: the failure was enough");
    }
}

#[test]
fn the_upstream_is_asked_again_when_the_time_is_over() {
    let origin = Origin::script([expired(), Reply::nothing(), answer(200).body("new")]);
    let directives = "proxy_cache zone; proxy_cache_use_stale error; proxy_cache_stale_retry 1s;";
    let server = Server::start(&location(directives, &origin));
    server.get("/a");
    assert_eq!(statuses(&server, 2), ["STALE"; 2]);
    wait_until("it is asked again", || server.get("/a").text() == "new");
    assert_eq!(origin.request_count(), 3);
}

#[test]
fn without_it_each_request_asks() {
    let origin = Origin::script([expired(), Reply::nothing(), Reply::nothing(), answer(200).body("new")]);
    let server = Server::start(&location("proxy_cache zone; proxy_cache_use_stale error;", &origin));
    server.get("/a");
    assert_eq!(statuses(&server, 3), ["STALE", "STALE", "EXPIRED"]);
    assert_eq!(origin.request_count(), 4);
}

#[test]
fn a_failed_update_in_the_background_is_not_begun_again_by_each_request() {
    for (name, failure) in [("status", answer(500).body("broken")), ("no answer", Reply::nothing())] {
        let origin = Origin::script([expired(), failure, answer(200).body("new")]);
        let directives = "proxy_cache zone; proxy_cache_use_stale updating; proxy_cache_background_update on;
            proxy_cache_stale_retry 1h;";
        let server = Server::start(&location(directives, &origin));
        server.get("/a");
        assert_eq!(server.get("/a").cache(), "STALE", "{name}");
        // While the update fails others are told that one is under way.
        wait_until("the update has failed", || server.get("/a").cache() == "STALE");
        assert_eq!(statuses(&server, 5), ["STALE"; 5], "{name}");
        assert_eq!(origin.request_count(), 2, "{name}");
    }
}

#[test]
fn a_missing_page_is_asked_for_though_another_failed() {
    let origin = Origin::script([Reply::nothing(), answer(200).body("page")]);
    let directives = "proxy_cache zone; proxy_cache_use_stale error; proxy_cache_stale_retry 1h;";
    let server = Server::start(&location(directives, &origin));
    assert_eq!(server.get("/a").status(), 502, "nothing stale is at hand");
    assert_eq!(server.get("/a").text(), "page");
}

#[test]
fn who_waited_in_vain_has_the_stale_answer_too() {
    let gate = Gate::closed();
    let origin = Origin::script([expired(), Reply::nothing().when(&gate), Reply::nothing()]);
    let directives = "proxy_cache zone; proxy_cache_use_stale error; proxy_cache_lock_timeout 200ms;
        proxy_cache_lock_age 1h;";
    let server = Server::start(&location(directives, &origin));
    server.get("/a");
    let mut first = server.client();
    first.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(2);
    let second = server.get("/a");
    assert_eq!((second.cache(), second.text()), ("STALE", "old".to_owned()));
    assert_eq!(origin.request_count(), 3, "it asked by itself, and failed too");
    gate.open();
    assert_eq!(first.response().text(), "old");
}

#[test]
fn all_who_wait_have_the_stale_answer_when_the_one_who_asked_does() {
    let gate = Gate::closed();
    let origin = Origin::script([expired(), Reply::nothing().when(&gate)]);
    let directives = "proxy_cache zone; proxy_cache_use_stale error; proxy_cache_lock_timeout 1h;
        proxy_cache_lock_age 1h;";
    let server = Server::start(&location(directives, &origin));
    server.get("/a");
    let mut clients: Vec<_> = (0..5).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    origin.wait_for_requests(2);
    server.get("/elsewhere");
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "old"));
    assert_eq!(origin.requests().iter().filter(|asked| asked.target() == "/a").count(), 2);
}

/// Whole seconds since the epoch.
fn second() -> u64 {
    larder::clock::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Stores an answer that is fresh for a second and stale for two more, has the upstream fail from then on, and asks until nothing
/// stale is served any more. As nginx, whole seconds count, the last one of each time included.
fn stale_for_two_seconds(extension: &str, directives: &str, failure: &Reply, wanted: &str) {
    let first = answer(200).field("Cache-Control", &format!("max-age=1, {extension}=2")).body("old");
    let replies = [first].into_iter().chain((0..10_000).map(|_| failure.clone()));
    let origin = Origin::script(replies);
    let server = Server::start(&location(&format!("proxy_cache zone; {directives}"), &origin));
    let before = second();
    server.get("/a");
    let after = second();
    let mut seen = Vec::new();
    wait_until("it is over", || {
        let asked = second();
        let answer = server.get("/a");
        let answered = second();
        let status = answer.cache().to_owned();
        match &*status {
            "HIT" => assert!(asked <= after + 1, "fresh for too long"),
            "STALE" | "UPDATING" => {
                assert!(answered > before + 1, "stale too early");
                assert!(asked <= after + 3, "stale for too long");
                assert_eq!(answer.text(), "old");
            }
            _ => assert!(answered > before + 3, "{status}: no longer served too early"),
        }
        seen.dedup();
        seen.push(status);
        seen.last().is_some_and(|status| status == wanted)
    });
    assert!(seen.iter().any(|status| status == "STALE"), "{seen:?}");
}

#[test]
fn stale_while_revalidate_ends_with_its_last_second() {
    let directives = "proxy_cache_background_update on;";
    stale_for_two_seconds("stale-while-revalidate", directives, &answer(500).body("broken"), "EXPIRED");
}

#[test]
fn stale_if_error_ends_with_its_last_second() {
    stale_for_two_seconds("stale-if-error", "", &Reply::nothing(), "EXPIRED");
}

#[test]
fn a_hold_down_does_not_outlast_stale_if_error() {
    stale_for_two_seconds("stale-if-error", "proxy_cache_stale_retry 1h;", &Reply::nothing(), "EXPIRED");
}

#[test]
fn an_entry_is_fresh_for_the_time_of_its_status() {
    let origin = Origin::answering(|asked| match asked.target() {
        "/gone" => answer(404).body("gone"),
        _ => answer(200).body("page"),
    });
    let directives = "proxy_cache zone; proxy_cache_valid 200 1h; proxy_cache_valid 404 1s;";
    let server = Server::start(&location(directives, &origin));
    for path in ["/gone", "/page"] {
        assert_eq!(server.get(path).cache(), "MISS");
        assert_eq!(server.get(path).cache(), "HIT", "{path}");
    }
    wait_until("the 404 expires", || server.get("/gone").cache() == "EXPIRED");
    assert_eq!(server.get("/page").cache(), "HIT");
}
