//! Whom lines of the error log are about.

use crate::support::{Origin, Reply, Server, answer, http};

#[test]
fn lines_about_tries_name_the_request() {
    let (closing, origin) = (Origin::always(Reply::nothing()), Origin::always(answer(200).body("second")));
    let conf = http(
        "proxy_cache_path cache keys_zone=zone:1m;
        proxy_next_upstream error http_500;
        upstream closed { server %CLOSED%; server %ORIGIN% backup; }
        upstream closing { server %ORIGIN:b%; server %ORIGIN% backup; }
        server {
            listen 127.0.0.1:%PORT%; server_name some.test; root html;
            location /closed/ { proxy_pass http://closed/base/; }
            location /closing/ { proxy_pass http://closing/base/; }
            location /stored/ { proxy_cache zone; proxy_pass http://closed/base/; }
            location /page { ssi on; ssi_types *; }
        }",
    );
    let conf = conf.file("html/page", r#"<!--#include virtual="/closing/part" -->"#);
    let refused = ("connect() failed (111: Connection refused)", "connecting to upstream");
    let closed = ("upstream prematurely closed connection", "reading response header from upstream");
    for (path, part, (failure, during)) in [
        ("/closed/x?y", "", refused),
        ("/stored/x?y", "", refused),
        ("/closing/x?y", "", closed),
        ("/page", ", subrequest: \"/closing/part\"", closed),
    ] {
        let server = Server::start(&conf.clone().origin(&origin).origin_named("b", &closing));
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nReferer: http://b.test/\r\n\r\n"));
        assert_eq!(client.response().text(), "second", "{path}");
        let peer = if during == refused.1 { server.address_of("closed") } else { closing.address() };
        let target = if part.is_empty() { "/base/x?y" } else { "/base/part" };
        let whom = format!(
            ", client: 127.0.0.1, server: some.test, request: \"GET {path} HTTP/1.1\"{part}, \
             upstream: \"http://{peer}{target}\", host: \"a.test\", referrer: \"http://b.test/\"\n"
        );
        server.wait_for_log(&format!("{failure} while {during}{whom}"));
        server.wait_for_log(&format!("upstream server temporarily disabled while {during}{whom}"));
    }
}
