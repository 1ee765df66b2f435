//! Replacing the program without closing its sockets (USR2): the new one is started beside this one.
//!
//! The sockets' descriptors are named in the environment variable `LARDER`, as nginx does in its own; the notes of healthy
//! peers in another one.

use std::{
    env,
    ffi::OsString,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    process::Command,
};

use config::EnvVar;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::Pid,
};
use socket2::Socket;

use super::{
    Program,
    generation::Generation,
    listen::{Listeners, descriptor_list},
    pid_file::PidFile,
    sys,
};
use crate::{
    error_log::{self, Level, system_words},
    upstream::remembered,
};

/// The variable that names inherited sockets.
const VARIABLE: &str = "LARDER";
/// The variable that names the notes of healthy peers, where there are any.
const NOTES_VARIABLE: &str = "LARDER_HEALTH";

/// Room for the new program's title, which is written over its environment. As nginx.
const SPARE: &str = "SPARE";
const SPARE_BYTES: usize = 300;

/// A new program that runs beside this one.
#[derive(Debug)]
pub struct Upgrade {
    pid: Pid,
}

/// A program that cannot be started in our place.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed while changing binary ({})", system_words(source))]
pub struct UpgradeError {
    call: &'static str,
    source: io::Error,
}

impl Upgrade {
    /// Starts the program anew, with our arguments and sockets; our pid file makes way for its.
    pub fn start(
        program: &Program,
        current: &Generation,
        pid_file: &mut PidFile,
    ) -> Result<Self, UpgradeError> {
        let failed = |call| move |source| UpgradeError { call, source };
        let [name, arguments @ ..] = program.arguments() else {
            return Err(failed("execve()")(io::ErrorKind::NotFound.into()));
        };
        pid_file.step_aside().map_err(failed("rename() of the pid file"))?;
        let sockets: Vec<&Socket> = current.listeners.sockets().collect();
        let notes = remembered::notes();
        let handed: Vec<BorrowedFd<'_>> =
            sockets.iter().map(AsFd::as_fd).chain(notes.map(AsFd::as_fd)).collect();
        let started = keep_open(&handed, FdFlag::empty()).and_then(|()| {
            let mut command = Command::new(name);
            command.args(arguments).env_clear().envs(environment(&current.config.main.env));
            command.env(SPARE, "X".repeat(SPARE_BYTES));
            command.envs(notes.map(|notes| (NOTES_VARIABLE, notes.as_raw_fd().to_string())));
            command.env(VARIABLE, descriptor_list(sockets.iter().copied())).spawn()
        });
        let closed = keep_open(&handed, FdFlag::FD_CLOEXEC);
        match started.and_then(|child| closed.map(|()| child)) {
            Ok(child) => {
                let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids are positive i32"));
                error_log::write(Level::Notice, format_args!("start new binary process {pid}"));
                Ok(Self { pid })
            }
            Err(error) => {
                pid_file.step_back().map_err(failed("rename() of the pid file"))?;
                Err(failed("execve()")(error))
            }
        }
    }

    /// Returns the new program's process.
    pub fn pid(&self) -> Pid {
        self.pid
    }
}

fn keep_open(descriptors: &[BorrowedFd<'_>], flags: FdFlag) -> io::Result<()> {
    for descriptor in descriptors {
        fcntl(descriptor, FcntlArg::F_SETFD(flags))?;
    }
    Ok(())
}

/// Returns what `env` leaves of the environment. As nginx: what it names, and TZ.
fn environment(kept: &[EnvVar]) -> Vec<(OsString, OsString)> {
    let own = |name: &str| env::var_os(name).map(|value| (name.into(), value));
    let listed = kept.iter().filter_map(|variable| match &variable.value {
        Some(value) => Some((OsString::from(&variable.name), OsString::from(value))),
        None => own(&variable.name),
    });
    own("TZ").into_iter().chain(listed).collect()
}

/// Takes over the sockets and notes that this program was started with, if it was started by another in its place.
pub fn inherited() -> io::Result<Option<Listeners>> {
    let Some(list) = env::var_os(VARIABLE) else { return Ok(None) };
    let list = list.to_string_lossy();
    error_log::write(Level::Notice, format_args!("using inherited sockets from \"{list}\""));
    let numbers = list.split([';', ':']).filter(|number| !number.is_empty());
    let listeners = Listeners::adopt(numbers.map(take_over).collect::<io::Result<_>>()?)?;
    if let Some(number) = env::var_os(NOTES_VARIABLE) {
        remembered::adopt(take_over(&number.to_string_lossy())?);
    }
    Ok(Some(listeners))
}

fn take_over(number: &str) -> io::Result<OwnedFd> {
    let number: RawFd = number.parse().map_err(io::Error::other)?;
    let descriptor = sys::adopt(number)?;
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(descriptor)
}
