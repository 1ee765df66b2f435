//! Names, judged here and by `openssl verify`.

use super::*;
use crate::verify::tests::{
    openssl::{Order, Workshop},
    workshop,
};

/// A certificate's names, a name, and whether the one is for the other.
struct Case {
    certificate: &'static str,
    name: &'static str,
    fits: bool,
}

/// Names of certificates, as subject and extensions.
const CERTIFICATES: &[(&str, &str, &str)] = &[
    ("nm-plain", "/CN=other.com", "subjectAltName=DNS:example.com,DNS:www.example.com"),
    ("nm-wild", "/CN=x", "subjectAltName=DNS:*.example.com"),
    ("nm-part", "/CN=x", "subjectAltName=DNS:f*.example.com,DNS:*o.example.net,DNS:b*r.example.org"),
    (
        "nm-odd",
        "/CN=x",
        "subjectAltName=DNS:*.com,DNS:a.*.example.com,DNS:xn--*.example.com,DNS:**.example.net",
    ),
    ("nm-cn", "/O=Larder/CN=example.com", "basicConstraints=CA:FALSE"),
    ("nm-cn-wild", "/CN=*.example.com", "basicConstraints=CA:FALSE"),
    ("nm-two-cn", "/CN=a.example.com/CN=b.example.com", "basicConstraints=CA:FALSE"),
    ("nm-email", "/CN=example.com", "subjectAltName=email:a@example.com"),
    ("nm-ip", "/CN=127.0.0.2", "subjectAltName=IP:127.0.0.1,IP:2001:db8::1"),
    ("nm-ip-as-name", "/CN=x", "subjectAltName=DNS:127.0.0.1"),
    ("nm-local", "/CN=x", "subjectAltName=DNS:localhost,DNS:my_host"),
    ("nm-v1", "/CN=example.com", ""),
];

const fn case(certificate: &'static str, name: &'static str, fits: bool) -> Case {
    Case { certificate, name, fits }
}

const CASES: &[Case] = &[
    case("nm-plain", "example.com", true),
    case("nm-plain", "EXAMPLE.Com", true),
    case("nm-plain", "www.example.com", true),
    case("nm-plain", "example.org", false),
    case("nm-plain", "xexample.com", false),
    case("nm-plain", "example.com.", false),
    case("nm-plain", "other.com", false),
    case("nm-wild", "www.example.com", true),
    case("nm-wild", "WWW.EXAMPLE.COM", true),
    case("nm-wild", "a-1.example.com", true),
    case("nm-wild", "xn--abc.example.com", true),
    case("nm-wild", "example.com", false),
    case("nm-wild", "a.b.example.com", false),
    case("nm-wild", "a_b.example.com", false),
    case("nm-wild", "www.example.org", false),
    case("nm-part", "foo.example.com", true),
    case("nm-part", "f.example.com", true),
    case("nm-part", "goo.example.com", false),
    case("nm-part", "foo.example.net", true),
    case("nm-part", "o.example.net", true),
    case("nm-part", "bar.example.org", false),
    case("nm-odd", "example.com", false),
    case("nm-odd", "a.b.example.com", false),
    case("nm-odd", "xn--a.example.com", false),
    case("nm-odd", "ab.example.net", false),
    case("nm-cn", "example.com", true),
    case("nm-cn", "www.example.com", false),
    case("nm-cn", "Larder", false),
    case("nm-cn-wild", "www.example.com", true),
    case("nm-two-cn", "a.example.com", true),
    case("nm-two-cn", "b.example.com", true),
    case("nm-email", "example.com", true),
    case("nm-ip", "127.0.0.1", true),
    case("nm-ip", "2001:db8::1", true),
    case("nm-ip", "127.0.0.2", false),
    case("nm-ip", "2001:db8::2", false),
    case("nm-ip-as-name", "127.0.0.1", false),
    case("nm-local", "localhost", true),
    case("nm-local", "my_host", true),
    case("nm-v1", "example.com", true),
    case("nm-v1", "example.org", false),
];

#[test]
fn names_fit_where_openssl_says_so() {
    let Some(shop) = workshop() else { return };
    for (name, subject, extensions) in CERTIFICATES {
        shop.make(&Order { subject, ..Order::new(name, "", extensions) });
    }
    for case in CASES {
        let certificate = shop.certificate(case.certificate);
        let result = check(&certificate, case.name.as_bytes());
        let what = format!("{} for {}", case.certificate, case.name);
        assert_eq!(result.is_ok(), case.fits, "{what}: {result:?}");
        assert_eq!(openssl_says(shop, case), case.fits, "{what}, openssl");
    }
}

fn openssl_says(shop: &Workshop, case: &Case) -> bool {
    let kind = if address(case.name.as_bytes()).is_some() { "ip" } else { "hostname" };
    let certificate = case.certificate;
    let arguments = format!(
        "verify -CAfile {certificate}.pem -partial_chain -verify_{kind} {} {certificate}.pem",
        case.name
    );
    shop.run(&arguments).status.success()
}

#[test]
fn brackets_and_zeros_are_no_part_of_names() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order::new("nm-brackets", "", "subjectAltName=IP:2001:db8::1,DNS:example.com"));
    let certificate = shop.certificate("nm-brackets");
    assert_eq!(check(&certificate, b"[2001:db8::1]"), Ok(()));
    assert_eq!(check(&certificate, b"[2001:db8::2]"), Err(VerifyError::Address));
    assert_eq!(check(&certificate, b""), Err(VerifyError::Name));
    assert_eq!(check(&certificate, b".example.com"), Err(VerifyError::Name));
    assert!(fits(b"example.com", b"example.com"));
    assert!(!fits(b"example.com\0.org", b"example.com\0.org"));
    assert!(!fits(b"*.example.com", b".example.com"));
}
