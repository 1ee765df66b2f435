//! Reading files without holding up an event loop.
//!
//! What the kernel has in memory is taken at once, on the loop; only what the disk must be asked for goes to
//! a thread that may block (`RWF_NOWAIT` tells which is which).

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Reads up to `len` bytes at `offset`; fewer only at the end of the file.
pub async fn read(file: &Arc<File>, offset: u64, len: u64) -> io::Result<Bytes> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let mut buffer = BytesMut::zeroed(len);
    let filled = match read_resident(file, &mut buffer, offset) {
        Ok(filled) if filled == len => return Ok(buffer.freeze()),
        Ok(filled) => filled,
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => 0,
        Err(error) => return Err(error.into()),
    };
    let file = Arc::clone(file);
    off_loop(move || {
        let filled = filled + read_until_full(&file, &mut buffer[filled..], offset + filled as u64)?;
        buffer.truncate(filled);
        Ok(buffer.freeze())
    })
    .await
}

/// Makes the kernel have `len` bytes at `offset` in memory, so that sending them does not wait for the disk.
///
/// Looks at the last byte only, and at the first one of what is larger than a read: files are read ahead in
/// order, and evicted from memory as they came.
pub async fn warm(file: &Arc<File>, offset: u64, len: u64) -> io::Result<()> {
    let Some(last) = len.checked_sub(1) else { return Ok(()) };
    let is_warm = is_resident(file, offset + last) && (len <= WARM_BYTES as u64 || is_resident(file, offset));
    if is_warm {
        return Ok(());
    }
    let file = Arc::clone(file);
    off_loop(move || {
        let mut scratch = vec![0; WARM_BYTES];
        let end = offset + len;
        let mut position = offset;
        while position < end {
            let wanted = usize::try_from(end - position).map_or(WARM_BYTES, |left| left.min(WARM_BYTES));
            match read_until_full(&file, &mut scratch[..wanted], position)? {
                0 => break,
                count => position += count as u64,
            }
        }
        Ok(())
    })
    .await
}

/// Bytes that one read takes while a file is brought into memory.
const WARM_BYTES: usize = 128 << 10;

fn is_resident(file: &File, offset: u64) -> bool {
    let mut byte = [0];
    // Anything but "would have to wait" is the sender's business.
    !matches!(read_resident(file, &mut byte, offset), Err(Errno::AGAIN))
}

fn read_resident(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)
}

fn read_until_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn reads_what_there_is_and_no_more() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(b"0123456789").expect("written");
        let file = Arc::new(file);
        let cases: [(&str, u64, u64, &[u8]); 4] = [
            ("the start", 0, 4, b"0123"),
            ("the end", 8, 2, b"89"),
            ("over the end", 8, 10, b"89"),
            ("behind the end", 20, 5, b""),
        ];
        for (name, offset, len, wanted) in cases {
            assert_eq!(run(read(&file, offset, len)).expect("readable"), wanted, "{name}");
        }
        run(warm(&file, 0, 10)).expect("readable");
    }
}
