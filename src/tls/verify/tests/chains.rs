//! Chains, judged here and by `openssl verify`.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};

use super::{
    openssl::{Order, Workshop},
    stock, workshop,
};
use crate::{
    trust::{Trust, TrustFiles},
    verify::{Certificate, Role, Tier, VerifyError, judge},
};

/// A chain and what is thought of it.
struct Case {
    name: &'static str,
    trusted: &'static [&'static str],
    /// What the peer sends, its own certificate first.
    sent: &'static [&'static str],
    lists: &'static [&'static str],
    depth: u64,
    after_days: i64,
    role: Role,
    wanted: Wanted,
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    /// By both tiers.
    Trusted,
    /// By OpenSSL's rules only.
    TrustedByOne,
    Refused(VerifyError),
    /// OpenSSL trusts it: docs/differences.md says why we do not.
    RefusedHere(VerifyError),
}

impl Case {
    const fn new(
        name: &'static str,
        trusted: &'static [&'static str],
        sent: &'static [&'static str],
        wanted: Wanted,
    ) -> Self {
        Self { name, trusted, sent, lists: &[], depth: 5, after_days: 0, role: Role::Server, wanted }
    }

    const fn client(self) -> Self {
        Self { role: Role::Client, ..self }
    }

    const fn depth(self, depth: u64) -> Self {
        Self { depth, ..self }
    }

    const fn after(self, after_days: i64) -> Self {
        Self { after_days, ..self }
    }

    const fn lists(self, lists: &'static [&'static str]) -> Self {
        Self { lists, ..self }
    }
}

use Wanted::{Refused, RefusedHere, Trusted, TrustedByOne};

const PLAIN: &[Case] = &[
    Case::new("a root's leaf", &["root"], &["leaf"], Trusted),
    Case::new("the same for clients", &["root"], &["leaf"], Trusted).client(),
    Case::new("through an intermediate", &["root"], &["int-leaf", "int"], Trusted),
    Case::new("through two", &["root"], &["int2-leaf", "int2", "int"], Trusted),
    Case::new("in any order", &["root"], &["int2-leaf", "int", "int2"], Trusted),
    Case::new("with the root", &["root"], &["int-leaf", "int", "root"], Trusted),
    Case::new("with others", &["root"], &["leaf", "self", "other", "int"], Trusted),
    Case::new("with intermediates in the file", &["root", "int", "int2"], &["int2-leaf"], Trusted),
    Case::new("one in the file, one sent", &["root", "int"], &["int2-leaf", "int2"], Trusted),
    Case::new("without the intermediate", &["root"], &["int-leaf"], Refused(VerifyError::UnverifiedLeaf)),
    Case::new("without one of two", &["root"], &["int2-leaf", "int2"], Refused(VerifyError::NoLocalIssuer)),
    Case::new("another root", &["other"], &["int-leaf", "int"], Refused(VerifyError::NoLocalIssuer)),
    Case::new(
        "another root, with its own",
        &["other"],
        &["int-leaf", "int", "root"],
        Refused(VerifyError::SelfSignedInChain),
    ),
    Case::new("signed by itself", &["root"], &["self"], Refused(VerifyError::SelfSigned)),
    Case::new("signed by itself, for clients", &["root"], &["self"], Refused(VerifyError::SelfSigned))
        .client(),
    Case::new("pinned", &["self"], &["self"], Trusted),
    Case::new("pinned authority", &["self-ca"], &["self-ca"], TrustedByOne),
    Case::new("pinned authority, for clients", &["self-ca"], &["self-ca"], TrustedByOne).client(),
    Case::new("pinned leaf of an unknown root", &["leaf"], &["leaf"], Refused(VerifyError::UnverifiedLeaf)),
    Case::new("pinned intermediate", &["int"], &["int-leaf"], Refused(VerifyError::NoIssuer)),
    Case::new(
        "pinned intermediate, with all others",
        &["int"],
        &["int-leaf", "int", "root"],
        Refused(VerifyError::NoIssuer),
    ),
    Case::new("an authority as a peer", &["root"], &["ca-leaf"], TrustedByOne),
    Case::new(
        "an authority with an intermediate's powers as a peer",
        &["root"],
        &["int"],
        Refused(VerifyError::Purpose),
    ),
    Case::new("signed by another one too", &["other"], &["int-leaf", "int-cross"], Trusted),
    Case::new(
        "signed by another one too, which comes first",
        &["other"],
        &["int-leaf", "int-cross", "int"],
        Trusted,
    ),
    Case::new(
        "signed by another one too, which comes last",
        &["other"],
        &["int-leaf", "int", "int-cross"],
        Refused(VerifyError::NoLocalIssuer),
    ),
    Case::new("signed by both", &["root", "other"], &["int-leaf", "int-cross", "int"], Trusted),
    Case::new("depth for one", &["root"], &["int-leaf", "int"], Trusted).depth(1),
    Case::new("depth for none", &["root"], &["int-leaf", "int"], Refused(VerifyError::NoLocalIssuer))
        .depth(0),
    Case::new("depth for none is enough for a root", &["root"], &["leaf"], Trusted).depth(0),
    Case::new("depth for none is enough for a pin", &["self"], &["self"], Trusted).depth(0),
    Case::new(
        "depth for one of two",
        &["root"],
        &["int2-leaf", "int2", "int"],
        Refused(VerifyError::NoLocalIssuer),
    )
    .depth(1),
    Case::new(
        "depth for one of two in the file",
        &["root", "int", "int2"],
        &["int2-leaf"],
        Refused(VerifyError::NoIssuer),
    )
    .depth(1),
];

const OLD: &[Case] = &[
    Case::new("a root of version 1", &["v1-root"], &["v1-root-leaf"], Trusted),
    Case::new("a pin of version 1", &["v1-root"], &["v1-root"], TrustedByOne),
    Case::new("a leaf of version 1", &["root"], &["v1-leaf"], TrustedByOne),
    Case::new("a leaf of version 1, for clients", &["root"], &["v1-leaf"], TrustedByOne).client(),
    Case::new(
        "a leaf of version 1 through an intermediate",
        &["root"],
        &["v1-int-leaf", "int"],
        TrustedByOne,
    ),
    Case::new(
        "an intermediate of version 1",
        &["root"],
        &["below-v1-int", "v1-int"],
        Refused(VerifyError::Purpose),
    ),
    Case::new("a common name only", &["root"], &["cn-only"], Trusted),
    Case::new("Netscape's type of a server", &["root"], &["netscape-server"], Trusted),
    Case::new(
        "Netscape's type of a server, for clients",
        &["root"],
        &["netscape-server"],
        Refused(VerifyError::Purpose),
    )
    .client(),
    Case::new("Netscape's authority", &["netscape-ca"], &["netscape-ca-leaf"], Trusted),
    Case::new(
        "a root that does not say so",
        &["v3-bare-root"],
        &["v3-bare-root-leaf"],
        Refused(VerifyError::Purpose),
    ),
];

const DATED: &[Case] = &[
    Case::new("expired", &["root"], &["short-leaf"], Refused(VerifyError::Expired)).after(10),
    Case::new("not expired", &["root"], &["short-leaf"], Trusted).after(4),
    Case::new("not yet valid", &["root"], &["leaf"], Refused(VerifyError::NotYetValid)).after(-1),
    Case::new("an expired root", &["short-root"], &["short-root-leaf"], Refused(VerifyError::Expired))
        .after(10),
    Case::new(
        "an expired intermediate",
        &["root"],
        &["short-int-leaf", "short-int"],
        Refused(VerifyError::Expired),
    )
    .after(10),
    Case::new(
        "an expired intermediate with its successor",
        &["root"],
        &["short-int-leaf", "short-int", "long-int"],
        Trusted,
    )
    .after(10),
    Case::new("an expired pin", &["self"], &["self"], Refused(VerifyError::Expired)).after(30),
    Case::new("expired and unknown", &["other"], &["short-leaf"], Refused(VerifyError::Expired)).after(10),
];

const PURPOSES: &[Case] = &[
    Case::new("for clients only", &["root"], &["for-clients"], Refused(VerifyError::Purpose)),
    Case::new("for clients only, for clients", &["root"], &["for-clients"], Trusted).client(),
    Case::new("for servers only", &["root"], &["for-servers"], Trusted),
    Case::new("for servers only, for clients", &["root"], &["for-servers"], Refused(VerifyError::Purpose))
        .client(),
    Case::new("for both", &["root"], &["for-both"], Trusted).client(),
    Case::new("for anything", &["root"], &["for-any"], Refused(VerifyError::Purpose)),
    Case::new("a key that enciphers", &["root"], &["enciphers"], Trusted),
    Case::new("a key that enciphers, for clients", &["root"], &["enciphers"], Refused(VerifyError::Purpose))
        .client(),
    Case::new("a key for certificates only", &["root"], &["certifies"], Refused(VerifyError::Purpose)),
    Case::new(
        "an authority for clients",
        &["root"],
        &["client-ca-leaf", "client-ca"],
        Refused(VerifyError::Purpose),
    ),
    Case::new("an authority for clients, for clients", &["root"], &["client-ca-leaf", "client-ca"], Trusted)
        .client(),
    Case::new("Netscape's server without more", &["root"], &["netscape-server"], Trusted),
];

const CONFUSED: &[Case] = &[
    Case::new(
        "another key of the same name",
        &["bare-twin"],
        &["bare-leaf"],
        Refused(VerifyError::Signature),
    ),
    Case::new(
        "another kind of key of the same name",
        &["bare-rsa-twin"],
        &["bare-leaf"],
        Refused(VerifyError::UnverifiedLeaf),
    ),
    Case::new("both kinds of the same name", &["bare-rsa-twin", "bare"], &["bare-leaf"], Trusted),
    Case::new("the right one of the same name first", &["bare", "bare-twin"], &["bare-leaf"], Trusted),
    Case::new(
        "the wrong one of the same name first",
        &["bare-twin", "bare"],
        &["bare-leaf"],
        Refused(VerifyError::Signature),
    ),
    Case::new(
        "another key of the same name and another identifier",
        &["root-twin"],
        &["leaf"],
        Refused(VerifyError::UnverifiedLeaf),
    ),
    Case::new("two of the same name with identifiers", &["root-twin", "root"], &["leaf"], Trusted),
    Case::new(
        "a root that looks like the trusted one",
        &["root-twin"],
        &["leaf", "root"],
        Refused(VerifyError::SelfSignedInChain),
    ),
    Case::new("not the issuer's signature", &["root"], &["tampered"], Refused(VerifyError::Signature)),
];

const LIMITED: &[Case] = &[
    Case::new(
        "six between",
        &["root"],
        &["deep-6-leaf", "deep-6", "deep-5", "deep-4", "deep-3", "deep-2", "deep-1"],
        Trusted,
    )
    .depth(6),
    Case::new(
        "seven between",
        &["root"],
        &["deep-7-leaf", "deep-7", "deep-6", "deep-5", "deep-4", "deep-3", "deep-2", "deep-1"],
        RefusedHere(VerifyError::ChainTooLong),
    )
    .depth(100),
    Case::new("within the length of a path", &["root"], &["short-path-leaf", "short-path"], Trusted),
    Case::new(
        "beyond the length of a path",
        &["root"],
        &["below-short-path-leaf", "below-short-path", "short-path"],
        Refused(VerifyError::PathLength),
    ),
    Case::new("a leaf as an issuer", &["root"], &["below-leaf", "leaf"], Refused(VerifyError::Purpose)),
    Case::new(
        "an issuer that may not sign",
        &["root"],
        &["no-signing-leaf", "no-signing"],
        Refused(VerifyError::NoCertificateSigning),
    ),
    Case::new(
        "a root that may not sign",
        &["no-signing-root"],
        &["no-signing-root-leaf"],
        Refused(VerifyError::NoCertificateSigning),
    ),
    Case::new("a name within constraints", &["root"], &["named-in", "named-ca"], Trusted),
    Case::new(
        "a name beyond constraints",
        &["root"],
        &["named-out", "named-ca"],
        Refused(VerifyError::NameConstraints),
    ),
    Case::new(
        "version 1 below constraints",
        &["root"],
        &["named-v1", "named-ca"],
        RefusedHere(VerifyError::NameConstraints),
    ),
    Case::new("critical and unknown", &["root"], &["critical-leaf"], Refused(VerifyError::CriticalExtension)),
    Case::new(
        "critical and unknown in an intermediate",
        &["root"],
        &["critical-int-leaf", "critical-int"],
        Refused(VerifyError::CriticalExtension),
    ),
    Case::new(
        "critical and unknown in a root",
        &["critical-root"],
        &["critical-root-leaf"],
        Refused(VerifyError::CriticalExtension),
    ),
    Case::new("critical policies", &["root"], &["policies"], RefusedHere(VerifyError::CriticalExtension)),
    Case::new("unknown but not critical", &["root"], &["odd"], Trusted),
];

const ALGORITHMS: &[Case] = &[
    Case::new("RSA", &["rsa"], &["rsa-leaf"], Trusted),
    Case::new("RSA with SHA-512", &["rsa"], &["rsa-512-leaf"], Trusted),
    Case::new("RSA-PSS", &["rsa"], &["rsa-pss-leaf"], Trusted),
    Case::new("SHA-1", &["rsa"], &["sha1-leaf"], Refused(VerifyError::WeakDigest)),
    Case::new("a root signed with SHA-1", &["sha1-root"], &["sha1-root-leaf"], Trusted),
    Case::new("RSA 1024", &["root"], &["weak-leaf"], Refused(VerifyError::WeakKey)),
    Case::new("a root with RSA 1024", &["weak-root"], &["weak-root-leaf"], Refused(VerifyError::WeakCaKey)),
    Case::new("Ed25519", &["ed25519"], &["ed25519-leaf"], Trusted),
    Case::new("Ed448", &["ed448"], &["ed448-leaf"], RefusedHere(VerifyError::Signature)),
    Case::new("P-384", &["p384"], &["p384-leaf"], Trusted),
    Case::new("P-521", &["p521"], &["p521-leaf"], Trusted),
    Case::new("P-256 with SHA-512", &["root"], &["p256-512-leaf"], Trusted),
    Case::new("secp256k1", &["k256"], &["k256-leaf"], RefusedHere(VerifyError::Signature)),
];

const LISTED: &[Case] = &[
    Case::new("not on the list", &["root"], &["leaf"], Trusted).lists(&["root-list"]),
    Case::new("on the list", &["root"], &["leaf"], Refused(VerifyError::Revoked)).lists(&["leaf-revoked"]),
    Case::new("on the list, for clients", &["root"], &["leaf"], Refused(VerifyError::Revoked))
        .lists(&["leaf-revoked"])
        .client(),
    Case::new("another one is on the list", &["root"], &["for-both"], Trusted).lists(&["leaf-revoked"]),
    Case::new("on the list, of version 1", &["root"], &["v1-leaf"], Refused(VerifyError::Revoked))
        .lists(&["leaf-revoked"]),
    Case::new("on the list, an authority as a peer", &["root"], &["ca-leaf"], Refused(VerifyError::Revoked))
        .lists(&["leaf-revoked"]),
    Case::new("a list for each", &["root"], &["int-leaf", "int"], Trusted).lists(&["root-list", "int-list"]),
    Case::new("an intermediate on the list", &["root"], &["int-leaf", "int"], Refused(VerifyError::Revoked))
        .lists(&["int-revoked", "int-list"]),
    Case::new(
        "below an intermediate on the list",
        &["root"],
        &["int-leaf", "int"],
        Refused(VerifyError::Revoked),
    )
    .lists(&["root-list", "int-leaf-revoked"]),
    Case::new("no list of the intermediate", &["root"], &["int-leaf", "int"], Refused(VerifyError::NoCrl))
        .lists(&["root-list"]),
    Case::new("no list of the root", &["root"], &["int-leaf", "int"], Refused(VerifyError::NoCrl))
        .lists(&["int-list"]),
    Case::new("no list at all of this issuer", &["root"], &["leaf"], Refused(VerifyError::NoCrl))
        .lists(&["int-list"]),
    Case::new("a list of version 1", &["root"], &["leaf"], Trusted).lists(&["v1-list"]),
    Case::new("on a list of version 1", &["root"], &["leaf"], Refused(VerifyError::Revoked))
        .lists(&["v1-leaf-revoked"]),
    Case::new("an expired list", &["root"], &["leaf"], Refused(VerifyError::CrlExpired))
        .lists(&["short-list"])
        .after(10),
    Case::new("on an expired list", &["root"], &["leaf"], Refused(VerifyError::CrlExpired))
        .lists(&["short-leaf-revoked"])
        .after(10),
    Case::new("an expired list and a new one", &["root"], &["leaf"], Trusted)
        .lists(&["short-leaf-revoked", "root-list"])
        .after(10),
    Case::new("a list that holds later", &["root"], &["leaf"], Refused(VerifyError::NotYetValid))
        .lists(&["root-list"])
        .after(-1),
    Case::new("on an earlier list only", &["root"], &["leaf"], Trusted)
        .lists(&["earlier-revoked", "root-list"]),
    Case::new(
        "a list of another key of the same name",
        &["bare"],
        &["bare-leaf"],
        Refused(VerifyError::CrlSignature),
    )
    .lists(&["bare-twin-list"]),
    Case::new("a list of the same name", &["bare"], &["bare-leaf"], Trusted).lists(&["bare-list"]),
    Case::new("a list of another key with an identifier", &["root"], &["leaf"], Refused(VerifyError::NoCrl))
        .lists(&["root-twin-list"]),
    Case::new("lists of both keys", &["root"], &["leaf"], Trusted).lists(&["root-twin-list", "root-list"]),
    Case::new("a pin without a list", &["self"], &["self"], Refused(VerifyError::NoCrl))
        .lists(&["root-list"]),
    Case::new("a pin with a list", &["self"], &["self"], Trusted).lists(&["self-list"]),
    Case::new(
        "an issuer that may not sign lists",
        &["no-lists"],
        &["no-lists-leaf"],
        Refused(VerifyError::NoCrlSigning),
    )
    .lists(&["no-lists-list"]),
    Case::new(
        "critical and unknown in a list",
        &["root"],
        &["leaf"],
        Refused(VerifyError::CriticalCrlExtension),
    )
    .lists(&["critical-list"]),
    Case::new("a list of authorities", &["root"], &["leaf"], Refused(VerifyError::CrlScope))
        .lists(&["ca-list"]),
    Case::new("a list of peers", &["root"], &["leaf"], Refused(VerifyError::CrlScope)).lists(&["user-list"]),
    Case::new("lists of each kind", &["root"], &["leaf"], Trusted).lists(&["user-list", "ca-list"]),
    Case::new("a list for a place", &["root"], &["leaf-at"], Trusted).lists(&["at-list", "root-list"]),
    Case::new("on the list for a place", &["root"], &["leaf-at"], Refused(VerifyError::Revoked))
        .lists(&["at-revoked", "ca-list"]),
    Case::new("a list for another place", &["root"], &["leaf"], Refused(VerifyError::CrlScope))
        .lists(&["at-list"]),
    Case::new("unknown, with lists", &["other"], &["leaf"], Refused(VerifyError::UnverifiedLeaf))
        .lists(&["root-list"]),
];

#[test]
fn chains_are_judged_as_openssl_does() {
    let Some(shop) = workshop() else { return };
    stock::make(shop);
    let start = start(shop);
    let groups = [PLAIN, OLD, DATED, PURPOSES, CONFUSED, LIMITED, ALGORITHMS, LISTED];
    let mut wrong = Vec::new();
    for case in groups.into_iter().flatten() {
        let now = start + case.after_days * 86_400;
        let ours = ours(shop, case, now);
        if ours != case.wanted.as_result() {
            wrong.push(format!("{}: {ours:?}", case.name));
        }
        let (is_trusted, words) = theirs(shop, case, now);
        let agrees = match case.wanted {
            Trusted | TrustedByOne | RefusedHere(_) => is_trusted,
            Refused(_) => !is_trusted,
        };
        if !agrees {
            wrong.push(format!("{}: openssl says {words}", case.name));
        }
        // The command ends where nginx goes on.
        let stops = [VerifyError::NoLocalIssuer, VerifyError::ChainTooLong];
        let is_cut = stops.iter().any(|error| words.contains(&error.to_string()));
        if let Refused(error) = case.wanted
            && !(words.contains(&format!("error {} at", error.code())) && words.contains(&error.to_string()))
            && !is_cut
        {
            wrong.push(format!("{}: openssl's words are {words}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Wanted {
    fn as_result(self) -> Result<Tier, VerifyError> {
        match self {
            Trusted => Ok(Tier::Both),
            TrustedByOne => Ok(Tier::OpenSslOnly),
            Refused(error) | RefusedHere(error) => Err(error),
        }
    }
}

/// Seconds since 1970, an hour after the certificates were made.
fn start(shop: &Workshop) -> i64 {
    let last = shop.certificate("no-lists-leaf");
    Certificate::read(&last).expect("it is one").not_before + 3600
}

fn chain(shop: &Workshop, names: &[&str]) -> Vec<CertificateDer<'static>> {
    names.iter().map(|name| shop.certificate(name)).collect()
}

fn ours(shop: &Workshop, case: &Case, now: i64) -> Result<Tier, VerifyError> {
    let trusted = shop.bundle("trusted.pem", case.trusted);
    let lists = shop.bundle("lists.pem", case.lists);
    let files = TrustFiles {
        trusted: Some(&trusted),
        crl: (!case.lists.is_empty()).then_some(&lists),
        depth: case.depth,
        ..TrustFiles::default()
    };
    let trust = Trust::load(&files).expect("the files can be read");
    let since = Duration::from_secs(u64::try_from(now).expect("it is after 1970"));
    judge(&chain(shop, case.sent), &trust, case.role, UnixTime::since_unix_epoch(since))
}

/// Whether `openssl verify` trusts the chain, and what it says.
fn theirs(shop: &Workshop, case: &Case, now: i64) -> (bool, String) {
    let (leaf, others) = case.sent.split_first().expect("a peer sends something");
    shop.bundle("trusted.pem", case.trusted);
    let purpose = match case.role {
        Role::Client => "sslclient",
        Role::Server => "sslserver",
    };
    let mut arguments = format!(
        "verify -no-CApath -no-CAstore -auth_level 2 -purpose {purpose} -attime {now} -verify_depth {} -CAfile trusted.pem",
        case.depth
    );
    if !others.is_empty() {
        shop.bundle("untrusted.pem", others);
        arguments.push_str(" -untrusted untrusted.pem");
    }
    if !case.lists.is_empty() {
        shop.bundle("lists.pem", case.lists);
        arguments.push_str(" -crl_check_all -CRLfile lists.pem");
    }
    let output = shop.run(&format!("{arguments} {leaf}.pem"));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), words)
}

#[test]
fn the_last_second_is_too_late() {
    let Some(shop) = workshop() else { return };
    shop.make(&Order::new("second", "", "subjectAltName=DNS:example.com"));
    let certificate = shop.certificate("second");
    let certificate = Certificate::read(&certificate).expect("it is one");
    let (first, last) = (certificate.not_before, certificate.not_after);
    let cases = [
        (first - 1, Err(VerifyError::NotYetValid)),
        (first, Ok(Tier::Both)),
        (last - 1, Ok(Tier::Both)),
        (last, Err(VerifyError::Expired)),
    ];
    let files = TrustFiles { trusted: Some(&shop.path("second.pem")), ..TrustFiles::default() };
    let trust = Trust::load(&files).expect("the file can be read");
    for (now, wanted) in cases {
        let since = Duration::from_secs(u64::try_from(now).expect("it is after 1970"));
        let sent = chain(shop, &["second"]);
        let ours = judge(&sent, &trust, Role::Server, UnixTime::since_unix_epoch(since));
        assert_eq!(ours, wanted, "{now}");
        let output = shop.run(&format!("verify -CAfile second.pem -attime {now} second.pem"));
        assert_eq!(output.status.success(), wanted.is_ok(), "openssl at {now}");
    }
}
