//! System calls that no crate wraps safely: forking, taking over inherited descriptors, two socket options,
//! and the memory that `ps` reads a process' title from.

#![expect(unsafe_code, reason = "the only place of process/ that needs it; each call says why it is sound")]

use std::{
    ffi::{CString, OsStr, OsString, c_char, c_int},
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    ptr, slice,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    unistd::{self, ForkResult},
};

/// Forks the process.
///
/// # Panics
/// Where other threads run: the child would have their locks but not them.
pub fn fork() -> io::Result<ForkResult> {
    assert_eq!(threads()?, 1, "only a process with one thread may fork");
    // SAFETY: there is one thread only, so the child may do all that the parent may.
    Ok(unsafe { unistd::fork() }?)
}

fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Takes over a descriptor that this process was started with.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: borrowed for one call only, which fails where there is no such descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_GETFD)?;
    // SAFETY: it is open, and its number was handed to this process for nobody but the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sets an option of TCP that takes a number (`TCP_DEFER_ACCEPT`, `TCP_FASTOPEN`).
pub fn set_tcp_option(socket: &impl AsRawFd, option: c_int, value: c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<c_int>()).expect("four bytes");
    let value: *const c_int = &value;
    // SAFETY: the kernel reads `size` bytes at `value`, which lives until the call returns.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, value.cast(), size) };
    Ok(Errno::result(result).map(drop)?)
}

/// Makes `variables` the environment of the process, in memory of its own.
pub fn set_environment(variables: &[(OsString, OsString)]) -> io::Result<()> {
    assert_eq!(threads()?, 1, "another thread may be reading the environment");
    let mut pointers: Vec<*mut c_char> = Vec::with_capacity(variables.len() + 1);
    for (name, value) in variables {
        let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
        pointers.push(CString::new(text).map_err(io::Error::other)?.into_raw());
    }
    pointers.push(ptr::null_mut());
    // SAFETY: no other thread reads it; the list ends with a null pointer, and neither it nor the strings are
    // ever freed.
    unsafe { libc::environ = pointers.leak().as_mut_ptr() };
    Ok(())
}

/// The memory of the arguments and the environment that the process was started with.
pub struct TitleMemory(&'static mut [u8]);

impl TitleMemory {
    /// Claims it. The environment is moved elsewhere first; arguments must have been read before.
    pub fn claim() -> io::Result<Self> {
        let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let stat = fs::read_to_string("/proc/self/stat")?;
        let (start, end) = area(&stat).ok_or(io::ErrorKind::InvalidData)?;
        set_environment(&variables)?;
        // SAFETY: the kernel put the strings of arguments and environment there, one after the other, on the
        // stack of the first thread, which lasts as long as the process. The environment is read elsewhere from
        // now on, and the arguments are not read again.
        Ok(Self(unsafe { slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(start), end - start) }))
    }

    /// Writes a title; what does not fit is cut.
    pub fn write(&mut self, title: &OsStr) {
        let length = title.len().min(self.0.len() - 1);
        self.0[..length].copy_from_slice(&title.as_bytes()[..length]);
        self.0[length..].fill(0);
    }
}

/// Reads first and last address of arguments and environment from a `/proc/PID/stat`.
fn area(stat: &str) -> Option<(usize, usize)> {
    // The name of the program stands in brackets and may have spaces; what follows begins with field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let field = |number: usize| fields.split_whitespace().nth(number - 3)?.parse::<usize>().ok();
    let (arguments, environment_end) = (field(48)?, field(51)?);
    (arguments > 0 && environment_end > arguments).then_some((arguments, environment_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_read_behind_any_name() {
        let numbers: Vec<String> = (4..=52).map(|number| (number * 10).to_string()).collect();
        let stat = format!("12 (a ) name) S {}", numbers.join(" "));
        assert_eq!(area(&stat), Some((480, 510)));
        assert_eq!(area("12 (name) S 1 2"), None);
    }

    #[test]
    fn what_is_not_open_cannot_be_adopted() {
        assert_eq!(adopt(987_654).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
