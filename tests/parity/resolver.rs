//! `resolver`: names that only a request tells, found through a name server of our own.

use std::sync::LazyLock;

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{
    Conf, Dns, Server,
    dns::{addresses, alias, refusal, silence},
    http,
    peers::Program,
};

/// The name server of both programs; what it tells does not change.
static DNS: LazyLock<Dns> = LazyLock::new(|| {
    let dns = Dns::start();
    let local = || addresses(&["127.0.0.1"], 60);
    for name in
        ["plain.test", "capitals.test", "dotted.test", "under_score.test", "posted.test", "x", "end.test"]
    {
        dns.tell(name, local());
    }
    dns.tell("both.test", addresses(&["127.0.0.1", "::1"], 60))
        .tell("two.test", addresses(&["127.0.0.1", "127.0.0.2"], 60))
        .tell("six.test", addresses(&["::1"], 60))
        .tell("stream.test", local().by_stream_only())
        .tell("alias.test", alias("end.test", 60))
        .tell("alias-and-address.test", alias("elsewhere.test", 60).and(local()))
        .tell("dangling.test", alias("nowhere.test", 60))
        .tell("circle.test", alias("circle.test", 60))
        .tell("empty.test", addresses(&[], 60))
        .tell("silent.test", silence());
    for code in 1..=5 {
        dns.tell(&format!("refused-{code}.test"), refusal(code));
    }
    dns
});

#[test]
fn names_of_requests() {
    compare(&group());
}

fn conf() -> Conf {
    http(
        "add_header X-Upstream \"$upstream_addr $upstream_status\" always;
        add_header X-Proxy \"$proxy_host $proxy_port\" always;
        resolver %DNS% ipv6=off;
        resolver_timeout 700ms;
        upstream grouped.test { server 127.0.0.1:%PORT:b%; }
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://$arg_host:%PORT:b%; }
            location /uri { proxy_pass http://$arg_host:%PORT:b%/instead$is_args; }
            location /port { proxy_pass http://$arg_host; }
            location /both { resolver %DNS% valid=1m; proxy_pass http://$arg_host:%PORT:b%; }
            location /group { proxy_pass http://$arg_host; }
            location /next { proxy_next_upstream off; proxy_pass http://$arg_host:%PORT:b%; }
            location /page { error_page 502 = @page; proxy_pass http://$arg_host:%PORT:b%; }
            location @page { return 200 \"instead of 502\\n\"; }
            location /intercepted { proxy_intercept_errors on; proxy_pass http://$arg_host:%PORT:b%; }
        }
        server {
            listen 127.0.0.1:%PORT:b%;
            location / { return 200 \"$http_host $request_method $request_uri\\n\"; }
        }",
    )
    .dns(&DNS)
}

/// All cases; the backend is another server of the same configuration.
pub fn group() -> Group {
    let asked = |name, path: &str| case(name).get(path);
    Group::new("resolver", conf()).cases(found(asked)).cases(not_found(asked))
}

fn found(asked: impl Fn(&'static str, &str) -> Case) -> Vec<Case> {
    vec![
        asked("a name", "/?host=plain.test"),
        asked("a name that is known already", "/?host=plain.test"),
        asked("capital letters", "/?host=Capitals.TEST").differs(
            "nginx lowers the letters of $proxy_host, which the Host of the request keeps, while it asks",
            &["< X-Proxy: Capitals.TEST:(port b) (port b)", "< | Capitals.TEST:(port b) GET"],
        ),
        asked("a dot at the end", "/?host=dotted.test."),
        asked("an underscore", "/?host=under_score.test"),
        asked("a name of one label", "/?host=x"),
        asked("an answer by stream", "/?host=stream.test"),
        asked("an alias", "/?host=alias.test"),
        asked("an alias with an address", "/?host=alias-and-address.test"),
        asked("both kinds of addresses, one asked for", "/?host=both.test"),
        asked("a path of its own", "/uri?host=plain.test"),
        asked("an address needs no name server", "/?host=127.0.0.1"),
        asked("a group is no name", "/group?host=grouped.test"),
        asked("a group's name with a port is a name", "/?host=grouped.test"),
        case("a request with a body").request(
            "POST /?host=posted.test HTTP/1.1",
            &["Content-Length: 3"],
            "abc",
        ),
        case("HEAD").head("/?host=plain.test"),
        asked("IPv6 alone", "/both?host=six.test"),
    ]
}

fn not_found(asked: impl Fn(&'static str, &str) -> Case) -> Vec<Case> {
    vec![
        asked("no such name", "/?host=missing.test"),
        asked("no such name, asked for again", "/?host=missing.test"),
        asked("a name without an address", "/?host=empty.test"),
        asked("a name with addresses of the other kind", "/?host=six.test"),
        asked("an alias of nothing", "/?host=dangling.test"),
        asked("an alias of itself", "/?host=circle.test"),
        asked("a format error", "/?host=refused-1.test"),
        asked("a server failure", "/?host=refused-2.test"),
        asked("not implemented", "/?host=refused-4.test"),
        asked("refused", "/?host=refused-5.test"),
        asked("silence", "/?host=silent.test"),
        asked("an empty label", "/?host=a..test"),
        asked("a label too long", &format!("/?host={}.test", "a".repeat(64))),
        asked("no host", "/?host="),
        asked("no host and no port", "/port?host="),
        asked("a port that is none", "/port?host=plain.test:none"),
        asked("a port of zero", "/port?host=plain.test:0"),
        asked("an error page instead", "/page?host=missing.test"),
        asked("intercepted errors", "/intercepted?host=missing.test"),
    ]
}

#[test]
fn log_lines_of_names_are_the_same() {
    let cases = [
        ("/?host=missing.test", "missing.test could not be resolved (3: Host not found), client: "),
        ("/?host=empty.test", "empty.test could not be resolved (3: Host not found), client: "),
        ("/?host=refused-2.test", "refused-2.test could not be resolved (2: Server failure), client: "),
        ("/?host=refused-4.test", "refused-4.test could not be resolved (4: Unimplemented), client: "),
        ("/?host=refused-5.test", "refused-5.test could not be resolved (5: Operation refused), client: "),
        ("/?host=silent.test", "silent.test could not be resolved (110: Operation timed out), client: "),
        ("/none?host=plain.test", "no resolver defined to resolve plain.test, client: "),
    ];
    for program in [Some(Program::larder()), Program::nginx()].into_iter().flatten() {
        let conf = conf().with_text(|text| {
            // Only a location without any resolver around it has none.
            let server =
                "server { listen 127.0.0.1:%PORT:a%; location /none { proxy_pass http://$arg_host; } }";
            let text = text.replace("resolver %DNS% ipv6=off;", server);
            text.replace("location / { proxy", "resolver %DNS% ipv6=off; location / { proxy")
        });
        let server = Server::start_program(&program, &conf);
        for (path, line) in cases {
            let port = if path.starts_with("/none") { "a" } else { "" };
            let mut client = crate::support::Client::connect(server.address_of(port));
            assert_eq!(client.get(path).status(), 502, "{path}");
            server.wait_for_log(line);
        }
    }
}
