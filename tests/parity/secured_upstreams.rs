//! TLS towards upstreams: both programs ask the same origins, which tell what they heard; failures are compared by their answers and by
//! their lines in the error log.

use std::net::SocketAddr;

use rustls::version::{TLS12, TLS13};

use crate::{
    secured_upstreams::{REFUSAL, peer},
    support::{
        Conf, Origin, Server, answer, http,
        origin::Asked,
        peers::Program,
        tls::{Authority, Certified},
        wait_until,
    },
};

/// Requests by their path; a second word is `X-Name`.
const CASES: &[&str] = &[
    // Answers, variables and URIs.
    "/",
    "/page?x=y",
    "/uri/page?x=y",
    "/named/page",
    "/host",
    "/missing",
    "/kept/a",
    "/kept/b",
    "/kept-sni",
    // Names.
    "/sni",
    "/sni-of-url",
    "/sni-of-address",
    "/sni-named app.test",
    "/sni-named app.test:8443",
    "/sni-named back_end",
    "/sni-named 127.0.0.1",
    "/sni-named [::1]:443",
    "/sni-named",
    "/no-sni app.test",
    // Versions, ciphers, sessions, certificates.
    "/tls12",
    "/tls13",
    "/cipher",
    "/again12/a",
    "/again12/b",
    "/again13/a",
    "/again13/b",
    "/forgotten/a",
    "/forgotten/b",
    "/certificate",
    // Whom one believes.
    "/verified localhost",
    "/verified app.test",
    "/verified wild.app.test",
    "/verified else.test",
    "/verified 127.0.0.1",
    "/verified",
    "/untrusted localhost",
    // What goes wrong.
    "/no-certificate",
    "/no-version",
    "/no-cipher",
    "/no-peer",
    "/no-tls",
    "/refusing",
    "/closing",
    "/silent",
    "/default-port",
    "/next/page",
    "/next-none",
];

/// Cases in which Larder does otherwise, why, and what its side has instead.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "/kept-sni",
        "a kept connection carries only requests with the same settings",
        "SNI: Some(\"kept.test\")",
    ),
    (
        "/no-certificate",
        "nginx takes alerts that it does not know for critical",
        "[error] SSL_read() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number \
         116) while reading response header from upstream, client: 127.0.0.1",
    ),
    (
        "/next-none",
        "what became of the request is told when all else is done",
        "[error] SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number \
         40) while SSL handshaking to upstream, client: 127.0.0.1",
    ),
];

/// Who is asked.
struct Origins {
    any: Origin,
    newest: Origin,
    older: Origin,
    strict: Origin,
    plain: SocketAddr,
    refusing: SocketAddr,
    closing: SocketAddr,
    silent: SocketAddr,
}

impl Origins {
    fn start(root: &Authority, certified: &Certified) -> Self {
        let over_tls = |config| Origin::over_tls(config, |asked| answer(status(asked)).body(told(asked)));
        Self {
            any: over_tls(certified.origin()),
            newest: over_tls(certified.origin_of(&[&TLS13])),
            older: over_tls(certified.origin_of(&[&TLS12])),
            strict: over_tls(certified.origin_for(root)),
            plain: peer(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            refusing: peer(Some(REFUSAL)),
            closing: peer(Some(b"")),
            silent: peer(None),
        }
    }

    fn addresses(&self) -> [(&'static str, SocketAddr); 8] {
        [
            ("ANY", self.any.address()),
            ("NEWEST", self.newest.address()),
            ("OLDER", self.older.address()),
            ("STRICT", self.strict.address()),
            ("PLAIN", self.plain),
            ("REFUSING", self.refusing),
            ("CLOSING", self.closing),
            ("SILENT", self.silent),
        ]
    }
}

fn status(asked: &Asked) -> u16 {
    if asked.target() == "/missing" { 404 } else { 200 }
}

/// What an origin was asked, and what it heard before.
fn told(asked: &Asked) -> String {
    let heard = asked.tls.as_ref().expect("it came over TLS");
    format!(
        "{} Host: {} SNI: {:?} {:?} {:?} {:?} {}",
        asked.line(),
        asked.field("Host").unwrap_or("-"),
        heard.name,
        heard.version,
        heard.cipher,
        heard.kind,
        heard.certificates.len()
    )
}

const CONF: &str = "
    log_format facts '$upstream_status|$upstream_addr|$upstream_response_length|$upstream_bytes_received|$upstream_bytes_sent';
    upstream app.test { server ANY; }
    upstream kept.test { server ANY; keepalive 4; }
    upstream again12 { server OLDER; }
    upstream again13 { server NEWEST; }
    upstream forgotten { server NEWEST; }
    upstream both { server CLOSING; server ANY backup; }
    upstream neither { server CLOSING; server REFUSING; }
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_session_reuse off;
    proxy_connect_timeout 1s;
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        access_log access.log facts;
        add_header X-Facts '$upstream_status|$upstream_addr|$proxy_host|$proxy_port' always;
        location / { proxy_pass https://ANY; }
        location /uri/ { proxy_pass https://ANY/base/; }
        location /named/ { proxy_pass https://$http_x_to; }
        location /host { proxy_pass https://app.test; proxy_set_header Host $proxy_host:$proxy_port; }
        location /kept { proxy_pass https://kept.test; proxy_http_version 1.1; proxy_set_header Connection '';
            location /kept-sni { proxy_pass https://kept.test; proxy_ssl_server_name on; } }
        location /sni { proxy_pass https://ANY; proxy_ssl_server_name on; proxy_ssl_name localhost; }
        location /sni-of-url { proxy_pass https://app.test; proxy_ssl_server_name on; }
        location /sni-of-address { proxy_pass https://ANY; proxy_ssl_server_name on; }
        location /sni-named { proxy_pass https://ANY; proxy_ssl_server_name on; proxy_ssl_name $http_x_name; }
        location /no-sni { proxy_pass https://ANY; proxy_ssl_name $http_x_name; }
        location /tls12 { proxy_pass https://ANY; proxy_ssl_protocols TLSv1.2; }
        location /tls13 { proxy_pass https://ANY; proxy_ssl_protocols TLSv1.3; }
        location /cipher { proxy_pass https://ANY; proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; }
        location /again12/ { proxy_pass https://again12; proxy_ssl_session_reuse on; }
        location /again13/ { proxy_pass https://again13; proxy_ssl_session_reuse on; }
        location /forgotten/ { proxy_pass https://forgotten; }
        location /certificate { proxy_pass https://STRICT; proxy_ssl_certificate own.crt; proxy_ssl_certificate_key own.key; }
        location /verified { proxy_pass https://ANY; proxy_ssl_name $http_x_name; proxy_ssl_verify on;
            proxy_ssl_trusted_certificate root.pem; }
        location /untrusted { proxy_pass https://ANY; proxy_ssl_name $http_x_name; proxy_ssl_verify on;
            proxy_ssl_trusted_certificate stranger.pem; }
        location /no-certificate { proxy_pass https://STRICT; }
        location /no-version { proxy_pass https://NEWEST; proxy_ssl_protocols TLSv1.2; }
        location /no-cipher { proxy_pass https://OLDER; proxy_ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256; }
        location /no-peer { proxy_pass https://127.0.0.1:%CLOSEDPORT%; }
        location /no-tls { proxy_pass https://PLAIN; }
        location /refusing { proxy_pass https://REFUSING; }
        location /closing { proxy_pass https://CLOSING; }
        location /silent { proxy_pass https://SILENT; }
        location /default-port { proxy_pass https://127.0.0.9; }
        location /next/ { proxy_pass https://both; }
        location /next-none { proxy_pass https://neither; }
    }";

/// One program before the origins.
struct Side<'a> {
    server: Server,
    origins: &'a Origins,
}

impl Side<'_> {
    /// Asks, and tells all that could be seen of it.
    fn seen(&self, case: &str) -> String {
        let (path, name) = case.split_once(' ').unwrap_or((case, ""));
        let (errors, facts) = (self.errors().len(), self.facts().len());
        let mut client = self.server.client();
        let to = self.origins.any.address();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Name: {name}\r\nX-To: {to}\r\nConnection: close\r\n\r\n"
        ));
        let response = client.response();
        wait_until("it is logged", || self.facts().len() > facts);
        let body = if response.status() == 502 || response.status() == 504 {
            String::new()
        } else {
            response.text()
        };
        let mut seen = format!(
            "{} {}\n{body}\n{}\n",
            response.status(),
            response.field("X-Facts").unwrap_or_default(),
            self.facts().last().map_or("", String::as_str)
        );
        for line in self.errors().iter().skip(errors) {
            seen += &format!("{line}\n");
        }
        self.neutral(&seen)
    }

    fn facts(&self) -> Vec<String> {
        self.server.read("access.log").lines().map(str::to_owned).collect()
    }

    /// Lines of the error log from their level on, without numbers of processes and connections.
    fn errors(&self) -> Vec<String> {
        let log = self.server.read("error.log");
        let line = |line: &str| {
            let level = ["[error]", "[crit]", "[warn]"].into_iter().find(|level| line.contains(level))?;
            let (_, told) = line.split_once(": *")?;
            Some(format!("{level} {}", told.split_once(' ')?.1))
        };
        log.lines().filter_map(line).collect()
    }

    fn neutral(&self, text: &str) -> String {
        let addresses = self.origins.addresses().into_iter();
        addresses.fold(text.to_owned(), |text, (name, address)| {
            text.replace(&address.to_string(), name)
                .replace(&address.port().to_string(), &format!("({name})"))
        })
    }
}

fn conf(origins: &Origins, root: &Authority, closed: u16) -> Conf {
    let own = root.client("own");
    let text = origins
        .addresses()
        .into_iter()
        .fold(CONF.to_owned(), |text, (name, address)| text.replace(name, &address.to_string()));
    http(&text.replace("%CLOSEDPORT%", &closed.to_string()))
        .file("own.crt", &own.chain_pem)
        .file("own.key", &own.key_pem)
        .file("root.pem", root.pem())
        .file("stranger.pem", Authority::new("stranger").pem())
}

#[test]
fn tls_with_upstreams() {
    let Some(nginx) = Program::nginx() else { return };
    let root = Authority::new("root");
    let certified = root.server(&["localhost", "app.test", "*.app.test"]);
    let origins = Origins::start(&root, &certified);
    let conf = conf(&origins, &root, crate::support::conf::free_port());
    let side = |program: &Program| Side { server: Server::start_program(program, &conf), origins: &origins };
    let (theirs, ours) = (side(&nginx), side(&Program::larder()));
    let mut report = String::new();
    for case in CASES {
        let (expected, got) = (theirs.seen(case), ours.seen(case));
        let meant = DIFFERENCES.iter().find(|(name, ..)| name == case && !Program::larder().is_nginx());
        let is_right = match meant {
            None => expected == got,
            Some((_, because, instead)) => {
                println!("differs by intent: {case}: {because}");
                expected != got && got.contains(instead)
            }
        };
        if !is_right {
            report += &format!("=== {case} ===\n--- nginx:\n{expected}--- larder:\n{got}\n");
        }
    }
    assert!(report.is_empty(), "{report}");
}
