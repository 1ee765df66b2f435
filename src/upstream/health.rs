//! What checks in a row make of a peer. Pure.
//!
//! As nginx: so many failures in a row and it is unhealthy, so many passes in a row and it is healthy again; before the
//! first check it is what the configuration says.

use config::{AtFirst, HealthCheck};

use super::peer::Health;

/// What one kind of check has seen of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    state: State,
    /// Checks in a row that speak against the state.
    against: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not checked yet, and not in use until it is.
    Checking,
    Healthy,
    Unhealthy,
}

/// What a peer was before a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Healthy.
    Healthy,
    /// Not known to be healthy.
    Unknown,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A good answer.
    Passed,
    /// None, or no good one.
    Failed,
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Same,
    /// The peer is in use from now on.
    BecameHealthy,
    /// It is not any more, or is known not to be fit for use.
    BecameUnhealthy,
}

impl Record {
    /// Begins before the first check.
    pub fn new(at_first: AtFirst, before: Before) -> Self {
        let state = match (at_first, before) {
            (AtFirst::Healthy, _) | (AtFirst::CheckingUnlessRemembered, Before::Healthy) => State::Healthy,
            (AtFirst::Checking, _) | (AtFirst::CheckingUnlessRemembered, Before::Unknown) => State::Checking,
        };
        Self { state, against: 0 }
    }

    /// Returns what the check says of the peer.
    pub fn health(&self) -> Health {
        match self.state {
            State::Healthy => Health::Healthy,
            State::Checking | State::Unhealthy => Health::Unhealthy,
        }
    }

    /// Notes a check.
    pub fn note(&mut self, outcome: Outcome, check: &HealthCheck) -> Change {
        let (next, needed) = match (self.state, outcome) {
            (State::Healthy, Outcome::Passed) | (State::Unhealthy, Outcome::Failed) => {
                self.against = 0;
                return Change::Same;
            }
            (State::Healthy, Outcome::Failed) => (State::Unhealthy, check.fails),
            (State::Unhealthy, Outcome::Passed) => (State::Healthy, check.passes),
            (State::Checking, Outcome::Passed) => (State::Healthy, 1),
            (State::Checking, Outcome::Failed) => (State::Unhealthy, 1),
        };
        self.against += 1;
        if self.against < needed {
            return Change::Same;
        }
        *self = Self { state: next, against: 0 };
        match next {
            State::Healthy => Change::BecameHealthy,
            State::Unhealthy | State::Checking => Change::BecameUnhealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(fails: u32, passes: u32, at_first: AtFirst) -> HealthCheck {
        HealthCheck {
            interval: Duration::from_secs(5),
            jitter: Duration::ZERO,
            fails,
            passes,
            uri: "/".to_owned(),
            port: None,
            keepalive_time: Duration::ZERO,
            at_first,
            good: None,
        }
    }

    #[test]
    fn what_a_peer_was_counts_where_it_is_to_be_remembered() {
        use AtFirst::{Checking, CheckingUnlessRemembered};
        for (at_first, before, wanted) in [
            (AtFirst::Healthy, Before::Unknown, Health::Healthy),
            (Checking, Before::Healthy, Health::Unhealthy),
            (CheckingUnlessRemembered, Before::Healthy, Health::Healthy),
            (CheckingUnlessRemembered, Before::Unknown, Health::Unhealthy),
        ] {
            assert_eq!(Record::new(at_first, before).health(), wanted, "{at_first:?}, {before:?}");
        }
    }

    #[test]
    fn checks_in_a_row_change_a_peer() {
        let (healthy, checking) = (AtFirst::Healthy, AtFirst::Checking);
        // Checks that pass (+) or fail (-), and what the peer is after each: in use (u) or not (.).
        let cases = [
            ("one failure, one pass", check(1, 1, healthy), "+-+-", "u.u."),
            ("three failures in a row", check(3, 1, healthy), "---+", "uu.u"),
            ("a pass in between", check(2, 1, healthy), "-+--", "uuu."),
            ("two passes in a row", check(1, 2, healthy), "-+++", "..uu"),
            ("a failure in between", check(1, 2, healthy), "-+-++", "....u"),
            ("mandatory: the first pass counts", check(3, 3, checking), "+", "u"),
            ("mandatory: the first failure counts", check(3, 2, checking), "-++", "..u"),
            ("mandatory: as others afterwards", check(2, 1, checking), "+--+", "uu.u"),
        ];
        for (name, check, outcomes, wanted) in cases {
            let mut record = Record::new(check.at_first, Before::Unknown);
            let seen: String = outcomes
                .chars()
                .map(|outcome| {
                    let outcome = if outcome == '+' { Outcome::Passed } else { Outcome::Failed };
                    let before = record.health();
                    let change = record.note(outcome, &check);
                    assert!(before == record.health() || change != Change::Same, "{name}");
                    if record.health() == Health::Healthy { 'u' } else { '.' }
                })
                .collect();
            assert_eq!(seen, wanted, "{name}");
        }
    }
}
