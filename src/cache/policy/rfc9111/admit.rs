//! Whether an answer may be stored (RFC 9111, 3).

use config::StoredCookies;
use http1::Method;

use super::Rules;
use super::control::Control;
use super::lifetime::{self, accel, explicit};
use super::status::is_understood;
use crate::policy::rules::{Answered, Asked};
use crate::policy::vary::{Matching, Variance, variance};
use crate::policy::verdict::{Admission, Refusal, Restraint, Terms};

/// Decides whether to store an answer.
pub(super) fn admit(rules: &Rules<'_>, asked: &Asked<'_>, answered: &Answered<'_>) -> Admission {
    match verdict(rules, asked, answered) {
        Ok((terms, vary)) => Admission::Store { terms, vary },
        Err(refusal) => Admission::Refused(refusal),
    }
}

fn verdict(
    rules: &Rules<'_>,
    asked: &Asked<'_>,
    answered: &Answered<'_>,
) -> Result<(Terms, Vec<u8>), Refusal> {
    let fields = answered.fields;
    if !rules.ignored.x_accel_redirect && fields.contains("x-accel-redirect") {
        return Err(Refusal::AccelRedirect);
    }
    if matches!(answered.status, 206 | 304) {
        return Err(Refusal::NotWhole);
    }
    let control = match accel(rules, answered) {
        Some(_) => only_windows(&Control::of(rules, fields)),
        None => Control::of(rules, fields),
    };
    may_store(rules, &control, asked, answered)?;
    let vary = vary(rules, answered)?;
    let terms = lifetime::terms(rules, &control, asked, answered)?;
    if is_useless(&terms, answered) {
        return Err(Refusal::NoValidator);
    }
    Ok((terms, vary))
}

fn may_store(
    rules: &Rules<'_>,
    control: &Control,
    asked: &Asked<'_>,
    answered: &Answered<'_>,
) -> Result<(), Refusal> {
    // RFC 9111, 5.2.2.3: a cache that understands the status does as if no-store were not there.
    match (control.must_understand, is_understood(answered.status)) {
        (true, false) => return Err(Refusal::NotUnderstood),
        (true, true) => {}
        (false, _) if control.no_store => return Err(Refusal::NoStore),
        (false, _) => {}
    }
    if control.private {
        return Err(Refusal::Private);
    }
    let is_for_others = control.public || control.must_revalidate || control.s_maxage.is_some();
    if asked.fields.contains("authorization") && !is_for_others {
        return Err(Refusal::Authorization);
    }
    let refuses_cookies = rules.cookies == StoredCookies::Refuse && !rules.ignored.set_cookie;
    if refuses_cookies && answered.fields.contains("set-cookie") {
        return Err(Refusal::SetCookie);
    }
    match asked.method {
        Method::Get | Method::Head => Ok(()),
        // RFC 9110, 9.3.3: with a lifetime of its own only.
        Method::Post if explicit(rules, control, answered).is_some() => Ok(()),
        _ => Err(Refusal::Method),
    }
}

/// What is left of `Cache-Control` where X-Accel-Expires stands for it: as in nginx, the windows for stale answers.
fn only_windows(control: &Control) -> Control {
    let Control { stale_while_revalidate, stale_if_error, .. } = *control;
    Control { stale_while_revalidate, stale_if_error, ..Control::default() }
}

fn vary(rules: &Rules<'_>, answered: &Answered<'_>) -> Result<Vec<u8>, Refusal> {
    if rules.ignored.vary {
        return Ok(Vec::new());
    }
    match variance(answered.fields, Matching::Normalised) {
        Variance::Uniform => Ok(Vec::new()),
        Variance::Fields(vary) => Ok(vary),
        Variance::Unique => Err(Refusal::VaryStar),
    }
}

/// Whether it could never be served: stale from the beginning, and nothing to validate it by.
fn is_useless(terms: &Terms, answered: &Answered<'_>) -> bool {
    let has_validator = answered.fields.contains("etag") || answered.fields.contains("last-modified");
    let is_over = terms.valid_until <= answered.at;
    let longest = terms.stale_while_revalidate.max(terms.stale_if_error);
    let may_be_stale = terms.valid_until.checked_add(longest).is_none_or(|end| end > answered.at);
    let can_be_served = match terms.restraint {
        Restraint::AlwaysValidated => false,
        Restraint::NeverStale => !is_over,
        Restraint::Free => !is_over || may_be_stale,
    };
    !has_validator && !can_be_served
}
