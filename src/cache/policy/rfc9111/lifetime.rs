//! For how long an answer is fresh (RFC 9111, 4.2.1 and 4.2.2), and how stale it may be served after that.

use std::time::{Duration, SystemTime};

use super::control::Control;
use super::status::is_heuristically_cacheable;
use super::{Rules, age, only_date};
use crate::policy::nginx::{self, Accel};
use crate::policy::rules::{Answered, Asked};
use crate::policy::verdict::{Refusal, Restraint, Terms};

/// The share of the time since its last change that an answer stays fresh where nobody says: a tenth.
const HEURISTIC_SHARE: u32 = 10;

/// Works out until when an answer is fresh; nothing says so in those that are refused.
pub(super) fn terms(
    rules: &Rules<'_>,
    control: &Control,
    asked: &Asked<'_>,
    answered: &Answered<'_>,
) -> Result<Terms, Refusal> {
    let initial_age = age::initial_age(asked, answered);
    let restraint = restraint(control);
    let valid_until = match accel(rules, answered) {
        Some(Accel::Zero) => return Err(Refusal::AccelZero),
        Some(Accel::Until(time)) => time,
        None => {
            let lifetime = explicit(rules, control, answered)
                .or_else(|| nginx::valid_for(answered.status, rules.valid))
                .or_else(|| heuristic(rules, control, answered));
            let lifetime = match (lifetime, restraint) {
                (Some(lifetime), _) => lifetime,
                (None, Restraint::AlwaysValidated) => Duration::ZERO,
                (None, Restraint::Free | Restraint::NeverStale) => return Err(Refusal::NoLifetime),
            };
            after(answered.at, lifetime, initial_age)
        }
    };
    let span = |delta: Option<crate::policy::list::Delta>| delta.map_or(Duration::ZERO, |delta| delta.span());
    Ok(Terms {
        valid_until,
        stale_while_revalidate: span(control.stale_while_revalidate),
        stale_if_error: span(control.stale_if_error),
        initial_age: Some(initial_age),
        restraint,
    })
}

/// What X-Accel-Expires says, which is meant for this cache alone.
pub(super) fn accel(rules: &Rules<'_>, answered: &Answered<'_>) -> Option<Accel> {
    if rules.ignored.x_accel_expires { None } else { nginx::accel_expires(answered.fields, answered.at) }
}

/// The lifetime that an answer states: s-maxage, max-age, Expires, whichever is there first in this order.
pub(super) fn explicit(rules: &Rules<'_>, control: &Control, answered: &Answered<'_>) -> Option<Duration> {
    if let Some(delta) = control.s_maxage.or(control.max_age) {
        return Some(delta.span());
    }
    let stands_for_expires = control.is_targeted || rules.ignored.expires;
    if stands_for_expires || !answered.fields.contains("expires") {
        return None;
    }
    let from = only_date(answered.fields, "date", answered.at).unwrap_or(answered.at);
    let expires = only_date(answered.fields, "expires", answered.at);
    Some(expires.and_then(|expires| expires.duration_since(from).ok()).unwrap_or_default())
}

/// A guess by the time since the last change, for answers to which nobody objects to it.
fn heuristic(rules: &Rules<'_>, control: &Control, answered: &Answered<'_>) -> Option<Duration> {
    if !control.public && !is_heuristically_cacheable(answered.status) {
        return None;
    }
    let modified = only_date(answered.fields, "last-modified", answered.at)?;
    let made = only_date(answered.fields, "date", answered.at).unwrap_or(answered.at);
    let unchanged = made.duration_since(modified).ok()?;
    let guess = Duration::from_secs((unchanged / HEURISTIC_SHARE).as_secs()).min(rules.heuristic_max);
    (!guess.is_zero()).then_some(guess)
}

/// RFC 9111, 5.2.2.10: s-maxage has the meaning of proxy-revalidate.
fn restraint(control: &Control) -> Restraint {
    if control.no_cache {
        return Restraint::AlwaysValidated;
    }
    let never_stale = control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some();
    if never_stale { Restraint::NeverStale } else { Restraint::Free }
}

/// The end of a lifetime of which a part is over.
fn after(at: SystemTime, lifetime: Duration, age: Duration) -> SystemTime {
    match lifetime.checked_sub(age) {
        Some(left) => at.checked_add(left).unwrap_or(at),
        None => at.checked_sub(age - lifetime).unwrap_or(SystemTime::UNIX_EPOCH),
    }
}
