//! Waiting for what another request fetches: woken by its fill, and reading it while it arrives.
//!
//! Only what another process fills is looked for again and again. Nobody waits longer than `proxy_cache_lock_timeout`,
//! nor for a client that has left.

use std::{sync::Arc, time::Duration};

use cache::policy::CacheStatus;
use config::FillAbandoned;
use http1::{Method, ResponseHead};

use super::{Dealing, needs_own_word};
use crate::http::{
    Exchange,
    cache_facts::Held,
    phases::Ending,
    proxy::{
        cache::fill::{Begun, Fill, FillReader, Incomplete, ReadBy, Release, Stage},
        cache::stored,
        cache::storing::fill_abandoned,
        cache::zone::Turn,
        client_left, intercept, limit_rate,
    },
    response::{Body, Source},
};

/// First and longest pause between two looks at what another process fills.
pub(super) const LOOKS_AGAIN_AFTER: Duration = Duration::from_millis(10);
const LOOKS_AGAIN_AFTER_MOST: Duration = Duration::from_millis(100);

/// What came of waiting.
pub(super) enum Waited {
    /// The request's end.
    End(Ending),
    /// The cache has changed, or it may be our turn.
    LookAgain,
    /// The one who asked fell back to the stale entry.
    ServeStale,
    /// The answer is not to be stored, or the wait was long enough: ask beside.
    InVain,
}

impl Dealing<'_> {
    /// Waits for what another request is fetching.
    pub(super) async fn wait(&mut self, exchange: &mut Exchange, turn: Turn) -> Waited {
        let conf = Arc::clone(&exchange.location);
        let left = conf.cache.lock_timeout.saturating_sub(self.waited_since.elapsed());
        let fill = match turn {
            Turn::Theirs(fill) => fill,
            Turn::Mine(_) | Turn::Elsewhere => return self.wait_elsewhere(exchange, left).await,
        };
        let too_old = conf.cache.lock_age.saturating_sub(fill.asked_for());
        let stage = tokio::select! {
            biased;
            stage = fill.answered() => stage,
            () = exchange.client.closed() => return Waited::End(Ending::Fail(client_left())),
            () = tokio::time::sleep(too_old), if too_old < left => return Waited::LookAgain,
            () = tokio::time::sleep(left) => {
                exchange.upstream.cache.detail = Some("lock-timeout");
                return Waited::InVain;
            }
        };
        match stage {
            Stage::Released(Release::Uncacheable) => {
                exchange.upstream.cache.detail = Some("uncacheable");
                Waited::InVain
            }
            Stage::Released(Release::ServeStale) => {
                exchange.upstream.cache.detail = Some("stale-on-error");
                Waited::ServeStale
            }
            Stage::Asking | Stage::Released(Release::LookAgain) => Waited::LookAgain,
            Stage::Storing(_) if self.zone.is_purged(&self.key, &fill) => Waited::LookAgain,
            Stage::Storing(incomplete) if needs_own_word(&conf.cache, &incomplete.entry.meta) => {
                Waited::InVain
            }
            Stage::Storing(incomplete) => {
                let meta = &incomplete.entry.meta;
                if !meta.vary.is_empty() {
                    let variant = self.variant_for(exchange, meta);
                    if variant != meta.variant {
                        self.digest = variant;
                        return Waited::LookAgain;
                    }
                }
                self.read_along(exchange, fill, &incomplete).await
            }
        }
    }

    /// Reads what is arriving, unless it breaks off before its first byte: then another may try, and nothing has been sent yet.
    async fn read_along(
        &mut self,
        exchange: &mut Exchange,
        fill: Arc<Fill>,
        incomplete: &Incomplete,
    ) -> Waited {
        let Some(reader) = FillReader::join(fill, ReadBy::Follower) else { return Waited::LookAgain };
        let left = exchange.location.cache.lock_timeout.saturating_sub(self.waited_since.elapsed());
        let needs_body = exchange.method != Method::Head;
        tokio::select! {
            biased;
            begun = reader.begun(), if needs_body => if begun == Begun::Broken { return Waited::LookAgain },
            () = exchange.client.closed(), if needs_body => return Waited::End(Ending::Fail(client_left())),
            () = tokio::time::sleep(left), if needs_body => {}
            else => {}
        }
        exchange.upstream.cache_status = Some(CacheStatus::Hit);
        exchange.upstream.cache.forward = Some(self.forward);
        exchange.upstream.cache.collapsed = true;
        Waited::End(follow(exchange, reader, incomplete, None))
    }

    /// Waits a little for another process that fills the key (the worker before a reload), then looks again.
    async fn wait_elsewhere(&mut self, exchange: &mut Exchange, left: Duration) -> Waited {
        if left.is_zero() {
            return Waited::InVain;
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(LOOKS_AGAIN_AFTER_MOST);
        tokio::select! {
            () = tokio::time::sleep(pause) => Waited::LookAgain,
            () = exchange.client.closed() => Waited::End(Ending::Fail(client_left())),
        }
    }
}

/// Reads an answer while it is being stored. Whoever asked for it sees its head as it `came`.
pub(super) fn follow(
    exchange: &mut Exchange,
    reader: FillReader,
    incomplete: &Incomplete,
    came: Option<Arc<ResponseHead>>,
) -> Ending {
    let entry = &incomplete.entry;
    let head = came.unwrap_or_else(|| Arc::clone(&entry.head));
    exchange.upstream.head = Some(Arc::clone(&head));
    exchange.upstream.cache.held = Some(Held::of(&entry.meta));
    limit_rate::obey(exchange, &head);
    if reads_in_part(exchange) {
        reader.wants_no_end();
    }
    if let Some(ending) = intercept(exchange, &head) {
        return ending;
    }
    let mut response = match Arc::ptr_eq(&head, &entry.head) {
        true => stored::head(exchange, entry),
        false => stored::head_as_it_came(exchange, &head),
    };
    if !stored::keeps_length(exchange) {
        response.content_length = incomplete.length;
    }
    response.body = Body::Stream { source: Source::Fill(Box::new(reader)), window: None };
    Ending::Answer(Box::new(response))
}

/// Whether the body may not be read to its end though the client stays: its answer is a head, a part, or a page for an error.
fn reads_in_part(exchange: &Exchange) -> bool {
    const FIELDS: [&str; 5] =
        ["Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"];
    fill_abandoned(&exchange.location) != FillAbandoned::Goes
        && (exchange.method == Method::Head
            || *exchange.location.proxy.intercept_errors
            || FIELDS.iter().any(|name| exchange.head.fields.contains(name)))
}
