//! The rules of a shared cache after RFC 9111, with RFC 5861 (stale answers) and RFC 9213 (targeted fields).
//!
//! One file an idea, each named in the RFC's words. What the operator wrote goes before what the origin says where the directive is about
//! just that: `proxy_ignore_headers`, `proxy_cache_valid` for answers that state no time, X-Accel-Expires.

mod admit;
mod age;
mod control;
mod fields;
mod freshen;
mod lifetime;
mod reuse;
mod status;
mod targeted;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{IgnoreHeaders, LocationConf, StoredCookies, ValidRule};
use http1::Fields;

use self::control::Control;
pub use self::fields::is_of_connection;
pub use self::freshen::{Selected, freshened, selected};
pub use self::reuse::reuse;
pub use self::status::is_error;
use crate::policy::rules::{Answered, Asked};
use crate::policy::verdict::{Admission, Terms};

/// What the rules are to know of a location.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `proxy_ignore_headers`.
    pub ignored: &'a IgnoreHeaders,
    /// `proxy_cache_valid`.
    pub valid: &'a [ValidRule],
    /// `proxy_cache_targeted_fields`.
    pub targeted: &'a [String],
    /// `proxy_cache_heuristic_max`.
    pub heuristic_max: Duration,
    /// `proxy_cache_set_cookie`.
    pub cookies: StoredCookies,
}

impl<'a> Rules<'a> {
    /// Returns the rules of a location.
    pub fn of(location: &'a LocationConf) -> Self {
        Self {
            ignored: &location.proxy.ignore_headers,
            valid: &location.cache.valid,
            targeted: &location.cache.targeted_fields,
            heuristic_max: *location.cache.heuristic_max,
            cookies: *location.cache.set_cookie,
        }
    }
}

impl Rules<'_> {
    /// Decides whether to store an answer.
    pub fn admit(&self, asked: &Asked<'_>, answered: &Answered<'_>) -> Admission {
        admit::admit(self, asked, answered)
    }

    /// Returns the new terms of an entry that the upstream called unchanged.
    pub fn renew(
        &self,
        asked: &Asked<'_>,
        not_modified: &Answered<'_>,
        (status, stored): (u16, &Fields),
    ) -> Option<Terms> {
        let fields = self.freshened(not_modified.fields, stored);
        let answered = Answered { status, fields: &fields, at: not_modified.at };
        let control = Control::of(self, &fields);
        lifetime::terms(self, &control, asked, &answered).ok()
    }

    /// The fields that say how long an answer is fresh, of a stored one and of the 304 that came for it.
    fn freshened(&self, not_modified: &Fields, stored: &Fields) -> Fields {
        let targeted = self.targeted.iter().map(String::as_str);
        let names = ["Cache-Control", "Expires", "X-Accel-Expires", "Last-Modified"];
        let mut fields = Fields::new();
        for name in names.into_iter().chain(targeted) {
            let source = if not_modified.contains(name) { not_modified } else { stored };
            for value in source.all(name) {
                fields.push(name.as_bytes(), value);
            }
        }
        // How old it is now is the new answer's word alone.
        for name in ["Age", "Date"] {
            for value in not_modified.all(name) {
                fields.push(name.as_bytes(), value);
            }
        }
        fields
    }
}

/// Seconds since the epoch as a time; what lies before is the epoch.
fn time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// The only line of a field, as a date.
fn only_date(fields: &Fields, name: &str, now: SystemTime) -> Option<SystemTime> {
    let mut lines = fields.all(name);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    http1::date::parse_strictly(line, crate::format::seconds(now)).map(time)
}

#[cfg(test)]
mod tests;
