//! `proxy_store`, and temporary files on another file system than the names they get.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use tempfile::TempDir;

use crate::{
    caching::files_below,
    support::{Conf, Gate, Origin, Server, answer, servers, wait_until},
};

fn keeping(directives: &str, origin: &Origin) -> Conf {
    servers(&format!(
        "location / {{ root %DIR%/kept; proxy_pass http://%ORIGIN%; proxy_store on; {directives} }}"
    ))
    .origin(origin)
}

/// Waits until a file of the server's directory has that content.
fn wait_for_file(server: &Server, path: &str, content: &[u8]) {
    let path = server.dir().join(path);
    wait_until("the file is there", || fs::read(&path).is_ok_and(|found| found == content));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A directory on another file system than that of servers; none where there is no such.
fn elsewhere(server_directories: &Path) -> Option<TempDir> {
    let directory = tempfile::Builder::new().prefix("larder-").tempdir_in("/dev/shm").ok()?;
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(directory.path()) == device(server_directories) {
        println!("skipped: there is only one file system");
        return None;
    }
    Some(directory)
}

#[test]
fn files_and_directories_get_the_permissions_that_are_asked_for() {
    let origin = Origin::always(answer(200).body("a page"));
    for (directives, file, directory) in [
        ("", 0o600, 0o700),
        ("proxy_store_access all:r;", 0o604, 0o705),
        ("proxy_store_access user:r group:r;", 0o440, 0o550),
        ("proxy_store_access user:rw group:rw all:r;", 0o664, 0o775),
    ] {
        let server = Server::start(&keeping(directives, &origin));
        assert_eq!(server.get("/deep/page").text(), "a page");
        wait_for_file(&server, "kept/deep/page", b"a page");
        assert_eq!(mode(&server.dir().join("kept/deep/page")), file, "{directives}");
        // What the umask takes away is not ours to give.
        let made = mode(&server.dir().join("kept/deep"));
        assert!(made & !directory == 0 && made & 0o700 == directory & 0o700, "{directives} {made:o}");
    }
}

#[test]
fn a_page_is_kept_though_its_client_leaves() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).declared(8).bytes("half").wait(&gate).bytes("half")]);
    let server = Server::start(&keeping("", &origin));
    let mut client = server.client();
    client.send("GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head_only();
    client.leave();
    gate.open();
    wait_for_file(&server, "kept/page", b"halfhalf");
}

#[test]
fn a_page_is_kept_though_its_client_leaves_before_it_comes() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).when(&gate).body("a page")]);
    let server = Server::start(&keeping("", &origin));
    let mut client = server.client();
    client.send("GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    client.leave();
    gate.open();
    wait_for_file(&server, "kept/page", b"a page");
}

#[test]
fn a_page_is_sent_while_it_arrives() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).declared(6).bytes("one").wait(&gate).bytes("two")]);
    let server = Server::start(&keeping("", &origin));
    let mut client = server.client();
    client.send("GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head_only();
    assert_eq!(client.bytes(3), b"one");
    assert!(!server.dir().join("kept/page").exists(), "it is not whole yet");
    gate.open();
    assert_eq!(client.bytes(3), b"two");
    wait_for_file(&server, "kept/page", b"onetwo");
}

#[test]
fn a_torn_page_leaves_nothing_behind() {
    let body = vec![b'x'; 1 << 20];
    let origin = Origin::always(answer(200).declared(2 << 20).bytes(body).then_close());
    let server = Server::start(&keeping("proxy_temp_path %DIR%/temp;", &origin));
    assert_eq!(server.get("/page").body.len(), 1 << 20);
    wait_until("the temporary file is gone", || files_below(&server.dir().join("temp")).is_empty());
    assert!(!server.dir().join("kept/page").exists());
}

#[test]
fn a_page_that_cannot_be_kept_is_sent_and_the_log_says_why() {
    let origin = Origin::always(answer(200).body("a page"));
    let server = Server::start(&keeping("", &origin).file("kept/taken/below", ""));
    assert_eq!(server.get("/taken").text(), "a page");
    server.wait_for_log("[crit]");
    let log = server.read("error.log");
    let line = log.lines().find(|line| line.contains("[crit]")).unwrap();
    let target = server.dir().join("kept/taken");
    assert!(line.contains("rename() \"") && line.contains("temp_proxy/0000000001\" to \""), "{line}");
    assert!(line.contains(&format!("{}\" failed (21: Is a directory) while", target.display())), "{line}");
    assert!(line.contains("request: \"GET /taken HTTP/1.1\", upstream: \""), "{line}");
}

#[test]
fn a_page_is_copied_from_another_file_system() {
    let body: Vec<u8> = (0..3_000_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let origin =
        Origin::always(answer(200).field("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT").body(&body));
    let Some(temp) = elsewhere(&std::env::temp_dir()) else { return };
    let place = format!("proxy_temp_path {} 1;", temp.path().display());
    let server = Server::start(&keeping(&place, &origin));
    assert!(server.get("/deep/page").body == body);
    wait_for_file(&server, "kept/deep/page", &body);
    assert_eq!(fs::metadata(server.dir().join("kept/deep/page")).unwrap().mtime(), 1_000_000_000);
    wait_until("no copy is left", || {
        files_below(temp.path()).is_empty() && files_below(&server.dir().join("kept")).len() == 1
    });
}

#[test]
fn an_answer_is_cached_from_temporary_files_on_another_file_system() {
    let body: Vec<u8> = (0..3_000_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let reply = body.clone();
    let origin = Origin::answering(move |asked| {
        let body = if asked.target() == "/small" { &b"small"[..] } else { &reply[..] };
        answer(200).body(body)
    });
    let Some(temp) = elsewhere(&std::env::temp_dir()) else { return };
    let conf = crate::support::conf::cached(
        "proxy_cache_path %DIR%/cache levels=1:2 keys_zone=zone:1m;",
        &format!("proxy_cache zone; proxy_temp_path {};", temp.path().display()),
        &origin,
    );
    let server = Server::start(&conf);
    for (path, wanted) in [("/small", &b"small"[..]), ("/large", &body[..])] {
        for status in ["MISS", "HIT"] {
            let response = server.get(path);
            assert_eq!(response.cache(), status, "{path}");
            assert!(response.body == wanted, "{path}: {} bytes came", response.body.len());
        }
    }
    // The worker's memory has them too: another one finds the files.
    let program = server.program().clone();
    let dir = server.stop_and_keep(crate::support::Stop::Graceful);
    let server = Server::start_in(&program, &conf, dir);
    assert_eq!(server.get("/large").cache(), "HIT");
    assert!(files_below(temp.path()).is_empty());
    assert_eq!(origin.request_count(), 2);
}
