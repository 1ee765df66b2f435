//! Going to the background (`daemon on`): the command returns when the server serves, with its status.

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    process,
};

use config::{LogSink, LogTarget};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use super::sys;

/// The way back to the command that went to the background.
pub struct Launcher(PipeWriter);

impl Launcher {
    /// Ends the command with success. Where this is never called, it ends with failure when the daemon does.
    pub fn succeed(mut self) {
        // Whoever waited may be gone.
        let _ = self.0.write_all(b"+");
    }
}

/// Goes on in a child of its own session; the parent waits for it to serve, and exits.
pub fn detach() -> io::Result<Launcher> {
    let (reader, writer) = io::pipe()?;
    match sys::fork()? {
        ForkResult::Parent { .. } => {
            drop(writer);
            process::exit(wait(reader))
        }
        ForkResult::Child => {
            drop(reader);
            setsid()?;
            Ok(Launcher(writer))
        }
    }
}

fn wait(mut reader: PipeReader) -> i32 {
    match reader.read(&mut [0]) {
        Ok(1) => 0,
        Ok(_) | Err(_) => 1,
    }
}

/// Lets go of the terminal: what still goes to standard error ends up in the first log that is a file.
pub fn leave_terminal(log: &[LogTarget]) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    let file = log.iter().find_map(|target| match &target.sink {
        LogSink::File(path) => File::options().append(true).open(path).ok(),
        LogSink::Stderr => None,
    });
    let wants_stderr = log.iter().any(|target| target.sink == LogSink::Stderr);
    match (file, wants_stderr) {
        // As nginx: a log on standard error stays there.
        (_, true) => {}
        (Some(file), false) => dup2_stderr(&file)?,
        (None, false) => dup2_stderr(&null)?,
    }
    Ok(())
}

/// Where the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// On the terminal it was started from.
    Fore,
    /// On no terminal.
    Back,
}
