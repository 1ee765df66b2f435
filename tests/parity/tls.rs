//! TLS with clients: variables, names, certificates of clients, plain requests, redirects.

use rustls::version::{TLS12, TLS13};

use super::{
    case::{Case, Group, case},
    run::compare,
};
use crate::support::{
    Conf, answer, http,
    tls::{Authority, Certified, Tls},
};

#[test]
fn tls_with_clients() {
    compare(&group());
}

/// Who trusts whom.
struct People {
    root: Authority,
    clients: Authority,
    strangers: Authority,
}

impl People {
    fn meet() -> Self {
        let new = Authority::new;
        Self { root: new("root"), clients: new("clients"), strangers: new("strangers") }
    }

    /// A client that shows nothing.
    fn tls(&self) -> Tls {
        Tls::trusting(&self.root)
    }

    fn known(&self) -> Tls {
        Tls::certified(&self.root, &self.clients.client("known"))
    }

    fn stranger(&self) -> Tls {
        Tls::certified(&self.root, &self.strangers.client("stranger"))
    }
}

/// One configuration for all of them.
pub fn group() -> Group {
    let people = People::meet();
    let conf = conf(&people);
    Group::new("tls", conf)
        .cases(variables(&people))
        .cases(plain())
        .cases(redirects(&people))
        .cases(names(&people))
        .cases(certificates(&people))
        .cases(refused(&people))
}

const SHOWN: &str = "$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_s_dn_legacy|$ssl_client_i_dn_legacy|\
     $ssl_client_serial|$ssl_client_fingerprint|$ssl_client_v_start|$ssl_client_v_end|$ssl_client_v_remain";

fn conf(people: &People) -> Conf {
    let own = |name: &str| format!("ssl_certificate {name}.crt; ssl_certificate_key {name}.key;");
    let verified = |name: &str, mode: &str| {
        format!(
            "server {{ listen 127.0.0.1:%PORT% ssl; server_name {name}.test; ssl_verify_client {mode};
                ssl_client_certificate clients.pem;
                location / {{ return 200 '{name}: {SHOWN}'; }}
                location /certs {{ return 200 '$ssl_client_raw_cert,$ssl_client_cert,$ssl_client_escaped_cert'; }}
                location /proxied {{ proxy_pass http://%ORIGIN%; proxy_set_header X-Verify $ssl_client_verify;
                    proxy_set_header X-Who $ssl_client_s_dn; proxy_set_header X-Cert $ssl_client_escaped_cert; }}
                error_page 495 /495; location = /495 {{ return 200 'bad certificate: $ssl_client_verify'; }}
            }}"
        )
    };
    let conf = http(&format!(
        "{own} ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1;
        map $ssl_server_name-$server_name-$https-$uri $named {{ named.test-localhost-on- second; a.test-localhost-on- own; }}
        server {{
            listen 127.0.0.1:%PORT:named% ssl; server_name localhost;
            ssl_certificate $named.crt; ssl_certificate_key $named.key;
            return 200 'named $ssl_server_name $ssl_session_reused';
        }}
        server {{
            listen 127.0.0.1:%PORT% ssl; server_name localhost;
            location / {{ return 200 '$scheme $https $server_port $ssl_protocol $ssl_cipher $ssl_curve $ssl_server_name $ssl_session_reused $ssl_alpn_protocol $ssl_client_verify $ssl_early_data.'; }}
            location /offered {{ return 200 '$ssl_ciphers'; }}
            location /dir {{ root %DIR%; }}
            location = /go {{ return 302 /there; }}
            location = /away {{ return 302 $scheme://$host/there; }}
            location /proxied {{ proxy_pass http://%ORIGIN%; proxy_set_header X-Proto $scheme; proxy_set_header X-Tls $ssl_protocol; }}
        }}
        server {{ listen 127.0.0.1:%PORT% ssl; server_name a.test; return 200 'a $ssl_server_name $host'; }}
        {on} {optional} {anybody}
        server {{ listen 127.0.0.1:%PORT% ssl; server_name strict.test; ssl_verify_client on;
            ssl_client_certificate clients.pem; return 200 strict; }}
        server {{ listen 127.0.0.1:%PORT% ssl; server_name none.test; ssl_reject_handshake on; }}
        server {{
            listen 127.0.0.1:%PORT:a% ssl; server_name localhost;
            error_page 497 https://$host:8443$request_uri;
        }}
        server {{
            listen 127.0.0.1:%PORT:b% ssl; listen 127.0.0.1:%PORT:closed%; server_name localhost;
            error_page 497 /497; location = /497 {{ return 200 'plain: $scheme $https $request_uri'; }}
            location / {{ return 200 'b $scheme [$ssl_protocol]'; }}
        }}",
        own = own("own"),
        on = verified("on", "on"),
        optional = verified("optional", "optional"),
        anybody = verified("anybody", "optional_no_ca"),
    ));
    let names = [
        "localhost",
        "a.test",
        "on.test",
        "optional.test",
        "anybody.test",
        "strict.test",
        "none.test",
        "else.test",
    ];
    let second = people.root.server(&["named.test"]);
    with_pair(conf, &people.root.server(&names))
        .file("second.crt", &second.chain_pem)
        .file("second.key", &second.key_pem)
        .file("clients.pem", people.clients.pem())
        .file("dir/page", "page")
}

fn with_pair(conf: Conf, own: &Certified) -> Conf {
    conf.file("own.crt", &own.chain_pem).file("own.key", &own.key_pem)
}

fn variables(people: &People) -> Vec<Case> {
    let tls = people.tls();
    let tls12 = Tls::only(&people.root, &TLS12);
    let again = || Tls::only(&people.root, &TLS12).remembering();
    let again13 = Tls::only(&people.root, &TLS13).remembering();
    let tls12_again = again();
    vec![
        case("TLS 1.3").secure(&tls).get("/"),
        case("TLS 1.2").secure(&tls12).get("/"),
        case("what the client offers").secure(&tls12).get("/offered"),
        case("a protocol that both know").secure(&people.tls().alpn(&["http/1.1", "x"])).get("/"),
        case("a protocol of old").secure(&people.tls().alpn(&["http/1.0"])).get("/"),
        case("no protocol that both know").secure(&people.tls().alpn(&["x"])).get("/"),
        case("a session again, 1.2").secure(&tls12_again).get("/").secure(&tls12_again).get("/").differs(
            "rustls does not keep the group of a session of TLS 1.2",
            &["< | https on (port) TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384  localhost r  NONE ."],
        ),
        case("a session again, 1.3").secure(&again13).get("/").secure(&again13).get("/"),
        case("the origin is told").secure(&tls).get("/proxied").origin(answer(200).body("fine")),
        case("no name").secure(&people.tls().with(|config| config.enable_sni = false)).get("/"),
        case("several requests on one connection").secure(&tls).get("/").get("/go").get("/"),
        case("HTTP/1.0").secure(&tls).send("GET / HTTP/1.0\r\n\r\n"),
        case("a bad request").secure(&tls).send("GET / HTTP/1.1\r\n\r\n"),
        case("pipelined").secure(&tls).pipeline(2, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2)),
    ]
}

fn plain() -> Vec<Case> {
    vec![
        case("plain HTTP where TLS is spoken").get("/"),
        case("and once more, old").send("GET / HTTP/1.0\r\n\r\n"),
        case("plain HTTP with a query and another host").on("a").send("GET /x?y HTTP/1.1\r\nHost: h\r\n\r\n"),
        case("a redirect of plain HTTP").on("a").get("/x?y"),
        case("a page for plain HTTP").on("b").get("/x?y"),
        case("plain HTTP of one server on both").on("closed").get("/x"),
        case("a bad plain request").on("a").send("GET / HTTP/1.1\r\n\r\n"),
        case("no HTTP at all").on("a").send("hello\r\n\r\n"),
    ]
}

fn redirects(people: &People) -> Vec<Case> {
    let tls = people.tls();
    vec![
        case("a slash is added").secure(&tls).get("/dir"),
        case("a path").secure(&tls).get("/go"),
        case("a path of another host").secure(&tls).send("GET /go HTTP/1.1\r\nHost: other.test\r\n\r\n"),
        case("a whole URL").secure(&tls).get("/away"),
        case("a redirect of the origin")
            .secure(&tls)
            .get("/proxied/x")
            .origin(answer(302).field("Location", "http://localhost/y").body("")),
        case("TLS of one server on both").secure_to("b", &tls).get("/x"),
    ]
}

fn names(people: &People) -> Vec<Case> {
    let host = |name: &str| format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    let named = |name: &str| people.tls().name(name);
    let again = named("named.test").remembering();
    vec![
        case("another name").secure(&named("a.test")).send(host("a.test")),
        case("a name in capitals")
            .secure(&named("A.TEST"))
            .send(host("a.test"))
            .differs("rustls shows names in lower case", &["< | a a.test a.test"]),
        case("the field names another server").secure(&named("a.test")).send(host("localhost")),
        case("nobody's name").secure(&named("else.test")).send(host("a.test")),
        case("a server that refuses to answer").secure(&named("none.test")).send(host("none.test")),
        case("a strict server under another name").secure(&named("a.test")).send(host("strict.test")),
        case("a strict server where no name was asked for")
            .secure(&named("else.test"))
            .send(host("strict.test")),
        case("a strict server, then another")
            .secure(&people.known().name("strict.test"))
            .send(host("a.test")),
        case("a strict server").secure(&people.known().name("strict.test")).send(host("strict.test")),
        case("variables name a certificate").secure_to("named", &named("named.test")).get("/"),
        case("variables name another").secure_to("named", &named("a.test")).get("/"),
        case("variables name none that is there").secure_to("named", &named("else.test")).get("/"),
        case("a session with a certificate that variables name")
            .secure_to("named", &again)
            .get("/")
            .secure_to("named", &again)
            .get("/"),
        case("a strict server without a host")
            .secure(&people.known().name("strict.test"))
            .send("GET / HTTP/1.0\r\n\r\n"),
    ]
}

fn certificates(people: &People) -> Vec<Case> {
    let mut cases = Vec::new();
    for server in ["on.test", "optional.test", "anybody.test"] {
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        let of = |tls: Tls| tls.name(server);
        cases.extend([
            case("no certificate").secure(&of(people.tls())).send(request("/")),
            case("a good certificate").secure(&of(people.known())).send(request("/")),
            case("the certificate itself").secure(&of(people.known())).send(request("/certs")),
            case("a stranger's").secure(&of(people.stranger())).send(request("/")),
            case("a good one, twice").secure(&of(people.known())).send(request("/")).send(request("/certs")),
            case("the origin is told")
                .secure(&of(people.known()))
                .send(request("/proxied"))
                .origin(answer(200).body("fine")),
            case("a stranger and the origin")
                .secure(&of(people.stranger()))
                .send(request("/proxied"))
                .origin(answer(200).body("fine")),
        ]);
    }
    cases
}

fn refused(people: &People) -> Vec<Case> {
    let tls = people.tls();
    vec![
        case("TRACE").secure(&tls).request("TRACE / HTTP/1.1", &[], ""),
        case("two lengths").secure(&tls).request(
            "POST / HTTP/1.1",
            &["Content-Length: 1", "Content-Length: 1"],
            "a",
        ),
        case("a body that nobody wants").secure(&tls).request(
            "POST / HTTP/1.1",
            &["Content-Length: 5"],
            "hello",
        ),
        case("a long URI").secure(&tls).get(&format!("/{}", "x".repeat(40_000))),
    ]
}
