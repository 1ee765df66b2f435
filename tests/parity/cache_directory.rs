//! One cache directory, two programs: what either of them wrote, the other serves.

use crate::support::{
    Conf, Origin, Reply, Server, Stop, answer,
    conf::cached,
    deadline::{PATIENCE, poll},
    peers::Program,
};

#[test]
fn what_nginx_stored_is_served() {
    if let Some(nginx) = Program::nginx() {
        store_and_take_over(&nginx, &Program::larder());
    }
}

#[test]
fn what_is_stored_nginx_serves() {
    if let Some(nginx) = Program::nginx() {
        store_and_take_over(&Program::larder(), &nginx);
    }
}

/// Fills a cache with one program, starts the other over it, and compares each answer with the stored one.
fn store_and_take_over(writer: &Program, reader: &Program) {
    let origin = Origin::answering(|asked| reply_to(asked.target()));
    let conf = conf(&origin);
    let server = Server::start_program(writer, &conf);
    let stored: Vec<_> = PATHS.iter().map(|path| ask(&server, path)).collect();
    for (path, first) in PATHS.iter().zip(&stored) {
        let again = ask(&server, path);
        assert_eq!(again.cache(), "HIT", "{} stores {path}: {first}", writer.name());
    }
    let dir = server.stop_and_keep(Stop::Graceful);

    // From here on the origin has nothing to store, so a HIT can only come from the directory.
    let gone = Origin::always(answer(500).body("gone"));
    let server = Server::start_in(reader, &self::conf(&gone), dir);
    for (path, first) in PATHS.iter().zip(&stored) {
        // The loader may need a moment to find the files.
        let hit = poll(PATIENCE, || Some(ask(&server, path)).filter(|response| response.cache() == "HIT"));
        let hit =
            hit.unwrap_or_else(|| panic!("{} does not serve {path}: {}", reader.name(), ask(&server, path)));
        assert_eq!(hit.body, first.body, "body of {path}");
        assert_eq!(hit.status_line, first.status_line, "status line of {path}");
        assert_eq!(lasting(&hit.fields), lasting(&first.fields), "fields of {path}");
    }
}

const PATHS: &[&str] =
    &["/plain", "/empty", "/large", "/chunked", "/404", "/vary", "/validators", "/fields", "/a%20b?c=d"];

fn reply_to(target: &str) -> Reply {
    match target {
        "/empty" => answer(200).body(""),
        "/large" => answer(200).body("0123456789".repeat(50_000)),
        "/chunked" => answer(200).chunked(&["one ", "two"]),
        "/404" => answer(404).body("not here"),
        "/vary" => answer(200).field("Vary", "Accept-Language, X-Kind").body("varied"),
        "/validators" => answer(200)
            .field("ETag", "\"abc\"")
            .field("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
            .field("Accept-Ranges", "bytes")
            .body("validated"),
        "/fields" => answer(200).field("x-b", "1").field("X-A", "2").field("X-B", "3").body("fields"),
        other => answer(200).body(format!("body of {other}")),
    }
}

fn conf(origin: &Origin) -> Conf {
    cached(
        "proxy_cache_path cache levels=1:2 keys_zone=zone:1m inactive=1h use_temp_path=off;",
        "proxy_cache zone; proxy_cache_key $request_uri; proxy_cache_valid 200 404 1h; proxy_http_version 1.1;",
        origin,
    )
}

fn ask(server: &Server, path: &str) -> crate::support::Response {
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Language: de\r\nX-Kind: k\r\n\r\n"));
    client.response()
}

/// The fields that say the same whenever they are sent; a first answer in chunks has no length yet.
fn lasting(fields: &[(String, String)]) -> Vec<&(String, String)> {
    const CHANGING: &[&str] = &["Date", "Server", "X-Cache", "Content-Length", "Transfer-Encoding"];
    fields.iter().filter(|(name, _)| !CHANGING.contains(&name.as_str())).collect()
}
