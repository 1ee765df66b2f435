//! `cache-manager -c FILE [-p PREFIX]`: keeps the caches of a configuration within their limits until it is killed.
//!
//! The server has a process of its own for this; by hand it is for a cache whose server is not running.

use std::env;
use std::thread;

fn main() -> anyhow::Result<()> {
    let caches = config::offline::caches(env::args_os().skip(1))?;
    // Killing it loses nothing: what it removes, it removes row first.
    cache_manager::run(&caches, &|time| {
        thread::sleep(time);
        false
    })?;
    Ok(())
}
