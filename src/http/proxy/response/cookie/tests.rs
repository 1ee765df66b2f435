//! Cookies as clients see them; what is wanted is what nginx 1.22 makes of the same.

use super::*;
use crate::http::proxy::request::fixture::exchange;

fn rewritten(directives: &str, lines: &[(&str, &str)]) {
    let server = format!("location / {{ proxy_pass http://127.0.0.1:8080; {directives} }}");
    let exchange = exchange(&server, "GET /p HTTP/1.1\r\nHost: www.ex.org\r\n\r\n");
    for (line, wanted) in lines {
        let made =
            rewrite_cookie(&exchange.location.proxy, line.as_bytes(), &exchange).expect("none gives up");
        assert_eq!(String::from_utf8_lossy(&made), *wanted, "{directives} {line}");
    }
}

#[tokio::test]
async fn domains() {
    rewritten(
        "proxy_cookie_domain localhost example.org;",
        &[
            ("a=b; domain=localhost", "a=b; domain=example.org"),
            ("a=b; Domain=.LocalHost; Path=/", "a=b; Domain=.example.org; Path=/"),
            ("a=b;domain=localhost;secure", "a=b; domain=example.org; secure"),
            ("a=b; domain = localhost ; x", "a=b; domain=example.org; x"),
            ("a=b; domain=\"localhost\"", "a=b; domain=\"localhost\""),
            ("a=b;domain=other", "a=b;domain=other"),
            ("a=b; domain", "a=b; domain"),
            ("domain=localhost; a=b", "domain=localhost; a=b"),
            ("a=b;  ; domain=localhost;;x=y=z;", "a=b; ; domain=example.org; ; x=y=z; "),
            ("a; domain=localhost", "a; domain=localhost"),
            ("", ""),
            ("a=b; domain=localhost; domain=localhost", "a=b; domain=example.org; domain=example.org"),
            ("a =b;\tdomain=localhost", "a =b;\tdomain=localhost"),
        ],
    );
    rewritten("proxy_cookie_domain .up .front;", &[("a=b; domain=up", "a=b; domain=front")]);
    rewritten(
        "proxy_cookie_domain www.$http_host $http_host;",
        &[("a=b; domain=www.www.ex.org", "a=b; domain=www.ex.org")],
    );
    rewritten(
        "proxy_cookie_domain a b; proxy_cookie_domain ~\\.(?P<sl>[a-z]+\\.[a-z]+)$ $sl;",
        &[("a=b; domain=a", "a=b; domain=b"), ("a=b; domain=x.Yy.com", "a=b; domain=Yy.com")],
    );
}

#[tokio::test]
async fn paths() {
    rewritten(
        "proxy_cookie_path /two/ /; proxy_cookie_path ~*^/USER/([^/]+) /u/$1; proxy_cookie_path $uri /some$uri;",
        &[
            ("a=b; path=/two/x", "a=b; path=/x"),
            ("a=b; path=/TWO/x", "a=b; path=/TWO/x"),
            ("a=b; PATH=/two", "a=b; PATH=/two"),
            ("a=b; path=/user/joe/rest", "a=b; path=/u/joe"),
            ("a=b; path=/p/q", "a=b; path=/some/p/q"),
        ],
    );
    rewritten("proxy_cookie_path / \"/; Secure\";", &[("a=b; path=/; x=y", "a=b; path=/; Secure; x=y")]);
}

#[tokio::test]
async fn flags_of_cookies() {
    rewritten(
        "proxy_cookie_flags one httponly; proxy_cookie_flags ~^s secure samesite=lax; proxy_cookie_flags $http_host nosecure;",
        &[
            ("ONE=1;path=/", "ONE=1; path=/; HttpOnly"),
            ("one=1; HTTPONLY; secure", "one=1; HTTPONLY; secure"),
            ("one", "one"),
            ("onex=1", "onex=1"),
            ("sess=1; samesite=none; Path=/", "sess=1; SameSite=Lax; Path=/; Secure"),
            ("s=1; samesite=LAX;secure", "s=1; samesite=LAX; secure"),
            ("www.ex.org=1; Secure=yes; secure; x", "www.ex.org=1; x"),
            ("none=1", "none=1"),
        ],
    );
    rewritten("proxy_cookie_flags ~ nosamesite nohttponly;", &[("a=1; SameSite=Lax; httponly; x", "a=1; x")]);
    rewritten("proxy_cookie_flags ~^(secure)$ $1 $http_x;", &[("secure=1", "secure=1; Secure")]);
}

#[tokio::test]
async fn what_is_put_in_counts_more_than_what_is_taken_out() {
    for (words, wanted) in [
        ("secure nosecure", "; Secure"),
        ("nohttponly httponly", "; HttpOnly"),
        ("samesite=none nosamesite", "; SameSite=None"),
        ("samesite=none samesite=lax samesite=strict", "; SameSite=Strict"),
        ("SAMESITE=LAX samesite=none", "; SameSite=Lax"),
        ("samesite=none secure httponly", "; Secure; HttpOnly; SameSite=None"),
        ("no-such-flag", ""),
    ] {
        rewritten(&format!("proxy_cookie_flags a {words};"), &[("a=1", &format!("a=1{wanted}"))]);
    }
}
