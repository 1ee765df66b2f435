//! Wishes and what comes of them: tables.

use super::*;
use crate::{cipher_names, curve_names};

fn wish<'a>(ciphers: &'a str, curves: &'a str, commands: &'a [ConfCommand]) -> Wish<'a> {
    Wish {
        protocols: SslProtocols::MODERN,
        ciphers: ciphers.as_bytes(),
        curves: curves.as_bytes(),
        server_order: ServerOrder::Ignored,
        commands,
    }
}

fn command(name: &str, value: &str) -> ConfCommand {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// Versions and ciphers, or what is wrong.
fn spoken(wish: &Wish<'_>) -> (String, Vec<String>) {
    match algorithms(wish) {
        Ok((algorithms, warnings)) => {
            let versions: Vec<_> =
                algorithms.versions.iter().map(|version| protocol_name(version.version)).collect();
            let suites: Vec<_> =
                algorithms.provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
            let warnings = warnings.into_iter().map(|warning| warning.message).collect();
            (format!("{} {}", versions.join(","), cipher_names(&suites)), warnings)
        }
        Err(error) => (error.message, Vec::new()),
    }
}

const TLS13_ALL: &str = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";

#[test]
fn versions_follow_protocols_and_ciphers() {
    let none = SslProtocols::default();
    let old = SslProtocols { tlsv1: true, tlsv1_1: true, ..none };
    let only = |tlsv1_2, tlsv1_3| SslProtocols { tlsv1_2, tlsv1_3, ..none };
    let ecdsa = "ECDHE-ECDSA-AES128-GCM-SHA256";
    let no_match = |text: &str| {
        format!(
            "SSL_CTX_set_cipher_list(\"{text}\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"
        )
    };
    let cases = [
        (SslProtocols::MODERN, ecdsa, format!("TLSv1.3,TLSv1.2 {TLS13_ALL}:{ecdsa}"), vec![]),
        (
            SslProtocols { tlsv1: true, ..SslProtocols::MODERN },
            ecdsa,
            format!("TLSv1.3,TLSv1.2 {TLS13_ALL}:{ecdsa}"),
            vec!["\"TLSv1\" is not available with rustls, ignored"],
        ),
        (only(false, true), ecdsa, format!("TLSv1.3 {TLS13_ALL}:{ecdsa}"), vec![]),
        (only(true, false), "AES128-SHA", no_match("AES128-SHA"), vec![]),
        (only(true, false), "", no_match(""), vec![]),
        (
            SslProtocols::MODERN,
            "AES128-SHA:AES256-SHA",
            format!("TLSv1.3 {TLS13_ALL}"),
            vec![
                "\"AES128-SHA\", \"AES256-SHA\" are not available with rustls, ignored",
                "no cipher of TLS 1.2 matches \"AES128-SHA:AES256-SHA\": only TLS 1.3 is spoken",
            ],
        ),
        (
            SslProtocols::MODERN,
            "TLS_AES_128_GCM_SHA256:FOO:ECDHE-ECDSA-AES128-GCM-SHA256",
            format!("TLSv1.3,TLSv1.2 {TLS13_ALL}:{ecdsa}"),
            vec![
                "\"TLS_AES_128_GCM_SHA256\" ignored: ciphers of TLS 1.3 are set by the command \"Ciphersuites\"",
                "unknown ciphers \"FOO\" ignored",
            ],
        ),
        (
            SslProtocols::MODERN,
            "ECDHE-ECDSA-AES256-GCM-SHA384:@SECLEVEL=4",
            "TLSv1.3,TLSv1.2 TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
                .to_owned(),
            vec!["\"@SECLEVEL\" holds for ciphers and groups, not for certificates"],
        ),
        (
            SslProtocols::MODERN,
            "HIGH:@FOO",
            "SSL_CTX_set_cipher_list(\"HIGH:@FOO\") failed (SSL: error:0A000118:SSL routines::invalid command)"
                .to_owned(),
            vec![],
        ),
        (
            old,
            "ALL",
            "no protocol is left: only TLSv1.2 and TLSv1.3 are available with rustls".to_owned(),
            vec![],
        ),
    ];
    for (protocols, ciphers, wanted, warnings) in cases {
        let wish = Wish { protocols, ..wish(ciphers, "auto", &[]) };
        let (spoken, told) = spoken(&wish);
        assert_eq!(spoken, wanted, "{ciphers}");
        assert_eq!(told, warnings, "{ciphers}");
    }
}

#[test]
fn groups_are_those_of_the_curves() {
    let cases = [
        ("auto", Ok("X25519MLKEM768:X25519:prime256v1:secp384r1")),
        ("secp384r1:secp521r1:X25519", Ok("secp384r1:X25519")),
        ("secp521r1", Err("SSL_CTX_set1_curves_list(\"secp521r1\") failed (not supported by rustls)")),
        ("", Err("SSL_CTX_set1_curves_list(\"\") failed")),
        (
            "X25519:foo",
            Err("SSL_CTX_set1_curves_list(\"X25519:foo\") failed (SSL: error:0A080106:SSL routines::passed \
                 invalid argument:group 'foo' cannot be set)"),
        ),
    ];
    for (curves, wanted) in cases {
        let got = algorithms(&wish("ALL", curves, &[])).map(|(algorithms, _)| {
            let names: Vec<_> = algorithms.provider.kx_groups.iter().map(|group| group.name()).collect();
            curve_names(&names)
        });
        let got = got.as_ref().map(String::as_str).map_err(|error| &*error.message);
        assert_eq!(got, wanted, "{curves}");
    }
}

/// Commands and what they change: versions, number of ciphers of TLS 1.3 and 1.2, or OpenSSL's words.
#[test]
fn commands_change_what_directives_ask_for() {
    let bad = |name: &str, value: &str| bad_value(name, value, "");
    let cases: Vec<(&str, &str, Result<&str, String>)> = vec![
        ("MinProtocol", "TLSv1.3", Ok("TLSv1.3 3+6")),
        ("minprotocol", "TLSv1.3", Ok("TLSv1.3 3+6")),
        ("MinProtocol", "None", Ok("TLSv1.3,TLSv1.2 3+6")),
        ("MinProtocol", "tlsv1.3", Err(bad("MinProtocol", "tlsv1.3"))),
        ("MaxProtocol", "TLSv1.2", Ok("TLSv1.2 3+6")),
        ("Protocol", "-TLSv1.2", Ok("TLSv1.3 3+6")),
        ("Protocol", "ALL, -tlsv1.3", Ok("TLSv1.2 3+6")),
        ("Protocol", "TLSv1.4", Err(bad("Protocol", "TLSv1.4"))),
        ("Ciphersuites", "TLS_AES_128_GCM_SHA256", Ok("TLSv1.3,TLSv1.2 1+6")),
        ("Ciphersuites", "", Ok("TLSv1.2 0+6")),
        ("Ciphersuites", "TLS_AES_128_GCM_SHA256:FOO", Ok("TLSv1.3,TLSv1.2 1+6")),
        ("Ciphersuites", "FOO", Err(bad_value("Ciphersuites", "FOO", NO_MATCH))),
        ("CipherString", "AES128", Ok("TLSv1.3,TLSv1.2 3+2")),
        ("CipherString", "@x", Err(bad_value("CipherString", "@x", INVALID_COMMAND))),
        ("Groups", "P-256", Ok("TLSv1.3,TLSv1.2 3+6")),
        ("Options", "ServerPreference,-SessionTicket, +KTLS,NoRenegotiation", Ok("TLSv1.3,TLSv1.2 3+6")),
        ("Options", "FOO", Err(bad("Options", "FOO"))),
        ("Options", "", Err(bad("Options", ""))),
        ("NumTickets", "3", Ok("TLSv1.3,TLSv1.2 3+6")),
        ("NumTickets", "-1", Err(bad("NumTickets", "-1"))),
        ("SignatureAlgorithms", "RSA+SHA256:ed25519", Ok("TLSv1.3,TLSv1.2 3+6")),
        ("SignatureAlgorithms", "RSA+SHA256:RSA+SHA256", Err(bad("SignatureAlgorithms", "RSA+SHA256:RSA+SHA256"))),
        (
            "Options",
            "Compression",
            Err("SSL_CONF_cmd(\"Options\", \"Compression\") failed (not supported by rustls)".to_owned()),
        ),
        (
            "VerifyMode",
            "Peer",
            Err("SSL_CONF_cmd(\"VerifyMode\", \"Peer\") failed (not supported by rustls)".to_owned()),
        ),
        (
            "a",
            "b",
            Err("SSL_CONF_cmd(\"a\", \"b\") failed (SSL: error:0A000182:SSL routines::unknown cmd name:cmd=a)"
                .to_owned()),
        ),
    ];
    for (name, value, wanted) in cases {
        let commands = [command(name, value)];
        let got = algorithms(&wish("ALL", "auto", &commands)).map(|(algorithms, _)| {
            let versions: Vec<_> =
                algorithms.versions.iter().map(|version| protocol_name(version.version)).collect();
            let suites = &algorithms.provider.cipher_suites;
            let modern = suites.iter().filter(|suite| suite.tls13().is_some()).count();
            format!("{} {modern}+{}", versions.join(","), suites.len() - modern)
        });
        let got = got.as_ref().map(String::as_str).map_err(|error| error.message.clone());
        assert_eq!(got, wanted, "{name} {value}");
    }
}

#[test]
fn what_commands_ask_for_beyond_directives_is_passed_on() {
    let commands = [
        command("Certificate", "/a.crt"),
        command("PrivateKey", "/a.key"),
        command("NumTickets", "4"),
        command("Options", "ServerPreference,PrioritizeChaCha,-SessionTicket"),
        command("SignatureAlgorithms", "ed25519:ed448"),
        command("Options", "KTLS"),
    ];
    let (algorithms, warnings) = algorithms(&wish("ALL", "auto", &commands)).expect("all of it can be done");
    let more = Commanded {
        signature_schemes: Some(vec![SignatureScheme::ED25519]),
        ticket_count: Some(4),
        tickets: Some(Tickets::Withheld),
        certificates: vec!["/a.crt".to_owned()],
        private_keys: vec!["/a.key".to_owned()],
    };
    assert_eq!(algorithms.more, more);
    assert_eq!(algorithms.server_order, ServerOrder::ObeyedUnlessChaCha);
    let about: Vec<_> = warnings.iter().map(|warning| warning.about).collect();
    assert_eq!(about, [About::Command(4), About::Command(5)]);
    let first = algorithms.chacha_first().cipher_suites[0].suite();
    assert_eq!(first, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    assert!(prefers_chacha(&[CipherSuite::Unknown(0x1a1a), first]));
    assert!(!prefers_chacha(&[CipherSuite::TLS13_AES_128_GCM_SHA256, first]));
}
