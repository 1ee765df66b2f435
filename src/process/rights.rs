//! What a child gives up or is given: user and group, limits, priority, directory.

use std::{ffi::CString, fs, io, os::unix::fs::MetadataExt, path::Path};

use config::{Config, InvalidUser, MainConf, UserSpec};
use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Group, Pid, Uid, User, chdir, getppid, initgroups, setegid, seteuid, setgid, setuid},
};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error_log::{self, Level, system_words};

/// The user that workers run as where the configuration names none. As nginx.
const DEFAULT_USER: &str = "nobody";

/// Whom children run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: CString,
    /// User.
    pub uid: Uid,
    /// Group.
    pub gid: Gid,
}

/// Gives root's rights up for those of a directory's owner: what is made in it from then on is that owner's. Nothing changes
/// for anybody else, and where it is root's own.
///
/// # Errors
/// The system refuses.
pub fn stoop_to_owner(directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    if owner.uid() == Uid::effective().as_raw() || !Uid::current().is_root() {
        return Ok(());
    }
    seteuid(Uid::from_raw(0))?;
    setegid(Gid::from_raw(owner.gid()))?;
    Ok(seteuid(Uid::from_raw(owner.uid()))?)
}

/// A right that cannot be taken or given up.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed ({})", system_words(source))]
pub struct RightsError {
    call: String,
    source: io::Error,
}

fn failed(call: impl Into<String>) -> impl FnOnce(Errno) -> RightsError {
    let call = call.into();
    move |error| RightsError { call, source: error.into() }
}

impl Identity {
    /// Finds whom `user` means; nobody else than now where the process is not root's.
    pub fn find(main: &MainConf) -> Result<Option<Self>, RightsError> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        let name = main.user.as_ref().map_or(DEFAULT_USER, |spec| &spec.user);
        let call = || format!("getpwnam(\"{name}\")");
        let user = User::from_name(name).map_err(failed(call()))?.ok_or_else(|| missing(call()))?;
        let gid = match main.user.as_ref().map(|spec| spec.group.as_ref().unwrap_or(&spec.user)) {
            None => user.gid,
            Some(group) => {
                let call = || format!("getgrnam(\"{group}\")");
                Group::from_name(group).map_err(failed(call()))?.ok_or_else(|| missing(call()))?.gid
            }
        };
        let name = CString::new(name).map_err(|error| RightsError { call: call(), source: error.into() })?;
        Ok(Some(Self { name, uid: user.uid, gid }))
    }

    /// Says what speaks against `user`, while its place in the configuration is known.
    ///
    /// What the system cannot tell now is left to [`Self::find`].
    pub fn check(spec: &UserSpec) -> Result<(), InvalidUser> {
        if !Uid::effective().is_root() {
            return Err(InvalidUser::NotRoot);
        }
        if matches!(User::from_name(&spec.user), Ok(None)) {
            return Err(InvalidUser::NoUser);
        }
        match Group::from_name(spec.group.as_ref().unwrap_or(&spec.user)) {
            Ok(None) => Err(InvalidUser::NoGroup),
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    fn take(&self) -> Result<(), RightsError> {
        setgid(self.gid).map_err(failed(format!("setgid({})", self.gid)))?;
        let name = self.name.to_string_lossy();
        initgroups(&self.name, self.gid).map_err(failed(format!("initgroups({name}, {})", self.gid)))?;
        setuid(self.uid).map_err(failed(format!("setuid({})", self.uid)))
    }
}

fn missing(call: String) -> RightsError {
    RightsError { call, source: io::Error::from_raw_os_error(libc::ENOENT) }
}

/// Gives a child its limits, directory and priority, and takes the master's rights from it.
pub fn settle(
    config: &Config,
    identity: Option<&Identity>,
    master: Pid,
    priority: i32,
) -> Result<(), RightsError> {
    let main = &config.main;
    if priority != 0 {
        let raised = rustix::process::setpriority_process(None, priority);
        let call = format!("setpriority({priority})");
        complain(raised.map_err(|error| RightsError { call, source: error.into() }));
    }
    set_limits(main);
    if let Some(identity) = identity {
        let keeps_raw = config.http.as_ref().is_some_and(|http| http.binds_transparently);
        if keeps_raw {
            prctl::set_keepcaps(true).map_err(failed("prctl(PR_SET_KEEPCAPS, 1)"))?;
        }
        identity.take()?;
        if keeps_raw {
            keep_raw()?;
        }
    }
    // A change of user forbids core files, and forgets what to do when the parent dies: so both come after it.
    if main.worker_rlimit_core.is_some() {
        complain(prctl::set_dumpable(true).map_err(failed("prctl(PR_SET_DUMPABLE)")));
    }
    leave_with(master);
    if let Some(directory) = &*main.working_directory {
        chdir(directory).map_err(failed(format!("chdir(\"{}\")", directory.display())))?;
    }
    Ok(())
}

/// Keeps the one right that connections from foreign addresses need, out of all that root had. As nginx.
fn keep_raw() -> Result<(), RightsError> {
    let raw = CapabilitySet::NET_RAW;
    let sets = CapabilitySets { effective: raw, permitted: raw, inheritable: CapabilitySet::empty() };
    let kept = rustix::thread::set_capabilities(None, sets);
    kept.map_err(|error| RightsError { call: "capset()".to_owned(), source: error.into() })
}

/// Sets `worker_rlimit_*`. As nginx: what the system refuses is told, and no reason to stop.
pub fn set_limits(main: &MainConf) {
    let limits = [
        (Resource::RLIMIT_NOFILE, *main.worker_rlimit_nofile, "NOFILE"),
        (Resource::RLIMIT_CORE, *main.worker_rlimit_core, "CORE"),
    ];
    for (resource, limit, name) in limits {
        if let Some(limit) = limit {
            let call = format!("setrlimit(RLIMIT_{name}, {limit})");
            complain(setrlimit(resource, limit, limit).map_err(failed(call)));
        }
    }
}

/// Makes this child leave when its master is killed: nobody could tell it anything any more.
fn leave_with(master: Pid) {
    complain(prctl::set_pdeathsig(Signal::SIGQUIT).map_err(failed("prctl(PR_SET_PDEATHSIG)")));
    if getppid() != master {
        // It has died in between. The signal is queued like any other.
        complain(nix::sys::signal::raise(Signal::SIGQUIT).map_err(failed("raise(SIGQUIT)")));
    }
}

fn complain(result: Result<(), RightsError>) {
    if let Err(error) = result {
        error_log::write(Level::Alert, format_args!("{error}"));
    }
}
