//! What is to be seen through the examples of `proxy_cache_purge`.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use socket2::{Domain, Socket, Type};

use super::Visit;
use crate::support::{answer, wait_until};

/// Sends a PURGE and says how it was answered.
fn purge(visit: &Visit, path: &str, fields: &str) -> (u16, Option<String>) {
    let text = format!("PURGE {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let response = visit.server.client().send(text).response();
    (response.status(), response.field("Larder-Purged").map(str::to_owned))
}

fn caches(visit: &Visit, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| visit.server.get(path).cache().to_owned()).collect()
}

fn done(text: &str) -> (u16, Option<String>) {
    (204, Some(text.to_owned()))
}

pub(super) fn purge_by_address(visit: &Visit) {
    purge_by_method(visit);
    // From elsewhere nobody purges, and the application does not see the attempt.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), 0)).into()).unwrap();
    socket.connect(&visit.server.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"PURGE /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert_eq!(caches(visit, &["/a"]), ["HIT"]);
    assert!(visit.first.requests().iter().all(|asked| asked.line().starts_with("GET")));
    // The purger is there, and frees the space.
    assert_eq!(visit.server.children("cache purger process").len(), 1);
    assert_eq!(purge(visit, "/*", ""), done("prefix"));
    wait_until("all files are gone", || {
        let files = crate::caching::files_below(&visit.server.dir().join("cache"));
        !files.iter().any(|file| crate::caching::is_entry(file))
    });
}

pub(super) fn purge_by_method(visit: &Visit) {
    let pages = ["/a", "/news/1", "/news/2"];
    assert_eq!(
        (caches(visit, &pages), caches(visit, &pages)),
        (["MISS"; 3].map(str::to_owned).into(), ["HIT"; 3].map(str::to_owned).into())
    );
    assert_eq!(purge(visit, "/a", ""), done("key;entries=1"));
    assert_eq!(purge(visit, "/a", ""), (404, None));
    assert_eq!(caches(visit, &pages), ["MISS", "HIT", "HIT"]);
    assert_eq!(purge(visit, "/news/*", ""), done("prefix"));
    assert_eq!(caches(visit, &pages), ["HIT", "MISS", "MISS"]);
}

pub(super) fn purge_by_tags(visit: &Visit) {
    visit.first.answer_by(|asked| {
        let page = answer(200).body("page");
        match asked.target() {
            "/product" => page.field("Surrogate-Key", "product-7 shop"),
            "/shop" => page.field("Surrogate-Key", "shop"),
            _ => page,
        }
    });
    let pages = ["/product", "/shop", "/about"];
    let token = "X-Purge-Token: change-me\r\n";
    assert_eq!(caches(visit, &pages), ["MISS"; 3]);
    assert_eq!(visit.server.get("/product").field("Surrogate-Key"), None);
    assert_eq!(purge(visit, "/", &format!("{token}Surrogate-Key: product-7\r\n")), done("tag;tags=1"));
    assert_eq!(caches(visit, &pages), ["MISS", "HIT", "HIT"]);
    assert_eq!(
        purge(visit, "/", &format!("{token}Surrogate-Key: shop\r\nSoft-Purge: 1\r\n")),
        done("tag;tags=1;soft")
    );
    assert_eq!(caches(visit, &pages), ["EXPIRED", "EXPIRED", "HIT"]);
    let (status, told) = purge(visit, "/everything", token);
    assert!(status == 204 && told.is_some_and(|told| told.starts_with("all;entries=")));
    assert_eq!(caches(visit, &pages), ["MISS"; 3]);
    let (_, told) = purge(visit, "/", "X-Purge-Token: wrong\r\nSurrogate-Key: shop\r\n");
    assert_eq!((told, caches(visit, &pages)), (None, ["HIT"; 3].map(str::to_owned).into()));
}
