//! TLS with clients, through the real program: whose certificate answers, what clients have to show, what goes over it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};

use crate::support::{
    Client, Conf, Origin, Server, Stop, answer, http, proc,
    tls::{Authority, Certified, Tls},
    wait_until,
};

/// A server on `%PORT%` with a certificate for `localhost`.
fn secured(authority: &Authority, inside: &str) -> Conf {
    with_pair(
        http(&format!(
            "ssl_certificate own.crt; ssl_certificate_key own.key;
            server {{ listen 127.0.0.1:%PORT% ssl; server_name localhost; {inside} }}"
        )),
        "own",
        &authority.server(&["localhost"]),
    )
}

fn with_pair(conf: Conf, name: &str, certified: &Certified) -> Conf {
    conf.file(&format!("{name}.crt"), &certified.chain_pem).file(&format!("{name}.key"), &certified.key_pem)
}

fn root() -> Authority {
    Authority::new("the root")
}

#[test]
fn variables_tell_of_the_handshake() {
    let root = root();
    let text =
        "$scheme $https $ssl_protocol $ssl_cipher $ssl_server_name $ssl_session_reused $ssl_alpn_protocol";
    let server =
        Server::start(&secured(&root, &format!("return 200 '{text} [$ssl_client_verify$ssl_early_data]';")));
    let get = |tls: &Tls| tls.connect(server.address()).get("/").text();
    assert_eq!(
        get(&Tls::trusting(&root).alpn(&["http/1.1"])),
        "https on TLSv1.3 TLS_AES_256_GCM_SHA384 localhost . http/1.1 [NONE]"
    );
    assert_eq!(
        get(&Tls::only(&root, &TLS12)),
        "https on TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 localhost .  [NONE]"
    );
}

#[test]
fn bodies_of_any_size_go_both_ways() {
    let root = root();
    let origin = Origin::answering(|asked| answer(200).body(format!("{} bytes", asked.body.len())));
    let big: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let inside = "client_max_body_size 0;
        location / { root %DIR%; }
        location /copied/ { alias %DIR%/; sendfile off; }
        location /slow/ { alias %DIR%/; limit_rate 20m; }
        location /up { proxy_pass http://%ORIGIN%; }
        location /unbuffered { proxy_pass http://%ORIGIN%; proxy_request_buffering off; proxy_http_version 1.1; }";
    let conf = secured(&root, inside).origin(&origin).file("big", &big).file("small", "a little");
    let server = Server::start(&conf);
    let mut client = Tls::trusting(&root).connect(server.address());
    for path in ["/big", "/copied/big", "/slow/big"] {
        assert!(client.get(path).body == big, "{path}");
        assert_eq!(client.get("/small").text(), "a little", "the connection goes on");
    }
    for path in ["/up", "/unbuffered"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", big.len());
        client.send(head).send(&big);
        assert_eq!(client.response().text(), "3000000 bytes", "{path}");
    }
    client.send("GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
    for _ in 0..3 {
        assert_eq!(client.response().text(), "a little");
    }
    client.send("GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "a little");
    assert_eq!(client.rest(), (Vec::new(), crate::support::client::End::Closed), "with a word of goodbye");
}

#[test]
fn records_are_as_large_as_is_said() {
    let root = root();
    let server =
        Server::start(&secured(&root, "ssl_buffer_size 1k; root %DIR%;").file("page", "x".repeat(5000)));
    assert_eq!(Tls::trusting(&root).connect(server.address()).get("/page").body.len(), 5000);
    let address = server.address().to_string();
    let said = openssl_client(&address, &["-msg", "-tls1_2"], "GET /page HTTP/1.0\r\n\r\n");
    let sizes: Vec<&str> =
        said.lines().filter(|line| line.starts_with("<<<") && line.contains("ApplicationData")).collect();
    assert!(said.contains("xxxx"), "{said}");
    assert!(sizes.iter().all(|line| !line.contains("length 4")), "{sizes:?}");
}

/// Runs `openssl s_client` and returns all that it said.
pub fn openssl_client(address: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", address, "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn names_choose_servers_and_their_certificates() {
    let (root, other) = (root(), Authority::new("another root"));
    let conf = http(
        "server { listen 127.0.0.1:%PORT% ssl default_server; ssl_reject_handshake on; }
        server { listen 127.0.0.1:%PORT% ssl; server_name a.test; ssl_certificate a.crt; ssl_certificate_key a.key; return 200 a; }
        server { listen 127.0.0.1:%PORT% ssl; server_name *.b.test; ssl_certificate b.crt; ssl_certificate_key b.key;
            ssl_protocols TLSv1.2; return 200 'b $ssl_protocol'; }
        server { listen 127.0.0.1:%PORT% ssl; server_name c.test; ssl_certificate a.crt;
            ssl_certificate_key a.key; return 200 c; }",
    );
    let conf = with_pair(conf, "a", &root.server(&["a.test"]));
    let conf = with_pair(conf, "b", &other.server(&["x.b.test"]));
    let server = Server::start(&conf);
    let get = |tls: Tls, host: &str| {
        let mut client = tls.connect(server.address());
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response().text()
    };
    assert_eq!(get(Tls::trusting(&root).name("a.test"), "a.test"), "a");
    assert_eq!(get(Tls::trusting(&other).name("x.b.test"), "x.b.test"), "b TLSv1.2");
    // As nginx: the field Host may lead elsewhere than the handshake.
    assert_eq!(get(Tls::trusting(&root).name("a.test"), "c.test"), "c");
    for name in ["nobody.test", "test"] {
        let error = Tls::trusting(&root)
            .name(name)
            .try_connect(server.address())
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("received fatal alert: UnrecognisedName"), "{name}");
    }
    server.wait_for_log("[info]");
    server.wait_for_log("handshake rejected while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:");
}

#[test]
fn plain_requests_are_told_where_tls_is_spoken() {
    let root = root();
    let conf = secured(
        &root,
        "location / { return 200 home; }
        location /other { error_page 497 =301 https://$host:8443$request_uri; return 200 other; }",
    );
    let server = Server::start(&conf);
    let response = server.get("/");
    assert_eq!(response.status(), 400);
    assert!(response.text().contains("<title>400 The plain HTTP request was sent to HTTPS port</title>"));
    assert_eq!(response.field("Connection"), Some("close"));
    server.wait_for_log("client sent plain HTTP request to HTTPS port while reading client request headers");

    let conf = secured(&root, "error_page 497 https://$host:8443$request_uri;");
    let server = Server::start(&conf);
    let response = server.get("/a?b");
    assert_eq!(response.status_line, "HTTP/1.1 302 Moved Temporarily");
    assert_eq!(response.field("Location"), Some("https://localhost:8443/a?b"));
}

#[test]
fn clients_have_to_show_what_servers_ask_for() {
    let (root, clients, strangers) = (root(), Authority::new("clients"), Authority::new("strangers"));
    let server_of = |mode: &str| {
        let conf = secured(
            &root,
            &format!(
                "ssl_verify_client {mode}; ssl_client_certificate clients.pem;
                return 200 '$ssl_client_verify $ssl_client_s_dn $ssl_client_i_dn';"
            ),
        );
        Server::start(&conf.file("clients.pem", clients.pem()))
    };
    let known = Tls::certified(&root, &clients.client("somebody"));
    let unknown = Tls::certified(&root, &strangers.client("nobody"));
    let none = Tls::trusting(&root);
    let failed = "FAILED:unable to verify the first certificate CN=nobody CN=strangers";
    let table = [
        ("on", &known, 200, "SUCCESS CN=somebody CN=clients"),
        ("on", &unknown, 400, "The SSL certificate error"),
        ("on", &none, 400, "No required SSL certificate was sent"),
        ("optional", &known, 200, "SUCCESS CN=somebody CN=clients"),
        ("optional", &unknown, 400, "The SSL certificate error"),
        ("optional", &none, 200, "NONE  "),
        ("optional_no_ca", &unknown, 200, failed),
        ("optional_no_ca", &none, 200, "NONE  "),
        ("off", &known, 200, "NONE  "),
    ];
    for mode in ["on", "optional", "optional_no_ca", "off"] {
        let server = server_of(mode);
        for (_, client, status, text) in table.iter().filter(|row| row.0 == mode) {
            let response = client.connect(server.address()).get("/");
            assert_eq!(response.status(), *status, "{mode} {text}");
            assert!(response.text().contains(text), "{mode}: {}", response.text());
        }
        if mode == "on" {
            server.wait_for_log(
                "client SSL certificate verify error: (21:unable to verify the first certificate)",
            );
            server
                .wait_for_log("client sent no required SSL certificate while reading client request headers");
        }
    }
}

#[test]
fn a_server_that_asks_for_certificates_wants_its_own_name() {
    let (root, clients) = (root(), Authority::new("clients"));
    let conf = secured(&root, "return 200 open;").with_text(|text| {
        let verified = "server { listen 127.0.0.1:%PORT% ssl; server_name verified; ssl_verify_client on;
            ssl_client_certificate clients.pem; return 200 verified; }\n}";
        text.trim_end().strip_suffix('}').unwrap().to_owned() + verified
    });
    let certified = root.server(&["localhost", "verified"]);
    let server = Server::start(&with_pair(conf, "own", &certified).file("clients.pem", clients.pem()));
    let ask = |name: &str, host: &str| {
        let mut client = Tls::certified(&root, &clients.client("me")).name(name).connect(server.address());
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response()
    };
    assert_eq!(ask("verified", "verified").text(), "verified");
    assert_eq!(ask("localhost", "localhost").text(), "open");
    assert_eq!(ask("localhost", "verified").status(), 421);
    assert_eq!(ask("verified", "localhost").text(), "open");
    server.wait_for_log(
        "client attempted to request the server name different from the one that was negotiated",
    );
}

#[test]
fn sessions_are_taken_up_again_as_configured() {
    let root = root();
    let table = [
        ("", &TLS13, "r"),
        ("", &TLS12, "r"),
        ("ssl_session_tickets off;", &TLS13, "."),
        ("ssl_session_tickets off;", &TLS12, "."),
        ("ssl_session_tickets off; ssl_session_cache shared:a:1m;", &TLS13, "r"),
        ("ssl_session_tickets off; ssl_session_cache shared:a:1m;", &TLS12, "r"),
        ("ssl_session_tickets off; ssl_session_cache builtin;", &TLS12, "r"),
        ("ssl_session_tickets off; ssl_session_cache off;", &TLS12, "."),
    ];
    for (directives, version, wanted) in table {
        let server = Server::start(&secured(&root, &format!("{directives} return 200 $ssl_session_reused;")));
        let tls = Tls::only(&root, version).remembering();
        assert_eq!(tls.connect(server.address()).get("/").text(), ".", "{directives}");
        assert_eq!(tls.connect(server.address()).get("/").text(), wanted, "{directives} {version:?}");
    }
}

#[test]
fn tickets_outlive_a_reload_where_the_cache_has_a_name() {
    let root = root();
    let conf = secured(&root, "ssl_session_cache shared:a:1m; return 200 $ssl_session_reused;");
    let server = Server::start(&conf);
    let tls = Tls::trusting(&root).remembering();
    assert_eq!(tls.connect(server.address()).get("/").text(), ".");
    let worker = server.worker();
    server.signal(Signal::SIGHUP);
    wait_until("a new worker has taken over", || {
        let workers = server.children("worker process");
        !workers.is_empty() && !workers.contains(&worker)
    });
    assert_eq!(tls.connect(server.address()).get("/").text(), "r");
}

#[test]
fn reloads_bring_new_certificates_and_mistakes_leave_the_old() {
    let (old, new) = (root(), Authority::new("new root"));
    let conf = secured(&old, "return 200 $ssl_server_name;");
    let mut server = Server::start(&conf);
    let mut kept = Tls::trusting(&old).connect(server.address());
    assert_eq!(kept.get("/").status(), 200);

    let renewed = with_pair(conf.clone(), "own", &new.server(&["localhost"]));
    server.write_conf(&renewed);
    server.signal(Signal::SIGHUP);
    wait_until("the new certificate is shown", || Tls::trusting(&new).try_connect(server.address()).is_ok());
    assert!(Tls::trusting(&old).try_connect(server.address()).is_err());

    server.allow_in_log("cannot load certificate key");
    server.write_conf(&renewed.file("own.key", "no key"));
    server.signal(Signal::SIGHUP);
    server.wait_for_log("cannot load certificate key");
    assert_eq!(Tls::trusting(&new).connect(server.address()).get("/").text(), "localhost");
}

#[test]
fn keys_need_not_be_readable_for_workers() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can keep files from others");
        return;
    }
    let root = root();
    let conf =
        secured(&root, "return 200 served;").with_text(|text| text.replace("user root;", "user nobody;"));
    let server = Server::start(&conf);
    std::os::unix::fs::chown(server.dir().join("own.key"), Some(0), Some(0)).unwrap();
    let only_root = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(server.dir().join("own.key"), only_root).unwrap();
    let worker = server.worker();
    server.signal(Signal::SIGHUP);
    wait_until("a new worker has taken over", || !server.children("worker process").contains(&worker));
    assert_eq!(Tls::trusting(&root).connect(server.address()).get("/").text(), "served");
}

#[test]
fn what_cannot_be_loaded_is_told_with_its_place() {
    let root = root();
    let own = root.server(&["localhost"]);
    let other = root.server(&["localhost"]);
    let mut server = Server::start(&secured(&root, "return 200 x;"));
    server.allow_in_log(" in /");
    let check = |directives: &str| {
        let text = format!(
            "%MAIN% events {{}} http {{ %TEMP% access_log off;\nserver {{ listen 127.0.0.1:%PORT% ssl;\n{directives}\n}} }}"
        );
        let conf =
            with_pair(Conf::whole(text), "own", &own).file("other.key", &other.key_pem).file("junk", "junk");
        let mut ports = server.ports().clone();
        let dir = server.dir().display().to_string();
        std::fs::write(server.dir().join("try.conf"), conf.fill(server.program(), &dir, &mut ports)).unwrap();
        for (name, content) in conf.files() {
            std::fs::write(server.dir().join(name), content).unwrap();
        }
        let output = server.run(&["-t", "-c", &format!("{dir}/try.conf")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines().find(|line| line.contains("[emerg]")).unwrap_or_default().replace(&format!("{dir}/"), "")
    };
    let table = [
        ("ssl_certificate own.crt; ssl_certificate_key own.key;", ""),
        ("ssl_certificate none.crt; ssl_certificate_key own.key;", "cannot load certificate \"none.crt\": "),
        (
            "ssl_certificate own.crt; ssl_certificate_key none.key;",
            "cannot load certificate key \"none.key\": ",
        ),
        ("ssl_certificate junk; ssl_certificate_key own.key;", "cannot load certificate \"junk\": "),
        ("ssl_certificate own.crt; ssl_certificate_key other.key;", "key values mismatch"),
        (
            "ssl_certificate own.crt; ssl_certificate_key own.key; ssl_verify_client on; ssl_client_certificate none;",
            "\"none\"",
        ),
        ("ssl_certificate own.crt; ssl_certificate_key own.key; ssl_session_ticket_key junk;", "junk"),
        ("ssl_certificate own.crt; ssl_certificate_key own.key; ssl_stapling_file junk;", "junk"),
    ];
    for (directives, wanted) in table {
        let said = check(directives);
        assert!(said.contains(wanted), "{directives}: {said}");
        assert_eq!(said.is_empty(), wanted.is_empty(), "{directives}: {said}");
        assert!(said.is_empty() || said.ends_with(" in try.conf:3"), "{directives}: {said}");
    }
}

#[test]
fn clients_that_say_nothing_are_not_waited_for_long() {
    let root = root();
    let server = Server::start(&secured(&root, "client_header_timeout 300ms; return 200 x;"));
    let mut silent = Client::connect(server.address());
    assert!(silent.rest().0.is_empty());
    server.wait_for_log(
        "client timed out (110: Connection timed out) while SSL handshaking, client: 127.0.0.1",
    );
    let mut torn = TcpStream::connect(server.address()).unwrap();
    torn.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    drop(torn);
    server.wait_for_log("peer closed connection in SSL handshake while SSL handshaking");
    let mut wrong = TcpStream::connect(server.address()).unwrap();
    wrong.write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").unwrap();
    let mut alert = Vec::new();
    wrong.read_to_end(&mut alert).unwrap();
    assert_eq!(alert.first(), Some(&21));
    server.wait_for_log("SSL_do_handshake() failed (SSL: ");
}

#[test]
fn a_worker_that_leaves_waits_for_handshakes_but_not_for_ever() {
    let root = root();
    let server = Server::start(&secured(&root, "client_header_timeout 1s; return 200 x;"));
    let silent = Client::connect(server.address());
    assert_eq!(Tls::trusting(&root).connect(server.address()).get("/").text(), "x");
    assert!(server.stop(Stop::Graceful).success());
    drop(silent);
}

#[test]
fn clients_cannot_shake_hands_again() {
    let root = root();
    let server = Server::start(&secured(&root, "return 200 x;"));
    let said = openssl_client(&server.address().to_string(), &["-tls1_2"], "R\nGET / HTTP/1.0\r\n\r\n");
    assert!(!said.contains("200 OK"), "{said}");
    assert_eq!(Tls::trusting(&root).connect(server.address()).get("/").text(), "x");
}

#[test]
fn redirects_stay_with_tls() {
    let root = root();
    let server = Server::start(
        &secured(&root, "root %DIR%; location = /go { return 302 /there; }").file("dir/page", ""),
    );
    let port = server.address().port();
    let mut client = Tls::trusting(&root).connect(server.address());
    let location = |client: &mut Client, path: &str| client.get(path).field("Location").map(str::to_owned);
    assert_eq!(location(&mut client, "/dir"), Some(format!("https://localhost:{port}/dir/")));
    assert_eq!(location(&mut client, "/go"), Some(format!("https://localhost:{port}/there")));
}

#[test]
fn early_data_is_told_as_such() {
    let root = root();
    let text = "early: [$ssl_early_data] $ssl_session_reused";
    let origin = Origin::always(answer(425).body("too early"));
    let inside = format!(
        "ssl_early_data on; location / {{ return 200 '{text}'; }}
        location /proxied {{ proxy_pass http://%ORIGIN%; proxy_set_header Early-Data $ssl_early_data; }}"
    );
    let server = Server::start(&secured(&root, &inside).origin(&origin));
    let tls = Tls::only(&root, &TLS13).remembering().with(|config| config.enable_early_data = true);
    assert_eq!(tls.connect(server.address()).get("/").text(), "early: [] .");
    let early = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        tls.connect_with_early_data(server.address(), request.as_bytes()).response()
    };
    assert_eq!(early("/").text(), "early: [1] r");
    assert_eq!(early("/proxied").status(), 425);
    assert_eq!(origin.requests()[0].field("Early-Data"), Some("1"));
    // A session is good for one time only, and who says all at once may leave before new ones come.
    wait_until("a session is taken up", || tls.connect(server.address()).get("/").text() == "early: [] r");
}

/// Reloads with new certificates while clients ask; how often says `LARDER_TEST_RELOADS`, by hand 1000.
#[test]
fn no_request_is_lost_while_certificates_change() {
    let reloads: usize = std::env::var("LARDER_TEST_RELOADS").map_or(3, |count| count.parse().unwrap());
    let root = root();
    let conf = secured(&root, "keepalive_requests 20; root %DIR%;").file("page", "x".repeat(1024));
    let server = Server::start(&conf);
    let (address, stop) = (server.address(), AtomicBool::new(false));
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let tls = Tls::trusting(&root);
                while !stop.load(Ordering::SeqCst) {
                    let mut client = tls.connect(address);
                    loop {
                        let response = client.get("/page");
                        assert_eq!((response.status(), response.body.len()), (200, 1024));
                        asked.fetch_add(1, Ordering::SeqCst);
                        if response.field("Connection") == Some("close") {
                            break;
                        }
                    }
                }
            });
        }
        let mut sizes = Vec::new();
        for _ in 0..reloads {
            let certified = root.server(&["localhost"]);
            // Nothing else is written anew: clients are reading the page.
            std::fs::write(server.dir().join("own.crt"), &certified.chain_pem).unwrap();
            std::fs::write(server.dir().join("own.key"), &certified.key_pem).unwrap();
            server.signal(Signal::SIGHUP);
            wait_until("the new certificate is shown", || {
                let shown = Tls::trusting(&root).connect(address);
                shown.wire().client().and_then(|client| Some(client.peer_certificates()?[0].to_vec()))
                    == Some(certified.der().to_vec())
            });
            sizes.push(proc::resident_kib(server.master()));
        }
        stop.store(true, Ordering::SeqCst);
        println!(
            "{} requests over {reloads} reloads; the master's memory: {sizes:?} KiB",
            asked.load(Ordering::SeqCst)
        );
        if let (Some(early), Some(last)) = (sizes.get(reloads / 10), sizes.last())
            && reloads >= 100
        {
            assert!(last * 20 <= early * 21, "memory grew from {early} to {last} KiB");
        }
    });
    assert!(asked.into_inner() > reloads);
}
