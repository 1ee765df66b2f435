//! Each file under `conf/examples` is started, and requests are sent through it.
//!
//! The files are complete and their ports literal; here `listen 8080` becomes a free port, 3000 to 3002 become
//! scripted origins, 3443 and 3444 some that speak TLS, and 3009 a port where nobody listens. Relative paths lead to the test's own directory.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread,
};

use flate2::read::GzDecoder;

use crate::support::{
    Conf, Dns, Gate, Origin, Ranged, Reply, Response, Server, answer,
    dns::{addresses, services},
    origin::Asked,
    reply::Part,
    wait_until,
};

mod canary;
mod purging;
mod secured;
mod stampedes;

use canary::canary;
use purging::{purge_by_address, purge_by_method, purge_by_tags};
use secured::{Applications, People, client_certificates, https, secured_upstreams};
use stampedes::stampedes;

/// A running example with the applications behind it.
struct Visit {
    server: Server,
    first: Origin,
    second: Origin,
    third: Origin,
    people: People,
    applications: Applications,
    _dns: Dns,
}

/// One row per example: its test, its file, and what is to be seen through it.
macro_rules! examples {
    ($($test:ident: $file:literal, $visit:ident;)*) => {
        const FILES: &[&str] = &[$($file),*];
        $(
            #[test]
            fn $test() {
                $visit(&Visit::start($file));
            }
        )*
    };
}

examples! {
    example_reverse_proxy: "reverse-proxy.conf", reverse_proxy;
    example_uri_mapping: "uri-mapping.conf", uri_mapping;
    example_upstream_group: "upstream-group.conf", upstream_group;
    example_health_checks: "health-checks.conf", health_checks;
    example_balancing: "balancing.conf", balancing;
    example_sticky_sessions: "sticky-sessions.conf", sticky_sessions;
    example_names_that_change: "names-that-change.conf", names_that_change;
    example_headers: "headers.conf", headers;
    example_redirects: "redirects.conf", redirects;
    example_rewrites: "rewrites.conf", rewrites;
    example_try_files: "try-files.conf", try_files;
    example_cookies: "cookies.conf", cookies;
    example_websocket: "websocket.conf", websocket;
    example_unix_socket: "unix-socket.conf", unix_socket;
    example_timeouts_and_buffers: "timeouts-and-buffers.conf", timeouts_and_buffers;
    example_without_the_body: "without-the-body.conf", without_the_body;
    example_usual_options: "usual-options.conf", usual_options;
    example_source_address: "source-address.conf", source_address;
    example_transparent: "transparent.conf", transparent;
    example_uploads: "uploads.conf", uploads;
    example_trailers: "trailers.conf", trailers;
    example_cache: "cache.conf", cache;
    example_cache_times: "cache-times.conf", cache_times;
    example_stampedes: "stampedes.conf", stampedes;
    example_cache_rfc: "cache-rfc.conf", cache_rfc;
    example_cache_bypass: "cache-bypass.conf", cache_bypass;
    example_cache_key: "cache-key.conf", cache_key;
    example_purge: "purge.conf", purge_by_address;
    example_purge_by_method: "purge-by-method.conf", purge_by_method;
    example_purge_by_tags: "purge-by-tags.conf", purge_by_tags;
    example_error_pages: "error-pages.conf", error_pages;
    example_static_mirror: "static-mirror.conf", static_mirror;
    example_mirrored_files: "mirrored-files.conf", mirrored_files;
    example_slice: "slice.conf", slice;
    example_gzip: "gzip.conf", gzip;
    example_ssi: "ssi.conf", ssi;
    example_canary: "canary.conf", canary;
    example_https: "https.conf", https;
    example_client_certificates: "client-certificates.conf", client_certificates;
    example_secured_upstreams: "secured-upstreams.conf", secured_upstreams;
    example_production: "production.conf", production;
}

#[test]
fn every_example_is_visited() {
    let entries = fs::read_dir(directory()).unwrap();
    let found: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().expect("names are plain")).collect();
    assert_eq!(found, FILES.iter().map(|&file| file.to_owned()).collect());
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples")
}

impl Visit {
    fn start(file: &str) -> Self {
        let text = fs::read_to_string(directory().join(file)).unwrap().replace('%', "%%");
        let places = [
            ("listen 8080", "listen 127.0.0.1:%PORT%"),
            ("listen 8443", "listen 127.0.0.1:%PORT:tls%"),
            ("/etc/ssl/", "%DIR%/"),
            ("127.0.0.1:3000", "%ORIGIN:first%"),
            ("127.0.0.1:3001", "%ORIGIN:second%"),
            ("127.0.0.1:3002", "%ORIGIN:third%"),
            ("127.0.0.1:3443", "%ORIGIN:secured%"),
            ("127.0.0.1:3444", "%ORIGIN:strict%"),
            ("127.0.0.1:3009", "%CLOSED%"),
            ("/run/app/app.sock", "%DIR%/app.sock"),
            ("127.0.0.53", "%DNS%"),
        ];
        let text =
            places.iter().fold(text, |text, (literal, placeholder)| text.replace(literal, placeholder));
        let origins =
            ["first", "second", "third"].map(|name| Origin::answering(move |_| answer(200).body(name)));
        let dns = Dns::start();
        let port = |number: usize| origins[number].address().port();
        let found = services(&[(1, 2, port(0), "a.internal"), (1, 1, port(1), "a.internal")], 60);
        dns.tell("_http._tcp.app.internal", found).tell("a.internal", addresses(&["127.0.0.1"], 60));
        let mut conf = Conf::whole(format!("%MAIN%\n{text}")).dns(&dns);
        for (name, origin) in ["first", "second", "third"].iter().zip(&origins) {
            conf = conf.origin_named(name, origin);
        }
        let files = [
            ("logs/placeholder", ""),
            ("www/images/here.png", "from disk"),
            ("www/docs/here.txt", "from disk"),
            ("www/static/site.css", "from disk"),
            (
                "www/shop.html",
                "<!--#block name=\"no-basket\" -->no basket<!--#endblock -->\
                 <!--#include virtual=\"/menu\" -->|<!--#include virtual=\"/offers/today\" -->|\
                 <!--#include virtual=\"/basket\" stub=\"no-basket\" -->|<!--#echo var=\"arg_name\" default=\"guest\" -->",
            ),
            ("www/not-found.html", "our 404"),
            ("www/sorry.html", "our apology"),
            ("public/index.html", "the index"),
            ("public/docs/index.html", "the docs"),
            ("public/panel/index.html", "the panel"),
            ("public/pictures/cat.png", "a cat"),
            ("public/pictures/cat-large.png", "a large cat"),
            ("public/closed.html", "closed"),
        ];
        let conf = files.iter().fold(conf, |conf, (path, content)| conf.file(path, content));
        let people = People::new();
        let applications = Applications::start(&people);
        let conf = applications.named_in(conf);
        let conf = people.files().iter().fold(conf, |conf, (path, content)| conf.file(path, content));
        let [first, second, third] = origins;
        Self { server: Server::start(&conf), first, second, third, people, applications, _dns: dns }
    }

    /// Asks on a connection of its own, with more header lines.
    fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> Response {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut client = self.server.client();
        client
            .send(format!("{method} {path} HTTP/1.1\r\nHost: www.example.org\r\n{lines}{length}\r\n{body}"));
        client.response()
    }

    fn get(&self, path: &str) -> Response {
        self.ask("GET", path, "", "")
    }

    /// Asks, and returns what the cache did.
    fn cache(&self, path: &str) -> String {
        self.get(path).cache().to_owned()
    }

    /// Asks, and returns what the first application was asked for it.
    fn asked(&self, path: &str) -> Asked {
        let response = self.get(path);
        assert_eq!(response.status(), 200, "{path}: {response}");
        last(&self.first)
    }
}

fn last(origin: &Origin) -> Asked {
    origin.requests().pop().expect("the application was asked")
}

fn reverse_proxy(visit: &Visit) {
    let asked = visit.asked("/a?b=c");
    assert_eq!(asked.line(), "GET /a?b=c HTTP/1.0");
    assert_eq!(asked.field("Host"), Some("www.example.org"));
    assert_eq!(asked.field("X-Real-IP"), Some("127.0.0.1"));
    assert_eq!(asked.field("Connection"), Some("close"));
}

fn uri_mapping(visit: &Visit) {
    let cases = [
        ("/shop/cart?id=7", "/shop/cart?id=7"),
        ("/journal/today", "/wordpress/today"),
        ("/blog/my-post", "/wordpress//my-post"),
        ("/blog", "/wordpress/"),
        ("/v2/users?page=2", "/users?page=2"),
        ("/verbatim/a%2Fb//c", "/verbatim/a%2Fb//c"),
    ];
    for (path, target) in cases {
        assert_eq!(visit.asked(path).target(), target, "{path}");
    }
    assert_eq!(visit.get("/pictures/a.png").text(), "second");
    assert_eq!(last(&visit.second).target(), "/pictures/a.png");
}

fn rewrites(visit: &Visit) {
    let moved = visit.get("/blog/2024/news?page=2");
    let to = moved.field("Location").unwrap_or_default();
    assert!(moved.status() == 301 && to.ends_with("/journal/2024-news?page=2"), "{moved}");
    let mut old = visit.server.client();
    old.send("GET /a?b HTTP/1.1\r\nHost: old.example.com\r\n\r\n");
    let old = old.response();
    assert_eq!((old.status(), old.field("Location")), (301, Some("http://example.com/a?b")));
    for (path, target, language) in
        [("/a?b", "/a?b", "en"), ("/de/a?b", "/a?b", "de"), ("/fr/team/alice", "/people?who=alice", "fr")]
    {
        let asked = visit.asked(path);
        assert_eq!((asked.target(), asked.field("X-Language")), (target, Some(language)), "{path}");
    }
    assert_eq!(visit.asked("/team/al%20ice?x=1").target(), "/people?who=al%20ice&x=1");
    assert_eq!(visit.get("/item/7?from=here").text(), "second");
    assert_eq!(last(&visit.second).target(), "/catalogue?id=7");
    assert_eq!(visit.get("/item/seven").status(), 404);
    assert_eq!(visit.get("/catalogue?id=7").status(), 404, "rewrites only");
    let report = |method, lines| visit.ask(method, "/reports/x", lines, "");
    assert_eq!(report("GET", "").text(), "second");
    assert_eq!(report("GET", "User-Agent: A-Bot/1\r\n").text(), "third");
    assert_eq!(report("DELETE", "").text(), "a token is needed\n");
    assert_eq!(report("DELETE", "X-Token: 1\r\n").text(), "second");
}

fn try_files(visit: &Visit) {
    for (path, text) in [
        ("/", "the index"),
        ("/docs/", "the docs"),
        ("/panel/any/path", "the panel"),
        ("/pictures/cat", "a cat"),
        ("/pictures/cat?size=large", "a large cat"),
        ("/pictures/cat?size=small", "a cat"),
        ("/shop/x", "second"),
    ] {
        assert_eq!(visit.get(path).text(), text, "{path}");
    }
    assert_eq!(visit.first.request_count(), 0);
    assert_eq!(visit.asked("/else/a%20b?c").target(), "/else/a%20b?c");
    let slash = visit.get("/docs");
    assert_eq!(slash.status(), 301);
    assert_eq!(visit.get("/pictures/dog").status(), 404);
    assert_eq!(visit.get("/closed.html").status(), 404, "error pages only");
    fs::write(visit.server.dir().join("public/closed"), "").unwrap();
    let closed = visit.get("/shop/x");
    assert_eq!((closed.status(), closed.text().as_str()), (503, "closed"));
}

fn usual_options(visit: &Visit) {
    assert_eq!([visit.cache("/"), visit.cache("/")], ["MISS", "HIT"]);
    let asked = last(&visit.first);
    for (name, value) in [
        ("Host", "example.org"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "example.org"),
        ("Connection", "upgrade"),
    ] {
        assert_eq!(
            asked.field(name).map(|found| found.replace("www.", "")),
            Some(value.to_owned()),
            "{name}"
        );
    }
    assert_eq!(asked.field("Upgrade"), None);
    let upgraded = visit.ask("GET", "/", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "");
    assert_eq!(upgraded.cache(), "BYPASS");
    assert_eq!(last(&visit.first).field("Upgrade"), Some("websocket"));
}

fn source_address(visit: &Visit) {
    for (path, from) in [
        ("/", "127.0.0.10"),
        ("/near/", "127.0.0.1"),
        ("/tenant/?unit=11", "127.0.0.11"),
        ("/tenant/?unit=none", "127.0.0.1"),
        ("/any/", "127.0.0.1"),
    ] {
        assert_eq!(visit.asked(path).peer.ip().to_string(), from, "{path}");
    }
}

/// The way back needs routes, but for the client's own machine.
fn transparent(visit: &Visit) {
    let response = visit.get("/");
    if nix::unistd::geteuid().is_root() {
        assert_eq!(response.text(), "first");
        assert_eq!(last(&visit.first).peer.ip().to_string(), "127.0.0.1");
    } else {
        assert_eq!(response.status(), 500);
        visit.server.wait_for_log("setsockopt(IP_TRANSPARENT) failed (1: Operation not permitted)");
    }
}

fn uploads(visit: &Visit) {
    assert_eq!(visit.ask("POST", "/stream/", "", "film").text(), "first");
    assert_eq!(last(&visit.first).body, b"film");
    let path = {
        assert_eq!(visit.ask("POST", "/by-name/", "", "film").text(), "first");
        let asked = last(&visit.first);
        assert_eq!((asked.field("Content-Length"), asked.body.len()), (None, 0));
        asked.field("X-Upload").expect("a file is named").to_owned()
    };
    assert!(path.ends_with("/uploads/1/00/0000000001"), "{path}");
    wait_until("the file is gone", || !Path::new(&path).exists());
    visit.ask("PUT", "/notify/?topic=films", "", "anything");
    let asked = last(&visit.first);
    assert_eq!(asked.line(), "POST /notify/?topic=films HTTP/1.0");
    assert_eq!(asked.body, b"topic=films&from=127.0.0.1");
}

fn upstream_group(visit: &Visit) {
    let mut client = visit.server.client();
    let bodies: Vec<_> = (0..6).map(|_| client.get("/").text()).collect();
    assert_eq!(bodies.iter().filter(|body| *body == "first").count(), 4, "{bodies:?}");
    assert_eq!(bodies.iter().filter(|body| *body == "second").count(), 2, "{bodies:?}");
    assert_eq!(last(&visit.first).line(), "GET / HTTP/1.1");
    assert_eq!(last(&visit.first).field("Connection"), None);
    assert_eq!(visit.first.connection_count(), 1, "the idle connection was used again");
    // Both refuse: the backup answers, and the client does not notice.
    for origin in [&visit.first, &visit.second] {
        origin.restart((0..4).map(|_| answer(503).body("busy")));
    }
    assert_eq!(visit.get("/").text(), "third");
}

fn health_checks(visit: &Visit) {
    for origin in [&visit.first, &visit.second] {
        wait_until("it is checked", || {
            origin.requests().iter().any(|asked| asked.line() == "GET /ready HTTP/1.0")
        });
    }
    wait_until("both are in use", || visit.get("/").text() == "second");
    assert_eq!(visit.get("/").text(), "first");
}

fn balancing(visit: &Visit) {
    let body = |path: &str| visit.get(path).text();
    let keys: Vec<String> = (0..8).map(|number| format!("/images/{number}.png")).collect();
    let first_time: Vec<String> = keys.iter().map(|key| body(key)).collect();
    let second_time: Vec<String> = keys.iter().map(|key| body(key)).collect();
    assert_eq!(first_time, second_time, "an image is always at the same server");
    let reports: Vec<String> = (0..3).map(|_| body("/reports/")).collect();
    assert_eq!(reports.iter().collect::<BTreeSet<_>>().len(), 3, "{reports:?}");
    assert_eq!(body("/chat/"), body("/chat/"));
    assert!(["first", "second", "third"].contains(&body("/").as_str()));
}

fn sticky_sessions(visit: &Visit) {
    let answer = visit.get("/");
    let cookie = answer.field("Set-Cookie").expect("a first visit gets a cookie").to_owned();
    assert!(cookie.starts_with("server=") && cookie.ends_with("path=/; samesite=lax; httponly"), "{cookie}");
    let pair = cookie.split(';').next().expect("it has a value").to_owned();
    for _ in 0..3 {
        let mut client = visit.server.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {pair}\r\n\r\n"));
        let again = client.response();
        assert_eq!((again.text(), again.field("Set-Cookie")), (answer.text(), None));
    }
    assert_eq!(visit.get("/api/?node=second").text(), "second");
    assert_eq!(visit.get("/api/?node=first").text(), "first");
}

fn names_that_change(visit: &Visit) {
    let bodies: Vec<_> = (0..6).map(|_| visit.get("/").text()).collect();
    assert_eq!(bodies.iter().filter(|body| *body == "first").count(), 4, "{bodies:?}");
    assert_eq!(bodies.iter().filter(|body| *body == "second").count(), 2, "{bodies:?}");
    let nobody = visit.get("/tenant/?tenant=nobody");
    assert_eq!((nobody.status(), nobody.text().as_str()), (404, "There is no such tenant.\n"));
    assert_eq!(visit.get("/reports/").status(), 502);
}

fn headers(visit: &Visit) {
    visit.first.restart([answer(200).field("X-Powered-By", "magic").field("Server", "app/1").body("x")]);
    let lines = "X-Forwarded-For: 192.0.2.7\r\nAccept-Encoding: gzip\r\n";
    let response = visit.ask("GET", "/", lines, "");
    let asked = last(&visit.first);
    let port = visit.first.address().port().to_string();
    assert_eq!(asked.field("Host"), Some(format!("www.example.org:{port}").as_str()));
    assert_eq!(asked.field("X-Real-IP"), Some("127.0.0.1"));
    assert_eq!(asked.field("X-Forwarded-For"), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(asked.field("X-Forwarded-Proto"), Some("http"));
    assert_eq!(asked.field("X-Forwarded-Host"), Some("www.example.org"));
    assert_eq!(asked.field("X-Forwarded-Port"), Some(visit.server.address().port().to_string().as_str()));
    assert_eq!(asked.field("Accept-Encoding"), None);
    assert_eq!(response.field("X-Powered-By"), None);
    assert_eq!(response.field("Server"), Some("app/1"));
    assert_eq!(response.field("X-Served-By"), Some("larder"));
    let own_name = visit.first.address().to_string();
    for (path, host) in
        [("/plain/", own_name.as_str()), ("/unchanged/", "www.example.org"), ("/named/", "www.example.org")]
    {
        visit.first.restart([answer(200)]);
        let asked = visit.asked(path);
        assert_eq!((asked.field("Host"), asked.field("Connection")), (Some(host), Some("close")), "{path}");
    }
}

fn redirects(visit: &Visit) {
    let inside = visit.first.address();
    let outside = format!("http://www.example.org:{}", visit.server.address().port());
    let cases = [
        ("/one/", format!("http://{inside}/inner/x"), format!("{outside}/one/x")),
        ("/two/", "http://app.internal/two/x".to_owned(), format!("{outside}/two/x")),
        ("/two/", "http://app.internal:9000/y".to_owned(), format!("{outside}/y")),
        ("/three/", "http://app.internal:81/three/z".to_owned(), format!("{outside}/three/z")),
        ("/five/", format!("http://{inside}/base/x"), format!("{outside}/five/x")),
        ("/five/", "http://plain.internal:8000/x".to_owned(), format!("{outside}/x")),
        ("/five/", "http://secure.internal/x".to_owned(), "https://www.example.org/x".to_owned()),
        ("/five/", "http://other.internal:9000/x".to_owned(), "http://other.internal/x".to_owned()),
        ("/five/", "http://x/People/joe/a/b".to_owned(), "http://joe.example.org/a/b".to_owned()),
        ("/six/", format!("http://{inside}:8000/x"), format!("{outside}/x")),
        ("/six/", "/six/x".to_owned(), format!("{outside}/six/x")),
        ("/four/", "http://app.internal/four/x".to_owned(), "http://app.internal/four/x".to_owned()),
    ];
    for (path, said, wanted) in cases {
        visit.first.restart([answer(302).field("Location", &said).body("")]);
        assert_eq!(visit.get(path).field("Location"), Some(wanted.as_str()), "{path} {said}");
    }
}

fn cookies(visit: &Visit) {
    for (path, said, wanted) in [
        ("/plain/", "a=1; Domain=localhost; Path=/app/x", "a=1; Domain=example.org; Path=/x"),
        ("/by-request/", "a=1; domain=backend.www.example.org", "a=1; domain=www.example.org"),
        ("/by-request/", "a=1; path=/by-request/x", "a=1; path=/seen/by-request/x"),
        (
            "/by-pattern/",
            "a=1; domain=app.example.com; path=/Members/joe",
            "a=1; domain=example.com; path=/m/joe",
        ),
        ("/in-order/", "a=1; domain=.localhost; path=/old/x", "a=1; domain=.example.org; path=/x"),
        ("/in-order/", "a=1; domain=app.example.com; path=/x", "a=1; domain=example.com; path=/new/x"),
        ("/flags/", "session=1; Secure", "session=1; Secure; HttpOnly"),
        ("/flags/", "other=1; Secure", "other=1; SameSite=Strict"),
    ] {
        visit.first.restart([answer(200).field("Set-Cookie", said).body("")]);
        assert_eq!(visit.get(path).field("Set-Cookie"), Some(wanted), "{path} {said}");
    }
}

fn websocket(visit: &Visit) {
    let agreed = answer(101).field("Upgrade", "websocket").field("Connection", "upgrade");
    visit.first.restart([agreed.then(Part::Echo)]);
    let mut client = visit.server.client();
    client.send("GET /live/chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let response = client.head_only();
    assert_eq!(response.status(), 101, "{response}");
    assert_eq!(last(&visit.first).field("Upgrade"), Some("websocket"));
    assert_eq!(last(&visit.first).field("Connection"), Some("upgrade"));
    for said in ["one", "another"] {
        assert_eq!(client.send(said).bytes(said.len()), said.as_bytes());
    }
}

fn unix_socket(visit: &Visit) {
    relay(&visit.server.dir().join("app.sock"), visit.first.address());
    assert_eq!(visit.asked("/a").target(), "/a");
    assert_eq!(visit.asked("/direct/a").target(), "/direct/a");
    let asked = visit.asked("/v1/users");
    assert_eq!(asked.target(), "/api/users");
    assert_eq!(asked.field("Host"), Some("www.example.org"));
}

/// Listens on a path and passes each connection on to an origin.
fn relay(path: &Path, origin: SocketAddr) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(origin) else { return };
            let (near_reads, far_writes) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || pass(near_reads, far_writes, |far| far.shutdown(Shutdown::Write)));
            thread::spawn(move || pass(far, near, |near: UnixStream| near.shutdown(Shutdown::Both)));
        }
    });
}

fn pass<To: io::Write>(mut from: impl Read, mut to: To, end: impl FnOnce(To) -> io::Result<()>) {
    // Either side may leave at any time, and that ends it.
    let _ = io::copy(&mut from, &mut to);
    let _ = end(to);
}

fn timeouts_and_buffers(visit: &Visit) {
    let long = "x".repeat(300_000);
    visit.first.restart([answer(200).body(&long), Reply::silence()]);
    assert_eq!(visit.get("/long").text(), long);
    assert_eq!(visit.get("/silent").status(), 504);

    let gate = Gate::closed();
    visit.first.restart([answer(200).declared(9).bytes("tick").wait(&gate).bytes(" tock")]);
    let mut client = visit.server.client();
    client.send("GET /events/ HTTP/1.1\r\nHost: a\r\n\r\n").head_only();
    assert_eq!(client.bytes(4), b"tick", "the first piece comes before the second is there");
    gate.open();
    assert_eq!(client.bytes(5), b" tock");

    visit.first.restart([answer(200).body("taken")]);
    let mut client = visit.server.client();
    client.send("PUT /upload/f HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nfirst");
    wait_until("the application is connected before the body is whole", || {
        visit.first.connection_count() > 3
    });
    client.send("!");
    assert_eq!(client.response().text(), "taken");
    assert_eq!(last(&visit.first).body, b"first!");
}

fn without_the_body(visit: &Visit) {
    for (path, passes_fields) in [("/check/a", true), ("/bare/a", false)] {
        let response = visit.ask("POST", path, "X-Mine: 1\r\n", "secret");
        assert_eq!(response.text(), "first", "{path}");
        let asked = last(&visit.first);
        assert_eq!(asked.line(), format!("GET {path} HTTP/1.0"));
        assert_eq!((asked.field("Content-Length"), asked.body.as_slice()), (None, b"".as_slice()), "{path}");
        assert_eq!(asked.field("X-Mine").is_some(), passes_fields, "{path}");
    }
}

fn trailers(visit: &Visit) {
    let reply = answer(200).field("Transfer-Encoding", "chunked").field("Trailer", "X-Sum");
    visit.first.restart([reply.chunk("hello").bytes("0\r\nX-Sum: 5\r\n\r\n")]);
    let response = visit.ask("GET", "/", "TE: trailers\r\nConnection: te\r\n", "");
    assert_eq!(response.text(), "hello");
    assert_eq!(response.trailers, [("X-Sum".to_owned(), "5".to_owned())]);
    assert_eq!(last(&visit.first).field("TE"), Some("trailers"));
}

fn cache(visit: &Visit) {
    assert_eq!([visit.cache("/a"), visit.cache("/a")], ["MISS", "HIT"]);
    assert_eq!(visit.server.get_at_once("/b", 20).bodies(), ["first"; 20]);
    assert_eq!(visit.first.request_count(), 2, "one for /a, one for /b");

    // An answer that is stale at once: shown, and renewed behind the scenes.
    visit.first.restart([
        answer(200).field("X-Accel-Expires", "@1").field("ETag", "\"1\"").body("old"),
        answer(200).body("new"),
    ]);
    assert_eq!(visit.get("/c").text(), "old");
    let stale = visit.get("/c");
    assert_eq!((stale.text().as_str(), stale.cache()), ("old", "STALE"));
    wait_until("the new one is there", || visit.get("/c").text() == "new");
    assert_eq!(visit.first.requests()[1].field("If-None-Match"), Some("\"1\""));
}

fn cache_rfc(visit: &Visit) {
    let kept = |body: &str| answer(200).field("Cache-Control", "no-store, CDN").body(body);
    let minute = |body: &str| answer(200).field("Cache-Control", "max-age=60").body(body);
    visit.first.restart([
        minute("1").field("Set-Cookie", "a=b"),
        answer(204),
        minute("2"),
        kept("3").field("Example-Cache-Control", "max-age=60").field("CDN-Cache-Control", "no-store"),
        answer(200).body("4"),
        answer(200).body("5"),
        minute("6").field("Set-Cookie", "a=b"),
        minute("7").field("Set-Cookie", "a=b"),
    ]);
    assert_eq!([visit.cache("/a"), visit.cache("/a")], ["MISS", "HIT"]);
    assert_eq!(visit.get("/a").field("Set-Cookie"), None);
    visit.ask("PUT", "/a", "", "new");
    assert_eq!([visit.cache("/a"), visit.cache("/a")], ["MISS", "HIT"]);
    assert_eq!([visit.cache("/targeted"), visit.cache("/targeted")], ["MISS", "HIT"]);
    assert_eq!([visit.cache("/unsaid"), visit.cache("/unsaid")], ["MISS", "MISS"]);
    assert_eq!([visit.cache("/account/"), visit.cache("/account/")], ["MISS", "MISS"]);
}

fn cache_times(visit: &Visit) {
    let refuses =
        |body: &str| answer(200).field("Cache-Control", "no-cache").field("Set-Cookie", "a=b").body(body);
    visit.first.restart([
        answer(200).body("1"),
        answer(404).body("2"),
        refuses("3"),
        refuses("4"),
        answer(404).body("5"),
        answer(404).body("6"),
        refuses("7"),
    ]);
    let steps = [
        ("/a", "1", "MISS"),
        ("/a", "1", "HIT"),
        ("/missing", "2", "MISS"),
        ("/missing", "2", "HIT"),
        ("/refused", "3", "MISS"),
        ("/refused", "4", "MISS"),
        ("/brief/missing", "5", "MISS"),
        ("/brief/missing", "6", "MISS"),
        ("/assets/a.css", "7", "MISS"),
        ("/assets/a.css", "7", "HIT"),
    ];
    for (path, body, status) in steps {
        let response = visit.get(path);
        assert_eq!((response.text().as_str(), response.cache()), (body, status), "{path}");
    }
    assert_eq!(visit.get("/assets/a.css").field("Set-Cookie"), None);
    visit.first.restart((0..3).map(|_| answer(200).body("rare")));
    for _ in 0..3 {
        assert_ne!(visit.cache("/seldom/a"), "HIT");
    }
    assert_eq!(visit.cache("/seldom/a"), "HIT");
}

fn cache_bypass(visit: &Visit) {
    visit.first.restart(["1", "2", "3", "4", "5"].map(|body| answer(200).body(body)));
    let steps = [
        ("/a", "", "1", "MISS"),
        ("/a", "", "1", "HIT"),
        ("/a?refresh=0", "", "1", "HIT"),
        ("/a?refresh=1", "", "2", "BYPASS"),
        ("/a", "", "2", "HIT"),
        ("/a", "Pragma: no-cache\r\n", "3", "BYPASS"),
        ("/a", "Authorization: Basic YTpi\r\n", "4", "BYPASS"),
        ("/a", "", "3", "HIT"),
        ("/b", "Cookie: preview=1\r\n", "5", "MISS"),
    ];
    for (path, lines, body, status) in steps {
        if status == "HIT" {
            // What a bypass brought takes the old answer's place as soon as its file is there.
            wait_until("the new answer is served", || visit.ask("GET", path, lines, "").text() == body);
        }
        let response = visit.ask("GET", path, lines, "");
        assert_eq!((response.text().as_str(), response.cache()), (body, status), "{path} {lines}");
    }
    visit.first.restart([answer(200).body("6")]);
    assert_eq!(visit.get("/b").text(), "6", "the preview was not stored");
    let steps = [
        ("?nocache=0", "", "MISS"),
        ("?comment=7", "", "BYPASS"),
        ("?nocache=0&comment=0", "", "BYPASS"),
        ("", "Cookie: nocache=1\r\n", "BYPASS"),
        ("", "", "HIT"),
    ];
    for (arguments, lines, status) in steps {
        visit.first.restart([answer(200).body("news")]);
        assert_eq!(visit.ask("GET", &format!("/news/{arguments}"), lines, "").cache(), status, "{arguments}");
    }
}

fn cache_key(visit: &Visit) {
    let post = |body| visit.ask("POST", "/search", "", body).cache().to_owned();
    assert_eq!([post("q=a"), post("q=b"), post("q=a")], ["MISS", "MISS", "HIT"]);
    assert_eq!([visit.cache("/static/a?v=1"), visit.cache("/static/a?v=2")], ["MISS", "HIT"]);
    assert_eq!(
        ["/shared/a?v=1", "/shared/a?v=2", "/shared/a?v=1", "/shared/a"].map(|path| visit.cache(path)),
        ["MISS", "MISS", "HIT", "MISS"]
    );
    let user =
        |name: &str| visit.ask("GET", "/page", &format!("Cookie: user={name}\r\n"), "").cache().to_owned();
    assert_eq!([user("anna"), user("bert"), user("anna")], ["MISS", "MISS", "HIT"]);
}

fn error_pages(visit: &Visit) {
    let replies = [404, 500, 403, 410, 200].map(|status| answer(status).body("app"));
    visit.first.restart(replies);
    let steps = [(404, "our 404"), (200, "second"), (404, "our 404")];
    for (status, body) in steps {
        let response = visit.get("/a");
        assert_eq!((response.status(), response.text().as_str()), (status, body));
    }
    let moved = visit.get("/a");
    assert_eq!((moved.status(), moved.field("Location")), (302, Some("http://archive.example.org/")));
    assert_eq!(visit.get("/a").text(), "app");
    let dead = visit.get("/dead/a");
    assert_eq!((dead.status(), dead.text().as_str()), (200, "our apology"));
    let direct = visit.get("/not-found.html");
    assert_eq!(direct.status(), 404);
    assert_ne!(direct.text(), "our 404", "internal redirects only");
}

fn static_mirror(visit: &Visit) {
    assert_eq!(visit.get("/images/here.png").text(), "from disk");
    assert_eq!(visit.get("/docs/here.txt").text(), "from disk");
    assert_eq!(visit.first.request_count(), 0);
    for (path, target) in [("/images/there.png", "/images/there.png"), ("/docs/there.txt", "/docs/there.txt")]
    {
        assert_eq!(visit.asked(path).target(), target);
        let again = visit.get(path);
        assert_eq!((again.text().as_str(), again.cache()), ("first", "HIT"), "{path}");
    }
    assert_eq!(visit.get("/fetch/images/there.png").status(), 404, "internal redirects only");
}

fn slice(visit: &Visit) {
    let film = Ranged::new(5 << 19, "film");
    let served = film.clone();
    visit.first.answer_by(move |asked| served.reply(asked));
    let end = visit.ask("GET", "/videos/film", "Range: bytes=2500000-2500099\r\n", "");
    assert_eq!((end.status(), end.cache(), &end.body[..]), (206, "MISS", &film.body[2_500_000..2_500_100]));
    assert_eq!(last(&visit.first).field("Range"), Some("bytes=2097152-3145727"));
    assert!(visit.get("/videos/film").body == film.body);
    assert_eq!(visit.first.request_count(), 3, "the last slice was stored");
    assert_eq!(visit.get("/pictures/a").body.len(), film.body.len());
    let cut = visit.ask("GET", "/pictures/a", "Range: bytes=-2\r\n", "");
    assert_eq!((cut.status(), cut.cache(), cut.body.len()), (206, "HIT", 2));
}

fn gzip(visit: &Visit) {
    let accepts = "Accept-Encoding: gzip\r\n";
    let page = "a line of the page\n".repeat(100);
    let html = || answer(200).field("Content-Type", "text/html");
    let is_packed = |response: &Response| response.field("Content-Encoding") == Some("gzip");
    let plain = |response: &Response| {
        let mut text = String::new();
        GzDecoder::new(&response.body[..]).read_to_string(&mut text).unwrap();
        text
    };
    visit.first.restart((0..2).map(|_| html().body(&page)));
    for path in ["/a", "/pages/a", "/pages/a"] {
        let response = visit.ask("GET", path, accepts, "");
        assert!(is_packed(&response) && plain(&response) == page, "{path} {response}");
        assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
    }
    let stored = visit.get("/pages/a");
    assert_eq!((stored.text(), stored.cache()), (page.clone(), "HIT"));

    let packed = visit.ask("GET", "/pages/a", accepts, "").body;
    visit.first.restart([
        html().field("Content-Encoding", "gzip").body(packed),
        html().body("short"),
        html().body(&page),
    ]);
    assert_eq!(visit.get("/packed/a").text(), page);
    assert!(!is_packed(&visit.ask("GET", "/b", accepts, "")));
    assert!(!is_packed(&visit.ask(
        "GET",
        "/c",
        &format!("{accepts}Via: 1.1 proxy\r\nUser-Agent: MSIE 6.0;\r\n"),
        ""
    )));
}

fn ssi(visit: &Visit) {
    assert_eq!(visit.get("/shop.html").text(), "first|second|no basket|guest");
    wait_until("the menu is stored", || {
        let before = visit.first.request_count();
        visit.ask("GET", "/shop.html?name=<Ann>", "If-None-Match: \"x\"\r\n", "");
        visit.first.request_count() == before
    });
    assert_eq!(visit.get("/shop.html?name=<Ann>").text(), "first|second|no basket|&lt;Ann&gt;");
    assert_eq!(last(&visit.second).field("If-None-Match"), None);
    assert_eq!(visit.get("/menu").status(), 404, "pages only");
    let page = "[<!--#include virtual=\"/offers/a\" --><!--#nonsense -->]";
    visit.third.restart([answer(200).field("Content-Type", "text/html").body(page)]);
    assert_eq!(visit.get("/app/").text(), "[second]");
}

fn mirrored_files(visit: &Visit) {
    for (path, file) in [("/photos/a.jpg", "www/photos/a.jpg"), ("/downloads/b.zip", "www/downloads/b.zip")] {
        assert_eq!(visit.asked(path).target(), path);
        visit.server.wait_for_text(file, "first");
        let asked = visit.first.request_count();
        assert_eq!(visit.get(path).text(), "first", "{path} from disk");
        assert_eq!(visit.first.request_count(), asked, "{path}");
    }
    assert_eq!(visit.get("/pull/photos/a.jpg").status(), 404, "internal redirects only");
    assert_eq!(visit.get("/pages/home?lang=de").text(), "second");
    visit.server.wait_for_text("www/kept/pages/home-de.html", "second");
}

fn production(visit: &Visit) {
    assert_eq!([visit.cache("/"), visit.cache("/")], ["MISS", "HIT"]);
    assert_eq!(visit.get("/api/users").text(), "third");
    assert_eq!(last(&visit.third).target(), "/users");
    assert_eq!(last(&visit.third).field("Connection"), None);
    let file = visit.get("/static/site.css");
    assert_eq!(file.text(), "from disk");
    assert_eq!(file.fields.iter().filter(|(name, _)| name == "Cache-Control").count(), 2, "{file}");
    assert_eq!(visit.get("/health").text(), "ok\n");
    let mut stranger = visit.server.client();
    stranger.send("GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n");
    assert_eq!(stranger.rest().0, b"", "no answer for a name that is not ours");
    visit.server.wait_for_text("access.log", "cache=HIT");
}
