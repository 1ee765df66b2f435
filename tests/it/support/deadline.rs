//! Waiting for conditions with a deadline; the one place of the tests that reads the clock or sleeps.

#![expect(clippy::disallowed_methods, reason = "tests measure the real program, so they read the real clock")]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take before the test gives up. It only bounds a hang: far longer than anything takes on a machine
/// that has four times as much to do as it can.
pub const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(2);

/// Returns the time.
pub fn now() -> Instant {
    Instant::now()
}

/// Waits until the condition holds; panics with `what` if it does not within [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until there is a value; panics with `what` if there is none within [`PATIENCE`].
pub fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    match poll(PATIENCE, attempt) {
        Some(value) => value,
        None => panic!("gave up after {PATIENCE:?} waiting until {what}"),
    }
}

/// Tries until there is a value or the time is over.
pub fn poll<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + patience;
    loop {
        if let Some(value) = attempt() {
            return Some(value);
        }
        if now() >= deadline {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Ends the loops of other threads when the test leaves the scope that they run in, however it does.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes its time, as a slow origin or a slow client does; no test waits for the program with it.
pub fn take(time: Duration) {
    thread::sleep(time);
}
