//! The command line: nginx's flags, alike in meaning, and Larder's own words.
//!
//! Pure: arguments in, a command or a complaint out.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use config::did_you_mean;

use crate::tools::{
    self,
    arguments::{CacheArguments, PrewarmArguments},
};

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Explain itself.
    Help,
    /// Tell its version.
    Version(Detail),
    /// Serve.
    Run(Place),
    /// Check a configuration (`-t`), and perhaps print it (`-T`).
    Test(Place, Report),
    /// Tell a running master something (`-s`).
    Signal(Place, Request),
    /// Serve one's own origin without a file (`larder proxy`).
    Proxy(ProxyArguments),
    /// Look into caches, or put them right (`larder cache`).
    Cache(CacheArguments),
    /// Fill a cache before anybody asks (`larder prewarm`).
    Prewarm(PrewarmArguments),
}

/// How much of a version is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The number (`-v`).
    Short,
    /// All about it (`-V`).
    Full,
}

/// What a test tells besides errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// That all is well (`-t`).
    Result,
    /// Nothing (`-q`).
    Quiet,
    /// The files too (`-T`).
    Files,
    /// The files only (`-T -q`).
    FilesOnly,
}

/// What a master can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// End at once.
    Stop,
    /// End when all requests are answered.
    Quit,
    /// Read the configuration again.
    Reload,
    /// Open the logs again.
    Reopen,
}

/// Where files are, and what is changed from the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// `-p`.
    pub prefix: Option<PathBuf>,
    /// `-c`.
    pub conf: Option<PathBuf>,
    /// `-e`.
    pub error_log: Option<PathBuf>,
    /// `-g`.
    pub globals: Option<String>,
    /// `--listen`: where the demonstration listens.
    pub listen: Option<SocketAddr>,
}

/// `larder proxy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyArguments {
    /// `--to`, in order.
    pub to: Vec<String>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--cache`.
    pub cache: Option<PathBuf>,
    /// `--max-size`.
    pub max_size: Option<String>,
    /// Whether an origin has to show who it is.
    pub trust: OriginTrust,
    /// How clients are answered.
    pub front: ProxyFront,
    /// Whether to serve or to print the configuration it amounts to.
    pub output: Output,
}

/// Whether an origin that is asked over TLS has to show who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OriginTrust {
    /// By a certificate that the machine trusts.
    #[default]
    Verified,
    /// It may be anybody (`--insecure`).
    Anybody,
}

/// How `larder proxy` answers clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyFront {
    /// In clear text.
    #[default]
    Plain,
    /// Over TLS, with a certificate and its key (`--tls`).
    Tls {
        /// File with the certificate.
        certificate: PathBuf,
        /// File with its key.
        key: PathBuf,
    },
    /// Over TLS, with a certificate that is made for it (`--tls-self-signed`).
    SelfSigned,
}

/// What becomes of a configuration made from arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Output {
    /// It is served.
    #[default]
    Serve,
    /// It is printed (`--print-config`).
    Print,
}

/// The long options besides nginx's letters.
const LONG: [&str; 3] = ["--help", "--version", "--listen"];
/// The long options of `proxy`.
const PROXY_LONG: [&str; 9] = [
    "--to",
    "--listen",
    "--cache",
    "--max-size",
    "--insecure",
    "--tls",
    "--tls-self-signed",
    "--print-config",
    "--help",
];
/// What may follow `-s`.
const REQUESTS: [&str; 4] = ["-s stop", "-s quit", "-s reload", "-s reopen"];
/// The words that may come first.
const SUBCOMMANDS: [&str; 3] = ["proxy", "cache", "prewarm"];

/// Reads the arguments, the program's name left out.
///
/// # Errors
/// A complaint for the terminal.
pub fn parse(arguments: &[OsString]) -> Result<Command, String> {
    let mut rest = Rest(arguments);
    match arguments.first().and_then(|first| first.to_str()) {
        Some("proxy") => {
            rest.next();
            parse_proxy(rest)
        }
        Some("cache" | "prewarm") if asks_for_help(rest.0) => Ok(Command::Help),
        Some("cache") => tools::arguments::cache(&rest.0[1..]).map(Command::Cache),
        Some("prewarm") => tools::arguments::prewarm(&rest.0[1..]).map(Command::Prewarm),
        Some(word) if !word.starts_with('-') => Err(complain("unknown command", word, &SUBCOMMANDS)),
        _ => parse_flags(rest),
    }
}

fn asks_for_help(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--help" || argument == "-h")
}

struct Rest<'a>(&'a [OsString]);

impl Rest<'_> {
    fn next(&mut self) -> Option<&OsStr> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Returns the value of a long option: what follows `=`, or the next argument.
    fn value(&mut self, name: &str, attached: Option<&str>, what: &str) -> Result<String, String> {
        let value = attached.map(str::to_owned).or_else(|| self.next()?.to_str().map(str::to_owned));
        value.filter(|text| !text.is_empty()).ok_or_else(|| format!("option \"{name}\" requires {what}"))
    }
}

/// All flags seen so far.
#[derive(Default)]
struct Flags {
    place: Place,
    test: bool,
    dump: bool,
    quiet: bool,
    help: bool,
    version: Option<Detail>,
    request: Option<Request>,
}

fn parse_flags(mut rest: Rest<'_>) -> Result<Command, String> {
    let mut flags = Flags::default();
    while let Some(argument) = rest.next().map(OsStr::to_owned) {
        let Some(letters) = argument.as_bytes().strip_prefix(b"-") else {
            return Err(format!("invalid option: \"{}\"", argument.display()));
        };
        if letters.starts_with(b"-") {
            long_flag(&mut flags, &argument.to_string_lossy(), &mut rest)?;
        } else {
            short_flags(&mut flags, letters, &mut rest)?;
        }
    }
    let Flags { place, test, dump, quiet, help, version, request } = flags;
    // As nginx: help before version, both before a test, a test before a signal.
    Ok(match (help, version, test, request) {
        (true, ..) => Command::Help,
        (_, Some(detail), ..) => Command::Version(detail),
        (_, _, true, _) => Command::Test(
            place,
            match (dump, quiet) {
                (false, false) => Report::Result,
                (false, true) => Report::Quiet,
                (true, false) => Report::Files,
                (true, true) => Report::FilesOnly,
            },
        ),
        (_, _, _, Some(request)) => Command::Signal(place, request),
        _ => Command::Run(place),
    })
}

/// Reads one argument of letters: as nginx, several may share a dash, and a value may touch its letter.
fn short_flags(flags: &mut Flags, letters: &[u8], rest: &mut Rest<'_>) -> Result<(), String> {
    for (index, letter) in letters.iter().enumerate() {
        match letter {
            b'?' | b'h' => flags.help = true,
            b'v' => flags.version = flags.version.or(Some(Detail::Short)),
            b'V' => flags.version = Some(Detail::Full),
            b't' => flags.test = true,
            b'T' => (flags.test, flags.dump) = (true, true),
            b'q' => flags.quiet = true,
            b'p' | b'e' | b'c' | b'g' | b's' => {
                let attached = &letters[index + 1..];
                let value = if attached.is_empty() {
                    rest.next().map(OsStr::to_owned)
                } else {
                    Some(OsString::from_vec(attached.to_vec()))
                };
                return flag_value(flags, *letter, value.filter(|value| !value.is_empty()));
            }
            _ => return Err(format!("invalid option: \"{}\"", char::from(*letter))),
        }
    }
    Ok(())
}

fn flag_value(flags: &mut Flags, letter: u8, value: Option<OsString>) -> Result<(), String> {
    let what = match letter {
        b'p' => "directory name",
        b'e' | b'c' => "file name",
        _ => "parameter",
    };
    let value = value.ok_or_else(|| format!("option \"-{}\" requires {what}", char::from(letter)))?;
    match letter {
        b'p' => flags.place.prefix = Some(value.into()),
        b'e' => flags.place.error_log = Some(value.into()),
        b'c' => flags.place.conf = Some(value.into()),
        b'g' => flags.place.globals = Some(value.to_string_lossy().into_owned()),
        _ => {
            flags.request = Some(match value.as_bytes() {
                b"stop" => Request::Stop,
                b"quit" => Request::Quit,
                b"reload" => Request::Reload,
                b"reopen" => Request::Reopen,
                _ => {
                    let given = format!("-s {}", value.display());
                    return Err(complain("invalid option:", &given, &REQUESTS));
                }
            });
        }
    }
    Ok(())
}

fn long_flag(flags: &mut Flags, text: &str, rest: &mut Rest<'_>) -> Result<(), String> {
    let (name, attached) = split(text);
    match name {
        "--help" => flags.help = true,
        "--version" => flags.version = flags.version.or(Some(Detail::Short)),
        "--listen" => {
            flags.place.listen = Some(listen_address(&rest.value(name, attached, "an address")?)?)
        }
        _ => return Err(complain("invalid option:", name, &LONG)),
    }
    Ok(())
}

fn parse_proxy(mut rest: Rest<'_>) -> Result<Command, String> {
    let mut proxy = ProxyArguments::default();
    while let Some(argument) = rest.next().map(|argument| argument.to_string_lossy().into_owned()) {
        let (name, attached) = split(&argument);
        match name {
            "--to" => proxy.to.push(rest.value(name, attached, "a URL")?),
            "--listen" => proxy.listen = Some(listen_address(&rest.value(name, attached, "an address")?)?),
            "--cache" => proxy.cache = Some(rest.value(name, attached, "a directory")?.into()),
            "--max-size" => proxy.max_size = Some(rest.value(name, attached, "a size")?),
            "--insecure" => proxy.trust = OriginTrust::Anybody,
            "--tls" => {
                let certificate = rest.value(name, attached, "a certificate and its key")?.into();
                let key = rest.value(name, None, "a certificate and its key")?.into();
                proxy.front = ProxyFront::Tls { certificate, key };
            }
            "--tls-self-signed" => proxy.front = ProxyFront::SelfSigned,
            "--print-config" => proxy.output = Output::Print,
            "--help" | "-h" | "-?" => return Ok(Command::Help),
            _ => return Err(complain("invalid option:", name, &PROXY_LONG)),
        }
    }
    if proxy.to.is_empty() {
        return Err("option \"--to\" is missing: larder proxy --to http://127.0.0.1:3000".to_owned());
    }
    Ok(Command::Proxy(proxy))
}

fn split(argument: &str) -> (&str, Option<&str>) {
    argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)))
}

/// Reads `ADDRESS:PORT`, or a port of this machine only.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let port =
        || Some(SocketAddr::from(([127, 0, 0, 1], text.parse::<u16>().ok().filter(|port| *port > 0)?)));
    let wrong =
        || format!("option \"--listen\" requires an address and port like 127.0.0.1:8080, not \"{text}\"");
    text.parse().ok().or_else(port).ok_or_else(wrong)
}

fn complain(what: &str, given: &str, known: &[&str]) -> String {
    let hint = did_you_mean(given, known.iter().copied()).map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{what} \"{given}\"{hint}")
}

#[cfg(test)]
mod tests;
