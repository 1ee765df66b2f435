//! What texts select, by tables and beside the `openssl` command.

use std::process::Command;

use super::*;

/// The names of what a text selects, shortened: `E` ECDSA, `R` RSA; 256, 128, C for ChaCha20.
fn selected(text: &str) -> Option<String> {
    let selected = select(text).ok()?;
    let short = |suite: &SupportedCipherSuite| {
        let known = KNOWN.iter().find(|known| known.suite == *suite).expect("it is one of them");
        let signed = if known.signed == Signed::Rsa { 'R' } else { 'E' };
        let encryption = match known.encryption {
            Encryption::Aes128 => "128",
            Encryption::Aes256 => "256",
            Encryption::ChaCha20 => "C",
        };
        format!("{signed}{encryption}")
    };
    Some(selected.suites.iter().map(short).collect::<Vec<_>>().join(" "))
}

/// Texts that are read as OpenSSL reads them.
const CASES: [(&str, Option<&str>); 48] = [
    ("DEFAULT", Some("E256 R256 EC RC E128 R128")),
    ("ALL", Some("E256 R256 EC RC E128 R128")),
    ("HIGH:!aNULL:!MD5", Some("E256 R256 EC RC E128 R128")),
    ("EECDH+AESGCM:EDH+AESGCM", Some("E256 R256 E128 R128")),
    ("ECDHE+CHACHA20:ECDHE+AESGCM", Some("EC RC E256 R256 E128 R128")),
    ("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", Some("R128 E128")),
    ("ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-GCM-SHA256", Some("R128 E128")),
    ("ECDHE-RSA-AES128-GCM-SHA256,AES256;CHACHA20", Some("R128 E256 R256 EC RC")),
    ("ALL:!aRSA", Some("E256 EC E128")),
    ("ALL:!ECDSA", Some("R256 RC R128")),
    ("ALL:-AES:AES", Some("EC RC E256 R256 E128 R128")),
    ("ALL:-AES128:-AES256:ALL", Some("EC RC E256 R256 E128 R128")),
    ("ALL:-AES256:-AES128:ALL", Some("EC RC E128 R128 E256 R256")),
    ("ALL:!AES:AES", Some("EC RC")),
    ("ALL:+AES256", Some("EC RC E128 R128 E256 R256")),
    ("ALL:+aRSA:+AES256", Some("EC E128 RC R128 E256 R256")),
    ("ALL:+AES256:@STRENGTH", Some("EC RC E256 R256 E128 R128")),
    ("AES128:ALL:@STRENGTH", Some("E256 R256 EC RC E128 R128")),
    ("AES128+aRSA", Some("R128")),
    ("aRSA+AES128+AESGCM", Some("R128")),
    ("AES128+AES256", Some("")),
    ("RSA", Some("")),
    ("kRSA+AES:kECDHE+AES256", Some("E256 R256")),
    ("TLSv1.2", Some("E256 R256 EC RC E128 R128")),
    ("TLSv1", Some("")),
    ("SHA384", Some("")),
    ("FIPS", Some("E256 R256 E128 R128")),
    ("DEFAULT:!CHACHA20", Some("E256 R256 E128 R128")),
    ("DEFAULT@STRENGTH", Some("E256 R256 EC RC E128 R128")),
    ("AES128:DEFAULT", Some("E128 R128")),
    ("!DEFAULT:ALL", Some("E256 R256 EC RC E128 R128")),
    ("ALL:@SECLEVEL=0", Some("E256 R256 EC RC E128 R128")),
    ("ALL:@SECLEVEL=3", Some("E256 R256 EC RC E128 R128")),
    ("ALL:@SECLEVEL=4", Some("E256 R256 EC RC")),
    ("SUITEB128", Some("E128 E256")),
    ("SUITEB192", Some("E256")),
    ("ecdhe-rsa-aes128-gcm-sha256", Some("")),
    ("FOO:AES256", Some("E256 R256")),
    ("FOO+AES128:AES256", Some("E256 R256")),
    ("AES128-SHA:DES-CBC3-SHA:RC4-SHA", Some("")),
    ("ALL!aRSA@STRENGTH", Some("E256 EC E128")),
    ("AES128+", None),
    ("::AES256::", Some("E256 R256")),
    ("", Some("")),
    ("@FOO", None),
    ("ALL:@SECLEVEL=9", None),
    ("ALL:!", None),
    ("ALL:*", None),
];

#[test]
fn texts_select_what_they_select_in_openssl() {
    for (text, wanted) in CASES {
        assert_eq!(selected(text).as_deref(), wanted, "{text}");
    }
}

#[test]
fn the_openssl_command_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl command to compare with");
        return;
    }
    let levels = |text: &str| text.contains("SECLEVEL") || text.contains("SUITEB");
    for (text, _) in CASES.iter().filter(|(text, _)| !levels(text)) {
        let output =
            Command::new("openssl").args(["ciphers", "-tls1_2", text]).output().expect("it ran a moment ago");
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        let theirs: Vec<&str> =
            names.trim().split(':').filter(|name| KNOWN.iter().any(|known| known.name == *name)).collect();
        let ours = select(text).unwrap_or_default();
        let ours: Vec<&str> = ours
            .suites
            .iter()
            .map(|suite| KNOWN.iter().find(|known| known.suite == *suite).expect("it is one of them").name)
            .collect();
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn names_that_are_not_available_are_told_apart() {
    let text = "AES128-SHA:!RC4-SHA:DHE-RSA-AES128-GCM-SHA256:AES128-SHA:DES-CBC3-SHA:-AES256-SHA:FOO:!BAR:\
                TLS_AES_128_GCM_SHA256:RC4:CAMELLIA";
    let selected = select(text).expect("it is in the language");
    assert_eq!(selected.unavailable, ["AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "DES-CBC3-SHA"]);
    assert_eq!(selected.of_tls13, ["TLS_AES_128_GCM_SHA256"]);
    assert_eq!(selected.unknown, ["FOO"]);
}
