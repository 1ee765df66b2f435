//! `cache-loader -c FILE [-p PREFIX]`: makes the indexes of a configuration's caches anew, while no server uses them.
//!
//! The server runs the same walk by itself where it is needed; by hand it is for a cache that was copied or restored.

use std::env;
use std::thread;

use anyhow::Context;
use cache_loader::{Outcome, load};

fn main() -> anyhow::Result<()> {
    for conf in config::offline::caches(env::args_os().skip(1))? {
        cache::discard_index(&conf).with_context(|| format!("cache \"{}\"", conf.name))?;
        let pace = |time| {
            thread::sleep(time);
            false
        };
        match load(&conf, &pace)? {
            Outcome::Complete(loaded) => {
                println!("cache \"{}\": {} files, {} removed", conf.name, loaded.files, loaded.removed);
            }
            // It has just been discarded, and nobody says stop.
            Outcome::Unneeded | Outcome::Stopped => {}
        }
    }
    Ok(())
}
