//! TLS towards upstreams: the directives' grammar and inheritance.
//!
//! Nothing is asked over TLS yet (`https://` is refused in `proxy_pass`), so that a warning tells of each that it has
//! no effect; mistakes in them are found all the same.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    flags::{Flags, flags},
    parse::Directive,
    scope::Scope,
    settings::{Arity, HSL, Reader, settings},
    source::{Problem, open_failed},
    template::Template,
    values::{BYTES, FLAG, NUMBER, OPTIONAL_PATH, OPTIONAL_TEXT, Precision, parse_number, parse_time},
};

flags! {
    /// `proxy_ssl_protocols`.
    pub struct SslProtocols {
        /// SSL 2.
        sslv2 = "SSLv2",
        /// SSL 3.
        sslv3 = "SSLv3",
        /// TLS 1.0.
        tlsv1 = "TLSv1",
        /// TLS 1.1.
        tlsv1_1 = "TLSv1.1",
        /// TLS 1.2.
        tlsv1_2 = "TLSv1.2",
        /// TLS 1.3.
        tlsv1_3 = "TLSv1.3",
    }
}

/// `proxy_ssl_certificate_cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateCache {
    /// Most certificates and keys.
    pub max: u64,
    /// How long one is kept that nobody uses.
    pub inactive: Duration,
    /// How long one is used without another look at its file.
    pub valid: Duration,
}

/// A command for the TLS library: its name and its value.
pub type ConfCommand = (Vec<u8>, Vec<u8>);

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
        crl: Option<PathBuf> = None, "proxy_ssl_crl" in HSL, once(OPTIONAL_PATH);
        /// File that keys of connections are written to; a warning tells that it has no effect yet.
        key_log: Option<PathBuf> = None, "proxy_ssl_key_log" in HSL, once(OPTIONAL_PATH);
        /// Name that an upstream's certificate must have; a warning tells that it has no effect yet.
        name: Option<Template> = None, "proxy_ssl_name" in HSL, once(OPTIONAL_TEXT), "$proxy_host";
        /// File with passphrases of keys; a warning tells that it has no effect yet.
        password_file: Option<PathBuf> = None, "proxy_ssl_password_file" in HSL, once(PASSWORD_FILE);
        /// Versions offered to upstreams; a warning tells that it has no effect yet.
        protocols: SslProtocols = SslProtocols { tlsv1_2: true, tlsv1_3: true, ..NO_PROTOCOL },
            "proxy_ssl_protocols" in HSL, joined(PROTOCOLS), "TLSv1.2 TLSv1.3";
        /// Tells upstreams which name is asked for (SNI); a warning tells that it has no effect yet.
        server_name: bool = false, "proxy_ssl_server_name" in HSL, once(FLAG), "off";
        /// Takes sessions up again; a warning tells that it has no effect yet.
        session_reuse: bool = true, "proxy_ssl_session_reuse" in HSL, once(FLAG), "on";
        /// Authorities that are trusted; a warning tells that it has no effect yet.
        trusted_certificate: Option<PathBuf> = None,
            "proxy_ssl_trusted_certificate" in HSL, once(OPTIONAL_PATH);
        /// Checks certificates of upstreams; a warning tells that it has no effect yet.
        verify: bool = false, "proxy_ssl_verify" in HSL, once(FLAG), "off";
        /// Longest chain of certificates; a warning tells that it has no effect yet.
        verify_depth: u64 = 1, "proxy_ssl_verify_depth" in HSL, once(NUMBER), "1";
    }
}

/// The name of a file, which may have variables.
const FILE_TEXT: Reader<Option<Template>> =
    Reader::one("file", |directive, scope| scope.template(directive, 0).map(Some));

const NO_PROTOCOL: SslProtocols =
    SslProtocols { sslv2: false, sslv3: false, tlsv1: false, tlsv1_1: false, tlsv1_2: false, tlsv1_3: false };

const PROTOCOLS: Reader<SslProtocols> =
    Reader::many("[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]", |directive, scope| {
        SslProtocols::read(directive, |problem| scope.report(problem))
    });

const CONF_COMMAND: Reader<ConfCommand> = Reader {
    arity: Arity::exactly(2),
    syntax: "name value",
    read: |directive, _| Ok((directive.bytes(0).to_vec(), directive.bytes(1).to_vec())),
};

const PASSWORD_FILE: Reader<Option<PathBuf>> = Reader::one("file", |directive, scope| {
    let path = scope.path(directive, 0);
    match fs::File::open(&path) {
        Ok(_) => Ok(Some(path)),
        Err(error) => Err(directive.fail(0, open_failed(&path, &error))),
    }
});

const CERTIFICATE_CACHE: Reader<Option<CertificateCache>> =
    Reader::between(1, 3, "off | max=number [inactive=time] [valid=time]", certificate_cache);

fn certificate_cache(directive: &Directive, _: &Scope<'_>) -> Result<Option<CertificateCache>, Problem> {
    let mut cache =
        CertificateCache { max: 0, inactive: Duration::from_secs(10), valid: Duration::from_secs(60) };
    let mut is_off = false;
    for (number, word) in directive.args.iter().enumerate() {
        let name_end = memchr::memchr(b'=', &word.text).map_or(0, |equals| equals + 1);
        let seconds = |text| parse_time(text, Precision::Seconds);
        let read = match word.text.split_at(name_end) {
            (b"max=", count) => parse_number(count).filter(|max| *max > 0).map(|max| cache.max = max),
            (b"inactive=", time) => seconds(time).map(|time| cache.inactive = time),
            (b"valid=", time) => seconds(time).map(|time| cache.valid = time),
            (b"", b"off") => {
                is_off = true;
                Some(())
            }
            _ => None,
        };
        if read.is_none() {
            return Err(directive.fail(number, format!("invalid parameter \"{}\"", directive.text(number))));
        }
    }
    match (is_off, cache.max) {
        (true, _) => Ok(None),
        (false, 0) => {
            let message = "\"proxy_ssl_certificate_cache\" must have the \"max\" parameter";
            Err(Problem::new(directive.name.span, message))
        }
        (false, _) => Ok(Some(cache)),
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
