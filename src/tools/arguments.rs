//! The arguments of `larder cache` and `larder prewarm`. Pure: words in, a wish or a complaint out.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use cache::Mode;
use config::{did_you_mean, offline::ConfFile};

use super::{damage::Repair, pattern::Pattern, removal::Named, report::Output};

/// `larder cache …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheArguments {
    /// Where the caches are written down (`-c`, `-p`).
    pub conf: ConfFile,
    /// The only cache that is meant (`--zone`).
    pub zone: Option<String>,
    /// How results are written (`--json`).
    pub output: Output,
    /// What is to be done.
    pub deed: Deed,
}

/// What is to be done with caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// `ls [--limit N]`, `find PATTERN`.
    List {
        /// Keys that are meant.
        pattern: Option<Pattern>,
        /// Answers that are shown.
        most: Option<usize>,
    },
    /// `show PATTERN`.
    Show {
        /// Keys that are meant.
        pattern: Pattern,
    },
    /// `why URL [--header FIELD]`.
    Why {
        /// What is asked for.
        url: String,
        /// Fields that are sent along.
        fields: Vec<String>,
    },
    /// `purge KEY|--tag TAG|--all [--soft]`.
    Purge {
        /// What is meant.
        named: Named,
        /// What becomes of it.
        mode: Mode,
    },
    /// `stats`.
    Stats,
    /// `verify [--repair]`.
    Verify {
        /// What becomes of what is found.
        repair: Repair,
    },
    /// `export FILE [PATTERN]`.
    Export {
        /// The archive; `-` for standard output.
        to: PathBuf,
        /// Keys that are meant.
        pattern: Option<Pattern>,
    },
    /// `import FILE`.
    Import {
        /// The archive; `-` for standard input.
        from: PathBuf,
    },
}

/// `larder prewarm …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrewarmArguments {
    /// The running server.
    pub server: SocketAddr,
    /// A file of URLs or paths, one a line (`-` for standard input), or the URL of a sitemap.
    pub list: String,
    /// Requests under way at a time.
    pub concurrency: usize,
    /// Most requests begun a second.
    pub rate: Option<u32>,
    /// What is sent as Host where a line names none.
    pub host: Option<String>,
}

/// What may follow `larder cache`.
pub const DEEDS: [&str; 9] = ["ls", "find", "show", "why", "purge", "stats", "verify", "export", "import"];
const CACHE_OPTIONS: [&str; 10] =
    ["-c", "-p", "--zone", "--json", "--limit", "--header", "--tag", "--all", "--soft", "--repair"];
const PREWARM_OPTIONS: [&str; 4] = ["--to", "--rate", "--concurrency", "--host"];
/// Requests under way at a time where no other number is given: enough to keep an origin busy, not to drown it.
const CONCURRENCY: usize = 4;

/// Options and words, sorted.
#[derive(Default)]
struct Sorted {
    words: Vec<String>,
    conf: Option<PathBuf>,
    prefix: Option<PathBuf>,
    zone: Option<String>,
    output: Output,
    most: Option<usize>,
    repair: Repair,
    named: Option<Named>,
    mode: Option<Mode>,
    fields: Vec<String>,
}

/// Reads what follows `larder cache`.
///
/// # Errors
/// A complaint for the terminal.
pub fn cache(words: &[OsString]) -> Result<CacheArguments, String> {
    let mut sorted = Sorted::default();
    let mut rest = words.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = rest.next() {
        let mut value = |name: &str| rest.next().ok_or_else(|| format!("option \"{name}\" requires a value"));
        match word.as_str() {
            "-c" => sorted.conf = Some(value("-c")?.into()),
            "-p" => sorted.prefix = Some(value("-p")?.into()),
            "--zone" => sorted.zone = Some(value("--zone")?),
            "--limit" => sorted.most = Some(number("--limit", &value("--limit")?)?),
            "--header" => sorted.fields.push(field(value("--header")?)?),
            "--tag" => sorted.named = Some(Named::Tag(value("--tag")?)),
            "--all" => sorted.named = Some(Named::All),
            "--soft" => sorted.mode = Some(Mode::Soft),
            "--json" => sorted.output = Output::Json,
            "--repair" => sorted.repair = Repair::Yes,
            option if option.starts_with('-') && option != "-" => {
                return Err(unknown("invalid option:", option, &CACHE_OPTIONS));
            }
            _ => sorted.words.push(word),
        }
    }
    let Sorted { words, conf, prefix, zone, output, most, repair, named, mode, fields } = sorted;
    let mut words = words.into_iter();
    let name = words.next().ok_or_else(|| format!("larder cache what? {}", DEEDS.join(", ")))?;
    let mut word =
        |what: &str| words.next().ok_or_else(|| format!("\"larder cache {name}\" requires {what}"));
    let deed = match name.as_str() {
        "ls" => Deed::List { pattern: None, most },
        "find" => {
            Deed::List { pattern: Some(Pattern::new(word("a part of a key, or a pattern with *")?)), most }
        }
        "show" => Deed::Show { pattern: Pattern::new(word("a URL or a part of a key")?) },
        "why" => Deed::Why { url: word("a URL")?, fields },
        "purge" => {
            let named = match named {
                Some(named) => named,
                None => Named::Key(word("a whole key, the beginning of keys and *, --tag TAG or --all")?),
            };
            Deed::Purge { named, mode: mode.unwrap_or(Mode::Hard) }
        }
        "stats" => Deed::Stats,
        "verify" => Deed::Verify { repair },
        "export" => {
            let to = word("a file for the archive, or -")?.into();
            Deed::Export { to, pattern: words.next().map(Pattern::new) }
        }
        "import" => Deed::Import { from: word("the file of an archive, or -")?.into() },
        _ => return Err(unknown("unknown command", &name, &DEEDS)),
    };
    if let Some(word) = words.next() {
        return Err(format!("\"larder cache {name}\" has no use for \"{word}\""));
    }
    let conf = match (conf, prefix) {
        (None, None) => {
            return Err("which configuration? larder cache … -c FILE, or -p DIRECTORY".to_owned());
        }
        (file, prefix) => ConfFile::at(file, prefix),
    };
    Ok(CacheArguments { conf, zone, output, deed })
}

/// Reads what follows `larder prewarm`.
///
/// # Errors
/// A complaint for the terminal.
pub fn prewarm(words: &[OsString]) -> Result<PrewarmArguments, String> {
    let (mut server, mut list, mut concurrency, mut rate, mut host) = (None, None, CONCURRENCY, None, None);
    let mut rest = words.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = rest.next() {
        let mut value = |name: &str| rest.next().ok_or_else(|| format!("option \"{name}\" requires a value"));
        match word.as_str() {
            "--to" => server = Some(address(&value("--to")?)?),
            "--rate" => rate = Some(number("--rate", &value("--rate")?)?),
            "--concurrency" => concurrency = number("--concurrency", &value("--concurrency")?)?,
            "--host" => host = Some(value("--host")?),
            option if option.starts_with('-') && option != "-" => {
                return Err(unknown("invalid option:", option, &PREWARM_OPTIONS));
            }
            _ if list.is_some() => return Err(format!("\"larder prewarm\" has no use for \"{word}\"")),
            _ => list = Some(word),
        }
    }
    let list = list.ok_or("which URLs? larder prewarm FILE, or the URL of a sitemap")?;
    let server = server.ok_or("where does the server listen? larder prewarm --to 127.0.0.1:8080 …")?;
    Ok(PrewarmArguments { server, list, concurrency, rate, host })
}

/// Reads `Name: value`, in one line.
fn field(text: String) -> Result<String, String> {
    let is_line = text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control());
    match text.split_once(':') {
        Some((name, _)) if !name.is_empty() && is_line => Ok(text),
        _ => {
            Err(format!("option \"--header\" requires a field like \"Accept-Language: en\", not \"{text}\""))
        }
    }
}

fn number<T: std::str::FromStr + PartialOrd + From<u8>>(name: &str, text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| format!("option \"{name}\" requires a number from 1 on, not \"{text}\""))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let port = || Some(SocketAddr::from(([127, 0, 0, 1], text.parse::<u16>().ok()?)));
    let address = text.parse().ok().or_else(port);
    address.ok_or_else(|| {
        format!("option \"--to\" requires an address and port like 127.0.0.1:8080, not \"{text}\"")
    })
}

fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let hint = did_you_mean(given, known.iter().copied()).map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{what} \"{given}\"{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn deed(line: &str) -> Result<Deed, String> {
        cache(&words(line)).map(|arguments| arguments.deed)
    }

    #[test]
    fn deeds_are_read() {
        let pattern = |text: &str| Pattern::new(text.to_owned());
        for (line, wanted) in [
            ("ls -c f", Deed::List { pattern: None, most: None }),
            ("-c f ls --limit 3", Deed::List { pattern: None, most: Some(3) }),
            ("find /a -c f", Deed::List { pattern: Some(pattern("/a")), most: None }),
            ("show http://h/a -c f", Deed::Show { pattern: pattern("http://h/a") }),
            (
                "purge http://h/a* -c f",
                Deed::Purge { named: Named::Key("http://h/a*".to_owned()), mode: Mode::Hard },
            ),
            (
                "purge --tag t --soft -c f",
                Deed::Purge { named: Named::Tag("t".to_owned()), mode: Mode::Soft },
            ),
            ("purge --all -c f", Deed::Purge { named: Named::All, mode: Mode::Hard }),
            ("stats -c f --json", Deed::Stats),
            ("verify -c f --repair", Deed::Verify { repair: Repair::Yes }),
            ("export - -c f", Deed::Export { to: "-".into(), pattern: None }),
            ("export a.tar *.css -c f", Deed::Export { to: "a.tar".into(), pattern: Some(pattern("*.css")) }),
            ("import a.tar -p dir", Deed::Import { from: "a.tar".into() }),
        ] {
            assert_eq!(deed(line), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (line, wanted) in [
            ("", "larder cache what? ls, find, show, why, purge, stats, verify, export, import"),
            ("sho x -c f", "unknown command \"sho\"; did you mean \"show\"?"),
            ("show -c f", "\"larder cache show\" requires a URL or a part of a key"),
            ("purge x --all -c f", "\"larder cache purge\" has no use for \"x\""),
            (
                "why u --header A -c f",
                "option \"--header\" requires a field like \"Accept-Language: en\", not \"A\"",
            ),
            ("ls x -c f", "\"larder cache ls\" has no use for \"x\""),
            ("ls", "which configuration? larder cache … -c FILE, or -p DIRECTORY"),
            ("ls -c", "option \"-c\" requires a value"),
            ("ls -c f --limit 0", "option \"--limit\" requires a number from 1 on, not \"0\""),
            ("ls -c f --jsn", "invalid option: \"--jsn\"; did you mean \"--json\"?"),
        ] {
            assert_eq!(deed(line), Err(wanted.to_owned()), "{line}");
        }
        for (line, wanted) in [
            ("", "which URLs? larder prewarm FILE, or the URL of a sitemap"),
            ("list", "where does the server listen? larder prewarm --to 127.0.0.1:8080 …"),
            ("list --to x", "option \"--to\" requires an address and port like 127.0.0.1:8080, not \"x\""),
            ("list more --to 8080", "\"larder prewarm\" has no use for \"more\""),
            ("list --to 8080 --rate x", "option \"--rate\" requires a number from 1 on, not \"x\""),
        ] {
            assert_eq!(prewarm(&words(line)), Err(wanted.to_owned()), "{line}");
        }
    }
}
