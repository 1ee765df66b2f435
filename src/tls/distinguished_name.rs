//! Names of subjects and issuers as text: as RFC 2253 has them, and between slashes as older programs do.
//!
//! Both are OpenSSL's texts to the byte, since people compare them: `X509_NAME_print_ex` with `XN_FLAG_RFC2253`, and
//! `X509_NAME_oneline`. A name that cannot be read is empty.

use crate::{
    der::{self, Element, Reader, tag},
    peer_certificate::push_hex,
};

/// Objects of names, and what OpenSSL calls them for short.
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 15], "businessCategory"),
    (&[0x55, 4, 16], "postalAddress"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 18], "postOfficeBox"),
    (&[0x55, 4, 19], "physicalDeliveryOfficeName"),
    (&[0x55, 4, 20], "telephoneNumber"),
    (&[0x55, 4, 21], "telexNumber"),
    (&[0x55, 4, 23], "facsimileTelephoneNumber"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 44], "generationQualifier"),
    (&[0x55, 4, 45], "x500UniqueIdentifier"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (&[0x55, 4, 72], "role"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], "unstructuredName"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 8], "unstructuredAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 3], "mail"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 1], "jurisdictionL"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 2], "jurisdictionST"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3c, 2, 1, 3], "jurisdictionC"),
];

/// Tags of strings, and how many bytes a character of them takes.
mod string {
    pub(super) const UTF8: u8 = 0x0c;
    /// NumericString, PrintableString, T61String, IA5String, UTCTime, GeneralizedTime, VisibleString.
    pub(super) const ONE_BYTE: [u8; 7] = [0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1a];
    pub(super) const UNIVERSAL: u8 = 0x1c;
    pub(super) const BMP: u8 = 0x1e;
}

/// One attribute of a name.
struct Attribute<'a> {
    object: &'a [u8],
    value: Element<'a>,
    /// Which part of the name it belongs to, as the first, second, ...
    part: usize,
}

/// A name as RFC 2253 writes it, the last part first: `CN=me,O=we`.
pub(crate) fn rfc2253(name: &[u8]) -> String {
    let mut text = String::new();
    let mut before = None;
    for attribute in attributes(name).unwrap_or_default().iter().rev() {
        if let Some(before) = before {
            text.push(if before == attribute.part { '+' } else { ',' });
        }
        before = Some(attribute.part);
        let short = short_name(attribute.object);
        text.push_str(short.unwrap_or(&dotted(attribute.object)));
        text.push('=');
        match characters(attribute.value).filter(|_| short.is_some()) {
            Some(value) => push_escaped(&mut text, &value),
            None => {
                text.push('#');
                attribute.value.whole.iter().for_each(|byte| push_hex(&mut text, "", *byte));
            }
        }
    }
    text
}

/// A name between slashes, the first part first: `/O=we/CN=me`.
pub(crate) fn legacy(name: &[u8]) -> String {
    let mut text = String::new();
    let mut before = None;
    for attribute in attributes(name).unwrap_or_default() {
        text.push(if before == Some(attribute.part) { '+' } else { '/' });
        before = Some(attribute.part);
        text.push_str(short_name(attribute.object).unwrap_or(&dotted(attribute.object)));
        text.push('=');
        for byte in attribute.value.content {
            match byte {
                b'/' | b'+' => text.extend(['\\', char::from(*byte)]),
                b' '..=b'~' => text.push(char::from(*byte)),
                _ => push_hex(&mut text, "\\x", *byte),
            }
        }
    }
    text
}

fn attributes(name: &[u8]) -> Option<Vec<Attribute<'_>>> {
    let mut attributes = Vec::new();
    let mut parts = Reader::new(der::only(name, tag::SEQUENCE)?.content);
    let mut part = 0;
    while !parts.is_empty() {
        let mut members = Reader::new(parts.expect(tag::SET)?.content);
        while !members.is_empty() {
            let mut member = Reader::new(members.expect(tag::SEQUENCE)?.content);
            let object = member.expect(tag::OBJECT)?.content;
            attributes.push(Attribute { object, value: member.any()?, part });
        }
        part += 1;
    }
    Some(attributes)
}

fn short_name(object: &[u8]) -> Option<&'static str> {
    SHORT_NAMES.iter().find(|(known, _)| *known == object).map(|(_, name)| *name)
}

/// An object as numbers with dots between them.
fn dotted(object: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number: u128 = 0;
    for byte in object {
        number = number.wrapping_shl(7) | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first.to_string());
                number -= first * 40;
            }
            numbers.push(number.to_string());
            number = 0;
        }
    }
    numbers.join(".")
}

/// The value as UTF-8, if it is a string.
fn characters(value: Element<'_>) -> Option<Vec<u8>> {
    let encode = |characters: Vec<u32>| {
        let text: Option<String> = characters.into_iter().map(char::from_u32).collect();
        text.map(String::into_bytes)
    };
    let wide = |bytes: &[u8]| bytes.iter().fold(0_u32, |character, byte| character << 8 | u32::from(*byte));
    match value.tag {
        string::UTF8 => Some(value.content.to_vec()),
        tag if string::ONE_BYTE.contains(&tag) => {
            encode(value.content.iter().copied().map(u32::from).collect())
        }
        string::BMP if value.content.len().is_multiple_of(2) => {
            encode(value.content.chunks(2).map(wide).collect())
        }
        string::UNIVERSAL if value.content.len().is_multiple_of(4) => {
            encode(value.content.chunks(4).map(wide).collect())
        }
        _ => None,
    }
}

fn push_escaped(text: &mut String, value: &[u8]) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.iter().enumerate() {
        let is_special = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b'#' => index == 0,
            b' ' => index == 0 || index == last,
            _ => false,
        };
        match byte {
            b' '..=b'~' => {
                if is_special {
                    text.push('\\');
                }
                text.push(char::from(*byte));
            }
            _ => push_hex(text, "\\", *byte),
        }
    }
}
