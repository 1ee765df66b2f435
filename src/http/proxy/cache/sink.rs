//! Where a pump puts a body on the disk: into the cache, or into a file of its own (`proxy_store`).

use std::sync::Arc;

use bytes::Bytes;

use super::zone::{Entry, Zone};
use cache::Digest;

/// The disk's side of a fill. Blocking; runs on threads made for that. What goes wrong is logged by the sink.
pub trait Sink: Send {
    /// Writes chunks, and returns up to which byte of the body the file can be read.
    fn write(&mut self, chunks: &[Bytes]) -> Result<u64, GaveUp>;

    /// Lets everyone find a small body that is whole, before there is a file of it.
    fn show(&mut self, chunks: &[Bytes]) -> Option<Shown>;

    /// Writes the last chunks and gives the file its name: from then on everyone finds it.
    fn commit(self: Box<Self>, chunks: &[Bytes], shown: Option<&Arc<Entry>>) -> Result<(), GaveUp>;
}

/// The body will not be on the disk; why is in the log.
#[derive(Debug)]
pub struct GaveUp;

/// An entry that can be found before it is stored.
pub struct Shown {
    pub entry: Arc<Entry>,
    pub zone: Arc<Zone>,
    pub digest: Digest,
}

impl Shown {
    /// Takes it back: it could not be stored.
    pub fn withdraw(self) {
        self.zone.withdraw(&self.digest, &self.entry);
    }
}
