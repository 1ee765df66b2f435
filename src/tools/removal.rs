//! `larder cache purge`: what a purge request does, from a terminal.
//!
//! A running server knows of it at once; where none runs it holds from the next start on.

use std::sync::Arc;

use cache::{Durability, Key, Mode, Purge, Role, Zone};
use config::CachePath;
use serde_json::json;

use super::{
    Failure, Verdict,
    report::{Output, tell},
};
use crate::clock;

/// What a purge is to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A whole key, or with `*` at its end the beginning of keys.
    Key(String),
    /// A tag (`--tag`).
    Tag(String),
    /// Everything (`--all`).
    All,
}

/// Purges in each cache.
pub fn purge(
    caches: &[Arc<CachePath>],
    named: &Named,
    mode: Mode,
    output: Output,
) -> Result<Verdict, Failure> {
    let what = match named {
        Named::Key(text) => match text.strip_suffix('*') {
            Some("") => Purge::All,
            Some(start) => Purge::Prefix(start.as_bytes().to_vec()),
            None => Purge::Key(Key::new(text.as_bytes().to_vec()).digest),
        },
        Named::Tag(tag) => Purge::Tag(tag.as_bytes().to_vec()),
        Named::All => Purge::All,
    };
    let mut verdict = Verdict::Bad;
    for conf in caches {
        let zone = Zone::open(conf, Role::Tool)?;
        let purged = zone.purge(std::slice::from_ref(&what), mode, Durability::Synced, clock::now())?;
        zone.flush(Durability::Committed);
        // Where nothing was counted something may have been meant.
        if purged.entries != Some(0) {
            verdict = Verdict::Good;
        }
        let count = match purged.entries {
            Some(1) => "1 entry".to_owned(),
            Some(count) => format!("{count} entries"),
            None => "all that is meant".to_owned(),
        };
        let done = if mode == Mode::Soft { "is stale now" } else { "purged" };
        tell(
            output,
            || format!("cache \"{}\": {count} {done}", conf.name),
            || json!({ "zone": conf.name, "entries": purged.entries }),
        )?;
    }
    Ok(verdict)
}
