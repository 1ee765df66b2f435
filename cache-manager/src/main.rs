//! `cache-manager -c FILE [-p PREFIX]`: keeps the caches of a configuration within their limits until it is killed.
//!
//! The server has a process of its own for this; by hand it is for a cache whose server is not running.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use config::{CachePath, HostLookup, MainText, Source};

fn main() -> anyhow::Result<()> {
    // Killing it loses nothing: what it removes, it removes row first.
    cache_manager::run(&caches()?, &|| false)?;
    Ok(())
}

fn caches() -> anyhow::Result<Vec<Arc<CachePath>>> {
    let (mut file, mut prefix) = (None, PathBuf::from("."));
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        match (word.to_str(), words.next()) {
            (Some("-c"), Some(value)) => file = Some(PathBuf::from(value)),
            (Some("-p"), Some(value)) => prefix = PathBuf::from(value),
            _ => bail!("usage: cache-manager -c FILE [-p PREFIX]"),
        }
    }
    let file = file.context("usage: cache-manager -c FILE [-p PREFIX]")?;
    let source = Source { prefix, main: MainText::File(file), globals: None, error_log: None };
    match config::load(&source, &Nowhere) {
        Ok(loaded) => Ok(loaded.config.http.map_or_else(Vec::new, |http| http.zones)),
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("cache-manager: {diagnostic}"));
            bail!("the configuration cannot be used");
        }
    }
}

/// Nobody is connected to here, so names need no addresses.
struct Nowhere;

impl HostLookup for Nowhere {
    fn lookup(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)])
    }

    fn hostname(&self) -> String {
        "localhost".to_owned()
    }
}
