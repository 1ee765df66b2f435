//! Purges through the real program: what they name, what they beat, what they survive, who frees the space.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{
    Client, Conf, Gate, Origin, Response, Server, answer, conf::cached, origin::Asked, proc, wait_until,
};

const ZONE: &str = "map $request_method $purges { PURGE 1; default 0; }
     proxy_cache_path cache levels=1:2 keys_zone=zone:1m use_temp_path=off;";
const DIRECTIVES: &str = "proxy_cache zone; proxy_cache_key $uri; proxy_cache_purge $purges;
     proxy_cache_tags Surrogate-Key Cache-Tag xkey Cache-Groups;";

fn purging(more: &str, origin: &Origin) -> Conf {
    cached(ZONE, &format!("{DIRECTIVES} {more}"), origin)
}

fn purge(server: &Server, path: &str, fields: &str) -> Response {
    server.client().send(format!("PURGE {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")).response()
}

fn asks(server: &Server, path: &str) -> Client {
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client
}

fn cached_as(server: &Server, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| server.get(path).cache().to_owned()).collect()
}

/// Counts its answers, so that each is told from the one before.
fn counting() -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::answering(move |_| {
        answer(200).body(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string())
    })
}

fn never_purged(origin: &Origin) {
    assert!(origin.requests().iter().all(|asked: &Asked| !asked.line().starts_with("PURGE")));
}

#[test]
fn a_key_is_purged_and_the_answer_says_whether_there_was_one() {
    let origin = counting();
    let server = Server::start(&purging("", &origin));
    assert_eq!(cached_as(&server, &["/a", "/a", "/b"]), ["MISS", "HIT", "MISS"]);
    let done = purge(&server, "/a", "");
    assert_eq!((done.status(), done.field("Larder-Purged")), (204, Some("key;entries=1")));
    assert!(done.body.is_empty() && done.field("Content-Length").is_none());
    assert_eq!(purge(&server, "/a", "").status(), 404, "it is gone already");
    assert_eq!(purge(&server, "/none", "").status(), 404);
    assert_eq!(cached_as(&server, &["/a", "/a", "/b"]), ["MISS", "HIT", "HIT"]);
    assert_eq!(origin.request_count(), 3);
    never_purged(&origin);
    assert_eq!(purge(&server, "/a", "Content-Length: 3\r\n\r\nabc").status(), 204, "with a body too");
}

#[test]
fn one_true_value_makes_a_purge_and_any_method_will_do() {
    let origin = Origin::answering(|asked| answer(200).body(asked.line()));
    let zone = ZONE.replace("PURGE 1;", "");
    let directives = DIRECTIVES.replace("$purges", "$arg_one $http_x_two");
    let server = Server::start(&cached(&zone, &directives, &origin));
    let ask = |method: &str, args: &str, fields: &str| {
        let text = format!("{method} /a{args} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        server.client().send(text).response().status()
    };
    assert_eq!(ask("GET", "", ""), 200);
    let cases = [
        ("neither", "GET", "", "", 200),
        ("both empty or 0", "GET", "?one=0", "X-Two: 0\r\n", 200),
        ("the second", "GET", "?one=0", "X-Two: 00\r\n", 204),
        ("the first, and nothing is there", "GET", "?one=yes", "", 404),
        ("none, with the method: it is passed on", "PURGE", "?one=0", "", 200),
        ("stored again", "GET", "", "", 200),
        ("any method", "DELETE", "?one=1", "", 204),
    ];
    for (name, method, args, fields, wanted) in cases {
        assert_eq!(ask(method, args, fields), wanted, "{name}");
    }
    let lines: Vec<_> = origin.requests().iter().map(|asked| asked.line().to_owned()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn prefixes_tags_and_everything_are_purged_at_once() {
    let origin = Origin::answering(|asked| {
        let reply = answer(200).body(asked.target());
        match asked.target() {
            "/shop/1" => reply.field("Surrogate-Key", "one shop").field("Cache-Groups", "\"g\", \"h h\""),
            "/shop/2" => reply.field("Cache-Tag", "two, shop"),
            "/news" => reply.field("xkey", "three").field("XKey", "four,five"),
            _ => reply,
        }
    });
    let server = Server::start(&purging(
        "location = /everything { proxy_pass http://%ORIGIN%; proxy_cache_key *; }",
        &origin,
    ));
    let paths = ["/shop/1", "/shop/2", "/news", "/other"];
    type Case = (&'static str, &'static str, &'static str, Option<&'static str>, [&'static str; 4]);
    let cases: [Case; 10] = [
        ("a prefix", "/shop/*", "", Some("prefix"), ["MISS", "MISS", "HIT", "HIT"]),
        ("a prefix of nothing", "/zzz*", "", Some("prefix"), ["HIT"; 4]),
        ("a tag", "/", "Surrogate-Key: one\r\n", Some("tag;tags=1"), ["MISS", "HIT", "HIT", "HIT"]),
        ("a tag of two fields", "/", "xkey: shop\r\n", Some("tag;tags=1"), ["MISS", "MISS", "HIT", "HIT"]),
        (
            "three tags",
            "/",
            "Surrogate-Key: two five zzz\r\n",
            Some("tag;tags=3"),
            ["HIT", "MISS", "MISS", "HIT"],
        ),
        ("a group", "/", "Cache-Groups: \"h h\"\r\n", Some("tag;tags=1"), ["MISS", "HIT", "HIT", "HIT"]),
        ("a group is no tag", "/", "xkey: g\r\n", Some("tag;tags=1"), ["HIT"; 4]),
        ("no tags in their field", "/shop/1", "Surrogate-Key: \r\n", None, ["HIT"; 4]),
        ("everything", "/everything", "", Some("all;entries=4"), ["MISS"; 4]),
        ("everything below the root", "/*", "", Some("prefix"), ["MISS"; 4]),
    ];
    server.get("/shop/1");
    cached_as(&server, &paths);
    for (name, path, fields, wanted, caches) in cases {
        if name == "everything" {
            wait_until("all rows are written", || {
                purge(&server, path, "Soft-Purge: 1\r\n").field("Larder-Purged") == Some("all;entries=4;soft")
            });
            cached_as(&server, &paths);
        }
        let done = purge(&server, path, fields);
        assert_eq!(done.field("Larder-Purged"), wanted, "{name}");
        assert_eq!(done.status(), if wanted.is_some() { 204 } else { 404 }, "{name}");
        assert_eq!(cached_as(&server, &paths), caches, "{name}");
    }
    never_purged(&origin);
}

#[test]
fn without_tags_in_the_configuration_their_fields_mean_nothing() {
    let origin = Origin::answering(|_| answer(200).field("Surrogate-Key", "x").body("x"));
    let conf = purging("proxy_cache_tags off;", &origin)
        .with_text(|text| text.replace("proxy_cache_tags Surrogate-Key Cache-Tag xkey Cache-Groups;", ""));
    let server = Server::start(&conf);
    assert_eq!(cached_as(&server, &["/a", "/b"]), ["MISS", "MISS"]);
    assert_eq!(purge(&server, "/a", "Surrogate-Key: x\r\n").field("Larder-Purged"), Some("key;entries=1"));
    assert_eq!(cached_as(&server, &["/a", "/b"]), ["MISS", "HIT"], "as nginx: only the key counts");
}

#[test]
fn all_variants_of_a_key_are_purged_together() {
    let origin = Origin::answering(|asked| {
        answer(200).field("Vary", "X-V").body(asked.field("X-V").unwrap_or_default())
    });
    let server = Server::start(&purging("", &origin));
    let get = |value: &str| {
        let text = format!("GET /a HTTP/1.1\r\nHost: localhost\r\nX-V: {value}\r\n\r\n");
        server.client().send(text).response().cache().to_owned()
    };
    let all = || ["1", "2", "3"].map(get);
    assert_eq!((all(), all()), (["MISS"; 3].map(str::to_owned), ["HIT"; 3].map(str::to_owned)));
    let done = purge(&server, "/a", "");
    assert_eq!(done.status(), 204);
    assert_eq!((all(), all()), (["MISS"; 3].map(str::to_owned), ["HIT"; 3].map(str::to_owned)));
    assert_eq!(origin.request_count(), 6);
}

#[test]
fn what_is_purged_softly_is_served_while_one_request_fetches_it_anew() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).body("old"), answer(200).body("new").when(&gate)]);
    let server = Server::start(&purging("", &origin));
    assert_eq!(server.get("/a").text(), "old");
    let done = purge(&server, "/a", "Soft-Purge: 1\r\n");
    assert_eq!((done.status(), done.field("Larder-Purged")), (204, Some("key;entries=1;soft")));
    let mut first = asks(&server, "/a");
    origin.wait_for_requests(2);
    for _ in 0..3 {
        let other = server.get("/a");
        assert_eq!((other.text().as_str(), other.cache()), ("old", "UPDATING"));
    }
    gate.open();
    let updated = first.response();
    assert_eq!((updated.text().as_str(), updated.cache()), ("new", "EXPIRED"));
    let hit = server.get("/a");
    assert_eq!((hit.text().as_str(), hit.cache()), ("new", "HIT"));
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_304_makes_a_softly_purged_entry_good_again_also_after_a_restart() {
    let origin = Origin::answering(|asked| match asked.field("If-None-Match") {
        Some(_) => answer(304).field("ETag", "\"1\"").field("Cache-Control", "max-age=3600"),
        None => answer(200).field("ETag", "\"1\"").body("page"),
    });
    let conf = purging("proxy_cache_revalidate on;", &origin);
    let server = Server::start(&conf);
    assert_eq!(cached_as(&server, &["/a", "/a"]), ["MISS", "HIT"]);
    wait_until("its file is written", || {
        crate::caching::files_below(&server.dir().join("cache"))
            .iter()
            .any(|file| crate::caching::is_entry(file))
    });
    purge(&server, "/*", "Soft-Purge: 1\r\n");
    assert_eq!(cached_as(&server, &["/a", "/a"]), ["REVALIDATED", "HIT"]);
    let program = server.program().clone();
    let dir = server.kill_and_keep();
    let server = Server::start_in(&program, &conf, dir);
    assert_eq!(cached_as(&server, &["/a"]), ["HIT"]);
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_fill_that_is_under_way_is_beaten() {
    for (name, path, fields) in [("key", "/a", ""), ("prefix", "/*", ""), ("tag", "/", "xkey: t\r\n")] {
        for is_arriving in [false, true] {
            let case = format!("{name}, arriving: {is_arriving}");
            let gate = Gate::closed();
            let old = answer(200).field("xkey", "t").declared(8);
            let old = match is_arriving {
                true => old.bytes("old,").wait(&gate).bytes(" old"),
                false => old.bytes("old, old").when(&gate),
            };
            let origin = Origin::script([old, answer(200).field("xkey", "t").body("new")]);
            let server =
                Server::start(&purging("proxy_cache_lock on; proxy_cache_lock_timeout 1h;", &origin));
            let mut first = asks(&server, "/a");
            origin.wait_for_requests(1);
            if is_arriving {
                let _ = first.head_only();
                assert_eq!(first.bytes(4), b"old,");
            }
            assert_eq!(purge(&server, path, fields).status(), 204, "{case}");
            if name == "tag" && !is_arriving {
                // Nobody knows its tags yet: who comes now waits for them.
                let mut second = asks(&server, "/a");
                assert_eq!(purge(&server, "/none", "").status(), 404, "the second has been dealt with");
                gate.open();
                assert_eq!(second.response().text(), "new", "{case}");
                continue;
            }
            let fresh = server.get("/a");
            assert_eq!((fresh.text().as_str(), fresh.cache()), ("new", "MISS"), "{case}");
            gate.open();
            match is_arriving {
                true => assert_eq!(first.bytes(4), b" old", "{case}"),
                false => assert_eq!(first.response().text(), "old, old", "{case}: it was asked for before"),
            }
            server.client().get("/a");
            assert_eq!(server.get("/a").text(), "new", "{case}");
            assert_eq!(origin.request_count(), 2, "{case}");
        }
    }
}

#[test]
fn a_purge_that_was_answered_survives_any_death() {
    let origin = Origin::answering(|_| answer(200).field("xkey", "t").body("page"));
    let conf = purging("", &origin);
    let mut server = Server::start(&conf);
    server.allow_in_log("exited on signal 9");
    let paths = ["/a", "/b"];
    for victim in ["worker process", "cache manager", "everything", "everything and the index"] {
        cached_as(&server, &paths);
        wait_until("both are on the disk", || {
            let files = crate::caching::files_below(&server.dir().join("cache"));
            files.iter().filter(|file| crate::caching::is_entry(file)).count() == 2
        });
        assert_eq!(cached_as(&server, &paths), ["HIT", "HIT"], "{victim}");
        assert_eq!(purge(&server, "/", "xkey: t\r\n").status(), 204, "{victim}");
        match victim {
            "everything" | "everything and the index" => {
                let program = server.program().clone();
                let dir = server.kill_and_keep();
                if victim != "everything" {
                    for name in ["larder.mdb", "larder.mdb-lock", "larder.shared", "larder.state"] {
                        fs::remove_file(dir.path().join("cache").join(name)).unwrap();
                    }
                }
                server = Server::start_in(&program, &conf, dir);
                server.allow_in_log("exited on signal 9");
            }
            role => {
                let killed = server.children(role)[0];
                proc::signal(killed, Signal::SIGKILL);
                wait_until("another is there", || {
                    let now = server.children(role);
                    !now.is_empty() && !now.contains(&killed)
                });
            }
        }
        assert_eq!(cached_as(&server, &paths), ["MISS", "MISS"], "{victim}");
    }
}

#[test]
fn a_worker_that_drains_beside_a_new_one_stores_nothing_that_was_purged() {
    let gate = Gate::closed();
    let origin = Origin::script([
        answer(200).declared(8).bytes("old,").wait(&gate).bytes(" old"),
        answer(200).body("new"),
    ]);
    let server = Server::start(&purging("proxy_cache_lock_timeout 1ms;", &origin));
    let mut first = asks(&server, "/a");
    let _ = first.head_only();
    let old = server.worker();
    server.signal(Signal::SIGHUP);
    wait_until("a new worker serves", || {
        let workers = server.children("worker process");
        workers.iter().any(|worker| *worker != old && proc::title(*worker).ends_with("worker process"))
            && proc::title(old).ends_with("shutting down")
    });
    assert_eq!(purge(&server, "/*", "").status(), 204);
    gate.open();
    assert_eq!(first.bytes(8), b"old, old");
    wait_until("the old worker has left", || !proc::runs(old));
    assert_eq!(server.get("/a").text(), "new");
}

#[test]
fn the_purger_frees_the_space_also_after_it_was_killed() {
    let origin = Origin::answering(|asked| answer(200).field("xkey", "t").body(asked.target()));
    let zone = ZONE.replace("use_temp_path=off", "use_temp_path=off purger=on purger_sleep=1ms");
    let mut server = Server::start(&cached(&zone, DIRECTIVES, &origin));
    server.allow_in_log("exited on signal 9");
    let files = |server: &Server| {
        let files = crate::caching::files_below(&server.dir().join("cache"));
        files.into_iter().filter(|file| crate::caching::is_entry(file)).count()
    };
    let paths: Vec<_> = (0..25).map(|number| format!("/{number}")).collect();
    for is_killed in [false, true] {
        paths.iter().for_each(|path| drop(server.get(path)));
        wait_until("all are on the disk", || files(&server) == 25);
        let purger = server.children("cache purger process")[0];
        if is_killed {
            proc::signal(purger, Signal::SIGSTOP);
        }
        assert_eq!(purge(&server, "/", "xkey: t\r\n").status(), 204);
        server.get("/new");
        if is_killed {
            assert!(files(&server) >= 25, "nothing is removed before somebody meets it");
            proc::signal(purger, Signal::SIGKILL);
        }
        wait_until("what was purged is gone", || files(&server) == 1);
        assert_eq!(server.get("/new").cache(), "HIT");
        purge(&server, "/new", "");
    }
    server.wait_for_log("for purges, removed 25,");
}

#[test]
fn without_a_purger_the_space_is_freed_when_an_entry_is_met() {
    let origin = Origin::answering(|asked| answer(200).body(asked.target()));
    let server = Server::start(&purging("", &origin));
    assert!(server.children("cache purger process").is_empty());
    let files = || {
        let files = crate::caching::files_below(&server.dir().join("cache"));
        files.into_iter().filter(|file| crate::caching::is_entry(file)).count()
    };
    cached_as(&server, &["/a/1", "/a/2", "/b"]);
    wait_until("all are on the disk", || files() == 3);
    purge(&server, "/a/*", "");
    origin.answer_by(|_| answer(200).field("Cache-Control", "no-store").body("x"));
    assert_eq!(files(), 3);
    assert_eq!(cached_as(&server, &["/a/1"]), ["MISS"]);
    wait_until("the one that was asked for is gone", || files() == 2);
    assert_eq!(purge(&server, "/b", "").status(), 204);
    wait_until("a key goes at once", || files() == 1);
}

#[test]
fn groups_that_an_answer_to_an_unsafe_method_names_are_purged() {
    let origin = Origin::answering(|asked| {
        let reply = answer(200).field("Cache-Groups", "\"g\"").body("x");
        if asked.line().contains("/change") {
            reply.field("Cache-Group-Invalidation", "\"g\", \"h\"")
        } else {
            reply
        }
    });
    let server = Server::start(&purging("", &origin));
    let change = |method: &str, host: &str| {
        let text = format!("{method} /change HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(server.client().send(text).response().status(), 200);
        server.get("/a").cache().to_owned()
    };
    server.get("/a");
    let cases = [
        ("a safe method", "OPTIONS", "localhost", "HIT"),
        ("an unsafe one", "POST", "localhost", "MISS"),
        ("of another host", "POST", "b", "HIT"),
        ("another unsafe one", "DELETE", "LOCALHOST", "MISS"),
    ];
    for (name, method, host, wanted) in cases {
        assert_eq!(change(method, host), wanted, "{name}");
    }
}
