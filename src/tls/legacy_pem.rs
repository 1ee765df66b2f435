//! Keys encrypted the old way, by the PEM block itself: `Proc-Type: 4,ENCRYPTED` and `DEK-Info` (RFC 1421, 4.6.1).
//!
//! The cipher's key is derived as OpenSSL's `EVP_BytesToKey` does, with MD5, one turn, and the first eight bytes of the
//! initialization vector for salt. Only what `openssl rsa -traditional` writes today is read: AES and 3DES in CBC mode.

use aes::{Aes128Dec, Aes192Dec, Aes256Dec};
use cbc::{
    Decryptor,
    cipher::{
        BlockCipherDecrypt, BlockModeDecrypt as _, InnerIvInit, KeyInit, KeyIvInit as _, block_padding::Pkcs7,
    },
};
use des::TdesEde3;
use md5::{Digest as _, Md5};
use thiserror::Error;

use crate::pem::Block;

/// A cipher with its initialization vector, as `DEK-Info` names them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Encryption {
    cipher: Cipher,
    iv: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    Tdes,
}

/// What is wrong with the fields of a block, in OpenSSL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum FieldError {
    /// `Proc-Type` is none of RFC 1421.
    #[error("error:0480006B:PEM routines::not proc type")]
    ProcType,
    /// `Proc-Type` says something else than that it is encrypted.
    #[error("error:0480006A:PEM routines::not encrypted")]
    NotEncrypted,
    /// It is encrypted, and nothing says how.
    #[error("error:04800069:PEM routines::not dek info")]
    NoDekInfo,
    /// A cipher that is unknown.
    #[error("error:04800072:PEM routines::unsupported encryption")]
    Cipher,
    /// An initialization vector that is not hexadecimal, or too short.
    #[error("error:04800067:PEM routines::bad iv chars")]
    Iv,
}

impl Cipher {
    const ALL: [(&'static str, Self); 4] = [
        ("AES-128-CBC", Self::Aes128),
        ("AES-192-CBC", Self::Aes192),
        ("AES-256-CBC", Self::Aes256),
        ("DES-EDE3-CBC", Self::Tdes),
    ];

    fn key_bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::Tdes => 24,
            Self::Aes256 => 32,
        }
    }

    fn iv_bytes(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::Tdes => 8,
        }
    }
}

impl Encryption {
    /// Reads how a block is encrypted; `None` where it has no fields and is not.
    pub(crate) fn of(block: &Block) -> Result<Option<Self>, FieldError> {
        let Some((name, value)) = block.fields.first() else { return Ok(None) };
        if name != b"Proc-Type" || !value.starts_with(b"4,") {
            return Err(FieldError::ProcType);
        }
        if value.strip_prefix(b"4,").map(<[u8]>::trim_ascii) != Some(b"ENCRYPTED") {
            return Err(FieldError::NotEncrypted);
        }
        let (_, value) =
            block.fields.get(1).filter(|(name, _)| name == b"DEK-Info").ok_or(FieldError::NoDekInfo)?;
        let value = String::from_utf8_lossy(value);
        let (name, iv) = value.split_once(',').unwrap_or((&value, ""));
        let (_, cipher) = Cipher::ALL
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.trim()))
            .ok_or(FieldError::Cipher)?;
        let iv = hexadecimal(iv.trim()).filter(|iv| iv.len() == cipher.iv_bytes()).ok_or(FieldError::Iv)?;
        Ok(Some(Self { cipher, iv }))
    }

    /// Decrypts; `None` says that the passphrase is another, which one of 256 wrong passphrases does not show.
    pub(crate) fn decrypt(&self, text: &[u8], password: &[u8]) -> Option<Vec<u8>> {
        let key = derive(password, &self.iv[..8], self.cipher.key_bytes());
        match self.cipher {
            Cipher::Aes128 => unlock::<Aes128Dec>(&key, &self.iv, text),
            Cipher::Aes192 => unlock::<Aes192Dec>(&key, &self.iv, text),
            Cipher::Aes256 => unlock::<Aes256Dec>(&key, &self.iv, text),
            Cipher::Tdes => unlock::<TdesEde3>(&key, &self.iv, text),
        }
    }
}

fn unlock<C>(key: &[u8], iv: &[u8], text: &[u8]) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt + KeyInit,
    Decryptor<C>: InnerIvInit<Inner = C>,
{
    let mut text = text.to_vec();
    let length =
        Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt_padded::<Pkcs7>(&mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// As `EVP_BytesToKey` with MD5 and one turn: each digest is of the one before, the passphrase and the salt.
fn derive(password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut before: &[u8] = &[];
    let mut digest;
    while key.len() < length {
        digest = Md5::new().chain_update(before).chain_update(password).chain_update(salt).finalize();
        key.extend_from_slice(&digest);
        before = &digest;
    }
    key.truncate(length);
    key
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_name_cipher_and_vector() {
        let iv = "00112233445566778899aabbCCDDEEFF";
        let known = |cipher, length| {
            let iv = hexadecimal(iv).unwrap();
            Ok(Some(Encryption { cipher, iv: iv[..length].to_vec() }))
        };
        let encrypted = ("Proc-Type", "4,ENCRYPTED");
        let lower = format!("aes-192-cbc, {iv}");
        type Fields<'a> = Vec<(&'a str, &'a str)>;
        let table: &[(Fields<'_>, Result<Option<Encryption>, FieldError>)] = &[
            (vec![], Ok(None)),
            (vec![("a", "b")], Err(FieldError::ProcType)),
            (vec![("Proc-Type", "5,ENCRYPTED")], Err(FieldError::ProcType)),
            (vec![("Proc-Type", "4,MIC-ONLY")], Err(FieldError::NotEncrypted)),
            (vec![encrypted], Err(FieldError::NoDekInfo)),
            (vec![encrypted, ("DEK-Info", "RC2-CBC,00")], Err(FieldError::Cipher)),
            (vec![encrypted, ("DEK-Info", "")], Err(FieldError::Cipher)),
            (vec![encrypted, ("DEK-Info", "AES-128-CBC")], Err(FieldError::Iv)),
            (vec![encrypted, ("DEK-Info", "AES-128-CBC,0011")], Err(FieldError::Iv)),
            (vec![encrypted, ("DEK-Info", "DES-EDE3-CBC,001122334455667x")], Err(FieldError::Iv)),
            (vec![encrypted, ("DEK-Info", "DES-EDE3-CBC,0011223344556677")], known(Cipher::Tdes, 8)),
            (vec![encrypted, ("DEK-Info", &lower)], known(Cipher::Aes192, 16)),
        ];
        for (fields, wanted) in table {
            let fields =
                fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
            let block =
                Block { label: b"RSA PRIVATE KEY".to_vec(), fields: fields.collect(), der: Vec::new() };
            assert_eq!(Encryption::of(&block), *wanted, "{:?}", block.fields);
        }
    }

    #[test]
    fn keys_are_derived_as_openssl_does() {
        // openssl enc -aes-256-cbc -md md5 -pass pass:secret -S 0011223344556677 -P
        let salt = hexadecimal("0011223344556677").unwrap();
        let wanted = hexadecimal("6C634F48357975117B982645F825E6E69BAEF03EB9B45A39B409BEFD557EB185").unwrap();
        assert_eq!(derive(b"secret", &salt, 32), wanted);
    }
}
