//! Reading ahead of a slow client (`proxy_buffering on`), so that the upstream is free again soon.
//!
//! What the client has not taken yet waits in memory up to the size of `proxy_buffers`, then in a temporary
//! file up to `proxy_max_temp_file_size`; beyond both the upstream waits. A client that keeps up never causes any of this.

use std::{
    collections::VecDeque, fs::File, future::poll_fn, os::unix::fs::FileExt, path::PathBuf, sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use config::{LocationConf, ProxyConf};
use tokio::task::JoinHandle;

use super::transport::UpstreamBody;
use crate::{
    error_log::Level,
    http::{
        Fault,
        exchange::UpstreamFacts,
        fault::{Context, Kind, Side},
        response::{FileSlice, Piece},
        temp_file::{self, FileError, TempFile},
    },
};

/// A body from an upstream with what has been read of it in advance.
pub struct ReadAhead {
    location: Arc<LocationConf>,
    body: Box<UpstreamBody>,
    limits: Limits,
    queue: VecDeque<Piece>,
    /// What is taken of the memory: by the queue, and by what the client is being sent.
    memory_bytes: u64,
    /// How much of that the client is being sent.
    busy_bytes: u64,
    pace: Pace,
    spill: Spill,
    end: Option<Result<(), Fault>>,
}

/// How a client takes what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As fast as it comes.
    KeepsUp,
    /// The last piece had to wait.
    Behind,
}

/// How much may wait where.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// All of the memory: `proxy_buffers`.
    memory: u64,
    /// What is read into: one of them.
    unit: u64,
    /// How much of it a client that is behind is sent at a time (`proxy_busy_buffers_size`).
    busy: u64,
    /// Bytes of the temporary file (`proxy_max_temp_file_size`).
    file: u64,
    /// Bytes written to it at a time (`proxy_temp_file_write_size`).
    write: u64,
}

/// Where the next bytes may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Into memory, so many.
    Memory(u64),
    /// Into the temporary file, so many.
    File(u64),
    /// Nowhere: the upstream waits.
    None,
}

impl Limits {
    fn of(conf: &ProxyConf) -> Self {
        Self {
            memory: conf.buffers.count as u64 * conf.buffers.size,
            unit: conf.buffers.size,
            busy: *conf.busy_buffers_size,
            file: *conf.max_temp_file_size,
            write: *conf.temp_file_write_size,
        }
    }

    /// Finds room where so much of memory and file is taken.
    fn room(&self, memory: u64, file: u64) -> Room {
        let free = self.memory.saturating_sub(memory);
        // Less than a buffer would make for tiny reads.
        if free >= self.unit {
            return Room::Memory(free);
        }
        match self.file.saturating_sub(file).min(self.write) {
            0 => Room::None,
            most => Room::File(most),
        }
    }
}

/// What a piece takes of the memory: very small ones cost more than their bytes.
fn weight(piece: &Piece) -> u64 {
    match piece {
        Piece::Memory(bytes) => (bytes.len() + size_of::<Piece>()) as u64,
        Piece::File(_) => 0,
    }
}

/// The temporary file.
#[derive(Default)]
struct Spill {
    file: Option<Arc<File>>,
    bytes: u64,
    writing: Option<Writing>,
    /// Whose answer it is, for the log.
    context: Option<Context>,
}

/// A write on its way: so many bytes, to a file that is new where it has a path.
struct Writing {
    len: u64,
    job: JoinHandle<Written>,
}

type Written = Result<(Arc<File>, Option<PathBuf>), FileError>;

impl ReadAhead {
    /// Reads ahead within the limits of a location.
    pub fn new(body: Box<UpstreamBody>, location: &Arc<LocationConf>) -> Self {
        Self {
            location: Arc::clone(location),
            body,
            limits: Limits::of(&location.proxy),
            queue: VecDeque::new(),
            memory_bytes: 0,
            busy_bytes: 0,
            pace: Pace::KeepsUp,
            spill: Spill::default(),
            end: None,
        }
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        !self.queue.is_empty() || self.end.is_some() || self.body.is_ready()
    }

    /// Whether something may have to be said of a temporary file, and nobody knows yet of whose answer.
    pub fn wants_context(&self) -> bool {
        let fits = self.body.length().is_some_and(|length| length <= self.limits.memory);
        self.spill.context.is_none() && !fits && self.limits.file > 0 && !self.body.is_over()
    }

    /// Tells whose answer it is.
    pub fn set_context(&mut self, context: Context) {
        self.spill.context = Some(context);
    }

    /// Notes what the whole answer took, for the log.
    pub fn finish(&self, facts: &mut UpstreamFacts) {
        self.body.finish(facts);
    }

    /// Returns the next piece; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The upstream's fault where the body cannot be completed.
    pub async fn next(&mut self) -> Result<Option<Piece>, Fault> {
        self.memory_bytes -= std::mem::take(&mut self.busy_bytes);
        loop {
            if let Some(piece) = self.pop() {
                return Ok(Some(piece));
            }
            if let Some(end) = &self.end {
                return end.clone().map(|()| None);
            }
            self.read().await;
        }
    }

    /// Runs `work`, the sending of what [`Self::next`] returned, and reads ahead while it waits.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            self.pace = Pace::KeepsUp;
            return done;
        }
        self.pace = Pace::Behind;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.read(), if self.may_read() => {}
            }
        }
    }

    /// Takes a piece off the queue; for a client that is behind no more than may be busy.
    fn pop(&mut self) -> Option<Piece> {
        let first = self.queue.front_mut()?;
        let piece = match first {
            Piece::Memory(bytes) if self.pace == Pace::Behind && bytes.len() as u64 > self.limits.busy => {
                let most = usize::try_from(self.limits.busy).expect("it is less than a length in memory");
                let piece = Piece::Memory(bytes.split_to(most));
                self.memory_bytes += weight(&piece) - most as u64;
                piece
            }
            Piece::Memory(_) | Piece::File(_) => self.queue.pop_front()?,
        };
        self.busy_bytes = weight(&piece);
        Some(piece)
    }

    fn room(&self) -> Room {
        self.limits.room(self.memory_bytes, self.spill.bytes)
    }

    fn may_read(&self) -> bool {
        self.end.is_none() && (self.spill.writing.is_some() || self.room() != Room::None)
    }

    /// Takes one step: a piece from the upstream, or the end of a write to the temporary file. Cancel safe.
    async fn read(&mut self) {
        if let Some(Writing { len, job }) = &mut self.spill.writing {
            let (len, done) = (*len, job.await);
            self.spill.writing = None;
            return match done {
                Ok(Ok((file, path))) => self.written(len, file, path),
                Ok(Err(error)) => self.fail(error.to_string()),
                Err(error) => self.fail(error.to_string()),
            };
        }
        let room = self.room();
        let (Room::Memory(most) | Room::File(most)) = room else { return std::future::pending().await };
        self.body.limit_pieces(most);
        match self.body.next().await {
            Ok(Some(bytes)) if matches!(room, Room::File(_)) => self.write(bytes, most),
            Ok(Some(bytes)) => {
                let piece = Piece::Memory(bytes);
                self.memory_bytes += weight(&piece);
                self.queue.push_back(piece);
            }
            Ok(None) => self.end = Some(Ok(())),
            Err(fault) => self.end = Some(Err(fault)),
        }
    }

    /// Begins to write a piece to the temporary file, with what has arrived behind it.
    fn write(&mut self, first: Bytes, most: u64) {
        let mut len = first.len() as u64;
        let mut pieces = vec![first];
        while len < most {
            self.body.limit_pieces(most - len);
            let Some(more) = self.body.take_arrived() else { break };
            len += more.len() as u64;
            pieces.push(more);
        }
        let (location, file, offset) =
            (Arc::clone(&self.location), self.spill.file.clone(), self.spill.bytes);
        let work = move || {
            let place = &location.proxy.temp_path;
            let (file, path) = match file {
                Some(file) => (file, None),
                None => {
                    let TempFile { file, path } = TempFile::create_nameless(place)?;
                    (Arc::new(file), Some(path))
                }
            };
            file.write_all_at(&pieces.concat(), offset)
                .map_err(temp_file::failed("pwrite()", &place.path))?;
            Ok((file, path))
        };
        self.spill.writing = Some(Writing { len, job: tokio::task::spawn_blocking(work) });
    }

    fn written(&mut self, len: u64, file: Arc<File>, path: Option<PathBuf>) {
        if let (Some(path), Some(context)) = (path, &self.spill.context) {
            let path = path.display();
            let words = "an upstream response is buffered to a temporary file";
            context.report(Level::Warn, format_args!("{words} {path} while reading upstream"));
        }
        match self.queue.back_mut() {
            // What waits in the file is one run of bytes.
            Some(Piece::File(slice)) => slice.len += len,
            Some(Piece::Memory(_)) | None => {
                let slice = FileSlice { file: Arc::clone(&file), offset: self.spill.bytes, len };
                self.queue.push_back(Piece::File(slice));
            }
        }
        self.spill.file = Some(file);
        self.spill.bytes += len;
    }

    fn fail(&mut self, detail: String) {
        self.end =
            Some(Err(Fault { during: "reading upstream", ..Fault::new(Side::Server, Kind::System, detail) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_first_then_the_file_then_nothing() {
        let limits = Limits { memory: 32, unit: 4, busy: 8, file: 100, write: 10 };
        for (name, memory, file, wanted) in [
            ("all is free", 0, 0, Room::Memory(32)),
            ("one buffer is free", 28, 0, Room::Memory(4)),
            ("less than a buffer is free", 29, 0, Room::File(10)),
            ("more is taken than there is", 40, 0, Room::File(10)),
            ("the file is nearly full", 32, 95, Room::File(5)),
            ("the file is full", 32, 100, Room::None),
            ("the file is full, and memory free again", 20, 100, Room::Memory(12)),
        ] {
            assert_eq!(limits.room(memory, file), wanted, "{name}");
        }
        let without_file = Limits { file: 0, ..limits };
        assert_eq!(without_file.room(32, 0), Room::None);
    }

    #[test]
    fn tiny_pieces_weigh_more_than_their_bytes() {
        let tiny = weight(&Piece::Memory(Bytes::from_static(b"x")));
        assert!(tiny > 32, "{tiny}");
        let slice = FileSlice { file: Arc::new(tempfile::tempfile().unwrap()), offset: 0, len: 9 };
        assert_eq!(weight(&Piece::File(slice)), 0);
    }
}
