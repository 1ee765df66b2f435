//! `proxy_next_upstream`: after which failures another peer is asked, and what the variables tell of it.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn next_upstreams() {
    compare(&group());
}

/// A server and a group of peers for each case, since failures are remembered; the second peer would answer.
pub fn group() -> Group {
    let rows = rows();
    let servers: String = rows
        .iter()
        .enumerate()
        .map(|(number, row)| {
            format!(
                "upstream u{number} {{ server %ORIGIN%; server %ORIGIN:b%; }}
                server {{
                    listen 127.0.0.1:%PORT%; server_name u{number};
                    location / {{ proxy_pass http://u{number}; proxy_read_timeout 1500ms; {} }}
                }}\n",
                row.directives
            )
        })
        .collect();
    let outer = "add_header X-Peers \"$upstream_addr $upstream_status $upstream_http_x_peer\" always;
        proxy_next_upstream error http_504;\n";
    let cases = rows.into_iter().enumerate().map(|(number, row)| row.case(number));
    Group::new("next upstream", http(&format!("{outer}{servers}{RENAMED}"))).cases(cases).cases([renamed()])
}

const RENAMED: &str = "upstream renamed { server %ORIGIN%; server %ORIGIN:b%; }
    server {
        listen 127.0.0.1:%PORT%; server_name renamed;
        location / { proxy_pass http://renamed; proxy_method POST; proxy_next_upstream http_500; }
    }";

fn renamed() -> Case {
    case("a method for upstreams")
        .origin(answer(500).body("a"))
        .origin_b(answer(200).body("b"))
        .send("GET /a HTTP/1.1\r\nHost: renamed\r\n\r\n")
        .differs("what must not be repeated is what was sent", &["< HTTP/1.1 500 "])
}

/// What the first peer does with one request, under one configuration.
struct Row {
    name: &'static str,
    directives: &'static str,
    method: &'static str,
    first: Reply,
    then: usize,
}

impl Row {
    fn case(self, number: usize) -> Case {
        let answers = (0..self.then).map(|_| answer(200).field("X-Peer", "b").body("b"));
        let case = answers.fold(case(self.name).origin(self.first), Case::origin_b);
        let (lines, body) = match self.method {
            "GET" | "HEAD" | "DELETE" => ("", ""),
            _ => ("Content-Length: 4\r\n", "body"),
        };
        case.send(format!("{} /a HTTP/1.1\r\nHost: u{number}\r\n{lines}\r\n{body}", self.method))
    }

    fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }
}

fn row(name: &'static str, directives: &'static str, first: Reply, then: usize) -> Row {
    Row { name, directives, method: "GET", first, then }
}

fn status(status: u16) -> Reply {
    answer(status).field("X-Peer", "a").body("a")
}

fn rows() -> Vec<Row> {
    let mut rows = statuses();
    rows.extend(failures());
    rows.extend(methods());
    rows.extend(limits());
    rows
}

fn statuses() -> Vec<Row> {
    vec![
        row("500 is asked for", "proxy_next_upstream http_500;", status(500), 1),
        row("500 is not", "proxy_next_upstream http_502;", status(500), 0),
        row("502 is asked for", "proxy_next_upstream http_502;", status(502), 1),
        row("502 is not", "proxy_next_upstream http_500;", status(502), 0),
        row("503 is asked for", "proxy_next_upstream error http_503;", status(503), 1),
        row("503 is not", "proxy_next_upstream http_500;", status(503), 0),
        row("504 is asked for", "proxy_next_upstream http_504;", status(504), 1),
        row("504 is not", "proxy_next_upstream timeout;", status(504), 0),
        row("403 is asked for", "proxy_next_upstream http_403;", status(403), 1),
        row("403 is not", "", status(403), 0),
        row("404 is asked for", "proxy_next_upstream http_404 http_500;", status(404), 1),
        row("404 is not", "proxy_next_upstream http_403;", status(404), 0),
        row("429 is asked for", "proxy_next_upstream http_429;", status(429), 1),
        row("429 is not", "proxy_next_upstream http_404;", status(429), 0),
        row(
            "501 cannot be asked for",
            "proxy_next_upstream http_500 http_502 http_503 http_504;",
            status(501),
            0,
        ),
        row(
            "in two directives",
            "proxy_next_upstream http_500; proxy_next_upstream http_404;",
            status(404),
            1,
        ),
        row("from outside", "", status(504), 1),
        row("an own set replaces that from outside", "proxy_next_upstream http_500;", status(504), 0),
        row("off among others", "proxy_next_upstream http_500 off;", status(500), 0),
        row(
            "and an error page",
            "proxy_next_upstream http_500; proxy_intercept_errors on; error_page 500 /x;",
            status(500),
            1,
        ),
    ]
}

fn failures() -> Vec<Row> {
    vec![
        row("an error", "proxy_next_upstream error;", Reply::nothing(), 1),
        row("an error is not asked for", "proxy_next_upstream timeout invalid_header;", Reply::nothing(), 0),
        row("a timeout", "proxy_next_upstream timeout;", Reply::silence(), 1),
        row("a timeout is not asked for", "proxy_next_upstream error;", Reply::silence(), 0),
        row(
            "an invalid header",
            "proxy_next_upstream invalid_header;",
            answer(200).line("nonsense").body(""),
            1,
        ),
        row(
            "an invalid header is not asked for",
            "proxy_next_upstream error;",
            answer(200).line("nonsense").body(""),
            0,
        ),
        row("half a head", "proxy_next_upstream error;", Reply::raw("HTTP/1.1 200 OK\r\nX-A: b"), 1),
        row(
            "half a head is no invalid one",
            "proxy_next_upstream invalid_header;",
            Reply::raw("HTTP/1.1 200 OK\r\nX-A: b"),
            0,
        ),
        row(
            "half a body is too late",
            "proxy_next_upstream error;",
            answer(200).declared(9).bytes("half").then_close(),
            0,
        ),
        row(
            "a head that is too large",
            "proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k; proxy_next_upstream invalid_header;",
            answer(200).field("X-A", &"long".repeat(300)).body(""),
            1,
        ),
    ]
}

fn methods() -> Vec<Row> {
    let at_500 = "proxy_next_upstream http_500;";
    let anyway = "proxy_next_upstream http_500 non_idempotent;";
    vec![
        row("HEAD", at_500, answer(500).declared(1), 1).method("HEAD"),
        row("PUT is idempotent", at_500, status(500), 1).method("PUT"),
        row("DELETE is idempotent", at_500, status(500), 1).method("DELETE"),
        row("POST is not", at_500, status(500), 0).method("POST"),
        row("PATCH is not", at_500, status(500), 0).method("PATCH"),
        row("LOCK is not", at_500, status(500), 0).method("LOCK"),
        row("POST anyway", anyway, status(500), 1).method("POST"),
        row("PATCH anyway", anyway, status(500), 1).method("PATCH"),
        row("POST after an error", "proxy_next_upstream error;", Reply::nothing(), 0).method("POST"),
        row("POST after an error anyway", "proxy_next_upstream error non_idempotent;", Reply::nothing(), 1)
            .method("POST"),
        row("POST after a timeout", "proxy_next_upstream timeout;", Reply::silence(), 0).method("POST"),
        row(
            "a body that was not kept",
            "proxy_http_version 1.1; proxy_request_buffering off; proxy_next_upstream http_500;",
            status(500),
            0,
        )
        .method("PUT"),
        row("a body that was kept", "proxy_http_version 1.1; proxy_next_upstream http_500;", status(500), 1)
            .method("PUT"),
    ]
}

fn limits() -> Vec<Row> {
    vec![
        row("one try", "proxy_next_upstream http_500; proxy_next_upstream_tries 1;", status(500), 0),
        row("two tries", "proxy_next_upstream http_500; proxy_next_upstream_tries 2;", status(500), 1),
        row(
            "any number of tries",
            "proxy_next_upstream http_500; proxy_next_upstream_tries 0;",
            status(500),
            1,
        ),
        row("time is left", "proxy_next_upstream http_500; proxy_next_upstream_timeout 1m;", status(500), 1),
        row(
            "no time is left",
            "proxy_next_upstream timeout; proxy_next_upstream_timeout 100ms;",
            Reply::silence(),
            0,
        ),
        row(
            "a stale answer is not at hand",
            "proxy_next_upstream off; proxy_cache_use_stale http_500;",
            status(500),
            0,
        ),
    ]
}
