//! `cache-loader -c FILE [-p PREFIX]`: makes the indexes of a configuration's caches anew, while no server uses them.
//!
//! The server runs the same walk by itself where it is needed; by hand it is for a cache that was copied or restored.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use cache_loader::{Outcome, load};
use config::{CachePath, HostLookup, MainText, Source};

fn main() -> anyhow::Result<()> {
    for conf in caches()? {
        cache::discard_index(&conf).with_context(|| format!("cache \"{}\"", conf.name))?;
        match load(&conf, &|| false)? {
            Outcome::Complete(loaded) => {
                println!("cache \"{}\": {} files, {} removed", conf.name, loaded.files, loaded.removed);
            }
            // It has just been discarded, and nobody says stop.
            Outcome::Unneeded | Outcome::Stopped => {}
        }
    }
    Ok(())
}

fn caches() -> anyhow::Result<Vec<Arc<CachePath>>> {
    let (mut file, mut prefix) = (None, PathBuf::from("."));
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        match (word.to_str(), words.next()) {
            (Some("-c"), Some(value)) => file = Some(PathBuf::from(value)),
            (Some("-p"), Some(value)) => prefix = PathBuf::from(value),
            _ => bail!("usage: cache-loader -c FILE [-p PREFIX]"),
        }
    }
    let file = file.context("usage: cache-loader -c FILE [-p PREFIX]")?;
    let source = Source { prefix, main: MainText::File(file), globals: None, error_log: None };
    match config::load(&source, &Nowhere) {
        Ok(loaded) => Ok(loaded.config.http.map_or_else(Vec::new, |http| http.zones)),
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("cache-loader: {diagnostic}"));
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
