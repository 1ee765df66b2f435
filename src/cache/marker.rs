//! `larder.state`: says in a few lines whether the index may be believed.
//!
//! Commits to the index are not synced, so after a power cut it may be older than the files, or torn. The marker
//! names the kernel's boot and whether the last process stopped cleanly (and so synced); it is read before LMDB
//! maps anything. The decision is the pure function [`verdict`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use config::CachePath;

/// What the last processes to use an index left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) boot: u64,
    pub(crate) stop: Stop,
    pub(crate) coverage: Coverage,
    /// Path and levels of the cache: others put files elsewhere.
    pub(crate) place: String,
    /// What the file of the index was like when the last process stopped cleanly.
    pub(crate) seal: Option<Seal>,
}

/// Tells a file from itself after somebody has changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Seal {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let modified = (found.mtime(), found.mtime_nsec());
        Ok(Self { inode: found.ino(), size: found.size(), modified })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let mut next = || numbers.next();
        Some(Self {
            inode: next()?.parse().ok()?,
            size: next()?.parse().ok()?,
            modified: (next()?.parse().ok()?, next()?.parse().ok()?),
        })
    }
}

/// How the last process ended, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Everything is on the disk.
    Clean,
    /// In use, or killed.
    Unclean,
}

/// Which files have rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// The loader has seen all files.
    Complete,
    /// Files without rows may exist.
    Partial,
}

/// What to do with the index that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Use it; the loader is needed if its coverage is partial.
    Keep(Coverage),
    /// Delete it and let the loader make it anew.
    Rebuild(Reason),
}

/// Why an index is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    FirstStart,
    OtherPlace,
    UncleanStopBeforeReboot,
}

/// Decides whether an index may be used.
pub(crate) fn verdict(found: Option<&Marker>, place: &str, boot: u64) -> Verdict {
    match found {
        None => Verdict::Rebuild(Reason::FirstStart),
        Some(marker) if marker.place != place => Verdict::Rebuild(Reason::OtherPlace),
        // Killing processes loses no commit: the kernel has it. Only a reboot does.
        Some(marker) if marker.stop == Stop::Unclean && marker.boot != boot => {
            Verdict::Rebuild(Reason::UncleanStopBeforeReboot)
        }
        Some(marker) => Verdict::Keep(marker.coverage),
    }
}

/// Path and levels of a cache in one line.
pub(crate) fn place_of(zone: &CachePath) -> String {
    let levels: Vec<_> = zone.levels.iter().map(u8::to_string).collect();
    format!("{} {}", levels.join(":"), zone.path.display())
}

impl Marker {
    /// Reads the marker; one that is missing or unreadable says nothing.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut value = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let boot = u64::from_str_radix(value("boot")?, 16).ok()?;
        let stop = if value("stop")? == "clean" { Stop::Clean } else { Stop::Unclean };
        let coverage = if value("index")? == "complete" { Coverage::Complete } else { Coverage::Partial };
        let place = value("place")?.to_owned();
        Some(Self { boot, stop, coverage, place, seal: value("seal").and_then(Seal::parse) })
    }

    /// Replaces the marker, on the disk and not only in the kernel's memory.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let stop = match self.stop {
            Stop::Clean => "clean",
            Stop::Unclean => "unclean",
        };
        let coverage = match self.coverage {
            Coverage::Complete => "complete",
            Coverage::Partial => "partial",
        };
        let fresh = path.with_extension("state.new");
        let mut file = File::create(&fresh)?;
        writeln!(file, "boot {:016x}\nstop {stop}\nindex {coverage}\nplace {}", self.boot, self.place)?;
        if let Some(Seal { inode, size, modified: (seconds, nanoseconds) }) = self.seal {
            writeln!(file, "seal {inode} {size} {seconds} {nanoseconds}")?;
        }
        file.sync_all()?;
        fs::rename(&fresh, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(boot: u64, stop: Stop, coverage: Coverage) -> Marker {
        Marker { boot, stop, coverage, place: "1:2 /cache".to_owned(), seal: None }
    }

    #[test]
    fn verdicts() {
        use Coverage::*;
        use Reason::*;
        use Verdict::*;
        let cases = [
            ("no marker", None, Rebuild(FirstStart)),
            ("killed, same boot", Some(marker(7, Stop::Unclean, Complete)), Keep(Complete)),
            ("killed, the loader too", Some(marker(7, Stop::Unclean, Partial)), Keep(Partial)),
            ("clean, other boot", Some(marker(6, Stop::Clean, Complete)), Keep(Complete)),
            (
                "killed, other boot",
                Some(marker(6, Stop::Unclean, Complete)),
                Rebuild(UncleanStopBeforeReboot),
            ),
        ];
        for (name, found, wanted) in cases {
            assert_eq!(verdict(found.as_ref(), "1:2 /cache", 7), wanted, "{name}");
        }
        let elsewhere = marker(7, Stop::Clean, Complete);
        assert_eq!(verdict(Some(&elsewhere), "1:1 /cache", 7), Rebuild(OtherPlace));
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.state");
        assert_eq!(Marker::read(&path), None);
        for stop in [Stop::Clean, Stop::Unclean] {
            for seal in [None, Some(Seal { inode: 7, size: 4096, modified: (-1, 999_999_999) })] {
                let written = Marker { seal, ..marker(0xfeed, stop, Coverage::Partial) };
                written.write(&path).unwrap();
                assert_eq!(Marker::read(&path), Some(written));
            }
        }
        fs::write(&path, "boot x\n").unwrap();
        assert_eq!(Marker::read(&path), None);
    }
}
