//! Which peers were healthy, for workers that come after a reload or another program's start in our place
//! (`health_check mandatory persistent`).
//!
//! A file without a name that the master opens and all workers inherit, as does a new program. Whoever notes a change appends one short line,
//! which the kernel keeps whole; who comes next reads all of them. A peer that nobody noted is not known to be healthy.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    sync::OnceLock,
};

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};

use super::peer::Health;

static NOTES: OnceLock<File> = OnceLock::new();

/// Bytes of notes that are kept; then they begin anew with what is in force.
const NOTES_BYTES_MAX: u64 = 1 << 20;

/// Opens the file, unless that was done; to be called before workers are forked.
///
/// # Errors
/// The system's.
pub fn open() -> io::Result<()> {
    if NOTES.get().is_none() {
        let file = memfd_create("health", MemfdFlags::CLOEXEC)?;
        fcntl_setfl(&file, OFlags::APPEND)?;
        // Only the master's first thread comes here.
        let _ = NOTES.set(File::from(file));
    }
    Ok(())
}

/// Takes over the file of the program whose place this one takes; to be called before [`open`].
pub fn adopt(notes: OwnedFd) {
    // Only the master's first thread comes here.
    let _ = NOTES.set(File::from(notes));
}

/// Returns the file, for a new program.
pub fn notes() -> Option<&'static File> {
    NOTES.get()
}

/// Peers that were healthy when their checks were heard of last.
#[derive(Debug, Default)]
pub struct Remembered(BTreeSet<String>);

impl Remembered {
    /// Reads what is known.
    ///
    /// # Errors
    /// The system's.
    pub fn read() -> io::Result<Self> {
        let Some(file) = NOTES.get() else { return Ok(Self::default()) };
        let length = file.metadata()?.len();
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut text, 0)?;
        let remembered = Self::of(&String::from_utf8_lossy(&text));
        if length > NOTES_BYTES_MAX {
            file.set_len(0)?;
            let again: String = remembered.0.iter().map(|peer| format!("+{peer}\n")).collect();
            (&*file).write_all(again.as_bytes())?;
        }
        Ok(remembered)
    }

    /// Says whether a peer of a group was healthy.
    pub fn has(&self, group: &str, peer: &str) -> bool {
        self.0.contains(&key(group, peer))
    }

    fn of(text: &str) -> Self {
        let mut healthy = BTreeSet::new();
        for line in text.lines() {
            match line.split_at_checked(1) {
                Some(("+", peer)) => drop(healthy.insert(peer.to_owned())),
                Some((_, peer)) => drop(healthy.remove(peer)),
                None => {}
            }
        }
        Self(healthy)
    }
}

/// Notes what a peer is now.
///
/// # Errors
/// The system's.
pub fn note(group: &str, peer: &str, health: Health) -> io::Result<()> {
    let Some(mut file) = NOTES.get() else { return Ok(()) };
    let sign = match health {
        Health::Healthy => '+',
        Health::Unhealthy => '-',
    };
    file.write_all(format!("{sign}{}\n", key(group, peer)).as_bytes())
}

fn key(group: &str, peer: &str) -> String {
    format!("{group} {peer}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_note_counts() {
        let remembered = Remembered::of("+a 1\n+a 2\n-a 1\n\n-b 1\n+b 1\n");
        let has =
            [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")].map(|(group, peer)| remembered.has(group, peer));
        assert_eq!(has, [false, true, true, false]);
    }
}
