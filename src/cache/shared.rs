//! What the processes that use one cache share without a lock and without a system call: `larder.shared`, mapped by each.
//!
//! - generations: counters that move when a file is removed, replaced or rewritten, so that a hit served
//!   from memory costs two atomic loads to know that its file is still the one it was; a purge moves all of them;
//! - processes: who is alive, and how many bytes each has reserved for fills;
//! - leases (see [`crate::lease`]) and the totals of the index, as the last writer left them.
//!
//! Why not LMDB: its last transaction id moves with every touch and insert, which would send each hit to the
//! disk; and a lease in it would cost two index writes per fill. Nothing here is the truth about
//! a file. Losing it costs a second look at the disk or a second fill, never a wrong answer. What names a process
//! lapses with that process. Where somebody removes the file, each process moves to the next one that has its name, and
//! takes along what it has there.

#![expect(unsafe_code, reason = "the one place where the mapped file becomes a reference to its atomics")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FallocateFlags, fallocate};
use parking_lot::{Mutex, RwLock};

use crate::key::Digest;
use crate::process::Owner;

/// Processes that may use a cache at a time: generations of workers, managers, loaders.
const PROCESSES: usize = 256;
/// A removal makes readers look again at one in this many entries.
const GENERATIONS: usize = 4096;
pub(crate) const LEASES: usize = 8192;

/// The file's content. All of it is atomics, for which any bytes are valid and zeros mean "nothing".
#[repr(C)]
struct Layout {
    /// Tells another layout, or another boot, apart: owners of another boot say nothing.
    stamp: AtomicU64,
    /// One once the loader has seen all files.
    warm: AtomicU64,
    entries: AtomicU64,
    stored_bytes: AtomicU64,
    /// Counts purges: part of each generation.
    every_generation: AtomicU64,
    /// The number of the last purge.
    purged: AtomicU64,
    processes: [ProcessSlot; PROCESSES],
    generations: [AtomicU64; GENERATIONS],
    leases: [AtomicU64; LEASES],
}

#[repr(C)]
struct ProcessSlot {
    owner: AtomicU64,
    reserved_bytes: AtomicU64,
}

impl Layout {
    /// Takes a place for a process.
    fn enter(&self, owner: Owner, reserved: u64) -> io::Result<usize> {
        let free = self.processes.iter().position(|slot| slot.owner.load(Ordering::Acquire) == 0);
        let index = free.ok_or_else(|| io::Error::other("too many processes use this cache"))?;
        self.processes[index].reserved_bytes.store(reserved, Ordering::Relaxed);
        self.processes[index].owner.store(owner.bits(), Ordering::Release);
        Ok(index)
    }

    /// Frees the places of processes that were killed: what they left must not pass for a successor's.
    fn bury_dead(&self) -> Predecessors {
        let mut found = Predecessors::LeftInOrder;
        for (index, slot) in self.processes.iter().enumerate() {
            let owner = slot.owner.load(Ordering::Acquire);
            if owner != 0 && !is_living(owner) {
                let leases =
                    self.leases.iter().filter(|lease| lease.load(Ordering::Relaxed) >> 56 == index as u64);
                leases.for_each(|lease| lease.store(0, Ordering::Relaxed));
                slot.owner.store(0, Ordering::Release);
                found = Predecessors::Killed;
            }
        }
        found
    }
}

/// The mapped file, and this process's place in it.
pub(crate) struct Shared {
    layout: AtomicPtr<Layout>,
    slot: AtomicUsize,
    owner: Owner,
    boot: u64,
    /// Held where bytes are reserved or given back, and alone where the file changes.
    moves: RwLock<()>,
    mapped: Mutex<Mapped>,
}

/// What was mapped so far: somebody may still be looking at it.
struct Mapped {
    maps: Vec<MmapRaw>,
    /// The last file; nothing for memory of this process alone.
    file: Option<(u64, u64)>,
}

impl Shared {
    /// Maps the file and enters this process. The caller holds the directory's lock.
    pub(crate) fn open(path: &Path, boot: u64) -> io::Result<(Self, Predecessors)> {
        let (map, file, _) = map_stamped(path, boot)?;
        let predecessors = layout_of(&map).bury_dead();
        Ok((Self::entered(map, Some(file), boot)?, predecessors))
    }

    /// Makes a table for this process alone, where there can be no file: what others remove it then learns by looking.
    pub(crate) fn private(boot: u64) -> io::Result<(Self, Predecessors)> {
        let map = MmapOptions::new().len(size_of::<Layout>()).map_anon()?;
        Ok((Self::entered(map.into(), None, boot)?, Predecessors::LeftInOrder))
    }

    fn entered(map: MmapRaw, file: Option<(u64, u64)>, boot: u64) -> io::Result<Self> {
        let owner = Owner::current();
        Ok(Self {
            slot: AtomicUsize::new(layout_of(&map).enter(owner, 0)?),
            layout: AtomicPtr::new(map.as_mut_ptr().cast()),
            owner,
            boot,
            moves: RwLock::new(()),
            mapped: Mutex::new(Mapped { maps: vec![map], file }),
        })
    }

    /// Whether the file that is mapped still has its name. One look at the file system.
    pub(crate) fn is_in_place(&self, path: &Path) -> bool {
        let found = fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        found.is_some() && found == self.mapped.lock().file
    }

    /// Moves to the file that has the name now, or to a new one. The caller holds the directory's lock.
    ///
    /// What was read of the old one holds no longer: each generation is higher than all were. Leases of the old one lapse.
    pub(crate) fn move_to(&self, path: &Path) -> io::Result<()> {
        let (map, file, age) = map_stamped(path, self.boot)?;
        let _alone = self.moves.write();
        let (old, new) = (self.layout(), layout_of(&map));
        new.bury_dead();
        let slot = new.enter(self.owner, self.own_slot().reserved_bytes.load(Ordering::Acquire))?;
        if age == Age::New {
            new.warm.store(old.warm.load(Ordering::Acquire), Ordering::Release);
            new.entries.store(old.entries.load(Ordering::Acquire), Ordering::Release);
            new.stored_bytes.store(old.stored_bytes.load(Ordering::Acquire), Ordering::Release);
        }
        let highest = old.generations.iter().map(|generation| generation.load(Ordering::Acquire)).max();
        let every = old.every_generation.load(Ordering::Acquire) + highest.unwrap_or(0) + 1;
        new.every_generation.fetch_max(every, Ordering::AcqRel);
        new.purged.fetch_max(old.purged.load(Ordering::Acquire), Ordering::AcqRel);
        self.leave();
        let mut mapped = self.mapped.lock();
        self.layout.store(map.as_mut_ptr().cast(), Ordering::Release);
        self.slot.store(slot, Ordering::Release);
        mapped.maps.push(map);
        mapped.file = Some(file);
        Ok(())
    }

    /// Gives this process's place up, in order. What it still holds (rooms, leases) does not count any more.
    pub(crate) fn leave(&self) {
        // Once only: the place may be another's by then.
        let own = self.owner.bits();
        let _ = self.own_slot().owner.compare_exchange(own, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn layout(&self) -> &Layout {
        // SAFETY: as in `layout_of`: the pointer is that of a mapping in `mapped`, which lives as long as `self`.
        unsafe { &*self.layout.load(Ordering::Acquire) }
    }

    /// A number that moves when the file of this digest may have gone, or become another.
    pub(crate) fn generation(&self, digest: &Digest) -> u64 {
        let layout = self.layout();
        let own = layout.generations[generation_of(digest)].load(Ordering::Acquire);
        own.wrapping_add(layout.every_generation.load(Ordering::Acquire))
    }

    /// Tells every process to look at the file of this digest again. Called after the file has changed.
    pub(crate) fn advance(&self, digest: &Digest) {
        self.layout().generations[generation_of(digest)].fetch_add(1, Ordering::AcqRel);
    }

    /// How often [`Shared::publish_purge`] has moved all generations.
    pub(crate) fn purges(&self) -> u64 {
        self.layout().every_generation.load(Ordering::Acquire)
    }

    /// The number of the last purge.
    pub(crate) fn purged(&self) -> u64 {
        self.layout().purged.load(Ordering::Acquire)
    }

    /// Makes a purge known: whoever sees a generation move after it finds its number.
    pub(crate) fn publish_purge(&self, number: u64) {
        self.layout().purged.fetch_max(number, Ordering::AcqRel);
        self.layout().every_generation.fetch_add(1, Ordering::AcqRel);
    }

    /// A number that moves whenever a generation does.
    pub(crate) fn moves(&self) -> u64 {
        let layout = self.layout();
        let own = layout.generations.iter().map(|generation| generation.load(Ordering::Relaxed));
        own.fold(layout.every_generation.load(Ordering::Relaxed), u64::wrapping_add)
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.layout().warm.load(Ordering::Acquire) != 0
    }

    pub(crate) fn set_warm(&self, warm: Warmth) {
        self.layout().warm.store(u64::from(warm == Warmth::Warm), Ordering::Release);
    }

    /// Entries and bytes in the index, as of its last commit.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let layout = self.layout();
        (layout.entries.load(Ordering::Acquire), layout.stored_bytes.load(Ordering::Acquire))
    }

    /// Only the holder of the index's write transaction may call this.
    pub(crate) fn set_totals(&self, entries: u64, stored_bytes: u64) {
        self.layout().entries.store(entries, Ordering::Release);
        self.layout().stored_bytes.store(stored_bytes, Ordering::Release);
    }

    pub(crate) fn reserve(&self, bytes: u64) {
        let _here = self.moves.read();
        self.own_slot().reserved_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        let _here = self.moves.read();
        self.own_slot().reserved_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Bytes reserved by every living process. One that died keeps its place, but none of its bytes, until another enters there.
    pub(crate) fn reserved(&self) -> u64 {
        let own = self.slot.load(Ordering::Acquire);
        let slots = self.layout().processes.iter().enumerate();
        let bytes = slots.map(|(index, slot)| {
            let bytes = slot.reserved_bytes.load(Ordering::Acquire);
            let counts = bytes == 0 || index == own || is_living(slot.owner.load(Ordering::Acquire));
            if counts { bytes } else { 0 }
        });
        bytes.sum()
    }

    /// Whether another living process uses this cache.
    pub(crate) fn has_others(&self) -> bool {
        let own = self.slot.load(Ordering::Acquire);
        let others = self.layout().processes.iter().enumerate().filter(|(index, _)| *index != own);
        others.map(|(_, slot)| slot.owner.load(Ordering::Acquire)).any(is_living)
    }

    pub(crate) fn leases(&self) -> &[AtomicU64; LEASES] {
        &self.layout().leases
    }

    /// This process.
    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// This process's place, as leases name it.
    pub(crate) fn slot(&self) -> u8 {
        u8::try_from(self.slot.load(Ordering::Acquire)).expect("there are 256 places")
    }

    pub(crate) fn slot_is_living(&self, slot: u8) -> bool {
        is_living(self.layout().processes[usize::from(slot)].owner.load(Ordering::Acquire))
    }

    fn own_slot(&self) -> &ProcessSlot {
        &self.layout().processes[self.slot.load(Ordering::Acquire)]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.leave();
    }
}

/// How those who used the cache before have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predecessors {
    LeftInOrder,
    /// Files whose rows were queued may have none, and files whose rows are gone may have stayed.
    Killed,
}

/// Whether the loader has seen all files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warmth {
    Cold,
    Warm,
}

fn is_living(owner: u64) -> bool {
    Owner::from_bits(owner).is_some_and(|owner| owner.is_alive())
}

fn generation_of(digest: &Digest) -> usize {
    usize::from(u16::from_le_bytes([digest[0], digest[1]])) % GENERATIONS
}

fn layout_of(map: &MmapRaw) -> &Layout {
    // SAFETY: the mapping is page-aligned, at least as long as Layout (`map` sees to it, and the blocks
    // are allocated, so that no access meets a full disk), lives as long as the reference, and holds only atomics.
    unsafe { &*map.as_ptr().cast::<Layout>() }
}

/// Whether a file had been there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    New,
    Old,
}

/// Maps the file of this boot, and says which it is.
fn map_stamped(path: &Path, boot: u64) -> io::Result<(MmapRaw, (u64, u64), Age)> {
    let stamp = boot ^ (size_of::<Layout>() as u64);
    let (found, file) = map(path)?;
    if layout_of(&found).stamp.load(Ordering::Acquire) == stamp {
        return Ok((found, file, Age::Old));
    }
    // Nobody of this boot can be using it: start from zeros, in a file of its own.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (new, file) = map(path)?;
    layout_of(&new).stamp.store(stamp, Ordering::Release);
    Ok((new, file, Age::New))
}

fn map(path: &Path) -> io::Result<(MmapRaw, (u64, u64))> {
    let mut options = OpenOptions::new();
    let file: File = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    allocate(&file, size_of::<Layout>())?;
    let found = file.metadata()?;
    Ok((MmapRaw::map_raw(&file)?, (found.dev(), found.ino())))
}

/// Makes a file that is going to be mapped at least so large, with blocks for all of it: a store to a hole on a full disk
/// would kill the process with SIGBUS.
pub(crate) fn allocate(file: &File, size: usize) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size as libc::off_t) {
        // A file system that cannot promise blocks gets a file of zeros.
        Err(nix::errno::Errno::EOPNOTSUPP) if file.metadata()?.len() < size as u64 => write_zeros(file, size),
        Err(nix::errno::Errno::EOPNOTSUPP) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(mut file: &File, size: usize) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), size as u64), &mut file).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: Digest = [7; 16];

    #[test]
    fn processes_meet_again_in_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.shared");
        let open = || Shared::open(&path, 1).unwrap().0;
        let (one, two) = (open(), open());
        one.set_warm(Warmth::Warm);
        one.set_totals(3, 4096);
        one.reserve(1000);
        one.publish_purge(5);
        (0..9).for_each(|_| one.advance(&DIGEST));
        let seen = one.generation(&DIGEST);
        fs::remove_file(&path).unwrap();
        assert!(!one.is_in_place(&path));
        // Somebody else comes before the two have noticed.
        let three = open();
        three.publish_purge(4);
        one.move_to(&path).unwrap();
        assert!(one.is_in_place(&path) && !two.is_in_place(&path));
        assert!(one.generation(&DIGEST) > seen && three.reserved() == 1000);
        assert_eq!(
            (three.purged(), three.is_warm()),
            (5, false),
            "whoever made the file knows what it holds"
        );
        two.publish_purge(6);
        two.move_to(&path).unwrap();
        assert_eq!(one.purged(), 6);
        one.give_back(1000);
        assert_eq!(two.reserved(), 0);
        drop((two, three));
        assert_eq!(
            one.layout().processes.iter().filter(|slot| slot.owner.load(Ordering::Relaxed) != 0).count(),
            1
        );
    }

    #[test]
    fn the_first_to_notice_takes_along_what_all_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.shared");
        let (alone, _) = Shared::private(1).unwrap();
        alone.set_warm(Warmth::Warm);
        alone.set_totals(3, 4096);
        alone.move_to(&path).unwrap();
        let (other, _) = Shared::open(&path, 1).unwrap();
        assert_eq!((other.is_warm(), other.totals()), (true, (3, 4096)));
    }
}
