//! The cache's side of a request: look up, serve, wait, or ask and store.
//!
//! Every path through here ends in one of four ways: an entry is served, an answer is read while it is
//! being stored, an answer passes through uncached, or the client gets an error. Who asks the
//! upstream is decided by [`Zone::turn`]; nobody else waits longer than `proxy_cache_lock_timeout`.

use std::{pin::pin, sync::Arc, time::Duration};

use cache::{
    Digest, Key,
    policy::{self, CacheStatus, Forward, Reuse},
};
use config::ProxyPass;

use super::{
    affinity, any_true, client_left, deliver,
    fill::{FillReader, Incomplete, ReadBy, Release, Stage, Ticket},
    hints, intercept, limit_rate, pass_on, range_offset,
    request::{self, Purpose},
    stored,
    storing::{self, Order, Outcome, Stale, Storing},
    zone::{Entry, Turn, Zone},
};
use crate::{
    clock::{self, Moment},
    http::{
        Exchange, Fault,
        cache_facts::Held,
        fault,
        phases::Ending,
        rate, request_body,
        response::{Body, Source},
    },
    upstream::Group,
};

/// One request's dealings with a zone.
struct Dealing<'a> {
    pass: &'a ProxyPass,
    group: &'a Arc<Group>,
    zone: Arc<Zone>,
    key: Key,
    /// Digest in use: the key's, or that of the variant that this request wants.
    digest: Digest,
    waited_since: Moment,
    /// How long to wait for another process before looking again.
    pause: Duration,
    /// Whether an absent entry was looked for again at our turn.
    looked_twice: bool,
    /// Why the upstream would have to be asked.
    forward: Forward,
}

/// First and longest pause between two looks at what another process fills.
const LOOKS_AGAIN_AFTER: Duration = Duration::from_millis(10);
const LOOKS_AGAIN_AFTER_MOST: Duration = Duration::from_millis(100);

/// What a look into the cache leads to.
enum Step {
    /// The request's end.
    End(Ending),
    /// The cache has changed: look again.
    LookAgain,
    /// The one who asked fell back to the stale entry.
    ServeStale,
}

/// Answers a request from the cache, or asks the upstream and stores what comes.
pub(super) async fn serve(
    exchange: &mut Exchange,
    pass: &ProxyPass,
    group: &Arc<Group>,
    zone: Arc<Zone>,
) -> Ending {
    if !exchange.body.is_absent() {
        // As nginx: a body is read first, so that the key may name it.
        if let Err(fault) = request_body::collect(exchange).await {
            return Ending::Fail(fault);
        }
    }
    let key = Key::new(request::cache_key(exchange, pass));
    let digest = key.digest;
    let mut dealing = Dealing {
        pass,
        group,
        zone,
        key,
        digest,
        waited_since: clock::moment(),
        pause: LOOKS_AGAIN_AFTER,
        looked_twice: false,
        forward: Forward::UriMiss,
    };
    if exchange.location.cache.status.is_some() {
        exchange.upstream.cache.key = Some(dealing.key.text.as_slice().into());
    }
    if any_true(exchange, &exchange.location.cache.bypass) {
        return dealing.bypass(exchange).await;
    }
    loop {
        let step = match dealing.find(exchange).await {
            Some(entry) => dealing.found(exchange, entry).await,
            None => dealing.absent(exchange).await,
        };
        match step {
            Step::End(ending) => return ending,
            Step::LookAgain | Step::ServeStale => {}
        }
    }
}

impl Dealing<'_> {
    /// Looks for the entry of this request: under the key, and where that holds another variant, under the variant's own digest.
    async fn find(&mut self, exchange: &Exchange) -> Option<Arc<Entry>> {
        let entry = self.zone.find(&self.key, &self.digest).await?;
        if entry.meta.vary.is_empty() {
            return Some(entry);
        }
        let variant = policy::vary::variant(&self.key.digest, &entry.meta.vary, &exchange.head.fields);
        if variant == entry.meta.variant {
            return Some(entry);
        }
        self.digest = variant;
        self.forward = Forward::VaryMiss;
        let entry = self.zone.find(&self.key, &variant).await?;
        (entry.meta.variant == variant).then_some(entry)
    }

    /// Serves a fresh entry; has a stale one updated, or serves it where that is allowed.
    async fn found(&mut self, exchange: &mut Exchange, entry: Arc<Entry>) -> Step {
        let reuse = policy::reuse(&entry.meta, clock::now());
        let Reuse::Stale { while_updating, on_error } = reuse else {
            return Step::End(self.hit(exchange, &entry, CacheStatus::Hit));
        };
        self.forward = Forward::Stale;
        if let Some(ending) = self.kept_error(exchange) {
            return Step::End(ending);
        }
        let conf = Arc::clone(&exchange.location);
        let may_serve = while_updating || conf.cache.use_stale.updating;
        let is_beyond = range_offset::is_beyond(exchange);
        if is_beyond && !may_serve {
            return Step::End(self.uncached(exchange, CacheStatus::Expired).await);
        }
        let stale = Stale { entry: Arc::clone(&entry), on_error };
        match self.zone.turn(&self.digest, *conf.cache.lock_age) {
            // Another may have updated it between our look and our turn.
            Turn::Mine(_) if self.zone.has_another(&self.digest, &entry) => Step::LookAgain,
            Turn::Mine(ticket) if may_serve && *conf.cache.background_update => {
                match self.order(exchange, Some(stale)) {
                    // Nobody waits for the answer: the task goes on by itself.
                    Ok(order) => drop(storing::start(&exchange.event_loop, order, ticket)),
                    Err(fault) => fault::log(exchange, &fault),
                }
                Step::End(self.hit(exchange, &entry, CacheStatus::Stale))
            }
            Turn::Mine(ticket) if is_beyond => {
                drop(ticket);
                Step::End(self.uncached(exchange, CacheStatus::Expired).await)
            }
            Turn::Mine(ticket) => {
                Step::End(self.ask(exchange, ticket, Some(stale), CacheStatus::Expired).await)
            }
            Turn::Theirs(_) | Turn::Elsewhere if may_serve => {
                Step::End(self.hit(exchange, &entry, CacheStatus::Updating))
            }
            theirs => match self.wait(exchange, theirs, CacheStatus::Expired).await {
                Step::ServeStale => Step::End(self.hit(exchange, &entry, CacheStatus::Stale)),
                step => step,
            },
        }
    }

    /// Asks for what is not there, or waits for another who does.
    async fn absent(&mut self, exchange: &mut Exchange) -> Step {
        if let Some(ending) = self.kept_error(exchange) {
            return Step::End(ending);
        }
        let min_uses = *exchange.location.cache.min_uses;
        if min_uses > 1 && u64::from(self.zone.store.count_use(&self.digest, clock::now())) < min_uses {
            exchange.upstream.cache.detail = Some("min-uses");
            return Step::End(self.uncached(exchange, CacheStatus::Scarce).await);
        }
        if range_offset::is_beyond(exchange) {
            return Step::End(self.uncached(exchange, CacheStatus::Miss).await);
        }
        let conf = Arc::clone(&exchange.location);
        match self.zone.turn(&self.digest, *conf.cache.lock_age) {
            // Another may have filled it between our look and our turn.
            Turn::Mine(_)
                if !std::mem::replace(&mut self.looked_twice, true) && self.zone.knows(&self.digest) =>
            {
                Step::LookAgain
            }
            Turn::Mine(ticket) => Step::End(self.ask(exchange, ticket, None, CacheStatus::Miss).await),
            theirs if *conf.cache.lock => self.wait(exchange, theirs, CacheStatus::Miss).await,
            // Nobody has to wait for an answer that is arriving already.
            Turn::Theirs(fill) if !fill.is_asking() => {
                self.wait(exchange, Turn::Theirs(fill), CacheStatus::Miss).await
            }
            Turn::Theirs(_) | Turn::Elsewhere => Step::End(self.uncached(exchange, CacheStatus::Miss).await),
        }
    }

    /// Asks the upstream although there may be an entry, and stores the answer over it.
    async fn bypass(&mut self, exchange: &mut Exchange) -> Ending {
        self.forward = Forward::Bypass;
        match self.zone.turn(&self.digest, Duration::ZERO) {
            Turn::Mine(ticket) => self.ask(exchange, ticket, None, CacheStatus::Bypass).await,
            Turn::Theirs(_) | Turn::Elsewhere => self.uncached(exchange, CacheStatus::Bypass).await,
        }
    }

    /// Asks the upstream and stores nothing.
    async fn uncached(&self, exchange: &mut Exchange, status: CacheStatus) -> Ending {
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.cache.forward = Some(self.forward);
        pass_on(exchange, self.pass, self.group).await
    }

    /// Fails again as a moment ago, where `proxy_cache_valid` says so.
    fn kept_error(&self, exchange: &mut Exchange) -> Option<Ending> {
        let status = self.zone.errors.find(&self.digest, clock::now())?;
        exchange.upstream.cache_status = Some(CacheStatus::Hit);
        Some(Ending::Fail(Fault::status_only(status)))
    }

    /// Serves an entry.
    fn hit(&self, exchange: &mut Exchange, entry: &Arc<Entry>, status: CacheStatus) -> Ending {
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.head = Some(Arc::clone(&entry.head));
        exchange.upstream.cache.held = Some(Held::of(&entry.meta));
        limit_rate::obey(exchange, &entry.head);
        self.zone.touch(&self.digest, entry);
        if let Some(ending) = intercept(exchange, &entry.head) {
            return ending;
        }
        Ending::Answer(Box::new(stored::answer(exchange, entry)))
    }

    /// Waits for what another request is fetching, and reads it while it arrives.
    async fn wait(&mut self, exchange: &mut Exchange, turn: Turn, status: CacheStatus) -> Step {
        let conf = Arc::clone(&exchange.location);
        let left = conf.cache.lock_timeout.saturating_sub(self.waited_since.elapsed());
        let fill = match turn {
            Turn::Theirs(fill) => fill,
            Turn::Mine(_) | Turn::Elsewhere => return self.wait_elsewhere(exchange, left, status).await,
        };
        let too_old = conf.cache.lock_age.saturating_sub(fill.begun.elapsed());
        let stage = tokio::select! {
            biased;
            stage = fill.answered() => stage,
            () = exchange.client.closed() => return Step::End(Ending::Fail(client_left())),
            () = tokio::time::sleep(too_old), if too_old < left => return Step::LookAgain,
            () = tokio::time::sleep(left) => return Step::End(self.uncached(exchange, status).await),
        };
        match stage {
            Stage::Released(Release::Uncacheable) => Step::End(self.uncached(exchange, status).await),
            Stage::Released(Release::ServeStale) => Step::ServeStale,
            Stage::Asking | Stage::Released(Release::LookAgain) => Step::LookAgain,
            Stage::Storing(incomplete) => {
                let meta = &incomplete.entry.meta;
                if !meta.vary.is_empty() {
                    let variant = policy::vary::variant(&self.key.digest, &meta.vary, &exchange.head.fields);
                    if variant != meta.variant {
                        self.digest = variant;
                        return Step::LookAgain;
                    }
                }
                let Some(reader) = FillReader::join(fill, ReadBy::Follower) else { return Step::LookAgain };
                exchange.upstream.cache_status = Some(CacheStatus::Hit);
                exchange.upstream.cache.forward = Some(self.forward);
                exchange.upstream.cache.collapsed = true;
                Step::End(follow(exchange, reader, &incomplete))
            }
        }
    }

    /// Waits a little for another process that fills the key (the worker before a reload), then looks again.
    async fn wait_elsewhere(&mut self, exchange: &mut Exchange, left: Duration, status: CacheStatus) -> Step {
        if left.is_zero() {
            return Step::End(self.uncached(exchange, status).await);
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(LOOKS_AGAIN_AFTER_MOST);
        tokio::select! {
            () = tokio::time::sleep(pause) => Step::LookAgain,
            () = exchange.client.closed() => Step::End(Ending::Fail(client_left())),
        }
    }

    /// Asks the upstream, on a task of its own that goes on if the client leaves.
    async fn ask(
        &mut self,
        exchange: &mut Exchange,
        ticket: Ticket,
        stale: Option<Stale>,
        status: CacheStatus,
    ) -> Ending {
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.cache.forward = Some(self.forward);
        let mut order = match self.order(exchange, stale) {
            Ok(order) => order,
            Err(fault) => return Ending::Fail(fault),
        };
        let (hints, arriving) = hints::channel(exchange);
        order.outgoing.hints = hints;
        let answer = storing::start(&exchange.event_loop, order, ticket);
        let answer = match arriving.meanwhile(&exchange.client, pin!(answer)).await {
            Ok(answer) => answer.unwrap_or_default(),
            Err(fault) => return Ending::Fail(fault),
        };
        exchange.upstream.tries.extend(answer.facts.tries);
        exchange.upstream.head = answer.facts.head;
        exchange.upstream.peer = answer.facts.peer;
        exchange.upstream.target = answer.facts.target;
        exchange.upstream.cache.stored = answer.facts.cache.stored;
        exchange.upstream.cache.detail = answer.facts.cache.detail;
        match answer.outcome {
            Ok(Outcome::Stored(reader, incomplete)) => {
                affinity::bind(exchange, self.group, None);
                follow(exchange, reader, &incomplete)
            }
            Ok(Outcome::Refreshed(entry)) => self.hit(exchange, &entry, CacheStatus::Revalidated),
            Ok(Outcome::Through(incoming)) => deliver(exchange, self.group, *incoming),
            Ok(Outcome::Stale(entry, fault)) => {
                if let Some(fault) = fault {
                    fault::log(exchange, &fault);
                }
                self.hit(exchange, &entry, CacheStatus::Stale)
            }
            Err(fault) => Ending::Fail(fault),
        }
    }

    /// Writes down what is to be asked, and under which name the answer is stored.
    fn order(&self, exchange: &Exchange, stale: Option<Stale>) -> Result<Order, Fault> {
        let location = Arc::clone(&exchange.location);
        let purpose = match &stale {
            Some(stale) if *location.cache.revalidate => {
                Purpose::Revalidate(&stale.entry.meta, &stale.entry.head)
            }
            _ => Purpose::Fill,
        };
        let mut outgoing = request::build(exchange, self.pass, purpose)?;
        outgoing.affinity = affinity::of(exchange, self.group);
        let storing = match any_true(exchange, &location.cache.no_cache) {
            true => Storing::Refused,
            false => Storing::Wanted,
        };
        Ok(Order {
            location,
            outgoing,
            group: Arc::clone(self.group),
            zone: Arc::clone(&self.zone),
            key: self.key.clone(),
            digest: self.digest,
            stale,
            storing,
            read_rate: rate::from_upstream(exchange),
            request_fields: exchange.head.fields.clone(),
        })
    }
}

/// Reads an answer while it is being stored.
fn follow(exchange: &mut Exchange, reader: FillReader, incomplete: &Incomplete) -> Ending {
    let entry = &incomplete.entry;
    exchange.upstream.head = Some(Arc::clone(&entry.head));
    exchange.upstream.cache.held = Some(Held::of(&entry.meta));
    limit_rate::obey(exchange, &entry.head);
    if let Some(ending) = intercept(exchange, &entry.head) {
        return ending;
    }
    let mut response = stored::head(exchange, entry);
    if !stored::keeps_length(exchange) {
        response.content_length = incomplete.length;
    }
    response.body = Body::Stream { source: Source::Fill(Box::new(reader)), window: None };
    Ending::Answer(Box::new(response))
}
