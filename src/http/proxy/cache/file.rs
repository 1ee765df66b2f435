//! The disk's side of a fill of the cache: room, temporary file, name.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use cache::{
    Digest, FillPermit, Key, Meta, NoRoom, PartError, RewriteError, Room, StoreError, StoredPart, TempFile,
    Trouble,
    format::{FormatError, Prefix},
};
use thiserror::Error;

use super::{
    fill::{Fill, Incomplete},
    sink::{GaveUp, Shown, Sink},
    zone::{Entry, StoredBody, StoredFile, Zone, has_no_descriptors},
};
use crate::{
    clock,
    error_log::{self, Level},
    http::response::FileSlice,
};

/// Room is asked for in steps of this many bytes where the length is not known.
const ROOM_STEP_BYTES: u64 = 1 << 20;

/// Where a body goes on its way to the cache.
pub(super) struct CacheFile {
    zone: Arc<Zone>,
    key: Key,
    digest: Digest,
    meta: Meta,
    head: Bytes,
    temp_dir: PathBuf,
    incomplete: Arc<Incomplete>,
    fill: Arc<Fill>,
    permit: FillPermit,
    room: Option<Room>,
    temp: Option<TempFile>,
    written: u64,
}

/// Why an answer is not stored.
#[derive(Debug, Error)]
pub(super) enum NotStored {
    /// The cache is full of what is in use.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// The head does not fit the file format.
    #[error("cache file {0}")]
    Format(#[from] FormatError),
    /// The disk failed or is full.
    #[error("writing a temporary file failed ({0})")]
    Write(#[from] std::io::Error),
    /// The file could not take its name.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part could not be put into the list of them.
    #[error(transparent)]
    Part(#[from] PartError),
    /// Its header lines could not be written anew.
    #[error(transparent)]
    Head(#[from] RewriteError),
}

/// What a [`CacheFile`] is made of.
pub(super) struct Destination {
    pub(super) zone: Arc<Zone>,
    pub(super) key: Key,
    pub(super) digest: Digest,
    pub(super) meta: Meta,
    pub(super) head: Bytes,
    pub(super) temp_dir: PathBuf,
}

impl CacheFile {
    pub(super) fn new(
        destination: Destination,
        incomplete: Arc<Incomplete>,
        fill: Arc<Fill>,
        permit: FillPermit,
    ) -> Self {
        let Destination { zone, key, digest, meta, head, temp_dir } = destination;
        Self {
            zone,
            key,
            digest,
            meta,
            head,
            temp_dir,
            incomplete,
            fill,
            permit,
            room: None,
            temp: None,
            written: 0,
        }
    }

    fn append(&mut self, chunks: &[Bytes]) -> Result<u64, NotStored> {
        self.make_room(chunks)?;
        if self.temp.is_none() {
            let mut temp = self.zone.store.create_temp(&self.digest, Some(&self.temp_dir))?;
            let prefix = Prefix::new(&self.key, &mut self.meta, &self.head)?;
            let body_start = prefix.bytes.len() as u64;
            temp.begin(prefix)?;
            // Set once: a sink makes one file.
            let _ = self.fill.file.set((Arc::clone(temp.file()), body_start));
            self.temp = Some(temp);
        }
        let temp = self.temp.as_mut().expect("it was made just now, or before");
        for chunk in chunks {
            temp.append(chunk)?;
            self.written += chunk.len() as u64;
        }
        Ok(self.written)
    }

    fn store(mut self, chunks: &[Bytes], shown: Option<&Arc<Entry>>) -> Result<(), NotStored> {
        let zone = Arc::clone(&self.zone);
        let _order = zone.in_order(&self.digest);
        let body = match self.temp {
            None => self.write_small(chunks)?,
            Some(_) => {
                self.append(chunks)?;
                None
            }
        };
        let Self { key, digest, meta, incomplete, permit, room, temp, written, .. } = self;
        let (temp, room) = (temp.expect("it was written"), room.expect("it was reserved"));
        let starts = (meta.header_start, meta.body_start);
        let body_start = u64::from(meta.body_start);
        let committed = zone.store.commit(permit, &digest, temp, room, clock::now())?;
        if let Some(shown) = shown {
            shown.has_file(StoredFile { identity: committed.identity, starts });
            return Ok(());
        }
        let in_file = || {
            StoredBody::File(FileSlice {
                file: Arc::clone(&committed.file),
                offset: body_start,
                len: written,
            })
        };
        let body = body.map_or_else(in_file, StoredBody::Memory);
        let entry = Entry::committed(&incomplete.entry, meta, body, &committed);
        zone.replace(&key, digest, Arc::new(entry));
        Ok(())
    }

    /// Writes a body that is whole and of which nothing was written before; returns it where it is small enough to be kept in memory.
    fn write_small(&mut self, chunks: &[Bytes]) -> Result<Option<Bytes>, NotStored> {
        self.make_room(chunks)?;
        let body = match chunks {
            [one] => one.clone(),
            _ => Bytes::from(chunks.concat()),
        };
        let mut temp = self.zone.store.create_temp(&self.digest, Some(&self.temp_dir))?;
        let prefix = Prefix::new(&self.key, &mut self.meta, &self.head)?;
        temp.begin_with(prefix, &body)?;
        self.written = body.len() as u64;
        self.temp = Some(temp);
        // A chunk may be a small part of a large read buffer: what is kept gets memory of its own.
        Ok((Some(self.written) <= self.zone.largest_body()).then(|| Bytes::copy_from_slice(&body)))
    }

    /// Reserves room for the whole body where its length is known, else step by step.
    fn make_room(&mut self, chunks: &[Bytes]) -> Result<(), NotStored> {
        let wanted = self.written + chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let prefix = (self.head.len() + self.key.text.len()) as u64 + PREFIX_BYTES;
        let store = &self.zone.store;
        match &mut self.room {
            None => {
                let body = self.meta.body_len.unwrap_or(wanted);
                self.room = Some(store.reserve(body + prefix)?);
            }
            Some(room) if room.bytes() < wanted + prefix => store.grow(room, ROOM_STEP_BYTES.max(wanted))?,
            Some(_) => {}
        }
        if self.room.as_mut().is_some_and(Room::made_way) {
            self.zone.close_gone();
        }
        Ok(())
    }
}

impl Sink for CacheFile {
    fn write(&mut self, chunks: &[Bytes]) -> Result<u64, GaveUp> {
        self.append(chunks).map_err(|error| not_stored(&self.zone, &error))
    }

    fn show(&mut self, chunks: &[Bytes]) -> Option<Shown> {
        let len: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        // A part is found through the list of parts, which is written when its file has its name.
        if self.temp.is_some() || Some(len) > self.zone.largest_body() || self.meta.parts.is_some() {
            return None;
        }
        // A chunk may be a small part of a large read buffer: what is kept gets memory of its own.
        let body = StoredBody::Memory(Bytes::from(chunks.concat()));
        let entry = Arc::new(Entry::shown(&self.incomplete.entry, self.meta.clone(), body));
        self.zone.replace(&self.key, self.digest, Arc::clone(&entry));
        self.permit.give_up_lease();
        Some(Shown { entry, zone: Arc::clone(&self.zone), digest: self.digest })
    }

    fn commit(self: Box<Self>, chunks: &[Bytes], shown: Option<&Arc<Entry>>) -> Result<(), GaveUp> {
        let part = self.meta.parts.is_some().then(|| NewPart {
            zone: Arc::clone(&self.zone),
            key: self.key.clone(),
            meta: self.meta.clone(),
            head: self.head.clone(),
            temp_dir: self.temp_dir.clone(),
        });
        let zone = Arc::clone(&self.zone);
        match self.store(chunks, shown) {
            // As was wished: there is nothing to log.
            Err(NotStored::Store(StoreError::Purged)) => return Err(GaveUp),
            done => done.map_err(|error| not_stored(&zone, &error))?,
        }
        part.map_or(Ok(()), |part| part.note())
    }
}

/// A part whose file has just got its name.
struct NewPart {
    zone: Arc<Zone>,
    key: Key,
    meta: Meta,
    head: Bytes,
    temp_dir: PathBuf,
}

impl NewPart {
    /// Puts it into the list of parts.
    fn note(&self) -> Result<(), GaveUp> {
        let _order = self.zone.in_order(&self.key.parts_digest());
        let part =
            StoredPart { key: &self.key, meta: &self.meta, head: &self.head, temp_dir: Some(&self.temp_dir) };
        self.zone.store.note_part(&part, clock::now()).map_err(|error| not_stored(&self.zone, &error.into()))
    }
}

impl NotStored {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Room(_) => Trouble::Room,
            Self::Format(_) => Trouble::Format,
            Self::Write(_) | Self::Store(_) | Self::Part(_) | Self::Head(_) => Trouble::Write,
        }
    }
}

/// Logs that an answer could not be stored, once a minute; it has gone to whoever asked for it all the same.
pub(super) fn not_stored(zone: &Zone, error: &NotStored) -> GaveUp {
    if let NotStored::Write(error) = error
        && has_no_descriptors(error)
    {
        zone.close_files();
    }
    if let Some(say) = zone.store.complaints().due(error.trouble()) {
        let name = &zone.path.name;
        error_log::write(Level::Crit, format_args!("cache \"{name}\": response is not cached: {error}{say}"));
    }
    GaveUp
}

/// Bytes before the body besides key and head, at most.
const PREFIX_BYTES: u64 = 1024;
