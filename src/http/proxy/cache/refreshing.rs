//! What a 304 makes of the entry that was asked about.
//!
//! By nginx's rules it gives it new times, which are written over the old ones. After RFC 9111 its fields take the places of stored ones
//! too, for this answer and for later ones (4.3.4); the body stays as it is.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cache::{
    FillPermit, Meta, Renewed, Rewritten,
    policy::{
        Answered, Rules,
        vary::{self, Variance},
    },
};
use http1::Fields;

use super::{
    file::not_stored,
    fill::Ticket,
    purge,
    stored_head::{self, Head},
    storing::Order,
    zone::{Entry, StoredFile},
};
use crate::clock;
use crate::http::proxy::transport::Incoming;

/// Makes the entry that an entry is after a 304.
pub(super) async fn refresh(
    order: &Order,
    ticket: &mut Ticket,
    entry: Arc<Entry>,
    incoming: &Incoming,
) -> Arc<Entry> {
    let now = clock::now();
    let fields = &incoming.head.fields;
    let rules = Rules::of(&order.location);
    let head = stored_head::freshened(&order.location, &entry.head, fields, now);
    let not_modified = Answered { status: 304, fields, at: now };
    let stored = (entry.head.status, &entry.head.fields);
    let Some(terms) = rules.renew(&order.asked(), &not_modified, stored) else {
        return match head {
            // Its fields count for this answer.
            Some(head) => Arc::new(entry.renewed(entry.meta.clone(), head.parsed, None, 0)),
            None => entry,
        };
    };
    let mut meta = entry.meta.clone();
    meta.set_terms(&terms);
    meta.date = now;
    meta.epoch = order.epoch;
    if let Some(head) = &head {
        describe(&mut meta, order, &head.parsed.fields, rules.matching());
    }
    let Some(file) = entry.file() else {
        // Its file is still being written, with what was there before: what is in memory counts.
        let head = head.map_or_else(|| Arc::clone(&entry.head), |head| head.parsed);
        let entry = Arc::new(entry.renewed(meta, head, None, 0));
        order.zone.replace(&order.key, order.digest, Arc::clone(&entry));
        return entry;
    };
    (meta.header_start, meta.body_start) = file.starts;
    match head {
        Some(head) => write_head(order, &entry, meta, head, file, ticket.take_permit()).await,
        None => write_times(order, entry, meta, file).await,
    }
}

/// Notes in an entry's header what its new fields say.
fn describe(meta: &mut Meta, order: &Order, fields: &Fields, matching: vary::Matching) {
    meta.etag = fields.get("etag").unwrap_or_default().to_vec();
    meta.last_modified = fields.get("last-modified").and_then(time_of);
    meta.tags = purge::tags(&order.location.cache, fields, &order.tag_origin);
    // Under the digest of a variant lies what varies as the main file says: another Vary moves it nowhere.
    let may_vary = order.digest == order.key.digest;
    if let Variance::Fields(vary) = vary::variance(fields, matching)
        && may_vary
        && vary != meta.vary
    {
        meta.variant = vary::variant(&order.key.digest, &vary, &order.request_fields, matching);
        meta.vary = vary;
    }
}

/// Reads a date as a time.
pub(super) fn time_of(text: &[u8]) -> Option<SystemTime> {
    let seconds = u64::try_from(http1::date::parse(text)?).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Writes new times over the old ones.
async fn write_times(order: &Order, entry: Arc<Entry>, meta: Meta, file: StoredFile) -> Arc<Entry> {
    let digest = order.digest;
    let (zone, key, written) = (Arc::clone(&order.zone), order.key.clone(), meta.clone());
    let work = move || {
        zone.store.update_meta(&key, &Renewed { digest: &digest, identity: &file.identity, meta: &written })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(Some(identity))) => {
            let generation = order.zone.store.generation(&digest);
            let file = Some(StoredFile { identity, ..file });
            let entry = Arc::new(entry.renewed(meta, Arc::clone(&entry.head), file, generation));
            order.zone.replace(&order.key, digest, Arc::clone(&entry));
            entry
        }
        // Replaced meanwhile, or not to be written: what was found is as good for this answer.
        Ok(Ok(None)) => entry,
        Ok(Err(error)) => {
            let _ = not_stored(&order.zone, &error.into());
            entry
        }
        Err(_) => entry,
    }
}

/// Writes new header lines in the place of the old ones.
async fn write_head(
    order: &Order,
    entry: &Entry,
    meta: Meta,
    head: Head,
    file: StoredFile,
    permit: Option<FillPermit>,
) -> Arc<Entry> {
    let digest = order.digest;
    let (zone, key, written) = (Arc::clone(&order.zone), order.key.clone(), meta.clone());
    let temp_dir: PathBuf = order.location.proxy.temp_path.path.clone();
    let work = move || {
        let _order = zone.in_order(&digest);
        let renewed = Renewed { digest: &digest, identity: &file.identity, meta: &written };
        zone.store.rewrite(&key, &renewed, &head.bytes, permit, &temp_dir, clock::now())
    };
    let generation = || order.zone.store.generation(&digest);
    let head = head.parsed;
    let renewed = match tokio::task::spawn_blocking(work).await {
        Ok(Ok((Rewritten::InPlace(identity), meta))) => {
            let starts = (meta.header_start, meta.body_start);
            entry.renewed(meta, head, Some(StoredFile { identity, starts }), generation())
        }
        Ok(Ok((Rewritten::Moved(committed), meta))) => entry.moved(meta, head, &committed),
        // Replaced meanwhile: good for this answer only.
        Ok(Ok((Rewritten::Gone, _))) | Err(_) => return Arc::new(entry.renewed(meta, head, None, 0)),
        Ok(Err(error)) => {
            let _ = not_stored(&order.zone, &error.into());
            entry.renewed(meta, head, None, generation())
        }
    };
    let renewed = Arc::new(renewed);
    order.zone.replace(&order.key, digest, Arc::clone(&renewed));
    renewed
}
