//! `larder cache export` and `import`: stored answers as a tar archive, to be taken elsewhere.
//!
//! A member is a file of the cache as it is, under the zone's name and its digest; so levels may differ where it goes. A
//! file that changes while it is read is left out. What comes in is checked like any other file of a cache, takes its name
//! complete, and is in the index before the program ends: a running server serves it from then on.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    ops::ControlFlow,
    path::{Component, Path},
    sync::Arc,
};

use cache::{Digest, Durability, Role, Standing, Zone, digest_of_name, hex, path_of};
use config::CachePath;

use super::{
    Failure, Verdict,
    files::{CachedFile, Found, look},
    listing::each_answer,
    pattern::Pattern,
    report::{Progress, say, shown},
};
use crate::clock;

/// Standard input or output.
const STANDARD: &str = "-";

/// Writes the answers whose keys fit into an archive.
pub fn export(
    caches: impl FnOnce() -> Result<Vec<Arc<CachePath>>, Failure>,
    to: &Path,
    pattern: Option<&Pattern>,
) -> Result<Verdict, Failure> {
    let is_standard = to == Path::new(STANDARD);
    // Before anything else, with the rights of whoever asks.
    let out: Box<dyn Write> = if is_standard {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(to).map_err(|error| named(to, &error))?)
    };
    let mut archive = tar::Builder::new(io::BufWriter::new(out));
    let mut count = 0_u64;
    each_answer(&caches()?, pattern, &mut |conf, file, _| {
        count += u64::from(append(&mut archive, conf, &file)?);
        Ok(ControlFlow::Continue(()))
    })?;
    archive.into_inner()?.flush()?;
    if !is_standard {
        say(&format!("{count} answers written to \"{}\"", to.display()))?;
    }
    Ok(Verdict::Good)
}

/// Appends a file; says whether it was still there.
fn append(archive: &mut tar::Builder<impl Write>, conf: &CachePath, file: &CachedFile) -> io::Result<bool> {
    let opened = match File::open(&file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let metadata = opened.metadata()?;
    // Replaced since it was looked at: what was announced would not be what follows.
    if metadata.len() != file.size {
        return Ok(false);
    }
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&metadata);
    header.set_size(file.size);
    let name = Path::new(&conf.name).join(hex(&file.digest));
    archive.append_data(&mut header, name, opened.take(file.size))?;
    Ok(true)
}

/// Takes the answers of an archive into the caches of the same names.
pub fn import(
    caches: impl FnOnce() -> Result<Vec<Arc<CachePath>>, Failure>,
    from: &Path,
) -> Result<Verdict, Failure> {
    let input: Box<dyn Read> = if from == Path::new(STANDARD) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(from).map_err(|error| named(from, &error))?)
    };
    let opened = caches()?.iter().map(|conf| Zone::open(conf, Role::Tool)).collect::<Result<Vec<_>, _>>()?;
    let mut archive = tar::Archive::new(io::BufReader::new(input));
    let mut progress = Progress::new("files");
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for member in archive.entries()? {
        progress.step();
        let mut member = member.map_err(|error| unreadable(from, taken + refused, &error))?;
        let name = member.path()?.into_owned();
        match place(&opened, &name) {
            Some((zone, digest)) if member.header().entry_type().is_file() => {
                match take(zone, &digest, &mut member) {
                    Ok(()) => taken += 1,
                    Err(error) => {
                        refused += 1;
                        eprintln!("larder: \"{}\": {error}", plain(&name));
                    }
                }
            }
            _ => {
                refused += 1;
                eprintln!("larder: \"{}\": no cache of the configuration has a place for it", plain(&name));
            }
        }
    }
    opened.iter().for_each(|zone| zone.flush(Durability::Synced));
    drop(progress);
    say(&format!("{taken} answers taken, {refused} refused"))?;
    Ok(if refused == 0 { Verdict::Good } else { Verdict::Bad })
}

/// Says why an archive cannot be read on. What it holds may be anything, and is not shown.
fn unreadable(from: &Path, members: u64, error: &io::Error) -> Failure {
    let what = match (error.raw_os_error().or_else(|| source_errno(error)), members) {
        (Some(errno), _) => io::Error::from_raw_os_error(errno).to_string(),
        (None, 0) => "it is no tar archive".to_owned(),
        (None, members) => format!("it is damaged or cut short behind {members} answers"),
    };
    format!("\"{}\": {what}", from.display()).into()
}

/// What the system said, below what a library said about that.
fn source_errno(error: &io::Error) -> Option<i32> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(errno) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(errno);
        }
        source = inner.source();
    }
    None
}

/// A name for a terminal.
fn plain(name: &Path) -> String {
    shown(name.as_os_str().as_encoded_bytes())
}

/// Finds where a member belongs: `ZONE/DIGEST`.
fn place<'a>(zones: &'a [Zone], name: &Path) -> Option<(&'a Zone, Digest)> {
    let mut parts = name.components();
    let (Some(Component::Normal(zone)), Some(Component::Normal(digest)), None) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let zone = zones.iter().find(|known| known.conf().name.as_str() == zone)?;
    Some((zone, digest_of_name(digest)?))
}

/// Writes a file beside its name, checks it, and gives it the name.
fn take(zone: &Zone, digest: &Digest, member: &mut impl Read) -> Result<(), Failure> {
    let path = path_of(zone.conf(), digest);
    let directory = path.parent().unwrap_or(&zone.conf().path).to_owned();
    fs::create_dir_all(&directory)?;
    let mut temp = tempfile::Builder::new().prefix(TEMP_PREFIX).tempfile_in(&directory)?;
    io::copy(member, &mut temp)?;
    match look(temp.path(), *digest)? {
        Some(Found::Answer(file)) => {
            if zone.judge(&file.key, &file.meta) == Standing::Gone {
                return Err("it was purged since it was stored".into());
            }
            let is_whole = file.meta.body_len.is_none_or(|stated| stated == file.body_len());
            if !is_whole {
                return Err("it is not as long as it says".into());
            }
        }
        Some(Found::Damaged { why, .. }) => return Err(format!("it {why}").into()),
        None => return Err("it vanished".into()),
    }
    let size = temp.as_file().metadata()?.len();
    temp.persist(&path)?;
    zone.replaced(digest, size, clock::now());
    Ok(())
}

/// What a file is called while it is written.
const TEMP_PREFIX: &str = ".import-";

fn named(path: &Path, error: &io::Error) -> Failure {
    format!("\"{}\": {error}", path.display()).into()
}
