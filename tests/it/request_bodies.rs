//! Bodies of requests: in files, passed on as they arrive, answered early, and left by their clients.

use std::{fs, io::Read, net::TcpListener, os::unix::fs::PermissionsExt, process::Command};

use crate::support::{
    Conf, Gate, Origin, Reply, Response, Server, answer, origin::Asked, servers, wait_until,
};

fn proxied(directives: &str, origin: &Origin) -> Conf {
    servers(&format!("location / {{ proxy_pass http://%ORIGIN%; {directives} }}")).origin(origin)
}

fn post(server: &Server, path: &str, body: &[u8]) -> Response {
    let mut client = server.client();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send([head.as_bytes(), body].concat());
    client.response()
}

/// The path that the origin was told in `X-File`.
fn told_file(origin: &Origin) -> String {
    let asked = origin.requests().pop().expect("it was asked");
    asked.field("X-File").expect("a file is named").to_owned()
}

#[test]
fn a_body_s_file_can_be_read_while_the_request_lasts_and_stays_if_told() {
    let seen = |asked: &Asked| {
        let path = asked.field("X-File").expect("a file is named");
        let mode = fs::metadata(path).expect("it is there").permissions().mode();
        let content = fs::read_to_string(path).expect("it can be read");
        answer(200).body(format!("{content} {:o}", mode & 0o777))
    };
    for (in_file, stays) in [("on", true), ("clean", false)] {
        let origin = Origin::answering(seen);
        let directives = format!(
            "client_body_in_file_only {in_file}; client_body_temp_path %DIR%/bodies 1 2;
            proxy_set_header X-File $request_body_file; proxy_set_header Content-Length \"\";
            proxy_pass_request_body off;"
        );
        let conf = servers(&format!("{directives} location / {{ proxy_pass http://%ORIGIN%; }}"));
        let server = Server::start(&conf.origin(&origin));
        assert_eq!(post(&server, "/", b"hello").text(), "hello 600");
        let path = told_file(&origin);
        let wanted = format!("{}/bodies/1/00/0000000001", server.dir().display());
        assert_eq!(path, wanted);
        wait_until("the file is kept or removed", || fs::exists(&path).unwrap() == stays);
    }
}

/// A file that is removed after the request is removed too where the client leaves in the middle.
#[test]
fn half_a_body_leaves_no_file() {
    let origin = Origin::always(answer(200));
    let directives = "client_body_in_file_only clean; client_body_temp_path %DIR%/bodies;";
    let conf = servers(&format!("{directives} location / {{ proxy_pass http://%ORIGIN%; }}"));
    let server = Server::start(&conf.origin(&origin));
    let files = || fs::read_dir(server.dir().join("bodies")).unwrap().count();
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    wait_until("the file is there", || files() == 1);
    drop(client);
    wait_until("the file is gone", || files() == 0);
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn a_body_that_cannot_be_written_is_an_error_of_ours() {
    let origin = Origin::always(answer(200));
    let conf = servers(
        "client_body_in_file_only clean; client_body_temp_path %DIR%/bodies;
        location / { proxy_pass http://%ORIGIN%; }",
    );
    let server = Server::start(&conf.origin(&origin));
    let place = server.dir().join("bodies");
    fs::remove_dir_all(&place).unwrap();
    fs::write(&place, "no directory").unwrap();
    assert_eq!(post(&server, "/", b"hello").status(), 500);
    let path = place.display();
    server.wait_for_log(&format!("open() \"{path}/0000000001\" failed (20: Not a directory), client: "));
    assert!(server.read("error.log").contains("[crit]"));
    assert_eq!(origin.request_count(), 0);
}

/// A directory on a disk of its own that is nearly full; only root can make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(dir.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_ends_an_upload_and_nothing_else() {
    let Some(disk) = SmallDisk::mount() else { return };
    let origin = Origin::always(answer(200).body("taken"));
    let conf = servers(&format!(
        "client_body_temp_path {}; client_max_body_size 0; location / {{ proxy_pass http://%ORIGIN%; }}",
        disk.0.path().display()
    ));
    let server = Server::start(&conf.origin(&origin));
    assert_eq!(post(&server, "/", &[b'x'; 300_000]).status(), 500);
    server.wait_for_log("failed (28: No space left on device), client: ");
    assert_eq!(origin.request_count(), 0);
    assert_eq!(post(&server, "/", &[b'x'; 30_000]).text(), "taken");
}

#[test]
fn chunks_are_passed_on_as_they_come_and_counted_anew() {
    let origin = Origin::always(answer(200).body("taken"));
    let server = Server::start(&proxied("proxy_request_buffering off; proxy_http_version 1.1;", &origin));
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    wait_until("the origin is connected to", || origin.connection_count() == 1);
    assert_eq!(origin.request_count(), 0);
    client.send("6\r\n world\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "taken");
    let asked = &origin.requests()[0];
    assert_eq!(asked.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(asked.field("Content-Length"), None);
}

#[test]
fn chunks_for_http_1_0_are_collected_first() {
    let origin = Origin::always(answer(200).body("taken"));
    let server = Server::start(&proxied("proxy_request_buffering off;", &origin));
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.send("6\r\n world\r\n");
    assert_eq!(origin.connection_count(), 0);
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "taken");
    let asked = &origin.requests()[0];
    assert_eq!(asked.field("Content-Length"), Some("11"));
    assert_eq!(asked.body, b"hello world");
}

const CHUNKED_HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_whose_broken_framing_is_here_already_contacts_nobody() {
    let origin = Origin::always(answer(200));
    for buffering in ["on", "off"] {
        let directives = format!("proxy_request_buffering {buffering}; proxy_http_version 1.1;");
        let server = Server::start(&proxied(&directives, &origin));
        for body in ["x\r\n", "5\r\nhello\r\nx\r\n", "5\r\nhelloXX", "5\r\nhello\r\nffffffffff\r\nx"] {
            let mut client = server.client();
            client.send(format!("{CHUNKED_HEAD}{body}"));
            let wanted = if body.contains("ff") { 413 } else { 400 };
            assert_eq!(client.response().status(), wanted, "{buffering} {body}");
        }
        server.wait_for_log("client sent invalid chunked body, client: ");
        server
            .wait_for_log("client intended to send too large chunked body: 5+1099511627775 bytes, client: ");
    }
    assert_eq!(origin.connection_count(), 0);
}

/// As nginx: of what arrives together, all is passed on or nothing.
#[test]
fn a_body_that_breaks_later_is_passed_on_up_to_what_came_before() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let directives = "proxy_request_buffering off; proxy_http_version 1.1; proxy_set_header Host a;";
    let server =
        Server::start(&servers(&format!("location / {{ proxy_pass http://{address}; {directives} }}")));
    let mut client = server.client();
    client.send(format!("{CHUNKED_HEAD}5\r\nhello\r\n1\r\n!\r\n"));
    let (mut peer, _) = listener.accept().unwrap();
    let whole = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n";
    let mut passed_on = vec![0; whole.len()];
    peer.read_exact(&mut passed_on).unwrap();
    assert_eq!(String::from_utf8_lossy(&passed_on), whole);
    client.send("3\r\nabc\r\nzz\r\n");
    assert_eq!(client.response().status(), 400);
    let mut more = Vec::new();
    peer.read_to_end(&mut more).unwrap();
    assert_eq!(more, b"");
    server.wait_for_log("client sent invalid chunked body while sending request to upstream, client: ");
}

/// The body that was on its way is gone with the connection, so that no other peer can be asked.
#[test]
fn an_unbuffered_body_is_sent_to_one_peer_only() {
    let first = Origin::always(Reply::nothing());
    let second = Origin::always(answer(200).body("second"));
    let conf = servers(
        "proxy_http_version 1.1; proxy_next_upstream error timeout http_500 non_idempotent;
        location /direct { proxy_request_buffering off; proxy_pass http://pair; }
        location /whole { proxy_pass http://pair; }",
    );
    let conf = conf.with_text(|text| {
        text.replace(
            "access_log off;",
            "access_log off; upstream pair { server %ORIGIN% max_fails=0; server %ORIGIN:b% backup; }",
        )
    });
    let server = Server::start(&conf.origin(&first).origin_named("b", &second));
    let mut client = server.client();
    client.send("PUT /direct HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    wait_until("the origin is connected to", || first.connection_count() == 1);
    client.send("world");
    assert_eq!(client.response().status(), 502);
    assert_eq!(second.request_count(), 0);
    let mut client = server.client();
    client.send("PUT /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhelloworld");
    assert_eq!(client.response().text(), "second");
}

#[test]
fn an_unbuffered_body_goes_to_the_next_peer_while_none_has_got_any_of_it() {
    let origin = Origin::always(answer(200).body("second"));
    let conf = servers("location / { proxy_request_buffering off; proxy_pass http://pair; }");
    let conf = conf.with_text(|text| {
        text.replace(
            "access_log off;",
            "access_log off; upstream pair { server %CLOSED%; server %ORIGIN% backup; }",
        )
    });
    let server = Server::start(&conf.origin(&origin));
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    wait_until("the second peer is connected to", || origin.connection_count() == 1);
    client.send("world");
    assert_eq!(client.response().text(), "second");
    assert_eq!(origin.requests()[0].body, b"helloworld");
}

#[test]
fn an_expectation_is_met_before_an_unbuffered_body_is_passed_on() {
    let origin = Origin::always(answer(200).body("taken"));
    let server = Server::start(&proxied("proxy_request_buffering off; proxy_http_version 1.1;", &origin));
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.bytes(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response().text(), "taken");
    assert_eq!(origin.requests()[0].field("Expect"), None);
}

/// A peer that takes nothing more: `proxy_send_timeout` ends the try.
#[test]
fn a_peer_that_takes_nothing_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let directives = "client_max_body_size 0; proxy_send_timeout 300ms; proxy_socket_sndbuf 16k;";
    let server =
        Server::start(&servers(&format!("{directives} location / {{ proxy_pass http://{address}; }}")));
    assert_eq!(post(&server, "/", &vec![b'x'; 32 << 20]).status(), 504);
    server.wait_for_log("upstream timed out (110: Connection timed out) while sending request to upstream");
}

#[test]
fn a_client_that_leaves_ends_the_request_unless_that_is_ignored() {
    for (ignored, status, upstream_status) in [("off", "499", "-"), ("on", "200", "200")] {
        let gate = Gate::closed();
        let origin = Origin::always(answer(200).body("late").when(&gate));
        let line = format!("{status} {} {upstream_status}\n", origin.address());
        let conf = servers(&format!(
            "access_log access.log left; location / {{ proxy_pass http://%ORIGIN%; proxy_ignore_client_abort {ignored}; }}"
        ));
        let conf = conf.with_text(|text| {
            text.replace(
                "access_log off;",
                "access_log off; log_format left '$status $upstream_addr $upstream_status';",
            )
        });
        let server = Server::start(&conf.origin(&origin));
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_until("the origin is asked", || origin.request_count() == 1);
        drop(client);
        if ignored == "off" {
            server.wait_for_text("access.log", &line);
        }
        gate.open();
        server.wait_for_text("access.log", &line);
    }
}

#[test]
fn a_body_that_was_too_large_goes_to_nobody() {
    let origin = Origin::always(answer(200).body("sorry"));
    let server = Server::start(
        &servers(
            "client_max_body_size 10;
            location / { error_page 413 = @large; proxy_pass http://%ORIGIN%; }
            location @large { proxy_pass http://%ORIGIN%; }",
        )
        .origin(&origin),
    );
    let body = "0123456789abcdef";
    for framed in [
        format!("Content-Length: 16\r\n\r\n{body}"),
        format!("Transfer-Encoding: chunked\r\n\r\n10\r\n{body}"),
    ] {
        let mut client = server.client();
        client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{framed}"));
        assert_eq!(client.response().text(), "sorry");
    }
    for asked in origin.requests() {
        assert_eq!((asked.body.len(), asked.field("Transfer-Encoding")), (0, None), "{}", asked.head);
    }
}
