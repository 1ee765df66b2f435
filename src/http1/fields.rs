//! Header fields as they came: order, case and duplicates kept.
//!
//! All names and values share one buffer, so a head costs two allocations at most and none once the
//! buffers have grown (`clear` keeps them). Look-ups compare a four-byte signature first; heads have a
//! dozen fields, for which that beats any map.

use std::fmt;

/// An ordered list of header fields.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    signature: u32,
    name_start: u32,
    name_len: u32,
    value_start: u32,
    value_len: u32,
}

impl Entry {
    fn name(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.name_start as usize..][..self.name_len as usize]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.value_start as usize..][..self.value_len as usize]
    }

    fn is_named(self, signature: u32, name: &[u8], bytes: &[u8]) -> bool {
        self.signature == signature && self.name(bytes).eq_ignore_ascii_case(name)
    }
}

impl Fields {
    /// An empty list that has allocated nothing.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// An empty list with room for `fields` fields of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Fields {
        Fields { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(fields) }
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Appends a field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name_start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry {
            signature: signature(name),
            name_start: offset(name_start),
            name_len: offset(name.len()),
            value_start: offset(value_start),
            value_len: offset(value.len()),
        });
    }

    /// Starts to append fields that are in `text` from `start` on.
    pub(crate) fn block<'a>(&'a mut self, text: &'a [u8], start: usize) -> Block<'a> {
        Block { fields: self, text, start }
    }

    /// The value of the first field called `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of all fields called `name`, in any case, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = signature(name.as_bytes());
        self.entries
            .iter()
            .filter(move |entry| entry.is_named(wanted, name.as_bytes(), &self.bytes))
            .map(|entry| entry.value(&self.bytes))
    }

    /// Whether there is a field whose name begins so, in any case.
    pub fn contains_prefix(&self, prefix: &str) -> bool {
        let begins = |name: &[u8]| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        self.entries.iter().any(|entry| begins(entry.name(&self.bytes)))
    }

    /// Whether there is a field called `name`, in any case.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All fields as name and value, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + DoubleEndedIterator {
        self.entries.iter().map(|entry| (entry.name(&self.bytes), entry.value(&self.bytes)))
    }

    /// Removes all fields called `name`, in any case, and says how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let wanted = signature(name.as_bytes());
        let before = self.entries.len();
        self.entries.retain(|entry| !entry.is_named(wanted, name.as_bytes(), &self.bytes));
        before - self.entries.len()
    }

    /// Gives the first field called `name` this value in its place, and drops the others; appends the
    /// field if there is none. A field that is replaced keeps its own spelling of the name.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let wanted = signature(name.as_bytes());
        let found =
            self.entries.iter().position(|entry| entry.is_named(wanted, name.as_bytes(), &self.bytes));
        let Some(first) = found else {
            self.push(name.as_bytes(), value);
            return;
        };
        self.replace_value(first, value);
        let mut index = 0;
        self.entries.retain(|entry| {
            index += 1;
            index <= first + 1 || !entry.is_named(wanted, name.as_bytes(), &self.bytes)
        });
    }

    /// Keeps the fields for which `keep` answers true to their name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.entries.retain(|entry| keep(entry.name(&self.bytes), entry.value(&self.bytes)));
    }

    /// The memory that the list has allocated, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes over the old value where the new one fits, so that a list whose fields are set again and
    /// again does not grow.
    fn replace_value(&mut self, index: usize, value: &[u8]) {
        let entry = &mut self.entries[index];
        if value.len() <= entry.value_len as usize {
            self.bytes[entry.value_start as usize..][..value.len()].copy_from_slice(value);
        } else {
            entry.value_start = offset(self.bytes.len());
            self.bytes.extend_from_slice(value);
        }
        entry.value_len = offset(value.len());
    }
}

/// Fields of a head whose lines are copied all at once when it is [finished](Block::finish), which is far
/// less work than to copy each name and each value.
pub(crate) struct Block<'a> {
    fields: &'a mut Fields,
    text: &'a [u8],
    start: usize,
}

impl Block<'_> {
    /// Appends a field; `line_start` is a place in the text, the others are counted from there.
    #[inline]
    pub fn push(&mut self, line_start: usize, name_len: usize, value_start: usize, value_end: usize) {
        let place = offset(self.fields.bytes.len() + line_start - self.start);
        self.fields.entries.push(Entry {
            signature: signature(&self.text[line_start..line_start + name_len]),
            name_start: place,
            name_len: name_len as u32,
            value_start: place + value_start as u32,
            value_len: (value_end - value_start) as u32,
        });
    }

    /// The number of fields, with those there were before.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Copies the text up to `end`, which must be behind the last field appended.
    pub fn finish(self, end: usize) {
        self.fields.bytes.extend_from_slice(&self.text[self.start..end]);
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_list().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in pairs {
            fields.push(name, value);
        }
        fields
    }
}

/// Whether a comma-separated list names `token`, in any case.
pub fn list_has_token(value: &[u8], token: &str) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Length, first and last letter of a name: equal for names that differ in case only, and cheap enough to
/// be made anew for each look-up.
#[inline]
fn signature(name: &[u8]) -> u32 {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    // Bit 5 alone tells upper from lower case; other bytes it makes equal are told apart by comparing all.
    ((name.len() as u32) << 16) | (u32::from(first | 0x20) << 8) | u32::from(last | 0x20)
}

/// Heads are limited to far less than 4 GiB by the rules of their parsers.
#[inline]
fn offset(len: usize) -> u32 {
    u32::try_from(len).expect("a head is limited to less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn abc() -> Fields {
        fields(&[("A", "1"), ("b", "2"), ("a", "3"), ("C", "4")])
    }

    #[test]
    fn prefixes_match_in_any_case() {
        let fields = fields(&[("If-Match", "1"), ("X", "2")]);
        let cases = [("If-", true), ("if-m", true), ("I", true), ("If-None", false), ("XY", false)];
        for (prefix, wanted) in cases {
            assert_eq!(fields.contains_prefix(prefix), wanted, "{prefix}");
        }
    }

    #[test]
    fn order_case_and_duplicates_are_kept() {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = abc().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        let wanted = [("A", "1"), ("b", "2"), ("a", "3"), ("C", "4")];
        assert_eq!(pairs, wanted.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())));
    }

    #[test]
    fn look_up_ignores_case_and_finds_the_first() {
        let fields = abc();
        assert_eq!(fields.get("a"), Some(&b"1"[..]));
        assert_eq!(fields.get("B"), Some(&b"2"[..]));
        assert_eq!(fields.get("d"), None);
        assert_eq!(fields.all("A").collect::<Vec<_>>(), [b"1", b"3"]);
    }

    #[test]
    fn names_with_equal_signatures_are_told_apart() {
        let fields = fields(&[("X-Ab-Y", "1"), ("x-cd-y", "2")]);
        assert_eq!(fields.get("X-CD-Y"), Some(&b"2"[..]));
        assert_eq!(fields.get("x-ef-y"), None);
    }

    #[test]
    fn set_replaces_in_place_and_drops_the_others() {
        let mut shorter = abc();
        shorter.set("a", b"");
        assert_eq!(shorter, fields(&[("A", ""), ("b", "2"), ("C", "4")]));
        let mut longer = abc();
        longer.set("a", b"long value");
        assert_eq!(longer, fields(&[("A", "long value"), ("b", "2"), ("C", "4")]));
        let mut new = abc();
        new.set("D", b"5");
        assert_eq!(new, fields(&[("A", "1"), ("b", "2"), ("a", "3"), ("C", "4"), ("D", "5")]));
    }

    #[test]
    fn remove_and_retain() {
        let mut some = abc();
        assert_eq!(some.remove("A"), 2);
        assert_eq!(some, fields(&[("b", "2"), ("C", "4")]));
        assert_eq!(some.remove("A"), 0);
        some.retain(|_, value| value != b"2");
        assert_eq!(some, fields(&[("C", "4")]));
        some.clear();
        assert!(some.is_empty());
    }

    #[test]
    fn tokens_of_a_list() {
        for (value, wanted) in [
            ("close", true),
            ("keep-alive, CLOSE", true),
            (" close ,x", true),
            ("closed", false),
            ("x close", false),
            ("", false),
        ] {
            assert_eq!(list_has_token(value.as_bytes(), "close"), wanted, "{value}");
        }
    }
}
