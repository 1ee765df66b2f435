//! What a 304 does to what is stored: item 14.

use super::{ask, rfc};
use crate::support::{Origin, Reply, Server, Stop, answer, client::Response, peers::Program};

/// An answer that is stale when it comes, and can be validated.
fn stale() -> Reply {
    answer(200)
        .field("Cache-Control", "max-age=10")
        .field("Age", "100")
        .field("ETag", "\"a\"")
        .field("Content-Type", "text/x")
        .field("X-A", "1")
        .field("X-A", "2")
        .field("X-Kept", "k")
}

fn fresh(tag: &str) -> Reply {
    answer(304).field("Cache-Control", "max-age=600").field("ETag", tag)
}

fn all<'a>(answer: &'a Response, name: &str) -> Vec<&'a str> {
    let named = answer.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn item_14_fields_of_a_304_count_for_this_answer_and_for_later_ones() {
    let long = "x".repeat(3000);
    for (name, news) in [("shorter than what was there", "3"), ("longer", long.as_str())] {
        for body in [&b"body"[..], &[b'x'; 200_000]] {
            let origin = Origin::script([
                stale().body(body),
                fresh("\"a\"")
                    .field("X-A", news)
                    .field("X-New", "n")
                    .field("Content-Type", "text/other")
                    .field("Content-Encoding", "gzip")
                    .field("Content-Range", "bytes 0-0/1")
                    .field("Connection", "X-Hop")
                    .field("X-Hop", "h"),
            ]);
            let conf = rfc("", &origin);
            let server = Server::start(&conf);
            server.get("/a");
            // What is still on its way to its file is freshened in memory alone.
            let restart = |server: Server| {
                Server::start_in(&Program::larder(), &conf, server.stop_and_keep(Stop::Graceful))
            };
            let server = restart(server);
            let check = |answer: &Response, cache: &str| {
                assert_eq!((answer.status(), answer.cache()), (200, cache), "{name}");
                assert!(answer.body == body, "{name}: another body");
                assert_eq!(all(answer, "X-A"), [news], "{name}");
                let single =
                    ["X-Kept", "X-New", "Content-Type", "Cache-Control"].map(|name| answer.field(name));
                assert_eq!(single, [Some("k"), Some("n"), Some("text/x"), Some("max-age=600")], "{name}");
                for gone in ["Content-Encoding", "Content-Range", "X-Hop"] {
                    assert_eq!(answer.field(gone), None, "{name}: {gone}");
                }
                let age: u64 = answer.field("Age").unwrap().parse().unwrap();
                assert!(age < 60, "{name}: {age}");
                assert_eq!(all(answer, "Date").len(), 1, "{name}");
            };
            check(&server.get("/a"), "REVALIDATED");
            check(&server.get("/a"), "HIT");
            let server = restart(server);
            check(&server.get("/a"), "HIT");
            let asked = origin.requests();
            assert_eq!(asked.len(), 2, "{name}");
            assert_eq!(asked[1].field("If-None-Match"), Some("\"a\""), "{name}");
        }
    }
}

#[test]
fn item_14_a_304_about_another_answer_freshens_nothing() {
    let origin = Origin::script([
        stale().body("old"),
        fresh("\"b\"").field("X-New", "n"),
        answer(200).field("Cache-Control", "max-age=600").field("ETag", "\"b\"").body("new"),
    ]);
    let server = Server::start(&rfc("", &origin));
    server.get("/a");
    let answer = server.get("/a");
    assert_eq!((answer.text(), answer.field("X-New")), ("new".to_owned(), None));
    assert_eq!(server.get("/a").cache(), "HIT");
    let asked = origin.requests();
    assert_eq!(asked.len(), 3);
    assert_eq!((asked[1].field("If-None-Match"), asked[2].field("If-None-Match")), (Some("\"a\""), None));
}

#[test]
fn item_14_every_variant_is_freshened_by_itself() {
    let origin = Origin::answering(|asked| match asked.field("If-None-Match") {
        Some(tag) => fresh(tag).field("X-New", tag).field("Vary", "X-Variant"),
        None => {
            let variant = asked.field("X-Variant").unwrap_or("none");
            let reply = answer(200)
                .field("Cache-Control", "max-age=10")
                .field("Age", "100")
                .field("Vary", "X-Variant");
            reply.field("ETag", &format!("\"{variant}\"")).body(variant)
        }
    });
    let server = Server::start(&rfc("", &origin));
    let get = |variant: &str| ask(&server, "GET", "/a", &[&format!("X-Variant: {variant}")]);
    for cache in ["MISS", "REVALIDATED", "HIT"] {
        for variant in ["one", "two"] {
            let answer = get(variant);
            assert_eq!((answer.cache(), answer.text()), (cache, variant.to_owned()));
            let tag = format!("\"{variant}\"");
            assert_eq!(answer.field("X-New"), (cache != "MISS").then_some(tag.as_str()));
        }
    }
    assert_eq!(origin.request_count(), 4);
}

#[test]
fn item_14_an_update_behind_the_clients_back_freshens_too() {
    let origin = Origin::script([
        stale().field("Cache-Control", "max-age=10, stale-while-revalidate=1000").body("body"),
        fresh("\"a\"").field("X-New", "n"),
    ]);
    let server = Server::start(&rfc("", &origin));
    server.get("/a");
    server.get("/a");
    crate::support::wait_until("the fields are there", || server.get("/a").field("X-New") == Some("n"));
    assert_eq!(origin.request_count(), 2);
}
