//! What is to be seen through `https.conf` and `client-certificates.conf`.

use super::{Visit, last};
use crate::support::{
    Response,
    tls::{Authority, Tls},
};

/// Who signs what the examples name.
pub struct People {
    root: Authority,
    people: Authority,
}

impl People {
    /// Makes them.
    pub fn new() -> Self {
        Self { root: Authority::new("root"), people: Authority::new("people") }
    }

    /// The files that the examples name.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![("people.pem".to_owned(), self.people.pem().to_owned())];
        for (name, hosts) in
            [("shop", &["shop.example", "www.shop.example"][..]), ("inside", &["inside.example"])]
        {
            let certified = self.root.server(hosts);
            files.push((format!("{name}.crt"), certified.chain_pem));
            files.push((format!("{name}.key"), certified.key_pem));
        }
        files
    }
}

fn ask(visit: &Visit, tls: &Tls, host: &str, path: &str) -> Response {
    let mut client = tls.clone().name(host).connect(visit.server.address_of("tls"));
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.response()
}

/// Comes by HTTP and is sent to HTTPS; comes by HTTPS under several names.
pub fn https(visit: &Visit) {
    let moved = visit.get("/page?x=y");
    assert_eq!(moved.field("Location"), Some("https://www.example.org/page?x=y"));
    let tls = Tls::trusting(&visit.people.root);
    let page = ask(visit, &tls, "shop.example", "/page");
    assert_eq!(page.text(), "first");
    assert_eq!(page.field("Strict-Transport-Security"), Some("max-age=31536000"));
    assert_eq!(last(&visit.first).field("X-Forwarded-Proto"), Some("https"));
    let other = ask(visit, &tls, "www.shop.example", "/page");
    assert_eq!(other.field("Location"), Some("https://shop.example/page"));
    assert!(tls.clone().name("nobody.example").try_connect(visit.server.address_of("tls")).is_err());
}

/// Comes with a good certificate, with a bad one and with none.
pub fn client_certificates(visit: &Visit) {
    let People { root, people } = &visit.people;
    let host = "inside.example";
    let welcome = ask(visit, &Tls::certified(root, &people.client("Ann")), host, "/");
    assert_eq!(welcome.text(), "first");
    assert_eq!(last(&visit.first).field("X-Client"), Some("CN=Ann"));
    let stranger = Tls::certified(root, &Authority::new("others").client("Ann"));
    for tls in [Tls::trusting(root), stranger] {
        let refused = ask(visit, &tls, host, "/");
        assert_eq!(
            (refused.status(), &*refused.text()),
            (403, "Ask the administrators for a certificate.\n")
        );
    }
    assert_eq!(visit.first.request_count(), 1);
}
