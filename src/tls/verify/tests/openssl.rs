//! A directory in which the `openssl` command makes keys, certificates and lists of revoked ones.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tempfile::TempDir;

/// What makes an authority one.
pub const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

/// A key, a certificate and a list of each name.
pub struct Workshop {
    dir: TempDir,
}

/// What a certificate is made of.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub name: &'a str,
    /// As `-subj` takes it.
    pub subject: &'a str,
    /// As `openssl genpkey` takes it, or `=NAME` for the key of another certificate.
    pub key: &'a str,
    /// The name of the issuer's; empty if the certificate signs itself.
    pub issuer: &'a str,
    /// Lines of an extension section; a certificate of version 1 if there are none.
    pub extensions: &'a str,
    pub days: u32,
    /// Further arguments of `openssl x509`.
    pub options: &'a str,
}

/// A key on P-256.
pub const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

impl<'a> Order<'a> {
    /// A certificate for twenty days with a key of its own.
    pub fn new(name: &'a str, issuer: &'a str, extensions: &'a str) -> Self {
        Self { name, subject: "", key: P256, issuer, extensions, days: 20, options: "" }
    }
}

impl Workshop {
    /// Opens one; `None`, with a word about it, where there is no `openssl`.
    pub fn open() -> Option<Self> {
        let is_there =
            Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
        if !is_there {
            assert!(std::env::var_os("LARDER_REQUIRE_PEERS").is_none(), "there is no openssl here");
            eprintln!("skipped: there is no openssl here");
            return None;
        }
        Some(Self { dir: tempfile::tempdir().expect("a directory can be made") })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("the file can be written");
        self.path(name)
    }

    /// Runs `openssl` with these arguments, which stand between blanks.
    pub fn run(&self, arguments: &str) -> Output {
        let words = arguments.split_whitespace();
        Command::new("openssl").args(words).current_dir(self.dir.path()).output().expect("openssl runs")
    }

    /// Runs `openssl`, which has to be content, and returns what it prints.
    pub fn must(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a certificate, `NAME.pem`, and its key, `NAME.key`.
    pub fn make(&self, order: &Order<'_>) {
        let name = order.name;
        match order.key.strip_prefix('=') {
            Some(other) => {
                drop(fs::copy(self.path(&format!("{other}.key")), self.path(&format!("{name}.key"))))
            }
            None => drop(self.must(&format!("genpkey {} -out {name}.key", order.key))),
        }
        let subject = if order.subject.is_empty() { format!("/CN={name}") } else { order.subject.to_owned() };
        let request = ["req", "-new", "-utf8", "-multivalue-rdn", "-subj", &subject];
        let output = Command::new("openssl")
            .args(request)
            .args(["-key", &format!("{name}.key"), "-out", &format!("{name}.csr")])
            .current_dir(self.dir.path())
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let signer = match order.issuer {
            "" => format!("-signkey {name}.key"),
            issuer => format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial"),
        };
        let extensions = match order.extensions {
            "" => String::new(),
            lines => {
                self.write(&format!("{name}.ext"), lines);
                format!("-extfile {name}.ext")
            }
        };
        let (days, options) = (order.days, order.options);
        self.must(&format!(
            "x509 -req -in {name}.csr -days {days} {signer} {extensions} {options} -out {name}.pem"
        ));
    }

    /// The certificates of these names in one file.
    pub fn bundle(&self, file: &str, names: &[&str]) -> PathBuf {
        let texts = names.iter().map(|name| {
            let text =
                fs::read_to_string(self.path(&format!("{name}.pem"))).expect("the certificate is there");
            format!("# {name}\n{text}\n")
        });
        self.write(file, &texts.collect::<String>())
    }

    pub fn certificate(&self, name: &str) -> CertificateDer<'static> {
        read(&self.path(&format!("{name}.pem")))
    }

    pub fn key(&self, name: &str) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("the key is there")
    }
}

fn read(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("the certificate is there")
}

/// What a list of revoked certificates is made of.
#[derive(Clone, Copy)]
pub struct ListOrder<'a> {
    pub name: &'a str,
    pub issuer: &'a str,
    /// Names of certificates.
    pub revoked: &'a [&'a str],
    pub days: u32,
    /// Lines of an extension section; a list of version 1 if there are none.
    pub extensions: &'a str,
    /// Further arguments of `openssl ca`.
    pub options: &'a str,
}

impl<'a> ListOrder<'a> {
    /// A list of version 2 for twenty days.
    pub fn new(name: &'a str, issuer: &'a str, revoked: &'a [&'a str]) -> Self {
        Self { name, issuer, revoked, days: 20, extensions: "authorityKeyIdentifier=keyid", options: "" }
    }
}

impl Workshop {
    /// Makes a list, `NAME.pem`.
    pub fn make_list(&self, order: &ListOrder<'_>) {
        let (name, issuer) = (order.name, order.issuer);
        let revoked = order.revoked.iter().map(|revoked| {
            let text = self.must(&format!("x509 -in {revoked}.pem -noout -serial"));
            let serial = text.trim().trim_start_matches("serial=").to_owned();
            format!("R\t301231235959Z\t200101000000Z,keyCompromise\t{serial}\tunknown\t/CN={revoked}\n")
        });
        self.write(&format!("{name}.index"), &revoked.collect::<String>());
        let mut settings =
            format!("[ca]\ndefault_ca=list\n[list]\ndatabase={name}.index\ndefault_md=sha256\n");
        if !order.extensions.is_empty() {
            settings.push_str("crl_extensions=extensions\n[extensions]\n");
            settings.push_str(order.extensions);
            settings.push('\n');
        }
        self.write(&format!("{name}.conf"), &settings);
        let (days, options) = (order.days, order.options);
        self.must(&format!(
            "ca -config {name}.conf -gencrl -cert {issuer}.pem -keyfile {issuer}.key -crldays {days} {options} -out {name}.pem"
        ));
    }
}
