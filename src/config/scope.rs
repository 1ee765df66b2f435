//! What a directive may refer to while it is read: paths, formats, zones, groups, names of captures.

/// The surroundings of a directive.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Where all of it came from.
    pub source: &'a crate::source::Source,
}
