//! TLS towards clients: the directives' grammar, inheritance, and what must stand together.

use std::{path::PathBuf, time::Duration};

use super::{
    session_cache::{OCSP_CACHE, SESSION_CACHE, SessionCache, SharedCache},
    ssl_values::{
        CERTIFICATE_CACHE, CONF_COMMAND, CONF_PATH, CertificateCache, ConfCommand, FILE_TEXTS, PASSWORD_FILE,
        PROTOCOLS, SslProtocols, VERIFY_DEPTH,
    },
};
use crate::{
    places::Places,
    settings::{HS, Reader, settings},
    source::{Met, Problem, Span},
    template::Template,
    values::{BYTES, FLAG, OPTIONAL_PATH, SECONDS, SIZE, choice},
};

/// `ssl_verify_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyClient {
    /// Clients are not asked for certificates.
    Off,
    /// A client without a good certificate is refused.
    On,
    /// A client may have none, but no bad one.
    Optional,
    /// A client's certificate may be from anybody.
    OptionalNoCa,
}

/// `ssl_ocsp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ocsp {
    /// Nobody is asked whether a client's certificate still holds.
    Off,
}

settings! {
    /// TLS towards clients, at one level.
    pub struct SslConf {
        /// Certificates, each with those of its issuers behind it in one file, or as `data:` and their text; of several, the first that a client can check is shown.
        certificate: Vec<Template> = Vec::new(), "ssl_certificate" in HS, each(FILE_TEXTS);
        /// Keeps certificates whose names have variables.
        certificate_cache: Option<CertificateCache> = None,
            "ssl_certificate_cache" in HS, once(CERTIFICATE_CACHE), "off";
        /// Compresses certificates for clients that can take them so (RFC 8879).
        certificate_compression: bool = false, "ssl_certificate_compression" in HS, once(FLAG), "off";
        /// Keys of the certificates, in their order.
        certificate_key: Vec<Template> = Vec::new(), "ssl_certificate_key" in HS, each(FILE_TEXTS);
        /// Ciphers for TLS 1.2, in OpenSSL's language, in order of preference.
        ciphers: Vec<u8> = b"HIGH:!aNULL:!MD5".to_vec(), "ssl_ciphers" in HS, once(BYTES), "HIGH:!aNULL:!MD5";
        /// Authorities whose certificates clients may have; their names are sent to clients.
        client_certificate: Option<PathBuf> = None, "ssl_client_certificate" in HS, once(CONF_PATH);
        /// Commands for the TLS library, after all other directives.
        conf_command: Vec<ConfCommand> = Vec::new(), "ssl_conf_command" in HS, each(CONF_COMMAND);
        /// Certificates that were revoked.
        crl: Option<PathBuf> = None, "ssl_crl" in HS, once(CONF_PATH);
        /// Parameters of a key exchange that rustls does not have; a warning tells that it has no effect.
        dhparam: Option<PathBuf> = None, "ssl_dhparam" in HS, once(CONF_PATH);
        /// Takes requests that come with the first packet of a session taken up again (0-RTT).
        early_data: bool = false, "ssl_early_data" in HS, once(FLAG), "off";
        /// Groups for key exchange, in order of preference.
        ecdh_curve: Vec<u8> = b"auto".to_vec(), "ssl_ecdh_curve" in HS, once(BYTES), "auto";
        /// Most bytes of a record: smaller ones come to life earlier at the client, larger ones cost less.
        buffer_size: u64 = 16384, "ssl_buffer_size" in HS, once(SIZE), "16k";
        /// File that keys of connections are written to, for whoever looks into recorded packets.
        key_log: Option<PathBuf> = None, "ssl_key_log" in HS, once(OPTIONAL_PATH);
        /// Asks authorities whether certificates of clients still hold; only `off` is supported yet.
        ocsp: Ocsp = Ocsp::Off, "ssl_ocsp" in HS, once(OCSP), "off";
        /// Keeps what authorities said; a warning tells that it has no effect.
        ocsp_cache: Option<SharedCache> = None, "ssl_ocsp_cache" in HS, once(OCSP_CACHE), "off";
        /// Who is asked; a warning tells that it has no effect.
        ocsp_responder: Vec<u8> = Vec::new(), "ssl_ocsp_responder" in HS, once(BYTES);
        /// File with passphrases of keys, one in a line.
        password_file: Option<PathBuf> = None, "ssl_password_file" in HS, once(PASSWORD_FILE);
        /// Chooses ciphers by the order here rather than by the client's.
        prefer_server_ciphers: bool = false, "ssl_prefer_server_ciphers" in HS, once(FLAG), "off";
        /// Versions of the protocol.
        protocols: SslProtocols = SslProtocols::MODERN, "ssl_protocols" in HS, joined(PROTOCOLS), "TLSv1.2 TLSv1.3";
        /// Ends handshakes instead of showing a certificate: for names that no server has.
        reject_handshake: bool = false, "ssl_reject_handshake" in HS, once(FLAG), "off";
        /// Memory for sessions that clients take up again.
        session_cache: SessionCache = SessionCache::NOTHING, "ssl_session_cache" in HS, joined(SESSION_CACHE), "none";
        /// Keys that tickets are sealed with: the first for new ones, all for those that come back.
        session_ticket_key: Vec<PathBuf> = Vec::new(), "ssl_session_ticket_key" in HS, each(TICKET_KEY);
        /// Lets clients keep their sessions themselves, sealed (tickets).
        session_tickets: bool = true, "ssl_session_tickets" in HS, once(FLAG), "on";
        /// How long a session can be taken up again.
        session_timeout: Duration = Duration::from_secs(300), "ssl_session_timeout" in HS, once(SECONDS), "5m";
        /// Asks the authority for a proof that the certificate still holds; a warning tells that it has no effect yet.
        stapling: bool = false, "ssl_stapling" in HS, once(FLAG), "off";
        /// Proof of the authority that the certificate still holds, which clients are sent.
        stapling_file: Option<PathBuf> = None, "ssl_stapling_file" in HS, once(CONF_PATH);
        /// Who is asked for it; a warning tells that it has no effect yet.
        stapling_responder: Vec<u8> = Vec::new(), "ssl_stapling_responder" in HS, once(BYTES);
        /// Checks it; a warning tells that it has no effect yet.
        stapling_verify: bool = false, "ssl_stapling_verify" in HS, once(FLAG), "off";
        /// Authorities whose certificates clients may have, beside `ssl_client_certificate`; nobody is told their names.
        trusted_certificate: Option<PathBuf> = None, "ssl_trusted_certificate" in HS, once(CONF_PATH);
        /// Asks clients for certificates.
        verify_client: VerifyClient = VerifyClient::Off, "ssl_verify_client" in HS, once(VERIFY_CLIENT), "off";
        /// Most certificates between a client's and that of its authority.
        verify_depth: u64 = 1, "ssl_verify_depth" in HS, once(VERIFY_DEPTH), "1";
    }
}

const TICKET_KEY: Reader<PathBuf> = Reader::one("file", |directive, scope| Ok(scope.conf_path(directive, 0)));

const VERIFY_CLIENT: Reader<VerifyClient> =
    Reader::one("on | off | optional | optional_no_ca", |directive, _| {
        let words = [
            ("off", VerifyClient::Off),
            ("on", VerifyClient::On),
            ("optional", VerifyClient::Optional),
            ("optional_no_ca", VerifyClient::OptionalNoCa),
        ];
        choice(directive, 0, &words)
    });

const OCSP: Reader<Ocsp> = Reader::one("on | off | leaf", |directive, _| {
    let words = [("off", Some(Ocsp::Off)), ("on", None), ("leaf", None)];
    let told = || directive.fail(0, format!("\"ssl_ocsp {}\" is not supported yet", directive.text(0)));
    choice(directive, 0, &words)?.ok_or_else(told)
});

impl SslConf {
    /// Checks that what a server has fits together, once it has all that it inherits.
    pub fn settle(&self, places: &Places) -> Result<(), Problem> {
        if !self.is_ready() {
            return Ok(());
        }
        let wrong = |directive: &str, message: &dyn Fn(&str) -> String| {
            let (span, value) = places.last(directive).unwrap_or((Span::NOWHERE, ""));
            Err(Problem::new(span, message(value)).met(Met::Inheriting))
        };
        if self.certificate_key.len() < self.certificate.len() {
            return wrong("ssl_certificate", &|certificate| {
                format!("no \"ssl_certificate_key\" is defined for certificate \"{certificate}\"")
            });
        }
        let asks = !matches!(*self.verify_client, VerifyClient::Off | VerifyClient::OptionalNoCa);
        if asks && self.client_certificate.is_none() && self.trusted_certificate.is_none() {
            return wrong("ssl_verify_client", &|_| {
                "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client".to_owned()
            });
        }
        Ok(())
    }

    /// Says whether a server has what a handshake needs.
    pub fn is_ready(&self) -> bool {
        !self.certificate.is_empty() || *self.reject_handshake
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        OwnCache,
        tests::{complaint, complaints, http},
    };

    #[test]
    fn what_a_server_lacks_is_told_as_nginx_tells_it() {
        let pair = "ssl_certificate a; ssl_certificate_key a;";
        let no_certificate = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in :1";
        let no_key =
            |name: &str| format!("no \"ssl_certificate_key\" is defined for certificate \"{name}\" in :1");
        let no_ca = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client in :1";
        let cases = [
            ("server { listen 1 ssl; }".to_owned(), no_certificate.to_owned()),
            ("server { listen 1 ssl; ssl_certificate a; }".to_owned(), no_key("a")),
            ("server { ssl_certificate a; }".to_owned(), no_key("a")),
            (format!("ssl_certificate b; server {{ {pair} }}"), String::new()),
            (format!("server {{ {pair} ssl_certificate b; }}"), no_key("b")),
            ("server { ssl_certificate_key a; }".to_owned(), String::new()),
            (format!("server {{ {pair} ssl_verify_client on; }}"), no_ca.to_owned()),
            (format!("server {{ {pair} ssl_verify_client optional; }}"), no_ca.to_owned()),
            (format!("server {{ {pair} ssl_verify_client optional_no_ca; }}"), String::new()),
            ("server { ssl_verify_client on; }".to_owned(), String::new()),
            (format!("server {{ {pair} ssl_verify_client on; ssl_trusted_certificate a; }}"), String::new()),
            ("server { listen 1 ssl; ssl_reject_handshake on; }".to_owned(), String::new()),
            (
                "server { listen 1 ssl; ssl_reject_handshake on; } server { listen 1; server_name a; }"
                    .to_owned(),
                no_certificate.to_owned(),
            ),
            (
                format!("server {{ listen 1; {pair} }} server {{ listen 1 ssl; server_name a; }}"),
                String::new(),
            ),
            (
                format!("server {{ listen 1; }} server {{ listen 1 ssl; server_name a; {pair} }}"),
                no_certificate.to_owned(),
            ),
        ];
        for (text, wanted) in cases {
            let told = complaint(&text);
            // What is only warned of comes after what is wrong.
            let told = if told.contains("has no effect") { "" } else { &*told };
            assert_eq!(told, wanted, "{text}");
        }
    }

    #[test]
    fn names_of_files_start_from_the_directory_of_the_main_file() {
        let files = "ssl_certificate a.crt; ssl_certificate /b.crt; ssl_certificate data:x; ssl_certificate $host.crt;
            ssl_certificate_key store:file:a; ssl_certificate_key engine:a:b; ssl_certificate_key a$host;
            ssl_certificate_key a; ssl_crl crl.pem; ssl_conf_command privatekey b; ssl_conf_command Groups b;";
        let http = http(&format!("server {{ {files} }}"));
        let ssl = &http.servers[0].ssl;
        let directory = http.directory.to_str().expect("the directory has a name");
        let full = |name: &str| http.directory.join(name).to_str().expect("it is text").to_owned();
        let plain: Vec<_> =
            ssl.certificate.iter().map(|name| name.as_text().map(String::from_utf8_lossy)).collect();
        assert_eq!(plain[0].as_deref(), Some(&*full("a.crt")));
        assert_eq!(plain[1].as_deref(), Some("/b.crt"));
        assert_eq!(plain[2].as_deref(), Some("data:x"));
        assert_eq!(plain[3], None);
        assert_eq!(ssl.certificate_key[0].as_text(), Some(&b"store:file:a"[..]));
        assert_eq!(ssl.certificate_key[1].as_text(), Some(&b"engine:a:b"[..]));
        assert!(format!("{:?}", ssl.certificate_key[2]).contains("Variable"), "{directory}");
        let values: Vec<_> =
            ssl.conf_command.iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
        assert_eq!(values, [&*full("b"), "b"]);
        assert_eq!(ssl.crl.as_deref(), Some(&*http.directory.join("crl.pem")));
    }

    #[test]
    fn places_are_those_of_the_level_that_holds() {
        let outer = "ssl_certificate_key o;\nssl_certificate o;\nssl_ciphers X;";
        let inner = "server {\nssl_certificate i;\nssl_certificate j; ssl_certificate_key i; ssl_certificate_key j; }";
        let http = http(&format!("{outer}\n{inner}"));
        let line = |name, number| http.servers[0].ssl_places.of(name, number).map(|place| place.line);
        let first = line("ssl_ciphers", 0).expect("it is written") - 2;
        assert_eq!(line("ssl_certificate", 0), Some(first + 4));
        assert_eq!(line("ssl_certificate", 1), Some(first + 5));
        assert_eq!(line("ssl_certificate", 2), None);
        assert_eq!(line("ssl_crl", 0), None);
    }

    #[test]
    fn words_about_sessions_add_up() {
        let cases = [
            ("", Some(OwnCache::Nothing), None),
            ("ssl_session_cache off;", Some(OwnCache::Off), None),
            ("ssl_session_cache builtin;", Some(OwnCache::Builtin(20480)), None),
            ("ssl_session_cache builtin:5 shared:a:1m;", Some(OwnCache::Builtin(5)), Some(1 << 20)),
            ("ssl_session_cache off; ssl_session_cache shared:a:32k;", Some(OwnCache::Off), Some(32 << 10)),
            ("ssl_session_cache shared:a:32k;", None, Some(32 << 10)),
        ];
        for (text, own, shared) in cases {
            let http = http(&format!("server {{ {text} }}"));
            let cache = &http.servers[0].ssl.session_cache;
            assert_eq!(cache.own, own, "{text}");
            assert_eq!(cache.shared.as_ref().map(|shared| shared.size_bytes), shared, "{text}");
        }
    }

    #[test]
    fn protocols_that_differ_without_need_are_told() {
        let warned = |listens: &[&str]| {
            let servers: Vec<String> = listens
                .iter()
                .enumerate()
                .map(|(number, options)| format!("server {{ listen 1 {options}; server_name a{number}; }}"))
                .collect();
            // A mistake behind them makes that all is told.
            let told = complaints(&format!(
                "events {{}} http {{ ssl_reject_handshake on; {} }} wrong;",
                servers.join(" ")
            ));
            told.iter().filter(|line| line.contains("protocol options redefined for 0.0.0.0:1")).count()
        };
        let cases: [(&[&str], usize); 9] = [
            (&["ssl", "ssl"], 0),
            (&["ssl", ""], 0),
            (&["", "ssl"], 0),
            (&["ssl", "http2"], 1),
            (&["ssl backlog=5", ""], 0),
            (&["backlog=5", "ssl"], 1),
            (&["ssl", "backlog=5"], 1),
            (&["ssl", "", "ssl"], 1),
            (&["ssl", "", ""], 0),
        ];
        for (listens, wanted) in cases {
            assert_eq!(warned(listens), wanted, "{listens:?}");
        }
    }

    #[test]
    fn protocols_of_an_address_are_those_of_all_its_servers() {
        let http =
            http("ssl_reject_handshake on; server { listen 1; } server { listen 1 ssl; listen 2 http2; }");
        let protocols: Vec<_> =
            http.listeners.iter().map(|listen| (listen.protocols.ssl, listen.protocols.http2)).collect();
        assert_eq!(protocols, [(true, false), (false, true)]);
    }
}
