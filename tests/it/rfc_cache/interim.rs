//! Interim answers: item 21.

use super::rfc;
use crate::support::{Origin, Reply, Server};

/// The bytes of an answer, all that came before it included.
fn bytes(server: &Server, version: &str) -> String {
    let mut client = server.client();
    client.send(format!("GET /a HTTP/{version}\r\nHost: h\r\nConnection: close\r\n\r\n"));
    String::from_utf8(client.rest().0).unwrap()
}

#[test]
fn item_21_interim_answers_are_forwarded_and_never_stored() {
    const INTERIM: &str = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Early: 1\r\n\r\n\
                           HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n";
    const FINAL: &str =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nX-Final: 1\r\nContent-Length: 4\r\n\r\npage";
    let origin = Origin::always(Reply::raw(format!("{INTERIM}{FINAL}")));
    let server = Server::start(&rfc("proxy_http_version 1.1;", &origin));
    let miss = bytes(&server, "1.1");
    let wanted = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Early: 1\r\n\r\n\
                  HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(miss.starts_with(wanted), "{miss}");
    let last = miss.rsplit_once("HTTP/1.1 200 OK").unwrap().1;
    assert!(last.contains("X-Final: 1") && !last.contains("Link") && !last.contains("X-Early"), "{miss}");
    let hit = bytes(&server, "1.1");
    assert!(hit.starts_with("HTTP/1.1 200 OK\r\n") && hit.contains("X-Cache: HIT"), "{hit}");
    assert!(!hit.contains("Link") && !hit.contains("X-Early"), "{hit}");
}

#[test]
fn item_21_older_clients_get_the_answer_alone() {
    let text =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";
    let origin = Origin::always(Reply::raw(text));
    let server = Server::start(&rfc("proxy_http_version 1.1;", &origin));
    let answer = bytes(&server, "1.0");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("Link"), "{answer}");
}
