//! `larder cache …` and `larder prewarm`: beside a running server, on the same files.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::PathBuf,
    process::{Command, Output},
};

use crate::support::{
    Origin, Server, answer, conf::cached, location, peers::Program, server::new_dir, wait_until,
};

/// Runs `larder cache` on a server's configuration; none where another program stands in for Larder.
fn cache(server: &Server, words: &[&str]) -> Option<Output> {
    if server.program().is_nginx() {
        return None;
    }
    let dir = server.dir().display().to_string();
    let words = [&["cache"], words, &["-p", &dir, "-c", "nginx.conf"]].concat();
    Some(Command::new(&server.program().path).args(words).output().expect("it can be run"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A server that has stored `/a` and `/b`, with tags.
fn filled() -> (Origin, Server) {
    let origin = Origin::answering(|asked| {
        answer(200).field("Surrogate-Key", "pages all").field("ETag", "\"e\"").body(asked.target())
    });
    let inside = "proxy_cache zone; proxy_cache_key k:$uri; proxy_cache_tags Surrogate-Key;";
    let server = Server::start(&location(inside, &origin));
    for path in ["/a", "/b"] {
        server.get(path);
        wait_until("it is stored", || server.get(path).cache() == "HIT");
    }
    (origin, server)
}

fn files(server: &Server) -> Vec<PathBuf> {
    let is_answer = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 32);
    let mut waiting = vec![server.dir().join("cache")];
    let mut found = Vec::new();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if is_answer(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_stored_is_listed_and_shown() {
    let (_origin, server) = filled();
    let Some(listed) = cache(&server, &["ls"]) else { return };
    let text = said(&listed);
    assert!(listed.status.success(), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.starts_with("200 ") && line.contains("fresh for 59m")), "{text}");
    assert_eq!(said(&cache(&server, &["ls", "--limit", "1"]).unwrap()).lines().count(), 1);
    let found = said(&cache(&server, &["find", "k:/a", "--json"]).unwrap());
    for part in [r#""key":"k:/a""#, r#""status":200"#, r#""body_bytes":2"#, r#""tags":["pages","all"]"#] {
        assert!(found.contains(part), "{part} is missing:\n{found}");
    }
    let shown = said(&cache(&server, &["show", "/a"]).unwrap());
    for part in ["key       k:/a\n", "etag      \"e\"\n", "tags      pages all\n", "  HTTP/1.1 200 OK\n"] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    let nothing = cache(&server, &["show", "/nothing"]).unwrap();
    assert!(!nothing.status.success());
    let stats = said(&cache(&server, &["stats"]).unwrap());
    assert!(
        stats.contains("answers   2, 2 of them fresh\n") && stats.contains("index     2 keys\n"),
        "{stats}"
    );
}

#[test]
fn hits_are_listed() {
    let (_origin, server) = filled();
    for _ in 0..20 {
        assert_eq!(server.get("/a").cache(), "HIT");
    }
    if server.program().is_nginx() {
        return;
    }
    // One of /b, and one of /a more, while it was filled.
    let json = |key: &str| {
        said(&cache(&server, &["ls", "--json"]).unwrap())
            .lines()
            .find(|line| line.contains(key))
            .map(str::to_owned)
    };
    let hits = |key: &str| -> u32 {
        let line = json(key).unwrap_or_default();
        let Some((_, rest)) = line.split_once(r#""hits":"#) else { return 0 };
        rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    wait_until("all hits are written down", || {
        (21..30).contains(&hits("k:/a")) && (1..10).contains(&hits("k:/b"))
    });
    let listed = said(&cache(&server, &["ls"]).unwrap());
    assert!(listed.lines().all(|line| line.contains(" hit")), "{listed}");
    let shown = said(&cache(&server, &["show", "k:/a"]).unwrap());
    assert!(shown.contains(" hits\n"), "{shown}");
    assert!(said(&cache(&server, &["stats"]).unwrap()).contains(" hits on what is stored\n"));
}

#[test]
fn json_holds_keys_that_are_no_text() {
    let origin = Origin::always(answer(200).body("page"));
    let server = Server::start(&location("proxy_cache zone; proxy_cache_key k:$uri;", &origin));
    wait_until("it is stored", || server.get("/a%E4").cache() == "HIT");
    let Some(listed) = cache(&server, &["ls", "--json"]) else { return };
    let text = said(&listed);
    assert!(
        text.contains(r#""key_hex":"6b3a2f61e4""#) && text.contains("\"key\":\"k:/a\u{fffd}\""),
        "{text}"
    );
}

#[test]
fn a_running_server_knows_at_once_what_was_purged() {
    let (_origin, server) = filled();
    let Some(purged) = cache(&server, &["purge", "k:/a"]) else { return };
    assert_eq!(said(&purged), "cache \"zone\": 1 entry purged\n");
    let left = said(&cache(&server, &["ls"]).unwrap());
    assert!(left.contains("k:/b") && !left.contains("k:/a"), "{left}");
    assert_eq!((server.get("/a").cache(), server.get("/b").cache()), ("MISS", "HIT"));
    assert!(!cache(&server, &["purge", "k:/nothing"]).unwrap().status.success());
    cache(&server, &["purge", "--tag", "pages"]);
    assert_eq!(server.get("/b").cache(), "MISS");
    wait_until("it is stored", || server.get("/b").cache() == "HIT");
    cache(&server, &["purge", "k:/*", "--soft"]);
    assert_eq!(server.get("/b").cache(), "EXPIRED");
}

#[test]
fn damage_is_found_and_put_right() {
    let (_origin, mut server) = filled();
    let Some(good) = cache(&server, &["verify"]) else { return };
    assert_eq!(said(&good), "cache \"zone\": 2 files looked at, 0 problems\n");
    let files = files(&server);
    let torn = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &torn[..torn.len() - 1]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    // The server may find out first, and says so.
    server.allow_in_log("cache file");
    let bad = cache(&server, &["verify"]).unwrap();
    let text = said(&bad);
    assert!(!bad.status.success(), "{text}");
    assert!(
        text.contains("is not as long as it says") && text.contains("is in the index, but not there"),
        "{text}"
    );
    let repaired = cache(&server, &["verify", "--repair"]).unwrap();
    assert!(repaired.status.success(), "{}", said(&repaired));
    let after = cache(&server, &["verify"]).unwrap();
    assert_eq!(said(&after), "cache \"zone\": 0 files looked at, 0 problems\n");
}

#[test]
fn a_cache_moves_to_another_server_as_an_archive() {
    let (_origin, server) = filled();
    let dir = new_dir();
    let archive = dir.path().join("cache.tar").display().to_string();
    let Some(exported) = cache(&server, &["export", &archive, "k:/a"]) else { return };
    assert_eq!(said(&exported), format!("1 answers written to \"{archive}\"\n"));
    let nobody = Origin::script([]);
    let zone = "proxy_cache_path cache levels=2 keys_zone=zone:1m;";
    let other = Server::start(&cached(zone, "proxy_cache zone; proxy_cache_key k:$uri;", &nobody));
    let imported = cache(&other, &["import", &archive]).unwrap();
    assert_eq!(said(&imported), "1 answers taken, 0 refused\n");
    let answer = other.get("/a");
    assert_eq!((answer.cache(), answer.text().as_str()), ("HIT", "/a"));
    assert_eq!(nobody.request_count(), 0);
    cache(&other, &["purge", "k:/a"]);
    let refused = cache(&other, &["import", &archive]).unwrap();
    assert!(said(&refused).contains("it was purged since it was stored"), "{}", said(&refused));
    for content in [b"no \x1b[31marchive".repeat(100), fs::read(&archive).unwrap()[..700].to_vec()] {
        fs::write(&archive, content).unwrap();
        let refused = cache(&other, &["import", &archive]).unwrap();
        let text = said(&refused);
        let is_told =
            text.contains("it is no tar archive") || text.contains("vanished") || text.contains("damaged");
        assert!(!refused.status.success() && is_told && !text.contains("31m"), "{text}");
    }
}

#[test]
fn pages_are_fetched_before_anybody_asks() {
    let origin = Origin::answering(|asked| {
        let host = "http://site.example";
        match asked.target() {
            "/sitemap.xml" => answer(200).body(format!(
                "<urlset><url><loc>{host}/a</loc></url><url><loc>{host}/b?x=1&amp;y=2</loc></url></urlset>"
            )),
            "/gone" => answer(404).body("gone"),
            target => answer(200).chunked(&["page ", target]),
        }
    });
    let inside = "proxy_cache zone; proxy_cache_key $host$request_uri;";
    let server = Server::start(&location(inside, &origin));
    if server.program().is_nginx() {
        return;
    }
    let to = server.address().to_string();
    let larder = |words: &[&str]| {
        let words = [&["prewarm", "--to", &to], words].concat();
        Command::new(Program::larder().path).args(words).output().expect("it can be run")
    };
    let fetched = larder(&["--rate", "100", "http://site.example/sitemap.xml"]);
    assert_eq!(said(&fetched), "2 pages fetched, 0 failed\n");
    assert_eq!(origin.request_count(), 3);
    let list = server.dir().join("list");
    fs::write(&list, b"# pages\n/c\nno url\n\xff\xfe\nhttp://site.example/a\n\n/gone\n").unwrap();
    let output = larder(&["--host", "site.example", "--concurrency", "1", &list.display().to_string()]);
    let text = said(&output);
    assert!(!output.status.success());
    assert!(
        text.contains("2 pages fetched, 3 failed") && text.contains("/gone: the answer is 404"),
        "{text}"
    );
    assert!(
        text.contains("line 3: \"no url\" is no URL") && text.contains("line 4: \"\\xff\\xfe\" is no URL"),
        "{text}"
    );
    let asked: Vec<_> = origin.requests().iter().map(|asked| asked.target().to_owned()).collect();
    assert_eq!(asked.iter().filter(|target| *target == "/a").count(), 1, "{asked:?}");
    assert!(asked.contains(&"/b?x=1&y=2".to_owned()), "{asked:?}");
}

#[test]
fn reasons_are_told() {
    let origin = Origin::answering(|asked| match asked.target() {
        "/account" => answer(200).field("Set-Cookie", "a=b").body("yours"),
        target => answer(200).field("Vary", "X-A").body(target),
    });
    let server = Server::start(&location("proxy_cache zone; proxy_cache_bypass $http_x_skip;", &origin));
    let url = |path: &str| format!("http://localhost:{}{path}", server.address().port());
    let why = |words: &[&str]| cache(&server, &[&["why"], words].concat());
    let Some(missed) = why(&[&url("/a")]) else { return };
    let text = said(&missed);
    assert!(missed.status.success(), "{text}");
    for part in ["location  /\n", "cache     zone\n", "answer    200, MISS\n", "upstream  200\n"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(
        text.contains("nothing was stored under the key; the answer is stored now, fresh for "),
        "{text}"
    );
    assert_eq!(server.get("/a").cache(), "HIT", "it was a request like any other");
    for (words, part) in [
        (&["/a"][..], "it is stored, fresh for "),
        (&["/a", "--header", "X-A: 1"], "what was stored answers requests with other fields (Vary)"),
        (&["/a", "--header", "X-Skip: 1"], "the configuration lets the cache not answer"),
        (&["/account"], "the answer is not stored: it sets a cookie"),
        (&["/account", "--json"], r#""detail":"set-cookie""#),
    ] {
        let whole = url(words[0]);
        let words = [&[whole.as_str()], &words[1..]].concat();
        let text = said(&why(&words).unwrap());
        assert!(text.contains(part), "{words:?}: {part} is missing:\n{text}");
    }
    assert!(said(&why(&["http://localhost:1/"]).unwrap()).contains("no server listens there"));
}

#[test]
fn what_root_does_in_a_cache_is_its_owners() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let (_origin, server) = filled();
    if server.program().is_nginx() {
        return;
    }
    let owner = 65_534;
    let mut waiting = vec![server.dir().join("cache")];
    while let Some(path) = waiting.pop() {
        chown(&path, Some(owner), Some(owner)).unwrap();
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let purged = cache(&server, &["purge", "--tag", "pages"]).unwrap();
    assert!(purged.status.success(), "{}", said(&purged));
    let purges = fs::metadata(server.dir().join("cache/larder.purges")).unwrap();
    assert_eq!((purges.uid(), purges.gid()), (owner, owner));
}

#[test]
fn mistakes_are_explained() {
    let (_origin, server) = filled();
    let Some(unknown) = cache(&server, &["ls", "--zone", "none"]) else { return };
    assert!(said(&unknown).contains("no cache is called \"none\"; the configuration has: zone"));
    assert!(said(&cache(&server, &["lst"]).unwrap()).contains("did you mean \"ls\"?"));
}
