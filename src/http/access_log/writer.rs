//! The thread that writes all access logs of the process.
//!
//! It sleeps until a line is due and then writes whatever has gathered; after that it rests for some
//! milliseconds, so that under load a wake-up costs nobody anything and one write takes many lines.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::file::{Due, Gather, LogFile, append_once};

/// Pause between two rounds of writing: lines of the same moment share a write, and nobody who looks on notices.
const REST: Duration = Duration::from_millis(10);
/// Bytes that may gather for files named by variables; requests wait beyond.
const NAMED_MAX_BYTES: usize = 4 << 20;

/// Writes access logs.
#[derive(Default)]
pub(super) struct Writer {
    files: Mutex<Vec<Arc<LogFile>>>,
    named: Mutex<Named>,
    room: Condvar,
    /// Held while lines of named files are written, which keeps their order.
    writing_named: Mutex<()>,
    thread: OnceLock<Thread>,
    stopping: AtomicBool,
}

/// Lines for files whose names are made for each line.
#[derive(Default)]
struct Named {
    lines: HashMap<PathBuf, Vec<u8>>,
    bytes: usize,
}

impl Writer {
    /// Opens a file, or finds it where it is open already.
    pub(super) fn open(&self, path: &Path, gather: Gather) -> io::Result<Arc<LogFile>> {
        let mut files = self.files.lock();
        if let Some(file) = files.iter().find(|file| file.path() == path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(LogFile::open(path, gather)?);
        files.push(Arc::clone(&file));
        Ok(file)
    }

    /// Adds a line to an open file.
    pub(super) fn append(self: &Arc<Self>, file: &LogFile, line: &[u8]) {
        match file.append(line, || self.wake()) {
            Due::Never => {}
            Due::Now | Due::After(_) => self.wake(),
        }
    }

    /// Adds a line to the file of that name.
    pub(super) fn append_to(self: &Arc<Self>, path: PathBuf, line: &[u8]) {
        let mut named = self.named.lock();
        while named.bytes > NAMED_MAX_BYTES {
            self.wake();
            self.room.wait(&mut named);
        }
        named.bytes += line.len();
        named.lines.entry(path).or_default().extend_from_slice(line);
        drop(named);
        self.wake();
    }

    /// Writes everything at once, on the thread that asks.
    pub(super) fn write_all(&self) {
        for file in self.files.lock().iter() {
            file.write();
        }
        self.write_named();
    }

    /// Opens all files anew.
    pub(super) fn reopen(&self) {
        for file in self.files.lock().iter() {
            file.reopen();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Wakes the thread, which is started on first use: a fork between opening and writing leaves it working.
    fn wake(self: &Arc<Self>) {
        let thread = self.thread.get_or_init(|| {
            let writer = Arc::clone(self);
            let started = thread::Builder::new().name("access log".to_owned()).spawn(move || writer.run());
            started.expect("the system has room for one more thread").thread().clone()
        });
        thread.unpark();
    }

    fn run(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            match self.write_due() {
                Some(pause) => thread::park_timeout(pause),
                None => thread::park(),
            }
            thread::sleep(REST);
        }
    }

    /// Writes what is due, and returns how long until more will be; nothing if only another line can tell.
    fn write_due(&self) -> Option<Duration> {
        let files = self.files.lock().clone();
        self.write_named();
        let pauses = files.iter().filter_map(|file| match file.due() {
            Due::Never => None,
            Due::After(pause) => Some(pause),
            Due::Now => {
                file.write();
                None
            }
        });
        pauses.min()
    }

    fn write_named(&self) {
        let _order = self.writing_named.lock();
        let taken = std::mem::take(&mut *self.named.lock());
        self.room.notify_all();
        for (path, lines) in &taken.lines {
            append_once(path, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::clock;

    fn wait_for(path: &Path, is_right: impl Fn(&str) -> bool) -> String {
        let start = clock::moment();
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if is_right(&text) || start.elapsed() > Duration::from_secs(10) {
                return text;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_line_is_written_shortly() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let writer = Arc::new(Writer::default());
        let file = writer.open(&path, Gather::Shortly).unwrap();
        writer.append(&file, b"one\n");
        assert_eq!(wait_for(&path, |text| text.len() == 4), "one\n");
        writer.append(&writer.open(&path, Gather::Shortly).unwrap(), b"two\n");
        assert_eq!(wait_for(&path, |text| text.len() == 8), "one\ntwo\n");
        writer.stop();
    }

    #[test]
    fn a_buffer_waits_for_its_age() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let writer = Arc::new(Writer::default());
        let age = Duration::from_millis(300);
        let file = writer.open(&path, Gather::Until { bytes: 1000, age: Some(age) }).unwrap();
        let start = clock::moment();
        writer.append(&file, b"one\n");
        assert_eq!(wait_for(&path, |text| !text.is_empty()), "one\n");
        assert!(start.elapsed() >= Duration::from_millis(280), "{:?}", start.elapsed());
        writer.stop();
    }

    #[test]
    fn names_may_be_made_per_line() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        let writer = Arc::new(Writer::default());
        writer.append_to(one.clone(), b"1\n");
        writer.append_to(other.clone(), b"2\n");
        writer.append_to(one.clone(), b"3\n");
        assert_eq!(wait_for(&one, |text| text.len() == 4), "1\n3\n");
        assert_eq!(wait_for(&other, |text| text.len() == 2), "2\n");
        writer.stop();
    }

    #[test]
    fn no_line_is_lost_when_there_are_too_many() {
        const THREADS: usize = 4;
        const LINES: usize = 30_000;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let writer = Arc::new(Writer::default());
        let file = writer.open(&path, Gather::Shortly).unwrap();
        let line = [&[b'x'; 99][..], b"\n"].concat();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..LINES).for_each(|_| writer.append(&file, &line)));
            }
        });
        writer.write_all();
        let text = fs::read(&path).unwrap();
        assert_eq!(text.len(), THREADS * LINES * line.len());
        assert!(text.chunks(line.len()).all(|chunk| chunk == line), "lines are whole");
        writer.stop();
    }
}
