//! TLS towards upstreams: the directives' grammar, inheritance, and what must stand together.

use std::path::PathBuf;

use super::ssl_values::{
    CERTIFICATE_CACHE, CONF_COMMAND, CONF_PATH, CertificateCache, ConfCommand, FILE_TEXT, PASSWORD_FILE,
    PEER_NAME, PROTOCOLS, SslProtocols,
};
use crate::{
    places::Places,
    settings::{HSL, settings},
    source::{Met, Problem, Span},
    template::Template,
    values::{BYTES, FLAG, NUMBER, OPTIONAL_PATH},
};

settings! {
    /// TLS towards upstreams, at one level.
    pub struct ProxySslConf {
        /// Certificate shown to upstreams that ask for one, with those of its issuers behind it.
        certificate: Option<Template> = None, "proxy_ssl_certificate" in HSL, once(FILE_TEXT);
        /// Keeps certificates whose names have variables.
        certificate_cache: Option<CertificateCache> = None,
            "proxy_ssl_certificate_cache" in HSL, once(CERTIFICATE_CACHE), "off";
        /// Key of the certificate.
        certificate_key: Option<Template> = None, "proxy_ssl_certificate_key" in HSL, once(FILE_TEXT);
        /// Ciphers for TLS 1.2 that are offered to upstreams, in OpenSSL's language.
        ciphers: Vec<u8> = b"DEFAULT".to_vec(), "proxy_ssl_ciphers" in HSL, once(BYTES), "DEFAULT";
        /// Commands for the TLS library, after all other directives.
        conf_command: Vec<ConfCommand> = Vec::new(), "proxy_ssl_conf_command" in HSL, each(CONF_COMMAND);
        /// Lists of revoked certificates: each certificate of a chain needs one from its issuer.
        crl: Option<PathBuf> = None, "proxy_ssl_crl" in HSL, once(CONF_PATH);
        /// File that keys of connections are written to, for whoever looks into recorded packets.
        key_log: Option<PathBuf> = None, "proxy_ssl_key_log" in HSL, once(OPTIONAL_PATH);
        /// Name that an upstream's certificate must have, and that it is told; a port in it is of no account.
        name: Option<Template> = None, "proxy_ssl_name" in HSL, once(PEER_NAME), "$proxy_host";
        /// File with passphrases of keys, one in a line.
        password_file: Option<PathBuf> = None, "proxy_ssl_password_file" in HSL, once(PASSWORD_FILE);
        /// Versions of the protocol that are offered to upstreams.
        protocols: SslProtocols = SslProtocols::MODERN,
            "proxy_ssl_protocols" in HSL, joined(PROTOCOLS), "TLSv1.2 TLSv1.3";
        /// Tells upstreams which name is asked for (SNI).
        server_name: bool = false, "proxy_ssl_server_name" in HSL, once(FLAG), "off";
        /// Takes sessions up again: the handshake is shorter, and certificates are not sent again.
        session_reuse: bool = true, "proxy_ssl_session_reuse" in HSL, once(FLAG), "on";
        /// Authorities that are trusted.
        trusted_certificate: Option<PathBuf> = None,
            "proxy_ssl_trusted_certificate" in HSL, once(CONF_PATH);
        /// Checks certificates of upstreams: who signed them, until when they hold, and that they have the name.
        verify: bool = false, "proxy_ssl_verify" in HSL, once(FLAG), "off";
        /// Most certificates between an upstream's and that of its authority.
        verify_depth: u64 = 1, "proxy_ssl_verify_depth" in HSL, once(NUMBER), "1";
    }
}

impl ProxySslConf {
    /// Checks that what a location has that may ask over TLS fits together, once it has all that it inherits.
    pub fn settle(&self, places: &Places) -> Result<(), Problem> {
        let wrong = |directive: &str, message: &dyn Fn(&str) -> String| {
            let (span, value) = places.last(directive).unwrap_or((Span::NOWHERE, ""));
            Err(Problem::new(span, message(value)).met(Met::Inheriting))
        };
        if self.certificate.is_some() && self.certificate_key.is_none() {
            return wrong("proxy_ssl_certificate", &|certificate| {
                format!("no \"proxy_ssl_certificate_key\" is defined for certificate \"{certificate}\"")
            });
        }
        if *self.verify && self.trusted_certificate.is_none() {
            return wrong("proxy_ssl_verify", &|_| {
                "no proxy_ssl_trusted_certificate for proxy_ssl_verify".to_owned()
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{complaint, complaints, http};

    #[test]
    fn what_belongs_together_is_missed_only_where_it_is_needed() {
        let key = "no \"proxy_ssl_certificate_key\" is defined for certificate \"a.crt\"";
        let trusted = "no proxy_ssl_trusted_certificate for proxy_ssl_verify";
        let cases = [
            ("proxy_ssl_certificate a.crt; proxy_pass https://localhost;", Some(key)),
            ("proxy_ssl_certificate a.crt; proxy_pass http://$host;", Some(key)),
            ("proxy_ssl_verify on; proxy_pass https://localhost;", Some(trusted)),
            ("proxy_ssl_certificate a.crt; proxy_ssl_verify on; proxy_pass http://localhost;", None),
            ("proxy_ssl_certificate a.crt; proxy_ssl_verify on;", None),
            ("proxy_ssl_certificate_key a.key; proxy_pass https://localhost;", None),
            ("proxy_ssl_verify on; proxy_ssl_trusted_certificate a; proxy_pass https://localhost;", None),
        ];
        for (text, wanted) in cases {
            let told = complaint(&format!("server {{ location / {{\n{text} }} }}"));
            assert_eq!(told, wanted.map_or_else(String::new, |wanted| format!("{wanted} in :2")), "{text}");
        }
    }

    fn location(text: &str) -> String {
        format!("events {{}} http {{ server {{ location / {{\n{text} }} }} }}")
    }

    #[test]
    fn a_name_is_not_made_of_itself() {
        let told = complaints(&location("proxy_ssl_name a.$proxy_ssl_server_name;"));
        assert_eq!(told, ["[emerg] \"$proxy_ssl_server_name\" is what \"proxy_ssl_name\" says in :2"]);
    }

    #[test]
    fn a_cache_of_certificates_needs_a_size() {
        let cases = [
            ("inactive=1s", "\"proxy_ssl_certificate_cache\" must have the \"max\" parameter"),
            ("max=0", "invalid parameter \"max=0\""),
            ("max=x", "invalid parameter \"max=x\""),
            ("max=1 inactive=1ms", "invalid parameter \"inactive=1ms\""),
            ("max=1 valid=", "invalid parameter \"valid=\""),
            ("on", "invalid parameter \"on\""),
        ];
        for (words, wanted) in cases {
            let told = complaints(&location(&format!("proxy_ssl_certificate_cache {words};")));
            assert_eq!(told, [format!("[emerg] {wanted} in :2")], "{words}");
        }
    }

    #[test]
    fn an_inner_level_keeps_or_replaces_what_the_outer_one_wrote() {
        let outer =
            "proxy_ssl_conf_command a 1; proxy_ssl_verify on; proxy_ssl_certificate_cache max=5 valid=1m;
            proxy_ssl_protocols TLSv1.3; proxy_ssl_key_log outer.log;";
        let inner = "proxy_ssl_conf_command b 2; proxy_ssl_certificate_cache off; proxy_ssl_protocols TLSv1;";
        let http = http(&format!("{outer} server {{ {inner} }}"));
        let (outer, inner) = (&http.defaults.proxy_ssl, &http.servers[0].defaults.proxy_ssl);
        let command = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        assert_eq!(*outer.conf_command, [command("a", "1")]);
        assert_eq!(*inner.conf_command, [command("b", "2")]);
        assert_eq!(outer.certificate_cache.map(|cache| (cache.max, cache.valid.as_secs())), Some((5, 60)));
        assert_eq!(*inner.certificate_cache, None);
        assert_eq!(inner.key_log.as_deref(), outer.key_log.as_deref());
        assert!(outer.key_log.as_deref().is_some_and(|path| path.ends_with("outer.log")));
        assert!(*inner.verify && inner.protocols.tlsv1 && !inner.protocols.tlsv1_3);
    }
}
