//! Browsers that need to be treated apart, told by their User-Agent as nginx tells them.
//!
//! Pure; what follows from it is decided where it is asked.

/// Internet Explorer 4 to 6, the one of Windows XP's second service pack apart. Opera says it is one.
pub fn is_msie6(agent: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(agent, b"MSIE ") else { return false };
    let is_old = match &agent[at + b"MSIE ".len()..] {
        [b'4' | b'5', b'.', _, ..] => true,
        [b'6', b'.', rest @ ..] if !rest.is_empty() => !has(rest, b"SV1"),
        _ => false,
    };
    is_old && !has(agent, b"Opera")
}

/// Safari on macOS: neither Chrome nor a browser of the Gecko family.
pub fn is_safari(agent: &[u8]) -> bool {
    has(agent, b"Safari/")
        && has(agent, b"Mac OS X")
        && ![&b"MSIE "[..], b"Opera", b"Gecko/", b"Chrome/"].into_iter().any(|other| has(agent, other))
}

fn has(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}
