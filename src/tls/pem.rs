//! PEM: blocks of base64 between lines that name them, found in a file as OpenSSL finds them.
//!
//! What stands outside of blocks is passed over, so is whitespace at the end of lines. A block is given as it came, encrypted
//! or not (RFC 1421's header fields are kept): who asks for it decides what to do with it.

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use thiserror::Error;

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// What its first line names: `CERTIFICATE`.
    pub label: Vec<u8>,
    /// Fields before the base64: `Proc-Type`, `DEK-Info`.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the base64 stands for.
    pub der: Vec<u8>,
}

/// What is wrong with a block, in OpenSSL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PemError {
    /// It does not end, or names another block at its end.
    #[error("error:04800066:PEM routines::bad end line")]
    End,
    /// Something else than base64.
    #[error("error:04800064:PEM routines::bad base64 decode")]
    Base64,
}

/// The blocks of a text, one after another; nothing comes after an error.
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

// As OpenSSL: bits that no byte needs may be anything.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

impl<'a> Blocks<'a> {
    /// Looks for blocks in a text.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        let length = line.iter().rposition(|byte| *byte > b' ').map_or(0, |last| last + 1);
        Some(&line[..length])
    }

    fn block(&mut self, label: &[u8]) -> Result<Block, PemError> {
        let mut fields = Vec::new();
        let mut text = Vec::new();
        while let Some(line) = self.line() {
            if let Some(end) = line.strip_prefix(END) {
                if end.strip_suffix(DASHES) != Some(label) {
                    return Err(PemError::End);
                }
                let der = BASE64.decode(&text).map_err(|_| PemError::Base64)?;
                return Ok(Block { label: label.to_vec(), fields, der });
            }
            match line.iter().position(|byte| *byte == b':') {
                Some(colon) if text.is_empty() => {
                    fields.push((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()));
                }
                _ => text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace())),
            }
        }
        Err(PemError::End)
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, PemError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.line()?;
            if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) {
                let block = self.block(label);
                if block.is_err() {
                    self.rest = b"";
                }
                return Some(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(label: &str, fields: &[(&str, &str)], der: &[u8]) -> Result<Block, PemError> {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Ok(Block { label: label.as_bytes().to_vec(), fields: fields.collect(), der: der.to_vec() })
    }

    #[test]
    fn blocks_are_found_and_mistakes_named() {
        type Found = Vec<Result<Block, PemError>>;
        let table: &[(&str, &str, Found)] = &[
            ("nothing", "", vec![]),
            ("text only", "hello\n----BEGIN X-----\n", vec![]),
            ("one", "-----BEGIN X-----\nAQID\n-----END X-----\n", vec![block("X", &[], &[1, 2, 3])]),
            (
                "no last newline",
                "-----BEGIN X-----\nAQID\n-----END X-----",
                vec![block("X", &[], &[1, 2, 3])],
            ),
            (
                "two in text, with CR and spaces",
                "a\n-----BEGIN X-----  \r\nAQ\r\nID \r\n-----END X-----\r\nb\n-----BEGIN Y Z-----\nBA==\n-----END Y Z-----\n",
                vec![block("X", &[], &[1, 2, 3]), block("Y Z", &[], &[4])],
            ),
            (
                "fields",
                "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,B\n\nAQID\n-----END X-----\n",
                vec![block("X", &[("Proc-Type", "4,ENCRYPTED"), ("DEK-Info", "A,B")], &[1, 2, 3])],
            ),
            ("empty", "-----BEGIN X-----\n-----END X-----\n", vec![block("X", &[], &[])]),
            ("no end", "-----BEGIN X-----\nAQID\n", vec![Err(PemError::End)]),
            ("another end", "-----BEGIN X-----\nAQID\n-----END Y-----\n", vec![Err(PemError::End)]),
            ("no base64", "-----BEGIN X-----\nAQ*D\n-----END X-----\n", vec![Err(PemError::Base64)]),
            (
                "a block in a block",
                "-----BEGIN X-----\nAQID\n-----BEGIN X-----\nAQID\n-----END X-----\n",
                vec![Err(PemError::Base64)],
            ),
            ("bits of no byte", "-----BEGIN X-----\nBB==\n-----END X-----\n", vec![block("X", &[], &[4])]),
        ];
        for (name, text, wanted) in table {
            assert_eq!(Blocks::of(text.as_bytes()).collect::<Vec<_>>(), *wanted, "{name}");
        }
    }
}
