//! Values by ranges of IPv4 addresses (`geo` with `ranges`). Pure.
//!
//! As nginx, ranges are kept by blocks of 65,536 addresses, and what may overlap is decided in each block: a later
//! range may lie within an earlier one, which it cuts, but may not reach out of it.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, ops::RangeInclusive};

/// The first and the last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: u32,
    last: u32,
}

impl AddressRange {
    /// Reads `first-last`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let bits = |text: &str| text.parse().ok().map(Ipv4Addr::to_bits);
        let range = Self { first: bits(first)?, last: bits(last)? };
        (range.first <= range.last).then_some(range)
    }

    /// Returns the range's part in each block it touches.
    fn blocks(self) -> impl Iterator<Item = (u16, Span)> {
        let ends = move |block: u16| {
            let first = if u32::from(block) == self.first >> 16 { self.first as u16 } else { 0 };
            let last = if u32::from(block) == self.last >> 16 { self.last as u16 } else { u16::MAX };
            (block, first..=last)
        };
        ((self.first >> 16) as u16..=(self.last >> 16) as u16).map(ends)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", Ipv4Addr::from_bits(self.first), Ipv4Addr::from_bits(self.last))
    }
}

type Span = RangeInclusive<u16>;

/// Values by range.
#[derive(Debug, Clone)]
pub struct RangeTable<V> {
    /// Ranges of each block, in ascending order and apart.
    blocks: BTreeMap<u16, Vec<(Span, V)>>,
}

impl<V> Default for RangeTable<V> {
    fn default() -> Self {
        Self { blocks: BTreeMap::new() }
    }
}

/// A range that reaches out of one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlaps(pub AddressRange);

impl<V: Clone> RangeTable<V> {
    /// Gives a range its value, and returns the one it had.
    pub fn insert(&mut self, range: AddressRange, value: &V) -> Result<Option<V>, Overlaps> {
        let mut replaced = None;
        for (block, span) in range.blocks() {
            let known = self.blocks.entry(block).or_default();
            match insert(known, &span, value) {
                Ok(None) => {}
                Ok(old) => replaced = old,
                Err(other) => {
                    let full = |low: u16| (u32::from(block) << 16) | u32::from(low);
                    return Err(Overlaps(AddressRange {
                        first: full(*other.start()),
                        last: full(*other.end()),
                    }));
                }
            }
        }
        Ok(replaced)
    }
}

/// Puts a span in its place, and returns the value it had.
fn insert<V: Clone>(known: &mut Vec<(Span, V)>, span: &Span, value: &V) -> Result<Option<V>, Span> {
    let (start, end) = (*span.start(), *span.end());
    // The first that does not end before the new one begins.
    let at = known.partition_point(|(other, _)| *other.end() < start);
    let Some((other, old)) = known.get_mut(at).filter(|(other, _)| *other.start() <= end) else {
        known.insert(at, (span.clone(), value.clone()));
        return Ok(None);
    };
    if other == span {
        return Ok(Some(std::mem::replace(old, value.clone())));
    }
    let is_within = *other.start() <= start && end <= *other.end();
    if !is_within {
        // As nginx: the last one that is in the way is told of.
        let last = known.partition_point(|(other, _)| *other.start() <= end) - 1;
        return Err(known[last].0.clone());
    }
    let mut pieces = Vec::with_capacity(3);
    if *other.start() < start {
        pieces.push((*other.start()..=start - 1, old.clone()));
    }
    pieces.push((span.clone(), value.clone()));
    if end < *other.end() {
        pieces.push((end + 1..=*other.end(), old.clone()));
    }
    known.splice(at..=at, pieces);
    Ok(None)
}

/// A range that is not there as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchRange;

impl<V> RangeTable<V> {
    /// Takes a range out. As nginx: what was found of it before a block that lacks it stays out.
    pub fn remove(&mut self, range: AddressRange) -> Result<(), NoSuchRange> {
        for (block, span) in range.blocks() {
            let known = self.blocks.get_mut(&block).ok_or(NoSuchRange)?;
            let at = known.iter().position(|(other, _)| *other == span).ok_or(NoSuchRange)?;
            known.remove(at);
        }
        Ok(())
    }

    /// Finds the value of an address.
    pub fn find(&self, address: Ipv4Addr) -> Option<&V> {
        let bits = address.to_bits();
        let (block, low) = ((bits >> 16) as u16, bits as u16);
        let known = self.blocks.get(&block)?;
        let at = known.partition_point(|(span, _)| *span.end() < low);
        known.get(at).filter(|(span, _)| *span.start() <= low).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text).expect("it is a range")
    }

    fn table(ranges: &[(&str, char)]) -> RangeTable<char> {
        let mut table = RangeTable::default();
        for (text, value) in ranges {
            table.insert(range(text), value).expect("it overlaps nothing");
        }
        table
    }

    #[test]
    fn ranges_are_read() {
        for text in ["10.0.0.1-10.0.0.1", "0.0.0.0-255.255.255.255"] {
            assert_eq!(range(text).to_string(), text);
        }
        for text in ["10.0.0.1", "10.0.0.2-10.0.0.1", "10.0.0.0/8", "a-b", "::1-::2", "-", ""] {
            assert_eq!(AddressRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn later_ranges_cut_those_around_them() {
        let table = table(&[
            ("10.0.0.10-10.0.0.90", 'a'),
            ("10.0.0.20-10.0.0.30", 'b'),
            ("10.0.0.10-10.0.0.12", 'c'),
            ("10.0.0.80-10.0.0.90", 'd'),
            ("10.0.0.25-10.0.0.25", 'e'),
            ("10.0.0.0-10.0.0.5", 'f'),
            ("10.0.255.0-10.2.0.255", 'g'),
            ("10.1.0.0-10.1.0.0", 'h'),
        ]);
        let cases = [
            ("9.255.255.255", None),
            ("10.0.0.0", Some('f')),
            ("10.0.0.5", Some('f')),
            ("10.0.0.6", None),
            ("10.0.0.10", Some('c')),
            ("10.0.0.13", Some('a')),
            ("10.0.0.19", Some('a')),
            ("10.0.0.20", Some('b')),
            ("10.0.0.25", Some('e')),
            ("10.0.0.26", Some('b')),
            ("10.0.0.31", Some('a')),
            ("10.0.0.79", Some('a')),
            ("10.0.0.80", Some('d')),
            ("10.0.0.90", Some('d')),
            ("10.0.0.91", None),
            ("10.0.254.255", None),
            ("10.0.255.0", Some('g')),
            ("10.1.0.0", Some('h')),
            ("10.1.0.1", Some('g')),
            ("10.1.255.255", Some('g')),
            ("10.2.0.255", Some('g')),
            ("10.2.1.0", None),
        ];
        for (text, wanted) in cases {
            let address = text.parse().expect("it is an address");
            assert_eq!(table.find(address).copied(), wanted, "{text}");
        }
    }

    #[test]
    fn what_reaches_out_is_refused() {
        let cases = [
            ("10.0.0.4-10.0.0.8", "10.0.0.5-10.0.0.6"),
            ("10.0.0.6-10.0.0.9", "10.0.0.5-10.0.0.6"),
            ("10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.6"),
            ("10.0.0.1-10.0.1.255", "10.0.1.1-10.0.1.2"),
        ];
        for (text, wanted) in cases {
            let mut table = table(&[("10.0.0.5-10.0.0.6", 'a'), ("10.0.1.1-10.0.1.2", 'b')]);
            assert_eq!(table.insert(range(text), &'c'), Err(Overlaps(range(wanted))), "{text}");
        }
    }

    #[test]
    fn the_same_range_is_replaced_or_removed() {
        let mut table = table(&[("10.0.0.0-10.1.255.255", 'a')]);
        assert_eq!(table.insert(range("10.0.0.0-10.1.255.255"), &'b'), Ok(Some('a')));
        assert_eq!(table.remove(range("10.0.0.0-10.0.0.1")), Err(NoSuchRange));
        assert_eq!(table.remove(range("10.0.0.0-10.1.255.255")), Ok(()));
        assert_eq!(table.find("10.0.0.0".parse().expect("it is an address")), None);
        assert_eq!(table.remove(range("11.0.0.0-11.0.0.1")), Err(NoSuchRange));
    }
}
