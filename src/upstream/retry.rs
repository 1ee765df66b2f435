//! `proxy_next_upstream`: whether a failed try may be followed by another.
//!
//! Pure. As nginx: the kind of failure must be allowed, a request that must not be repeated is repeated only by
//! leave of `non_idempotent` once it was sent, and tries and time have limits.

use std::time::Duration;

use config::NextUpstream;

/// Why a try was no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The connection could not be made, or broke before the head of an answer.
    Error,
    /// A peer was silent for too long.
    Timeout,
    /// What it sent is no answer.
    InvalidHeader,
    /// It answered with this status.
    Status(u16),
}

/// Whether anything of the request has reached the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was written.
    Unsent,
    /// Some or all of it was.
    Sent,
}

/// Whether a request can and may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Any number of times.
    Freely,
    /// Its method is not idempotent: POST, LOCK, PATCH.
    NotIdempotent,
    /// Its body is on its way through us and gone once it was sent.
    Impossible,
}

/// One try that was no success.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// How far the request had come.
    pub progress: Progress,
    /// What kind of request it is.
    pub repeat: Repeat,
    /// Tries that are left after this one.
    pub tries_left: usize,
    /// Time since the first try began.
    pub elapsed: Duration,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ask the next peer.
    NextPeer,
    /// Answer with what there is.
    GiveUp,
}

/// Decides whether the next peer is asked. `time_limit` is `proxy_next_upstream_timeout`; zero is none.
pub fn verdict(rules: &NextUpstream, time_limit: Duration, failure: &Failure) -> Verdict {
    let in_time = time_limit.is_zero() || failure.elapsed < time_limit;
    let permitted = allows(rules, failure.cause) && may_repeat(rules, failure.progress, failure.repeat);
    if failure.tries_left > 0 && in_time && permitted { Verdict::NextPeer } else { Verdict::GiveUp }
}

/// Whether a request may be sent again after a kept connection turned out to be closed.
pub fn may_repeat(rules: &NextUpstream, progress: Progress, repeat: Repeat) -> bool {
    match (progress, repeat) {
        (Progress::Unsent, _) | (Progress::Sent, Repeat::Freely) => true,
        (Progress::Sent, Repeat::NotIdempotent) => rules.non_idempotent,
        (Progress::Sent, Repeat::Impossible) => false,
    }
}

/// Whether a failure counts against the peer (`max_fails`), given that the next one is asked because of it.
pub fn counts(cause: Cause) -> bool {
    !matches!(cause, Cause::Status(403 | 404))
}

fn allows(rules: &NextUpstream, cause: Cause) -> bool {
    match cause {
        Cause::Error => rules.after.error,
        Cause::Timeout => rules.after.timeout,
        Cause::InvalidHeader => rules.after.invalid_header,
        Cause::Status(status) => rules.after.has_status(status),
    }
}

#[cfg(test)]
mod tests {
    use config::Failures;

    use super::*;

    fn failure(cause: Cause) -> Failure {
        Failure {
            cause,
            progress: Progress::Sent,
            repeat: Repeat::Freely,
            tries_left: 1,
            elapsed: Duration::from_secs(5),
        }
    }

    #[test]
    fn the_next_peer_is_asked_only_where_the_rules_allow() {
        use Verdict::{GiveUp, NextPeer};
        let usual = Failures { error: true, timeout: true, ..Failures::default() };
        let default = NextUpstream { after: usual, ..NextUpstream::default() };
        let repeating = NextUpstream { non_idempotent: true, ..default };
        let statuses =
            NextUpstream { after: Failures { http_503: true, http_404: true, ..usual }, ..default };
        let off = NextUpstream::default();
        let error = failure(Cause::Error);
        let unsent = Failure { progress: Progress::Unsent, ..error };
        let posted = Failure { repeat: Repeat::NotIdempotent, ..error };
        let streamed = Failure { repeat: Repeat::Impossible, ..error };
        let cases = [
            ("error", default, 0, error, NextPeer),
            ("error, off", off, 0, error, GiveUp),
            ("timeout", default, 0, failure(Cause::Timeout), NextPeer),
            ("invalid header is not in the default", default, 0, failure(Cause::InvalidHeader), GiveUp),
            ("status not named", default, 0, failure(Cause::Status(503)), GiveUp),
            ("status named", statuses, 0, failure(Cause::Status(503)), NextPeer),
            ("status that cannot be named", statuses, 0, failure(Cause::Status(501)), GiveUp),
            ("last try", default, 0, Failure { tries_left: 0, ..error }, GiveUp),
            ("in time", default, 6, error, NextPeer),
            ("too late", default, 5, error, GiveUp),
            ("POST that was sent", default, 0, posted, GiveUp),
            ("POST that was sent, by leave", repeating, 0, posted, NextPeer),
            (
                "POST that was not sent",
                default,
                0,
                Failure { repeat: Repeat::NotIdempotent, ..unsent },
                NextPeer,
            ),
            ("streamed body that was sent", repeating, 0, streamed, GiveUp),
            (
                "streamed body that was not sent",
                default,
                0,
                Failure { repeat: Repeat::Impossible, ..unsent },
                NextPeer,
            ),
        ];
        for (name, rules, limit_s, failure, wanted) in cases {
            assert_eq!(verdict(&rules, Duration::from_secs(limit_s), &failure), wanted, "{name}");
        }
    }

    #[test]
    fn forbidden_and_missing_do_not_count_against_a_peer() {
        for (cause, wanted) in [
            (Cause::Error, true),
            (Cause::InvalidHeader, true),
            (Cause::Status(500), true),
            (Cause::Status(429), true),
            (Cause::Status(403), false),
            (Cause::Status(404), false),
        ] {
            assert_eq!(counts(cause), wanted, "{cause:?}");
        }
    }
}
