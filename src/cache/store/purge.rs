//! Purging: what a cache does with the rules of [`crate::purge`].
//!
//! A purge is written down and published, and is in force from then on in every process; nothing is walked. What it named is removed
//! when it is met: by a request, by the purger, or when it was not used for long enough.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::SystemTime;

use thiserror::Error;

use crate::format::{self, Meta, Prefix};
use crate::key::{Digest, Key, path_of};
use crate::parts;
use crate::purge::journal::Order;
use crate::purge::{Mode, Purge, Purged, Standing};
use crate::store::read::{Unfit, read_at, read_start};
use crate::store::{Identity, Renewed, Zone};
use crate::writer::{Change, Durability};

/// Bytes read of a file to judge it: enough for most heads.
const LOOK_BYTES: u64 = 4096;

/// Why a purge was not carried out. Nothing is purged then.
#[derive(Debug, Error)]
#[error("could not write a purge ({0})")]
pub struct PurgeError(#[from] io::Error);

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// None of this cache, or gone meanwhile.
    Nothing,
    /// Good as it is.
    Live,
    /// Named by a soft purge: its file says now that it is stale.
    Softened,
    /// Named by a purge, and removed.
    Removed,
}

/// How many purges are still known, after some were forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Before.
    pub before: usize,
    /// After.
    pub left: usize,
}

impl Zone {
    /// The number of the last purge: an answer that is asked for now is younger than all of them. Never blocks.
    pub fn epoch(&self) -> u64 {
        self.shared.purged()
    }

    /// How often [`Zone::generation`] has moved for purges. Never blocks.
    pub fn purges(&self) -> u64 {
        self.shared.purges()
    }

    /// Judges an entry by the purges so far. Reads what other processes have written of them, and blocks for nothing else.
    pub fn judge(&self, key: &Key, meta: &Meta) -> Standing {
        let published = self.shared.purged();
        if meta.epoch >= published {
            return Standing::Live;
        }
        self.purges.catch_up(published);
        self.purges.rules().judge(key, meta)
    }

    /// Purges what is named, in all processes, before it returns; how long that lasts is up to `durability`.
    ///
    /// Counts entries where that is known without a walk: for keys without variants, and for the whole cache.
    pub fn purge(
        &self,
        what: &[Purge],
        how: Mode,
        durability: Durability,
        now: SystemTime,
    ) -> Result<Purged, PurgeError> {
        let what: Vec<Purge> = what.iter().filter(|purge| purge.can_be_stored()).cloned().collect();
        if what.is_empty() {
            return Ok(Purged { number: self.epoch(), entries: Some(0) });
        }
        let found: Vec<Found> = what.iter().map(|purge| self.count(purge)).collect();
        let order = Order { what: &what, how, durability, now };
        let published = || self.shared.purged();
        let number = self.purges.record(&order, published, |number| self.shared.publish_purge(number))?;
        if how == Mode::Hard {
            let files = found.iter().filter_map(|found| found.file);
            files.for_each(|(digest, identity)| self.discard(&digest, identity));
        }
        let entries = found.iter().map(|found| found.entries).sum();
        Ok(Purged { number, entries })
    }

    /// Removes an entry's row and file, unless the file has been replaced by then.
    pub fn discard(&self, digest: &Digest, identity: Identity) {
        self.offer(Change::Discard { digest: *digest, identity });
    }

    /// Looks at a file for the purger: removes what is gone, and has what is stale say so itself.
    pub fn inspect(&self, digest: &Digest) -> io::Result<Inspected> {
        let Some(look) = self.look_at(digest)? else { return Ok(Inspected::Nothing) };
        match self.judge(&look.key, &look.meta) {
            Standing::Live => Ok(Inspected::Live),
            Standing::Soft(number) => {
                let mut meta = look.meta;
                meta.soften(number);
                meta.epoch = number;
                self.update_meta(&look.key, &Renewed { digest, identity: &look.identity, meta: &meta })?;
                Ok(Inspected::Softened)
            }
            Standing::Gone => {
                self.queue(Change::Discard { digest: *digest, identity: look.identity });
                Ok(Inspected::Removed)
            }
        }
    }

    /// How many purges are known, and the number of the oldest.
    pub fn known_purges(&self) -> (usize, Option<u64>) {
        self.purges.catch_up(self.shared.purged());
        let rules = self.purges.rules();
        (rules.len(), rules.oldest())
    }

    /// Forgets the purges up to a number: every file was inspected since. An answer that was asked for before that and comes
    /// later is not stored.
    pub fn forget_purges(&self, upto: u64, now: SystemTime) -> Result<Forgotten, PurgeError> {
        let before = self.known_purges().0;
        // What was removed must stay so if the machine stops now.
        nix::unistd::syncfs(&File::open(&self.conf.path)?).map_err(io::Error::from)?;
        self.purges.forget(upto, self.shared.purged(), now)?;
        Ok(Forgotten { before, left: self.purges.rules().len() })
    }

    /// Whether a purge names what is about to be stored.
    pub(super) fn is_late(&self, prefix: &Prefix) -> bool {
        let published = self.shared.purged();
        if prefix.epoch >= published {
            return false;
        }
        self.purges.catch_up(published);
        let Some(key) = format::stated_key(&prefix.bytes) else { return false };
        let Ok(opening) = format::parse(&prefix.bytes, &key) else { return false };
        self.purges.rules().judge_late(&key, &opening.meta) == Standing::Gone
    }

    /// Counts what a purge names, as far as that is known.
    fn count(&self, purge: &Purge) -> Found {
        match purge {
            Purge::Key(digest) => match self.look_at(digest).and_then(|look| self.or_parts(look, digest)) {
                Ok(Some(look)) if self.judge(&look.key, &look.meta) == Standing::Gone => Found::default(),
                Ok(Some(look)) => {
                    let entries = (look.meta.vary.is_empty() && look.meta.parts.is_none()).then_some(1);
                    let digest = if look.meta.parts.is_some() { look.meta.variant } else { *digest };
                    Found { entries, file: Some((digest, look.identity)) }
                }
                Ok(None) | Err(_) => Found::default(),
            },
            Purge::Prefix(_) | Purge::Tag(_) => Found { entries: None, file: None },
            Purge::All => Found { entries: Some(self.stats().entries), file: None },
        }
    }

    /// Where a key has no file of its own, there may be a list of parts.
    fn or_parts(&self, look: Option<Look>, main: &Digest) -> io::Result<Option<Look>> {
        look.map_or_else(|| self.look_at(&parts::list_digest(main)), |look| Ok(Some(look)))
    }

    /// Reads the start of a digest's file, whatever its key is.
    fn look_at(&self, digest: &Digest) -> io::Result<Option<Look>> {
        // Never waits, whatever has taken the name.
        let mut options = File::options();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = match options.open(path_of(&self.conf, digest)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                return Ok(None);
            }
            other => other?,
        };
        let metadata = file.metadata()?;
        let identity = Identity::of(&metadata);
        let start = match read_start(&file, &identity, LOOK_BYTES) {
            Ok(start) if metadata.is_file() => start,
            Ok(_) | Err(Unfit::Content(_)) => return Ok(None),
            Err(Unfit::Io(error)) => return Err(error),
        };
        let Some(key) = format::stated_key(&start) else { return Ok(None) };
        let Ok(opening) = format::parse(&start, &key) else { return Ok(None) };
        let is_its_name =
            key.digest == *digest || !opening.meta.vary.is_empty() || opening.meta.parts.is_some();
        Ok(is_its_name.then_some(Look { key, meta: opening.meta, identity }))
    }
}

/// What a purge names, as far as that is known.
struct Found {
    entries: Option<u64>,
    file: Option<(Digest, Identity)>,
}

impl Default for Found {
    fn default() -> Self {
        Self { entries: Some(0), file: None }
    }
}

/// The start of a file.
struct Look {
    key: Key,
    meta: Meta,
    identity: Identity,
}

/// Writes the epoch that an entry has after a validation into its file, where that has a place for it.
pub(super) fn raise_epoch(file: &File, meta: &Meta) -> io::Result<()> {
    let start = read_at(file, 0, u64::from(meta.body_start))?;
    match format::raised_epoch(&start, meta.epoch) {
        Some((at, bytes)) => file.write_all_at(&bytes, at),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
