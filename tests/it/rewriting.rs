//! What the error log tells of rewriting, and what a redirect inside leaves alone.

use crate::support::{Origin, Server, answer, http, servers};

#[test]
fn rewrite_log_tells_of_each_expression() {
    let server = Server::start(
        &servers(
            "rewrite_log on;
            rewrite ^/none /x;
            location /a { rewrite ^/a(.*)$ /b$1?c=d last; }
            location /b { if ($uri ~ ^/b/(e)) { rewrite ^/b/(.) http://other.test/$1? redirect; } return 200 b; }
            location /silent { rewrite_log off; rewrite ^/silent$ /never; return 200 silent; }",
        )
    );
    assert_eq!(server.get("/a/f?g").text(), "b");
    assert_eq!(server.get("/a/e").status(), 302);
    assert_eq!(server.get("/silent").text(), "silent");
    for line in [
        "[notice]",
        "\"^/none\" does not match \"/a/f\", client: ",
        "\"^/a(.*)$\" matches \"/a/f\", client: ",
        "rewritten data: \"/b/f\", args: \"c=d&g\", client: ",
        "\"^/b/(e)\" does not match \"/b/f\", client: ",
        "\"^/b/(.)\" matches \"/b/e\", client: ",
        "rewritten redirect: \"http://other.test/e\", client: ",
        "\"^/none\" does not match \"/silent\", client: ",
    ] {
        server.wait_for_log(line);
    }
    assert!(!server.read("error.log").contains("\"^/silent$\""));
}

/// Whoever asks an expression too much must not get around the rule that it stands for.
#[test]
fn an_expression_that_gives_up_is_an_error() {
    let server = Server::start(&servers(
        "location /rewrite { rewrite \"^/rewrite/((a+)+)$\" /x last; return 200 passed; }
        location /if { if ($uri ~ \"^/if/((a+)+)$\") { return 403; } return 200 passed; }
        location /not { if ($uri !~ \"^/not/((a+)+)$\") { return 403; } return 200 passed; }
        location ~ \"^/location/((a+)+)$\" { return 403; }
        location /location { return 200 passed; }",
    ));
    for (place, matching, other) in
        [("rewrite", 404, 200), ("if", 403, 200), ("not", 200, 403), ("location", 403, 200)]
    {
        let hopeless = format!("{}!", "a".repeat(40));
        for (rest, status) in [("aaa", matching), ("b", other), (&*hopeless, 500)] {
            assert_eq!(server.get(&format!("/{place}/{rest}")).status(), status, "{place} {rest}");
        }
        server.wait_for_log(&format!("on \"/{place}/{hopeless}\" using \"^/{place}/((a+)+)$\", client: "));
    }
}

#[test]
fn an_expression_that_gives_up_elsewhere_is_told_of_too() {
    let hopeless = format!("{}!", "a".repeat(40));
    let origin = Origin::always(answer(302).field("Location", &hopeless).field("Set-Cookie", "a=b"));
    let server = Server::start(
        &http(
            r##"map $arg_a $mapped { ~^((a+)+)$ a; }
            server { listen 127.0.0.1:%PORT% default_server; return 200 other; }
            server { listen 127.0.0.1:%PORT%; server_name ~^((a+)+)$; return 200 named; }
            server {
                listen 127.0.0.1:%PORT%; server_name localhost;
                location /map { return 200 "$mapped$mapped"; }
                location /redirect { proxy_redirect ~^((a+)+)$ /b; proxy_pass http://%ORIGIN%; }
            }"##,
        )
        .origin(&origin),
    );
    let ask = |path: &str, host: &str| {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        client.rest().0
    };
    let failed = format!("pcre2_match() failed: -47 on \"{hopeless}\" using \"^((a+)+)$\"");
    ask(&format!("/map?a={hopeless}"), "localhost");
    server.wait_for_log(&format!("{failed}, client: 127.0.0.1, server: localhost, request: \"GET /map?a="));
    assert_eq!(server.read("error.log").matches(&failed).count(), 1);
    ask("/redirect", "localhost");
    server.wait_for_log(&format!("{failed} while reading response header from upstream, client: "));
    let host = format!("{}.b", "a".repeat(40));
    assert_eq!(ask("/", &host), b"");
    server.wait_for_log(&format!(
        "on \"{host}\" using \"^((a+)+)$\" while reading client request headers, client: 127.0.0.1, server: , \
         request: \"GET / HTTP/1.1\", host: \"{host}\""
    ));
}

#[test]
fn a_variable_without_a_value_is_told_of_once_a_request() {
    let server = Server::start(&http(
        "server {
            listen 127.0.0.1:%PORT%;
            location /a { return 200 \"[$late$late]\"; }
            location /b { uninitialized_variable_warn off; return 200 \"[$late$silent]\"; }
            location /c { set $late 1; set $silent 1; return 200 \"[$late]\"; }
        }",
    ));
    for (path, text) in [("/c", "[1]"), ("/b", "[]"), ("/a", "[]")] {
        assert_eq!(server.get(path).text(), text, "{path}");
    }
    server.wait_for_log("[warn]");
    let log = server.read("error.log");
    assert_eq!(log.matches("using uninitialized \"late\" variable, client: ").count(), 1, "{log}");
    assert_eq!(log.matches("\"silent\"").count(), 0, "{log}");
}

#[test]
fn an_alias_does_not_know_its_part_of_a_path_that_changed_in_place() {
    let server = Server::start(
        &servers("location /a/ { alias html/; rewrite ^/a/(.*)-old$ /a/$1 break; }").file("html/x", "x"),
    );
    assert_eq!(server.get("/a/x").text(), "x");
    assert_eq!(server.get("/a/x-old").status(), 500);
    server.wait_for_log("\"alias\" cannot be used in location \"/a/\" where URI was rewritten");
}

#[test]
fn a_cycle_of_locations_with_names_is_told_of_by_its_name() {
    let server = Server::start(&servers(
        "recursive_error_pages on; error_page 418 @again; location / { return 418; } location @again { return 418; }",
    ));
    assert_eq!(server.get("/").status(), 500);
    server.wait_for_log("rewrite or internal redirection cycle while redirect to named location \"@again\"");
}
