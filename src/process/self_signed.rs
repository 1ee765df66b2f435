//! A certificate that nobody has signed but its own key, for trying TLS out (`larder proxy --tls-self-signed`).

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a certificate for names and addresses, and its key, unless both files are there already: whoever has accepted it
/// once need not do so again.
pub fn write(certificate: &Path, key: &Path, names: &[String]) -> io::Result<()> {
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    for (path, text, mode) in
        [(key, made.signing_key.serialize_pem(), 0o600), (certificate, made.cert.pem(), 0o644)]
    {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("crt"), dir.path().join("key"));
        write(&certificate, &key, &["localhost".to_owned(), "::1".to_owned()]).unwrap();
        let first = fs::read(&certificate).unwrap();
        assert!(first.starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        write(&certificate, &key, &["other".to_owned()]).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), first);
        fs::remove_file(&key).unwrap();
        write(&certificate, &key, &["other".to_owned()]).unwrap();
        assert_ne!(fs::read(&certificate).unwrap(), first);
    }
}
