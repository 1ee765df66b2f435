//! The frame of a certificate: its fields as they stand, of every version, without judging any of them.

use crate::der::{self, Element, Reader, tag};

/// A certificate's fields, each as the bytes that were signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// What the issuer signed.
    pub(crate) tbs: &'a [u8],
    /// 1, 2 or 3.
    pub(crate) version: u8,
    /// The content of the number: big-endian, two's complement.
    pub(crate) serial: &'a [u8],
    /// The algorithm as the signed part names it.
    pub(crate) inner_algorithm: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) not_before: Element<'a>,
    pub(crate) not_after: Element<'a>,
    pub(crate) subject: &'a [u8],
    /// The public key, with the SEQUENCE around it.
    pub(crate) spki: &'a [u8],
    /// Extensions, one after another.
    pub(crate) extensions: &'a [u8],
    /// The algorithm as the outer part names it.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a certificate; `None` if it is none.
    pub(crate) fn read(certificate: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(der::only(certificate, tag::SEQUENCE)?.content);
        let tbs = outer.expect(tag::SEQUENCE)?;
        let algorithm = outer.expect(tag::SEQUENCE)?.whole;
        let signature = der::whole_bits(outer.expect(tag::BIT_STRING)?)?;
        if !outer.is_empty() {
            return None;
        }
        let mut fields = Reader::new(tbs.content);
        let version = version(&mut fields)?;
        let serial = fields.expect(tag::INTEGER)?.content;
        let inner_algorithm = fields.expect(tag::SEQUENCE)?.whole;
        let issuer = fields.expect(tag::SEQUENCE)?.whole;
        let mut validity = Reader::new(fields.expect(tag::SEQUENCE)?.content);
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = fields.expect(tag::SEQUENCE)?.whole;
        let spki = fields.expect(tag::SEQUENCE)?.whole;
        let extensions = extensions(&mut fields)?;
        Some(Self {
            tbs: tbs.whole,
            version,
            serial,
            inner_algorithm,
            issuer,
            not_before,
            not_after,
            subject,
            spki,
            extensions,
            algorithm,
            signature,
        })
    }
}

fn version(fields: &mut Reader<'_>) -> Option<u8> {
    let Some(explicit) = fields.optional(tag::CONTEXT_0)? else { return Some(1) };
    match der::only(explicit.content, tag::INTEGER)?.content {
        [number @ 0..=2] => Some(number + 1),
        _ => None,
    }
}

fn time<'a>(fields: &mut Reader<'a>) -> Option<Element<'a>> {
    fields.any().filter(|time| [tag::UTC_TIME, tag::GENERALIZED_TIME].contains(&time.tag))
}

/// The extensions, past the unique identifiers that nobody uses.
fn extensions<'a>(fields: &mut Reader<'a>) -> Option<&'a [u8]> {
    const ISSUER_ID: u8 = 0x81;
    const SUBJECT_ID: u8 = 0x82;
    fields.optional(ISSUER_ID)?;
    fields.optional(SUBJECT_ID)?;
    let extensions = match fields.optional(tag::CONTEXT_3)? {
        Some(explicit) => der::only(explicit.content, tag::SEQUENCE)?.content,
        None => &[],
    };
    fields.is_empty().then_some(extensions)
}
