//! Eight bytes at a time without unsafe code: where the first byte of interest is.
//!
//! Lines of heads are short, so a call into a vectorised search costs more than it saves. The words are read
//! as little-endian numbers: the lowest marked byte is the first one, and it is exact, because a borrow
//! only ever runs upwards, away from it.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Finds the first byte below `LIMIT`, which is at most 128.
#[inline]
pub(crate) fn find_below<const LIMIT: u8>(text: &[u8]) -> Option<usize> {
    find(text, below::<LIMIT>, |byte| byte < LIMIT)
}

/// Finds the first byte that may not stand in a request target: a space, a control byte or DEL.
#[inline]
pub(crate) fn find_target_end(text: &[u8]) -> Option<usize> {
    let is_end = |byte: u8| byte <= b' ' || byte == 0x7f;
    find(text, |word| below::<0x21>(word) | below::<1>(word ^ (ONES * 0x7f)), is_end)
}

/// Finds the first byte that is no letter, digit or hyphen.
#[inline]
pub(crate) fn find_non_name(text: &[u8]) -> Option<usize> {
    find(text, non_name, |byte| !(byte.is_ascii_alphanumeric() || byte == b'-'))
}

#[inline]
fn find(text: &[u8], marks: impl Fn(u64) -> u64, is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let marked = marks(u64::from_le_bytes(*chunk));
        if marked != 0 {
            return Some(at + first_marked(marked));
        }
        at += 8;
    }
    text[at..].iter().position(|&byte| is_wanted(byte)).map(|place| at + place)
}

/// Sets the high bit of each byte below `LIMIT`, and maybe of later ones.
#[inline]
fn below<const LIMIT: u8>(word: u64) -> u64 {
    word.wrapping_sub(ONES * LIMIT as u64) & !word & HIGHS
}

/// Sets the high bit of each byte that is no letter, digit or hyphen. Sums stay within their bytes, because
/// the high bits are taken out first.
#[inline]
fn non_name(word: u64) -> u64 {
    let low = word & !HIGHS;
    let lower_case = low | (ONES * 0x20);
    let at_least = |word: u64, limit: u8| word + ONES * u64::from(0x80 - limit);
    let letter = at_least(lower_case, b'a') & !at_least(lower_case, b'z' + 1);
    let digit = at_least(low, b'0') & !at_least(low, b'9' + 1);
    let hyphen = !at_least(low ^ (ONES * u64::from(b'-')), 1);
    !((letter | digit | hyphen) & !word) & HIGHS
}

/// The index of the first byte that has any bit set.
#[inline]
fn first_marked(word: u64) -> usize {
    word.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for len in 0..20 {
            for place in 0..len {
                for byte in 0..=255u8 {
                    let mut text = vec![b'a'; len];
                    text[place] = byte;
                    let slow = |wanted: fn(u8) -> bool| text.iter().position(|&byte| wanted(byte));
                    assert_eq!(find_below::<14>(&text), slow(|byte| byte < 14), "{text:?}");
                    let odd = slow(|byte| !(byte.is_ascii_alphanumeric() || byte == b'-'));
                    assert_eq!(find_non_name(&text), odd, "{text:?}");
                    let ends = slow(|byte| byte <= b' ' || byte == 0x7f);
                    assert_eq!(find_target_end(&text), ends, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_is_found() {
        for text in
            [&b"aa\xff\x01\x00\x0d\x0e\x0daaaaaa"[..], b"\x0e\x7f\x80\xff\x0d\x00\x00\x00", b"aaaaaaaaa\r\n"]
        {
            assert_eq!(find_below::<14>(text), text.iter().position(|&byte| byte < 14), "{text:?}");
        }
    }
}
