//! Stale answers: item 10.

use std::{sync::Mutex, time::Duration};

use super::rfc;
use crate::support::{Gate, Origin, Reply, Server, answer, deadline::now, wait_until};

/// A page whose lifetime of a second is over when its age is added to what it says.
fn stale(control: &str) -> Reply {
    answer(200).field("Cache-Control", control).field("Age", "10").field("ETag", "\"1\"").body("old")
}

/// A name, the answer of an origin that fails, and what the client gets where nothing stands in for it.
type Failure = (&'static str, fn() -> Reply, u16);

/// What a second request gets where the origin fails in this way.
fn second(directives: &str, control: &str, failure: Reply) -> (u16, String) {
    let origin = Origin::script([stale(control), failure]);
    let server = Server::start(&rfc(&format!("proxy_next_upstream off; {directives}"), &origin));
    server.get("/");
    let answer = server.get("/");
    (answer.status(), answer.cache().to_owned())
}

#[test]
fn item_10_stale_where_the_origin_fails_and_the_answer_allows_it() {
    let failures: [Failure; 5] = [
        ("closed", Reply::nothing, 502),
        ("500", || answer(500).body("error"), 500),
        ("502", || answer(502).body("error"), 502),
        ("503", || answer(503).body("error"), 503),
        ("504", || answer(504).body("error"), 504),
    ];
    for (name, failure, status) in failures {
        let served = |control: &str| second("", control, failure());
        assert_eq!(served("max-age=5, stale-if-error=600"), (200, "STALE".to_owned()), "{name}");
        for control in [
            "max-age=5",
            "max-age=5, stale-if-error=2",
            "max-age=5, stale-if-error=x",
            "max-age=5, stale-if-error=600, must-revalidate",
            "max-age=5, stale-if-error=600, proxy-revalidate",
            "max-age=5, stale-if-error=600, no-cache",
            "s-maxage=5, stale-if-error=600",
        ] {
            assert_eq!(served(control).0, status, "{name}: {control}");
        }
    }
    let refused = second("", "max-age=5, stale-if-error=600", answer(404).body("error"));
    assert_eq!(refused.0, 404, "it is no failure");
}

#[test]
fn item_10_stale_where_the_configuration_allows_it_and_the_answer_does_not_forbid_it() {
    let allowed = "proxy_cache_use_stale error timeout invalid_header updating http_500 http_503;";
    let failures: [Failure; 2] =
        [("closed", Reply::nothing, 502), ("503", || answer(503).body("error"), 503)];
    for (name, failure, status) in failures {
        let served = |control: &str| second(allowed, control, failure());
        assert_eq!(served("max-age=5"), (200, "STALE".to_owned()), "{name}");
        for control in
            ["max-age=5, must-revalidate", "max-age=5, proxy-revalidate", "max-age=5, no-cache", "s-maxage=5"]
        {
            assert_eq!(served(control).0, status, "{name}: {control}");
        }
    }
}

#[test]
fn item_10_an_origin_that_is_gone() {
    let origin = Origin::script([stale("max-age=5, stale-if-error=600"), stale("max-age=5")]);
    let server = Server::start(&rfc("", &origin));
    server.get("/allowed");
    server.get("/not");
    drop(origin);
    assert_eq!((server.get("/allowed").cache(), server.get("/not").status()), ("STALE", 502));
}

#[test]
fn item_10_stale_while_revalidate_serves_at_once_and_validates_behind() {
    let gate = Gate::closed();
    let fresh = answer(200).field("Cache-Control", "max-age=600").body("new");
    let origin = Origin::script([stale("max-age=5, stale-while-revalidate=600"), fresh.when(&gate)]);
    let server = Server::start(&rfc("", &origin));
    server.get("/");
    for _ in 0..3 {
        let answer = server.get("/");
        assert_eq!(answer.text(), "old");
        assert!(["STALE", "UPDATING"].contains(&answer.cache()), "{}", answer.cache());
    }
    origin.wait_for_requests(2);
    assert_eq!(origin.requests()[1].field("If-None-Match"), Some("\"1\""));
    gate.open();
    wait_until("the new page is there", || server.get("/").text() == "new");
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn item_10_stale_while_revalidate_gives_way_to_what_forbids_it() {
    for control in [
        "max-age=5, stale-while-revalidate=600, must-revalidate",
        "max-age=5, stale-while-revalidate=600, proxy-revalidate",
        "max-age=5, stale-while-revalidate=600, no-cache",
        "s-maxage=5, stale-while-revalidate=600",
    ] {
        // Not even the configuration may allow what the answer forbids.
        let origin = Origin::script([stale(control), answer(200).body("new")]);
        let server =
            Server::start(&rfc("proxy_cache_use_stale updating; proxy_cache_background_update on;", &origin));
        server.get("/");
        assert_eq!(server.get("/").text(), "new", "{control}");
    }
}

#[test]
fn item_10_stale_while_revalidate_is_over_or_no_number() {
    for control in ["max-age=5, stale-while-revalidate=2", "max-age=5, stale-while-revalidate", "max-age=5"] {
        let origin = Origin::script([stale(control), answer(200).body("new")]);
        let server = Server::start(&rfc("", &origin));
        server.get("/");
        assert_eq!(server.get("/").text(), "new", "{control}");
    }
}

#[test]
fn item_10_the_window_ends() {
    // Eight seconds of freshness and seven of staleness, of which ten are over: five are left.
    let page = answer(200).field("Cache-Control", "max-age=8, stale-while-revalidate=7").field("Age", "10");
    let first = Mutex::new(Some(page.body("old")));
    let origin = Origin::answering(move |_| match first.lock().unwrap().take() {
        Some(page) => page,
        None => answer(403).body("new"),
    });
    let server = Server::start(&rfc("", &origin));
    let begun = now();
    let mut served = 0;
    wait_until("the window is over", || {
        let answer = server.get("/");
        served += usize::from(answer.cache() == "STALE" || answer.cache() == "UPDATING");
        answer.text() == "new"
    });
    assert!(served > 0, "the old page was served first");
    assert!(begun.elapsed() >= Duration::from_millis(4900), "{:?}", begun.elapsed());
}
