//! Purges: what each names, and whether an entry is older than one that names it.
//!
//! A purge is a number that grows, noted beside the key, prefix or tag that it names; an entry knows the number that was
//! the last one when its upstream was asked. One of a smaller number does not exist any more (hard), or is stale (soft). So a
//! purge takes effect at once, without a walk, and beats a fill that began before it. The rules are kept here, in memory and
//! without I/O; [`crate::store`] writes them to `larder.purges`, a file of their own, since an index may be thrown away.

pub(crate) mod journal;
pub(crate) mod record;
pub mod tags;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::format::Meta;
use crate::key::{Digest, Key};
use crate::purge::record::{LONGEST_NAME, Record};

/// What a purge names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Purge {
    /// All variants of one key, by the key's digest.
    Key(Digest),
    /// Every key that begins so.
    Prefix(Vec<u8>),
    /// Everything stored with this tag ([`tags`]).
    Tag(Vec<u8>),
    /// Everything.
    All,
}

impl Purge {
    /// Whether there could be an entry of that name at all.
    pub(crate) fn can_be_stored(&self) -> bool {
        match self {
            Self::Key(_) | Self::All => true,
            Self::Prefix(name) | Self::Tag(name) => name.len() <= LONGEST_NAME,
        }
    }
}

/// What becomes of what a purge names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It does not exist any more.
    Hard,
    /// It is stale: one request asks for it anew, others get it as it is until then.
    Soft,
}

/// How an entry stands with the purges so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None names it, or none since it was asked for.
    Live,
    /// It counts as stale since the purge of this number ([`Meta::soften`]).
    Soft(u64),
    /// It does not exist.
    Gone,
}

/// What a purge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Its number.
    pub number: u64,
    /// How many entries it named, where that is known without a walk.
    pub entries: Option<u64>,
}

/// For how long a soft-purged entry may be served while another is being fetched: as long as it is there. A year, so that sums with
/// times stay times.
const WHILE_UPDATING: Duration = Duration::from_secs(365 * 24 * 3600);

impl Meta {
    /// Makes the entry stale since a purge; its answer says what may be done with it then, and it may be served while it is updated.
    pub fn soften(&mut self, number: u64) {
        let purged_at = UNIX_EPOCH + Duration::from_micros(number).saturating_sub(Duration::from_secs(1));
        self.valid_until = self.valid_until.min(purged_at);
        self.stale_while_revalidate = WHILE_UPDATING;
    }

    /// Whether [`Meta::soften`] would change nothing.
    pub fn is_softened(&self, number: u64) -> bool {
        let mut softened = self.clone();
        softened.soften(number);
        softened == *self
    }
}

/// Picks the number of a purge: the time, so that a lost file of purges does not make new ones weak, and more than the last one.
pub(crate) fn next_number(last: u64, now: SystemTime) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    u64::try_from(now).unwrap_or(u64::MAX).max(last + 1)
}

/// The last purges of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    hard: u64,
    soft: u64,
}

impl Marks {
    fn raise(&mut self, other: Self) {
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
    }

    /// Drops what is not above `upto`; says whether anything is left.
    fn keep_above(&mut self, upto: u64) -> bool {
        for mark in [&mut self.hard, &mut self.soft] {
            if *mark <= upto {
                *mark = 0;
            }
        }
        *self != Self::default()
    }
}

/// Every purge that may still name an entry.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    last: u64,
    floor: u64,
    all: Marks,
    keys: HashMap<Digest, Marks>,
    /// By length, so that a key is compared once for each length there is.
    prefixes: BTreeMap<usize, HashMap<Vec<u8>, Marks>>,
    tags: HashMap<Vec<u8>, Marks>,
}

impl Rules {
    /// Makes the rules of a file that begins with these numbers.
    pub(crate) fn starting(last: u64, floor: u64) -> Self {
        Self { last, floor, ..Self::default() }
    }

    /// The number of the last purge.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The last purge that was forgotten: an entry asked for before it that comes only now cannot be judged any more.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        let prefixes: usize = self.prefixes.values().map(HashMap::len).sum();
        usize::from(self.all != Marks::default()) + self.keys.len() + prefixes + self.tags.len()
    }

    /// The oldest purge that is still known.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.numbers().min()
    }

    /// Judges an entry.
    pub(crate) fn judge(&self, key: &Key, meta: &Meta) -> Standing {
        if meta.epoch >= self.last {
            return Standing::Live;
        }
        let mut marks = self.all;
        let mut raise = |found: Option<&Marks>| marks.raise(found.copied().unwrap_or_default());
        raise(self.keys.get(&key.digest));
        for (len, prefixes) in self.prefixes.range(..=key.text.len()) {
            raise(prefixes.get(&key.text[..*len]));
        }
        if !self.tags.is_empty() {
            tags::split(&meta.tags).for_each(|tag| raise(self.tags.get(tag)));
        }
        if marks.hard > meta.epoch {
            Standing::Gone
        } else if marks.soft > meta.epoch {
            Standing::Soft(marks.soft)
        } else {
            Standing::Live
        }
    }

    /// Judges an entry that is about to be stored: what would have been forgotten meanwhile counts as purged.
    pub(crate) fn judge_late(&self, key: &Key, meta: &Meta) -> Standing {
        if meta.epoch < self.floor { Standing::Gone } else { self.judge(key, meta) }
    }

    /// Adds a purge.
    pub(crate) fn apply(&mut self, record: &Record) {
        self.last = self.last.max(record.number);
        let marks = match record.mode {
            Mode::Hard => Marks { hard: record.number, soft: 0 },
            Mode::Soft => Marks { hard: 0, soft: record.number },
        };
        match &record.what {
            Purge::Key(digest) => self.keys.entry(*digest).or_default().raise(marks),
            Purge::Prefix(prefix) => {
                let prefixes = self.prefixes.entry(prefix.len()).or_default();
                prefixes.entry(prefix.clone()).or_default().raise(marks);
            }
            Purge::Tag(tag) => self.tags.entry(tag.clone()).or_default().raise(marks),
            Purge::All => {
                self.all.raise(marks);
                // What it names goes by it, whatever else names it.
                self.retain_above(marks.hard);
            }
        }
    }

    /// Forgets the purges up to a number, of which no file is left that they name.
    pub(crate) fn forget(&mut self, upto: u64) {
        let forgotten = self.numbers().filter(|number| *number <= upto).max();
        self.floor = self.floor.max(forgotten.unwrap_or(0));
        self.all.keep_above(upto);
        self.retain_above(upto);
    }

    /// Every purge that is known, as it is written.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let all = std::iter::once((Purge::All, self.all));
        let keys = self.keys.iter().map(|(digest, marks)| (Purge::Key(*digest), *marks));
        let prefixes = self.prefixes.values().flatten();
        let prefixes = prefixes.map(|(prefix, marks)| (Purge::Prefix(prefix.clone()), *marks));
        let tags = self.tags.iter().map(|(tag, marks)| (Purge::Tag(tag.clone()), *marks));
        all.chain(keys).chain(prefixes).chain(tags).flat_map(|(what, marks)| {
            let modes = [(Mode::Hard, marks.hard), (Mode::Soft, marks.soft)];
            modes.into_iter().filter(|(_, number)| *number != 0).map(move |(mode, number)| Record {
                number,
                mode,
                what: what.clone(),
            })
        })
    }

    fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let prefixes = self.prefixes.values().flat_map(HashMap::values);
        let named = self.keys.values().chain(prefixes).chain(self.tags.values());
        let marks = std::iter::once(&self.all).chain(named);
        marks.flat_map(|marks| [marks.hard, marks.soft]).filter(|number| *number != 0)
    }

    fn retain_above(&mut self, upto: u64) {
        self.keys.retain(|_, marks| marks.keep_above(upto));
        self.tags.retain(|_, marks| marks.keep_above(upto));
        self.prefixes.retain(|_, prefixes| {
            prefixes.retain(|_, marks| marks.keep_above(upto));
            !prefixes.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
