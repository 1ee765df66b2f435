//! Reading DER, just so far as certificates and lists of revoked ones are made of it.
//!
//! What signs and is signed has to be taken exactly as it stands, from certificates of every version and with names of every
//! kind, so its frame is read here; the values of extensions are left to x509-parser. Lengths that DER does not allow end the
//! reading: nothing here panics, whatever the bytes are.

/// Tags that certificates consist of.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OBJECT: u8 = 0x06;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    /// `[0]`, constructed: a version, or the extensions of a list.
    pub(crate) const CONTEXT_0: u8 = 0xa0;
    /// `[3]`, constructed: the extensions of a certificate.
    pub(crate) const CONTEXT_3: u8 = 0xa3;
}

/// One element: its tag, what is in it, and all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Elements that stand one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads what `bytes` consist of.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, if it is a whole one.
    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        const HIGH_TAG: u8 = 0x1f;
        let (&tag, after_tag) = self.rest.split_first()?;
        if tag & HIGH_TAG == HIGH_TAG {
            return None;
        }
        let (length, after_length) = length(after_tag)?;
        let content = after_length.get(..length)?;
        let header = self.rest.len() - after_length.len();
        let (whole, rest) = self.rest.split_at(header + length);
        self.rest = rest;
        Some(Element { tag, content, whole })
    }

    /// The next element, if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        (self.peek()? == tag).then(|| self.any())?
    }

    /// The next element if it has this tag; nothing is read otherwise. `None` if it is broken.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<Element<'a>>> {
        match self.peek() {
            Some(next) if next == tag => self.any().map(Some),
            Some(_) | None => Some(None),
        }
    }
}

/// Reads a single element that `bytes` are, and nothing after it.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    let mut reader = Reader::new(bytes);
    reader.expect(tag).filter(|_| reader.is_empty())
}

/// The bytes of a BIT STRING that is made of whole bytes.
pub(crate) fn whole_bits(element: Element<'_>) -> Option<&[u8]> {
    let (&unused, bits) = element.content.split_first()?;
    (unused == 0).then_some(bits)
}

/// Reads a length in its shortest form, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    const LONG: u8 = 0x80;
    const BYTES_MAX: usize = 4;
    let (&first, rest) = bytes.split_first()?;
    if first < LONG {
        return Some((usize::from(first), rest));
    }
    let count = usize::from(first & !LONG);
    if count == 0 || count > BYTES_MAX {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
    let shortest = digits[0] != 0 && length >= usize::from(LONG);
    shortest.then_some((length, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_only_if_they_are_whole_and_der() {
        type Case = (&'static str, &'static [u8], Option<&'static [u8]>);
        let cases: &[Case] = &[
            ("short", &[0x30, 2, 1, 2], Some(&[1, 2])),
            ("empty", &[0x30, 0], Some(&[])),
            ("nothing", &[], None),
            ("only a tag", &[0x30], None),
            ("too little", &[0x30, 3, 1, 2], None),
            ("indefinite", &[0x30, 0x80, 0, 0], None),
            ("long form for a short length", &[0x30, 0x81, 2, 1, 2], None),
            ("leading zero", &[0x30, 0x82, 0, 0x80], None),
            ("longer than all memory", &[0x30, 0x88, 255, 255, 255, 255, 255, 255, 255, 255], None),
            ("four bytes of length", &[0x30, 0x84, 255, 255, 255, 255], None),
            ("a tag of several bytes", &[0x3f, 0x81, 1, 0], None),
        ];
        for (name, bytes, wanted) in cases {
            let read = Reader::new(bytes).any().map(|element| element.content);
            assert_eq!(read, *wanted, "{name}");
        }
        let mut long = vec![0x04, 0x81, 0x80];
        long.resize(3 + 0x80, 7);
        assert_eq!(Reader::new(&long).any().map(|element| element.content.len()), Some(0x80));
    }

    #[test]
    fn optional_elements_are_left_for_others() {
        let mut reader = Reader::new(&[0x02, 1, 5]);
        assert_eq!(reader.optional(tag::CONTEXT_0), Some(None));
        assert_eq!(reader.expect(tag::INTEGER).map(|element| element.content), Some(&[5][..]));
        assert!(reader.is_empty());
    }
}
