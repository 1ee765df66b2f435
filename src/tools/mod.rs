//! What a person does by hand: `larder cache …` looks into caches and puts them right, `larder prewarm` fills one.
//!
//! A server may be running meanwhile, on the same files. Results go to standard output, one line each, as text or as
//! JSON; how far a long walk has come goes to a terminal, where there is one.

mod archive;
pub mod arguments;
mod damage;
mod files;
mod listing;
mod pattern;
mod prewarm;
mod removal;
mod report;
mod sitemap;
mod url;
mod why;

use std::{error::Error, io, path::Path, process::ExitCode, sync::Arc};

use config::CachePath;

use self::arguments::{CacheArguments, Deed, PrewarmArguments};

/// What went wrong, for the terminal.
type Failure = Box<dyn Error>;

/// Whether all is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Something was not found, or is damaged.
    Bad,
}

/// Gives up root's rights for those of a directory's owner.
pub type Stoop<'a> = &'a dyn Fn(&Path) -> io::Result<()>;

/// Carries out `larder cache …`. What is made in a cache must be its owner's: `stoop` is asked before anything is.
pub fn work_on_caches(arguments: &CacheArguments, stoop: Stoop<'_>) -> ExitCode {
    finish(work(arguments, stoop))
}

/// Carries out `larder prewarm …`.
pub fn prewarm(arguments: &PrewarmArguments) -> ExitCode {
    finish(prewarm::run(arguments))
}

fn finish(done: Result<Verdict, Failure>) -> ExitCode {
    match done {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("larder: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the caches that are meant: all of the configuration, or the one that is named.
fn caches(arguments: &CacheArguments) -> Result<Vec<Arc<CachePath>>, Failure> {
    let mut caches = config::offline::caches_of(&arguments.conf)?;
    if let Some(name) = &arguments.zone {
        let known: Vec<_> = caches.iter().map(|cache| cache.name.clone()).collect();
        caches.retain(|cache| cache.name == *name);
        if caches.is_empty() {
            return Err(format!(
                "no cache is called \"{name}\"; the configuration has: {}",
                known.join(", ")
            )
            .into());
        }
    }
    if caches.is_empty() {
        return Err("the configuration has no proxy_cache_path".into());
    }
    Ok(caches)
}

/// Becomes the owner of a cache. One that is not there yet is the server's to make.
fn enter(directory: &Path, stoop: Stoop<'_>) -> Result<(), Failure> {
    if !directory.is_dir() {
        return Err(format!("there is no cache at \"{}\" yet", directory.display()).into());
    }
    stoop(directory).map_err(|error| format!("\"{}\": {error}", directory.display()).into())
}

fn work(arguments: &CacheArguments, stoop: Stoop<'_>) -> Result<Verdict, Failure> {
    let output = arguments.output;
    let caches = || {
        let caches = caches(arguments)?;
        for cache in &caches {
            enter(&cache.path, stoop)?;
        }
        Ok::<_, Failure>(caches)
    };
    match &arguments.deed {
        Deed::List { pattern, most } => listing::list(&caches()?, pattern.as_ref(), *most, output),
        Deed::Show { pattern } => listing::show(&caches()?, pattern, output),
        Deed::Why { url, fields } => why::why(&arguments.conf, url, fields, output, stoop),
        Deed::Purge { named, mode } => removal::purge(&caches()?, named, *mode, output),
        Deed::Stats => listing::stats(&caches()?, output),
        Deed::Verify { repair } => damage::verify(&caches()?, *repair, output),
        Deed::Export { to, pattern } => archive::export(caches, to, pattern.as_ref()),
        Deed::Import { from } => archive::import(caches, from),
    }
}
