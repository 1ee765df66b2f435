//! Values that directives about TLS have alike, towards clients and towards upstreams.
//!
//! As nginx: names of files start from the directory of the main file, those of logs from the prefix.

use std::{fs, os::unix::fs::FileTypeExt as _, path::PathBuf, time::Duration};

use crate::{
    flags::{Flags, flags},
    parse::Directive,
    scope::Scope,
    settings::{Arity, Reader},
    source::{Problem, open_failed},
    template::{Part, Template},
    values::{NUMBER, Precision, parse_number, parse_time},
    variable::Variable,
};

flags! {
    /// `ssl_protocols`, `proxy_ssl_protocols`.
    pub struct SslProtocols {
        /// SSL 2.
        sslv2 = "SSLv2",
        /// SSL 3.
        sslv3 = "SSLv3",
        /// TLS 1.0.
        tlsv1 = "TLSv1",
        /// TLS 1.1.
        tlsv1_1 = "TLSv1.1",
        /// TLS 1.2.
        tlsv1_2 = "TLSv1.2",
        /// TLS 1.3.
        tlsv1_3 = "TLSv1.3",
    }
}

/// `ssl_certificate_cache`, `proxy_ssl_certificate_cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateCache {
    /// Most certificates and keys.
    pub max: u64,
    /// How long one is kept that nobody uses.
    pub inactive: Duration,
    /// How long one is used without another look at its file.
    pub valid: Duration,
}

/// A command for the TLS library: its name and its value.
pub type ConfCommand = (Vec<u8>, Vec<u8>);

/// The name of a file, which may have variables.
pub const FILE_TEXT: Reader<Option<Template>> =
    Reader::one("file", |directive, scope| file_text(directive, scope).map(Some));
/// Names of files, which may have variables.
pub const FILE_TEXTS: Reader<Template> = Reader::one("file", file_text);
/// A file; a relative name starts from the directory of the main file.
pub const CONF_PATH: Reader<Option<PathBuf>> =
    Reader::one("file", |directive, scope| Ok(Some(scope.conf_path(directive, 0))));

/// How many certificates may stand between a peer's and a root's: webpki looks at no longer chains.
const VERIFY_DEPTH_MAX: u64 = 6;

/// `ssl_verify_depth`, `proxy_ssl_verify_depth`.
pub const VERIFY_DEPTH: Reader<u64> = Reader::one("number", |directive, scope| {
    let depth = (NUMBER.read)(directive, scope)?;
    if depth > VERIFY_DEPTH_MAX {
        let message = format!("\"{}\" above {VERIFY_DEPTH_MAX} is the same as that", directive.name());
        scope.report(Problem::warning(directive.args[0].span, message));
    }
    Ok(depth)
});

/// Values that are no names of files: the thing itself, or where else it is.
const NO_FILES: [&[u8]; 3] = [b"data:", b"engine:", b"store:"];

/// Reads the name of a file: a relative one starts from the directory of the main file, unless a variable begins it.
fn file_text(directive: &Directive, scope: &Scope<'_>) -> Result<Template, Problem> {
    let text = directive.bytes(0);
    if matches!(text.first(), None | Some(b'/' | b'$'))
        || NO_FILES.iter().any(|start| text.starts_with(start))
    {
        return scope.template(directive, 0);
    }
    scope.compile(directive, 0, scope.conf_path(directive, 0).to_string_lossy().as_bytes())
}

impl SslProtocols {
    /// What holds where nothing is written: TLS 1.2 and 1.3.
    pub const MODERN: Self =
        Self { sslv2: false, sslv3: false, tlsv1: false, tlsv1_1: false, tlsv1_2: true, tlsv1_3: true };
}

/// Versions of the protocol.
pub const PROTOCOLS: Reader<SslProtocols> =
    Reader::many("[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]", |directive, scope| {
        SslProtocols::read(directive, |problem| scope.report(problem))
    });

/// Commands whose values are names of files.
const FILE_COMMANDS: [&str; 10] = [
    "Certificate",
    "ChainCAFile",
    "ChainCAPath",
    "ClientCAFile",
    "ClientCAPath",
    "DHParameters",
    "PrivateKey",
    "ServerInfoFile",
    "VerifyCAFile",
    "VerifyCAPath",
];

/// A command and its value.
pub const CONF_COMMAND: Reader<ConfCommand> = Reader {
    arity: Arity::exactly(2),
    syntax: "name value",
    read: |directive, scope| {
        let is_file =
            FILE_COMMANDS.iter().any(|name| directive.bytes(0).eq_ignore_ascii_case(name.as_bytes()));
        let value = match is_file {
            true => scope.conf_path(directive, 1).into_os_string().into_encoded_bytes(),
            false => directive.bytes(1).to_vec(),
        };
        Ok((directive.bytes(0).to_vec(), value))
    },
};

/// A file that can be opened now.
pub const PASSWORD_FILE: Reader<Option<PathBuf>> = Reader::one("file", |directive, scope| {
    let path = scope.conf_path(directive, 0);
    let opened = match fs::metadata(&path) {
        // To open a named pipe would end its writer before anything is read.
        Ok(facts) if facts.file_type().is_fifo() => Ok(()),
        _ => fs::File::open(&path).map(drop),
    };
    match opened {
        Ok(()) => Ok(Some(path)),
        Err(error) => Err(directive.fail(0, open_failed(&path, &error))),
    }
});

/// `off`, or how many certificates are kept and how long.
pub const CERTIFICATE_CACHE: Reader<Option<CertificateCache>> =
    Reader::between(1, 3, "off | max=number [inactive=time] [valid=time]", certificate_cache);

fn certificate_cache(directive: &Directive, _: &Scope<'_>) -> Result<Option<CertificateCache>, Problem> {
    let mut cache =
        CertificateCache { max: 0, inactive: Duration::from_secs(10), valid: Duration::from_secs(60) };
    let mut is_off = false;
    for (number, word) in directive.args.iter().enumerate() {
        let name_end = memchr::memchr(b'=', &word.text).map_or(0, |equals| equals + 1);
        let seconds = |text| parse_time(text, Precision::Seconds);
        let read = match word.text.split_at(name_end) {
            (b"max=", count) => parse_number(count).filter(|max| *max > 0).map(|max| cache.max = max),
            (b"inactive=", time) => seconds(time).map(|time| cache.inactive = time),
            (b"valid=", time) => seconds(time).map(|time| cache.valid = time),
            (b"", b"off") => {
                is_off = true;
                Some(())
            }
            _ => None,
        };
        if read.is_none() {
            return Err(directive.fail(number, format!("invalid parameter \"{}\"", directive.text(number))));
        }
    }
    match (is_off, cache.max) {
        (true, _) => Ok(None),
        (false, 0) => {
            let message = format!("\"{}\" must have the \"max\" parameter", directive.name());
            Err(Problem::new(directive.name.span, message))
        }
        (false, _) => Ok(Some(cache)),
    }
}

/// The name of an upstream, with variables, but for the one that is made of it.
pub(super) const PEER_NAME: Reader<Option<Template>> = Reader::one("string", |directive, scope| {
    let name = scope.template(directive, 0)?;
    let is_itself = |part: &Part| matches!(part, Part::Variable(Variable::ProxySslServerName));
    match name.parts().iter().any(is_itself) {
        true => Err(directive.fail(0, "\"$proxy_ssl_server_name\" is what \"proxy_ssl_name\" says")),
        false => Ok(Some(name)),
    }
});
