//! What `ps` shows: `larder: master process larder -c …`, `larder: worker process`.

use std::{
    ffi::{OsStr, OsString},
    io,
};

use super::sys::TitleMemory;

/// The title of this process.
pub struct Title {
    memory: TitleMemory,
    command_line: OsString,
}

impl Title {
    /// Prepares for titles, from the arguments that the process was started with.
    pub fn new(arguments: &[OsString]) -> io::Result<Self> {
        let command_line = arguments.join(OsStr::new(" "));
        Ok(Self { memory: TitleMemory::claim()?, command_line })
    }

    /// Says that this is the master. As nginx, with the command line.
    pub fn master(&mut self) {
        let mut title = OsString::from("master process ");
        title.push(&self.command_line);
        self.set(title);
    }

    /// Says what the process is.
    pub fn set(&mut self, what: impl AsRef<OsStr>) {
        let mut title = OsString::from("larder: ");
        title.push(what);
        self.memory.write(&title);
    }
}
