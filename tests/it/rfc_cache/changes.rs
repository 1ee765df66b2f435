//! Requests that change something: items 16 and 17.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{ask, rfc};
use crate::support::{
    Gate, Origin, Reply, Server, answer, http,
    tls::{Authority, Tls},
    wait_until,
};

/// An origin whose pages may be kept, and whose answers to other methods are what `changed` makes of them.
fn origin(changed: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Origin {
    Origin::answering(move |asked| match asked.line().split(' ').next().unwrap() {
        "GET" => answer(200).field("Cache-Control", "max-age=600").body(asked.target()),
        method => changed(method),
    })
}

/// Which of these pages are asked for anew after a request, all of them having been stored before.
fn invalidated(server: &Server, request: (&str, &str, &[&str]), pages: &[&'static str]) -> Vec<&'static str> {
    for page in pages {
        server.get(page);
        assert_eq!(server.get(page).cache(), "HIT", "{page} is stored");
    }
    let (method, path, lines) = request;
    ask(server, method, path, lines);
    pages.iter().copied().filter(|page| server.get(page).cache() != "HIT").collect()
}

#[test]
fn item_16_a_success_of_an_unsafe_method_invalidates_its_uri() {
    let origin = origin(|method| match method {
        "PUT" => answer(204),
        "POST" => answer(303).field("Location", "http://elsewhere.example/b"),
        "DELETE" => answer(404).field("Location", "/b"),
        "PATCH" => answer(500).field("Content-Location", "/b"),
        _ => answer(200),
    });
    let server = Server::start(&rfc("proxy_next_upstream off;", &origin));
    let pages = ["/a", "/b", "/a?x"];
    let length = "Content-Length: 0";
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("PUT", &[length], &["/a"]),
        ("POST", &[length], &["/a"]),
        ("M-SEARCH", &[], &["/a"]),
        ("OPTIONS", &[], &[]),
        ("HEAD", &[], &[]),
        ("DELETE", &[], &[]),
        ("PATCH", &[length], &[]),
    ];
    for (method, lines, wanted) in cases {
        assert_eq!(invalidated(&server, (method, "/a", lines), &pages), wanted, "{method}");
    }
}

#[test]
fn item_16_groups_that_the_answer_names() {
    let origin = Origin::answering(|asked| match asked.line().split(' ').next().unwrap() {
        "GET" => {
            answer(200).field("Cache-Control", "max-age=600").field("Cache-Groups", "\"g\"").body("page")
        }
        _ => answer(200).field("Cache-Group-Invalidation", "\"g\""),
    });
    let server = Server::start(&rfc("proxy_cache_tags Cache-Groups;", &origin));
    let stored = || server.client().send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n").response().cache() == "HIT";
    wait_until("it is stored", stored);
    ask(&server, "PUT", "/elsewhere", &["Content-Length: 0"]);
    assert!(!stored());
}

#[test]
fn item_16_places_of_the_same_origin_that_the_answer_names() {
    let cases: [(&str, &str, &[&str]); 10] = [
        ("Location", "/b", &["/a", "/b"]),
        ("Content-Location", "/b", &["/a", "/b"]),
        ("Content-Location", "b?x=1#y", &["/a", "/b?x=1"]),
        ("Location", "http://h/b", &["/a", "/b"]),
        ("Content-Location", "HTTP://H:80/b", &["/a", "/b"]),
        ("Location", "//h/b", &["/a", "/b"]),
        ("Location", "/%62", &["/a", "/b"]),
        ("Content-Location", "http://other/b", &["/a"]),
        ("Location", "https://h/b", &["/a"]),
        ("Content-Location", "http://h:8080/b", &["/a"]),
    ];
    for (name, value, wanted) in cases {
        let origin = origin(move |_| answer(200).field(name, value));
        let conf = rfc("proxy_cache_key $request_method$host$request_uri; proxy_redirect off;", &origin);
        let server = Server::start(&conf);
        let pages = ["/a", "/b", "/b?x=1"];
        let get = |page: &str| ask(&server, "GET", page, &[]).cache().to_owned();
        pages.iter().for_each(|page| _ = get(page));
        assert_eq!(pages.map(&get), ["HIT"; 3], "they are stored");
        ask(&server, "POST", "/a", &["Content-Length: 0"]);
        let gone: Vec<_> = pages.into_iter().filter(|page| get(page) != "HIT").collect();
        assert_eq!(gone, wanted, "{name}: {value}");
    }
}

#[test]
fn item_16_all_variants_go() {
    let origin = Origin::answering(|asked| match asked.line().starts_with("GET") {
        true => answer(200).field("Cache-Control", "max-age=600").field("Vary", "X-A").body("page"),
        false => answer(200),
    });
    let server = Server::start(&rfc("", &origin));
    let get = |value: &str| ask(&server, "GET", "/a", &[&format!("X-A: {value}")]).cache().to_owned();
    let all = || ["1", "2", "3"].map(get);
    all();
    assert_eq!(all(), ["HIT", "HIT", "HIT"]);
    ask(&server, "DELETE", "/a", &[]);
    assert_eq!(all(), ["MISS", "MISS", "MISS"]);
}

#[test]
fn item_16_what_is_on_its_way_is_too_old_already() {
    let gate = Gate::closed();
    let late = gate.clone();
    let asked_once = AtomicBool::new(false);
    let origin = Origin::answering(move |asked| match asked.line().starts_with("GET") {
        true if !asked_once.swap(true, Ordering::Relaxed) => {
            answer(200).field("Cache-Control", "max-age=600").body("old").when(&late)
        }
        true => answer(200).field("Cache-Control", "max-age=600").body("new"),
        false => answer(204),
    });
    let server = Server::start(&rfc("proxy_cache_lock on;", &origin));
    let mut slow = server.client();
    slow.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    origin.wait_for_requests(1);
    ask(&server, "PUT", "/a", &["Content-Length: 0"]);
    gate.open();
    assert_eq!(slow.response().text(), "old");
    assert_eq!(ask(&server, "GET", "/a", &[]).text(), "new");
    assert_eq!(ask(&server, "GET", "/a", &[]).cache(), "HIT");
}

#[test]
fn item_16_nginx_rules_invalidate_nothing() {
    let origin = origin(|_| answer(200));
    let conf = rfc("", &origin).with_text(|text| text.replace("proxy_cache_rfc on", "proxy_cache_rfc off"));
    let server = Server::start(&conf);
    let request = ("POST", "/a", &["Content-Length: 0"][..]);
    assert_eq!(invalidated(&server, request, &["/a"]), Vec::<&str>::new());
}

#[test]
fn item_17_a_post_is_stored_for_later_gets_where_it_says_so() {
    let cases: [(&[&str], &str); 8] = [
        (&["Cache-Control: max-age=600", "Content-Location: /a"], "HIT"),
        (&["Cache-Control: max-age=600", "Content-Location: http://h/a"], "HIT"),
        (&["Cache-Control: max-age=600", "Content-Location: %61"], "HIT"),
        (&["Cache-Control: max-age=600", "Content-Location: /a?x"], "MISS"),
        (&["Cache-Control: max-age=600", "Content-Location: http://other/a"], "MISS"),
        (&["Cache-Control: max-age=600"], "MISS"),
        (&["Content-Location: /a", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], "MISS"),
        (&["Cache-Control: max-age=600, no-store", "Content-Location: /a"], "MISS"),
    ];
    for (lines, wanted) in cases {
        let origin = Origin::answering(|asked| match asked.line().starts_with("POST") {
            true => lines.iter().fold(answer(200), |reply, line| reply.line(line)).body("posted"),
            false => answer(200).field("Cache-Control", "max-age=600").body("got"),
        });
        let server = Server::start(&rfc("proxy_cache_methods POST;", &origin));
        let post =
            || server.client().send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").response();
        assert_eq!((server.get("/a").text(), post().text()), ("got".to_owned(), "posted".to_owned()));
        let got = server.get("/a");
        let text = if wanted == "HIT" { "posted" } else { "got" };
        assert_eq!((got.cache(), got.text().as_str()), (wanted, text), "{lines:?}");
        assert_eq!(post().cache(), "", "a POST is never answered from the cache");
    }
}

#[test]
fn item_16_over_tls_an_answer_names_pages_of_its_own_origin() {
    let authority = Authority::new("root");
    let certified = authority.server(&["shop.test"]);
    let origin = Origin::over_tls(certified.origin(), |asked| {
        let answered = answer(200).field("Cache-Control", "max-age=600").body(asked.target());
        match asked.line().split(' ').next() {
            Some("GET") => answered,
            _ => answer(204).field("Location", asked.field("X-Names").unwrap_or("/none")),
        }
    });
    let conf = http(
        "proxy_cache_path cache keys_zone=zone:1m;
        server {
            listen 127.0.0.1:%PORT% ssl; server_name shop.test;
            ssl_certificate own.crt; ssl_certificate_key own.key;
            location / {
                proxy_pass https://%ORIGIN%;
                proxy_cache zone; proxy_cache_rfc on;
                add_header X-Cache $upstream_cache_status;
            }
        }",
    );
    let conf = conf.file("own.crt", &certified.chain_pem).file("own.key", &certified.key_pem);
    let server = Server::start(&conf.origin(&origin));
    let tls = Tls::trusting(&authority).name("shop.test");
    let ask = |method: &str, path: &str, lines: &str| {
        let mut client = tls.connect(server.address());
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n")).response()
    };
    for (named, wanted) in [
        ("https://shop.test/b", ["MISS", "MISS", "HIT"]),
        ("/c", ["MISS", "HIT", "MISS"]),
        ("http://shop.test/b", ["MISS", "HIT", "HIT"]),
        ("https://other.test/b", ["MISS", "HIT", "HIT"]),
    ] {
        let pages = ["/a", "/b", "/c"];
        for page in pages {
            ask("GET", page, "");
            assert_eq!(ask("GET", page, "").cache(), "HIT", "{page} is stored");
        }
        ask("PUT", "/a", &format!("Content-Length: 0\r\nX-Names: {named}\r\n"));
        assert_eq!(pages.map(|page| ask("GET", page, "").cache().to_owned()), wanted, "{named}");
    }
}
