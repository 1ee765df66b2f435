//! TLS towards upstreams: the directives' grammar and inheritance.
//!
//! Nothing is asked over TLS yet (`https://` is refused in `proxy_pass`), so that a warning tells of each that it has
//! no effect; mistakes in them are found all the same.

use std::path::PathBuf;

use super::ssl_values::{
    CERTIFICATE_CACHE, CONF_COMMAND, CONF_PATH, CertificateCache, ConfCommand, FILE_TEXT, PASSWORD_FILE,
    PROTOCOLS, SslProtocols,
};
use crate::{
    settings::{HSL, settings},
    template::Template,
    values::{BYTES, FLAG, NUMBER, OPTIONAL_PATH, OPTIONAL_TEXT},
};

settings! {
    /// TLS towards upstreams, at one level.
    pub struct ProxySslConf {
        /// Certificate shown to upstreams; a warning tells that it has no effect yet.
        certificate: Option<Template> = None, "proxy_ssl_certificate" in HSL, once(FILE_TEXT);
        /// Keeps certificates whose names have variables; a warning tells that it has no effect yet.
        certificate_cache: Option<CertificateCache> = None,
            "proxy_ssl_certificate_cache" in HSL, once(CERTIFICATE_CACHE), "off";
        /// Key of the certificate; a warning tells that it has no effect yet.
        certificate_key: Option<Template> = None, "proxy_ssl_certificate_key" in HSL, once(FILE_TEXT);
        /// Ciphers offered to upstreams; a warning tells that it has no effect yet.
        ciphers: Vec<u8> = b"DEFAULT".to_vec(), "proxy_ssl_ciphers" in HSL, once(BYTES), "DEFAULT";
        /// Commands for the TLS library; a warning tells that it has no effect yet.
        conf_command: Vec<ConfCommand> = Vec::new(), "proxy_ssl_conf_command" in HSL, each(CONF_COMMAND);
        /// Certificates that were revoked; a warning tells that it has no effect yet.
        crl: Option<PathBuf> = None, "proxy_ssl_crl" in HSL, once(CONF_PATH);
        /// File that keys of connections are written to; a warning tells that it has no effect yet.
        key_log: Option<PathBuf> = None, "proxy_ssl_key_log" in HSL, once(OPTIONAL_PATH);
        /// Name that an upstream's certificate must have; a warning tells that it has no effect yet.
        name: Option<Template> = None, "proxy_ssl_name" in HSL, once(OPTIONAL_TEXT), "$proxy_host";
        /// File with passphrases of keys; a warning tells that it has no effect yet.
        password_file: Option<PathBuf> = None, "proxy_ssl_password_file" in HSL, once(PASSWORD_FILE);
        /// Versions offered to upstreams; a warning tells that it has no effect yet.
        protocols: SslProtocols = SslProtocols::MODERN,
            "proxy_ssl_protocols" in HSL, joined(PROTOCOLS), "TLSv1.2 TLSv1.3";
        /// Tells upstreams which name is asked for (SNI); a warning tells that it has no effect yet.
        server_name: bool = false, "proxy_ssl_server_name" in HSL, once(FLAG), "off";
        /// Takes sessions up again; a warning tells that it has no effect yet.
        session_reuse: bool = true, "proxy_ssl_session_reuse" in HSL, once(FLAG), "on";
        /// Authorities that are trusted; a warning tells that it has no effect yet.
        trusted_certificate: Option<PathBuf> = None,
            "proxy_ssl_trusted_certificate" in HSL, once(CONF_PATH);
        /// Checks certificates of upstreams; a warning tells that it has no effect yet.
        verify: bool = false, "proxy_ssl_verify" in HSL, once(FLAG), "off";
        /// Longest chain of certificates; a warning tells that it has no effect yet.
        verify_depth: u64 = 1, "proxy_ssl_verify_depth" in HSL, once(NUMBER), "1";
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{complaints, http};

    fn location(text: &str) -> String {
        format!("events {{}} http {{ server {{ location / {{\n{text} }} }} }}")
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
