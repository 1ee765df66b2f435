//! Whether the file of an index is one: LMDB believes its pages, and a process that maps damaged ones dies.
//!
//! Reads the file instead of mapping it, and follows everything LMDB would follow: both meta pages, the list of free
//! pages, the trees with their nodes, keys and large values. A file that passes cannot lead LMDB out of itself, nor to a
//! page that has two uses. Whether rows are true is not asked: the files of the cache say that.
//!
//! The layout is LMDB 0.9's on 64-bit little-endian machines, the only one that the cache is for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use thiserror::Error;

const PAGE_HEAD: usize = 16;
const NODE_HEAD: usize = 8;
const META_BYTES: usize = PAGE_HEAD + 136;
const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
const NO_PAGE: u64 = u64::MAX;
/// LMDB's longest path from a root to a leaf.
const DEEPEST: u16 = 32;

const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const META: u16 = 8;

/// Numbers as keys, and that the environment is one file: LMDB keeps what is true of all of it there.
const FREE_FLAGS: u16 = 0x4008;

const LARGE: u16 = 1;
const SUBTREE: u16 = 2;

/// Why a file is no index.
#[derive(Debug, Error)]
pub(crate) enum Damage {
    /// What it says is impossible.
    #[error("{0}")]
    Content(&'static str),
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

type Checked<T> = Result<T, Damage>;

/// What must be so.
trait Demand {
    /// Goes on where it is.
    fn or_damaged(self, what: &'static str) -> Checked<()>;
}

impl Demand for bool {
    fn or_damaged(self, what: &'static str) -> Checked<()> {
        if self { Ok(()) } else { Err(Damage::Content(what)) }
    }
}

/// Checks the meta pages alone: without them the file cannot even be opened. One that is empty or not there is fine.
pub(crate) fn metas(path: &Path) -> Checked<()> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => Book::open(file?).map(drop),
    }
}

/// Checks all of it. Nothing may be written meanwhile, or a reader must keep its last state from being reused.
pub(crate) fn whole(path: &Path) -> Checked<()> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => match Book::open(file?)? {
            Some(mut book) => book.check(),
            None => Ok(()),
        },
    }
}

/// A tree as its parent describes it.
#[derive(Clone, Copy)]
struct Tree {
    flags: u16,
    depth: u16,
    entries: u64,
    root: u64,
}

impl Tree {
    const BYTES: usize = 48;

    fn read(bytes: &[u8]) -> Self {
        Self {
            flags: u16_at(bytes, 4),
            depth: u16_at(bytes, 6),
            entries: u64_at(bytes, 32),
            root: u64_at(bytes, 40),
        }
    }
}

/// What the values of a tree are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Lists of free pages, under numbers.
    Free,
    /// Descriptions of trees, by name.
    Trees,
    Rows,
}

/// The file, its last state, and which pages have been met.
struct Book {
    file: File,
    page_bytes: usize,
    pages: u64,
    met: Vec<u64>,
    free: Tree,
    main: Tree,
}

impl Book {
    /// Reads the meta pages; nothing where the file is empty.
    fn open(file: File) -> Checked<Option<Self>> {
        let file_bytes = file.metadata()?.len();
        if file_bytes == 0 {
            return Ok(None);
        }
        let first = Meta::read(&file, 0)?;
        let second = Meta::read(&file, first.page_bytes)?;
        (first.page_bytes == second.page_bytes).or_damaged("its meta pages differ")?;
        let last = if second.txn > first.txn { second } else { first };
        let page_bytes = last.page_bytes;
        (last.last_page < super::MAP_BYTES as u64 / page_bytes)
            .or_damaged("it says that it is larger than it can be")?;
        let met =
            vec![0; usize::try_from((last.last_page + 64) / 64).expect("bounded by the size of the map")];
        let page_bytes = usize::try_from(page_bytes).expect("at most 64 KiB");
        let (pages, free, main) = (last.last_page + 1, last.free, last.main);
        Ok(Some(Self { file, page_bytes, pages, met, free, main }))
    }

    fn check(&mut self) -> Checked<()> {
        // Where the system does not heed it, the pages come one by one.
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
        self.meet(0, 2)?;
        self.tree(self.free, Values::Free)?;
        self.tree(self.main, Values::Trees)
    }

    /// Notes that pages are in use; none may be in use twice.
    fn meet(&mut self, first: u64, count: u64) -> Checked<()> {
        let end = first.checked_add(count).filter(|end| *end <= self.pages);
        let end = end.ok_or(Damage::Content("a page lies behind its end"))?;
        for page in first..end {
            let word = &mut self.met[usize::try_from(page / 64).expect("bounded by the size of the map")];
            (*word & 1 << (page % 64) == 0).or_damaged("a page has two uses")?;
            *word |= 1 << (page % 64);
        }
        Ok(())
    }

    fn page(&self, number: u64, kind: u16) -> Checked<Vec<u8>> {
        let mut page = vec![0; self.page_bytes];
        self.file.read_exact_at(&mut page, number * self.page_bytes as u64).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => Damage::Content("it is cut short"),
                _ => Damage::Io(error),
            }
        })?;
        // A flag that is for memory only would have LMDB write into its map.
        (u64_at(&page, 0) == number && u16_at(&page, 10) == kind)
            .or_damaged("a page is not what it should be")?;
        Ok(page)
    }

    fn tree(&mut self, tree: Tree, values: Values) -> Checked<()> {
        let flags = if values == Values::Free { FREE_FLAGS } else { 0 };
        (tree.flags == flags).or_damaged("a tree is of a kind that is not used")?;
        if tree.root == NO_PAGE {
            return (tree.entries == 0).or_damaged("an empty tree has entries");
        }
        (1..=DEEPEST).contains(&tree.depth).or_damaged("a tree has an impossible depth")?;
        let mut walk = Walk { values, entries: 0, last: Vec::new() };
        self.branch(tree.root, tree.depth, &mut walk)?;
        (walk.entries == tree.entries).or_damaged("a tree has other entries than it says")
    }

    /// Checks a page of a tree that is so far from its leaves, and all below.
    fn branch(&mut self, number: u64, depth: u16, walk: &mut Walk) -> Checked<()> {
        self.meet(number, 1)?;
        let page = self.page(number, if depth == 1 { LEAF } else { BRANCH })?;
        let (lower, upper) = (usize::from(u16_at(&page, 12)), usize::from(u16_at(&page, 14)));
        let fits = lower >= PAGE_HEAD && lower.is_multiple_of(2) && lower <= upper && upper <= page.len();
        fits.or_damaged("a page has impossible bounds")?;
        let count = (lower - PAGE_HEAD) / 2;
        // LMDB relies on two ways to go, but for the list of free pages, where it knows better.
        let least = if depth == 1 || walk.values == Values::Free { 1 } else { 2 };
        (count >= least).or_damaged("a page has too few entries")?;
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let at = usize::from(u16_at(&page, PAGE_HEAD + 2 * index));
            (at >= upper && at + NODE_HEAD <= page.len()).or_damaged("an entry lies outside of its page")?;
            let node = Node::read(&page, at)?;
            if depth == 1 {
                self.leaf(&node, walk)?;
                places.push((at, node.bytes_in_leaf()));
            } else {
                self.branch(node.child, depth - 1, walk)?;
                places.push((at, node.bytes_in_branch()));
            }
        }
        (fill(places, upper) == Some(page.len())).or_damaged("entries of a page overlap")
    }

    fn leaf(&mut self, node: &Node<'_>, walk: &mut Walk) -> Checked<()> {
        walk.meet(node.key)?;
        let wanted = if walk.values == Values::Trees { SUBTREE } else { 0 };
        (node.flags & !LARGE == wanted).or_damaged("an entry is not what it should be")?;
        let large;
        let value = if node.flags & LARGE == 0 {
            node.rest.get(..node.value_bytes).ok_or(Damage::Content("a value lies outside of its page"))?
        } else {
            let first = node.rest.first_chunk().ok_or(Damage::Content("a value lies outside of its page"))?;
            large = self.overflow(u64::from_le_bytes(*first), node.value_bytes)?;
            &large[..]
        };
        match walk.values {
            Values::Rows => Ok(()),
            Values::Trees => {
                (value.len() == Tree::BYTES).or_damaged("a tree is not described")?;
                self.tree(Tree::read(value), Values::Rows)
            }
            Values::Free => self.free_list(value),
        }
    }

    /// Reads a value that has pages of its own.
    fn overflow(&mut self, number: u64, value_bytes: usize) -> Checked<Vec<u8>> {
        let count = (PAGE_HEAD + value_bytes).div_ceil(self.page_bytes);
        self.meet(number, count as u64)?;
        let page = self.page(number, OVERFLOW)?;
        (u32_at(&page, 12) as usize == count).or_damaged("a large value has an impossible length")?;
        let mut value = vec![0; value_bytes];
        let at = number * self.page_bytes as u64 + PAGE_HEAD as u64;
        self.file.read_exact_at(&mut value, at).map_err(|_| Damage::Content("it is cut short"))?;
        Ok(value)
    }

    /// A count, and as many pages, each smaller than the one before.
    fn free_list(&mut self, list: &[u8]) -> Checked<()> {
        let mut numbers = list.chunks_exact(8).map(|number| u64_at(number, 0));
        let count = numbers.next().unwrap_or(NO_PAGE);
        (list.len().is_multiple_of(8) && count <= numbers.len() as u64)
            .or_damaged("a list of free pages is too short")?;
        let mut last = NO_PAGE;
        for number in numbers.take(usize::try_from(count).expect("it was compared with a length")) {
            (number < last).or_damaged("a list of free pages is not in order")?;
            last = number;
            self.meet(number, 1)?;
        }
        Ok(())
    }
}

/// Where entries end that begin at `from` and lie one behind the other; nothing where they do not.
fn fill(mut places: Vec<(usize, usize)>, from: usize) -> Option<usize> {
    places.sort_unstable();
    places.into_iter().try_fold(from, |end, (at, bytes)| (at == end).then_some(end + bytes))
}

/// A walk over one tree.
struct Walk {
    values: Values,
    entries: u64,
    /// The last key; none is empty.
    last: Vec<u8>,
}

impl Walk {
    /// Takes the next key, which must be behind the last one.
    fn meet(&mut self, key: &[u8]) -> Checked<()> {
        self.entries += 1;
        (!key.is_empty()).or_damaged("a key is empty")?;
        if self.values == Values::Free {
            return (key.len() == 8).or_damaged("a list of free pages has no number");
        }
        (self.last.as_slice() < key).or_damaged("keys are not in order")?;
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }
}

/// An entry of a page.
struct Node<'a> {
    flags: u16,
    /// For a branch: the page below.
    child: u64,
    value_bytes: usize,
    key: &'a [u8],
    /// The page from behind the key on.
    rest: &'a [u8],
}

impl<'a> Node<'a> {
    fn read(page: &'a [u8], at: usize) -> Checked<Self> {
        let (low, flags) = (u32_at(page, at), u16_at(page, at + 4));
        let rest = &page[at + NODE_HEAD..];
        let key_bytes = usize::from(u16_at(page, at + 6));
        let split = rest.split_at_checked(key_bytes);
        let (key, rest) = split.ok_or(Damage::Content("a key lies outside of its page"))?;
        let child = u64::from(low) | u64::from(flags) << 32;
        Ok(Self { flags, child, value_bytes: low as usize, key, rest })
    }

    fn bytes_in_branch(&self) -> usize {
        (NODE_HEAD + self.key.len()).next_multiple_of(2)
    }

    fn bytes_in_leaf(&self) -> usize {
        let value_bytes = if self.flags & LARGE == 0 { self.value_bytes } else { 8 };
        (NODE_HEAD + self.key.len() + value_bytes).next_multiple_of(2)
    }
}

/// One of the two pages that say where everything is.
struct Meta {
    page_bytes: u64,
    free: Tree,
    main: Tree,
    last_page: u64,
    txn: u64,
}

impl Meta {
    fn read(file: &File, at: u64) -> Checked<Self> {
        let mut bytes = [0; META_BYTES];
        file.read_exact_at(&mut bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::Content("it is cut short"),
            _ => Damage::Io(error),
        })?;
        (u16_at(&bytes, 10) == META).or_damaged("it has no meta page")?;
        let meta = &bytes[PAGE_HEAD..];
        (u32_at(meta, 0) == MAGIC && u32_at(meta, 4) == VERSION).or_damaged("it has no meta page")?;
        // The description of the first tree has the size of a page where others have nothing.
        let page_bytes = u64::from(u32_at(meta, 24));
        let is_size = page_bytes.is_power_of_two() && (512..=65_536).contains(&page_bytes);
        is_size.or_damaged("it has pages of an impossible size")?;
        let (free, main) = (Tree::read(&meta[24..]), Tree::read(&meta[24 + Tree::BYTES..]));
        Ok(Self { page_bytes, free, main, last_page: u64_at(meta, 120), txn: u64_at(meta, 128) })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
