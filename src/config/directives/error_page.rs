//! `error_page`.

use crate::template::Template;

/// `error_page`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// Statuses it answers for.
    pub statuses: Vec<u16>,
    /// Which status the client sees.
    pub overwrite: Overwrite,
    /// Where to go.
    pub target: ErrorTarget,
}

/// Status after an `error_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// The error's.
    Keep,
    /// What the target answers (`=`).
    Target,
    /// This one (`=200`).
    Fixed(u16),
}

/// Where an `error_page` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorTarget {
    /// An internal redirect to a path.
    Uri(Template),
    /// A named location, without `@`.
    Named(String),
    /// A redirect of the client: the URL.
    Url(Template),
}
