//! What is stored, and what becomes of its fields: items 5, 6, 9, 13, 15's cookies and 19.

use super::{ask, rfc};
use crate::support::{Origin, Reply, Server, answer, client::Response};

/// Whether a second request for a page is answered from the cache.
fn is_hit(server: &Server, path: &str, lines: &[&str]) -> bool {
    ask(server, "GET", path, lines);
    ask(server, "GET", path, lines).cache() == "HIT"
}

fn all<'a>(answer: &'a Response, name: &'a str) -> Vec<&'a str> {
    let lines = answer.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.as_str()).collect()
}

fn kept() -> Reply {
    answer(200).field("Cache-Control", "max-age=600")
}

#[test]
fn item_5_one_age_and_the_date_of_the_origin() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let far = "max-age=2147483648";
    let aged = || answer(200).field("Cache-Control", far).field("Age", "100").field("Age", "7").body("page");
    let dated = || answer(200).field("Cache-Control", far).field("Date", date).body("page");
    let bare = || kept().body("page");
    let origin = Origin::script([aged(), dated(), bare(), answer(200).field("Date", date).body("page")]);
    let server = Server::start(&rfc("", &origin));

    let first = server.get("/aged");
    assert_eq!(all(&first, "Age").len(), 1, "{:?}", first.fields);
    let hit = server.get("/aged");
    let age: u64 = hit.field("Age").unwrap().parse().unwrap();
    assert!(hit.cache() == "HIT" && (100..200).contains(&age), "{:?}", hit.fields);
    assert_eq!(all(&hit, "Age").len(), 1);

    assert_eq!(all(&server.get("/dated"), "Date"), [date]);
    let hit = server.get("/dated");
    assert_eq!((hit.cache(), all(&hit, "Date")), ("HIT", vec![date]));
    let age: u64 = hit.field("Age").unwrap().parse().unwrap();
    assert!(age > 900_000_000, "the time since its date: {age}");

    let first = server.get("/bare");
    assert_eq!((all(&first, "Age").len(), all(&first, "Date").len()), (0, 1));
    let hit = server.get("/bare");
    assert_eq!((hit.cache(), all(&hit, "Age").len(), all(&hit, "Date").len()), ("HIT", 1, 1));
    assert!(hit.field("Age").unwrap().parse::<u64>().unwrap() < 100);

    assert_eq!(all(&server.get("/not-stored"), "Date"), [date]);
}

#[test]
fn item_6_what_is_stored() {
    let cases = [
        ("max-age=600", true),
        ("max-age=600, no-store", false),
        ("max-age=600, No-Store", false),
        ("no-store\r\nCache-Control: max-age=600", false),
        ("max-age=600, private", false),
        ("PRIVATE=\"set-cookie\", max-age=600", false),
        ("max-age=600, must-revalidate", true),
        ("max-age=600, x=\"private\"", true),
    ];
    let origin = Origin::answering(move |asked| {
        let number: usize = asked.target()[1..].parse().unwrap();
        answer(200).field("Cache-Control", cases[number].0).body("page")
    });
    let server = Server::start(&rfc("", &origin));
    for (number, (control, wanted)) in cases.iter().enumerate() {
        assert_eq!(is_hit(&server, &format!("/{number}"), &[]), *wanted, "{control}");
    }
}

#[test]
fn item_6_no_cache_is_stored_and_validated_at_each_use() {
    let no_cache = "max-age=600, no-cache";
    let page = |body: &str| answer(200).field("Cache-Control", no_cache).field("ETag", "\"1\"").body(body);
    let same = || answer(304).field("ETag", "\"1\"");
    let origin = Origin::script([page("one"), same(), same(), page("two"), same()]);
    let server = Server::start(&rfc("proxy_cache_use_stale error timeout updating http_500;", &origin));
    let get = || {
        let answer = server.get("/");
        (answer.cache().to_owned(), answer.text())
    };
    assert_eq!(get(), ("MISS".to_owned(), "one".to_owned()));
    assert_eq!(get(), ("REVALIDATED".to_owned(), "one".to_owned()));
    assert_eq!(get(), ("REVALIDATED".to_owned(), "one".to_owned()));
    assert_eq!(get(), ("EXPIRED".to_owned(), "two".to_owned()));
    assert_eq!(get(), ("REVALIDATED".to_owned(), "two".to_owned()));
    assert_eq!(origin.requests()[1].field("If-None-Match"), Some("\"1\""));
}

#[test]
fn item_6_no_cache_is_asked_for_by_each_of_many() {
    let origin = Origin::answering(|asked| {
        let page = answer(200).field("Cache-Control", "no-cache").field("ETag", "\"1\"").body("page");
        if asked.field("If-None-Match").is_some() { answer(304).field("ETag", "\"1\"") } else { page }
    });
    let server = Server::start(&rfc("proxy_cache_lock on;", &origin));
    server.get("/");
    let answers = server.get_at_once("/", 20);
    assert!(answers.bodies().iter().all(|body| body == "page"), "{:?}", answers.bodies());
    assert_eq!(origin.request_count(), 21);
}

#[test]
fn item_9_authorization() {
    let cases = [
        ("max-age=600", false),
        ("max-age=600, public", true),
        ("max-age=600, must-revalidate", true),
        ("s-maxage=600", true),
        ("max-age=600, proxy-revalidate", false),
    ];
    let origin = Origin::answering(move |asked| {
        let number: usize = asked.target()[1..].parse().unwrap();
        answer(200).field("Cache-Control", cases[number].0).body("page")
    });
    let server = Server::start(&rfc("", &origin));
    for (number, (control, wanted)) in cases.iter().enumerate() {
        let path = format!("/{number}");
        assert_eq!(is_hit(&server, &path, &["Authorization: Basic YTpi"]), *wanted, "{control}");
        assert!(is_hit(&server, &path, &[]), "{control}: what is asked for without it may be stored");
    }
}

#[test]
fn item_13_validators_go_as_they_came() {
    let modified = "Sunday, 06-Nov-94 08:49:37 GMT";
    let first = answer(200)
        .field("Cache-Control", "max-age=0")
        .field("ETag", "W/\"a, \\b\"")
        .field("Last-Modified", modified)
        .field("Vary", "X-A, X-B, Accept")
        .body("page");
    let origin = Origin::script([first, answer(304).field("Cache-Control", "max-age=0")]);
    let server = Server::start(&rfc("", &origin));
    let lines = ["X-A: one", "X-B: two", "X-B: three", "If-None-Match: \"mine\"", "If-Modified-Since: x"];
    ask(&server, "GET", "/", &lines);
    let second = ask(&server, "GET", "/", &lines);
    assert_eq!((second.cache(), second.text().as_str()), ("REVALIDATED", "page"));
    let asked = &origin.requests()[1];
    assert_eq!(asked.field("If-None-Match"), Some("W/\"a, \\b\""));
    assert_eq!(asked.field("If-Modified-Since"), Some(modified));
    assert_eq!((asked.field("X-A"), asked.field("Accept")), (Some("one"), None));
    assert!(asked.head.contains("X-B: two\r\nX-B: three\r\n"), "{}", asked.head);
    assert!(!asked.head.contains("mine"), "{}", asked.head);
}

#[test]
fn item_15_cookies_are_for_the_one_who_asked() {
    let page = || kept().field("Set-Cookie", "a=b").field("set-cookie", "c=d").body("page");
    let cases = [
        ("", "HIT", vec![]),
        ("proxy_cache_set_cookie drop;", "HIT", vec![]),
        ("proxy_cache_set_cookie replay;", "HIT", vec!["a=b", "c=d"]),
        ("proxy_cache_set_cookie refuse;", "MISS", vec!["a=b", "c=d"]),
        ("proxy_cache_set_cookie refuse; proxy_ignore_headers Set-Cookie;", "HIT", vec!["a=b", "c=d"]),
    ];
    for (directives, cache, cookies) in cases {
        let origin = Origin::always(page());
        let server = Server::start(&rfc(directives, &origin));
        assert_eq!(all(&server.get("/"), "Set-Cookie"), ["a=b", "c=d"], "{directives}");
        let second = server.get("/");
        assert_eq!((second.cache(), all(&second, "Set-Cookie")), (cache, cookies), "{directives}");
    }
}

#[test]
fn item_19_query_strings_differ_byte_for_byte() {
    let origin = Origin::answering(|asked| kept().body(asked.target()));
    let server = Server::start(&rfc("", &origin));
    let targets = ["/a", "/a?", "/a?x", "/a?X", "/a?x=1&y=2", "/a?y=2&x=1", "/a?x=%61", "/a?x=a", "/a?x=a&"];
    for target in targets {
        let answer = server.get(target);
        assert_eq!((answer.cache(), answer.text().as_str()), ("MISS", target));
    }
    for target in targets {
        let answer = server.get(target);
        assert_eq!((answer.cache(), answer.text().as_str()), ("HIT", target));
    }
}
