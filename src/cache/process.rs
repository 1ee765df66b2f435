//! Who a process is, in a way that survives the reuse of its id: pid and start time, and the kernel's boot.
//!
//! Leases, reservations and temporary files name their owner so, and lapse when it is gone.

use std::fs;
use std::sync::LazyLock;

/// A process of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pid: u32,
    /// Clock ticks since boot, the low 32 bits.
    start: u32,
}

impl Owner {
    /// The calling process. Reads `/proc`: ask once, but anew after a fork.
    pub(crate) fn current() -> Self {
        let pid = std::process::id();
        Self { pid, start: start_of(pid).unwrap_or(0) }
    }

    /// Reads what [`Owner::bits`] wrote; zero is nobody.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let owner = Self { pid: (bits >> 32) as u32, start: bits as u32 };
        (owner.pid != 0).then_some(owner)
    }

    /// The owner as one number, never zero.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.pid) << 32 | u64::from(self.start)
    }

    /// Whether that very process still runs.
    pub(crate) fn is_alive(self) -> bool {
        start_of(self.pid) == Some(self.start)
    }
}

/// A number that differs between boots of the kernel, as far as 64 bits can.
pub(crate) fn boot() -> u64 {
    static BOOT: LazyLock<u64> = LazyLock::new(|| {
        let id = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        u64::from(crc32fast::hash(&id)) << 32 | u64::from(crc32fast::hash(id.get(9..).unwrap_or_default()))
    });
    *BOOT
}

/// When a process started, in ticks; nothing where it is gone, or only waits for its parent.
fn start_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold anything, brackets and spaces too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // Field 22 of the line; the state was field 3.
    fields.nth(18)?.parse::<u64>().ok().map(|ticks| ticks as u32)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends() {
        let own = Owner::current();
        assert!(own.is_alive());
        assert_eq!(Owner::from_bits(own.bits()), Some(own));
        assert_eq!(Owner::from_bits(0), None);
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let other = Owner { pid: child.id(), start: start_of(child.id()).unwrap() };
        assert!(other.is_alive());
        assert!(!Owner { start: other.start ^ 1, ..other }.is_alive(), "another start is another process");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!other.is_alive());
    }
}
