//! Whether a response may be stored, and until when it is fresh.

use super::Rules;
use super::freshness::{Lifetime, times};
use crate::policy::rules::Answered;
use crate::policy::vary::{Matching, Variance, variance};
use crate::policy::verdict::{Admission, Refusal};

/// Decides whether to store a response.
pub(super) fn admit(rules: &Rules<'_>, answered: &Answered<'_>) -> Admission {
    let (head, ignored) = (answered.fields, rules.ignored);
    if !ignored.x_accel_redirect && head.contains("x-accel-redirect") {
        return Admission::Refused(Refusal::AccelRedirect);
    }
    if !ignored.set_cookie && head.contains("set-cookie") {
        return Admission::Refused(Refusal::SetCookie);
    }
    let variance = if ignored.vary { Variance::Uniform } else { variance(head, Matching::Literal) };
    let vary = match variance {
        Variance::Uniform => Vec::new(),
        Variance::Fields(vary) => vary,
        Variance::Unique => return Admission::Refused(Refusal::VaryStar),
    };
    let times = times(head, ignored, answered.at);
    match times.terms(answered.status, rules.valid, answered.at) {
        Some(terms) => Admission::Store { terms, vary },
        None => Admission::Refused(match times.lifetime {
            Lifetime::Unstated | Lifetime::Until(_) => Refusal::NoLifetime,
            Lifetime::NoCache => Refusal::CacheControl,
            Lifetime::BadAge => Refusal::BadAge,
            Lifetime::AccelZero => Refusal::AccelZero,
            Lifetime::Expired => Refusal::Expired,
        }),
    }
}
