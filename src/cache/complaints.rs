//! What goes wrong with every request is told once a minute: a full disk must not fill another one with lines.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// From one line to the next of its kind.
const PACE: Duration = Duration::from_secs(60);

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The index cannot be read or written.
    Index,
    /// A stored file cannot be read.
    Read,
    /// A response cannot be written.
    Write,
    /// There is no room within `max_size`.
    Room,
    /// A response does not fit the format of a file.
    Format,
    /// A file cannot be removed.
    Remove,
}

/// The lines of each kind that were written, and those that were not.
#[derive(Debug, Default)]
pub struct Complaints {
    kinds: Mutex<Vec<(Trouble, Told)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    at: Instant,
    kept_back: u64,
}

/// That a line may be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Say {
    /// Lines like it that were not written since the last one.
    pub kept_back: u64,
}

impl std::fmt::Display for Say {
    /// The end of the line: nothing where none was kept back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kept_back {
            0 => Ok(()),
            count => write!(f, ", and {count} more like it since the last such line"),
        }
    }
}

impl Complaints {
    /// Says whether a line of this kind is due; where it is not, it is counted.
    pub fn due(&self, trouble: Trouble) -> Option<Say> {
        self.due_at(trouble, monotonic())
    }

    fn due_at(&self, trouble: Trouble, now: Instant) -> Option<Say> {
        let mut kinds = self.kinds.lock();
        let Some((_, told)) = kinds.iter_mut().find(|(kind, _)| *kind == trouble) else {
            kinds.push((trouble, Told { at: now, kept_back: 0 }));
            return Some(Say { kept_back: 0 });
        };
        if now.saturating_duration_since(told.at) < PACE {
            told.kept_back += 1;
            return None;
        }
        let say = Say { kept_back: told.kept_back };
        *told = Told { at: now, kept_back: 0 };
        Some(say)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it paces lines of the log and tries to open an index, and decides nothing else"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_one_line_of_each_kind() {
        let complaints = Complaints::default();
        let begun = monotonic();
        let steps = [
            (0, Trouble::Write, Some(0)),
            (1, Trouble::Write, None),
            (1, Trouble::Room, Some(0)),
            (59, Trouble::Write, None),
            (60, Trouble::Write, Some(2)),
            (61, Trouble::Room, Some(0)),
            (119, Trouble::Write, None),
            (500, Trouble::Write, Some(1)),
        ];
        for (seconds, trouble, wanted) in steps {
            let say = complaints.due_at(trouble, begun + Duration::from_secs(seconds));
            assert_eq!(say.map(|say| say.kept_back), wanted, "{trouble:?} after {seconds} s");
        }
        let end = |kept_back| Say { kept_back }.to_string();
        assert_eq!(
            (end(0), end(7)),
            (String::new(), ", and 7 more like it since the last such line".to_owned())
        );
    }
}
