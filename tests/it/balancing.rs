//! Groups of real servers: shares under load, a server that dies and comes back, keys that find what they find in nginx,
//! queues and sessions.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use socket2::{Domain, Socket, Type};

use crate::support::{
    Conf, Gate, Origin, Server, answer, conf::free_port, http, peers::Program, reply::Reply, wait_until,
};

/// A server that tells its name.
fn named(name: &str, port: u16) -> Conf {
    http(&format!("server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:%PORT%; return 200 {name}; }}"))
}

/// Three servers that tell their names, and the lines that name them in a group.
struct Three {
    ports: [u16; 3],
    servers: Vec<Option<Server>>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Three {
    fn start() -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let start = |(name, port): (&&str, &u16)| Some(Server::start(&named(name, *port)));
        Self { ports, servers: NAMES.iter().zip(&ports).map(start).collect() }
    }

    /// The group's `server` lines.
    fn lines(&self, parameters: [&str; 3]) -> String {
        let line = |(port, parameters): (&u16, &str)| format!("server 127.0.0.1:{port} {parameters};\n");
        self.ports.iter().zip(parameters).map(line).collect()
    }

    fn proxy(&self, method: &str, parameters: [&str; 3]) -> Conf {
        http(&format!(
            "upstream three {{ {method} {} keepalive 16; }}
            server {{
                listen 127.0.0.1:%PORT%; keepalive_requests 100000;
                location / {{ proxy_pass http://three; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
            }}",
            self.lines(parameters)
        ))
    }
}

/// Asks so many times over some connections, and counts who answered.
fn shares(server: &Server, clients: usize, requests: usize) -> [usize; 3] {
    let counts = [const { AtomicUsize::new(0) }; 3];
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..requests / clients {
                    let name = client.get("/").text();
                    let index = NAMES.iter().position(|known| *known == name);
                    counts[index.expect("one of the three answers")].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    counts.map(AtomicUsize::into_inner)
}

#[test]
fn shares_follow_the_weights() {
    let three = Three::start();
    // Where several requests are under way, `least_conn` goes by who is quick: only one after the other are shares certain.
    // Two in a hundred of each share; chance has two in a hundred of all.
    for (method, clients, parameters, wanted, off) in [
        ("", 4, ["weight=5", "weight=3", "weight=2"], [5000, 3000, 2000], [100, 60, 40]),
        ("least_conn;", 1, ["weight=2", "", ""], [5000, 2500, 2500], [100, 50, 50]),
        ("random;", 4, ["weight=2", "", ""], [5000, 2500, 2500], [200, 200, 200]),
    ] {
        let server = Server::start(&three.proxy(method, parameters));
        let shares = shares(&server, clients, 10_000);
        let near = |((share, wanted), off): ((&usize, usize), usize)| share.abs_diff(wanted) <= off;
        assert!(shares.iter().zip(wanted).zip(off).all(near), "\"{method}\": {shares:?}, not {wanted:?}");
    }
}

#[test]
fn a_server_that_dies_and_comes_back_costs_no_get() {
    let mut three = Three::start();
    let mut server =
        Server::start(&three.proxy("", ["fail_timeout=1s", "fail_timeout=1s", "fail_timeout=1s"]));
    for expected in
        ["connect() failed", "upstream prematurely closed", "recv() failed", "temporarily disabled"]
    {
        server.allow_in_log(expected);
    }
    let over = AtomicBool::new(false);
    let answered = NAMES.map(|_| AtomicUsize::new(0));
    let count = |index: usize| answered[index].load(Ordering::Relaxed);
    let total = || (0..3).map(count).sum::<usize>();
    let more_than = |before: usize| move |now: usize| now >= before + 200;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                while !over.load(Ordering::Relaxed) {
                    let response = client.get("/");
                    assert_eq!(response.status(), 200);
                    let index = NAMES.iter().position(|known| *known == response.text());
                    answered[index.expect("one of the three answers")].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("all three answer", || (0..3).all(|index| count(index) > 50));
        let killed = three.servers[1].take().expect("it runs");
        let dir = killed.kill_and_keep();
        let enough = more_than(total());
        wait_until("the others answer", || enough(total()));
        let before = count(1);
        three.servers[1] = Some(Server::start_in(&Program::larder(), &named("b", three.ports[1]), dir));
        wait_until("the one that was dead answers", || count(1) > before + 50);
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn keys_find_what_they_find_in_nginx() {
    let Some(nginx) = Program::nginx() else { return };
    let three = Three::start();
    for method in ["hash $arg_k consistent;", "hash $arg_k;"] {
        let conf = three.proxy(method, ["weight=2", "", "weight=3"]);
        let [ours, theirs] =
            [Program::larder(), nginx.clone()].map(|program| Server::start_program(&program, &conf));
        let (mut ours, mut theirs) = (ours.client(), theirs.client());
        for number in 0..1000 {
            let path = format!("/?k=key-{number}");
            assert_eq!(ours.get(&path).text(), theirs.get(&path).text(), "{method} {path}");
        }
    }
}

#[test]
fn addresses_find_what_they_find_in_nginx() {
    let Some(nginx) = Program::nginx() else { return };
    let three = Three::start();
    let conf = three.proxy("ip_hash;", ["weight=2", "", "weight=3"]);
    let [ours, theirs] = [Program::larder(), nginx].map(|program| Server::start_program(&program, &conf));
    for number in 0..200_u8 {
        let from = Ipv4Addr::new(127, number, number.wrapping_mul(37), 1);
        assert_eq!(ask_from(from, &ours), ask_from(from, &theirs), "{from}");
    }
}

/// Asks from an address of the loopback network, and returns the last byte of the answer.
fn ask_from(from: Ipv4Addr, server: &Server) -> u8 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("all of 127.0.0.0/8 is here");
    socket.connect(&server.address().into()).expect("the server accepts");
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("room");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    *answer.last().expect("an answer")
}

fn behind(inside: &str, origin: &Origin) -> Conf {
    http(&format!(
        "upstream group {{ {inside} }}
        server {{ listen 127.0.0.1:%PORT%; location / {{ proxy_pass http://group; }} }}"
    ))
    .origin(origin)
}

#[test]
fn requests_wait_in_the_queue_until_a_server_is_free() {
    let gate = Gate::closed();
    let slow = |name: &str| answer(200).declared(1).wait(&gate).bytes(name);
    let origin = Origin::script([slow("1"), answer(200).body("2"), answer(200).body("3")]);
    let mut server = Server::start(&behind("server %ORIGIN% max_conns=1; queue 2;", &origin));
    server.allow_in_log("no live upstreams");
    let mut first = server.client();
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    let (sender, statuses) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..3 {
            let sender = sender.clone();
            let server = &server;
            scope.spawn(move || sender.send(server.get("/2").status()).expect("the test waits"));
        }
        assert_eq!(statuses.recv(), Ok(502), "the queue has room for two");
        gate.open();
        assert_eq!([statuses.recv(), statuses.recv()], [Ok(200), Ok(200)]);
    });
    assert_eq!(first.response().text(), "1");
}

#[test]
fn a_request_waits_no_longer_than_it_may() {
    let gate = Gate::closed();
    let origin = Origin::script([answer(200).declared(1).wait(&gate).bytes("1")]);
    let conf = behind("server %ORIGIN% max_conns=1; queue 1 timeout=50ms;", &origin)
        .with_text(|text| text.replace("proxy_pass", "access_log access.log waits; proxy_pass"))
        .with_text(|text| {
            text.replace("http {", "http { log_format waits '$uri $status $upstream_queue_time';")
        });
    let mut server = Server::start(&conf);
    server.allow_in_log("no live upstreams");
    let mut first = server.client();
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    assert_eq!(server.get("/2").status(), 502);
    gate.open();
    assert_eq!(first.response().text(), "1");
    server.wait_for_text("access.log", "/1 200 -\n");
    let lines = server.read("access.log");
    let waited = lines.lines().find_map(|line| line.strip_prefix("/2 502 ")).expect("a line of who waited");
    // How long exactly is the clock's affair.
    assert!(waited.parse::<f64>().is_ok_and(|seconds| seconds > 0.0), "{lines}");
}

/// Two origins that tell their names and begin a session each.
fn pair() -> [Origin; 2] {
    ["a", "b"].map(|name| {
        let reply: Reply = answer(200).body(name).field("Set-Cookie", &format!("session={name}-1; path=/"));
        Origin::always(reply)
    })
}

fn stuck(sticky: &str, [a, b]: &[Origin; 2]) -> Server {
    let servers = "server %ORIGIN% route=one; server %ORIGIN:b% route=two;";
    Server::start(&behind(&format!("{servers} {sticky}"), a).origin_named("b", b))
}

/// Asks with a cookie, and returns who answered and the last cookie that is set.
fn ask_with(server: &Server, path: &str, cookie: &str) -> (String, Vec<String>) {
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\n\r\n"));
    let response = client.response();
    let cookies = response.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"));
    let ours = cookies.map(|(_, value)| value.clone()).filter(|value| !value.starts_with("session="));
    (response.text(), ours.collect())
}

#[test]
fn a_cookie_binds_a_client() {
    let origins = pair();
    let server = stuck("sticky cookie srv domain=.$host path=/x httponly secure samesite=lax;", &origins);
    let attributes = "domain=.a.test; path=/x; samesite=lax; secure; httponly";
    let set = |route: &str| vec![format!("srv={route}; {attributes}")];
    assert_eq!(ask_with(&server, "/", "x=y"), ("a".to_owned(), set("one")));
    assert_eq!(ask_with(&server, "/", "x=y"), ("b".to_owned(), set("two")));
    for _ in 0..3 {
        assert_eq!(ask_with(&server, "/", "x=y; srv=two"), ("b".to_owned(), Vec::new()));
    }
    let (name, set) = ask_with(&server, "/", "srv=nobody");
    assert_eq!((name.as_str(), set.len()), ("a", 1));
}

#[test]
fn a_cookie_lasts_as_long_as_it_says() {
    let origins = pair();
    for (expires, wanted) in
        [("1h", "; max-age=3600"), ("max", "expires=Thu, 31 Dec 2037 23:55:55 GMT; max-age=")]
    {
        let server = stuck(&format!("sticky cookie srv expires={expires};"), &origins);
        let (_, set) = ask_with(&server, "/", "");
        assert!(set[0].starts_with("srv=one; expires=") && set[0].contains(wanted), "{set:?}");
    }
}

#[test]
fn a_route_is_found_in_the_first_value_that_has_one() {
    let origins = pair();
    let server = stuck("sticky route $cookie_route $arg_route;", &origins);
    for (path, cookie, wanted) in [
        ("/", "route=two", "b"),
        ("/", "route=one", "a"),
        ("/?route=two", "", "b"),
        ("/?route=one", "route=two", "b"),
        ("/?route=one", "x=y", "a"),
    ] {
        assert_eq!(ask_with(&server, path, cookie), (wanted.to_owned(), Vec::new()), "{path} {cookie}");
    }
}

#[test]
fn a_session_is_learned_from_an_answer() {
    for header in ["", "header"] {
        let origins = pair();
        let server = stuck(
            &format!(
                "sticky learn create=$upstream_cookie_session lookup=$cookie_session zone=s:1m {header};"
            ),
            &origins,
        );
        assert_eq!(ask_with(&server, "/", "").0, "a");
        assert_eq!(ask_with(&server, "/", "").0, "b");
        for name in ["b", "b", "a", "b", "a", "a"] {
            assert_eq!(ask_with(&server, "/", &format!("session={name}-1")).0, name, "{header}");
        }
    }
}

#[test]
fn a_server_that_drains_keeps_its_clients() {
    let origins = pair();
    let [a, b] = &origins;
    let inside = "server %ORIGIN% route=one drain; server %ORIGIN:b% route=two; sticky route $arg_route;";
    let server = Server::start(&behind(inside, a).origin_named("b", b));
    for (path, wanted) in [("/", "b"), ("/?route=one", "a"), ("/", "b"), ("/?route=one", "a")] {
        assert_eq!(server.get(path).text(), wanted, "{path}");
    }
}
