//! `larder.purges`: the purges of a cache as a file, and the rules that each process makes of it.
//!
//! A purge is written and synced under the lock of the cache's directory, then published; others read what was added when they
//! see a number that they do not know. Readers take no lock: what is published is whole. The file is only replaced whole, by a
//! rename. Where it was lost or damaged, purges may have been lost with it, and everything older counts as purged.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs2::FileExt as _;
use parking_lot::{Mutex, RwLock};

use crate::purge::record::{self, HEADER_BYTES, Parsed, Record, Rest};
use crate::purge::{Mode, Purge, Rules, next_number};
use crate::store::is_passing;
use crate::writer::Durability;

/// The purges of a cache as one process knows them.
pub(crate) struct Purges {
    path: PathBuf,
    lock: PathBuf,
    rules: RwLock<Rules>,
    place: Mutex<Option<Place>>,
}

/// How far a file was read.
#[derive(Clone, Copy, Debug)]
struct Place {
    inode: u64,
    header: [u8; HEADER_BYTES],
    read_to: u64,
}

/// What is found where the file should be.
enum Found {
    Missing,
    /// No file of purges.
    Broken,
    /// Records after those that were read before; all of them where it is another file.
    More {
        place: Place,
        parsed: Parsed,
        starts: Option<(u64, u64)>,
    },
}

/// A purge, and what is to happen before it is answered.
pub(crate) struct Order<'a> {
    pub(crate) what: &'a [Purge],
    pub(crate) how: Mode,
    pub(crate) durability: Durability,
    pub(crate) now: SystemTime,
}

impl Purges {
    /// Reads the file at `path`, if there is one. The caller holds `lock`, the directory's; `published` is the last number that
    /// any process of this boot knew.
    pub(crate) fn open(path: &Path, lock: &Path, published: u64, now: SystemTime) -> io::Result<Self> {
        let purges = Self {
            path: path.to_owned(),
            lock: lock.to_owned(),
            rules: RwLock::default(),
            place: Mutex::new(None),
        };
        if published != 0 || path.exists() {
            let repaired = purges.repair(&mut purges.place.lock(), published, now).map(drop);
            repaired.or_else(|error| purges.begin_without(error, published, now))?;
        }
        Ok(purges)
    }

    /// Begins on a disk that does not let the file be read or written. What could not be read may have named anything; the next
    /// purge tries again.
    fn begin_without(&self, error: io::Error, published: u64, now: SystemTime) -> io::Result<()> {
        if !is_passing(&error) {
            return Err(error);
        }
        self.report(&format!("could not be used ({error})"));
        if self.place.lock().is_none() {
            let mut rules = self.rules.write();
            let number = next_number(rules.last().max(published), now);
            rules.apply(&Record { number, mode: Mode::Hard, what: Purge::All });
        }
        Ok(())
    }

    /// The rules, as far as they are known here; [`Purges::catch_up`] first.
    pub(crate) fn rules(&self) -> parking_lot::RwLockReadGuard<'_, Rules> {
        self.rules.read()
    }

    /// Learns of the purges up to a published number.
    pub(crate) fn catch_up(&self, published: u64) {
        if self.rules.read().last() >= published {
            return;
        }
        let mut place = self.place.lock();
        if self.rules.read().last() >= published {
            return;
        }
        let followed = self.look(*place).map(|found| self.follow(&mut place, found));
        if self.rules.read().last() < published {
            let error =
                followed.err().map_or_else(|| "it is not there".to_owned(), |error| error.to_string());
            self.report(&format!("a purge could not be read ({error})"));
            self.rules.write().apply(&Record { number: published, mode: Mode::Hard, what: Purge::All });
        }
    }

    /// Whether somebody has removed the file, though it had something in it.
    pub(crate) fn lacks_file(&self) -> bool {
        self.rules.read().last() > 0 && !self.path.exists()
    }

    /// Writes the file anew where it is not there, and all that was in it up to a published number is known. The caller holds
    /// `lock`.
    pub(crate) fn restore(&self, published: u64) -> io::Result<()> {
        let mut place = self.place.lock();
        let rules = self.rules.read();
        if rules.last() > 0 && rules.last() >= published && !self.path.exists() {
            *place = Some(self.write_whole(&rules)?);
            self.report("has been removed, it is made anew");
        }
        Ok(())
    }

    /// Writes a purge down, and calls `publish` with its number before anybody else can write another.
    pub(crate) fn record(
        &self,
        order: &Order<'_>,
        published: impl FnOnce() -> u64,
        publish: impl FnOnce(u64),
    ) -> io::Result<u64> {
        let _lock = self.lock()?;
        let mut place = self.place.lock();
        let last = published();
        let place = self.repair(&mut place, last, order.now)?;
        let number = next_number(self.rules.read().last().max(last), order.now);
        let records: Vec<_> =
            order.what.iter().map(|what| Record { number, mode: order.how, what: what.clone() }).collect();
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record::write(&mut bytes, record));
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let written = file.write_all_at(&bytes, place.read_to).and_then(|()| match order.durability {
            Durability::Committed => Ok(()),
            Durability::Synced => file.sync_data(),
        });
        if let Err(error) = written {
            // What cannot be cut off now is torn, and cut off by the next.
            let _ = file.set_len(place.read_to);
            return Err(error);
        }
        place.read_to += bytes.len() as u64;
        let mut rules = self.rules.write();
        records.iter().for_each(|record| rules.apply(record));
        drop(rules);
        publish(number);
        Ok(number)
    }

    /// Forgets the purges up to a number, in the file too.
    pub(crate) fn forget(&self, upto: u64, published: u64, now: SystemTime) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut place = self.place.lock();
        self.repair(&mut place, published, now)?;
        let mut rules = self.rules.write();
        rules.forget(upto);
        *place = Some(self.write_whole(&rules)?);
        Ok(())
    }

    /// Reads what is new, cuts a torn end off, and makes a file that is missing or damaged anew. Under the lock.
    fn repair<'a>(
        &self,
        place: &'a mut Option<Place>,
        published: u64,
        now: SystemTime,
    ) -> io::Result<&'a mut Place> {
        let found = self.look(*place)?;
        let rest = match &found {
            Found::More { parsed, .. } => Some(parsed.rest),
            Found::Missing => Some(Rest::Nothing),
            Found::Broken => None,
        };
        let is_missing = matches!(found, Found::Missing);
        self.follow(place, found);
        let is_behind = self.rules.read().last() < published;
        match rest {
            Some(Rest::Nothing | Rest::Torn) if is_behind => {
                self.start_over(place, published, now, "lost")?
            }
            None | Some(Rest::Damaged) => self.start_over(place, published, now, "damaged")?,
            Some(_) if is_missing => *place = Some(self.write_whole(&self.rules.read())?),
            Some(Rest::Torn) => {
                let whole = place.map_or(0, |place| place.read_to);
                OpenOptions::new().write(true).open(&self.path)?.set_len(whole)?;
            }
            Some(Rest::Nothing) => {}
        }
        Ok(place.as_mut().expect("it was read, or written just now"))
    }

    /// Purges everything: what was named by what is lost cannot be told from the rest.
    fn start_over(
        &self,
        place: &mut Option<Place>,
        published: u64,
        now: SystemTime,
        what: &str,
    ) -> io::Result<()> {
        self.report(&format!("purges are {what}, so that everything cached before counts as purged"));
        let mut rules = self.rules.write();
        let number = next_number(rules.last().max(published), now);
        rules.apply(&Record { number, mode: Mode::Hard, what: Purge::All });
        *place = Some(self.write_whole(&rules)?);
        Ok(())
    }

    /// Looks for what was added since `place`.
    fn look(&self, place: Option<Place>) -> io::Result<Found> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            other => other?,
        };
        let metadata = file.metadata()?;
        let mut header = [0; HEADER_BYTES];
        if metadata.len() < HEADER_BYTES as u64 {
            return Ok(Found::Broken);
        }
        file.read_exact_at(&mut header, 0)?;
        let Some(starts) = record::parse_header(&header) else { return Ok(Found::Broken) };
        let inode = metadata.ino();
        // A new file may get the number of one long gone, but not its header: what is forgotten moves the floor.
        let known = place.filter(|place| place.inode == inode && place.header == header);
        let known = known.filter(|place| place.read_to <= metadata.len());
        let from = known.map_or(HEADER_BYTES as u64, |place| place.read_to);
        let mut bytes = vec![0; usize::try_from(metadata.len() - from).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, from)?;
        let parsed = record::parse(&bytes);
        let place = Place { inode, header, read_to: from + parsed.valid_bytes as u64 };
        Ok(Found::More { place, parsed, starts: known.is_none().then_some(starts) })
    }

    /// Makes rules of what was found.
    fn follow(&self, place: &mut Option<Place>, found: Found) {
        let Found::More { place: read, parsed, starts } = found else { return };
        let mut rules = self.rules.write();
        if let Some((last, floor)) = starts {
            *rules = Rules::starting(last, floor);
        }
        parsed.records.iter().for_each(|record| rules.apply(record));
        *place = Some(read);
    }

    /// Puts a new file in the place of the old one, complete or not at all.
    fn write_whole(&self, rules: &Rules) -> io::Result<Place> {
        let header = record::header(rules.last(), rules.floor());
        let mut bytes = header.to_vec();
        rules.records().for_each(|record| record::write(&mut bytes, &record));
        let new = self.path.with_extension("purges-new");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let dir = self.path.parent().expect("it lies in the cache's directory");
        File::open(dir)?.sync_all()?;
        Ok(Place { inode: file.metadata()?.ino(), header, read_to: bytes.len() as u64 })
    }

    fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.lock)?;
        file.lock_exclusive()?;
        Ok(file)
    }

    fn report(&self, what: &str) {
        tracing::error!("\"{}\": {what}", self.path.display());
    }
}

#[cfg(test)]
mod tests;
