//! Values of the variables that the configuration defines.
//!
//! There is no room for them until one gets a value: a configuration without such variables pays nothing.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use config::{Captures, Slot};

/// The values of one request, and of those made to put its page together. They outlive internal redirects.
#[derive(Debug, Default)]
pub struct Slots {
    values: OnceCell<Rc<RefCell<Values>>>,
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

type Values = Vec<Option<Vec<u8>>>;

impl Slots {
    /// Gives a variable a value.
    pub fn set(&self, slot: &Slot, value: Vec<u8>) {
        let mut values = self.values.get_or_init(Rc::default).borrow_mut();
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

    /// Returns the same values, for a request that is a part of this one: what one sets the other sees.
    pub fn share(&self) -> Self {
        let values = Rc::clone(self.values.get_or_init(Rc::default));
        Self { values: OnceCell::from(values), depth: Cell::default() }
    }

    /// Gives the variables of named groups what the groups caught.
    pub fn take(&self, captures: &Captures) {
        for (slot, value) in captures.slots() {
            self.set(slot, value.to_vec());
        }
    }

    /// Appends the value of a variable; false says that it has none yet.
    pub fn write(&self, slot: &Slot, out: &mut Vec<u8>) -> bool {
        let Some(values) = self.values.get() else { return false };
        let values = values.borrow();
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

    #[test]
    fn parts_of_a_page_share_values() {
        let slot = Slot { number: 1, name: "x".into(), unset: Unset::Empty };
        let (ours, mut out) = (Slots::default(), Vec::new());
        let theirs = ours.share();
        theirs.set(&slot, b"seen".to_vec());
        assert!(ours.write(&slot, &mut out));
        assert_eq!(out, b"seen");
    }
}
