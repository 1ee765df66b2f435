//! `larder cache verify`: whether files are what was stored, and the index knows them.
//!
//! Each file is read whole: its name must be that of its key, its body as long as stated, and where it states a checksum
//! that must be right. Then files and index are compared both ways. With `--repair` what is wrong goes: damaged files are
//! removed, and the index is made to agree with the rest.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

use cache::{Digest, Durability, Role, Zone, path_of};
use config::CachePath;
use crc32fast::Hasher;
use serde_json::json;

use super::{
    Failure, Verdict,
    files::{CachedFile, Found, walk},
    report::{Output, Progress, put, tell},
};
use crate::clock;

/// What becomes of what is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repair {
    /// It is told.
    #[default]
    No,
    /// It is put right.
    Yes,
}

/// Read of a file at a time.
const STEP_BYTES: usize = 256 << 10;

/// Looks through caches.
pub fn verify(caches: &[Arc<CachePath>], repair: Repair, output: Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Good;
    for conf in caches {
        let zone = Zone::open(conf, Role::Tool)?;
        let mut look = Look { zone: &zone, repair, output, files: 0, problems: 0 };
        let unlisted = look.files(conf)?;
        look.unlisted(&unlisted)?;
        look.index()?;
        zone.flush(Durability::Committed);
        let Look { files, problems, .. } = look;
        tell(
            output,
            || format!("cache \"{}\": {files} files looked at, {problems} problems", conf.name),
            || json!({ "zone": conf.name, "files": files, "problems": problems }),
        )?;
        if problems > 0 && repair == Repair::No {
            verdict = Verdict::Bad;
        }
    }
    Ok(verdict)
}

struct Look<'a> {
    zone: &'a Zone,
    repair: Repair,
    output: Output,
    files: u64,
    problems: u64,
}

impl Look<'_> {
    /// Reads all files, and returns those that the index lacks.
    fn files(&mut self, conf: &CachePath) -> Result<Vec<Digest>, Failure> {
        let mut progress = Progress::new("files");
        let mut unlisted = Vec::new();
        let _: ControlFlow<()> = walk(conf, &mut |found| {
            progress.step();
            self.files += 1;
            match found {
                Found::Damaged { path, digest, why } => self.damaged(&path, &digest, &why.to_string())?,
                Found::Answer(file) if path_of(conf, &file.digest) != file.path => {
                    self.misplaced(&file.path)?
                }
                Found::Answer(file) => match problem(&file)? {
                    Some(why) => self.damaged(&file.path, &file.digest, why)?,
                    None if self.is_listed(&file.digest)? => {}
                    None => unlisted.push(file.digest),
                },
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(unlisted)
    }

    fn is_listed(&self, digest: &Digest) -> io::Result<bool> {
        self.zone.lists(digest).map_err(io::Error::other)
    }

    /// Looks again at files without a row: a server may just have stored them.
    fn unlisted(&mut self, digests: &[Digest]) -> Result<(), Failure> {
        for digest in digests {
            let path = path_of(self.zone.conf(), digest);
            let Ok(metadata) = path.metadata() else { continue };
            if self.is_listed(digest)? {
                continue;
            }
            self.problem(&path, "is not in the index")?;
            if self.repair == Repair::Yes {
                self.zone.adopt(digest, metadata.len(), clock::now());
            }
        }
        Ok(())
    }

    /// Looks for rows without a file.
    fn index(&mut self) -> Result<(), Failure> {
        let mut last: Option<Digest> = None;
        while let Some(digest) = self.zone.next_listed(last.as_ref())? {
            let path = path_of(self.zone.conf(), &digest);
            // A server may just have removed both.
            if !path.exists() && self.zone.lists(&digest)? {
                self.problem(&path, "is in the index, but not there")?;
                self.mend(&digest);
            }
            last = Some(digest);
        }
        Ok(())
    }

    fn damaged(&mut self, path: &Path, digest: &Digest, why: &str) -> io::Result<()> {
        self.problem(path, why)?;
        self.mend(digest);
        Ok(())
    }

    fn misplaced(&mut self, path: &Path) -> io::Result<()> {
        self.problem(path, "is where no key leads: stored with other levels")?;
        match self.repair {
            Repair::Yes => std::fs::remove_file(path),
            Repair::No => Ok(()),
        }
    }

    fn mend(&self, digest: &Digest) {
        if self.repair == Repair::Yes {
            self.zone.remove(digest);
        }
    }

    fn problem(&mut self, path: &Path, what: &str) -> io::Result<()> {
        self.problems += 1;
        let done = if self.repair == Repair::Yes { " (put right)" } else { "" };
        tell(
            self.output,
            || format!("\"{}\" {what}{done}", path.display()),
            || {
                let mut facts = json!({ "problem": what, "repaired": !done.is_empty() });
                put(&mut facts, "file", path.as_os_str().as_encoded_bytes());
                facts
            },
        )
    }
}

/// Reads a whole file, and says what is wrong with it.
fn problem(file: &CachedFile) -> io::Result<Option<&'static str>> {
    let meta = &file.meta;
    if meta.body_len.is_some_and(|stated| stated != file.body_len()) {
        return Ok(Some("is not as long as it says"));
    }
    let mut opened = match File::open(&file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    opened.seek(SeekFrom::Start(u64::from(meta.body_start)))?;
    let mut sum = Hasher::new();
    sum.update(&file.head);
    let mut buffer = vec![0; STEP_BYTES];
    loop {
        match opened.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => sum.update(&buffer[..count]),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(Some("cannot be read")),
            Err(error) => return Err(error),
        }
    }
    let is_right = meta.body_sum.is_none_or(|stated| stated == sum.finalize());
    Ok((!is_right).then_some("does not have the checksum that it states"))
}
