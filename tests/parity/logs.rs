//! Lines of the access log: formats, escapes, conditions, and the variables that only a log shows.

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{Reply, answer, http};

#[test]
fn access_log_lines() {
    compare(&group());
}

/// All locations write to one file, each in a format of its own.
pub fn group() -> Group {
    let conf = http(
        r#"log_format sizes '$request|$status|$body_bytes_sent|$bytes_sent|$request_length|$connection_requests|$pipe|$request_completion';
        log_format fields '"$http_referer" "$http_user_agent" "$http_x_a" "$sent_http_x_b" "$sent_http_content_type" "$cookie_a" "$arg_b"';
        log_format json escape=json '{"request":"$request","agent":"$http_user_agent","none":"$http_none"}';
        log_format plain escape=none '$request "$http_user_agent" $http_none';
        log_format upstream '$status $upstream_addr|$upstream_status|$upstream_cache_status|$upstream_response_length|$upstream_bytes_received|$upstream_bytes_sent|$upstream_http_x_a|$upstream_cookie_c';
        log_format where '$remote_addr $remote_user $server_addr:$server_port $server_name $scheme $host $request_method $uri $document_root $request_filename';
        proxy_cache_path cache keys_zone=zone:1m;
        upstream two { server %CLOSED% max_fails=0; server %ORIGIN% max_fails=0; }
        server {
            listen 127.0.0.1:%PORT%; server_name log.test; root html;
            access_log access.log sizes;
            location / { return 200 hello; }
            location /proxied { proxy_pass http://%ORIGIN%; }
            location /fields { access_log access.log fields; add_header X-B sent; return 200 hello; }
            location /json { access_log access.log json; return 200 hello; }
            location /plain { access_log access.log plain; return 200 hello; }
            location /where { access_log access.log where; }
            location /upstream { access_log access.log upstream; proxy_pass http://%ORIGIN%; }
            location /retried { access_log access.log upstream; proxy_pass http://two; }
            location /refused { access_log access.log upstream; proxy_pass http://%CLOSED%; }
            location /cached { access_log access.log upstream; proxy_cache zone; proxy_cache_valid 1h; proxy_pass http://%ORIGIN%; }
            location /replaced { access_log access.log upstream; proxy_intercept_errors on; error_page 404 = /upstream; proxy_pass http://%ORIGIN%; }
            location /some { access_log access.log sizes if=$arg_log; return 200 hello; }
            location /twice { access_log access.log sizes; access_log access.log where; return 200 hello; }
            location /silent { access_log off; return 200 hello; }
            location /closed { return 444; }
            location /404 { access_log access.log where; }
        }"#,
    );
    Group::new("access log", conf).cases(own()).cases(upstream())
}

fn own() -> Vec<Case> {
    let agent = |name, path: &str| {
        case(name)
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: a\"b\\c\x01\u{e9}\tz\r\nX-A: 1\r\n\r\n"
            ))
            .log(1)
    };
    vec![
        case("sizes").get("/").log(1),
        case("sizes of HEAD").head("/").log(1),
        case("the second request of a connection").get("/1").get("/2").log(2),
        case("a request with a body").request("POST / HTTP/1.1", &["Content-Length: 4"], "body").log(1),
        case("a chunked answer").origin(answer(200).until_close("some bytes")).get("/proxied").log(1),
        case("a bad request")
            .send("nonsense\r\n\r\n")
            .log(1)
            .differs("all bytes that were read are counted", &["log: nonsense|400|"]),
        case("a bad header line")
            .send("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n")
            .log(1)
            .differs("all bytes that were read are counted", &["log: GET / HTTP/1.1|400|"]),
        case("HTTP/0.9").send("GET /\r\n").log(1),
        case("closed without an answer").get("/closed").log(1),
        case("fields")
            .get_with(
                "/fields?b=1",
                &["Referer: http://x/", "User-Agent: test/1", "X-A: 1", "Cookie: z=0; a=7"],
            )
            .log(1),
        case("fields that are missing").get("/fields").log(1),
        agent("escapes by default", "/fields"),
        agent("escapes for JSON", "/json"),
        agent("no escapes", "/plain"),
        case("a quote in the target").get("/json\"x\\y").log(1),
        case("names and addresses").get_with("/where/a%20b", &["Authorization: Basic YWxpY2U6cHc="]).log(1),
        case("a missing file").get("/404/none").log(1),
        case("a condition holds").get("/some?log=1").log(1),
        case("a condition does not hold").get("/some?log=0").get("/some").get("/").log(1),
        case("two logs").get("/twice").log(2),
        case("no log").get("/silent").get("/").log(1),
    ]
}

fn upstream() -> Vec<Case> {
    let one = || answer(200).field("X-A", "1").field("Set-Cookie", "c=2; path=/").body("one");
    vec![
        case("an upstream").origin(one()).get("/upstream").log(1),
        case("an upstream refused one").origin(one()).origin(one()).get("/retried").get("/retried").log(2),
        case("no upstream").get("/refused").log(1),
        case("an upstream that closes").origin(Reply::nothing()).get("/upstream").log(1),
        case("a miss and a hit").origin(answer(200).body("one")).get("/cached").get("/cached").log(2),
        case("two upstreams by an internal redirect")
            // Without a body: how much of one is there with the head is a matter of time.
            .origin(answer(404).body(""))
            .origin(one())
            .get("/replaced")
            .log(1),
        case("chunks of an upstream").origin(answer(200).until_close("letters")).get("/upstream").log(1),
    ]
}
