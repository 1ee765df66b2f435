//! `proxy_cache_path`: a cache on disk and its parameters.

use std::{path::PathBuf, time::Duration};

use crate::{
    parse::Directive,
    scope::Scope,
    source::Problem,
    values::{Precision, accepted, parse_number, parse_offset, parse_size, parse_time},
};

/// How `proxy_cache_path` is written.
pub const SYNTAX: &str = "path [levels=levels] [use_temp_path=on|off] keys_zone=name:size [inactive=time] \
                          [max_size=size] [min_free=size] [manager_files=number] [manager_sleep=time] \
                          [manager_threshold=time] [loader_files=number] [loader_sleep=time] [loader_threshold=time] \
                          [purger=on|off] [purger_files=number] [purger_sleep=time] [purger_threshold=time] \
                          [fsync=off|file|full] [verify=length|sum] [scrub=off|size] \
                          [ram=off|size] [eviction=lru|s3fifo]";

/// Smallest memory to keep entries in: it has room for some of the largest bodies.
const LEAST_RAM_BYTES: u64 = 1 << 20;
/// Smallest keys zone, as nginx.
const LEAST_ZONE_BYTES: u64 = 8192;

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePath {
    /// Name of its keys zone.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Digits of each directory level, one to three of 1 or 2; empty for none.
    pub levels: Vec<u8>,
    /// Size of the keys zone, in bytes.
    pub keys_zone_size: u64,
    /// Entries nobody asks for this long are removed.
    pub inactive: Duration,
    /// Most bytes it may hold.
    pub max_size: Option<u64>,
    /// Bytes to leave free on its file system.
    pub min_free: u64,
    /// Whether temporary files are made where `proxy_temp_path` says.
    pub use_temp_path: bool,
    /// Files the loader reads at a time.
    pub loader_files: u64,
    /// Pause of the loader.
    pub loader_sleep: Duration,
    /// Longest time the loader works at a time.
    pub loader_threshold: Duration,
    /// Files the manager removes at a time.
    pub manager_files: u64,
    /// Pause of the manager.
    pub manager_sleep: Duration,
    /// Longest time the manager works at a time.
    pub manager_threshold: Duration,
    /// Whether a process of its own frees the space of what was purged.
    pub purger: bool,
    /// Files the purger looks at, at a time.
    pub purger_files: u64,
    /// Pause of the purger.
    pub purger_sleep: Duration,
    /// Longest time the purger works at a time.
    pub purger_threshold: Duration,
    /// What is forced to the disk before an answer counts as stored.
    pub fsync: Fsync,
    /// What of a stored body is compared before it is served.
    pub verify: Verify,
    /// Bytes of stored files that the manager looks through a second.
    pub scrub: Option<u64>,
    /// Bytes of memory that a worker keeps its entries in; zero where no bodies are kept.
    pub ram: u64,
    /// Which entries make way where there is no room.
    pub eviction: EvictionOrder,
}

/// Which entries of a cache make way for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvictionOrder {
    /// The least recently used; as nginx.
    Lru,
    /// The first of queues, where those that have been used again stay.
    S3Fifo,
}

/// What survives a power failure, of a file that has just been stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// What the kernel has written by then; as nginx.
    Off,
    /// Its content, before it takes its name.
    File,
    /// Its content and its name.
    Full,
}

/// What tells that the body in a file is the one that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Its length.
    Length,
    /// A checksum too.
    Sum,
}

const PARAMETERS: [&str; 21] = [
    "levels",
    "use_temp_path",
    "keys_zone",
    "inactive",
    "max_size",
    "min_free",
    "loader_files",
    "loader_sleep",
    "loader_threshold",
    "manager_files",
    "manager_sleep",
    "manager_threshold",
    "purger",
    "purger_files",
    "purger_sleep",
    "purger_threshold",
    "fsync",
    "verify",
    "scrub",
    "ram",
    "eviction",
];

/// Reads `proxy_cache_path`.
pub fn cache_path(directive: &Directive, scope: &Scope<'_>) -> Result<CachePath, Problem> {
    let mut cache = CachePath::at(scope.path(directive, 0));
    for number in 1..directive.args.len() {
        cache.parameter(directive, number)?;
    }
    if cache.name.is_empty() {
        let problem = directive.fail(0, "\"proxy_cache_path\" must have \"keys_zone\" parameter");
        return Err(problem.with_help("add keys_zone=name:size, for instance keys_zone=pages:10m"));
    }
    Ok(cache)
}

impl CachePath {
    /// Makes a cache with nginx's defaults; its zone has no name yet.
    pub fn at(path: PathBuf) -> Self {
        Self {
            name: String::new(),
            path,
            levels: Vec::new(),
            keys_zone_size: 0,
            inactive: Duration::from_secs(600),
            max_size: None,
            min_free: 0,
            use_temp_path: true,
            loader_files: 100,
            loader_sleep: Duration::from_millis(50),
            loader_threshold: Duration::from_millis(200),
            manager_files: 100,
            manager_sleep: Duration::from_millis(50),
            manager_threshold: Duration::from_millis(200),
            purger: false,
            purger_files: 10,
            purger_sleep: Duration::from_millis(50),
            purger_threshold: Duration::from_millis(50),
            fsync: Fsync::Off,
            verify: Verify::Length,
            scrub: None,
            ram: 64 << 20,
            eviction: EvictionOrder::Lru,
        }
    }

    fn parameter(&mut self, directive: &Directive, number: usize) -> Result<(), Problem> {
        let text = directive.text(number);
        let unknown = || {
            let name = text.split('=').next().unwrap_or_default();
            let problem = directive.fail(number, format!("invalid parameter \"{text}\""));
            problem.with_help(accepted(name, PARAMETERS.into_iter()))
        };
        let (name, value) = text.split_once('=').ok_or_else(unknown)?;
        let invalid = |what: &str| directive.fail(number, format!("invalid {what} \"{text}\""));
        let value = value.as_bytes();
        let count = || parse_number(value).ok_or_else(|| invalid(&format!("{name} value")));
        let pause =
            || parse_time(value, Precision::Milliseconds).ok_or_else(|| invalid(&format!("{name} value")));
        match name {
            "levels" => {
                self.levels = levels(value).ok_or_else(|| {
                    invalid("\"levels\"").with_help("one to three numbers, each 1 or 2: levels=1:2")
                })?
            }
            "use_temp_path" => self.use_temp_path = on_off(directive, number, name, value)?,
            "keys_zone" => self.keys_zone(directive, number)?,
            "inactive" => {
                self.inactive =
                    parse_time(value, Precision::Seconds).ok_or_else(|| invalid("inactive value"))?;
            }
            "max_size" => {
                self.max_size = Some(parse_offset(value).ok_or_else(|| invalid("max_size value"))?);
            }
            "min_free" => self.min_free = parse_offset(value).ok_or_else(|| invalid("min_free value"))?,
            "loader_files" => self.loader_files = count()?,
            "loader_sleep" => self.loader_sleep = pause()?,
            "loader_threshold" => self.loader_threshold = pause()?,
            "manager_files" => self.manager_files = count()?,
            "manager_sleep" => self.manager_sleep = pause()?,
            "manager_threshold" => self.manager_threshold = pause()?,
            "fsync" => self.fsync = fsync(value).map_err(|words| invalid("fsync value").with_help(words))?,
            "verify" => {
                self.verify = verify(value).map_err(|words| invalid("verify value").with_help(words))?
            }
            "scrub" if value == b"off" => self.scrub = None,
            "scrub" => {
                let rate = parse_offset(value).filter(|rate| *rate > 0).ok_or_else(|| {
                    invalid("scrub value").with_help("bytes a second, for instance scrub=2m, or \"off\"")
                })?;
                self.scrub = Some(rate);
            }
            "ram" => self.ram = ram(value).map_err(|words| invalid("ram value").with_help(words))?,
            "eviction" => {
                self.eviction = eviction(value).map_err(|words| invalid("eviction value").with_help(words))?
            }
            "purger" => self.purger = on_off(directive, number, name, value)?,
            "purger_files" => self.purger_files = count()?,
            "purger_sleep" => self.purger_sleep = pause()?,
            "purger_threshold" => self.purger_threshold = pause()?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    fn keys_zone(&mut self, directive: &Directive, number: usize) -> Result<(), Problem> {
        let text = directive.text(number);
        let invalid = || {
            let problem = directive.fail(number, format!("invalid keys zone size \"{text}\""));
            problem.with_help("it is written keys_zone=name:size, for instance keys_zone=pages:10m")
        };
        let (name, size) = text["keys_zone=".len()..].split_once(':').ok_or_else(invalid)?;
        let size = parse_size(size.as_bytes()).filter(|_| !name.is_empty()).ok_or_else(invalid)?;
        if size < LEAST_ZONE_BYTES {
            return Err(directive.fail(number, format!("keys zone \"{text}\" is too small")));
        }
        name.clone_into(&mut self.name);
        self.keys_zone_size = size;
        Ok(())
    }
}

/// Reads `fsync`, or says how it is written.
fn fsync(text: &[u8]) -> Result<Fsync, &'static str> {
    match text {
        b"off" => Ok(Fsync::Off),
        b"file" => Ok(Fsync::File),
        b"full" => Ok(Fsync::Full),
        _ => Err("it is \"off\", \"file\" or \"full\""),
    }
}

/// Reads `verify`, or says how it is written.
fn verify(text: &[u8]) -> Result<Verify, &'static str> {
    match text {
        b"length" => Ok(Verify::Length),
        b"sum" => Ok(Verify::Sum),
        _ => Err("it is \"length\" or \"sum\""),
    }
}

/// Reads `ram`, or says how it is written.
fn ram(text: &[u8]) -> Result<u64, &'static str> {
    let size = if text == b"off" { Some(0) } else { parse_offset(text) };
    size.filter(|size| *size == 0 || *size >= LEAST_RAM_BYTES)
        .ok_or("at least 1m, for instance ram=256m, or \"off\"")
}

/// Reads `eviction`, or says how it is written.
fn eviction(text: &[u8]) -> Result<EvictionOrder, &'static str> {
    match text {
        b"lru" => Ok(EvictionOrder::Lru),
        b"s3fifo" => Ok(EvictionOrder::S3Fifo),
        _ => Err("it is \"lru\" or \"s3fifo\""),
    }
}

/// Reads a parameter that is on or off.
fn on_off(directive: &Directive, number: usize, name: &str, value: &[u8]) -> Result<bool, Problem> {
    match value {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => {
            let text = directive.text(number);
            let message = format!("invalid {name} value \"{text}\", it must be \"on\" or \"off\"");
            Err(directive.fail(number, message))
        }
    }
}

/// Reads levels: one to three numbers of 1 or 2 with colons between.
fn levels(text: &[u8]) -> Option<Vec<u8>> {
    let levels: Option<Vec<u8>> = text
        .split(|byte| *byte == b':')
        .map(|level| match level {
            b"1" => Some(1),
            b"2" => Some(2),
            _ => None,
        })
        .collect();
    levels.filter(|levels| levels.len() <= 3)
}
