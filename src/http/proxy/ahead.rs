//! Reading ahead of a slow client (`proxy_buffering on`), so that the upstream is free again soon.
//!
//! What the client has not taken yet waits in memory up to the size of `proxy_buffers`, then in a temporary
//! file up to `proxy_max_temp_file_size`; beyond both the upstream waits. A client that keeps up never causes any of this.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use config::ProxyConf;
use tokio::task::JoinHandle;

use super::transport::UpstreamBody;
use crate::http::{
    Fault,
    exchange::UpstreamFacts,
    fault::{Kind, Retry, Side},
    response::{FileSlice, Piece},
};

/// A body from an upstream with what has been read of it in advance.
pub struct ReadAhead {
    body: Box<UpstreamBody>,
    queue: VecDeque<Piece>,
    memory_bytes: u64,
    memory_most: u64,
    file: Option<Arc<File>>,
    file_bytes: u64,
    file_most: u64,
    file_directory: PathBuf,
    writing: Option<(u64, JoinHandle<io::Result<Arc<File>>>)>,
    end: Option<Result<(), Fault>>,
}

impl ReadAhead {
    /// Reads ahead within the limits of a location.
    pub fn new(body: UpstreamBody, conf: &ProxyConf) -> Self {
        Self {
            body: Box::new(body),
            queue: VecDeque::new(),
            memory_bytes: 0,
            memory_most: conf.buffers.count as u64 * conf.buffers.size,
            file: None,
            file_bytes: 0,
            file_most: *conf.max_temp_file_size,
            file_directory: conf.temp_path.path.clone(),
            writing: None,
            end: None,
        }
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        !self.queue.is_empty() || self.end.is_some() || self.body.is_ready()
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
        loop {
            if let Some(piece) = self.queue.pop_front() {
                if let Piece::Memory(bytes) = &piece {
                    self.memory_bytes -= bytes.len() as u64;
                }
                return Ok(Some(piece));
            }
            if let Some(end) = &self.end {
                return end.clone().map(|()| None);
            }
            self.read().await;
        }
    }

    /// Runs `work`, and reads ahead while it waits.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.read(), if self.may_read() => {}
            }
        }
    }

    fn may_read(&self) -> bool {
        self.end.is_none()
            && (self.writing.is_some()
                || self.memory_bytes < self.memory_most
                || self.file_bytes < self.file_most)
    }

    /// Takes one step: a chunk from the upstream, or the end of a write to the temporary file. Cancel safe.
    async fn read(&mut self) {
        if let Some((len, job)) = &mut self.writing {
            let done = job.await.map_err(io::Error::other).flatten();
            let len = *len;
            self.writing = None;
            return self.written(len, done);
        }
        match self.body.next().await {
            Ok(Some(bytes)) => self.take(bytes),
            Ok(None) => self.end = Some(Ok(())),
            Err(fault) => self.end = Some(Err(fault)),
        }
    }

    fn take(&mut self, bytes: Bytes) {
        let len = bytes.len() as u64;
        let fits = self.queue.is_empty() || self.memory_bytes + len <= self.memory_most;
        if fits || self.file_bytes + len > self.file_most {
            self.memory_bytes += len;
            self.queue.push_back(Piece::Memory(bytes));
            return;
        }
        let (file, directory, offset) = (self.file.clone(), self.file_directory.clone(), self.file_bytes);
        let work = move || {
            let file = match file {
                Some(file) => file,
                None => {
                    std::fs::create_dir_all(&directory)?;
                    Arc::new(tempfile::tempfile_in(&directory)?)
                }
            };
            file.write_all_at(&bytes, offset)?;
            Ok(file)
        };
        self.writing = Some((len, tokio::task::spawn_blocking(work)));
    }

    fn written(&mut self, len: u64, done: io::Result<Arc<File>>) {
        match done {
            Ok(file) => {
                let slice = FileSlice { file: Arc::clone(&file), offset: self.file_bytes, len };
                self.queue.push_back(Piece::File(slice));
                self.file = Some(file);
                self.file_bytes += len;
            }
            Err(error) => {
                self.end = Some(Err(Fault {
                    side: Side::Server,
                    kind: Kind::System,
                    during: "reading upstream",
                    retry: Retry::Never,
                    detail: format!("temporary file in \"{}\": {error}", self.file_directory.display())
                        .into(),
                }));
            }
        }
    }
}
