//! What kind of key there is, what it can sign, and whether it is strong enough: pure, from identifiers alone.

use crate::der::{self, Reader, tag};

/// Shorter RSA keys do not count, as in OpenSSL at security level 2.
const RSA_BITS_MIN: usize = 2048;

/// Kinds of keys that sign certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    RsaPss,
    Ec,
    Ed25519,
}

mod object {
    /// 1.2.840.113549.1.1: RSA, its signatures and its key below it.
    pub(super) const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pub(super) const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
    pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    /// 1.2.840.10045.4: ECDSA with whatever digest.
    pub(super) const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

    /// MD2, MD4, MD5 and SHA-1 with RSA; SHA-1 with ECDSA, with DSA, and with RSA as others name it.
    pub(super) const WEAK_SIGNATURES: [&[u8]; 7] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x03],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
        &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03],
        &[0x2b, 0x0e, 0x03, 0x02, 0x1d],
    ];
}

/// Whether a key of this kind makes signatures of that kind. Kinds that are not known here may be anything.
pub(super) fn may_make(spki: &[u8], algorithm: &[u8]) -> bool {
    match (kind_of_key(spki), kind_of_signature(algorithm)) {
        (Some(Kind::Rsa), Some(Kind::RsaPss)) | (None, _) | (_, None) => true,
        (Some(key), Some(signature)) => key == signature,
    }
}

/// Whether a signature is made with a digest that can be forged.
pub(super) fn is_weak_signature(algorithm: &[u8]) -> bool {
    object_of(algorithm).is_some_and(|object| object::WEAK_SIGNATURES.contains(&object))
}

/// Whether a key is too short to rely on. Kinds that are not known here are left to whoever checks signatures.
pub(super) fn is_weak_key(spki: &[u8]) -> bool {
    match kind_of_key(spki) {
        Some(Kind::Rsa | Kind::RsaPss) => rsa_bits(spki).is_none_or(|bits| bits < RSA_BITS_MIN),
        Some(Kind::Ec | Kind::Ed25519) | None => false,
    }
}

fn kind_of_key(spki: &[u8]) -> Option<Kind> {
    let algorithm = Reader::new(der::only(spki, tag::SEQUENCE)?.content).expect(tag::SEQUENCE)?;
    match object_of(algorithm.whole)? {
        object::RSA => Some(Kind::Rsa),
        object::RSA_PSS => Some(Kind::RsaPss),
        object::EC => Some(Kind::Ec),
        object::ED25519 => Some(Kind::Ed25519),
        _ => None,
    }
}

fn kind_of_signature(algorithm: &[u8]) -> Option<Kind> {
    match object_of(algorithm)? {
        object::RSA_PSS => Some(Kind::RsaPss),
        object::ED25519 => Some(Kind::Ed25519),
        object if object.starts_with(object::PKCS1) => Some(Kind::Rsa),
        object if object.starts_with(object::ECDSA) => Some(Kind::Ec),
        _ => None,
    }
}

/// The object that an algorithm is identified by.
fn object_of(algorithm: &[u8]) -> Option<&[u8]> {
    let identifier = der::only(algorithm, tag::SEQUENCE)?;
    Some(Reader::new(identifier.content).expect(tag::OBJECT)?.content)
}

fn rsa_bits(spki: &[u8]) -> Option<usize> {
    let mut fields = Reader::new(der::only(spki, tag::SEQUENCE)?.content);
    fields.expect(tag::SEQUENCE)?;
    let key = der::whole_bits(fields.expect(tag::BIT_STRING)?)?;
    let modulus = Reader::new(der::only(key, tag::SEQUENCE)?.content).expect(tag::INTEGER)?.content;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let whole = (modulus.len() - first) * 8;
    Some(whole - usize::try_from(modulus[first].leading_zeros()).ok()?)
}
