//! Private keys: PKCS#8, PKCS#1 and SEC 1 in PEM, encrypted or not.
//!
//! Encrypted keys are tried with each passphrase in turn, as nginx does; nobody is asked for one. PKCS#8 is decrypted where
//! its scheme is PBES2 (AES, 3DES; PBKDF2, scrypt). The older schemes are refused with the command that converts.

use std::sync::Arc;

use pkcs8::{
    EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef,
    pkcs5::pbes2::{Kdf, ScryptParams},
};
use rustls::{crypto::aws_lc_rs::sign::any_supported_type, sign::SigningKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use thiserror::Error;
use x509_parser::{der_parser::asn1_rs::Sequence, prelude::FromDer as _};

use crate::{
    key_kind,
    legacy_pem::{Encryption, FieldError},
    passwords::Passwords,
    pem::{Block, Blocks},
};

/// Why a text gives no key; what OpenSSL has words for reads as OpenSSL's.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum KeyError {
    /// No block with a key, or nothing that can be made sense of.
    #[error("error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM")]
    None,
    /// The block's fields.
    #[error(transparent)]
    Fields(#[from] FieldError),
    /// It is encrypted, and there are no passphrases.
    #[error("error:04800068:PEM routines::bad password read")]
    NoPassword,
    /// No passphrase fits a block that is encrypted itself.
    #[error("error:1C800064:Provider routines::bad decrypt error:04800065:PEM routines::bad decrypt")]
    Decrypt,
    /// No passphrase fits an encrypted PKCS#8.
    #[error(
        "error:1C800064:Provider routines::bad decrypt error:11800074:PKCS12 routines::pkcs12 cipherfinal error:maybe wrong password"
    )]
    DecryptPkcs8,
    /// An encryption that is too old.
    #[error(
        "encrypted by {0}, which is not supported: convert the key by \"openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW\""
    )]
    Scheme(&'static str),
    /// A kind of key that the TLS library does not have.
    #[error("{} keys are not supported ({})", .0, key_kind::SUPPORTED)]
    Kind(String),
}

/// Reads the first key of a text.
pub(crate) fn read(text: &[u8], passwords: Option<&Passwords>) -> Result<Arc<dyn SigningKey>, KeyError> {
    for block in Blocks::of(text) {
        let Ok(block) = block else { return Err(KeyError::None) };
        match block.label.as_slice() {
            b"PRIVATE KEY" => return plain(Form::Pkcs8, &block.der),
            b"ENCRYPTED PRIVATE KEY" => return encrypted(&block.der, passwords),
            b"RSA PRIVATE KEY" => return own(Form::Pkcs1, &block, passwords),
            b"EC PRIVATE KEY" => return own(Form::Sec1, &block, passwords),
            b"DSA PRIVATE KEY" => return Err(KeyError::Kind("DSA".to_owned())),
            _ => {}
        }
    }
    Err(KeyError::None)
}

/// How a key is written.
#[derive(Clone, Copy)]
enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

fn plain(form: Form, der: &[u8]) -> Result<Arc<dyn SigningKey>, KeyError> {
    let key = match form {
        Form::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
        Form::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
        Form::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
    };
    any_supported_type(&key).map_err(|_| refused(form, der))
}

/// Says why the TLS library does not take a key.
fn refused(form: Form, der: &[u8]) -> KeyError {
    match form {
        Form::Pkcs8 => match PrivateKeyInfoRef::try_from(der) {
            Ok(key) => {
                let curve = key.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
                let curve = curve.map(|curve| curve.to_string());
                KeyError::Kind(key_kind::name(&key.algorithm.oid.to_string(), curve.as_deref()))
            }
            Err(_) => KeyError::None,
        },
        Form::Pkcs1 if Sequence::from_der(der).is_ok() => KeyError::Kind("such RSA".to_owned()),
        Form::Sec1 if Sequence::from_der(der).is_ok() => KeyError::Kind("such EC".to_owned()),
        Form::Pkcs1 | Form::Sec1 => KeyError::None,
    }
}

/// A block that may be encrypted itself.
fn own(form: Form, block: &Block, passwords: Option<&Passwords>) -> Result<Arc<dyn SigningKey>, KeyError> {
    let Some(encryption) = Encryption::of(block)? else { return plain(form, &block.der) };
    // A wrong passphrase may leave what only looks decrypted.
    let open = |password: &[u8]| encryption.decrypt(&block.der, password).map(|der| plain(form, &der));
    first_that_opens(passwords, open, KeyError::Decrypt)
}

fn encrypted(der: &[u8], passwords: Option<&Passwords>) -> Result<Arc<dyn SigningKey>, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| scheme(der))?;
    match info.encryption_algorithm.pbes2().map(|scheme| &scheme.kdf) {
        None => return Err(KeyError::Scheme("PBES1")),
        Some(Kdf::Scrypt(scrypt)) if scrypt_bytes(scrypt) > MOST_SCRYPT_BYTES => {
            return Err(KeyError::Scheme("scrypt with more than 64 megabytes"));
        }
        Some(_) => {}
    }
    let open = |password: &[u8]| info.decrypt(password).ok().map(|key| plain(Form::Pkcs8, key.as_bytes()));
    first_that_opens(passwords, open, KeyError::DecryptPkcs8)
}

/// The memory that scrypt asks for (RFC 7914, 6), which a broken file makes terabytes of; OpenSSL allows 32 megabytes.
fn scrypt_bytes(scrypt: &ScryptParams) -> u64 {
    let blocks = scrypt.cost_parameter.saturating_add(scrypt.parallelization.into());
    blocks.saturating_mul(u64::from(scrypt.block_size) * 128)
}

const MOST_SCRYPT_BYTES: u64 = 64 << 20;

/// Tries passphrases in turn; the first with which a key comes out, or a key of a kind that is not supported.
fn first_that_opens(
    passwords: Option<&Passwords>,
    open: impl Fn(&[u8]) -> Option<Result<Arc<dyn SigningKey>, KeyError>>,
    none: KeyError,
) -> Result<Arc<dyn SigningKey>, KeyError> {
    let passwords = passwords.ok_or(KeyError::NoPassword)?;
    let opened = passwords.iter().filter_map(open).find(|key| !matches!(key, Err(KeyError::None)));
    opened.unwrap_or(Err(none))
}

/// Names the scheme of an encrypted PKCS#8 that is not of PKCS#5.
fn scheme(der: &[u8]) -> KeyError {
    // PKCS#12, appendix C: 1.2.840.113549.1.12.1.1 to .6.
    const PKCS12_PBE: &[u8] = &[0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];
    const PKCS5: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
    let has = |oid: &[u8]| der.windows(oid.len()).take(16).any(|window| window == oid);
    if has(PKCS12_PBE) {
        KeyError::Scheme("a PBE of PKCS#12")
    } else if has(PKCS5) {
        KeyError::Scheme("an unknown scheme of PKCS#5")
    } else {
        KeyError::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrypt_is_bounded() {
        let params = |cost, block_size, parallelization| {
            let salt = [0; 8].as_slice().try_into().unwrap();
            let params =
                ScryptParams { salt, cost_parameter: cost, block_size, parallelization, key_length: None };
            scrypt_bytes(&params)
        };
        // What `openssl pkcs8 -scrypt` asks for.
        assert!(params(16384, 8, 1) < MOST_SCRYPT_BYTES);
        assert!(params(1 << 17, 8, 1) > MOST_SCRYPT_BYTES);
        assert_eq!(params(u64::MAX, u16::MAX, u16::MAX), u64::MAX);
    }
}
