//! `larder cache ls`, `find`, `show` and `stats`: what is stored.

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::{Meta, Role, Standing, Zone, hex, purge};
use config::CachePath;
use serde_json::{Value, json};

use super::{
    Failure, Verdict,
    files::{CachedFile, Found, walk},
    pattern::Pattern,
    report::{Output, Progress, bytes, epoch, put, put_all, say, shown, span, tell},
};
use crate::clock;

/// Lists the answers whose keys fit, at most so many.
pub fn list(
    caches: &[Arc<CachePath>],
    pattern: Option<&Pattern>,
    most: Option<usize>,
    output: Output,
) -> Result<Verdict, Failure> {
    let mut left = most.unwrap_or(usize::MAX);
    let mut verdict = if pattern.is_some() { Verdict::Bad } else { Verdict::Good };
    let now = clock::now();
    each_answer(caches, pattern, &mut |conf, file, hits| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        verdict = Verdict::Good;
        tell(output, || line(&file, hits, now), || facts(conf, &file, hits))?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(verdict)
}

/// Shows all that is known of the answers whose keys fit, their heads included.
pub fn show(caches: &[Arc<CachePath>], pattern: &Pattern, output: Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Bad;
    let now = clock::now();
    each_answer(caches, Some(pattern), &mut |conf, file, hits| {
        verdict = Verdict::Good;
        let json = || {
            let mut facts = facts(conf, &file, hits);
            put(&mut facts, "head", &file.head);
            facts
        };
        tell(output, || portrait(conf, &file, hits, now), json)?;
        Ok(ControlFlow::Continue(()))
    })?;
    if verdict == Verdict::Bad && output == Output::Text {
        say("nothing is stored under such a key")?;
    }
    Ok(verdict)
}

/// Counts what is stored.
pub fn stats(caches: &[Arc<CachePath>], output: Output) -> Result<Verdict, Failure> {
    for conf in caches {
        let mut counts = Counts::default();
        let now = clock::now();
        let mut progress = Progress::new("files");
        let purges = Purges::of(conf);
        let flow = walk(conf, &mut |found| {
            progress.step();
            match found {
                Found::Answer(file) => match purges.judged(file) {
                    Some(file) => counts.add(&file, purges.hits(&file), now),
                    None => counts.purged += 1,
                },
                Found::Damaged { .. } => counts.damaged += 1,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        debug_assert!(flow.is_continue(), "nothing breaks it off");
        drop(progress);
        let indexed = purges.0.as_ref().map(|zone| zone.stats().entries);
        tell(output, || counts.text(conf, indexed), || counts.json(conf, indexed))?;
    }
    Ok(Verdict::Good)
}

/// How often an answer was served; nothing where the index does not say.
pub(super) type Hits = Option<u32>;

/// Goes through the answers whose keys fit; damaged files are passed over.
pub(super) fn each_answer(
    caches: &[Arc<CachePath>],
    pattern: Option<&Pattern>,
    each: &mut impl FnMut(&CachePath, CachedFile, Hits) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    let mut progress = Progress::new("files");
    for conf in caches {
        let purges = Purges::of(conf);
        let flow = walk(conf, &mut |found| {
            progress.step();
            match found {
                Found::Answer(file) if pattern.is_none_or(|pattern| pattern.fits(&file.key.text)) => {
                    match purges.judged(file) {
                        Some(file) => {
                            let hits = purges.hits(&file);
                            each(conf, *file, hits)
                        }
                        None => Ok(ControlFlow::Continue(())),
                    }
                }
                Found::Answer(_) | Found::Damaged { .. } => Ok(ControlFlow::Continue(())),
            }
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// The purges of a cache: what they name is still in its file for a while. Who may not open the cache is shown the files.
struct Purges(Option<Zone>);

impl Purges {
    fn of(conf: &Arc<CachePath>) -> Self {
        Self(Zone::open(conf, Role::Tool).ok())
    }

    fn hits(&self, file: &CachedFile) -> Hits {
        self.0.as_ref()?.hits(&file.digest)
    }

    /// Returns an answer as it stands now; none where it was purged.
    fn judged(&self, mut file: Box<CachedFile>) -> Option<Box<CachedFile>> {
        let Some(zone) = &self.0 else { return Some(file) };
        match zone.judge(&file.key, &file.meta) {
            Standing::Live => {}
            Standing::Soft(number) => file.meta.soften(number),
            Standing::Gone => return None,
        }
        Some(file)
    }
}

fn line(file: &CachedFile, hits: Hits, now: SystemTime) -> String {
    let status = file.status().map_or_else(|| "?".to_owned(), |status| status.to_string());
    let (key, hits, length) = (shown(&file.key.text), times(hits), bytes(file.body_len()));
    format!("{status:>3}  {length:>10}  {hits:>10}  {:<22}  {key}", freshness(&file.meta, now))
}

fn times(hits: Hits) -> String {
    match hits {
        None => "-".to_owned(),
        Some(1) => "1 hit".to_owned(),
        Some(hits) => format!("{hits} hits"),
    }
}

fn freshness(meta: &Meta, now: SystemTime) -> String {
    match meta.valid_until.duration_since(now) {
        Ok(left) => format!("fresh for {}", span(left)),
        Err(past) => format!("stale for {}", span(past.duration())),
    }
}

fn age(meta: &Meta, now: SystemTime) -> Duration {
    now.duration_since(meta.date).unwrap_or_default()
}

fn portrait(conf: &CachePath, file: &CachedFile, hits: Hits, now: SystemTime) -> String {
    let meta = &file.meta;
    let mut lines = vec![
        format!("key       {}", shown(&file.key.text)),
        format!("cache     {}", conf.name),
        format!("file      {}", file.path.display()),
        format!("body      {} ({} bytes)", bytes(file.body_len()), file.body_len()),
        format!("stored    {} ago", span(age(meta, now))),
        format!("validity  {}", freshness(meta, now)),
        format!("served    {}", times(hits)),
    ];
    for (name, text) in [("etag", &meta.etag), ("vary", &meta.vary)] {
        if !text.is_empty() {
            lines.push(format!("{name:<8}  {}", shown(text)));
        }
    }
    let tags: Vec<_> = purge::tags::split(&meta.tags).map(shown).collect();
    if !tags.is_empty() {
        lines.push(format!("tags      {}", tags.join(" ")));
    }
    let head = file.head.trim_ascii_end().split(|byte| *byte == b'\n');
    lines.extend(head.map(|line| format!("  {}", shown(line.trim_ascii_end()))));
    lines.join("\n") + "\n"
}

fn facts(conf: &CachePath, file: &CachedFile, hits: Hits) -> Value {
    let mut facts = json!({
        "zone": conf.name,
        "digest": hex(&file.digest),
        "status": file.status(),
        "body_bytes": file.body_len(),
        "stored": epoch(file.meta.date),
        "valid_until": epoch(file.meta.valid_until),
        "hits": hits,
    });
    let texts: [(&str, &[u8]); 4] = [
        ("key", &file.key.text),
        ("file", file.path.as_os_str().as_encoded_bytes()),
        ("etag", &file.meta.etag),
        ("vary", &file.meta.vary),
    ];
    texts.into_iter().for_each(|(name, text)| put(&mut facts, name, text));
    put_all(&mut facts, "tags", purge::tags::split(&file.meta.tags));
    facts
}

/// What a cache holds.
#[derive(Debug, Default)]
struct Counts {
    answers: u64,
    fresh: u64,
    /// Purged, with files that are still there.
    purged: u64,
    damaged: u64,
    file_bytes: u64,
    /// Of all that the index knows.
    hits: u64,
    statuses: BTreeMap<u16, u64>,
}

impl Counts {
    fn add(&mut self, file: &CachedFile, hits: Hits, now: SystemTime) {
        self.answers += 1;
        self.hits += u64::from(hits.unwrap_or(0));
        self.fresh += u64::from(file.meta.valid_until > now);
        self.file_bytes += file.size;
        if let Some(status) = file.status() {
            *self.statuses.entry(status).or_default() += 1;
        }
    }

    fn text(&self, conf: &CachePath, indexed: Option<u64>) -> String {
        let Self { answers, fresh, purged, damaged, file_bytes, hits, statuses } = self;
        let limit = conf.max_size.map_or_else(String::new, |limit| format!(" of {}", bytes(limit)));
        let mut lines = vec![
            format!("cache     {} ({})", conf.name, conf.path.display()),
            format!("answers   {answers}, {fresh} of them fresh"),
            format!("files     {}{limit}", bytes(*file_bytes)),
            format!("served    {hits} hits on what is stored"),
        ];
        lines.extend(indexed.map(|indexed| format!("index     {indexed} keys")));
        if *purged > 0 {
            lines.push(format!("purged    {purged}, with files that are still there"));
        }
        if *damaged > 0 {
            lines.push(format!("damaged   {damaged}: see \"larder cache verify\""));
        }
        lines.extend(statuses.iter().map(|(status, count)| format!("status {status}  {count}")));
        lines.join("\n") + "\n"
    }

    fn json(&self, conf: &CachePath, indexed: Option<u64>) -> Value {
        let statuses: serde_json::Map<_, _> =
            self.statuses.iter().map(|(status, count)| (status.to_string(), (*count).into())).collect();
        json!({
            "zone": conf.name,
            "path": conf.path.display().to_string(),
            "answers": self.answers,
            "fresh": self.fresh,
            "purged": self.purged,
            "damaged": self.damaged,
            "file_bytes": self.file_bytes,
            "hits": self.hits,
            "max_size": conf.max_size,
            "index_keys": indexed,
            "statuses": statuses,
        })
    }
}
