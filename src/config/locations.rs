//! Which location a path belongs to.

use std::{collections::HashMap, sync::Arc};

use crate::{regex::Captures, tree::LocationConf};

/// The locations of a server, or those within another one.
#[derive(Debug, Clone, Default)]
pub struct LocationTable {
    named: HashMap<String, Arc<LocationConf>>,
}

/// What a path led to.
#[derive(Debug, Clone)]
pub enum Found<'a> {
    /// A location, and what its expression caught.
    Location(&'a Arc<LocationConf>, Option<Captures>),
    /// Only the path with a slash appended has a location that passes requests on: 301 to there.
    AddSlash(&'a Arc<LocationConf>),
    /// None.
    Nothing,
}

impl LocationTable {
    /// Finds the location of a path, as nginx does.
    pub fn find(&self, _path: &[u8]) -> Found<'_> {
        Found::Nothing
    }

    /// Finds a named location; its name goes without `@`.
    pub fn named(&self, name: &str) -> Option<&Arc<LocationConf>> {
        self.named.get(name)
    }
}
