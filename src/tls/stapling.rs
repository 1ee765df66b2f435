//! `ssl_stapling_file`: what an authority said of a certificate (OCSP), sent with it.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::{der_parser::asn1_rs::Sequence, prelude::FromDer as _};

use crate::source::fopen_words;

/// Why a file cannot be stapled, in nginx's words.
#[derive(Debug, Error)]
pub enum StaplingError {
    /// It cannot be read.
    #[error("BIO_new_file(\"{}\") failed (SSL: {})", path.display(), fopen_words(path, "rb", source))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no answer of OCSP.
    #[error(
        "d2i_OCSP_RESPONSE_bio(\"{}\") failed (SSL: error:0688010A:asn1 encoding routines::nested asn1 error:Type=OCSP_RESPONSE)",
        path.display()
    )]
    Response {
        /// The file.
        path: PathBuf,
    },
}

/// No answer of OCSP is longer: TLS has 24 bits for its length.
const MOST_BYTES: u64 = 1 << 24;

/// Reads an answer of OCSP, in DER. What it says, and of which certificate, is not looked at.
pub fn read_stapling(path: &Path) -> Result<Vec<u8>, StaplingError> {
    let mut text = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
    if let Err(source) = read {
        return Err(StaplingError::Open { path: path.to_path_buf(), source });
    }
    match response_length(&text) {
        Some(length) => {
            text.truncate(length);
            Ok(text)
        }
        None => Err(StaplingError::Response { path: path.to_path_buf() }),
    }
}

/// RFC 6960, 4.2.1: a sequence that begins with an enumerated status.
fn response_length(text: &[u8]) -> Option<usize> {
    let (rest, response) = Sequence::from_der(text).ok()?;
    response.content.starts_with(&[0x0a, 0x01]).then(|| text.len() - rest.len())
}

/// A certificate with an answer of OCSP, which clients that ask for it are sent.
pub fn staple(identity: &CertifiedKey, response: Vec<u8>) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey { ocsp: Some(response), ..identity.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Workshop;

    #[test]
    fn only_answers_of_ocsp_are_taken() {
        let table: &[(&str, &[u8], Option<usize>)] = &[
            ("nothing", &[], None),
            ("text", b"hello", None),
            ("an empty sequence", &[0x30, 0], None),
            ("an integer in a sequence", &[0x30, 3, 2, 1, 0], None),
            ("status 6: unauthorized", &[0x30, 3, 10, 1, 6], Some(5)),
            ("more behind it", &[0x30, 3, 10, 1, 6, 10], Some(5)),
            ("cut", &[0x30, 3, 10, 1], None),
        ];
        for (name, text, wanted) in table {
            assert_eq!(response_length(text), *wanted, "{name}");
        }
    }

    #[test]
    fn an_answer_that_openssl_gives_is_read_and_mistakes_are_named() {
        let Some(shop) = Workshop::open() else { return };
        shop.certificate("ca", "ec -pkeyopt ec_paramgen_curve:P-256");
        shop.openssl("ocsp -issuer ca.crt -serial 1 -reqout request");
        fs::write(shop.file("index"), "").unwrap();
        shop.openssl(
            "ocsp -index index -rsigner ca.crt -rkey ca.key -CA ca.crt -reqin request -respout response",
        );
        let read = read_stapling(&shop.file("response")).unwrap();
        assert_eq!(read, fs::read(shop.file("response")).unwrap());
        let told = |name: &str| {
            let error = read_stapling(&shop.file(name)).unwrap_err().to_string();
            error.replace(&format!("{}/", shop.path().display()), "")
        };
        assert_eq!(
            told("missing"),
            "BIO_new_file(\"missing\") failed (SSL: error:80000002:system library::No such file or directory:calling fopen(missing, rb) error:10000080:BIO routines::no such file)"
        );
        assert_eq!(
            told("ca.crt"),
            "d2i_OCSP_RESPONSE_bio(\"ca.crt\") failed (SSL: error:0688010A:asn1 encoding routines::nested asn1 error:Type=OCSP_RESPONSE)"
        );
    }
}
