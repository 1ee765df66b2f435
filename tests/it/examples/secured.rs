//! What is to be seen through `https.conf`, `client-certificates.conf` and `secured-upstreams.conf`.

use rustls::{HandshakeKind, ProtocolVersion};

use super::{Visit, last};
use crate::support::{
    Conf, Origin, Response, answer,
    tls::{Authority, Certified, Heard, Tls},
};

/// Who signs what the examples name.
pub struct People {
    root: Authority,
    people: Authority,
    /// What we show to the strict application: to most names, and to one.
    own: [Certified; 2],
}

/// Applications that are asked over TLS.
pub struct Applications {
    secured: Origin,
    strict: Origin,
}

impl Applications {
    /// Starts them.
    pub fn start(people: &People) -> Self {
        let certified = people.root.server(&["backend.example.com"]);
        let secured = Origin::over_tls(certified.origin(), |_| answer(200).body("secured"));
        let strict = Origin::over_tls(certified.origin_for(&people.people), |_| answer(200).body("strict"));
        Self { secured, strict }
    }

    /// Tells a configuration where they are.
    pub fn named_in(&self, conf: Conf) -> Conf {
        conf.origin_named("secured", &self.secured).origin_named("strict", &self.strict)
    }
}

impl People {
    /// Makes them.
    pub fn new() -> Self {
        let people = Authority::new("people");
        let own = [people.client("everybody"), people.client("shop")];
        Self { root: Authority::new("root"), people, own }
    }

    /// The files that the examples name.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![
            ("people.pem".to_owned(), self.people.pem().to_owned()),
            ("authority.pem".to_owned(), self.root.pem().to_owned()),
        ];
        for (name, own) in ["everybody", "shop"].iter().zip(&self.own) {
            files.push((format!("{name}-client.crt"), own.chain_pem.clone()));
            files.push((format!("{name}-client.key"), own.key_pem.clone()));
        }
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
    let People { root, people, .. } = &visit.people;
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

/// Asks applications over TLS: one that is believed, that one verified, one that wants to know who asks.
pub fn secured_upstreams(visit: &Visit) {
    let Applications { secured, strict } = &visit.applications;
    let heard = |origin: &Origin| -> Heard { last(origin).tls.expect("it was asked over TLS") };
    assert_eq!(visit.get("/page").text(), "secured");
    assert_eq!(last(secured).field("Host"), Some("backend.example.com"));
    assert_eq!(heard(secured).name.as_deref(), Some("backend.example.com"));
    visit.get("/page");
    assert_eq!(heard(secured).kind, HandshakeKind::Resumed);

    for _ in 0..2 {
        assert_eq!(visit.get("/verified/page").text(), "secured");
        assert_eq!(last(secured).target(), "/page");
        let heard = heard(secured);
        assert_eq!((heard.name.as_deref(), heard.kind), (Some("backend.example.com"), HandshakeKind::Full));
        assert_eq!(heard.version, ProtocolVersion::TLSv1_3);
    }
    let before = secured.request_count();
    assert_eq!(visit.get("/impostor/page").status(), 502);
    visit.server.wait_for_log("upstream SSL certificate does not match \"bank.example.com\"");
    assert_eq!(secured.request_count(), before, "it is asked nothing");

    let shown = |path: &str, host: &str| {
        let mut client = visit.server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response().text(), "strict", "{path}");
        heard(strict).certificates[0].to_vec()
    };
    let [everybody, shop] = &visit.people.own;
    assert_eq!(shown("/strict/page", "shop.example.org"), everybody.der());
    assert_eq!(shown("/strict/by-name/page", "www.example.org"), everybody.der());
    assert_eq!(shown("/strict/by-name/page", "shop.example.org"), shop.der());
}
