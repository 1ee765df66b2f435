//! S3-FIFO, an order of eviction (Yang and others, 2023): two queues, and a memory of what left the first one (pure).
//!
//! What comes for the first time stands in the small queue, a tenth of the cache: what nobody asks for again leaves
//! soon, and does not push out what is popular. Who was used there moves to the main queue; so does what comes
//! back while it is remembered. The queues stand in [`crate::index`]; here is what happens at their heads.

/// A queue of entries, in the order in which they came to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// For what is new.
    Small,
    /// For what has been asked for again.
    Main,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) queue: Queue,
    /// Grows with each entry that is put into a queue.
    pub(crate) turn: u64,
    /// Recorded uses since it was put there, three at most.
    pub(crate) frequency: u8,
}

/// What is known of a digest that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    Unknown,
    /// It left the small queue not long ago.
    Remembered,
}

/// What becomes of an entry at the head of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes, and its digest is remembered.
    Remembered,
    /// It goes.
    Gone,
    /// It is put to the end of the main queue.
    Stays { frequency: u8 },
}

/// The small queue's part of the cache: one in so many bytes, or keys.
const SMALL_PART: u64 = 10;
const MOST_FREQUENCY: u8 = 3;

/// The queue for an entry that comes.
pub(crate) fn admit(past: Past) -> Queue {
    match past {
        Past::Unknown => Queue::Small,
        Past::Remembered => Queue::Main,
    }
}

/// The queue whose head is looked at when something has to go.
pub(crate) fn shorten(small: u64, all: u64) -> Queue {
    if small.saturating_mul(SMALL_PART) >= all { Queue::Small } else { Queue::Main }
}

/// Decides about the entry at the head of a queue.
///
/// One recorded use is enough to stay: uses within ten seconds are recorded as one, so each of them is a return.
pub(crate) fn fate(queue: Queue, frequency: u8) -> Fate {
    match (queue, frequency) {
        (Queue::Small, 0) => Fate::Remembered,
        (Queue::Main, 0) => Fate::Gone,
        (Queue::Small, _) => Fate::Stays { frequency: 0 },
        (Queue::Main, frequency) => Fate::Stays { frequency: frequency - 1 },
    }
}

impl Place {
    /// The same place after one more use.
    pub(crate) fn used(self) -> Self {
        Self { frequency: (self.frequency + 1).min(MOST_FREQUENCY), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates() {
        let cases = [
            (Queue::Small, 0, Fate::Remembered),
            (Queue::Small, 1, Fate::Stays { frequency: 0 }),
            (Queue::Small, 3, Fate::Stays { frequency: 0 }),
            (Queue::Main, 0, Fate::Gone),
            (Queue::Main, 1, Fate::Stays { frequency: 0 }),
            (Queue::Main, 3, Fate::Stays { frequency: 2 }),
        ];
        for (queue, frequency, wanted) in cases {
            assert_eq!(fate(queue, frequency), wanted, "{queue:?} {frequency}");
        }
    }

    #[test]
    fn the_small_queue_is_a_tenth() {
        let cases = [
            (0, 0, Queue::Small),
            (9, 100, Queue::Main),
            (10, 100, Queue::Small),
            (50, 100, Queue::Small),
            (u64::MAX, u64::MAX, Queue::Small),
        ];
        for (small, all, wanted) in cases {
            assert_eq!(shorten(small, all), wanted, "{small} of {all}");
        }
        assert_eq!((admit(Past::Unknown), admit(Past::Remembered)), (Queue::Small, Queue::Main));
    }

    #[test]
    fn uses_are_counted_up_to_three() {
        let mut place = Place { queue: Queue::Main, turn: 7, frequency: 0 };
        for wanted in [1, 2, 3, 3] {
            place = place.used();
            assert_eq!(place, Place { queue: Queue::Main, turn: 7, frequency: wanted });
        }
    }
}
