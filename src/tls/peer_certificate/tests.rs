//! Values of certificates, compared with what the `openssl` command says of them.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::verify::tests::{
    openssl::{CA, Order, Workshop},
    workshop,
};

/// One line that `openssl x509` prints, without what stands before it.
fn told(shop: &Workshop, name: &str, option: &str, before: &str) -> String {
    let text = shop.must(&format!("x509 -in {name}.pem -noout {option}"));
    let line = text.lines().find_map(|line| line.strip_prefix(before));
    line.unwrap_or_else(|| panic!("{option} prints {text}")).to_owned()
}

#[test]
fn values_are_what_openssl_says() {
    let Some(shop) = workshop() else { return };
    // Multi-valued parts, what has to be escaped, letters beyond ASCII, objects without a name.
    let subjects = [
        ("pc-plain", "/C=DE/ST=Berlin/L=Berlin/O=Larder/OU=Tests/CN=client/emailAddress=a@example.com"),
        ("pc-escaped", r#"/O=#a,b;c<d>"e\\f\+g/OU= x  y /L=a\/b/CN=a=b~"#),
        ("pc-letters", "/O=Käse/CN=Ωmega"),
        ("pc-rare", "/DC=com/DC=example/UID=u1/GN=Ann/SN=Lee/title=Dr/serialNumber=77/street=x/1.2.3.4=odd"),
    ];
    for (name, subject) in subjects {
        shop.make(&Order { subject, ..Order::new(name, "", CA) });
        let certificate = shop.certificate(name);
        let peer = PeerCertificate::read(&certificate).expect("the certificate is one");
        let rfc2253 = told(shop, name, "-subject -nameopt RFC2253", "subject=");
        assert_eq!(peer.s_dn(), rfc2253, "{name}");
        assert_eq!(peer.i_dn(), rfc2253, "{name}");
        assert_eq!(peer.s_dn_legacy(), told(shop, name, "-subject -nameopt compat", "subject="), "{name}");
        assert_eq!(peer.i_dn_legacy(), peer.s_dn_legacy(), "{name}");
        assert_eq!(peer.serial(), told(shop, name, "-serial", "serial="), "{name}");
        let fingerprint = told(shop, name, "-fingerprint -sha1", "sha1 Fingerprint=");
        assert_eq!(peer.fingerprint(), fingerprint.replace(':', "").to_lowercase(), "{name}");
        assert_eq!(peer.v_start(), Some(told(shop, name, "-startdate", "notBefore=")), "{name}");
        assert_eq!(peer.v_end(), Some(told(shop, name, "-enddate", "notAfter=")), "{name}");
        let pem = shop.must(&format!("x509 -in {name}.pem"));
        assert_eq!(peer.raw_cert(), pem, "{name}");
    }
}

#[test]
fn several_values_in_one_part_are_joined() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order { subject: "/O=a/OU=b+CN=c/CN=d", ..Order::new("pc-multi", "", CA) });
    let certificate = shop.certificate("pc-multi");
    let peer = PeerCertificate::read(&certificate).expect("the certificate is one");
    assert_eq!(peer.s_dn(), told(shop, "pc-multi", "-subject -nameopt RFC2253", "subject="));
    assert_eq!(peer.s_dn_legacy(), told(shop, "pc-multi", "-subject -nameopt compat", "subject="));
}

#[test]
fn numbers_are_hexadecimal() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order::new("pc-root", "", CA));
    shop.must("req -new -key pc-root.key -subj /CN=n -out pc-n.csr");
    for (number, wanted) in
        [("1", "01"), ("0", "00"), ("255", "FF"), ("0x123456789a", "123456789A"), ("-300", "-012C")]
    {
        shop.must(&format!(
            "x509 -req -in pc-n.csr -CA pc-root.pem -CAkey pc-root.key -set_serial {number} -out pc-n.pem"
        ));
        let certificate = shop.certificate("pc-n");
        let peer = PeerCertificate::read(&certificate).expect("the certificate is one");
        assert_eq!(peer.serial(), wanted);
        assert_eq!(peer.serial(), told(shop, "pc-n", "-serial", "serial="));
    }
}

#[test]
fn pem_is_folded_and_escaped() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order::new("pc-pem", "", CA));
    let certificate = shop.certificate("pc-pem");
    let peer = PeerCertificate::read(&certificate).expect("the certificate is one");
    let raw = peer.raw_cert();
    assert!(raw.ends_with("-----END CERTIFICATE-----\n"));
    let folded = peer.cert();
    assert_eq!(folded.replace("\n\t", "\n") + "\n", raw);
    assert!(!folded.ends_with('\t'));
    let escaped = peer.escaped_cert();
    assert!(escaped.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"), "{escaped}");
    assert!(escaped.ends_with("-----END%20CERTIFICATE-----%0A"), "{escaped}");
    assert!(!escaped.contains(['+', '/', '=', '\n', ' ']), "{escaped}");
}

#[test]
fn days_remain_until_the_end() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order::new("pc-days", "", CA));
    let certificate = shop.certificate("pc-days");
    let peer = PeerCertificate::read(&certificate).expect("the certificate is one");
    let end = seconds(peer.frame.not_after).expect("it has an end");
    let cases = [(0, "0"), (86_399, "0"), (86_400, "1"), (20 * 86_400, "20"), (-86_400, "0")];
    for (before_end, wanted) in cases {
        let now =
            UNIX_EPOCH + Duration::from_secs(u64::try_from(end - before_end).expect("it is after 1970"));
        assert_eq!(peer.v_remain(now).as_deref(), Some(wanted), "{before_end}");
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    let cases = [
        (0, "Jan  1 00:00:00 1970 GMT"),
        (951_782_400, "Feb 29 00:00:00 2000 GMT"),
        (1_795_284_000, "Nov 21 18:00:00 2026 GMT"),
        (-1, "Dec 31 23:59:59 1969 GMT"),
        (4_107_542_399, "Feb 28 23:59:59 2100 GMT"),
        (4_107_542_400, "Mar  1 00:00:00 2100 GMT"),
        (253_402_300_799, "Dec 31 23:59:59 9999 GMT"),
    ];
    for (seconds, wanted) in cases {
        assert_eq!(date(seconds), wanted);
    }
}

#[test]
fn garbled_certificates_are_none() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order { subject: "/O=x/CN=y", ..Order::new("pc-whole", "", CA) });
    let whole = shop.certificate("pc-whole");
    for length in 0..whole.len() {
        assert!(PeerCertificate::read(&whole[..length]).is_none(), "{length} bytes");
    }
    for place in 0..whole.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = whole.to_vec();
            changed[place] ^= bit;
            if let Some(peer) = PeerCertificate::read(&changed) {
                let values =
                    [peer.s_dn(), peer.i_dn_legacy(), peer.serial(), peer.fingerprint(), peer.cert()];
                assert!(values.iter().all(|value| value.len() < whole.len() * 4));
                let _ = (peer.v_start(), peer.v_end(), peer.v_remain(UNIX_EPOCH));
            }
        }
    }
}
