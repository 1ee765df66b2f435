//! Reading files without holding up an event loop.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::{Bytes, BytesMut};

/// Reads up to `len` bytes at `offset`, on the blocking pool; fewer only at the end of the file.
pub async fn read(file: &Arc<File>, offset: u64, len: u64) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let work = move || {
        let mut buffer = BytesMut::zeroed(len);
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        Ok(buffer.freeze())
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
