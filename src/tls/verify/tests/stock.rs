//! The certificates and lists that the table of chains is about.

use super::openssl::{CA, ListOrder, Order, P256, Workshop};

const LEAF: &str = "subjectAltName=DNS:example.com\nauthorityKeyIdentifier=keyid\n";
const NAMED: &str = "subjectAltName=DNS:example.com";
const BARE_CA: &str =
    "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const RSA_1024: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";

/// Makes all of them.
pub fn make(shop: &Workshop) {
    let groups = [plain(), old(), dated(), purposes(), confused(), limited(), deep(), algorithms(), listed()];
    for order in groups.iter().flatten() {
        shop.make(order);
    }
    tamper(shop);
    lists().iter().for_each(|list| shop.make_list(list));
}

fn plain() -> Vec<Order<'static>> {
    vec![
        Order::new("root", "", CA),
        Order::new("leaf", "root", LEAF),
        Order::new("int", "root", CA),
        Order::new("int-leaf", "int", LEAF),
        Order::new("int2", "int", CA),
        Order::new("int2-leaf", "int2", LEAF),
        Order::new("other", "", CA),
        Order::new("self", "", NAMED),
        Order::new("self-ca", "", "basicConstraints=critical,CA:TRUE\nsubjectAltName=DNS:example.com"),
        Order::new("ca-leaf", "root", "basicConstraints=CA:TRUE\nsubjectAltName=DNS:example.com"),
        // The key of an intermediate, signed by somebody else too.
        Order { subject: "/CN=int", key: "=int", ..Order::new("int-cross", "other", CA) },
    ]
}

fn old() -> Vec<Order<'static>> {
    vec![
        Order::new("v1-root", "", ""),
        Order::new("v1-root-leaf", "v1-root", NAMED),
        Order { subject: "/CN=example.com", ..Order::new("v1-leaf", "root", "") },
        Order { subject: "/CN=example.com", ..Order::new("v1-int-leaf", "int", "") },
        Order::new("v1-int", "root", ""),
        Order::new("below-v1-int", "v1-int", NAMED),
        Order { subject: "/CN=example.com", ..Order::new("cn-only", "root", "basicConstraints=CA:FALSE") },
        Order::new("netscape-server", "root", "nsCertType=server\nsubjectAltName=DNS:example.com"),
        Order::new("netscape-ca", "", "nsCertType=sslCA"),
        Order::new("netscape-ca-leaf", "netscape-ca", NAMED),
        Order::new("v3-bare-root", "", "subjectKeyIdentifier=hash"),
        Order::new("v3-bare-root-leaf", "v3-bare-root", NAMED),
    ]
}

fn dated() -> Vec<Order<'static>> {
    vec![
        Order { days: 5, ..Order::new("short-leaf", "root", LEAF) },
        Order { days: 5, ..Order::new("short-root", "", CA) },
        Order::new("short-root-leaf", "short-root", LEAF),
        Order { days: 5, ..Order::new("short-int", "root", CA) },
        Order::new("short-int-leaf", "short-int", LEAF),
        // The same authority for longer.
        Order { subject: "/CN=short-int", key: "=short-int", ..Order::new("long-int", "root", CA) },
    ]
}

fn purposes() -> Vec<Order<'static>> {
    const CLIENT_CA: &str =
        "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nextendedKeyUsage=clientAuth";
    vec![
        Order::new("for-clients", "root", "subjectAltName=DNS:example.com\nextendedKeyUsage=clientAuth"),
        Order::new("for-servers", "root", "subjectAltName=DNS:example.com\nextendedKeyUsage=serverAuth"),
        Order::new("for-any", "root", "subjectAltName=DNS:example.com\nextendedKeyUsage=anyExtendedKeyUsage"),
        Order::new(
            "for-both",
            "root",
            "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:example.com",
        ),
        Order::new("enciphers", "root", "keyUsage=critical,keyEncipherment\nsubjectAltName=DNS:example.com"),
        Order::new("certifies", "root", "keyUsage=critical,keyCertSign\nsubjectAltName=DNS:example.com"),
        Order::new("client-ca", "root", CLIENT_CA),
        Order::new("client-ca-leaf", "client-ca", NAMED),
    ]
}

fn confused() -> Vec<Order<'static>> {
    vec![
        // Two authorities of one name, told apart by nothing, and by the identifiers of their keys.
        Order { subject: "/CN=bare", ..Order::new("bare", "", BARE_CA) },
        Order { subject: "/CN=bare", ..Order::new("bare-twin", "", BARE_CA) },
        Order::new("bare-leaf", "bare", "authorityKeyIdentifier=none\nsubjectAltName=DNS:example.com"),
        Order { subject: "/CN=root", ..Order::new("root-twin", "", CA) },
        // A twin with another kind of key is told apart by that.
        Order { subject: "/CN=bare", key: RSA, ..Order::new("bare-rsa-twin", "", BARE_CA) },
    ]
}

fn limited() -> Vec<Order<'static>> {
    const NAMED_CA: &str =
        "basicConstraints=critical,CA:TRUE\nnameConstraints=critical,permitted;DNS:example.com";
    vec![
        Order::new("short-path", "root", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign"),
        Order::new("short-path-leaf", "short-path", NAMED),
        Order::new("below-short-path", "short-path", CA),
        Order::new("below-short-path-leaf", "below-short-path", NAMED),
        Order::new("below-leaf", "leaf", NAMED),
        Order::new("no-signing", "root", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign"),
        Order::new("no-signing-leaf", "no-signing", NAMED),
        Order::new("no-signing-root", "", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign"),
        Order::new("no-signing-root-leaf", "no-signing-root", NAMED),
        Order::new("named-ca", "root", NAMED_CA),
        Order::new("named-in", "named-ca", "subjectAltName=DNS:www.example.com"),
        Order::new("named-out", "named-ca", "subjectAltName=DNS:example.org"),
        Order { subject: "/CN=www.example.com", ..Order::new("named-v1", "named-ca", "") },
        Order::new("critical-leaf", "root", "1.2.3.4=critical,ASN1:NULL\nsubjectAltName=DNS:example.com"),
        Order::new("critical-int", "root", "1.2.3.4=critical,ASN1:NULL\nbasicConstraints=critical,CA:TRUE"),
        Order::new("critical-int-leaf", "critical-int", NAMED),
        Order::new("critical-root", "", "1.2.3.4=critical,ASN1:NULL\nbasicConstraints=critical,CA:TRUE"),
        Order::new("critical-root-leaf", "critical-root", NAMED),
        Order::new(
            "policies",
            "root",
            "certificatePolicies=critical,1.2.3.4\nsubjectAltName=DNS:example.com",
        ),
        Order::new("odd", "root", "1.2.3.4=ASN1:NULL\nsubjectAltName=DNS:example.com"),
    ]
}

/// Seven authorities, each below the one before.
fn deep() -> Vec<Order<'static>> {
    const CHAIN: [&str; 8] = ["root", "deep-1", "deep-2", "deep-3", "deep-4", "deep-5", "deep-6", "deep-7"];
    let mut orders: Vec<_> = CHAIN.windows(2).map(|pair| Order::new(pair[1], pair[0], CA)).collect();
    orders.push(Order::new("deep-6-leaf", "deep-6", LEAF));
    orders.push(Order::new("deep-7-leaf", "deep-7", LEAF));
    orders
}

fn algorithms() -> Vec<Order<'static>> {
    const PSS: &str = "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
    vec![
        Order { key: RSA, ..Order::new("rsa", "", CA) },
        Order { key: RSA, ..Order::new("rsa-leaf", "rsa", LEAF) },
        Order { key: RSA, options: "-sha512", ..Order::new("rsa-512-leaf", "rsa", LEAF) },
        Order { key: RSA, options: PSS, ..Order::new("rsa-pss-leaf", "rsa", LEAF) },
        Order { options: "-sha1", ..Order::new("sha1-leaf", "rsa", LEAF) },
        Order { options: "-sha1", ..Order::new("sha1-root", "", CA) },
        Order::new("sha1-root-leaf", "sha1-root", LEAF),
        Order { key: RSA_1024, ..Order::new("weak-leaf", "root", LEAF) },
        Order { key: RSA_1024, ..Order::new("weak-root", "", CA) },
        Order::new("weak-root-leaf", "weak-root", LEAF),
        Order { key: "-algorithm ED25519", ..Order::new("ed25519", "", CA) },
        Order { key: "-algorithm ED25519", ..Order::new("ed25519-leaf", "ed25519", LEAF) },
        Order { key: "-algorithm ED448", ..Order::new("ed448", "", CA) },
        Order::new("ed448-leaf", "ed448", LEAF),
        Order { key: "-algorithm EC -pkeyopt ec_paramgen_curve:P-384", ..Order::new("p384", "", CA) },
        Order { options: "-sha384", ..Order::new("p384-leaf", "p384", LEAF) },
        Order { key: "-algorithm EC -pkeyopt ec_paramgen_curve:P-521", ..Order::new("p521", "", CA) },
        Order { options: "-sha512", ..Order::new("p521-leaf", "p521", LEAF) },
        Order { options: "-sha512", key: P256, ..Order::new("p256-512-leaf", "root", LEAF) },
        Order { key: "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", ..Order::new("k256", "", CA) },
        Order::new("k256-leaf", "k256", LEAF),
    ]
}

fn listed() -> Vec<Order<'static>> {
    const AT: &str = "subjectAltName=DNS:example.com\ncrlDistributionPoints=URI:http://example.com/list";
    vec![
        Order::new("leaf-at", "root", AT),
        Order::new("no-lists", "", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign"),
        Order::new("no-lists-leaf", "no-lists", NAMED),
    ]
}

fn lists() -> Vec<ListOrder<'static>> {
    const AT: &str = "issuingDistributionPoint=critical,@at\n[at]\nfullname=URI:http://example.com/list";
    vec![
        ListOrder::new("root-list", "root", &[]),
        ListOrder::new("int-list", "int", &[]),
        ListOrder::new("leaf-revoked", "root", &["leaf", "v1-leaf", "ca-leaf"]),
        ListOrder::new("int-revoked", "root", &["int"]),
        ListOrder::new("int-leaf-revoked", "int", &["int-leaf"]),
        ListOrder { extensions: "", ..ListOrder::new("v1-list", "root", &[]) },
        ListOrder { extensions: "", ..ListOrder::new("v1-leaf-revoked", "root", &["leaf"]) },
        ListOrder { days: 5, ..ListOrder::new("short-list", "root", &[]) },
        ListOrder { days: 5, ..ListOrder::new("short-leaf-revoked", "root", &["leaf"]) },
        ListOrder { extensions: "", ..ListOrder::new("bare-twin-list", "bare-twin", &[]) },
        ListOrder { extensions: "", ..ListOrder::new("bare-list", "bare", &[]) },
        ListOrder::new("root-twin-list", "root-twin", &[]),
        ListOrder { extensions: "", ..ListOrder::new("self-list", "self", &[]) },
        ListOrder {
            extensions: "1.2.3.4=critical,ASN1:NULL",
            ..ListOrder::new("critical-list", "root", &[])
        },
        ListOrder {
            extensions: "issuingDistributionPoint=critical,@at\n[at]\nonlyCA=TRUE",
            ..ListOrder::new("ca-list", "root", &[])
        },
        ListOrder {
            extensions: "issuingDistributionPoint=critical,@at\n[at]\nonlyuser=TRUE",
            ..ListOrder::new("user-list", "root", &[])
        },
        ListOrder { extensions: AT, ..ListOrder::new("at-list", "root", &[]) },
        ListOrder { extensions: AT, ..ListOrder::new("at-revoked", "root", &["leaf-at"]) },
        ListOrder { extensions: "", ..ListOrder::new("no-lists-list", "no-lists", &[]) },
        ListOrder {
            options: "-crl_lastupdate 20250101000000Z -crl_nextupdate 20991231235959Z",
            ..ListOrder::new("earlier-revoked", "root", &["leaf"])
        },
    ]
}

/// A certificate whose signature is not the issuer's.
fn tamper(shop: &Workshop) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let mut der = shop.certificate("leaf").to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let text = STANDARD.encode(der);
    shop.write("tampered.pem", &format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
}
