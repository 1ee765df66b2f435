//! `geo`: a variable made of an address.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::computed::{KEY, value_of};
use crate::{
    networks::{LowBits, Network, NetworkTable, unmapped},
    parse::Directive,
    ranges::{AddressRange, RangeTable},
    scope::Scope,
    source::Problem,
    template::Template,
};

/// `geo`.
#[derive(Debug, Clone)]
pub struct GeoConf {
    /// Where the address is found; the client's without.
    pub source: Option<Template>,
    /// Values by address.
    pub table: GeoTable,
    /// `proxy`: who is believed about addresses in X-Forwarded-For.
    pub proxies: Vec<Network>,
    /// How far.
    pub trust: ForwardedTrust,
}

/// Which address of X-Forwarded-For counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedTrust {
    /// The last.
    Last,
    /// `proxy_recursive`: the last that is not a trusted proxy's.
    Recursive,
}

/// Values of a `geo` by address.
#[derive(Debug, Clone)]
pub enum GeoTable {
    /// By the smallest network around it.
    Networks(NetworkTable<Arc<[u8]>>),
    /// `ranges`: by the range that it is in.
    Ranges {
        /// The ranges.
        ranges: RangeTable<Arc<[u8]>>,
        /// What holds outside of them.
        default: Option<Arc<[u8]>>,
    },
}

/// What an address is taken for that is none, or of a family that the table does not know.
const NO_ADDRESS: Ipv4Addr = Ipv4Addr::BROADCAST;

impl GeoTable {
    /// Finds the value of an address, if there is one.
    pub fn find(&self, address: Option<IpAddr>) -> &[u8] {
        // As nginx: what has no address is looked up as 255.255.255.255.
        let address = unmapped(address.unwrap_or(IpAddr::V4(NO_ADDRESS)));
        let found = match self {
            Self::Networks(networks) => networks.find(address),
            Self::Ranges { ranges, default } => {
                let v4 = match address {
                    IpAddr::V4(v4) => v4,
                    IpAddr::V6(_) => NO_ADDRESS,
                };
                ranges.find(v4).or(default.as_ref())
            }
        };
        found.map(|value| &**value).unwrap_or_default()
    }
}

/// Reads a `geo`.
pub fn geo(directive: &Directive, scope: &Scope<'_>) -> Result<GeoConf, Problem> {
    let source = match directive.args.len() {
        1 => None,
        _ => Some(source(directive, scope)?),
    };
    let mut conf = GeoConf {
        source,
        table: GeoTable::Networks(NetworkTable::default()),
        proxies: Vec::new(),
        trust: ForwardedTrust::Last,
    };
    let mut entries = 0;
    for line in directive.block.iter().flatten() {
        match (&*line.name.text, line.args.len()) {
            (b"ranges", 0) if entries > 0 => {
                let message = "the \"ranges\" directive must be the first directive inside \"geo\" block";
                return Err(line.fail(KEY, message));
            }
            (b"ranges", 0) => {
                conf.table = GeoTable::Ranges { ranges: RangeTable::default(), default: None };
            }
            (b"proxy_recursive", 0) => conf.trust = ForwardedTrust::Recursive,
            (b"proxy", 1) => conf.proxies.push(network(line, 0, scope)?),
            _ => {
                entries += 1;
                entry(&mut conf.table, line, scope)?;
            }
        }
    }
    Ok(conf)
}

/// Reads the variable that has the address.
fn source(directive: &Directive, scope: &Scope<'_>) -> Result<Template, Problem> {
    match directive.bytes(0) {
        [b'$', _, ..] => scope.template(directive, 0),
        _ => Err(directive.fail(0, format!("invalid variable name \"{}\"", directive.text(0)))),
    }
}

/// Reads a line about addresses.
fn entry(table: &mut GeoTable, line: &Directive, scope: &Scope<'_>) -> Result<(), Problem> {
    let written = value_of(line, "invalid number of the geo parameters")?;
    let value: Arc<[u8]> = Arc::from(written);
    match (table, &*line.name.text) {
        (GeoTable::Networks(networks), b"default") => {
            for all in [Network::ALL_V4, Network::ALL_V6] {
                if let Some(old) = networks.insert(all, Arc::clone(&value)) {
                    duplicate(line, "network", &old, scope);
                }
            }
        }
        (GeoTable::Networks(networks), b"delete") => {
            if networks.remove(network(line, 0, scope)?).is_none() {
                warn(line, format!("no network \"{}\" to delete", line.text(0)), scope);
            }
        }
        (GeoTable::Networks(networks), _) => {
            if let Some(old) = networks.insert(network(line, KEY, scope)?, value) {
                duplicate(line, "network", &old, scope);
            }
        }
        (GeoTable::Ranges { default, .. }, b"default") => {
            if let Some(old) = default.replace(value) {
                let (new, old) = (line.text(0), String::from_utf8_lossy(&old));
                warn(
                    line,
                    format!("duplicate default geo range value: \"{new}\", old value: \"{old}\""),
                    scope,
                );
            }
        }
        (GeoTable::Ranges { ranges, .. }, b"delete") => {
            if ranges.remove(range(line, 0)?).is_err() {
                warn(line, format!("no address range \"{}\" to delete", line.text(0)), scope);
            }
        }
        (GeoTable::Ranges { ranges, .. }, _) => match ranges.insert(range(line, KEY)?, &value) {
            Ok(None) => {}
            Ok(Some(old)) => duplicate(line, "range", &old, scope),
            Err(overlaps) => {
                let message = format!("range \"{}\" overlaps \"{}\"", line.name(), overlaps.0);
                return Err(line.fail(KEY, message));
            }
        },
    }
    Ok(())
}

/// Returns an argument, or the first word of a line.
fn word(line: &Directive, number: usize) -> String {
    if number == KEY { line.name().into_owned() } else { line.text(number).into_owned() }
}

fn network(line: &Directive, number: usize, scope: &Scope<'_>) -> Result<Network, Problem> {
    let text = word(line, number);
    let parsed = Network::parse(&text).ok_or_else(|| {
        line.fail(number, format!("invalid network \"{text}\"")).with_help("it is written: address[/bits]")
    })?;
    if parsed.low_bits == LowBits::Meaningless {
        warn(line, format!("low address bits of {text} are meaningless"), scope);
    }
    Ok(parsed.network)
}

fn range(line: &Directive, number: usize) -> Result<AddressRange, Problem> {
    let text = word(line, number);
    AddressRange::parse(&text).ok_or_else(|| {
        line.fail(number, format!("invalid range \"{text}\"")).with_help("it is written: first-last, in IPv4")
    })
}

fn duplicate(line: &Directive, what: &str, old: &[u8], scope: &Scope<'_>) {
    let (key, value, old) = (line.name(), line.text(0), String::from_utf8_lossy(old));
    warn(line, format!("duplicate {what} \"{key}\", value: \"{value}\", old value: \"{old}\""), scope);
}

fn warn(line: &Directive, message: String, scope: &Scope<'_>) {
    scope.report(Problem::warning(line.name.span, message));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_address_is_looked_up_as_the_last() {
        let value = |text: &str| Arc::<[u8]>::from(text.as_bytes());
        let mut ranges = RangeTable::default();
        for (range, text) in [("255.255.255.255-255.255.255.255", "last"), ("10.0.0.0-10.0.0.9", "ten")] {
            let range = AddressRange::parse(range).expect("it is a range");
            ranges.insert(range, &value(text)).expect("nothing overlaps");
        }
        let ranges = GeoTable::Ranges { ranges, default: Some(value("else")) };
        let mut networks = NetworkTable::default();
        for (network, text) in [("255.255.255.255", "last"), ("10.0.0.0/8", "ten"), ("::/0", "six")] {
            let parsed = Network::parse(network).expect("it is a network");
            networks.insert(parsed.network, value(text));
        }
        let networks = GeoTable::Networks(networks);
        let cases = [
            ("none", None, "last", "last"),
            ("inside", Some("10.0.0.1"), "ten", "ten"),
            ("mapped", Some("::ffff:10.0.0.1"), "ten", "ten"),
            ("outside", Some("11.0.0.1"), "else", ""),
            ("another family", Some("2001:db8::1"), "last", "six"),
        ];
        for (name, address, by_range, by_network) in cases {
            let address = address.map(|text| text.parse().expect("it is an address"));
            assert_eq!(ranges.find(address), by_range.as_bytes(), "{name}");
            assert_eq!(networks.find(address), by_network.as_bytes(), "{name}");
        }
    }
}
