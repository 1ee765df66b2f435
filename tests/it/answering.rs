//! What of an origin's answer reaches the client when: interim answers, first events, trailers.

use crate::support::{
    Conf, Gate, Origin, Server, answer,
    client::{Client, To},
    reply::Reply,
    servers,
};

const HINTS: &str =
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hidden: yes\r\nServer: origin\r\n\r\n";
const HINTS_PASSED: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

fn conf(origin: &Origin) -> Conf {
    servers(
        "early_hints $http_x_hints $arg_hints; proxy_http_version 1.1; proxy_hide_header X-Hidden;
        location / { proxy_pass http://%ORIGIN%; }
        location /cached/ { proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
        location /off/ { early_hints 0 ''; proxy_pass http://%ORIGIN%; }",
    )
    .with_text(|text| text.replace("http {", "http { proxy_cache_path cache keys_zone=zone:1m;"))
    .origin(origin)
}

/// An origin that gives hints, and the answer once the gate is open.
fn hinting(gate: &Gate) -> Reply {
    Reply::raw(HINTS).wait(gate).bytes(FINAL)
}

fn ask(server: &Server, path: &str) -> Client {
    let mut client = server.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

#[test]
fn early_hints_are_passed_on_before_the_answer_comes() {
    for path in ["/?hints=1", "/cached/?hints=1"] {
        let gate = Gate::closed();
        let origin = Origin::script([hinting(&gate)]);
        let server = Server::start(&conf(&origin));
        let mut client = ask(&server, path);
        assert_eq!(String::from_utf8_lossy(&client.bytes(HINTS_PASSED.len())), HINTS_PASSED, "{path}");
        gate.open();
        assert_eq!(client.response().text(), "body", "{path}");
    }
}

#[test]
fn early_hints_are_passed_on_only_where_they_are_wanted() {
    let gate = Gate::closed();
    gate.open();
    let origin = Origin::script([hinting(&gate), hinting(&gate), hinting(&gate), hinting(&gate)]);
    let server = Server::start(&conf(&origin));
    for (name, request) in [
        ("no condition holds", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("zero holds not", "GET /?hints=0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("other conditions here", "GET /off/?hints=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an old client", "GET /?hints=1 HTTP/1.0\r\nHost: a\r\n\r\n"),
    ] {
        let mut client = server.client();
        client.send(request);
        let response = client.response();
        assert_eq!((response.text().as_str(), response.interim.len()), ("body", 0), "{name}");
    }
}

#[test]
fn other_interim_answers_stay_here() {
    let text =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n{HINTS}{HINTS}{FINAL}");
    let origin = Origin::script([Reply::raw(text)]);
    let server = Server::start(&conf(&origin));
    let response = ask(&server, "/?hints=1").response();
    assert_eq!(response.text(), "body");
    assert_eq!(response.interim, ["HTTP/1.1 103 Early Hints", "HTTP/1.1 103 Early Hints"]);
}

#[test]
fn the_first_event_of_a_stream_arrives_before_the_second_is_sent() {
    let gates = [Gate::closed(), Gate::closed(), Gate::closed()];
    let events = |gate: &Gate| {
        answer(200)
            .field("Content-Type", "text/event-stream")
            .field("Transfer-Encoding", "chunked")
            .chunk("data: 1\n\n")
            .wait(gate)
            .chunk("data: 2\n\n")
            .bytes("0\r\n\r\n")
    };
    let origin = Origin::script(gates.iter().map(events));
    let server = Server::start(
        &conf(&origin)
            .with_text(|text| text.replace("early_hints $", "gzip on; gzip_types *; early_hints $")),
    );
    for (gate, path) in gates.iter().zip(["/", "/cached/", "/compressed"]) {
        let mut client = server.client();
        let accepted = if path == "/compressed" { "Accept-Encoding: gzip\r\n" } else { "" };
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{accepted}\r\n"));
        let head = client.head_only();
        assert_eq!(
            (head.status(), head.field("Content-Encoding").is_some()),
            (200, !accepted.is_empty()),
            "{head}"
        );
        match accepted {
            "" => assert_eq!(client.bytes(14), b"9\r\ndata: 1\n\n\r\n", "{path}"),
            // What a compressor makes of it is its own business; that something comes is ours.
            _ => assert_ne!(client.bytes(14), [0; 14]),
        }
        gate.open();
    }
}

#[test]
fn trailers_are_passed_on_where_that_is_asked_for() {
    let with_trailers = || {
        answer(200)
            .field("Transfer-Encoding", "chunked")
            .chunk("one")
            .bytes("0\r\nX-Sum: 3\r\nX-Hidden: yes\r\nServer: origin\r\n\r\n")
    };
    let origin = Origin::always(with_trailers());
    let conf = servers(
        "access_log access.log trailers; proxy_http_version 1.1; proxy_hide_header X-Hidden;
        proxy_set_header Connection te; proxy_set_header TE trailers;
        location / { proxy_pass_trailers on; add_trailer X-Own yes; proxy_pass http://%ORIGIN%; }
        location /cached/ { proxy_pass_trailers on; proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
        location /off/ { proxy_pass http://%ORIGIN%; }",
    )
    .with_text(|text| {
        let more = "http { log_format trailers '$uri $upstream_trailer_x_sum $sent_trailer_x_sum $sent_trailer_x_own';
            proxy_cache_path cache keys_zone=zone:1m;";
        text.replace("http {", more)
    })
    .origin(&origin);
    let server = Server::start(&conf);
    let sum = || ("X-Sum".to_owned(), "3".to_owned());
    let own = ("X-Own".to_owned(), "yes".to_owned());
    for (path, wanted) in [("/", vec![sum(), own]), ("/cached/", vec![sum()]), ("/off/", Vec::new())] {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"));
        let response = client.try_response(To::Get).expect("an answer");
        assert_eq!((response.text().as_str(), &response.trailers), ("one", &wanted), "{path}");
    }
    server.wait_for_text("access.log", "/off/ 3 - -");
    assert_eq!(server.read("access.log"), "/ 3 3 yes\n/cached/ 3 3 -\n/off/ 3 - -\n");
    assert!(origin.requests().iter().all(|asked| asked.field("TE") == Some("trailers")));
}

#[test]
fn fields_of_several_levels_are_merged_where_that_is_asked_for() {
    let origin =
        Origin::always(answer(200).field("Transfer-Encoding", "chunked").chunk("one").bytes("0\r\n\r\n"));
    let conf = servers(
        "add_header X-Level \"server $status\"; add_trailer X-End server; proxy_http_version 1.1;
        location / { proxy_pass http://%ORIGIN%; }
        location /merged/ {
            add_header_inherit merge; add_trailer_inherit merge; add_header X-Level location always; add_trailer X-End location;
            if ($arg_if) { add_header X-Level if; }
            proxy_pass http://%ORIGIN%;
        }
        location /off/ { add_header_inherit off; add_trailer_inherit off; proxy_pass http://%ORIGIN%; }",
    );
    let server = Server::start(&conf.origin(&origin));
    for (path, levels, ends) in [
        ("/", vec!["server 200"], vec!["server"]),
        ("/merged/", vec!["location", "server 200"], vec!["location", "server"]),
        ("/merged/?if=1", vec!["if", "location", "server 200"], vec!["location", "server"]),
        ("/off/", vec![], vec![]),
    ] {
        let response = ask(&server, path).response();
        let named = |fields: &[(String, String)], name: &str| -> Vec<String> {
            fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(named(&response.fields, "X-Level"), levels, "{path}");
        assert_eq!(named(&response.trailers, "X-End"), ends, "{path}");
    }
}

#[test]
fn via_tells_whom_a_request_and_its_answer_passed() {
    let origin = Origin::always(answer(200).body("one"));
    let conf = servers(
        "proxy_add_via on;
        location / { proxy_pass http://%ORIGIN%; }
        location /set/ { proxy_set_header Via mine; proxy_pass http://%ORIGIN%; }
        location /off/ { proxy_add_via off; proxy_pass http://%ORIGIN%; }
        location /own/ { return 200 own; }",
    );
    let server = Server::start(&conf.origin(&origin));
    for (path, sent, passed) in [
        ("/", Some("1.1 larder"), Some("1.1 larder")),
        ("/set/", Some("mine"), Some("1.1 larder")),
        ("/off/", None, None),
    ] {
        let response = ask(&server, path).response();
        assert_eq!(response.field("Via"), passed, "{path}");
        let asked = origin.requests().pop().expect("it was asked");
        assert_eq!(asked.field("Via"), sent, "{path}");
    }
    assert_eq!(ask(&server, "/own/").response().field("Via"), None);
}
