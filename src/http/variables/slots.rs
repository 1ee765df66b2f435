//! Values of the variables that the configuration defines.
//!
//! There is no room for them until one gets a value: a configuration without such variables pays nothing.

use std::cell::{Cell, RefCell};

use config::{Captures, Slot};

/// The values of one request. They outlive internal redirects.
#[derive(Debug, Default)]
pub struct Slots {
    values: RefCell<Vec<Option<Vec<u8>>>>,
    /// How many values are being worked out, each for the one before.
    depth: Cell<u8>,
}

/// Most variables that are made of one another: nginx's limit, which tells cycles.
const DEEPEST: u8 = 100;

/// One more value is being worked out.
#[must_use = "dropping it says that the value is there"]
pub struct Deeper<'a>(&'a Cell<u8>);

impl Drop for Deeper<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Slots {
    /// Gives a variable a value.
    pub fn set(&self, slot: &Slot, value: Vec<u8>) {
        let mut values = self.values.borrow_mut();
        if values.len() <= slot.number {
            values.resize(slot.number + 1, None);
        }
        values[slot.number] = Some(value);
    }

    /// Begins to work out a value, unless that would be a cycle.
    pub fn deeper(&self) -> Option<Deeper<'_>> {
        let depth = self.depth.get();
        (depth < DEEPEST).then(|| {
            self.depth.set(depth + 1);
            Deeper(&self.depth)
        })
    }

    /// Gives the variables of named groups what the groups caught.
    pub fn take(&self, captures: &Captures) {
        for (slot, value) in captures.slots() {
            self.set(slot, value.to_vec());
        }
    }

    /// Appends the value of a variable; false says that it has none yet.
    pub fn write(&self, slot: &Slot, out: &mut Vec<u8>) -> bool {
        let values = self.values.borrow();
        let value = values.get(slot.number).and_then(Option::as_ref);
        value.is_some_and(|value| {
            out.extend_from_slice(value);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use config::Unset;

    use super::*;

    #[test]
    fn values_are_kept_by_number() {
        let slot = |number| Slot { number, name: "x".into(), unset: Unset::Empty };
        let slots = Slots::default();
        let mut out = Vec::new();
        assert!(!slots.write(&slot(0), &mut out));
        slots.set(&slot(2), b"two".to_vec());
        assert!(!slots.write(&slot(1), &mut out));
        assert!(slots.write(&slot(2), &mut out));
        slots.set(&slot(2), b"".to_vec());
        assert!(slots.write(&slot(2), &mut out));
        assert_eq!(out, b"two");
    }
}
