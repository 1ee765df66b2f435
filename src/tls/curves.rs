//! Groups for key exchange: `ssl_ecdh_curve`, and the names that `$ssl_curve` and `$ssl_curves` show.

use rustls::{
    NamedGroup,
    crypto::{
        SupportedKxGroup,
        aws_lc_rs::{DEFAULT_KX_GROUPS, kx_group},
    },
};

use crate::ciphers::SecurityLevel;

/// A group that rustls has.
type Group = &'static dyn SupportedKxGroup;

/// Which groups a text selects.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// Groups, the most wanted first.
    pub groups: Vec<Group>,
    /// Names that were asked for and are not available.
    pub unavailable: Vec<String>,
}

/// A text that names a group nobody knows; nothing where it names none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidGroup(pub Option<String>);

/// Names by number: OpenSSL's.
const NAMES: &[(u16, &str)] = &[
    (0x0013, "prime192v1"),
    (0x0015, "secp224r1"),
    (0x0016, "secp256k1"),
    (0x0017, "prime256v1"),
    (0x0018, "secp384r1"),
    (0x0019, "secp521r1"),
    (0x001a, "brainpoolP256r1"),
    (0x001b, "brainpoolP384r1"),
    (0x001c, "brainpoolP512r1"),
    (0x001d, "X25519"),
    (0x001e, "X448"),
    (0x0100, "ffdhe2048"),
    (0x0101, "ffdhe3072"),
    (0x0102, "ffdhe4096"),
    (0x0103, "ffdhe6144"),
    (0x0104, "ffdhe8192"),
    (0x0200, "MLKEM512"),
    (0x0201, "MLKEM768"),
    (0x0202, "MLKEM1024"),
    (0x11eb, "SecP256r1MLKEM768"),
    (0x11ec, "X25519MLKEM768"),
    (0x11ed, "SecP384r1MLKEM1024"),
];

/// Other names for some of them.
const OTHER_NAMES: [(&str, &str); 7] = [
    ("P-192", "prime192v1"),
    ("P-224", "secp224r1"),
    ("P-256", "prime256v1"),
    ("P-384", "secp384r1"),
    ("P-521", "secp521r1"),
    ("secp192r1", "prime192v1"),
    ("secp256r1", "prime256v1"),
];

/// Groups that rustls has, with their bits of security.
static AVAILABLE: [(Group, u16); 7] = [
    (kx_group::X25519, 128),
    (kx_group::SECP256R1, 128),
    (kx_group::SECP384R1, 192),
    (kx_group::X25519MLKEM768, 192),
    (kx_group::SECP256R1MLKEM768, 192),
    (kx_group::MLKEM768, 192),
    (kx_group::MLKEM1024, 256),
];

/// Returns the name of a group; its number where it has none.
pub fn curve_name(group: NamedGroup) -> String {
    let number = u16::from(group);
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
}

/// Returns the names of groups as `$ssl_curves` shows what a client offers.
pub fn curve_names(groups: &[NamedGroup]) -> String {
    groups.iter().map(|group| curve_name(*group)).collect::<Vec<_>>().join(":")
}

/// Reads a list of names.
///
/// As OpenSSL 3.5: `?` passes over a name that nobody knows, `*` asks for a key share, which is rustls's affair, `-` takes
/// a group out, `/` separates as `:` does, and `DEFAULT` stands for what holds without a list.
pub(crate) fn select(text: &str) -> Result<Selected, InvalidGroup> {
    if text == "auto" {
        return Ok(Selected { groups: DEFAULT_KX_GROUPS.to_vec(), unavailable: Vec::new() });
    }
    let mut selected = Selected::default();
    let mut named = 0;
    for word in text.split([':', '/']).filter(|word| !word.is_empty()) {
        named += 1;
        let name = word.trim_start_matches(['?', '*', '-']);
        let signs = &word[..word.len() - name.len()];
        if name.eq_ignore_ascii_case("DEFAULT") {
            DEFAULT_KX_GROUPS.iter().for_each(|group| selected.add(*group));
            continue;
        }
        match (find(name), signs.contains('-')) {
            (Some(Found::Available(group)), true) => {
                selected.groups.retain(|known| known.name() != group.name());
            }
            (Some(Found::Available(group)), false) => selected.add(group),
            (Some(Found::Unavailable), true) => {}
            (Some(Found::Unavailable), false) => selected.unavailable.push(name.to_owned()),
            (None, _) if signs.contains(['?', '-']) => {}
            (None, _) => return Err(InvalidGroup(Some(name.to_owned()))),
        }
    }
    if named == 0 { Err(InvalidGroup(None)) } else { Ok(selected) }
}

/// Leaves out what is not strong enough.
pub(crate) fn strong(groups: &mut Vec<Group>, level: SecurityLevel) {
    let bits_of = |group: &Group| {
        AVAILABLE.iter().find(|(known, _)| known.name() == group.name()).map_or(0, |(_, bits)| *bits)
    };
    groups.retain(|group| bits_of(group) >= level.bits());
}

impl Selected {
    fn add(&mut self, group: Group) {
        if !self.groups.iter().any(|known| known.name() == group.name()) {
            self.groups.push(group);
        }
    }
}

enum Found {
    Available(Group),
    Unavailable,
}

fn find(name: &str) -> Option<Found> {
    let other = OTHER_NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    let name = other.map_or(name, |(_, name)| *name);
    let (number, _) = NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name))?;
    let available = AVAILABLE.iter().find(|(group, _)| u16::from(group.name()) == *number);
    Some(available.map_or(Found::Unavailable, |(group, _)| Found::Available(*group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_openssl_reads_them() {
        let cases: [(&str, &str, &[&str]); 14] = [
            ("auto", "X25519MLKEM768:X25519:prime256v1:secp384r1", &[]),
            ("X25519", "X25519", &[]),
            ("x25519:P-256", "X25519:prime256v1", &[]),
            ("prime256v1:secp384r1", "prime256v1:secp384r1", &[]),
            ("secp256r1:P-256", "prime256v1", &[]),
            ("secp521r1:X25519:X448", "X25519", &["secp521r1", "X448"]),
            ("ffdhe2048", "", &["ffdhe2048"]),
            ("X25519MLKEM768:SecP256r1MLKEM768:MLKEM768", "X25519MLKEM768:SecP256r1MLKEM768:MLKEM768", &[]),
            ("?foo:X25519", "X25519", &[]),
            ("*X25519MLKEM768/*X25519:P-384", "X25519MLKEM768:X25519:secp384r1", &[]),
            ("DEFAULT:-X25519", "X25519MLKEM768:prime256v1:secp384r1", &[]),
            ("DEFAULT:MLKEM1024", "X25519MLKEM768:X25519:prime256v1:secp384r1:MLKEM1024", &[]),
            ("-P-521:P-384", "secp384r1", &[]),
            ("X25519::P-256", "X25519:prime256v1", &[]),
        ];
        for (text, wanted, unavailable) in cases {
            let selected = select(text).expect(text);
            let names: Vec<NamedGroup> = selected.groups.iter().map(|group| group.name()).collect();
            assert_eq!(curve_names(&names), wanted, "{text}");
            assert_eq!(selected.unavailable, unavailable, "{text}");
        }
        assert_eq!(select("X25519:foo").err(), Some(InvalidGroup(Some("foo".to_owned()))));
        assert_eq!(select("").err(), Some(InvalidGroup(None)));
    }

    #[test]
    fn groups_without_a_name_show_their_number() {
        let offered = [NamedGroup::Unknown(0x2a2a), NamedGroup::X25519, NamedGroup::secp521r1];
        assert_eq!(curve_names(&offered), "0x2a2a:X25519:secp521r1");
    }
}
