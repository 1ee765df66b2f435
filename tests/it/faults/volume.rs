//! Small file systems for tests: a tmpfs with little room or few inodes, a disk that returns errors. They need root's
//! rights; where a test has them not, it says so and ends.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::support::server::new_dir;

/// A mounted file system, unmounted when it is dropped: after the servers that use it.
pub struct Volume {
    dir: TempDir,
    at: PathBuf,
}

impl Volume {
    /// Mounts a tmpfs; nothing where that is not allowed.
    pub fn tmpfs(options: &str) -> Option<Self> {
        Self::mount(&["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    /// Makes a disk of a file, and mounts it.
    pub fn disk(image: &Path, bytes: u64) -> Option<Self> {
        File::create(image).and_then(|file| file.set_len(bytes)).expect("there is room for an empty file");
        let image = image.display().to_string();
        let made = run(Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal", "-m", "0", &image]));
        if made { Self::mount(&["-o", "loop", &image]) } else { None }
    }

    fn mount(arguments: &[&str]) -> Option<Self> {
        let dir = new_dir();
        let at = dir.path().join("volume");
        fs::create_dir(&at).expect("the directory is ours");
        if !run(Command::new("mount").args(arguments).arg(&at)) {
            println!("skipped: no file system can be mounted here ({arguments:?})");
            return None;
        }
        fs::set_permissions(&at, fs::Permissions::from_mode(0o777)).expect("the directory is ours");
        Some(Self { dir, at })
    }

    /// Where a cache may be.
    pub fn cache(&self) -> PathBuf {
        self.at.join("cache")
    }

    /// Changes how it is mounted.
    pub fn remount(&self, options: &str) {
        let option = format!("remount,{options}");
        assert!(run(Command::new("mount").args(["-o", &option]).arg(&self.at)), "mount -o {option} failed");
    }

    /// Takes all room but so many bytes.
    pub fn fill_but(&self, bytes: u64) {
        let mut ballast = File::create(self.at.join("ballast")).expect("there is an inode left");
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let len = ballast.metadata().expect("it is open").len();
        ballast.set_len(len.saturating_sub(bytes)).expect("a file can be cut");
    }

    /// Takes all inodes.
    pub fn take_inodes(&self) {
        let dir = self.at.join("inodes");
        fs::create_dir(&dir).expect("there is an inode left");
        let mut number = 0;
        while File::create(dir.join(number.to_string())).is_ok() {
            number += 1;
        }
        assert!(number > 0, "the volume had inodes to take");
    }

    /// Gives back what was taken.
    pub fn give_back(&self) {
        let _ = fs::remove_file(self.at.join("ballast"));
        let _ = fs::remove_dir_all(self.at.join("inodes"));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still have a file of it open.
        run(Command::new("umount").arg("-l").arg(&self.at));
        let _ = self.dir.path();
    }
}

fn run(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
