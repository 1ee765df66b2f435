//! Whether a certificate is for a name or an address, as OpenSSL's `X509_check_host` and `X509_check_ip` decide.

use std::net::IpAddr;

use super::{error::VerifyError, frame::Frame};
use crate::der::{self, Reader, tag};

/// Names that a certificate is for.
struct Names<'a> {
    dns: Vec<&'a [u8]>,
    addresses: Vec<&'a [u8]>,
}

/// Checks that a certificate is for this name or address.
pub(super) fn check(certificate: &[u8], name: &[u8]) -> Result<(), VerifyError> {
    let frame = Frame::read(certificate).ok_or(VerifyError::Unspecified)?;
    let alternative = alternative_names(frame.extensions).ok_or(VerifyError::Unspecified)?;
    if let Some(address) = address(name) {
        let octets = octets(address);
        let fits = alternative.addresses.iter().any(|allowed| **allowed == *octets);
        return if fits { Ok(()) } else { Err(VerifyError::Address) };
    }
    let is_for = |patterns: &[&[u8]]| patterns.iter().any(|pattern| fits(pattern, name));
    let fits = match alternative.dns.is_empty() {
        false => is_for(&alternative.dns),
        // Only certificates that have no name where names belong are for their subject.
        true => is_for(&subject_names(frame.subject).ok_or(VerifyError::Unspecified)?),
    };
    if fits { Ok(()) } else { Err(VerifyError::Name) }
}

/// Reads a name that is an address, with or without the brackets of a URL.
fn address(name: &[u8]) -> Option<IpAddr> {
    let name = str::from_utf8(name).ok()?;
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse().ok()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The names of `subjectAltName`. `None` if they cannot be read.
fn alternative_names(extensions: &[u8]) -> Option<Names<'_>> {
    /// 2.5.29.17.
    const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
    const OCTETS: u8 = 0x04;
    const DNS: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    let mut names = Names { dns: Vec::new(), addresses: Vec::new() };
    let mut extensions = Reader::new(extensions);
    while !extensions.is_empty() {
        let mut extension = Reader::new(extensions.expect(tag::SEQUENCE)?.content);
        if extension.expect(tag::OBJECT)?.content != ALTERNATIVE_NAMES {
            continue;
        }
        let mut value = extension.any()?;
        if value.tag != OCTETS {
            value = extension.expect(OCTETS)?;
        }
        let mut general = Reader::new(der::only(value.content, tag::SEQUENCE)?.content);
        while !general.is_empty() {
            let name = general.any()?;
            match name.tag {
                DNS => names.dns.push(name.content),
                ADDRESS => names.addresses.push(name.content),
                _ => {}
            }
        }
    }
    Some(names)
}

/// The common names of a subject, as far as they are text of one byte a character.
fn subject_names(subject: &[u8]) -> Option<Vec<&[u8]>> {
    /// 2.5.4.3.
    const CN: &[u8] = &[0x55, 0x04, 0x03];
    /// UTF8String, PrintableString, T61String, IA5String.
    const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
    let mut names = Vec::new();
    let mut parts = Reader::new(der::only(subject, tag::SEQUENCE)?.content);
    while !parts.is_empty() {
        let mut part = Reader::new(parts.expect(tag::SET)?.content);
        while !part.is_empty() {
            let mut attribute = Reader::new(part.expect(tag::SEQUENCE)?.content);
            let object = attribute.expect(tag::OBJECT)?;
            let value = attribute.any()?;
            if object.content == CN && TEXTS.contains(&value.tag) && value.content.is_ascii() {
                names.push(value.content);
            }
        }
    }
    Some(names)
}

/// Whether a name of a certificate, which may have a `*`, stands for this name.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    // A zero byte ends a name for those who read it as C does.
    if name.is_empty() || pattern.contains(&0) || name.contains(&0) {
        return false;
    }
    match wildcard(pattern) {
        Some((before, after)) if name[0] != b'.' => fits_wildcard(before, after, name),
        Some(_) | None => pattern.eq_ignore_ascii_case(name),
    }
}

/// Splits a pattern at its `*`, if it stands at an end of the first of at least three labels that can be in a name.
fn wildcard(pattern: &[u8]) -> Option<(&[u8], &[u8])> {
    const LABELS_MIN: usize = 3;
    let labels: Vec<&[u8]> = pattern.split(|byte| *byte == b'.').collect();
    let (first, rest) = labels.split_first()?;
    let star = first.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (&first[..star], &first[star + 1..]);
    let is_at_end = before.is_empty() || after.is_empty();
    let plain = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let is_label = |label: &&[u8]| {
        !label.is_empty() && plain(label) && !label.starts_with(b"-") && !label.ends_with(b"-")
    };
    let first_is_label = plain(before) && plain(after) && !before.starts_with(b"-") && !after.ends_with(b"-");
    let is_allowed = is_at_end
        && first_is_label
        && labels.len() >= LABELS_MIN
        && rest.iter().all(is_label)
        && !is_international(first);
    is_allowed.then(|| (before, &pattern[star + 1..]))
}

fn fits_wildcard(before: &[u8], after: &[u8], name: &[u8]) -> bool {
    let Some(inner) = name.len().checked_sub(before.len() + after.len()) else { return false };
    let (start, rest) = name.split_at(before.len());
    let (starred, end) = rest.split_at(inner);
    let is_whole_label = before.is_empty() && after.starts_with(b".");
    let is_plain = starred.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    start.eq_ignore_ascii_case(before)
        && end.eq_ignore_ascii_case(after)
        && is_plain
        && (!is_whole_label || !starred.is_empty())
        && (is_whole_label || !is_international(name))
}

/// Whether a label stands for one with other letters, of which a `*` cannot be a part.
fn is_international(label: &[u8]) -> bool {
    label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"))
}

#[cfg(test)]
mod tests;
